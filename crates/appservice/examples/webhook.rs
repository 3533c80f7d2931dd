//! An HTTP POST becomes a ghost's message:
//!
//! ```text
//! curl http://localhost:9000/hook/'!room:example.org' -H "Authorization: Bearer $CALLERS_SECRET" \
//!      -H 'Content-Type: application/json' -d '{"id": "build-17", "from": "ci", "text": "build 17 is **green**"}'
//! ```
//!
//! The caller's `id` names the message: a POST that is repeated, because its answer was lost, says nothing twice.
//! Invite `@webhookbot:…` into the room first; it brings the ghosts in.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State as Shared},
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    routing::post,
};
use bridgehead_appservice::{Secret, format::Rich, prelude::*};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Post {
    /// Chosen by the caller, another one for each message.
    id: String,
    /// Who says it: becomes a ghost.
    from: String,
    /// Markdown.
    text: String,
}

#[derive(Serialize)]
struct Posted {
    event_id: String,
}

type Refusal = (StatusCode, String);

pub(crate) fn service(secret: Secret) -> Service {
    let routes = Router::new()
        .route("/hook/{room}", post(hook))
        .with_state(Arc::new(secret));
    Service::new("webhook")
        .bot("webhookbot")
        .users("_hook_{from}")
        .routes(routes)
        .on(|member: Member, room: Room, bot: Bot| async move {
            if member.user_id == *bot.id() && member.membership == "invite" {
                bot.join(&room).await?;
            }
            Ok::<_, Error>(())
        })
}

// ANCHOR: hook
async fn hook(
    Shared(secret): Shared<Arc<Secret>>,
    Path(room): Path<String>,
    headers: HeaderMap,
    ghosts: Ghosts,
    Json(post): Json<Post>,
) -> Result<Json<Posted>, Refusal> {
    if !is_allowed(&headers, &secret) {
        return Err((StatusCode::UNAUTHORIZED, "wrong secret".to_owned()));
    }
    let bad = |error: &dyn std::fmt::Display| (StatusCode::BAD_REQUEST, error.to_string());
    let room = RoomId::parse(&room).map_err(|error| bad(&error))?;
    let ghost = ghosts.named(&post.from).map_err(|error| bad(&error))?;
    let text = Rich::from_markdown(&post.text);
    let sent = ghost.send_with_key(&room, ("hook", &post.id), &text).await;
    let event_id = sent.map_err(|error| (StatusCode::BAD_GATEWAY, error.to_string()))?;
    Ok(Json(Posted {
        event_id: event_id.to_string(),
    }))
}
// ANCHOR_END: hook

fn is_allowed(headers: &HeaderMap, secret: &Secret) -> bool {
    let given = headers.get(AUTHORIZATION);
    given
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "))
        .is_some_and(|given| secret.matches(given))
}

#[tokio::main]
async fn main() -> ExitCode {
    match std::env::var("CALLERS_SECRET") {
        Ok(secret) if !secret.is_empty() => service(Secret::new(secret)).main().await,
        _ => {
            eprintln!("CALLERS_SECRET is not set: choose what callers must show");
            ExitCode::from(2)
        }
    }
}
