//! The ping, both ways: the service asks the homeserver to call it, and knows the call by its transaction id
//! (specification, *Application Service API*, *Pinging*).
//!
//! A ping tells whether the homeserver reaches this very process, and it makes homeservers that gave the service up
//! for a while bring at once what waits. So it is made when the service has begun to listen, each time that the
//! homeserver was away and is back, and when somebody brings transactions with another token. [`WayBack`] keeps what it
//! has shown.
//!
//! [`WayBack`]: super::WayBack

use std::{collections::HashMap, sync::Arc, time::Duration};

use axum::{Json, body::Bytes, extract::State};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    Error,
    backoff::Backoff,
    client::{Call, escape},
    core::Core,
};

/// Pings that may be under way; the homeserver's calls for more of them are answered, and not looked for.
const MAX_UNDER_WAY: usize = 64;

/// Waits between attempts at reaching the homeserver, and being reached. Until it is, whoever watches is told otherwise,
/// so that the longest is no long one.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const MAX_WAIT: Duration = Duration::from_secs(60);

/// The pings that are under way, and whether the homeserver has called for them.
#[derive(Default)]
pub(crate) struct Pings(Mutex<HashMap<String, bool>>);

impl Pings {
    fn expect(&self, txn_id: &str) -> Expected<'_> {
        let mut pings = self.0.lock();
        if pings.len() < MAX_UNDER_WAY {
            pings.insert(txn_id.to_owned(), false);
        }
        Expected {
            pings: self,
            txn_id: txn_id.to_owned(),
        }
    }

    fn hear(&self, txn_id: &str) {
        if let Some(heard) = self.0.lock().get_mut(txn_id) {
            *heard = true;
        }
    }
}

/// A ping under way; over when dropped.
struct Expected<'a> {
    pings: &'a Pings,
    txn_id: String,
}

impl Expected<'_> {
    fn was_heard(&self) -> bool {
        self.pings.0.lock().get(&self.txn_id) == Some(&true)
    }
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        self.pings.0.lock().remove(&self.txn_id);
    }
}

/// `POST /_matrix/app/v1/ping`. Any body is good: what counts is that the homeserver is here.
pub(super) async fn hear(State(core): State<Arc<Core>>, body: Bytes) -> Json<Value> {
    #[derive(Deserialize)]
    struct Body {
        transaction_id: String,
    }
    if let Ok(body) = serde_json::from_slice::<Body>(&body) {
        core.pings.hear(&body.transaction_id);
    }
    Json(json!({}))
}

/// Asks the homeserver to call; how long that call took, by its word.
pub(super) async fn ping(core: &Core) -> Result<Duration, Error> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        duration_ms: Value,
    }
    let id = &core.registration.id;
    let txn_id = core.surroundings.randomness.hex(32);
    let path = format!("/_matrix/client/v1/appservice/{}/ping", escape(id));
    // As the sender, which is the token without a mask: homeservers refuse this to anybody else.
    let call = Call::post(path, &json!({ "transaction_id": txn_id }));
    let call = call.by(Some(core.client.sender()));
    let expected = core.pings.expect(&txn_id);
    let started = Instant::now();
    match core.client.call::<Answer>(&call).await {
        Ok(_) if !expected.was_heard() => Err(Error::Unsupported(format!(
            "the homeserver says that it reaches the service, but it was not this process that it has called: \
             look whether the url in the registration `{id}` leads to another one"
        ))),
        Ok(answer) => {
            let told = answer.duration_ms.as_f64().filter(|ms| *ms >= 0.0);
            let told = told.and_then(|ms| Duration::try_from_secs_f64(ms / 1000.0).ok());
            Ok(told.unwrap_or_else(|| started.elapsed()))
        }
        // A homeserver may call and then say that it could not: it tells of its last failure from before.
        Err(_) if expected.was_heard() => Ok(started.elapsed()),
        Err(error) => Err(error),
    }
}

/// Pings at once, whenever the homeserver comes back, and when a refused transaction raises doubts.
pub(super) async fn keep_in_touch(core: Arc<Core>) {
    let mut comebacks = core.client.comebacks();
    loop {
        comebacks.borrow_and_update();
        tokio::select! {
            () = ping_until_done(&core) => {}
            () = core.stopping() => return,
        }
        let pinged_at = Instant::now();
        tokio::select! {
            changed = comebacks.changed() => if changed.is_err() { return },
            () = core.way_back.doubted_since(pinged_at) => {}
            () = core.stopping() => return,
        }
    }
}

async fn ping_until_done(core: &Core) {
    let mut backoff = Backoff::new(FIRST_WAIT, MAX_WAIT);
    let came_before = core.way_back.arrivals();
    let mut is_told = false;
    loop {
        let refused_before = core.way_back.refusals();
        let error = match ping(core).await {
            Ok(took) => {
                core.way_back.reached();
                tracing::info!(service = %core.name, ?took, "the homeserver reaches the service");
                return;
            }
            Err(error) => error,
        };
        if core.way_back.arrivals() != came_before {
            // It has come by itself meanwhile: only pings go astray.
            tracing::debug!(service = %core.name, %error, "the homeserver reaches the service, and its pings do not");
            return;
        }
        let was_refused = core.way_back.refusals() != refused_before;
        let advice = core.way_back.failed(core, &error, was_refused);
        let is_final = !may_change(&error);
        if is_final && !is_told {
            tell_final(core, &error, advice);
            is_told = true;
        }
        if is_final && core.way_back.is_clear() {
            return;
        }
        let mut random = [0; 8];
        core.surroundings.randomness.fill(&mut random);
        let wait = backoff.fail(u64::from_le_bytes(random));
        if !is_final {
            tracing::warn!(service = %core.name, %error, advice, ?wait, "the homeserver does not reach the service yet");
        }
        tokio::time::sleep(wait).await;
    }
}

/// Whether another attempt may end otherwise.
fn may_change(error: &Error) -> bool {
    error.is_transient() || matches!(error.status(), Some(401 | 403))
}

fn tell_final(core: &Core, error: &Error, advice: &str) {
    match (error.status(), error.errcode()) {
        (_, Some("M_URL_NOT_SET")) => {
            tracing::warn!(service = %core.name, "the homeserver knows no url of the service: set it in the registration");
        }
        (Some(404 | 405), _) => {
            tracing::debug!(service = %core.name, "this homeserver knows no ping of application services");
        }
        _ => {
            tracing::error!(service = %core.name, %error, advice, "the homeserver does not reach the service");
        }
    }
}
