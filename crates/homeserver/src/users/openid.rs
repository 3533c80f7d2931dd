//! OpenID tokens: a user proves to a third party who it is, by way of this server.

use ruma::UserId;

use crate::{app::App, http::auth};

/// How long a token is good, ms.
pub(crate) const TTL_MS: i64 = 3_600_000;

/// Makes a token.
pub(crate) async fn issue(app: &App, user_id: &UserId) -> bridgehead_store::Result<String> {
    let token = app.random.token();
    let (hash, user) = (auth::hash(&token), user_id.to_string());
    let expires_at = app.now_ms() + TTL_MS;
    app.store
        .write(move |tx| tx.insert_openid_token(&hash, &user, expires_at))
        .await?;
    Ok(token)
}

/// Whose token it is, if it is still good.
pub(crate) async fn owner_of(app: &App, token: &str) -> bridgehead_store::Result<Option<String>> {
    let hash = auth::hash(token);
    let found = app.store.read(move |s| s.openid_token(&hash)).await?;
    let now_ms = app.now_ms();
    Ok(found
        .filter(|(_, expires_at)| *expires_at > now_ms)
        .map(|(user_id, _)| user_id))
}
