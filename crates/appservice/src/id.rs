//! Identifiers: users, rooms, aliases, events and media, as small types of our own.
//!
//! Each holds a checked text, is cheap to clone, and compares, hashes and serialises as that text. Checks follow the
//! specification's appendix *Identifier Grammar*, in the lenient form that servers must accept from history: what
//! exists in rooms must not be refused here.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text that is no identifier of the wanted kind. Displays as a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {kind}: {reason}")]
pub struct InvalidId {
    /// What was wanted.
    pub kind: &'static str,
    /// What was given, cut after 64 characters.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// Identifiers are at most this long, in bytes (specification, appendix *Common Identifier Format*).
pub const MAX_ID_BYTES: usize = 255;

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks a text.
            ///
            /// # Errors
            /// When it is none; the error says why.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                match $check(text) {
                    None => Ok(Self(text.into())),
                    Some(reason) => Err(InvalidId {
                        kind: $kind,
                        text: text.chars().take(64).collect(),
                        reason,
                    }),
                }
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                &*self.0 == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                &*self.0 == *other
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::parse(&text)
            }
        }

        impl From<&$name> for $name {
            fn from(id: &$name) -> Self {
                id.clone()
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

identifier!(
    /// A user: `@localpart:server`.
    UserId, "user id", check_user
);
identifier!(
    /// A room: `!opaque:server`, or `!hash` since room version 12.
    RoomId, "room id", check_room
);
identifier!(
    /// A room's alias: `#name:server`.
    RoomAlias, "room alias", check_alias
);
identifier!(
    /// An event: `$hash`, or `$opaque:server` in the first room versions.
    EventId, "event id", check_event
);
identifier!(
    /// Media: `mxc://server/id`.
    MxcUri, "mxc uri", check_mxc
);

impl UserId {
    /// A user of this server.
    ///
    /// # Errors
    /// When the localpart is none.
    pub fn new(localpart: &str, server: &str) -> Result<Self, InvalidId> {
        Self::parse(&format!("@{localpart}:{server}"))
    }

    /// The part between `@` and the first colon.
    #[must_use]
    pub fn localpart(&self) -> &str {
        split(self.as_str()).0
    }

    /// The part behind the first colon.
    #[must_use]
    pub fn server(&self) -> &str {
        split(self.as_str()).1
    }
}

impl RoomAlias {
    /// An alias of this server.
    ///
    /// # Errors
    /// When the localpart is none.
    pub fn new(localpart: &str, server: &str) -> Result<Self, InvalidId> {
        Self::parse(&format!("#{localpart}:{server}"))
    }

    /// The part between `#` and the first colon.
    #[must_use]
    pub fn localpart(&self) -> &str {
        split(self.as_str()).0
    }

    /// The part behind the first colon.
    #[must_use]
    pub fn server(&self) -> &str {
        split(self.as_str()).1
    }
}

impl MxcUri {
    /// Server and media id.
    #[must_use]
    pub fn parts(&self) -> (&str, &str) {
        let rest = self.as_str().strip_prefix("mxc://").unwrap_or_default();
        rest.split_once('/').unwrap_or((rest, ""))
    }
}

/// Localpart and server of an id with a sigil and a colon, which the check has seen.
fn split(id: &str) -> (&str, &str) {
    id.get(1..)
        .and_then(|rest| rest.split_once(':'))
        .unwrap_or_default()
}

fn check_user(text: &str) -> Option<&'static str> {
    // An empty localpart is historical, and exists.
    check_common(text, '@').or_else(|| check_named(text, true))
}

fn check_alias(text: &str) -> Option<&'static str> {
    check_common(text, '#').or_else(|| check_named(text, false))
}

fn check_room(text: &str) -> Option<&'static str> {
    check_common(text, '!')
        .or_else(|| (text.len() < 2).then_some("there is nothing behind the `!`"))
}

fn check_event(text: &str) -> Option<&'static str> {
    check_common(text, '$')
        .or_else(|| (text.len() < 2).then_some("there is nothing behind the `$`"))
}

fn check_mxc(text: &str) -> Option<&'static str> {
    let Some(rest) = text.strip_prefix("mxc://") else {
        return Some("it does not start with `mxc://`");
    };
    let Some((server, id)) = rest.split_once('/') else {
        return Some("there is no `/` between server and media id");
    };
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    // Media ids of old bridges hold more than the specification's characters; what must not be there is a path.
    let is_id = !id.is_empty()
        && id
            .chars()
            .all(|c| legal(c) || matches!(c, '.' | '~' | '=' | '+' | ':' | '@'));
    let is_path = id == "." || id == "..";
    if server.is_empty() || !is_server(server) {
        Some("the server's name is none")
    } else if !is_id || is_path {
        Some("the media id may hold letters, digits, `-` and `_`")
    } else {
        None
    }
}

fn check_common(text: &str, sigil: char) -> Option<&'static str> {
    if !text.starts_with(sigil) {
        return Some(match sigil {
            '@' => "it does not start with `@`",
            '#' => "it does not start with `#`",
            '!' => "it does not start with `!`",
            _ => "it does not start with `$`",
        });
    }
    if text.len() > MAX_ID_BYTES {
        return Some("it is longer than 255 bytes");
    }
    text.contains(['\0', '\n', '\r'])
        .then_some("it holds a character that no id may hold")
}

