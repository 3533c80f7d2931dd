//! Who of Matrix is writing, as the network is told it (IRCv3 typing).

use std::time::{Duration, Instant};

use bridgehead_appservice::id::UserId;
use bridgehead_irc_protocol::{Line, session::Priority};

use super::{Hub, Owner};
use crate::{clock::now, ids::Place, link::drive::Order};

/// How often it is said that somebody still writes ("typing", *Sending*).
const AGAIN: Duration = Duration::from_secs(3);
/// Who writes; more are not told.
const MAX_TYPING: usize = 1000;

impl Hub {
    /// These write in a place, and nobody else of Matrix does.
    pub(super) fn take_typing(&mut self, place: &Place, people: &[UserId]) {
        if !self.directory.read().offers().takes_tag("typing") {
            return;
        }
        let place = &self.meant(place.clone());
        let now = now();
        // Who is spoken for by the bridge is not seen writing.
        let writing: Vec<Owner> = people
            .iter()
            .filter_map(|person| self.owner_for(place, person).ok())
            .filter(|owner| *owner != Owner::Bot)
            .collect();
        let stopped = self.typing.keys();
        let stopped = stopped.filter(|(owner, at)| at == place && !writing.contains(owner));
        let stopped: Vec<(Owner, Place)> = stopped.cloned().collect();
        for (owner, place) in stopped {
            self.typing.remove(&(owner.clone(), place.clone()));
            self.tell_typing(&owner, &place, "done");
        }
        for owner in writing {
            let key = (owner, place.clone());
            let is_due = |told: &Instant| now.duration_since(*told) >= AGAIN;
            if self.typing.get(&key).is_none_or(is_due) && self.typing.len() < MAX_TYPING {
                self.tell_typing(&key.0, place, "active");
                self.typing.insert(key, now);
            }
        }
    }

    /// Who has said it writes it no more.
    pub(super) fn has_written(&mut self, owner: &Owner, place: &Place) {
        self.typing.remove(&(owner.clone(), place.clone()));
    }

    fn tell_typing(&self, owner: &Owner, place: &Place, state: &str) {
        let Some(client) = self.clients.get(owner) else {
            return;
        };
        let is_there = place
            .as_channel()
            .is_none_or(|channel| client.is_in(channel));
        let live = client.live.as_ref();
        if let Some(live) = live.filter(|live| live.is_ready && is_there) {
            let line = Line::new("TAGMSG", [place.target_name()]).tag("+typing", state);
            // It is of no use later.
            let _ = live.link.order(Order::Send(line, Priority::Membership));
        }
    }
}
