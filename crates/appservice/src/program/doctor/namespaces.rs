//! Are the service's names truly its own: it can make what is in its namespaces, and nobody else can.
//!
//! A ghost is registered and deactivated again; a room is made with an alias, which is deleted, and left. A ghost is
//! never wholly gone, so it is the same one each time.

use bridgehead_registration::BoundTemplate;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Patient, Report};
use crate::{
    client::escape,
    config::Config,
    program::api::Answer,
    surroundings::{Randomness, SystemRandomness, TransportError},
};

/// What the one ghost is called that the doctor registers. Nobody on another network should have this name: a ghost
/// that was deactivated does not come back.
const PATIENT: &str = "doctor4f6b1c0e9a72";

impl<C: Config> Patient<'_, C> {
    /// Every template of users.
    pub(super) async fn users(&self, report: &mut Report) {
        for template in &self.service.namespaces.users {
            let Ok(template) = template.at(self.site.server_name()) else {
                continue;
            };
            let what = template.template().as_str().to_owned();
            match self.try_user(&template).await {
                Ok(Left::Nothing) => report.good(
                    "users",
                    format!("{what} is held: made, kept from others, taken away"),
                ),
                Ok(Left::Ghost(id)) => {
                    report.good("users", format!("{what} is held: made, kept from others"));
                    report.note(
                        "users",
                        format!(
                            "{id} is left, and harmless: this homeserver does not let services deactivate users (its \
                             accounts are an authentication service's). The next examination takes it again"
                        ),
                    );
                }
                Err((problem, cure)) => report.bad("users", format!("{what}: {problem}"), cure),
            }
        }
    }

    async fn try_user(&self, template: &BoundTemplate) -> Result<Left, (String, String)> {
        let place = || {
            format!(
                "{}: let the homeserver read this file",
                self.place("namespaces.users")
            )
        };
        let unmade = || {
            (
                "no id can be made of it".to_owned(),
                "shorten the template".to_owned(),
            )
        };
        // One that is not there yet: of one that is, homeservers say so, whoever's it is.
        let free = sample(template, &nobody()).ok_or_else(unmade)?;
        let path = format!(
            "/_matrix/client/v3/register/available?username={}",
            escape(localpart(&free))
        );
        let asked = self
            .anybody
            .get(&path)
            .await
            .map_err(|error| (error.to_string(), String::new()))?;
        // A homeserver without registration for everybody may say so, which keeps others out as well.
        if asked.status.is_success() && asked.body["available"] == json!(true) {
            return Err((format!("anybody may register {free}"), place()));
        }
        let id = sample(template, PATIENT).ok_or_else(unmade)?;
        let body = json!({
            "type": "m.login.application_service",
            "username": localpart(&id),
            "inhibit_login": true,
        });
        let made = self
            .homeserver
            .post("/_matrix/client/v3/register", &body)
            .await
            .map_err(|error| error.to_string());
        let was_there = match made {
            // Left by an earlier examination; to be told so, it has to be the service's to register.
            Ok(answer) if answer.errcode() == "M_USER_IN_USE" => true,
            made => {
                let made = made.and_then(successful);
                made.map_err(|why| (format!("{id} cannot be registered: {why}"), place()))?;
                false
            }
        };
        self.deactivate(id, was_there).await
    }

    async fn deactivate(&self, id: String, was_there: bool) -> Result<Left, (String, String)> {
        let path = format!(
            "/_matrix/client/v3/account/deactivate?user_id={}",
            escape(&id)
        );
        let gone = self.homeserver.post(&path, &json!({ "erase": true })).await;
        match gone {
            Ok(answer) if is_unknown_endpoint(&answer) => Ok(Left::Ghost(id)),
            // It was, by an earlier examination: who is deactivated may do nothing.
            Ok(answer) if was_there && matches!(answer.status.as_u16(), 401 | 403) => {
                Ok(Left::Nothing)
            }
            gone => match succeeded(gone) {
                Ok(_) => Ok(Left::Nothing),
                Err(why) => Err((
                    format!("{id} cannot be deactivated again: {why}"),
                    "it is left over, and harmless; deactivate it by the homeserver's own means"
                        .to_owned(),
                )),
            },
        }
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
        let alias = sample(template, &nobody()).ok_or_else(|| {
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

/// What is left of a ghost that was tried.
enum Left {
    /// It is deactivated.
    Nothing,
    /// This one, as it was.
    Ghost(String),
}

/// A homeserver does not have what was asked for (specification, *Common error codes*), or does not have it any more.
fn is_unknown_endpoint(answer: &Answer) -> bool {
    answer.errcode() == "M_UNRECOGNIZED"
        || answer.status == StatusCode::NOT_FOUND && answer.errcode().is_empty()
}

/// A name that nobody has.
fn nobody() -> String {
    let randomness: &dyn Randomness = &SystemRandomness;
    format!("doctor{}", randomness.hex(12))
}

/// The id of the template for this name.
fn sample(template: &BoundTemplate, name: &str) -> Option<String> {
    let fields = template.template().field_names();
    let values: Vec<(&str, &str)> = fields.map(|field| (field, name)).collect();
    template.build(&values).ok()
}

fn localpart(id: &str) -> &str {
    id.get(1..)
        .and_then(|id| id.split_once(':'))
        .map_or(id, |(localpart, _)| localpart)
}

fn succeeded(asked: Result<Answer, TransportError>) -> Result<Answer, String> {
    asked
        .map_err(|error| error.to_string())
        .and_then(successful)
}

fn successful(answer: Answer) -> Result<Answer, String> {
    if answer.status.is_success() {
        Ok(answer)
    } else {
        Err(answer.told())
    }
}
