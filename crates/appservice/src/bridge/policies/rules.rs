//! Rules of ban lists (specification, *Moderation policy lists*): what they are in a room's state, and whom they meet.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use crate::id::{RoomId, UserId};

/// The types of rules: as specified, and as they were called before (MSC2313, Mjolnir).
pub(super) const KINDS: [&str; 9] = [
    "m.policy.rule.user",
    "m.room.rule.user",
    "org.matrix.mjolnir.rule.user",
    "m.policy.rule.server",
    "m.room.rule.server",
    "org.matrix.mjolnir.rule.server",
    "m.policy.rule.room",
    "m.room.rule.room",
    "org.matrix.mjolnir.rule.room",
];

/// Rules that are kept; more are left out, and that is told.
pub(super) const MOST: usize = 100_000;

/// Bytes of an entity at most: no id is longer.
const LONGEST: usize = 255;

/// Characters of a reason that are kept.
const LONGEST_REASON: usize = 200;

/// What a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum About {
    User,
    Server,
    Room,
}

/// A rule that somebody or something is banned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    about: About,
    entity: String,
    reason: Option<String>,
}

impl Rule {
    /// Reads a state event's content; `None` where it is no rule, or one that bans nobody (any more).
    pub(super) fn read(kind: &str, content: &Value) -> Option<Self> {
        let about = match kind.rsplit('.').next()? {
            _ if !KINDS.contains(&kind) => return None,
            "user" => About::User,
            "server" => About::Server,
            _ => About::Room,
        };
        let text = |key: &str| content.get(key).and_then(Value::as_str);
        if !matches!(text("recommendation")?, "m.ban" | "org.matrix.mjolnir.ban") {
            return None;
        }
        let entity =
            text("entity").filter(|entity| !entity.is_empty() && entity.len() <= LONGEST)?;
        let reason = text("reason").filter(|reason| !reason.trim().is_empty());
        Some(Self {
            about,
            entity: match about {
                About::Server => entity.to_ascii_lowercase(),
                _ => entity.to_owned(),
            },
            reason: reason.map(|reason| reason.chars().take(LONGEST_REASON).collect()),
        })
    }
}

/// Whether a state event is a rule that counts.
pub(crate) fn is_ban(kind: &str, content: &Value) -> bool {
    Rule::read(kind, content).is_some()
}

/// Where a rule stands: the room, and type and key of the state event.
type Place = (RoomId, String, String);

/// All rules, and an index of them.
#[derive(Debug, Default)]
pub(super) struct Rules {
    all: BTreeMap<Place, Rule>,
    /// Entities without wildcards.
    exact: HashSet<(u8, String)>,
    /// Patterns, each once.
    patterns: Vec<(About, String)>,
}

impl Rules {
    /// A rule's state event is now this; whether that changes anything.
    pub(super) fn set(
        &mut self,
        room: &RoomId,
        (kind, key): (&str, &str),
        content: &Value,
    ) -> bool {
        let place = (room.clone(), kind.to_owned(), key.to_owned());
        let new = Rule::read(kind, content);
        if self.all.get(&place) == new.as_ref() {
            return false;
        }
        match new {
            Some(rule) if self.all.len() < MOST || self.all.contains_key(&place) => {
                self.all.insert(place, rule);
            }
            Some(_) => {
                tracing::warn!(room.id = %room, most = MOST, "a rule of a ban list is left out: there are too many");
                return false;
            }
            None => drop(self.all.remove(&place)),
        }
        self.index();
        true
    }

