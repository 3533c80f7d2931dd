//! Asking services about the networks they bridge: protocols, users, locations.
//!
//! Application-service API, "Third-party networks". What a service answers is checked: of a list
//! the items that are none are dropped, and a service that does not answer counts as one that
//! knows nothing.

use std::{num::NonZeroUsize, sync::Arc};

use futures_util::future::join_all;
use http::Method;
use lru::LruCache;
use parking_lot::Mutex;
use ruma::{RoomAliasId, UserId};
use serde_json::{Map, Value, json};

use super::{
    Appservice,
    wire::{Call, escape},
};
use crate::app::App;

/// How long a protocol's description is believed.
const DESCRIPTION_TTL_MS: i64 = 60 * 60 * 1_000;

/// Descriptions remembered.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(1_000).expect("not zero");

/// Items that one service's list may have; more are dropped.
const MAX_ITEMS: usize = 1_000;

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// Users of the other network.
    User,
    /// Its rooms, channels, groups.
    Location,
}

/// The descriptions remembered, by service and protocol.
pub(crate) struct Protocols {
    known: Mutex<LruCache<(String, String), Known>>,
}

#[derive(Clone)]
struct Known {
    description: Arc<Map<String, Value>>,
    until_ms: i64,
}

impl Protocols {
    pub(crate) fn new() -> Self {
        Self {
            known: Mutex::new(LruCache::new(REMEMBERED)),
        }
    }

    /// All protocols that some service describes, by name.
    pub(crate) async fn all(&self, app: &App) -> Map<String, Value> {
        let registry = app.registry();
        let names: std::collections::BTreeSet<&str> = registry
            .services()
            .iter()
            .flat_map(|service| service.registration.protocols.iter().map(String::as_str))
            .collect();
        let described =
            join_all(names.into_iter().map(|name| async move {
                Some((name.to_owned(), self.describe(app, name).await?))
            }))
            .await;
        described.into_iter().flatten().collect()
    }

    /// One protocol as all its services together describe it.
    pub(crate) async fn describe(&self, app: &App, protocol: &str) -> Option<Value> {
        let services = speaking(app, protocol);
        let descriptions = join_all(services.iter().map(|service| async move {
            let description = self.description(app, service, protocol).await?;
            Some((service.registration.id.clone(), description))
        }))
        .await;
        merge(descriptions.into_iter().flatten().collect())
    }

    async fn description(
        &self,
        app: &App,
        service: &Appservice,
        protocol: &str,
    ) -> Option<Arc<Map<String, Value>>> {
        let key = (service.registration.id.clone(), protocol.to_owned());
        let remembered = self.known.lock().get(&key).cloned();
        if let Some(known) = remembered.filter(|known| known.until_ms > app.now_ms()) {
            return Some(known.description);
        }
        let path = format!("/protocol/{}", escape(protocol));
        let answer = ask(app, service, &path, &[]).await?;
        let description = Arc::new(checked_description(answer)?);
        let known = Known {
            description: description.clone(),
            until_ms: app.now_ms() + DESCRIPTION_TTL_MS,
        };
        self.known.lock().put(key, known);
        Some(description)
    }
}

impl Lookup {
    fn path(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Location => "location",
        }
    }

    /// Asks all services that speak the protocol. `None`: none does.
    pub(crate) async fn by_fields(
        self,
        app: &App,
        protocol: &str,
        fields: &[(String, String)],
    ) -> Option<Vec<Value>> {
        let services = speaking(app, protocol);
        if services.is_empty() {
            return None;
        }
        let path = format!("/{}/{}", self.path(), escape(protocol));
        Some(self.collect(app, &services, &path, fields).await)
    }

    /// What a Matrix user is on the other network, from the services that own it.
    pub(crate) async fn by_user(app: &App, user_id: &UserId) -> Vec<Value> {
        let services = app.registry().services_of_user(user_id.as_str());
        let query = [("userid".to_owned(), user_id.to_string())];
        Self::User.collect(app, &services, "/user", &query).await
    }

    /// What an alias is on the other network, from the services that own it.
    pub(crate) async fn by_alias(app: &App, alias: &RoomAliasId) -> Vec<Value> {
        let services = app.registry().services_of_alias(alias.as_str());
        let query = [("alias".to_owned(), alias.to_string())];
        Self::Location
            .collect(app, &services, "/location", &query)
            .await
    }

    async fn collect(
        self,
        app: &App,
        services: &[Arc<Appservice>],
        path: &str,
        query: &[(String, String)],
    ) -> Vec<Value> {
        let answers = join_all(services.iter().map(|service| async move {
            match ask(app, service, path, query).await {
                Some(Value::Array(items)) => items,
                _ => Vec::new(),
            }
        }))
        .await;
        answers
            .into_iter()
            .flat_map(|items| items.into_iter().take(MAX_ITEMS))
            .filter(|item| self.is_valid(item))
            .collect()
    }

    fn is_valid(self, item: &Value) -> bool {
        let text = |key: &str| item.get(key).and_then(Value::as_str);
        let names_somebody = match self {
            Self::User => text("userid").is_some_and(|id| <&UserId>::try_from(id).is_ok()),
            Self::Location => text("alias").is_some_and(|id| <&RoomAliasId>::try_from(id).is_ok()),
        };
        names_somebody
            && text("protocol").is_some()
            && item.get("fields").is_some_and(Value::is_object)
    }
}

