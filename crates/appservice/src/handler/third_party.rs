//! The other network, as people look it up: its protocol, its users, its places (specification, *Application Service
//! API*, *Third-party networks*).

use std::{collections::BTreeMap, ops::Index, sync::Arc};

use serde::Serialize;

use super::{
    AliasAsk, AnyHandler, Context, FromContext, Handler, IntoOutcome, Rejection, UserAsk,
    context::Input,
};
use crate::{
    error::HandlerError,
    id::{MxcUri, RoomAlias, UserId},
};

/// What people are told of a protocol: by which fields its users and places are looked up.
///
/// ```
/// # use bridgehead_appservice::ProtocolInfo;
/// let irc = ProtocolInfo::new()
///     .field("network", r"[a-z0-9.]+", "irc.example.org")
///     .field("nick", r"\S+", "somebody")
///     .field("channel", r"#\S+", "#rust")
///     .users_by(&["network", "nick"])
///     .locations_by(&["network", "channel"])
///     .instance("example", "Example IRC", &[("network", "irc.example.org")]);
/// ```
#[derive(Clone, Debug, Default, Serialize)]
#[must_use]
pub struct ProtocolInfo {
    user_fields: Vec<String>,
    location_fields: Vec<String>,
    /// Must be there, and be empty where there is none.
    icon: String,
    field_types: BTreeMap<String, FieldType>,
    instances: Vec<Instance>,
}

#[derive(Clone, Debug, Serialize)]
struct FieldType {
    regexp: String,
    placeholder: String,
}

#[derive(Clone, Debug, Serialize)]
struct Instance {
    network_id: String,
    desc: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    icon: Option<String>,
    fields: BTreeMap<String, String>,
}

impl ProtocolInfo {
    /// A protocol without fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// A field: the pattern of good values, and an example of one.
    pub fn field(mut self, name: &str, pattern: &str, example: &str) -> Self {
        let kind = FieldType {
            regexp: pattern.to_owned(),
            placeholder: example.to_owned(),
        };
        self.field_types.insert(name.to_owned(), kind);
        self
    }

    /// The fields that lead to a user, those of larger groups first.
    pub fn users_by(mut self, fields: &[&str]) -> Self {
        self.user_fields = fields.iter().map(|&name| name.to_owned()).collect();
        self
    }

    /// The fields that lead to a place, those of larger groups first.
    pub fn locations_by(mut self, fields: &[&str]) -> Self {
        self.location_fields = fields.iter().map(|&name| name.to_owned()).collect();
        self
    }

    /// The protocol's picture.
    pub fn icon(mut self, uri: &MxcUri) -> Self {
        self.icon = uri.to_string();
        self
    }

    /// A network of this protocol: its id, its name for people, and the values that its fields have there.
    pub fn instance(mut self, network_id: &str, name: &str, fields: &[(&str, &str)]) -> Self {
        self.instances.push(Instance {
            network_id: network_id.to_owned(),
            desc: name.to_owned(),
            icon: None,
            fields: owned(fields),
        });
        self
    }

    /// The picture of the instance that was named last.
    pub fn instance_icon(mut self, uri: &MxcUri) -> Self {
        if let Some(instance) = self.instances.last_mut() {
            instance.icon = Some(uri.to_string());
        }
        self
    }

    /// What is wrong with it.
    fn mistakes(&self) -> Vec<String> {
        let used = self.user_fields.iter().chain(&self.location_fields);
        let missing = used.filter(|name| !self.field_types.contains_key(*name));
        let missing = missing
            .map(|name| format!("has no field `{name}`: declare it with ProtocolInfo::field"));
        let unreadable = self.field_types.iter().filter_map(|(name, kind)| {
            let error = regex::Regex::new(&kind.regexp).err()?;
            Some(format!(
                "has a field `{name}` whose pattern cannot be read: {error}"
            ))
        });
        let unfit = self.field_types.iter().filter_map(|(name, kind)| {
            let pattern = regex::Regex::new(&format!(r"\A(?:{})\z", kind.regexp)).ok()?;
            let fits = pattern.is_match(&kind.placeholder);
            (!fits).then(|| {
                let example = &kind.placeholder;
                format!("has a field `{name}` whose example `{example}` does not fit its pattern")
            })
        });
        missing.chain(unreadable).chain(unfit).collect()
    }
}

