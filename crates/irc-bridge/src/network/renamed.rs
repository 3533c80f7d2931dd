//! A channel goes by another name (draft/channel-rename), and its room does not go along: the room's alias and link are of
//! the old name, which anybody may take next.
//!
//! So everybody of ours leaves, as where a server without that draft puts them out of the one and into the other; the room
//! is told where its channel is now, and takes nothing more until somebody links it anew.

use bridgehead_appservice::{
    bridge::{Cause, Rejected, SendError},
    format::Rich,
};

use super::{Hub, Owner, client::Standing, deeds::Deed, speech::Pending};

/// Channels of which it is remembered that they have another name; beyond that the first is forgotten.
const MAX_RENAMED: usize = 1000;

impl Hub {
    /// A channel has another name, as the first of the bridge's connections in it has heard; for all of them the server has
    /// done it by now.
    pub(super) fn channel_renamed(&mut self, from: &str, to: &str) {
        let fold = |name: &str| self.directory.read().case_mapping().fold(name);
        let (old, new) = (fold(from), fold(to));
        let concerned = self.clients.iter().filter(|(_, client)| {
            client.is_in(&old) || (client.live.is_some() && client.wanted.contains(&old))
        });
        let concerned: Vec<Owner> = concerned.map(|(owner, _)| owner.clone()).collect();
        if old == new || concerned.is_empty() {
            return;
        }
        let why = format!("the channel was renamed on IRC: it is called {to} now");
        for owner in concerned {
            self.move_out(&owner, (&old, &new), &why);
        }
        self.elect(&old);
        self.elect(&new);
        if self.is_bridged(&old) {
            self.tell_renamed(&old, (from, to), why);
        }
    }

    /// Takes a client out of a channel that has another name: it is in that one now.
    fn move_out(&mut self, owner: &Owner, (old, new): (&str, &str), why: &str) {
        let client = self.client(owner);
        client.wanted.remove(old);
        let waits_for = |pending: &Pending| {
            pending.speech.place.as_channel() == Some(old) && !pending.is_handed()
        };
        for pending in client.take_pendings(waits_for) {
            pending.end(Err(SendError::Reject(Rejected::new(Cause::Network, why))));
        }
        let has_room = client.wanted.contains(new);
        let Some(live) = client.live.as_mut() else {
            return;
        };
        if live.standings.remove(old) == Some(Standing::In) {
            live.standings.insert(new.to_owned(), Standing::In);
            if !has_room {
                self.leave(
                    owner,
                    new,
                    Some("This channel is not bridged under this name"),
                );
            }
        }
    }

    fn tell_renamed(&mut self, old: &str, (from, to): (&str, &str), why: String) {
        if self.renamed.len() >= MAX_RENAMED {
            self.renamed.pop_first();
        }
        self.renamed.insert(old.to_owned());
        let place = self.channel(old);
        let words = format!(
            "{from} was renamed on IRC: it is called {to} now, and nothing comes from there or goes there until somebody \
             links it. Who may, does so here: `unlink`, and then `link {to}`."
        );
        self.deed(Deed::Notice(place.clone(), Rich::plain(&words)));
        self.deed(Deed::Gone(place, why));
    }
}