/// The services that can be asked about a protocol.
fn speaking(app: &App, protocol: &str) -> Vec<Arc<Appservice>> {
    app.registry()
        .services()
        .iter()
        .filter(|service| service.answers_questions())
        .filter(|service| {
            service
                .registration
                .protocols
                .iter()
                .any(|name| name == protocol)
        })
        .cloned()
        .collect()
}

/// `None`: no good answer in time.
async fn ask(
    app: &App,
    service: &Appservice,
    path: &str,
    query: &[(String, String)],
) -> Option<Value> {
    let path = format!("/thirdparty{path}");
    let legacy_path = format!("/_matrix/app/unstable{path}");
    let call = Call {
        method: Method::GET,
        path: &path,
        legacy_path: Some(&legacy_path),
        query,
        body: None,
    };
    let deadline = app.config.appservices.user_query_timeout;
    let why = match service.ask(&call, deadline, app.now_ms()).await? {
        Ok(answer) if answer.status.is_success() => match serde_json::from_slice(&answer.body) {
            Ok(value) => return Some(value),
            Err(error) => format!("its answer is no JSON: {error}"),
        },
        // The service's way to say that it knows nothing of it.
        Ok(answer) if answer.status == http::StatusCode::NOT_FOUND => return None,
        Ok(answer) => format!("status {}", answer.status.as_u16()),
        Err(error) => error.to_string(),
    };
    tracing::warn!(
        code = "APPSERVICE_SERVICE_UNAVAILABLE", appservice.id = %service.registration.id,
        %path, %why, "a third-party lookup failed"
    );
    None
}

/// A description with all that clients count on; instances without a network or a name go.
fn checked_description(answer: Value) -> Option<Map<String, Value>> {
    let Value::Object(mut description) = answer else {
        return None;
    };
    for fields in ["user_fields", "location_fields"] {
        let names = description.get(fields)?.as_array()?;
        names.iter().all(Value::is_string).then_some(())?;
    }
    let defaults = [("icon", json!("")), ("field_types", json!({}))];
    for (key, default) in defaults {
        let value = description.entry(key).or_insert_with(|| default.clone());
        if std::mem::discriminant(value) != std::mem::discriminant(&default) {
            return None;
        }
    }
    let instances = description
        .entry("instances")
        .or_insert_with(|| json!([]))
        .as_array_mut()?;
    instances.truncate(MAX_ITEMS);
    instances.retain(|instance| {
        instance.get("network_id").is_some_and(Value::is_string)
            && instance.get("desc").is_some_and(Value::is_string)
            && instance.get("fields").is_some_and(Value::is_object)
    });
    Some(description)
}

/// The first description, with the instances of all: each under an id that names its service.
fn merge(descriptions: Vec<(String, Arc<Map<String, Value>>)>) -> Option<Value> {
    let mut merged = Map::clone(&descriptions.first()?.1);
    let mut instances = Vec::new();
    for (service_id, description) in &descriptions {
        for instance in description
            .get("instances")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let network_id = instance["network_id"].as_str().unwrap_or_default();
            let mut instance = instance.clone();
            instance["instance_id"] = json!(format!("{service_id}|{network_id}"));
            instances.push(instance);
        }
    }
    merged.insert("instances".to_owned(), Value::Array(instances));
    Some(Value::Object(merged))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Lookup, checked_description};

    #[test]
    fn descriptions_get_what_clients_count_on() {
        let described = checked_description(json!({
            "user_fields": ["nick"],
            "location_fields": [],
            "instances": [
                { "network_id": "n", "desc": "d", "fields": {}, "more": 1 },
                { "desc": "no network", "fields": {} },
                "nonsense",
            ],
        }));
        assert_eq!(
            described.map(Value::Object),
            Some(json!({
                "user_fields": ["nick"],
                "location_fields": [],
                "icon": "",
                "field_types": {},
                "instances": [{ "network_id": "n", "desc": "d", "fields": {}, "more": 1 }],
            }))
        );
        for broken in [
            json!([]),
            json!({ "user_fields": [] }),
            json!({ "user_fields": [1], "location_fields": [] }),
            json!({ "user_fields": [], "location_fields": [], "icon": 1 }),
            json!({ "user_fields": [], "location_fields": [], "instances": {} }),
        ] {
            assert_eq!(checked_description(broken.clone()), None, "{broken}");
        }
    }

    #[test]
    fn only_whole_results_pass() {
        let user = json!({ "userid": "@a:x", "protocol": "p", "fields": {} });
        assert!(Lookup::User.is_valid(&user));
        assert!(!Lookup::Location.is_valid(&user));
        for (key, value) in [
            ("userid", json!("a")),
            ("protocol", json!(1)),
            ("fields", json!([])),
        ] {
            let mut broken = user.clone();
            broken[key] = value;
            assert!(!Lookup::User.is_valid(&broken), "{broken}");
        }
    }
}
