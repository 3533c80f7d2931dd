//! How a running service is: what a load balancer, or whoever watches, wants to know.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::Running;
use crate::{client::Call, core::Core};

/// An answer of the homeserver that is older does not count: it is asked.
const LATELY: Duration = Duration::from_secs(60);

/// How long the homeserver may take when it is asked only for this.
const ASKED: Duration = Duration::from_secs(5);

/// An answer is given out again for so long: whoever asks often costs neither disk nor homeserver much.
const KEPT: Duration = Duration::from_secs(1);

/// How a service is. Every `None` is good news; texts say what is wrong.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Health {
    /// Whether the homeserver has accepted the service and the handlers of its start have succeeded; events are
    /// handled from then on.
    pub started: bool,
    /// Why the database cannot be written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// Why the homeserver cannot be asked: the last minute has brought no good answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub homeserver: Option<String>,
    /// Why the homeserver is not let in: by its last ping it shows another `hs_token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub way_back: Option<String>,
    /// Why the homeserver does not come to the service, by its last ping. Such a service is ready: where only those are
    /// reached that are, it would never be otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreached: Option<String>,
    /// Events that wait to be handled.
    pub inbox: usize,
    /// Since when the oldest of them does, ms since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_ms: Option<i64>,
}

impl Health {
    /// Whether the service can do its work.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.started
            && self.database.is_none()
            && self.homeserver.is_none()
            && self.way_back.is_none()
    }
}

impl Running {
    /// Looks how the service is. Writes to the database, and asks the homeserver who the service is if it has not
    /// answered for a minute; takes some seconds at most. Asked again within a second, it says the same.
    pub async fn health(&self) -> Health {
        self.core.health().await
    }
}

impl Core {
    pub(crate) async fn health(&self) -> Health {
        let mut kept = self.figures.health.lock().await;
        if let Some((at, health)) = &*kept
            && at.elapsed() < KEPT
        {
            return health.clone();
        }
        let now_ms = self.now_ms();
        let written = self.store.write(move |unit| unit.probe(now_ms)).await;
        let health = Health {
            started: self.inbox.has_begun().await,
            database: written.err().map(|error| error.to_string()),
            homeserver: self.homeserver_trouble().await,
            way_back: self.way_back.refusal(),
            unreached: self.way_back.absence(),
            inbox: self.inbox.depth(),
            oldest_ms: self
                .store
                .read(|unit| unit.inbox_oldest())
                .await
                .ok()
                .flatten(),
        };
        *kept = Some((Instant::now(), health.clone()));
        health
    }

    async fn homeserver_trouble(&self) -> Option<String> {
        let contact = self.client.contact();
        let lately = i64::try_from(LATELY.as_millis()).unwrap_or(i64::MAX);
        let is_recent = |ms: i64| self.now_ms().saturating_sub(ms) <= lately;
        if contact.trouble().is_none() && contact.answered_ms().is_some_and(is_recent) {
            return None;
        }
        let call = Call::get("/_matrix/client/v3/account/whoami");
        match tokio::time::timeout(ASKED, self.client.call::<Value>(&call)).await {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("the homeserver has not answered within {ASKED:?}")),
        }
    }
}
