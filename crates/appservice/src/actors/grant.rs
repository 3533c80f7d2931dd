//! Power on demand: who lacks it gets just what is needed, from the service's own user.
//!
//! Those who ask within a short time are raised together, by one event. It is made from the levels that the
//! homeserver has at that moment, so that nobody else's change is undone.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use parking_lot::Mutex;
use serde_json::Value;

use crate::{
    Error, Urgency,
    client::{Call, escape},
    core::Core,
    flights::Flights,
    id::{RoomId, UserId},
    state::{
        Creation, OwnState,
        power::{self, NoGrant},
    },
};

const POWER_LEVELS: &str = "m.room.power_levels";

/// How long others are waited for who want power, too.
const GATHER: Duration = Duration::from_millis(20);

/// Those who want power, by room.
#[derive(Default)]
pub(super) struct Grants {
    wants: Mutex<HashMap<RoomId, BTreeMap<UserId, i64>>>,
    flights: Flights<RoomId>,
}

impl Grants {
    fn add(&self, room: &RoomId, user: &UserId, level: i64) {
        let mut wants = self.wants.lock();
        let wanted = wants.entry(room.clone()).or_default();
        let wanted = wanted.entry(user.clone()).or_insert(level);
        *wanted = level.max(*wanted);
    }

    fn wants(&self, room: &RoomId, user: &UserId) -> bool {
        let wants = self.wants.lock();
        wants
            .get(room)
            .is_some_and(|wants| wants.contains_key(user))
    }

    fn take(&self, room: &RoomId) -> BTreeMap<UserId, i64> {
        self.wants.lock().remove(room).unwrap_or_default()
    }
}

/// A wish that goes with who has it, unless it was taken up.
struct Wanting<'a> {
    grants: &'a Grants,
    room: &'a RoomId,
    user: &'a UserId,
}

impl Drop for Wanting<'_> {
    fn drop(&mut self) {
        let mut wants = self.grants.wants.lock();
        if let Some(wanted) = wants.get_mut(self.room) {
            wanted.remove(self.user);
            if wanted.is_empty() {
                wants.remove(self.room);
            }
        }
    }
}

impl Core {
    /// Gives somebody at least this level.
    ///
    /// # Errors
    /// [`Error::Forbidden`] with the reason, when the service's own user may not.
    pub(super) async fn grant(
        &self,
        user: &UserId,
        room: &RoomId,
        level: i64,
    ) -> Result<(), Error> {
        let grants = &self.actors.grants;
        grants.add(room, user, level);
        let _wanting = Wanting { grants, room, user };
        let _flight = grants.flights.enter(room).await;
        if !grants.wants(room, user) {
            // Whoever was here before has raised this one as well, or could not: it shows.
            return self.has_level(user, room, level).await;
        }
        tokio::time::sleep(GATHER).await;
        let wants = grants.take(room);
        match self.raise(room, &wants).await {
            // It may be another's wish that cannot be.
            Err(Error::Forbidden(_)) if wants.len() > 1 => {
                self.raise_alone(user, room, level).await
            }
            other => other,
        }
    }

    async fn raise_alone(&self, user: &UserId, room: &RoomId, level: i64) -> Result<(), Error> {
        self.raise(room, &BTreeMap::from([(user.clone(), level)]))
            .await
    }

    async fn has_level(&self, user: &UserId, room: &RoomId, level: i64) -> Result<(), Error> {
        let view = self.known_view(room).await?;
        let levels = view.power_levels();
        match levels.is_some_and(|levels| levels.of(user).is_at_least(level)) {
            true => Ok(()),
            // Alone, so that the reason is this user's own.
            false => self.raise_alone(user, room, level).await,
        }
    }

    async fn raise(&self, room: &RoomId, wants: &BTreeMap<UserId, i64>) -> Result<(), Error> {
        self.change_levels(&self.bot, room, |content, creation| {
            power::raise(content, creation, &self.bot, wants)
        })
        .await
    }

    /// Gives users just these levels, as `giver` and as far as it may.
    ///
    /// # Errors
    /// [`Error::Forbidden`] with the reason, when it may not change levels at all.
    pub(crate) async fn assign_power(
        &self,
        giver: &UserId,
        room: &RoomId,
        wants: &BTreeMap<UserId, i64>,
    ) -> Result<(), Error> {
        let _flight = self.actors.grants.flights.enter(room).await;
        self.change_levels(giver, room, |content, creation| {
            power::assign(content, creation, giver, wants)
        })
        .await
    }

    /// Sets the level that it takes to speak in a room, as `giver`.
    ///
    /// # Errors
    /// [`Error::Forbidden`] with the reason, when it may not.
    pub(crate) async fn let_speak(
        &self,
        giver: &UserId,
        room: &RoomId,
        level: i64,
    ) -> Result<(), Error> {
        let _flight = self.actors.grants.flights.enter(room).await;
        self.change_levels(giver, room, |content, creation| {
            power::let_speak(content, creation, giver, level)
        })
        .await
    }

    /// Changes the levels that the homeserver has now, as `giver`, unless there is nothing to change.
    async fn change_levels(
        &self,
        giver: &UserId,
        room: &RoomId,
        change: impl FnOnce(Option<&Value>, &Creation) -> Result<Option<Value>, NoGrant> + Send,
    ) -> Result<(), Error> {
        self.ensure_joined(giver, room).await?;
        let view = self.known_view(room).await?;
        let Some(creation) = view.creation() else {
            return Err(Error::Forbidden(format!(
                "{giver} cannot see who has made the room"
            )));
        };
        let before = self.rooms.event_of(room, POWER_LEVELS, "").await?;
        let current = self.current_levels(giver, room).await?;
        let changed = change(current.as_ref(), creation);
        let Some(content) = changed.map_err(|no| Error::Forbidden(said(giver, &no)))? else {
            return Ok(());
        };
        let call = Call::put(path(room), &content)
            .by(Some(giver))
            .urgency(Urgency::Message);
        let answer: Value = self.client.ask(&call).await?;
        tracing::info!(room.id = %room, by = %giver, "power levels were changed");
        let event_id = answer.get("event_id").and_then(Value::as_str);
        let set = OwnState {
            kind: POWER_LEVELS.to_owned(),
            state_key: String::new(),
            sender: giver.clone(),
            content,
            event_id: event_id.map(str::to_owned),
        };
        self.rooms
            .note_state(room, set, before, self.now_ms())
            .await?;
        Ok(())
    }

    /// The power levels that the homeserver has now; `None` in a room without.
    async fn current_levels(&self, by: &UserId, room: &RoomId) -> Result<Option<Value>, Error> {
        match self.client.ask(&Call::get(path(room)).by(Some(by))).await {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn path(room: &RoomId) -> String {
    format!(
        "/_matrix/client/v3/rooms/{}/state/{POWER_LEVELS}/",
        escape(room.as_str())
    )
}

fn said(bot: &UserId, no: &NoGrant) -> String {
    match no {
        NoGrant::MayNotChange { needs, has } => {
            format!("{bot} cannot give it: changing power levels needs {needs}, and it has {has}")
        }
        NoGrant::MoreThanOwn { wanted, has } => {
            format!("{bot} cannot give {wanted}: it has no more than {has} itself")
        }
        NoGrant::TooLarge => format!(
            "{bot} cannot give it: the room's power levels name so many users that no more fit in; \
             lower what is needed instead"
        ),
    }
}
