//! What may not be said in Matrix yet: held, and said as soon as it may.
//!
//! ```text
//!                 ┌── banned there by its people ──▶ dropped on purpose, counted
//! room's lane ──▶ │
//!                 └── may not come in, or not speak ──▶ held lane: one for each speaker in each room
//!                                                            │ tried when the speaker is invited, the room's
//!                                                            │ rules or powers change, and from time to time
//!                                                            ├──▶ said, with the time at which it was said
//!                                                            └──▶ too old, or too much: the room is told of how many
//! ```
//!
//! The order: what one speaker says in a room stays in order, and so does whatever they do there besides (a part, an
//! edit), and what others do to what is held (a reaction, a redaction). What others say does not wait: a room must not
//! fall silent because of one who is not let in. A held line carries the time at which it was said.
//!
//! What is held is a row of the table `tasks` whose lane is another, so it outlasts a crash. The room is told once, for
//! the first few speakers, what is missing; where the bridge may not speak there itself, who had the portal linked.

mod keep;
mod lanes;
mod words;

pub(crate) use self::lanes::{HeldLanes, is_held, lane_of, read};
pub(super) use self::{
    keep::{insert_unshown, keep, note_unshown, wake_unshown},
    words::{is_unshown, unshown_of},
};
use super::{
    Network, Task,
    intake::Undone,
    message_key,
    perform::{Doing, Done},
};
use crate::{
    Error,
    actors::preflight::Action,
    bridge::{RemoteId, portal::Portal, relay::Voice},
    id::UserId,
    state::{Membership, RoomView},
};

/// Attempts at a line in its room's own lane while the homeserver fails over its speaker alone.
const FAILED_ATTEMPTS: u32 = 3;

/// Why something may not be said in Matrix now.
#[derive(Debug)]
pub(crate) enum Barred {
    /// The room's people have banned the speaker.
    Banned(String),
    /// The speaker may not come in, or not speak.
    Out {
        /// The speaker, as the text of their id, and who speaks for them in Matrix.
        user: String,
        ghost: UserId,
        /// What the homeserver or the room's rules say.
        error: Error,
    },
    /// What has to be said before it is held in this lane.
    Behind(String),
}

