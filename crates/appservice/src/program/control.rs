//! The door for the same program's other commands, while the service runs: on loopback only, with a token that stands
//! in a file beside the database, readable by its owner alone.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Weak},
};

use axum::{
    Json, Router,
    extract::{Path as UrlPath, Query, Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::{delete, get, post},
};
use bridgehead_registration::{Secret, create_file};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    Running,
    core::Core,
    store::StoreError,
    surroundings::{Randomness, SystemRandomness},
};

/// Digits of the token.
const TOKEN_DIGITS: usize = 64;

/// Entries of a page at most.
pub(super) const PAGE: usize = 100;

/// What stands in the file.
#[derive(Serialize, Deserialize)]
pub(super) struct Door {
    /// Where the door is: `http://127.0.0.1:…`.
    pub(super) address: String,
    /// What is to be shown there.
    pub(super) token: String,
}

/// The open door. It closes, and its file goes, when this is dropped.
pub(super) struct Control {
    file: PathBuf,
    serving: JoinHandle<()>,
}

impl Drop for Control {
    fn drop(&mut self) {
        self.serving.abort();
        std::fs::remove_file(&self.file).ok();
    }
}

/// The file of the service whose database this is.
pub(super) fn file_of(database: &Path) -> PathBuf {
    let mut name = database.to_owned().into_os_string();
    name.push(".control");
    name.into()
}

impl Control {
    /// Opens the door of a service that has its database to itself.
    pub(super) async fn open(running: &Running, database: &Path) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let randomness: &dyn Randomness = &SystemRandomness;
        let door = Door {
            address: format!("http://{}", listener.local_addr()?),
            token: randomness.hex(TOKEN_DIGITS),
        };
        let file = file_of(database);
        // One that is there is from a process that died: two cannot have the database.
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        create_file(&file, &serde_json::to_string(&door)?)?;
        let router = router(&running.core, Secret::new(door.token));
        let serving = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "other commands do not reach the service any more");
            }
        });
        Ok(Self { file, serving })
    }
}

type Held = State<Weak<Core>>;

fn router(core: &Arc<Core>, token: Secret) -> Router {
    Router::new()
        .route("/parked", get(parked))
        .route("/parked/{number}", delete(drop_parked))
        .route("/parked/{number}/replay", post(replay))
        .layer(middleware::from_fn_with_state(Arc::new(token), check))
        .with_state(Arc::downgrade(core))
}

async fn check(State(token): State<Arc<Secret>>, request: Request, next: Next) -> Response {
    let shown = request.headers().get(header::AUTHORIZATION);
    let shown = shown.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    if shown.is_some_and(|shown| token.matches(shown)) {
        next.run(request).await
    } else {
        StatusCode::FORBIDDEN.into_response()
    }
}

/// A page of what is set aside.
#[derive(Deserialize)]
struct After {
    #[serde(default)]
    after: i64,
}

async fn parked(State(core): Held, Query(page): Query<After>) -> Response {
    let Some(core) = core.upgrade() else {
        return ending();
    };
    match core.inbox.parked(page.after, PAGE).await {
        Ok(parked) => Json(parked).into_response(),
        Err(error) => failed(&error),
    }
}

async fn replay(State(core): Held, UrlPath(number): UrlPath<i64>) -> Response {
    let Some(core) = core.upgrade() else {
        return ending();
    };
    found(core.inbox.replay(number).await)
}

async fn drop_parked(State(core): Held, UrlPath(number): UrlPath<i64>) -> Response {
    let Some(core) = core.upgrade() else {
        return ending();
    };
    found(core.inbox.drop_parked(number).await)
}

fn found(outcome: Result<bool, StoreError>) -> Response {
    match outcome {
        Ok(found) => Json(json!({ "found": found })).into_response(),
        Err(error) => failed(&error),
    }
}

fn failed(error: &StoreError) -> Response {
    let body = Json(json!({ "error": error.to_string() }));
    (StatusCode::INTERNAL_SERVER_ERROR, body).into_response()
}

fn ending() -> Response {
    let body = Json(json!({ "error": "the service is being ended" }));
    (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
}