fn owned(fields: &[(&str, &str)]) -> BTreeMap<String, String> {
    let fields = fields
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()));
    fields.collect()
}

/// Somebody looks for users or places of the other network by these fields.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RemoteAsk {
    /// The protocol.
    pub protocol: Arc<str>,
    pub(crate) fields: Arc<BTreeMap<String, String>>,
}

impl RemoteAsk {
    /// The value of a field; `None` when it was not given.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&str> {
        self.fields.get(field).map(String::as_str)
    }
}

impl Index<&str> for RemoteAsk {
    type Output = str;

    /// The value of a field; empty for a field that was not given.
    fn index(&self, field: &str) -> &str {
        self.get(field).unwrap_or_default()
    }
}

impl FromContext for RemoteAsk {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        match &context.input {
            Input::Remote(ask) => Ok(ask.clone()),
            _ => Err(Rejection::NotForThis),
        }
    }
}

/// A user of the other network, and who that is here.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct RemoteUser {
    pub(crate) user_id: UserId,
    pub(crate) fields: BTreeMap<String, String>,
}

impl RemoteUser {
    /// The one who is this user here.
    pub fn new(user_id: &UserId) -> Self {
        Self {
            user_id: user_id.clone(),
            fields: BTreeMap::new(),
        }
    }

    /// A value that leads to the user there.
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.insert(name.to_owned(), value.to_owned());
        self
    }
}

/// A place of the other network, and which room that is here.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct RemoteLocation {
    pub(crate) alias: RoomAlias,
    pub(crate) fields: BTreeMap<String, String>,
}

impl RemoteLocation {
    /// The place whose room has this alias here.
    pub fn new(alias: &RoomAlias) -> Self {
        Self {
            alias: alias.clone(),
            fields: BTreeMap::new(),
        }
    }

    /// A value that leads to the place there.
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.insert(name.to_owned(), value.to_owned());
        self
    }
}

macro_rules! answers {
    ($found:ty) => {
        impl IntoOutcome<Vec<$found>> for Vec<$found> {
            fn into_outcome(self) -> Result<Vec<$found>, HandlerError> {
                Ok(self)
            }
        }

        impl IntoOutcome<Vec<$found>> for Option<$found> {
            fn into_outcome(self) -> Result<Vec<$found>, HandlerError> {
                Ok(self.into_iter().collect())
            }
        }

        impl<E: Into<HandlerError>> IntoOutcome<Vec<$found>> for Result<Vec<$found>, E> {
            fn into_outcome(self) -> Result<Vec<$found>, HandlerError> {
                self.map_err(Into::into)
            }
        }

        impl<E: Into<HandlerError>> IntoOutcome<Vec<$found>> for Result<Option<$found>, E> {
            fn into_outcome(self) -> Result<Vec<$found>, HandlerError> {
                let found = self.map_err(Into::into)?;
                Ok(found.into_iter().collect())
            }
        }
    };
}

answers!(RemoteUser);
answers!(RemoteLocation);

/// What a service knows of another network, for [`Service::third_party`](crate::Service::third_party).
///
/// Its handlers are called when somebody looks something up. They return a `Vec`, an `Option`, or a `Result` of one
/// of them; an empty answer says that there is nothing such.
#[derive(Clone)]
#[must_use]
pub struct ThirdParty {
    info: ProtocolInfo,
    informed_by: Option<Arc<dyn Fn() -> ProtocolInfo + Send + Sync>>,
    pub(crate) users: Vec<AnyHandler<Vec<RemoteUser>>>,
    pub(crate) locations: Vec<AnyHandler<Vec<RemoteLocation>>>,
    pub(crate) of_users: Vec<AnyHandler<Vec<RemoteUser>>>,
    pub(crate) of_aliases: Vec<AnyHandler<Vec<RemoteLocation>>>,
}