fn check_named(text: &str, may_be_empty: bool) -> Option<&'static str> {
    let Some((localpart, server)) = text[1..].split_once(':') else {
        return Some("there is no `:` before the server's name");
    };
    if localpart.is_empty() && !may_be_empty {
        Some("the part before the `:` is empty")
    } else if !is_server(server) {
        Some("the server's name behind the `:` is none")
    } else {
        None
    }
}

/// Host, `[IPv6]` or IPv4, with an optional port.
fn is_server(name: &str) -> bool {
    let legal =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':' | '[' | ']' | '_');
    !name.is_empty() && name.chars().all(legal)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_is_taken_comes_back_as_it_was(text in "[@#!$]?[^\"]{0,20}(:[a-z0-9.:\\[\\]-]{0,12})?") {
            if let Ok(id) = UserId::parse(&text) {
                prop_assert_eq!(format!("@{}:{}", id.localpart(), id.server()), id.to_string());
                prop_assert_eq!(UserId::new(id.localpart(), id.server()), Ok(id.clone()));
                let json = serde_json::to_string(&id).expect("JSON");
                prop_assert_eq!(serde_json::from_str::<UserId>(&json).expect("an id"), id);
            }
            if let Ok(alias) = RoomAlias::parse(&text) {
                prop_assert_eq!(format!("#{}:{}", alias.localpart(), alias.server()), text.clone());
            }
            for is_id in [RoomId::parse(&text).is_ok(), EventId::parse(&text).is_ok()] {
                prop_assert!(!is_id || text.len() > 1);
            }
        }

        #[test]
        fn users_are_taken_apart_where_they_were_put_together(
            localpart in "[a-z0-9._=/+-]{0,40}", server in "[a-z0-9.-]{1,20}(:[0-9]{1,5})?",
        ) {
            let user = UserId::new(&localpart, &server).expect("a user");
            prop_assert_eq!((user.localpart(), user.server()), (&*localpart, &*server));
        }

        #[test]
        fn media_never_names_a_path(text in "mxc://[a-z.:/]{0,8}/[A-Za-z0-9._~/-]{0,8}") {
            if let Ok(uri) = MxcUri::parse(&text) {
                let (server, id) = uri.parts();
                prop_assert!(!server.contains('/') && !id.contains('/') && id != ".." && id != ".");
                prop_assert_eq!(format!("mxc://{server}/{id}"), text);
            }
        }
    }

    #[test]
    fn what_exists_in_rooms_is_taken() {
        for id in [
            "@alice:example.org",
            "@irc_Ann[m]:localhost:8448",
            "@:old.example",
            "@a/b=c+d:[::1]:80",
        ] {
            assert_eq!(UserId::parse(id).expect(id).as_str(), id);
        }
        for id in [
            "!abc:example.org",
            "!31hneApxJ_1o-63DmFrpeqnkFfWppnzWso1JvH3ogLM",
        ] {
            assert_eq!(RoomId::parse(id).expect(id).as_str(), id);
        }
        for id in ["#logged_über:example.org", "#:x:example.org"] {
            assert_eq!(
                RoomAlias::parse(id).is_ok(),
                id != "#:x:example.org",
                "{id}"
            );
        }
        assert!(EventId::parse("$old:example.org").is_ok());
        assert_eq!(
            MxcUri::parse("mxc://example.org/AbC-_")
                .expect("legal")
                .parts(),
            ("example.org", "AbC-_")
        );
    }

    #[test]
    fn what_is_none_says_why() {
        for (error, said) in [
            (
                UserId::parse("alice").unwrap_err(),
                "`alice` is no user id: it does not start with `@`",
            ),
            (
                UserId::parse("@alice").unwrap_err(),
                "`@alice` is no user id: there is no `:` before the server's name",
            ),
            (
                RoomId::parse("!").unwrap_err(),
                "`!` is no room id: there is nothing behind the `!`",
            ),
            (
                MxcUri::parse("mxc://a/../b").unwrap_err(),
                "`mxc://a/../b` is no mxc uri: the media id may hold letters, digits, `-` and `_`",
            ),
        ] {
            assert_eq!(error.to_string(), said);
        }
        assert!(UserId::parse(&format!("@{}:x", "a".repeat(300))).is_err());
        assert!(UserId::parse("@a\0:x").is_err());
        assert!(MxcUri::parse("mxc://server/..").is_err());
    }

    #[test]
    fn parts() {
        let user = UserId::parse("@irc_ann:localhost:8448").expect("legal");
        assert_eq!(
            (user.localpart(), user.server()),
            ("irc_ann", "localhost:8448")
        );
        let read: UserId = serde_json::from_str("\"@irc_ann:localhost:8448\"").expect("legal");
        assert_eq!(read, user);
        assert!(serde_json::from_str::<UserId>("\"x\"").is_err());
    }
}
