//! Questions of the homeserver: does this alias, does this user exist? And what an answer makes.

use std::{collections::BTreeMap, ops::Index, sync::Arc};

use serde_json::{Map, Value, json};

use super::{Context, FromContext, IntoOutcome, Rejection, context::Input};
use crate::{
    error::HandlerError,
    id::{RoomAlias, UserId},
};

/// Somebody wants to join an alias of the service's that no room has yet.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AliasAsk {
    /// The alias.
    pub alias: RoomAlias,
    pub(crate) fields: Arc<BTreeMap<String, String>>,
}

/// The homeserver wants to know of a user in the service's namespace that it has not got yet.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UserAsk {
    /// The user.
    pub user_id: UserId,
    pub(crate) fields: Arc<BTreeMap<String, String>>,
}

impl AliasAsk {
    /// The value of a field of the alias's template; `None` when it has no such field.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&str> {
        self.fields.get(field).map(String::as_str)
    }
}

impl UserAsk {
    /// The value of a field of the user's template; `None` when it has no such field.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&str> {
        self.fields.get(field).map(String::as_str)
    }
}

impl Index<&str> for AliasAsk {
    type Output = str;

    /// The value of a field; empty for a field that the template has not.
    fn index(&self, field: &str) -> &str {
        self.get(field).unwrap_or_default()
    }
}

impl Index<&str> for UserAsk {
    type Output = str;

    /// The value of a field; empty for a field that the template has not.
    fn index(&self, field: &str) -> &str {
        self.get(field).unwrap_or_default()
    }
}

impl FromContext for AliasAsk {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        match &context.input {
            Input::Alias(ask) => Ok(ask.clone()),
            _ => Err(Rejection::NotForThis),
        }
    }
}

impl FromContext for UserAsk {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        match &context.input {
            Input::User(ask) => Ok(ask.clone()),
            _ => Err(Rejection::NotForThis),
        }
    }
}

/// A room to be made.
#[derive(Clone, Debug)]
#[must_use]
pub struct RoomPlan {
    pub(crate) body: Map<String, Value>,
    /// The room is there already: nothing is to be made.
    pub(crate) is_made: bool,
}

impl RoomPlan {
    /// A room that everybody may join, and that is listed nowhere.
    pub fn public() -> Self {
        Self::preset("public_chat")
    }

    /// A room for those who are invited.
    pub fn private() -> Self {
        Self::preset("private_chat")
    }

    /// A room for those who are invited, who all have the maker's power.
    pub fn direct() -> Self {
        let mut plan = Self::preset("trusted_private_chat");
        plan.body.insert("is_direct".to_owned(), json!(true));
        plan
    }

    fn preset(preset: &str) -> Self {
        let mut body = Map::new();
        body.insert("preset".to_owned(), json!(preset));
        Self {
            body,
            is_made: false,
        }
    }

    /// The plan of a room that was made by whoever was asked.
    pub(crate) fn made() -> Self {
        Self {
            body: Map::new(),
            is_made: true,
        }
    }

    fn with(mut self, key: &str, value: Value) -> Self {
        self.body.insert(key.to_owned(), value);
        self
    }

    /// Its name.
    pub fn name(self, name: &str) -> Self {
        self.with("name", json!(name))
    }

    /// Its topic.
    pub fn topic(self, topic: &str) -> Self {
        self.with("topic", json!(topic))
    }

    /// Listed in the server's directory of rooms.
    pub fn listed(self) -> Self {
        self.with("visibility", json!("public"))
    }

    /// The room's version; the homeserver's own choice where it is not said.
    pub fn version(self, version: &str) -> Self {
        self.with("room_version", json!(version))
    }

    /// Only for users of this homeserver (`m.federate` is `false`): that cannot be changed later.
    pub fn local(self) -> Self {
        self.in_creation("m.federate", json!(false))
    }

    /// Says something in the room's creation, beside what is said there already.
    fn in_creation(mut self, key: &str, value: Value) -> Self {
        let creation = self
            .body
            .entry("creation_content")
            .or_insert_with(|| json!({}));
        if let Value::Object(creation) = creation {
            creation.insert(key.to_owned(), value);
        }
        self
    }

    /// Who is invited.
    pub fn invite<'a>(self, users: impl IntoIterator<Item = &'a UserId>) -> Self {
        let users: Vec<&str> = users.into_iter().map(UserId::as_str).collect();
        self.with("invite", json!(users))
    }

    /// Other powers than the homeserver's (the content of `m.room.power_levels`, or a part of it).
    pub fn power_levels(self, content: Value) -> Self {
        self.with("power_level_content_override", content)
    }

    /// A state event that the room has from the start.
    pub fn state(mut self, kind: &str, state_key: &str, content: Value) -> Self {
        let states = self
            .body
            .entry("initial_state")
            .or_insert_with(|| json!([]));
        if let Value::Array(states) = states {
            states.push(json!({ "type": kind, "state_key": state_key, "content": content }));
        }
        self
    }

    /// Says something in the room's creation, under a key of its own.
    pub(crate) fn marked(self, key: &str, value: &str) -> Self {
        self.in_creation(key, json!(value))
    }

    /// Who is invited, as far as they are users.
    pub(crate) fn invited(&self) -> Vec<UserId> {
        let users = self.body.get("invite").and_then(Value::as_array);
        let users = users.into_iter().flatten().filter_map(Value::as_str);
        users.filter_map(|user| UserId::parse(user).ok()).collect()
    }

    /// The local part of an alias, without `#` and server.
    pub(crate) fn alias(self, localpart: &str) -> Self {
        self.with("room_alias_name", json!(localpart))
    }
}

/// A ghost to be made.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct GhostPlan {
    pub(crate) displayname: Option<String>,
    pub(crate) avatar_url: Option<String>,
}

impl GhostPlan {
    /// A ghost without a name.
    pub fn new() -> Self {
        Self::default()
    }

    /// What people call it.
    pub fn name(mut self, name: &str) -> Self {
        self.displayname = Some(name.to_owned());
        self
    }

    /// Its picture.
    pub fn avatar(mut self, uri: &crate::id::MxcUri) -> Self {
        self.avatar_url = Some(uri.to_string());
        self
    }
}

macro_rules! answers {
    ($plan:ty) => {
        impl IntoOutcome<Option<$plan>> for $plan {
            fn into_outcome(self) -> Result<Option<$plan>, HandlerError> {
                Ok(Some(self))
            }
        }

        impl IntoOutcome<Option<$plan>> for Option<$plan> {
            fn into_outcome(self) -> Result<Option<$plan>, HandlerError> {
                Ok(self)
            }
        }

        impl<E: Into<HandlerError>> IntoOutcome<Option<$plan>> for Result<$plan, E> {
            fn into_outcome(self) -> Result<Option<$plan>, HandlerError> {
                self.map(Some).map_err(Into::into)
            }
        }

        impl<E: Into<HandlerError>> IntoOutcome<Option<$plan>> for Result<Option<$plan>, E> {
            fn into_outcome(self) -> Result<Option<$plan>, HandlerError> {
                self.map_err(Into::into)
            }
        }
    };
}

answers!(RoomPlan);
answers!(GhostPlan);
