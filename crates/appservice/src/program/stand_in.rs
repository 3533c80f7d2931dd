//! Answers in place of a service that does not run, for as long as a command has to know whether the homeserver
//! reaches it. Pings are answered; everything else is put off with a 503, so that nothing is lost.

use std::{path::Path, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
};
use bridgehead_registration::Registration;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use super::api::Api;
use crate::{
    Database,
    client::escape,
    config::{ListenAddress, ListenConfig},
    run::{StartError, lock},
    store::StoreError,
    surroundings::{Randomness, SystemRandomness},
};

/// After a change, the homeserver may need a moment.
const PAUSE: Duration = Duration::from_secs(1);

/// How often the ping is tried.
const ATTEMPTS: u32 = 3;

/// Whoever answers the homeserver for the time being.
pub(super) enum Answerer {
    /// The service itself.
    Running,
    /// We do.
    StandIn {
        serving: JoinHandle<()>,
        /// Keeps the service from being started meanwhile.
        _lock: Option<std::fs::File>,
    },
    /// Nobody can; the text says why.
    Nobody(String),
}

impl Drop for Answerer {
    fn drop(&mut self) {
        if let Self::StandIn { serving, .. } = self {
            serving.abort();
        }
    }
}

impl Answerer {
    /// Sees to it that somebody answers.
    pub(super) async fn find(
        registration: &Registration,
        listen: &ListenConfig,
        database: &Path,
    ) -> Self {
        let held = match lock(&Database::File(database.to_owned())) {
            Err(StartError::Store(StoreError::InUse(_))) => return Self::Running,
            // Where there is no folder yet, no service runs.
            other => other.ok().flatten(),
        };
        let why = "the service does not run, and nobody can answer for it";
        if listen.websocket {
            return Self::Nobody(format!("{why} over the websocket"));
        }
        if listen.tls().is_some() {
            return Self::Nobody(format!("{why} over TLS"));
        }
        let ListenAddress::Tcp(address) = &listen.address else {
            return Self::Nobody(format!("{why} at a unix socket"));
        };
        match TcpListener::bind(address).await {
            Ok(listener) => {
                let token = Arc::new(registration.hs_token.clone());
                let router = Router::new().fallback(answer).with_state(token);
                let serving = tokio::spawn(async move {
                    axum::serve(listener, router).await.ok();
                });
                Self::StandIn {
                    serving,
                    _lock: held,
                }
            }
            Err(error) => Self::Nobody(format!(
                "the service does not run, and listen.address = {address} cannot be used: {error}"
            )),
        }
    }

    /// Why nobody answers.
    pub(super) fn nobody(&self) -> Option<&str> {
        match self {
            Self::Nobody(why) => Some(why),
            Self::Running | Self::StandIn { .. } => None,
        }
    }
}

async fn answer(
    State(token): State<Arc<bridgehead_registration::Secret>>,
    headers: HeaderMap,
    uri: Uri,
) -> Response {
    let shown = headers.get(header::AUTHORIZATION);
    let shown = shown.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let refuse = |status: StatusCode, errcode: &str, error: &str| {
        let body = json!({ "errcode": errcode, "error": error });
        (status, Json(body)).into_response()
    };
    match shown {
        None => refuse(
            StatusCode::UNAUTHORIZED,
            "M_MISSING_TOKEN",
            "the hs_token is missing",
        ),
        Some(shown) if !token.matches(shown) => refuse(
            StatusCode::FORBIDDEN,
            "M_FORBIDDEN",
            "this is not the hs_token",
        ),
        Some(_) if uri.path() == "/_matrix/app/v1/ping" => Json(json!({})).into_response(),
        Some(_) => refuse(
            StatusCode::SERVICE_UNAVAILABLE,
            "M_LIMIT_EXCEEDED",
            "the service does not run at the moment",
        ),
    }
}

/// How a ping has ended.
pub(super) enum Pinged {
    /// The homeserver reaches the service.
    Good,
    /// The homeserver cannot do this.
    Unknown,
    /// It does not; what is wrong, and what to do.
    Bad { what: String, cure: String },
}

/// Has the homeserver call the service (specification, *Application Service API*, *Pinging*).
pub(super) async fn ping(homeserver: &Api, registration: &Registration) -> Pinged {
    let mut last = None;
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        match ping_once(homeserver, registration).await {
            Pinged::Bad { what, cure } => last = Some(Pinged::Bad { what, cure }),
            known => return known,
        }
    }
    last.unwrap_or(Pinged::Unknown)
}

async fn ping_once(homeserver: &Api, registration: &Registration) -> Pinged {
    let randomness: &dyn Randomness = &SystemRandomness;
    let path = format!(
        "/_matrix/client/v1/appservice/{}/ping",
        escape(&registration.id)
    );
    let body = json!({ "transaction_id": randomness.hex(32) });
    let answer = match homeserver.post(&path, &body).await {
        Ok(answer) => answer,
        Err(error) => {
            return Pinged::Bad {
                what: error.to_string(),
                cure: "see homeserver.address in the configuration".to_owned(),
            };
        }
    };
    if answer.status.is_success() {
        return Pinged::Good;
    }
    let url = registration.url.as_ref().map_or("", |url| url.as_str());
    let file = registration.source.file.display();
    let cure = match (
        answer.errcode(),
        answer.body.get("status").and_then(Value::as_u64),
    ) {
        ("M_UNRECOGNIZED", _) => return Pinged::Unknown,
        ("", _) if answer.status == StatusCode::NOT_FOUND => return Pinged::Unknown,
        ("M_URL_NOT_SET", _) => {
            format!("{file}: `url` is missing at the homeserver: give it this registration")
        }
        ("M_BAD_STATUS", Some(401 | 403)) => format!(
            "{file}: the homeserver has another `hs_token` than this file: give it this registration; or another \
             program answers at {url}"
        ),
        ("M_BAD_STATUS", _) => {
            format!("another program seems to answer at {url}: see `url` in {file}")
        }
        ("M_CONNECTION_TIMEOUT" | "M_CONNECTION_FAILED", _) => format!(
            "the homeserver does not get to {url}: see listen.address, listen.public_address and what stands between, \
             and `url` in {file}"
        ),
        ("M_UNKNOWN_TOKEN" | "M_MISSING_TOKEN", _) => format!(
            "{file}: the homeserver does not know this `as_token`: give it this registration"
        ),
        ("M_FORBIDDEN", _) => {
            format!("{file}: the homeserver has another `id` for this `as_token`")
        }
        _ => "the homeserver's log may tell more".to_owned(),
    };
    Pinged::Bad {
        what: format!(
            "the homeserver does not reach the service: {}",
            answer.told()
        ),
        cure,
    }
}
