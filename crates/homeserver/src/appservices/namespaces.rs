//! Who owns an id: all registrations' patterns of one kind in one automaton.
//!
//! Asking costs the id's length, not the number of services. A pattern matches from the id's start, case-sensitively,
//! not necessarily to the end, as Synapse does it; for one service the first pattern of its list that matches decides
//! whether the id is exclusive. Only local users and aliases can be owned. A reload compiles a new [`Namespaces`].

mod matcher;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc};

use ruma::ServerName;
use smallvec::SmallVec;

use self::matcher::KindMatcher;
use super::registration::{NamespaceKind, Registration};

/// Dense index of a registration in the current registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AsIndex(pub u16);

/// Whose an id is. Both lists are sorted and hold each service once; `exclusive` is a part of `any`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owners {
    /// Every service with a namespace that the id falls into.
    pub any: SmallVec<[AsIndex; 4]>,
    /// Those that hold it for themselves. Always empty for rooms, where exclusiveness means nothing.
    pub exclusive: SmallVec<[AsIndex; 2]>,
}

impl Owners {
    /// Whether nobody owns the id.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.any.is_empty()
    }

    /// Whether this service owns the id, exclusively or not.
    #[must_use]
    pub fn contains(&self, service: AsIndex) -> bool {
        self.any.contains(&service)
    }

    fn exclusive_to_other(&self, asker: Option<AsIndex>) -> Option<AsIndex> {
        self.exclusive
            .iter()
            .copied()
            .find(|owner| Some(*owner) != asker)
    }
}

/// Why the namespaces of a set of registrations cannot be compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// More registrations than an [`AsIndex`] can number.
    #[error("{0} application services are more than one server can hold (65535)")]
    TooManyRegistrations(usize),
    /// A pattern that the registration's reader would have refused.
    #[error("pattern `{regex}` of application service `{id}` does not compile: {reason}")]
    Pattern {
        /// The registration's id.
        id: String,
        /// The pattern as written.
        regex: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The patterns are fine one by one, but not together.
    #[error("the namespaces of all application services together do not compile")]
    Together(#[source] Box<regex::Error>),
}

/// The compiled namespaces of all registrations. Immutable; indices follow the slice it was compiled from.
#[derive(Debug)]
pub struct Namespaces {
    server_name: Box<str>,
    users: KindMatcher,
    aliases: KindMatcher,
    rooms: KindMatcher,
}

impl Namespaces {
    /// Compiles the patterns of `registrations`, whose places in the slice become their [`AsIndex`].
    ///
    /// # Errors
    /// Too many registrations, or patterns that [`super::registration::parse`] would have refused.
    pub fn compile(
        server_name: &ServerName,
        registrations: &[Arc<Registration>],
    ) -> Result<Self, CompileError> {
        if registrations.len() > usize::from(u16::MAX) {
            return Err(CompileError::TooManyRegistrations(registrations.len()));
        }
        let senders = senders(server_name, registrations);
        Ok(Self {
            server_name: server_name.as_str().into(),
            users: KindMatcher::compile(NamespaceKind::Users, registrations, senders)?,
            aliases: KindMatcher::compile(NamespaceKind::Aliases, registrations, HashMap::new())?,
            rooms: KindMatcher::compile(NamespaceKind::Rooms, registrations, HashMap::new())?,
        })
    }

    /// The services that own a user: nobody, if the user is not local. A service's own sender is always its own.
    #[must_use]
    pub fn users(&self, user_id: &str) -> Arc<Owners> {
        if self.is_local(user_id, NamespaceKind::Users) {
            self.users.owners(user_id)
        } else {
            self.users.nobody()
        }
    }

    /// The services that own a room alias: nobody, if the alias is not local.
    #[must_use]
    pub fn aliases(&self, alias: &str) -> Arc<Owners> {
        if self.is_local(alias, NamespaceKind::Aliases) {
            self.aliases.owners(alias)
        } else {
            self.aliases.nobody()
        }
    }

    /// The services that watch a room by its id, wherever the room was made.
    #[must_use]
    pub fn rooms(&self, room_id: &str) -> Arc<Owners> {
        self.rooms.owners(room_id)
    }

    /// Whether `service` may act as this user.
    #[must_use]
    pub fn owns_user(&self, service: AsIndex, user_id: &str) -> bool {
        self.users(user_id).contains(service)
    }

    /// Whether this alias falls into a namespace of `service`.
    #[must_use]
    pub fn owns_alias(&self, service: AsIndex, alias: &str) -> bool {
        self.aliases(alias).contains(service)
    }

    /// A service other than `asker` that holds this user for itself, so that `asker` may not create it.
    #[must_use]
    pub fn exclusive_to_other_user(
        &self,
        user_id: &str,
        asker: Option<AsIndex>,
    ) -> Option<AsIndex> {
        self.users(user_id).exclusive_to_other(asker)
    }

    /// A service other than `asker` that holds this alias for itself, so that `asker` may not create it.
    #[must_use]
    pub fn exclusive_to_other_alias(&self, alias: &str, asker: Option<AsIndex>) -> Option<AsIndex> {
        self.aliases(alias).exclusive_to_other(asker)
    }

    fn is_local(&self, id: &str, kind: NamespaceKind) -> bool {
        id.strip_prefix(kind.sigil())
            .and_then(|rest| rest.split_once(':'))
            .is_some_and(|(_, server)| server == &*self.server_name)
    }
}

/// The senders' user ids; a shared localpart (the loader warns of it) belongs to each of the sharers.
fn senders(
    server_name: &ServerName,
    registrations: &[Arc<Registration>],
) -> HashMap<String, SmallVec<[AsIndex; 2]>> {
    let mut senders: HashMap<String, SmallVec<[AsIndex; 2]>> = HashMap::new();
    for (index, registration) in (0..).map(AsIndex).zip(registrations) {
        let user_id = format!("@{}:{server_name}", registration.sender_localpart);
        senders.entry(user_id).or_default().push(index);
    }
    senders
}