impl ThirdParty {
    /// A network of this protocol, of which nothing else is known.
    pub fn new(info: ProtocolInfo) -> Self {
        Self {
            info,
            informed_by: None,
            users: Vec::new(),
            locations: Vec::new(),
            of_users: Vec::new(),
            of_aliases: Vec::new(),
        }
    }

    /// Asked each time in the place of what [`new`](Self::new) was given, for a network that changes while the service
    /// runs; it must not wait. Homeservers may remember what they were told for a while.
    pub fn informed_by(mut self, info: impl Fn() -> ProtocolInfo + Send + Sync + 'static) -> Self {
        self.informed_by = Some(Arc::new(info));
        self
    }

    /// What people are told of it now.
    pub(crate) fn info(&self) -> ProtocolInfo {
        let asked = self.informed_by.as_ref().map(|info| info());
        asked.unwrap_or_else(|| self.info.clone())
    }

    /// Called when users are looked for, by the fields of a [`RemoteAsk`].
    pub fn users<Args: 'static>(mut self, handler: impl Handler<Args, Vec<RemoteUser>>) -> Self {
        self.users
            .push(AnyHandler::new("third_party users", handler));
        self
    }

    /// Called when places are looked for, by the fields of a [`RemoteAsk`].
    pub fn locations<Args: 'static>(
        mut self,
        handler: impl Handler<Args, Vec<RemoteLocation>>,
    ) -> Self {
        let handler = AnyHandler::new("third_party locations", handler);
        self.locations.push(handler);
        self
    }

    /// Called when somebody wants to know who a ghost is on the other network: the ghost is in a [`UserAsk`].
    pub fn of_user<Args: 'static>(mut self, handler: impl Handler<Args, Vec<RemoteUser>>) -> Self {
        let handler = AnyHandler::new("third_party of_user", handler);
        self.of_users.push(handler);
        self
    }

    /// Called when somebody wants to know which place an alias is: the alias is in an [`AliasAsk`].
    pub fn of_alias<Args: 'static>(
        mut self,
        handler: impl Handler<Args, Vec<RemoteLocation>>,
    ) -> Self {
        let handler = AnyHandler::new("third_party of_alias", handler);
        self.of_aliases.push(handler);
        self
    }

    /// What is wrong with it.
    pub(crate) fn check(&self, protocol: &str, declared: &super::Declared<'_>) -> Vec<String> {
        let mistakes = self.info.mistakes().into_iter();
        let mut mistakes: Vec<String> = mistakes
            .map(|mistake| format!("the protocol `{protocol}` {mistake}"))
            .collect();
        let users = self.users.iter().chain(&self.of_users);
        mistakes.extend(users.filter_map(|handler| handler.check(declared).err()));
        let locations = self.locations.iter().chain(&self.of_aliases);
        mistakes.extend(locations.filter_map(|handler| handler.check(declared).err()));
        mistakes
    }
}

/// The protocols of a service, by name.
pub(crate) type Protocols = BTreeMap<Arc<str>, ThirdParty>;

/// What a ghost's or an alias's look-up is asked with.
pub(crate) fn ask_of_user(user_id: UserId, fields: BTreeMap<String, String>) -> Input {
    Input::User(UserAsk {
        user_id,
        fields: Arc::new(fields),
    })
}

/// The same for an alias.
pub(crate) fn ask_of_alias(alias: RoomAlias, fields: BTreeMap<String, String>) -> Input {
    Input::Alias(AliasAsk {
        alias,
        fields: Arc::new(fields),
    })
}
