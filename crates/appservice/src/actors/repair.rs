//! After the homeserver's no to a send: where what is known explains the no, what is missing is seen to; else what was
//! believed is looked up again first. Then the send is tried once more under its own transaction id.
//!
//! A repair costs the homeserver some requests, among them the room's whole state. So one that has not helped stands
//! for a while: what the same user sends into the same room is refused meanwhile without another.

use std::{num::NonZeroUsize, time::Duration};

use lru::LruCache;
use parking_lot::Mutex;

use crate::{
    Error,
    core::Core,
    id::{RoomId, UserId},
    outbox::Outgoing,
    state::{Membership, Standing},
};

/// Repairs that are remembered.
const MAX_REPAIRS: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

/// How long one stands.
const STANDS: Duration = Duration::from_secs(60);

/// What was repaired, or could not be, not long ago.
pub(super) struct Repairs(Mutex<LruCache<(RoomId, UserId), Repaired>>);

/// How a repair went.
#[derive(Clone)]
struct Repaired {
    at_ms: i64,
    outcome: Result<(), Error>,
}

impl Default for Repairs {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(MAX_REPAIRS)))
    }
}

impl Repairs {
    fn standing(&self, key: &(RoomId, UserId), now_ms: i64) -> Option<Result<(), Error>> {
        let mut repairs = self.0.lock();
        let repaired = repairs.get(key)?;
        let age_ms = u64::try_from(now_ms - repaired.at_ms).unwrap_or(0);
        (Duration::from_millis(age_ms) < STANDS).then(|| repaired.outcome.clone())
    }

    fn put(&self, key: (RoomId, UserId), at_ms: i64, outcome: Result<(), Error>) {
        self.0.lock().put(key, Repaired { at_ms, outcome });
    }
}

impl Core {
    /// Sees to what a refused send lacks; then it is worth another attempt.
    ///
    /// # Errors
    /// The refusal, better explained where the room's rules explain it; or that of not long ago. `refused` is the
    /// homeserver's own, for where a repair of not long ago has seen to everything, and it was refused all the same.
    pub(crate) async fn repair(&self, outgoing: &Outgoing, refused: &Error) -> Result<(), Error> {
        let key = (outgoing.room_id.clone(), outgoing.user.clone());
        let now_ms = self.now_ms();
        if let Some(error) = self.actors.refusals.standing(&key, now_ms) {
            return Err(error);
        }
        match self.actors.repairs.standing(&key, now_ms) {
            Some(Err(error)) => return Err(error),
            Some(Ok(())) => return Err(refused.clone()),
            None => {}
        }
        let outcome = self.repair_now(outgoing).await;
        let is_passing =
            |error: &Error| error.may_pass() || matches!(error, Error::Stopping | Error::Store(_));
        if !outcome.as_ref().is_err_and(is_passing) {
            self.actors.repairs.put(key, self.now_ms(), outcome.clone());
        }
        outcome
    }

    /// A repair has helped: the next no is about something else.
    pub(crate) fn repair_helped(&self, outgoing: &Outgoing) {
        let key = (outgoing.room_id.clone(), outgoing.user.clone());
        self.actors.repairs.0.lock().pop(&key);
    }

    async fn repair_now(&self, outgoing: &Outgoing) -> Result<(), Error> {
        let (user, room) = (&outgoing.user, &outgoing.room_id);
        tracing::debug!(room.id = %room, user.id = %user, "refused; seeing to what is missing");
        if self.is_explained(outgoing).await? {
            return Ok(());
        }
        self.rooms.doubt(room, self.now_ms()).await?;
        self.rooms.may_be_readable(room);
        if self.is_own(user) {
            self.forget_registered(user).await?;
            self.ensure_registered(user).await?;
        }
        let mut view = self.known_view(room).await?;
        if self.standing(&view) != Standing::Known
            || view.membership(user) != Some(Membership::Join)
        {
            self.stays_out(user, room).await?;
            self.rejoin(user, room).await?;
            view = self.known_view(room).await?;
        }
        match self.check(&view, outgoing) {
            Some(refusal) => self.overcome(user, room, refusal).await,
            // It was the state of a moment ago, or a reason of the homeserver's own: another attempt will tell.
            None => Ok(()),
        }
    }

    /// Whether the room as it is known has explained the no, and what was missing is there now. So of many who lack
    /// power the first reads the room's state, for all of them.
    async fn is_explained(&self, outgoing: &Outgoing) -> Result<bool, Error> {
        let (user, room) = (&outgoing.user, &outgoing.room_id);
        let view = self.rooms.view(room).await?;
        if view.membership(user) != Some(Membership::Join) {
            return Ok(false);
        }
        // Says nothing unless the state is known.
        let Some(refusal) = self.check(&view, outgoing) else {
            return Ok(false);
        };
        match self.overcome(user, room, refusal).await {
            Ok(()) => Ok(true),
            // Perhaps it is known wrongly: worth a second look.
            Err(Error::Forbidden(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
