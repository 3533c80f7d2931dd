//! Which rooms the homeserver tells the service about, by the registration's namespaces.

use bridgehead_registration::{Namespace, PatternMatcher, Registration, compile};
use regex::Regex;

use crate::id::{RoomAlias, RoomId, UserId};

/// The namespaces of the registration in force: those that the service owns and those that it watches.
#[derive(Debug)]
pub(crate) struct Interest {
    bot: UserId,
    sender: UserId,
    users: Patterns,
    aliases: Patterns,
    rooms: Patterns,
}

#[derive(Debug)]
struct Patterns(Vec<Pattern>);

#[derive(Debug)]
enum Pattern {
    Plain(Regex),
    Other(PatternMatcher),
}

impl Patterns {
    fn of(namespaces: &[Namespace]) -> Self {
        let pattern = |namespace: &Namespace| match compile(&namespace.regex).ok()? {
            PatternMatcher::Plain => {
                let anchored = bridgehead_registration::anchored(&namespace.regex);
                Regex::new(&anchored).ok().map(Pattern::Plain)
            }
            other @ PatternMatcher::Backtracking(_) => Some(Pattern::Other(other)),
        };
        // Registrations are checked when they are read: nothing is left out here.
        Self(namespaces.iter().filter_map(pattern).collect())
    }

    fn matches(&self, id: &str) -> bool {
        self.0.iter().any(|pattern| match pattern {
            Pattern::Plain(regex) => regex.is_match(id),
            Pattern::Other(PatternMatcher::Backtracking(regex)) => {
                regex.matches(id).unwrap_or(false)
            }
            Pattern::Other(PatternMatcher::Plain) => false,
        })
    }
}

impl Interest {
    pub(crate) fn new(registration: &Registration, bot: &UserId, sender: &UserId) -> Self {
        Self {
            bot: bot.clone(),
            sender: sender.clone(),
            users: Patterns::of(&registration.users),
            aliases: Patterns::of(&registration.aliases),
            rooms: Patterns::of(&registration.rooms),
        }
    }

    /// Without a registration: users, aliases and rooms by pattern, beside `@bot:x`.
    #[cfg(test)]
    pub(crate) fn of(users: &[&str], aliases: &[&str], rooms: &[&str]) -> Self {
        let patterns = |patterns: &[&str]| {
            let namespaces = patterns.iter().map(|regex| Namespace {
                regex: (*regex).to_owned(),
                exclusive: true,
            });
            Patterns::of(&namespaces.collect::<Vec<_>>())
        };
        let bot = UserId::parse("@bot:x").expect("an id");
        Self {
            sender: bot.clone(),
            bot,
            users: patterns(users),
            aliases: patterns(aliases),
            rooms: patterns(rooms),
        }
    }

    /// Whether the service is told of rooms that this user has joined. It may act as each of these users that the
    /// homeserver has.
    pub(crate) fn user(&self, user: &UserId) -> bool {
        *user == self.bot || *user == self.sender || self.users.matches(user.as_str())
    }

    /// Whether the service is told of rooms with this alias.
    pub(crate) fn alias(&self, alias: &RoomAlias) -> bool {
        self.aliases.matches(alias.as_str())
    }

    /// Whether the service is told of this room.
    pub(crate) fn room(&self, room: &RoomId) -> bool {
        self.rooms.matches(room.as_str())
    }
}
