//! Finds what was said, in rooms that it watches without joining any:
//!
//! ```text
//! curl 'http://localhost:9000/search?q=coffee+machine' -H "Authorization: Bearer $CALLERS_SECRET"
//! ```
//!
//! The index is a table of its own, written with `Tx` together with the event's consumption: whatever crashes, each
//! message is in it once. Whoever has the secret can read all that is said on the homeserver.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Query, State as Shared},
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    routing::get,
};
use bridgehead_appservice::{
    Secret,
    prelude::*,
    store::{Migration, Row},
};
use serde::{Deserialize, Serialize};

const INDEX: Migration = Migration {
    name: "index",
    sql: "CREATE VIRTUAL TABLE said USING fts5 (event UNINDEXED, room UNINDEXED, sender UNINDEXED, body)",
};

pub(crate) fn service(secret: Secret) -> Service {
    let routes = Router::new()
        .route("/search", get(search))
        .with_state(Arc::new(secret));
    // ANCHOR: service
    Service::new("search")
        .bot("searchbot")
        .watch_rooms(".*")
        .migrations(&[INDEX])
        .routes(routes)
        .on(|message: Message, tx: Tx| async move {
            let event = &message.event;
            let (room, sender) = ((&event.room_id).into(), (&event.sender).into());
            tx.execute(
                "INSERT INTO said (event, room, sender, body) VALUES (?1, ?2, ?3, ?4)",
                [(&event.id).into(), room, sender, message.body.into()],
            );
        })
        .on(|edit: Edit, tx: Tx| async move {
            // Only who has said it can change it.
            let (target, sender) = ((&edit.target).into(), (&edit.event.sender).into());
            tx.execute(
                "UPDATE said SET body = ?2 WHERE event = ?1 AND sender = ?3",
                [target, edit.body.into(), sender],
            );
        })
        .on(|redaction: Redaction, tx: Tx| async move {
            tx.execute(
                "DELETE FROM said WHERE event = ?1",
                [(&redaction.redacts).into()],
            );
        })
    // ANCHOR_END: service
}

#[derive(Deserialize)]
struct Question {
    q: String,
}

#[derive(Serialize)]
struct Found {
    event: String,
    room: String,
    sender: String,
    body: String,
}

async fn search(
    Shared(secret): Shared<Arc<Secret>>,
    Query(question): Query<Question>,
    headers: HeaderMap,
    store: Store,
) -> Result<Json<Vec<Found>>, (StatusCode, String)> {
    let given = headers.get(AUTHORIZATION);
    let given = given.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    if !given.is_some_and(|given| secret.matches(given)) {
        return Err((StatusCode::UNAUTHORIZED, "wrong secret".to_owned()));
    }
    // In quotes, so that what people type is no query language.
    let words = question.q.split_whitespace();
    let words: Vec<String> = words
        .map(|word| format!("\"{}\"", word.replace('"', "\"\"")))
        .collect();
    let sql =
        "SELECT event, room, sender, body FROM said WHERE said MATCH ?1 ORDER BY rank LIMIT 20";
    let rows = store.query(sql, [words.join(" ").into()]).await;
    let rows = rows.map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(Json(rows.iter().map(found).collect()))
}

fn found(row: &Row) -> Found {
    let text = |column| row.text(column).unwrap_or_default().to_owned();
    Found {
        event: text(0),
        room: text(1),
        sender: text(2),
        body: text(3),
    }
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
