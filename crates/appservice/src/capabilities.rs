//! What the homeserver can do: asked once, kept for an hour, and asked again.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;
use tokio::{sync::Mutex, time::Instant};

use crate::{
    Error, Urgency,
    client::Call,
    core::Core,
    handler::{Context, FromContext, Rejection},
};

/// How long an answer is believed.
const FRESH: Duration = Duration::from_secs(3600);

/// How long after a failure nobody asks again, where an older answer will do.
const PAUSE: Duration = Duration::from_secs(60);

/// What the homeserver says it can do (client-server API, `GET /_matrix/client/versions`,
/// `GET /_matrix/client/v3/capabilities`, `GET /_matrix/client/v1/media/config`). Handlers take it as an argument.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Versions of the specification, such as `v1.11`.
    pub versions: Vec<String>,
    /// Features beside the specification that are switched on, such as `com.beeper.batch_sending`.
    pub unstable: BTreeSet<String>,
    /// Versions that rooms may have, and whether each is stable. Empty when it does not say.
    pub room_versions: BTreeMap<String, bool>,
    /// The version that rooms get; `None` when it does not say.
    pub default_room_version: Option<String>,
    /// Bytes of an upload at most; `None` when it does not say.
    pub max_upload_bytes: Option<u64>,
    /// When this was asked, ms since the Unix epoch.
    pub asked_ms: i64,
}

impl Capabilities {
    /// Whether it speaks version `v1.{minor}` of the specification, or a newer one of the same kind.
    #[must_use]
    pub fn speaks(&self, minor: u32) -> bool {
        let minors = self.versions.iter().filter_map(|version| {
            let rest = version.strip_prefix("v1.")?;
            rest.parse::<u32>().ok()
        });
        minors.max().is_some_and(|newest| newest >= minor)
    }

    /// Whether a feature beside the specification is switched on.
    #[must_use]
    pub fn has(&self, feature: &str) -> bool {
        self.unstable.contains(feature)
    }

    /// Whether media can get its id before it is uploaded (MSC2246, since v1.7).
    #[must_use]
    pub fn async_uploads(&self) -> bool {
        self.speaks(7) || self.has("fi.mau.msc2246") || self.has("fi.mau.msc2246.stable")
    }

    /// Whether media is fetched with a token (MSC3916, since v1.11).
    #[must_use]
    pub fn authenticated_media(&self) -> bool {
        self.speaks(11) || self.has("org.matrix.msc3916.stable")
    }

    /// Whether it can be asked to ping the service (MSC2659, since v1.7).
    #[must_use]
    pub fn ping(&self) -> bool {
        self.speaks(7) || self.has("fi.mau.msc2659") || self.has("fi.mau.msc2659.stable")
    }

    /// Whether history can be sent in batches (`com.beeper.backfill`).
    #[must_use]
    pub fn batch_send(&self) -> bool {
        self.has("com.beeper.batch_sending")
    }
}

/// The newest answer, and when it came.
#[derive(Default)]
struct Known {
    answer: Option<Arc<Capabilities>>,
    asked: Option<Instant>,
    failed: Option<Instant>,
}

/// The homeserver's capabilities, kept for a while. One asks at a time, the others wait for its answer.
#[derive(Default)]
pub(crate) struct CapabilityCache(Mutex<Known>);

impl Core {
    /// What the homeserver can do, as it said within the last hour, or as it said last where it does not answer.
    pub(crate) async fn capabilities(&self) -> Result<Arc<Capabilities>, Error> {
        let mut known = self.capabilities.0.lock().await;
        let is_within =
            |when: Option<Instant>, time| when.is_some_and(|when| when.elapsed() < time);
        if let Some(answer) = &known.answer
            && (is_within(known.asked, FRESH) || is_within(known.failed, PAUSE))
        {
            return Ok(answer.clone());
        }
        match self.probe().await {
            Ok(answer) => {
                let answer = Arc::new(answer);
                *known = Known {
                    answer: Some(answer.clone()),
                    asked: Some(Instant::now()),
                    failed: None,
                };
                Ok(answer)
            }
            Err(error) => {
                known.failed = Some(Instant::now());
                match &known.answer {
                    Some(answer) => {
                        tracing::warn!(%error, "the homeserver's capabilities are those of before");
                        Ok(answer.clone())
                    }
                    None => Err(error),
                }
            }
        }
    }