    /// All rules of a room are these now; whether that changes anything.
    pub(super) fn replace<'a>(
        &mut self,
        room: &RoomId,
        rows: impl Iterator<Item = (&'a str, &'a str, &'a Value)>,
    ) -> bool {
        let before: Vec<(Place, Rule)> = self
            .of(room)
            .map(|(place, rule)| (place.clone(), rule.clone()))
            .collect();
        self.all.retain(|(of, ..), _| of != room);
        let mut left_out = 0_usize;
        for (kind, key, content) in rows {
            let Some(rule) = Rule::read(kind, content) else {
                continue;
            };
            match self.all.len() < MOST {
                true => drop(
                    self.all
                        .insert((room.clone(), kind.to_owned(), key.to_owned()), rule),
                ),
                false => left_out += 1,
            }
        }
        if left_out > 0 {
            tracing::warn!(room.id = %room, most = MOST, left_out, "rules of a ban list are left out: there are too many");
        }
        let is_same = self
            .of(room)
            .eq(before.iter().map(|(place, rule)| (place, rule)));
        if !is_same {
            self.index();
        }
        !is_same
    }

    fn of(&self, room: &RoomId) -> impl Iterator<Item = (&Place, &Rule)> {
        self.all.iter().filter(move |((of, ..), _)| of == room)
    }

    fn index(&mut self) {
        self.exact.clear();
        self.patterns.clear();
        let mut seen = HashSet::new();
        for rule in self.all.values() {
            let key = (rule.about as u8, rule.entity.clone());
            if !rule.entity.contains(['*', '?']) {
                self.exact.insert(key);
            } else if seen.insert(key) {
                self.patterns.push((rule.about, rule.entity.clone()));
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn number_of(&self, room: &RoomId) -> usize {
        self.of(room).count()
    }

    /// Whether a rule meets somebody: by their id, or by their server if that is not the service's own. A list that bans
    /// the homeserver itself is none for this service.
    pub(super) fn meets_user(&self, user: &UserId, own_server: &str) -> bool {
        self.meets(About::User, user.as_str())
            || user.server() != own_server && self.meets_server(user.server())
    }

    fn meets_server(&self, server: &str) -> bool {
        let server = server.to_ascii_lowercase();
        // Lists name hosts, and ids may have a port.
        let host = server
            .rsplit_once(':')
            .filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
        self.meets(About::Server, &server)
            || host.is_some_and(|(host, _)| self.meets(About::Server, host))
    }

    /// Whether a rule meets a room, by its id or an alias.
    pub(super) fn meets_room(&self, id_or_alias: &str) -> bool {
        self.meets(About::Room, id_or_alias)
    }

    fn meets(&self, about: About, text: &str) -> bool {
        if self.all.is_empty() {
            return false;
        }
        self.exact.contains(&(about as u8, text.to_owned()))
            || self
                .patterns
                .iter()
                .any(|(of, pattern)| *of == about && matches_glob(pattern, text))
    }

    /// The reason that the rule gives which meets somebody.
    pub(super) fn reason(&self, user: &UserId, own_server: &str) -> Option<&str> {
        let server = user.server().to_ascii_lowercase();
        let is_met = |rule: &&Rule| match rule.about {
            About::User => matches_glob(&rule.entity, user.as_str()),
            About::Server => user.server() != own_server && matches_glob(&rule.entity, &server),
            About::Room => false,
        };
        self.all
            .values()
            .filter(is_met)
            .find_map(|rule| rule.reason.as_deref())
    }
}

/// Whether a text is of this pattern: `*` stands for any characters, `?` for one (specification, *Glob-style matching*).
/// Takes the product of the lengths at most.
fn matches_glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut in_text) = (0, 0);
    // The last `*`, and where what follows it was tried last.
    let mut star: Option<(usize, usize)> = None;
    while in_text < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, in_text));
                at += 1;
            }
            Some(letter) if *letter == '?' || *letter == text[in_text] => {
                at += 1;
                in_text += 1;
            }
            _ => {
                let Some((behind, tried)) = star else {
                    return false;
                };
                star = Some((behind, tried + 1));
                at = behind + 1;
                in_text = tried + 1;
            }
        }
    }
    pattern[at..].iter().all(|letter| *letter == '*')
}

#[cfg(test)]
mod tests;
