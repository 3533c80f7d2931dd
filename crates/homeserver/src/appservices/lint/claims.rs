//! One service's patterns, compiled for the linter.

use std::{cell::OnceCell, sync::Arc};

use regex_syntax::hir::literal::{Extractor, Seq};
use ruma::ServerName;

use super::automaton::{Automaton, Part, Search, must, search};
use crate::appservices::registration::{
    Backtracking, Namespace, NamespaceKind, PatternMatcher, Registration, anchored, compile,
};

/// One pattern.
pub(super) struct Claim {
    /// As written.
    pub(super) regex: String,
    /// Whether the service wants it for itself.
    pub(super) exclusive: bool,
    matcher: Matcher,
    automaton: OnceCell<Option<Automaton>>,
    /// What a match begins with, where that can be told.
    prefixes: Option<Seq>,
}

enum Matcher {
    Plain(regex::Regex),
    Fancy(Backtracking),
    /// Too large to be compiled alone; cannot be in a registration that was read.
    Nothing,
}

impl Claim {
    fn new(namespace: &Namespace) -> Self {
        let regex = &namespace.regex;
        let matcher = match compile(regex) {
            Ok(PatternMatcher::Plain) => {
                regex::Regex::new(&anchored(regex)).map_or(Matcher::Nothing, Matcher::Plain)
            }
            Ok(PatternMatcher::Backtracking(regex)) => Matcher::Fancy(regex),
            Err(_) => Matcher::Nothing,
        };
        let prefixes = regex_syntax::parse(regex)
            .ok()
            .map(|hir| Extractor::new().extract(&hir))
            .filter(|seq| seq.literals().is_some_and(|literals| !literals.is_empty()));
        Self {
            regex: regex.clone(),
            exclusive: namespace.exclusive,
            matcher,
            automaton: OnceCell::new(),
            prefixes,
        }
    }

    /// Whether the pattern matches the id.
    pub(super) fn matches(&self, id: &str) -> bool {
        match &self.matcher {
            Matcher::Plain(regex) => regex.is_match(id),
            Matcher::Fancy(regex) => regex.matches(id).unwrap_or(false),
            Matcher::Nothing => false,
        }
    }

    /// Whether it looks around or refers back.
    pub(super) fn is_fancy(&self) -> bool {
        matches!(self.matcher, Matcher::Fancy(_))
    }

    /// Its automaton; `None` where there is none of a bearable size.
    pub(super) fn automaton(&self) -> Option<&Automaton> {
        self.automaton
            .get_or_init(|| {
                if self.is_fancy() {
                    None
                } else {
                    Automaton::of(&self.regex)
                }
            })
            .as_ref()
    }

    /// Whether no id can match both, seen from how matches begin. Says no when it cannot tell.
    pub(super) fn begins_unlike(&self, other: &Self) -> bool {
        let (Some(mine), Some(theirs)) = (&self.prefixes, &other.prefixes) else {
            return false;
        };
        let (Some(mine), Some(theirs)) = (mine.literals(), theirs.literals()) else {
            return false;
        };
        mine.iter().all(|a| {
            theirs.iter().all(|b| {
                let (a, b) = (a.as_bytes(), b.as_bytes());
                !a.starts_with(b) && !b.starts_with(a)
            })
        })
    }

    /// Some ids of this shape that it matches.
    pub(super) fn samples(&self, shape: &Automaton, count: usize) -> Vec<String> {
        let Some(automaton) = self.automaton() else {
            return Vec::new();
        };
        match search(&[must(shape), must(automaton)], count) {
            Search::Found(ids) => ids,
            Search::Nothing | Search::GaveUp => Vec::new(),
        }
    }
}

/// A service's patterns of one kind, in its order.
pub(super) struct Claims(pub(super) Vec<Claim>);

impl Claims {
    fn new(namespaces: &[Namespace]) -> Self {
        Self(namespaces.iter().map(Claim::new).collect())
    }

    /// Whether the service holds the id for itself: the first pattern that matches decides.
    pub(super) fn hold(&self, id: &str) -> bool {
        self.0
            .iter()
            .find(|claim| claim.matches(id))
            .is_some_and(|claim| claim.exclusive)
    }

    /// Patterns before number `index` that would decide otherwise, as parts of a search.
    pub(super) fn shades(&self, index: usize) -> impl Iterator<Item = Part<'_>> {
        self.0[..index]
            .iter()
            .filter(|claim| !claim.exclusive)
            .filter_map(Claim::automaton)
            .map(super::automaton::must_not)
    }
}

/// A service as the linter sees it.
pub(super) struct Service {
    pub(super) registration: Arc<Registration>,
    /// Its own user's id.
    pub(super) sender: String,
    pub(super) users: Claims,
    pub(super) aliases: Claims,
}

impl Service {
    pub(super) fn new(registration: Arc<Registration>, server_name: &ServerName) -> Self {
        Self {
            sender: format!("@{}:{server_name}", registration.sender_localpart),
            users: Claims::new(&registration.users),
            aliases: Claims::new(&registration.aliases),
            registration,
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.registration.id
    }

    pub(super) fn claims(&self, kind: NamespaceKind) -> &Claims {
        match kind {
            NamespaceKind::Aliases => &self.aliases,
            NamespaceKind::Users | NamespaceKind::Rooms => &self.users,
        }
    }
}

/// What ids of this server look like.
pub(super) struct Shapes {
    /// Users, as history allowed them.
    pub(super) users: Option<Automaton>,
    /// Users as people may be called today.
    pub(super) people: Option<Automaton>,
    /// Aliases.
    pub(super) aliases: Option<Automaton>,
    /// Users of another server.
    pub(super) users_elsewhere: Option<Automaton>,
    /// Aliases of another server.
    pub(super) aliases_elsewhere: Option<Automaton>,
}

impl Shapes {
    pub(super) fn new(server_name: &ServerName) -> Self {
        let here = regex::escape(server_name.as_str());
        // A name that no pattern has in mind.
        let elsewhere = r"elsewhere\.invalid";
        let users = |server: &str| Automaton::of(&format!("@[!-9;-~]+:{server}$"));
        let aliases = |server: &str| Automaton::of(&format!("#[^:\\x00]+:{server}$"));
        Self {
            users: users(&here),
            people: Automaton::of(&format!("@[a-z0-9._=/+-]+:{here}$")),
            aliases: aliases(&here),
            users_elsewhere: users(elsewhere),
            aliases_elsewhere: aliases(elsewhere),
        }
    }

    pub(super) fn here(&self, kind: NamespaceKind) -> Option<&Automaton> {
        match kind {
            NamespaceKind::Aliases => self.aliases.as_ref(),
            NamespaceKind::Users | NamespaceKind::Rooms => self.users.as_ref(),
        }
    }

    pub(super) fn elsewhere(&self, kind: NamespaceKind) -> Option<&Automaton> {
        match kind {
            NamespaceKind::Aliases => self.aliases_elsewhere.as_ref(),
            NamespaceKind::Users | NamespaceKind::Rooms => self.users_elsewhere.as_ref(),
        }
    }
}
