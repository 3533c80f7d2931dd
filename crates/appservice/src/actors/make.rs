//! Making rooms, each once.
//!
//! ```text
//! note on disk ─▶ PUT /createRoom/{token} ─▶ what it was made for is stored, the note goes
//!       ▲             └── no answer, crash
//!       └──────────────────────┘ again: is there a room whose creation has the token? ─▶ it is that one
//!                                   no ─▶ the same request
//! ```
//!
//! The transaction id was in the specification's first versions; homeservers that have kept it (Synapse, Bridgehead)
//! join a call that is still under way, and give the same room to a repeated one. Synapse forgets it after half an hour
//! and when it is restarted, and others do not know it: then the room itself tells.

use std::{sync::atomic::Ordering, time::Duration};

use http::Method;
use serde_json::Value;

use super::rooms::Act;
use crate::{
    Error, RoomPlan,
    client::{Call, escape},
    core::Core,
    id::{RoomId, UserId},
    state::{Membership, RoomView},
    store::MakingRow,
    surroundings::TransportError,
};

/// How often a room is tried to be made.
const MAKE_ATTEMPTS: u32 = 6;

/// How long a homeserver that knows no transaction ids here may take to make a room. Only then is it looked for, and
/// asked for again.
const SETTLING: Duration = Duration::from_secs(30);

/// What a room's creation has the token under.
const MARK: &str = "io.bridgehead.making";

/// Rooms that are looked at to find one.
const MAX_ROOMS: usize = 1000;

/// A room to be made, and how far it is.
struct Making {
    user: UserId,
    plan: RoomPlan,
    /// What it is made for; `None` where nobody will ask for it again.
    name: Option<String>,
    token: String,
    /// Since when it may have been made without our knowing.
    open_ms: Option<i64>,
}

impl Core {
    /// Makes a room as the service's own user.
    pub(crate) async fn create_room(&self, plan: RoomPlan) -> Result<RoomId, Error> {
        self.create_room_as(&self.bot, plan).await
    }

    /// Makes a room that nobody will ask for again.
    pub(crate) async fn create_room_as(
        &self,
        user: &UserId,
        plan: RoomPlan,
    ) -> Result<RoomId, Error> {
        self.ensure_registered(user).await?;
        let mut making = Making {
            user: user.clone(),
            plan,
            name: None,
            token: self.surroundings.randomness.hex(32),
            open_ms: None,
        };
        self.make(&mut making).await
    }

    /// Makes the room for what has this name, or finds the one that an attempt before has made. Whoever calls stores
    /// the room, and ends the making ([`Unit::end_making`](crate::store::Unit::end_making)) in the same unit of work.
    pub(crate) async fn make_named(
        &self,
        user: &UserId,
        plan: RoomPlan,
        name: &str,
    ) -> Result<RoomId, Error> {
        self.ensure_registered(user).await?;
        let (id, now_ms) = (name.to_owned(), self.now_ms());
        let token = self.surroundings.randomness.hex(32);
        let begun = self
            .store
            .write(move |unit| unit.begin_making(&id, &token, now_ms));
        let MakingRow { token, asked_ms } = begun.await?;
        let mut making = Making {
            user: user.clone(),
            plan,
            name: Some(name.to_owned()),
            token,
            open_ms: asked_ms,
        };
        let made = self.make(&mut making).await;
        if made.is_err() && making.open_ms.is_none() {
            // Nothing was made, for certain.
            let name = name.to_owned();
            self.store
                .write_later(move |unit| unit.end_making(&name))
                .await;
        }
        made
    }

    /// Makes a room, unless the effect of this name has made one.
    pub(super) async fn create_once(
        &self,
        user: &UserId,
        plan: RoomPlan,
        name: &str,
    ) -> Result<RoomId, Error> {
        let _flight = self.actors.making.enter(&name.to_owned()).await;
        let key = name.to_owned();
        let made = self.store.read(move |unit| unit.kv("made", &key)).await?;
        if let Some(room_id) = made {
            return Ok(RoomId::parse(&room_id)?);
        }
        let making = format!("effect/{name}");
        let room_id = self.make_named(user, plan, &making).await?;
        let (key, id) = (name.to_owned(), room_id.to_string());
        self.store
            .write(move |unit| {
                unit.put_kv("made", &key, &id)?;
                unit.end_making(&making)
            })
            .await?;
        Ok(room_id)
    }

