//! Are the service's names truly its own: it can make what is in its namespaces, and nobody else can.
//!
//! A ghost is registered and deactivated again; a room is made with an alias, which is deleted, and left.

use bridgehead_registration::BoundTemplate;
use http::Method;
use serde_json::{Value, json};

use super::{Patient, Report};
use crate::{
    client::escape,
    config::Config,
    program::api::Answer,
    surroundings::{Randomness, SystemRandomness, TransportError},
};

impl<C: Config> Patient<'_, C> {
    /// Every template of users.
    pub(super) async fn users(&self, report: &mut Report) {
        for template in &self.service.namespaces.users {
            let Ok(template) = template.at(self.site.server_name()) else {
                continue;
            };
            let what = template.template().as_str().to_owned();
            match self.try_user(&template).await {
                Ok(()) => report.good(
                    "users",
                    format!("{what} is held: made, kept from others, taken away"),
                ),
                Err((problem, cure)) => report.bad("users", format!("{what}: {problem}"), cure),
            }
        }
    }

    async fn try_user(&self, template: &BoundTemplate) -> Result<(), (String, String)> {
        let place = || {
            format!(
                "{}: let the homeserver read this file",
                self.place("namespaces.users")
            )
        };
        let id = sample(template).ok_or_else(|| {
            (
                "no id can be made of it".to_owned(),
                "shorten the template".to_owned(),
            )
        })?;
        let name = localpart(&id);
        let path = format!(
            "/_matrix/client/v3/register/available?username={}",
            escape(name)
        );
        let asked = self
            .anybody
            .get(&path)
            .await
            .map_err(|error| (error.to_string(), String::new()))?;
        // A homeserver without registration for everybody may say so, which keeps others out as well.
        if asked.status.is_success() && asked.body["available"] == json!(true) {
            return Err((format!("anybody may register {id}"), place()));
        }
        let body = json!({ "type": "m.login.application_service", "username": name, "inhibit_login": true });
        let made = self
            .homeserver
            .post("/_matrix/client/v3/register", &body)
            .await;
        succeeded(made).map_err(|why| (format!("{id} cannot be registered: {why}"), place()))?;
        let path = format!(
            "/_matrix/client/v3/account/deactivate?user_id={}",
            escape(&id)
        );
        let gone = self.homeserver.post(&path, &json!({ "erase": true })).await;
        let cure = || {
            format!("{id} is left over, and harmless; deactivate it by the homeserver's own means")
        };
        let gone = succeeded(gone).map(drop);
        gone.map_err(|why| (format!("{id} cannot be deactivated again: {why}"), cure()))
    }

    /// Every template of aliases.
    pub(super) async fn aliases(&self, report: &mut Report) {
        for template in &self.service.namespaces.aliases {
            let Ok(template) = template.at(self.site.server_name()) else {
                continue;
            };
            let what = template.template().as_str().to_owned();
            match self.try_alias(&template).await {
                Ok(()) => report.good("aliases", format!("{what} is held: made, and taken away")),
                Err((problem, cure)) => report.bad("aliases", format!("{what}: {problem}"), cure),
            }
        }
    }

    async fn try_alias(&self, template: &BoundTemplate) -> Result<(), (String, String)> {
        let place = || {
            format!(
                "{}: let the homeserver read this file",
                self.place("namespaces.aliases")
            )
        };
        let alias = sample(template).ok_or_else(|| {
            (
                "no alias can be made of it".to_owned(),
                "shorten the template".to_owned(),
            )
        })?;
        let body = json!({ "room_alias_name": localpart(&alias), "preset": "private_chat", "name": "doctor" });
        let made = self
            .homeserver
            .post("/_matrix/client/v3/createRoom", &body)
            .await;
        let made =
            succeeded(made).map_err(|why| (format!("{alias} cannot be made: {why}"), place()))?;
        let room = made
            .body
            .get("room_id")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let gone = self.take_away(&alias, room).await;
        gone.map_err(|why| {
            let cure = format!("delete {alias} and leave {room} by hand; both are harmless");
            (format!("{alias} cannot be taken away again: {why}"), cure)
        })
    }

    async fn take_away(&self, alias: &str, room: &str) -> Result<(), String> {
        let path = format!("/_matrix/client/v3/directory/room/{}", escape(alias));
        succeeded(self.homeserver.ask(Method::DELETE, &path, None).await)?;
        let room = escape(room);
        for verb in ["leave", "forget"] {
            let path = format!("/_matrix/client/v3/rooms/{room}/{verb}");
            succeeded(self.homeserver.post(&path, &json!({})).await)?;
        }
        Ok(())
    }
}

/// An id of the template that nobody has.
fn sample(template: &BoundTemplate) -> Option<String> {
    let randomness: &dyn Randomness = &SystemRandomness;
    let value = format!("doctor{}", randomness.hex(12));
    let names: Vec<&str> = template.template().field_names().collect();
    let values: Vec<(&str, &str)> = names
        .into_iter()
        .map(|name| (name, value.as_str()))
        .collect();
    template.build(&values).ok()
}

fn localpart(id: &str) -> &str {
    id.get(1..)
        .and_then(|id| id.split_once(':'))
        .map_or(id, |(localpart, _)| localpart)
}

fn succeeded(asked: Result<Answer, TransportError>) -> Result<Answer, String> {
    match asked {
        Ok(answer) if answer.status.is_success() => Ok(answer),
        Ok(answer) => Err(answer.told()),
        Err(error) => Err(error.to_string()),
    }
}