impl<N: Network> Doing<'_, N> {
    /// Whether it is tried again after it was held.
    pub(super) fn was_held(&self) -> bool {
        is_held(&self.row.task.lane)
    }

    /// What has to wait behind something that is held.
    pub(super) async fn comes_behind(&self, room: &N::Room, task: &Task) -> Result<(), Undone> {
        let held = &self.live.held;
        let room = room.to_text();
        if self.was_held() || held.is_empty() || held.of_room(&room).is_empty() {
            return Ok(());
        }
        if let Some(user) = doer(task) {
            let lane = lane_of(&room, user);
            if held.has(&lane) {
                return Err(Undone::Barred(Box::new(Barred::Behind(lane))));
            }
        }
        if let Some(target) = target(task) {
            let key = message_key::<N>(&room, target);
            let waits = self.core.store.read(move |unit| unit.lane_of_task(&key));
            if let Some(lane) = waits.await?.filter(|lane| is_held(lane)) {
                return Err(Undone::Barred(Box::new(Barred::Behind(lane))));
            }
        }
        Ok(())
    }

    /// What a ban list keeps out: what somebody says in a room, or all of it.
    pub(super) async fn is_listed(&self, portal: &Portal<N>, task: &Task) -> Result<(), Undone> {
        let policies = &self.core.policies;
        if policies.is_empty() {
            return Ok(());
        }
        let banned = |what: &str| {
            let why = format!("{what} is on a ban list that the service follows");
            Err(Undone::Barred(Box::new(Barred::Banned(why))))
        };
        let ghost = speaker(task).and_then(N::User::from_text);
        let ghost = ghost.filter(|_| self.live.plan.voice.has_ghosts());
        if let Some(ghost) = ghost.map(|user| self.live.ghost_id(&user)).transpose()?
            && policies.bans_user(&ghost, &self.core.server_name)
        {
            return banned(ghost.as_str());
        }
        let view = self.core.rooms.view(&portal.matrix).await?;
        match speaker(task).is_some() && policies.bans_room(&view) {
            true => banned(portal.matrix.as_str()),
            false => Ok(()),
        }
    }

    /// What becomes of a task that was refused, or that the homeserver does not do: it is held, if it is something that
    /// is said by somebody who may do that another time.
    pub(super) async fn barred(
        &self,
        portal: &Portal<N>,
        task: &Task,
        error: Error,
    ) -> Result<Undone, Error> {
        let Some(user) = speaker(task) else {
            return Ok(Undone::Failed(error));
        };
        let ghost = match &self.live.plan.voice {
            Voice::Ghosts => match N::User::from_text(user) {
                Some(user) => self.live.ghost_id(&user)?,
                None => return Ok(Undone::Failed(error)),
            },
            Voice::Bot(_) => portal.agent(self.core),
            Voice::One(name, _) => UserId::new(name, &self.core.server_name)?,
        };
        let view = self.core.known_view(&portal.matrix).await?;
        match view.membership(&ghost) {
            Some(Membership::Ban) => {
                return Ok(Undone::Barred(Box::new(Barred::Banned(error.to_string()))));
            }
            // Somebody who is in the room and lacks no power for words: it is what they say, or do.
            Some(Membership::Join) if !self.lacks_power(&view, &ghost, task) => {
                return Ok(Undone::Failed(error));
            }
            _ => {}
        }
        Ok(Undone::Barred(Box::new(Barred::Out {
            user: user.to_owned(),
            ghost,
            error,
        })))
    }

    /// Whether the room's rules keep somebody from speaking who is in it.
    fn lacks_power(&self, view: &RoomView, ghost: &UserId, task: &Task) -> bool {
        let action = match task {
            Task::Message { said, .. } if said.kind == "m.room.message" => {
                Action::Message { kind: &said.kind }
            }
            _ => return false,
        };
        self.core.check_action(view, ghost, &action).is_some()
    }

    /// Whether an error that may pass has lasted for long enough: others of the room wait no longer.
    pub(super) fn holds_up(&self, error: &Error) -> bool {
        let is_its_own =
            error.is_rate_limit() || error.status().is_some_and(|status| status >= 500);
        let has_lasted = self.was_held() || self.row.attempts >= FAILED_ATTEMPTS;
        matches!(error, Error::GivenUp { .. }) || is_its_own && has_lasted
    }
}

/// Who says something by this.
fn speaker(task: &Task) -> Option<&str> {
    match task {
        Task::Message { said, .. } | Task::Edit { said, .. } => Some(&said.sender),
        Task::React { sender, .. } | Task::Unreact { sender, .. } => Some(sender),
        Task::Redact { sender, .. } => sender.as_deref(),
        _ => None,
    }
}

/// Who does this.
fn doer(task: &Task) -> Option<&str> {
    match task {
        Task::Join { user } | Task::Part { user, .. } | Task::Swap { from: user, .. } => Some(user),
        task => speaker(task),
    }
}

/// The message that this is about.
fn target(task: &Task) -> Option<&str> {
    match task {
        Task::Edit { target, .. }
        | Task::Redact { target, .. }
        | Task::React { target, .. }
        | Task::Unreact { target, .. } => Some(target),
        _ => None,
    }
}

impl<N: Network> Doing<'_, N> {
    /// Says in the room what somebody lacks; where the bridge may not, to whoever had it linked.
    pub(super) async fn tell_missing(&self, portal: &Portal<N>, text: &str) -> Done {
        words::tell(self, portal, text, "").await?;
        Ok(None)
    }

    /// Says in the room how many lines of whom are not shown.
    pub(super) async fn tell_unshown(&self, portal: &Portal<N>) -> Done {
        words::tell_unshown(self, portal).await
    }
}
