//! Nicks that go from one of ours to somebody else: servers that meet again take them from whom they find second, and end
//! connections for them.
//!
//! The observer may hear that, and what the new owner says, before the connection that has lost the nick has told of it
//! itself. What is heard is the new owner's, and not an echo of ours.

use bridgehead_irc_protocol::Source;

use super::Hub;
use crate::clock::now;

impl Hub {
    /// Somebody has a nick from now on whose connection of ours has ended, as the network has told, and is another: the
    /// nick is ours no more, though that connection itself has not told of its end yet.
    pub(super) fn gives_way(&mut self, nick: &str, to: &Source) {
        let owner = self.directory.read().owner(nick).cloned();
        let client = owner.as_ref().and_then(|owner| self.clients.get(owner));
        let live = client.and_then(|client| client.live.as_ref());
        let is_gone =
            live.is_some_and(|live| live.is_gone && !is_same_user(&live.link.facts().source, to));
        if let Some(owner) = owner.filter(|_| is_gone) {
            let mut directory = self.directory.write();
            directory.unnamed(&owner, now());
            directory.settle_former(nick, now());
        }
    }

    /// One of ours has another nick, of which its own connection may not have told yet: whoever has the old one from now on
    /// is somebody else.
    pub(super) fn has_renamed(&mut self, from: &Source, to: &str) {
        let mut directory = self.directory.write();
        let owner = directory.owner(&from.name).cloned();
        let Some(owner) = owner.filter(|_| directory.owner(to).is_none()) else {
            return;
        };
        let live = self
            .clients
            .get(&owner)
            .and_then(|client| client.live.as_ref());
        if live.is_some_and(|live| is_same_user(&live.link.facts().source, from)) {
            directory.named(&owner, to, now());
        }
    }
}

/// Whether two may be the same, by the user name that each of ours has for themselves.
fn is_same_user(one: &Source, other: &Source) -> bool {
    match (&one.user, &other.user) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    }
}
