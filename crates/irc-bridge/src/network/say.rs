//! What is to be said on IRC: by whose connection, how long it waits for one, and what of it is lost with one.

use std::time::Instant;

use bridgehead_appservice::{
    bridge::{Cause, Level, Rejected, SendError},
    id::UserId,
};
use tokio::sync::oneshot;

use super::{
    Hub,
    directory::Owner,
    private::TO_BE_SEEN_EVERY,
    speech::{Lost, Outcome, Pending, Speech},
};
use crate::{
    clock::now,
    ids::{Place, Target},
    settings::Mode,
};

impl Hub {
    pub(super) async fn take_speech(
        &mut self,
        mut speech: Speech,
        reply: oneshot::Sender<Outcome>,
    ) {
        // Whoever asked an earlier loop for it asks this one again.
        if reply.is_closed() {
            return;
        }
        let now = now();
        if !speech.is_literal && self.is_to_be_seen(&speech.place, now) {
            let why = "it is not known yet whether they are who they were before the bridge was restarted";
            let after = Some(TO_BE_SEEN_EVERY);
            reply
                .send(Err(SendError::Retry {
                    after,
                    reason: why.to_owned(),
                }))
                .ok();
            return;
        }
        if !speech.is_literal {
            speech.place = self.meant(speech.place);
        }
        if let Err(no) = self.is_on_irc(&speech.place) {
            reply.send(Err(no)).ok();
            return;
        }
        let owner = match self.owner_for(&speech.place, &speech.speaker) {
            Ok(owner) => owner,
            Err(no) => {
                reply.send(Err(no)).ok();
                return;
            }
        };
        if let Target::Private { nick, .. } = &speech.place.target {
            self.monitor.talks(nick);
        }
        if let Some(no) = self.nobody_there(&owner, &speech.place) {
            reply.send(Err(no)).ok();
            return;
        }
        let deadline = now + self.settings.limits.patience.get();
        let client = self.client(&owner);
        client.spoke_at = now;
        client.is_parked = false;
        if let Some((_, why)) = client.barred.as_ref().filter(|(until, _)| *until > now)
            && client.live.is_none()
        {
            let why = why.clone();
            reply.send(Err(SendError::forbidden(why))).ok();
            return;
        }
        if owner != Owner::Bot {
            client.name = Some(speech.name.clone());
        }
        let place = speech.place.clone();
        self.release_if_asked_again(&mut speech).await;
        let client = self.client(&owner);
        client.pendings.push_back(Pending {
            speech,
            reply,
            deadline,
            is_in_doubt: false,
            is_looked_for: false,
            is_said_again: false,
            is_withdrawn: false,
            parts: Vec::new(),
        });
        self.has_written(&owner, &place);
        self.advance(&owner).await;
    }

    /// Whose connection speaks for a person there: their own, or the bridge's where they may have none.
    pub(super) fn owner_for(&self, place: &Place, person: &UserId) -> Result<Owner, SendError> {
        let level = self.remote.level(person).map_err(SendError::from)?;
        match place.as_channel() {
            Some(channel) if self.settings.mode_for(channel, level) == Mode::Relay => {
                Ok(Owner::Bot)
            }
            None if level < Level::User => Err(SendError::forbidden(
                "you may not talk to people alone by this bridge",
            )),
            _ => Ok(Owner::Person(person.clone())),
        }
    }

    /// What has waited for its connection for too long is given back.
    pub(super) fn give_up_late(&mut self, now: Instant) {
        // Where nobody is connected it is the network that is away, and not one person's place in it.
        let is_away = !self.clients.keys().any(|owner| self.is_ready(owner));
        let breaker = self.bucket.why(now).map(str::to_owned);
        for client in self.clients.values_mut() {
            client.give_waits_up(now, breaker.as_deref());
            let is_late = |pending: &Pending| pending.deadline <= now && !pending.is_handed();
            let why = client.last_error.clone().or_else(|| breaker.clone());
            for pending in client.take_pendings(is_late) {
                let why = why.as_deref().unwrap_or("the connection takes too long");
                pending.end(Err(match is_away {
                    true => SendError::away(why),
                    false => SendError::Reject(Rejected::new(Cause::Network, why)),
                }));
            }
        }
    }

    /// What is known of a lost connection by now is all that will be known.
    pub(super) async fn end_doubts(&mut self, owner: &Owner, now: Instant) {
        let patience = self.settings.limits.patience.get();
        let is_kept = self.directory.read().offers().history.is_some();
        let Some(client) = self.clients.get_mut(owner) else {
            return;
        };
        if client.doubts_until.take_if(|until| *until <= now).is_none() {
            return;
        }
        // What the old connection had, and not the new one.
        let pendings = client.pendings.iter_mut();
        let mut lost = Lost::default();
        for pending in pendings.filter(|pending| pending.is_in_doubt) {
            pending.is_in_doubt = false;
            pending.unhand((now + patience, is_kept), &mut lost);
        }
        self.lose(lost).await;
    }

    /// A connection is gone: claims are given up, or in doubt.
    pub(super) async fn lose(&mut self, lost: Lost) {
        for claim in lost.void {
            self.claims.release(&claim).await;
        }
        for claim in lost.in_doubt {
            self.claims.doubt(&claim).await;
        }
    }
}