    /// The room of two users.
    pub(super) async fn direct_room(&self, user: &UserId, other: &UserId) -> Result<RoomId, Error> {
        let name = format!("{user} {other}");
        let _flight = self.actors.making.enter(&name).await;
        let key = name.clone();
        let known = self.store.read(move |unit| unit.kv("direct", &key)).await?;
        if let Some(room_id) = known.and_then(|id| RoomId::parse(&id).ok())
            && self.is_shared(&room_id, user, other).await?
        {
            return Ok(room_id);
        }
        let plan = RoomPlan::direct().invite([other]);
        let making = format!("direct/{name}");
        let room_id = self.make_named(user, plan, &making).await?;
        let id = room_id.to_string();
        self.store
            .write(move |unit| {
                unit.put_kv("direct", &name, &id)?;
                unit.end_making(&making)
            })
            .await?;
        Ok(room_id)
    }

    async fn is_shared(&self, room: &RoomId, user: &UserId, other: &UserId) -> Result<bool, Error> {
        let view = self.known_view(room).await?;
        let is_in = view.membership(user) == Some(Membership::Join);
        // An invitation that was not heard of yet is as good as one.
        let is_other_in = !matches!(
            view.membership(other),
            Some(Membership::Leave | Membership::Ban)
        );
        Ok(is_in && is_other_in)
    }

    /// Asks until there is an answer, as often as that does no harm.
    async fn make(&self, making: &mut Making) -> Result<RoomId, Error> {
        let mut attempt = 0;
        loop {
            if let Some(room_id) = self.made_before(making).await? {
                return self.adopt(making, room_id).await;
            }
            let by_post = self.actors.makes_by_post.load(Ordering::Relaxed);
            let error = match self.post_making(making, by_post).await {
                Ok(room_id) => {
                    self.note_made(making, &room_id).await?;
                    return Ok(room_id);
                }
                Err(error) if !by_post && is_unrecognized(&error) => {
                    tracing::debug!(%error, "this homeserver makes rooms without a transaction id");
                    self.actors.makes_by_post.store(true, Ordering::Relaxed);
                    continue;
                }
                Err(error) => error,
            };
            attempt += 1;
            let may_be_made = may_be_made(&error);
            if may_be_made {
                making.open_ms = Some(self.now_ms());
            }
            // Without a transaction id, a room that is still being made would be made a second time.
            if !error.is_transient() || attempt >= MAKE_ATTEMPTS || (may_be_made && by_post) {
                return Err(error);
            }
            tokio::time::sleep(self.client.wait_before_retry(&error, attempt)).await;
        }
    }

    async fn post_making(&self, making: &Making, by_post: bool) -> Result<RoomId, Error> {
        if let Some(name) = making.name.clone().filter(|_| making.open_ms.is_some()) {
            let now_ms = self.now_ms();
            self.store
                .write(move |unit| unit.ask_making(&name, now_ms))
                .await?;
        }
        let (method, path) = match by_post {
            true => (Method::POST, "/_matrix/client/v3/createRoom".to_owned()),
            false => (
                Method::PUT,
                format!("/_matrix/client/v3/createRoom/{}", making.token),
            ),
        };
        let plan = making.plan.clone().marked(MARK, &making.token);
        let call = Call::new(method, path)
            .json(&Value::Object(plan.body))
            .by(Some(&making.user));
        let answer: Value = self.client.call(&call).await?;
        let room_id = answer.get("room_id").and_then(Value::as_str);
        RoomId::parse(room_id.unwrap_or_default()).map_err(|error| Error::Nonsense {
            what: call.name(),
            why: error.to_string(),
        })
    }

    async fn note_made(&self, making: &Making, room_id: &RoomId) -> Result<(), Error> {
        self.rooms
            .note_membership(room_id, &making.user, Membership::Join, self.now_ms())
            .await?;
        Ok(())
    }

