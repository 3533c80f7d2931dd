//! Ban lists: rooms whose state says who is not wanted (specification, *Moderation policy lists*).
//!
//! ```text
//! Service::policy_rooms ──▶ keep: the bot joins, reads the state; again from time to time, and where it failed
//!                                │                        ▲ what is redacted and not understood
//! the stream ──▶ hear ───────────┴──▶ rules ──▶ Core::level: blocked   ghosts: dropped on purpose   rooms: not bridged
//!                                                  └──▶ Network::levels_changed
//! ```
//!
//! The state of these rooms is kept as that of all rooms is, so rules stand from the first moment after a restart, and
//! those of a room that cannot be read just now stand as they were. Who is named an admin in the permissions stays one:
//! nobody is to lose their own service by somebody else's list.

mod keep;
mod rules;

use std::collections::BTreeMap;

use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use self::rules::Rules;
pub(crate) use self::rules::is_ban;
use crate::{
    Service,
    core::Core,
    id::{RoomAlias, RoomId, UserId},
    state::{Overheard, RoomView},
    store::StateRow,
};

/// A room with a ban list, as it was declared.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    Room(RoomId),
    Alias(RoomAlias),
}

impl Source {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no room id and no alias: it names no ban list");
        match text.starts_with('#') {
            true => RoomAlias::parse(text).map(Self::Alias).map_err(|_| wrong()),
            false => RoomId::parse(text).map(Self::Room).map_err(|_| wrong()),
        }
    }

    fn as_str(&self) -> &str {
        match self {
            Self::Room(room) => room.as_str(),
            Self::Alias(alias) => alias.as_str(),
        }
    }
}

/// What became of a source.
#[derive(Clone, Debug, Default)]
struct Reading {
    room: Option<RoomId>,
    /// Why it cannot be read now.
    problem: Option<String>,
    is_read: bool,
}

/// The ban lists of a service.
#[derive(Debug, Default)]
pub(crate) struct Policies {
    sources: Vec<Source>,
    readings: Mutex<BTreeMap<String, Reading>>,
    rules: RwLock<Rules>,
    /// The rules are others than before.
    changed: Notify,
    /// Something of a list's room has to be read again.
    doubted: Notify,
}

/// How a service's ban lists stand.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct PolicyReport {
    /// Rules that count.
    pub rules: usize,
    /// The rooms, in the order in which they were declared.
    pub rooms: Vec<PolicyRoom>,
}

/// A room with a ban list.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct PolicyRoom {
    /// Its id or alias, as it was declared.
    pub room: String,
    /// Rules of it that count.
    pub rules: usize,
    /// Why it cannot be read now; what was read of it before counts all the same.
    pub problem: Option<String>,
}

impl Policies {
    /// The lists of these rooms; what is no room was told when the service was checked.
    pub(crate) fn new(rooms: &[String]) -> Self {
        Self {
            sources: rooms
                .iter()
                .filter_map(|room| Source::parse(room).ok())
                .collect(),
            ..Self::default()
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// Whether a rule bans somebody.
    pub(crate) fn bans_user(&self, user: &UserId, own_server: &str) -> bool {
        !self.is_empty() && self.rules.read().meets_user(user, own_server)
    }

    /// Whether a rule bans a room.
    pub(crate) fn bans_room(&self, view: &RoomView) -> bool {
        if self.is_empty() {
            return false;
        }
        let rules = self.rules.read();
        let alias = view.canonical_alias();
        rules.meets_room(view.room_id.as_str())
            || alias.is_some_and(|alias| rules.meets_room(alias.as_str()))
    }

    /// Why somebody is banned, where the rule says it.
    pub(crate) fn reason(&self, user: &UserId, own_server: &str) -> Option<String> {
        let rules = self.rules.read();
        rules.reason(user, own_server).map(str::to_owned)
    }

    /// How they stand.
    pub(crate) fn report(&self) -> PolicyReport {
        let (rules, readings) = (self.rules.read(), self.readings.lock());
        let rooms = self.sources.iter().map(|source| {
            let reading = readings.get(source.as_str()).cloned().unwrap_or_default();
            let waits = || (!reading.is_read).then(|| "it was not read yet".to_owned());
            PolicyRoom {
                room: source.as_str().to_owned(),
                rules: reading
                    .room
                    .as_ref()
                    .map_or(0, |room| rules.number_of(room)),
                problem: reading.problem.clone().or_else(waits),
            }
        });
        PolicyReport {
            rules: rules.len(),
            rooms: rooms.collect(),
        }
    }

    /// What the stream says of the lists' rooms.
    pub(crate) fn hear(&self, news: &[Overheard], bot: &UserId) {
        if self.is_empty() || news.is_empty() {
            return;
        }
        let mut is_changed = false;
        for news in news {
            if !self.is_list(news.room_id()) {
                continue;
            }
            match news.state() {
                Some(row) if row.kind == "m.room.member" => {
                    if row.state_key == bot.as_str() {
                        self.doubted.notify_one();
                    }
                }
                Some(row) => is_changed |= self.take(news.room_id(), row),
                None => self.doubted.notify_one(),
            }
        }
        if is_changed {
            self.changed.notify_one();
        }
    }

    /// Whether a room has one of the lists, as far as its id is known.
    pub(crate) fn is_list(&self, room: &RoomId) -> bool {
        let readings = self.readings.lock();
        readings
            .values()
            .any(|reading| reading.room.as_ref() == Some(room))
    }

    fn take(&self, room: &RoomId, row: &StateRow) -> bool {
        let mut rules = self.rules.write();
        rules.set(room, (&row.kind, &row.state_key), &row.content)
    }
}

impl Core {
    /// Why somebody of Matrix is blocked by a ban list, in words for them; `None` where they are not.
    pub(crate) fn listed(&self, user: &UserId) -> Option<String> {
        if !self.policies.bans_user(user, &self.server_name) {
            return None;
        }
        let reason = self.policies.reason(user, &self.server_name);
        Some(match reason {
            Some(reason) => format!("you are on a ban list that this bridge follows: {reason}"),
            None => "you are on a ban list that this bridge follows".to_owned(),
        })
    }
}

impl Service {
    /// Rooms with ban lists that the service follows (specification, *Moderation policy lists*), each by its id or an
    /// alias. The service's own user joins them. Whom they ban is [`Level::Blocked`](super::Level::Blocked), at once and
    /// for as long as the rule stands, but for those whom the permissions name as admins; what ghosts say that they ban
    /// is not shown; rooms that they ban are not bridged. Rules that ban the service's own homeserver do not count.
    pub fn policy_rooms(mut self, rooms: impl IntoIterator<Item = impl Into<String>>) -> Self {
        for room in rooms {
            let room = room.into();
            match Source::parse(&room) {
                Ok(_) => self.policy_rooms.push(room),
                Err(mistake) => self.mistakes.push(mistake),
            }
        }
        self
    }
}