    async fn probe(&self) -> Result<Capabilities, Error> {
        let ask = |path: &str| Call::get(path).urgency(Urgency::Membership);
        let versions: Value = self.client.ask(&ask("/_matrix/client/versions")).await?;
        let mut found = Capabilities {
            asked_ms: self.now_ms(),
            ..read_versions(&versions)
        };
        let asked: Result<Value, Error> = self
            .client
            .ask(&ask("/_matrix/client/v3/capabilities"))
            .await;
        read_capabilities(&optional(asked)?, &mut found);
        let path = if found.authenticated_media() {
            "/_matrix/client/v1/media/config"
        } else {
            "/_matrix/media/v3/config"
        };
        let asked: Result<Value, Error> = self.client.ask(&ask(path)).await;
        let config = optional(asked)?;
        found.max_upload_bytes = config.get("m.upload.size").and_then(Value::as_u64);
        Ok(found)
    }
}

/// A homeserver that will not say is one that does not say.
fn optional(asked: Result<Value, Error>) -> Result<Value, Error> {
    match asked {
        Err(Error::Refused { status, .. }) if (400..500).contains(&status) && status != 429 => {
            Ok(Value::Null)
        }
        other => other,
    }
}

fn read_versions(answer: &Value) -> Capabilities {
    let versions = answer.get("versions").and_then(Value::as_array);
    let features = answer.get("unstable_features").and_then(Value::as_object);
    let is_on =
        |(name, is_on): (&String, &Value)| (is_on == &Value::Bool(true)).then(|| name.clone());
    Capabilities {
        versions: versions
            .into_iter()
            .flatten()
            .filter_map(|version| version.as_str().map(str::to_owned))
            .collect(),
        unstable: features.into_iter().flatten().filter_map(is_on).collect(),
        ..Capabilities::default()
    }
}

fn read_capabilities(answer: &Value, found: &mut Capabilities) {
    let capabilities = answer.get("capabilities");
    let rooms = capabilities.and_then(|capabilities| capabilities.get("m.room_versions"));
    let default = rooms.and_then(|rooms| rooms.get("default")?.as_str());
    found.default_room_version = default.map(str::to_owned);
    let available = rooms.and_then(|rooms| rooms.get("available")?.as_object());
    found.room_versions = available
        .into_iter()
        .flatten()
        .map(|(version, stability)| (version.clone(), stability.as_str() == Some("stable")))
        .collect();
}

impl FromContext for Capabilities {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        Ok(Self::clone(&*context.core.capabilities().await?))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        let read = |versions: Value| read_versions(&json!({ "versions": versions }));
        assert!(read(json!(["r0.6.1", "v1.2", "v1.11"])).authenticated_media());
        assert!(!read(json!(["v1.2", "v1.10"])).authenticated_media());
        assert!(read(json!(["v1.10"])).async_uploads());
        assert!(!read(json!(["r0.6.1", "v1.6"])).ping());
        assert!(!read(json!([])).speaks(0));
        assert!(!read(json!("v1.11")).speaks(1), "nonsense is nothing");
    }

    #[test]
    fn features_count_when_they_are_on() {
        let answer = json!({ "unstable_features": {
            "com.beeper.batch_sending": true,
            "fi.mau.msc2659": false,
            "org.matrix.msc3916.stable": "yes",
        } });
        let found = read_versions(&answer);
        assert!(found.batch_send() && !found.ping() && !found.authenticated_media());
    }

    #[test]
    fn room_versions() {
        let mut found = Capabilities::default();
        let answer = json!({ "capabilities": { "m.room_versions": {
            "default": "11", "available": { "11": "stable", "org.matrix.x": "unstable" }
        } } });
        read_capabilities(&answer, &mut found);
        assert_eq!(found.default_room_version.as_deref(), Some("11"));
        assert_eq!(found.room_versions.get("11"), Some(&true));
        assert_eq!(found.room_versions.get("org.matrix.x"), Some(&false));
        read_capabilities(&Value::Null, &mut found);
        assert!(found.room_versions.is_empty());
    }
}
