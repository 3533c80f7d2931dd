//! Telling people that the service cannot act for them any more.

use std::sync::{Arc, Weak};

use tokio::sync::mpsc;

use crate::{Error, bridge::Management, core::Core, id::UserId};

/// Looks after lost tokens, one after another, until the service ends.
pub(super) async fn watch(core: Weak<Core>, mut losses: mpsc::Receiver<UserId>) {
    while let Some(user) = losses.recv().await {
        let Some(core) = core.upgrade() else { return };
        let told = tokio::select! {
            told = tell(&core, &user) => told,
            () = core.stopping() => return,
        };
        if let Err(error) = told {
            tracing::warn!(%user, %error, "a person could not be told that their token is lost");
        }
    }
}

async fn tell(core: &Arc<Core>, user: &UserId) -> Result<(), Error> {
    let (id, now_ms) = (user.to_string(), core.now_ms());
    let is_news = core
        .store
        .write(move |unit| unit.lose_puppet(&id, now_ms))
        .await?;
    if !is_news {
        return Ok(());
    }
    tracing::info!(%user, "a puppet's token is no longer good");
    let text = format!(
        "{} cannot act for you any more: the access token that you had given is no longer good. What you say on the other \
         network comes from a ghost of yours until you give another one.",
        core.name
    );
    Management::outside(core.clone()).notify(user, &text).await
}
