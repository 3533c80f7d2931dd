//! What an actor needs before it acts: to be registered, to have joined, to be permitted.

use serde_json::{Value, json};

use super::preflight::{self, Action};
use crate::{
    Error, Urgency,
    client::Call,
    core::Core,
    handler::Scope,
    id::{EventId, RoomId, UserId},
    metrics::catalogue::GHOSTS_REGISTERED,
    outbox::{Outgoing, What},
    state::{Membership, RoomView, Standing},
    store::Tx,
};

/// So long after it was read, a room's state is read again before it forbids anything, ms.
const OLD_MS: i64 = 5 * 60 * 1000;

impl Core {
    /// The name of an effect: of the handler's call, or a fresh one.
    pub(crate) fn effect_key(&self, scope: Option<&Scope>) -> String {
        match scope {
            Some(scope) => scope.next_key(),
            None => self.surroundings.randomness.hex(32),
        }
    }

    /// Sends, and waits until the homeserver has it.
    pub(crate) async fn send(&self, outgoing: &Outgoing) -> Result<EventId, Error> {
        self.outbox
            .send(outgoing)
            .await?
            .ok_or_else(|| Error::Nonsense {
                what: format!("a send into {}", outgoing.room_id),
                why: "it has no event_id".to_owned(),
            })
    }

    /// Commits what a handler has gathered, where there is no event to be consumed with it.
    pub(crate) async fn commit(&self, tx: &Tx) -> Result<(), Error> {
        let changes = tx.take();
        if changes.is_empty() {
            return Ok(());
        }
        self.store
            .write(move |unit| changes.into_iter().try_for_each(|change| change(unit)))
            .await?;
        Ok(())
    }

    /// Makes sure that the homeserver has this user, if it is one that the service may make.
    pub(crate) async fn ensure_registered(&self, user: &UserId) -> Result<(), Error> {
        if self.actors.registered.lock().get(user).is_some() || !self.is_own(user) {
            return Ok(());
        }
        let _flight = self.actors.registering.enter(user).await;
        let id = user.to_string();
        if !self.store.read(move |unit| unit.is_registered(&id)).await? {
            self.register(user).await?;
            self.metrics.count(&GHOSTS_REGISTERED, &[], 1);
            let (id, now_ms) = (user.to_string(), self.now_ms());
            self.store
                .write(move |unit| unit.insert_ghost(&id, now_ms))
                .await?;
        }
        self.actors.registered.lock().put(user.clone(), ());
        Ok(())
    }

    /// Whether the homeserver has a user is not certain any more.
    pub(crate) async fn forget_registered(&self, user: &UserId) -> Result<(), Error> {
        self.actors.registered.lock().pop(user);
        let id = user.to_string();
        self.store.write(move |unit| unit.forget_ghost(&id)).await?;
        Ok(())
    }

    /// Registers (specification, *Application Service API*, *Server admin style permissions*). Without a device: a
    /// ghost needs none, and homeservers with an authentication service of their own refuse to make one.
    async fn register(&self, user: &UserId) -> Result<(), Error> {
        let body = json!({
            "type": "m.login.application_service",
            "username": user.localpart(),
            "inhibit_login": true,
        });
        let call = Call::post("/_matrix/client/v3/register", &body).urgency(Urgency::Membership);
        match self.client.ask::<Value>(&call).await {
            Ok(_) => Ok(()),
            Err(error) if error.errcode() == Some("M_USER_IN_USE") => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whether all is there that a send needs, as far as that is known without asking anybody.
    pub(crate) async fn is_ready(&self, outgoing: &Outgoing) -> Result<bool, Error> {
        let view = self.rooms.view(&outgoing.room_id).await?;
        Ok(view.membership(&outgoing.user) == Some(Membership::Join)
            && self.check(&view, outgoing).is_none())
    }

    /// Sends, with what it needs seen to before, and waits until the homeserver has it.
    ///
    /// # Errors
    /// The homeserver's no, or the room's ([`Error::Forbidden`]).
    pub(crate) async fn deliver(&self, outgoing: &Outgoing) -> Result<EventId, Error> {
        if !self.is_ready(outgoing).await? {
            // What was sent before needs nothing any more.
            if let Some(event) = self.outbox.sent_before(outgoing).await? {
                return Ok(event);
            }
            self.prepare_for_now(outgoing).await?;
        }
        self.send(outgoing).await
    }

    /// Sees to what a send needs, as far as that can be now. What is only a matter of time is left to the outbox, which
    /// keeps the send meanwhile: the homeserver says no to it, and then all is seen to again.
    pub(crate) async fn prepare_for_now(&self, outgoing: &Outgoing) -> Result<(), Error> {
        match self.prepare(outgoing).await {
            Err(error) if error.may_pass() => {
                let (room, user) = (&outgoing.room_id, &outgoing.user);
                tracing::debug!(room.id = %room, user.id = %user, %error, "the send waits for what it needs");
                Ok(())
            }
            other => other,
        }
    }

    /// Sees to what a send needs: registered, joined, permitted.
    ///
    /// # Errors
    /// What cannot be seen to, and what would permit it.
    async fn prepare(&self, outgoing: &Outgoing) -> Result<(), Error> {
        let (user, room) = (&outgoing.user, &outgoing.room_id);
        self.ensure_joined(user, room).await?;
        let view = self.rooms.view(room).await?;
        let Some(refusal) = self.check(&view, outgoing) else {
            return Ok(());
        };
        let Err(error) = self.overcome(user, room, refusal).await else {
            return Ok(());
        };
        // A no is worth a second look, if the first was at what was read long ago.
        if !matches!(error, Error::Forbidden(_)) || !self.is_old(&view) {
            return Err(error);
        }
        let view = self.read_state(room, true).await?;
        match self.check(&view, outgoing) {
            None => Ok(()),
            Some(refusal) => self.overcome(user, room, refusal).await,
        }
    }

    fn is_old(&self, view: &RoomView) -> bool {
        let read_ms = view.fetched_ms().unwrap_or(0);
        self.now_ms() - read_ms > OLD_MS
    }

    /// Asks the room's rules; `None`: permitted, or the rules are not known.
    pub(crate) fn check(&self, view: &RoomView, outgoing: &Outgoing) -> Option<preflight::Refusal> {
        let action = action_of(&outgoing.what, &outgoing.content);
        self.check_action(view, &outgoing.user, &action)
    }

    /// The same for any action.
    pub(crate) fn check_action(
        &self,
        view: &RoomView,
        user: &UserId,
        action: &Action<'_>,
    ) -> Option<preflight::Refusal> {
        if self.standing(view) != Standing::Known {
            return None;
        }
        preflight::check(view, user, action).err()
    }

    /// Gives the power that is missing, if that is all and the service's own user can.
    pub(crate) async fn overcome(
        &self,
        user: &UserId,
        room: &RoomId,
        refusal: preflight::Refusal,
    ) -> Result<(), Error> {
        let Some(level) = refusal.missing_level else {
            return Err(refusal.into_error());
        };
        match self.grant(user, room, level).await {
            Ok(()) => Ok(()),
            Err(Error::Forbidden(why)) => Err(refusal.because(&why).into_error()),
            Err(error) => Err(error),
        }
    }
}

/// What a send is to a room's rules.
fn action_of<'a>(what: &'a What, content: &'a Value) -> Action<'a> {
    match what {
        What::Event(kind) => Action::Message { kind },
        What::State(kind, key) => Action::State { kind, key, content },
        // Whose event it is is not known here.
        What::Redaction(_) => Action::Message {
            kind: "m.room.redaction",
        },
    }
}
