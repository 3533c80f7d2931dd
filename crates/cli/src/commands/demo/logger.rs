//! The demo's application service: prints what it is told, makes rooms that somebody asks for.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    routing::{get, put},
};
use bridgehead_homeserver::appservices::registration::Registration;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use super::tell;

/// The logger before it knows its homeserver: it has its port.
pub(super) struct Bound {
    listener: TcpListener,
    port: u16,
}

/// The logger, running.
pub(super) struct Logger {
    seen: watch::Receiver<Vec<String>>,
    task: JoinHandle<()>,
}

struct Shared {
    base_url: String,
    registration: Registration,
    http: reqwest::Client,
    seen: watch::Sender<Vec<String>>,
}

impl Logger {
    /// Takes a free port.
    pub(super) async fn bind() -> anyhow::Result<Bound> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        Ok(Bound { listener, port })
    }

    /// How many events it was told of.
    pub(super) fn count(&self) -> usize {
        self.seen.borrow().len()
    }

    /// Waits until it was told of an event.
    pub(super) async fn until(&mut self, event_id: &str, patience: Duration) -> anyhow::Result<()> {
        let told = self
            .seen
            .wait_for(|seen| seen.iter().any(|id| id == event_id));
        tokio::time::timeout(patience, told)
            .await
            .with_context(|| format!("the logger was not told of {event_id} in time"))?
            .context("the logger has ended")?;
        Ok(())
    }

    /// Ends it.
    pub(super) async fn stop(self) {
        self.task.abort();
        self.task.await.ok();
    }
}

impl Bound {
    /// Where the homeserver reaches it.
    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Starts serving.
    pub(super) fn run(self, base_url: &str, registration: Registration) -> anyhow::Result<Logger> {
        let (sender, seen) = watch::channel(Vec::new());
        let shared = Arc::new(Shared {
            base_url: base_url.to_owned(),
            registration,
            // A proxy of the machine's is not for loopback.
            http: reqwest::Client::builder().no_proxy().build()?,
            seen: sender,
        });
        let router = Router::new()
            .route("/_matrix/app/v1/transactions/{txn_id}", put(transaction))
            .route("/_matrix/app/v1/rooms/{alias}", get(alias_query))
            .layer(DefaultBodyLimit::max(8 << 20))
            .with_state(shared);
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(self.listener, router).await {
                eprintln!("the logger cannot serve: {error}");
            }
        });
        Ok(Logger { seen, task })
    }
}

impl Shared {
    /// Only the homeserver knows the `hs_token`.
    fn is_homeserver(&self, headers: &HeaderMap) -> bool {
        headers
            .get(http::header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "))
            .is_some_and(|token| self.registration.hs_token.matches(token))
    }
}

/// `PUT /_matrix/app/v1/transactions/{txnId}`
async fn transaction(
    State(shared): State<Arc<Shared>>,
    Path(txn_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, Json<Value>) {
    if !shared.is_homeserver(&headers) {
        return (
            StatusCode::FORBIDDEN,
            Json(json!({ "errcode": "M_FORBIDDEN" })),
        );
    }
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let events = body["events"].as_array().cloned().unwrap_or_default();
    for event in &events {
        tell(&format!(
            "   [logger] transaction {txn_id}: {}",
            describe(event)
        ));
    }
    shared.seen.send_modify(|seen| {
        seen.extend(
            events
                .iter()
                .filter_map(|event| Some(event["event_id"].as_str()?.to_owned())),
        );
    });
    (StatusCode::OK, Json(json!({})))
}

fn describe(event: &Value) -> String {
    let kind = event["type"].as_str().unwrap_or("?");
    let sender = event["sender"].as_str().unwrap_or("?");
    let content = &event["content"];
    let detail = match (content["body"].as_str(), content["membership"].as_str()) {
        (Some(words), _) => format!(": {words}"),
        (None, Some(membership)) => {
            let member = event["state_key"].as_str().unwrap_or("?");
            format!(": {membership} {member}")
        }
        (None, None) => String::new(),
    };
    format!("{kind} from {sender}{detail}")
}

/// `GET /_matrix/app/v1/rooms/{roomAlias}`: makes the room while the homeserver waits.
async fn alias_query(
    State(shared): State<Arc<Shared>>,
    Path(alias): Path<String>,
    headers: HeaderMap,
) -> (StatusCode, Json<Value>) {
    if !shared.is_homeserver(&headers) {
        return (
            StatusCode::FORBIDDEN,
            Json(json!({ "errcode": "M_FORBIDDEN" })),
        );
    }
    tell(&format!("   [logger] asked for {alias}: making the room"));
    let localpart = alias
        .trim_start_matches('#')
        .split(':')
        .next()
        .unwrap_or_default();
    let made = shared
        .http
        .post(format!("{}/_matrix/client/v3/createRoom", shared.base_url))
        .bearer_auth(shared.registration.as_token.expose())
        .json(&json!({ "room_alias_name": localpart }))
        .send()
        .await;
    match made {
        Ok(response) if response.status().is_success() => (StatusCode::OK, Json(json!({}))),
        _ => (
            StatusCode::NOT_FOUND,
            Json(json!({ "errcode": "M_NOT_FOUND" })),
        ),
    }
}