    /// The room that an earlier attempt has made, if there was one that may have.
    async fn made_before(&self, making: &Making) -> Result<Option<RoomId>, Error> {
        let Some(open_ms) = making.open_ms else {
            return Ok(None);
        };
        if self.actors.makes_by_post.load(Ordering::Relaxed) {
            let since = u64::try_from(self.now_ms() - open_ms).unwrap_or(0);
            tokio::time::sleep(SETTLING.saturating_sub(Duration::from_millis(since))).await;
        }
        let token = making.token.clone();
        let heard = self
            .store
            .read(move |unit| unit.room_created_with(MARK, &token))
            .await?;
        let heard = heard.and_then(|id| RoomId::parse(&id).ok());
        let found = match heard {
            Some(room_id) => Some(room_id),
            None => self.find_marked(making).await?,
        };
        match found {
            Some(room_id) if self.is_complete(making, &room_id).await? => Ok(Some(room_id)),
            _ => Ok(None),
        }
    }

    /// Looks through the rooms of whoever makes it whose creation was not heard of.
    async fn find_marked(&self, making: &Making) -> Result<Option<RoomId>, Error> {
        for room_id in self.joined_rooms(&making.user).await? {
            let known = self.rooms.event_of(&room_id, "m.room.create", "").await?;
            if known.is_some() {
                continue;
            }
            let creation = self.state_now(making, &room_id, "m.room.create").await?;
            let mark = creation.as_ref().and_then(|creation| creation.get(MARK));
            if mark.and_then(Value::as_str) == Some(making.token.as_str()) {
                return Ok(Some(room_id));
            }
        }
        Ok(None)
    }

    /// Whether a room has what comes last of what all rooms have. Where it has not, it is being made at this moment,
    /// or the homeserver has ended half-way.
    async fn is_complete(&self, making: &Making, room_id: &RoomId) -> Result<bool, Error> {
        let rules = self.state_now(making, room_id, "m.room.join_rules").await?;
        Ok(rules.is_some())
    }

    async fn state_now(
        &self,
        making: &Making,
        room_id: &RoomId,
        kind: &str,
    ) -> Result<Option<Value>, Error> {
        let room = escape(room_id.as_str());
        let path = format!("/_matrix/client/v3/rooms/{room}/state/{kind}/");
        match self
            .client
            .ask(&Call::get(path).by(Some(&making.user)))
            .await
        {
            Ok(content) => Ok(Some(content)),
            Err(error) if matches!(error.status(), Some(403 | 404)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes a room that was found for the one to be made. Invitations come last, and may be missing.
    async fn adopt(&self, making: &Making, room_id: RoomId) -> Result<RoomId, Error> {
        tracing::info!(room.id = %room_id, "a room was found that an earlier attempt has made");
        self.note_made(making, &room_id).await?;
        let view = self.known_view(&room_id).await?;
        for user in making.plan.invited() {
            if !is_told(&view, &user) {
                self.invite_again(making, &room_id, &user).await?;
            }
        }
        Ok(room_id)
    }

    async fn invite_again(
        &self,
        making: &Making,
        room_id: &RoomId,
        user: &UserId,
    ) -> Result<(), Error> {
        let invited = self.moderate(&making.user, room_id, Act::Invite, (user, None));
        match invited.await {
            Err(error) if error.may_pass() => Err(error),
            Err(error) => {
                tracing::warn!(room.id = %room_id, user.id = %user, %error, "not invited");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// The rooms that a user has joined, as the homeserver knows; at most a thousand.
    pub(crate) async fn joined_rooms(&self, user: &UserId) -> Result<Vec<RoomId>, Error> {
        let call = Call::get("/_matrix/client/v3/joined_rooms").by(Some(user));
        let answer: Value = self.client.ask(&call).await?;
        let rooms = answer.get("joined_rooms").and_then(Value::as_array);
        let ids = rooms.into_iter().flatten().filter_map(Value::as_str);
        Ok(ids
            .filter_map(|id| RoomId::parse(id).ok())
            .take(MAX_ROOMS)
            .collect())
    }
}

/// Whether somebody has been invited, or more; who has left again is not asked again.
fn is_told(view: &RoomView, user: &UserId) -> bool {
    view.membership(user).is_some()
}

/// Whether a room may be there though the answer does not tell.
fn may_be_made(error: &Error) -> bool {
    let is_unmade =
        error.is_rate_limit() || matches!(error, Error::Transport(TransportError::Unreachable(_)));
    error.is_transient() && !is_unmade
}

/// Whether the homeserver does not know the endpoint.
fn is_unrecognized(error: &Error) -> bool {
    error.errcode() == Some("M_UNRECOGNIZED")
        || (matches!(error.status(), Some(404 | 405)) && error.errcode().is_none())
}
