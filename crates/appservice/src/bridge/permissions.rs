//! Who may use a service: by user, by server, or everybody.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{config::Refusals, id::UserId};

/// What somebody may do. Each level may do what those before it may.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Nothing: what they say in portals stays in Matrix.
    Blocked,
    /// Be heard on the other network.
    Relay,
    /// Give commands, talk to the service's user and to ghosts alone.
    User,
    /// Give an operator's commands.
    Admin,
}

/// Who may do what: a user id (`@alice:example.org`), a server (`example.org`) or everybody (`*`), each with a
/// [`Level`]. The first of these three that is named for somebody counts.
///
/// Where nothing is named, users of the service's own homeserver are [`Level::User`] and others [`Level::Relay`].
/// It is a map in configurations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Permissions {
    levels: BTreeMap<String, Level>,
}

impl Permissions {
    /// Nobody named.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with this level for a user, a server or `*`.
    #[must_use]
    pub fn allow(mut self, whom: &str, level: Level) -> Self {
        self.levels.insert(whom.to_owned(), level);
        self
    }

    /// Refuses names that name nobody, for [`Config::check`](crate::config::Config::check); `key` is where the permissions
    /// stand in the configuration.
    pub fn check(&self, refusals: &mut Refusals<'_>, key: &str) {
        for mistake in self.mistakes() {
            let remedy = "write @user:server, a server's name, or *";
            refusals.refuse(key, mistake, remedy);
        }
    }

    /// What is wrong with the names.
    pub(crate) fn mistakes(&self) -> Vec<String> {
        let is_wrong = |whom: &&String| {
            whom.starts_with('@') && UserId::parse(whom).is_err()
                || whom.contains('*') && *whom != "*"
                || whom.starts_with(['!', '#'])
        };
        let wrong = self.levels.keys().filter(is_wrong);
        wrong
            .map(|whom| format!("`{whom}` in the permissions is no user id, no server and not `*`"))
            .collect()
    }

    /// What somebody may do, on a service of this homeserver.
    pub(crate) fn level(&self, user: &UserId, own_server: &str) -> Level {
        let named = [user.as_str(), user.server(), "*"]
            .into_iter()
            .find_map(|whom| self.levels.get(whom));
        let usual = || match user.server() == own_server {
            true => Level::User,
            false => Level::Relay,
        };
        named.copied().unwrap_or_else(usual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_counts() {
        let permissions = Permissions::new()
            .allow("*", Level::Blocked)
            .allow("example.org", Level::User)
            .allow("@alice:example.org", Level::Admin)
            .allow("@eve:other.org", Level::Relay);
        for (user, level) in [
            ("@alice:example.org", Level::Admin),
            ("@bob:example.org", Level::User),
            ("@eve:other.org", Level::Relay),
            ("@mallory:other.org", Level::Blocked),
        ] {
            let user = UserId::parse(user).expect("an id");
            assert_eq!(permissions.level(&user, "example.org"), level, "{user}");
        }
        assert!(permissions.mistakes().is_empty());
    }

    #[test]
    fn without_names_the_own_server_may_and_others_are_heard() {
        let permissions = Permissions::new();
        let level = |user: &str| permissions.level(&UserId::parse(user).expect("an id"), "x");
        assert_eq!((level("@a:x"), level("@a:y")), (Level::User, Level::Relay));
    }

    #[test]
    fn names_that_name_nobody_are_told() {
        for whom in ["@alice", "*.example.org", "#room:x"] {
            let permissions = Permissions::new().allow(whom, Level::User);
            let mistakes = permissions.mistakes();
            assert!(
                mistakes.iter().any(|text| text.contains(whom)),
                "{mistakes:?}"
            );
        }
    }
}
