//! Into a room, whatever it takes: joining, being invited first, being unbanned first, by way of an alias, knocking.
//!
//! ```text
//! join ──▶ in
//!   │ 403
//!   ├─ banned ──▶ unbanned, where the caller asks for it ──▶ join
//!   ├─ invited by the service's own user, which joins first if it must, or by a ghost that may ──▶ join
//!   ├─ by the room's alias, where its servers are not known otherwise ──▶ join
//!   └─ knock, where the caller asks for it ──▶ a no, for now
//! ```
//!
//! Always the user itself joins, never its inviter in its place. A no is remembered for a while, so that a closed room
//! is not asked for every message; it is forgotten as soon as the room's rules change or somebody invites.

use std::{collections::BTreeSet, num::NonZeroUsize, time::Duration};

use lru::LruCache;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::preflight::Action;
use crate::{
    Error, Urgency,
    backoff::Growth,
    client::{Call, escape},
    core::Core,
    id::{RoomId, UserId},
    metrics::catalogue::JOINS,
    state::{Membership, Overheard, RoomView},
};

/// Refusals that are remembered.
const MAX_REFUSALS: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

/// How long a first refusal is remembered, and the longest that one is.
pub(super) const FIRST_REFUSAL: Duration = Duration::from_secs(15);
pub(super) const LONGEST_REFUSAL: Duration = Duration::from_secs(30 * 60);

/// Servers that are named when joining.
const MAX_VIA: usize = 5;

/// Users of the service's that are asked to invite another.
const INVITERS: usize = 3;

/// How to join a room.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct JoinOptions {
    via: Vec<String>,
    unban: bool,
    knock: bool,
    reason: Option<String>,
}

impl JoinOptions {
    /// As usual.
    pub fn new() -> Self {
        Self::default()
    }

    /// By way of this server, which is in the room; five of them are used.
    pub fn via(mut self, server: &str) -> Self {
        if self.via.len() < MAX_VIA && !self.via.iter().any(|known| known == server) {
            self.via.push(server.to_owned());
        }
        self
    }

    /// Has the service's own user lift a ban first, if it may.
    pub fn unban(mut self) -> Self {
        self.unban = true;
        self
    }

    /// Asks to be let in where nothing else helps. The room's people then decide; the join fails for now.
    pub fn knock(mut self) -> Self {
        self.knock = true;
        self
    }

    /// Why, in words for the room's people.
    pub fn reason(mut self, reason: &str) -> Self {
        self.reason = Some(reason.to_owned());
        self
    }
}

/// Rooms that have said no.
pub(super) struct Refusals(Mutex<LruCache<(RoomId, UserId), Refused>>);

struct Refused {
    error: Error,
    failures: u32,
    until_ms: i64,
}

impl Default for Refusals {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(MAX_REFUSALS)))
    }
}

impl Refusals {
    pub(super) fn standing(&self, key: &(RoomId, UserId), now_ms: i64) -> Option<Error> {
        let mut refusals = self.0.lock();
        let refused = refusals.get(key)?;
        (now_ms < refused.until_ms).then(|| refused.error.clone())
    }

    fn add(&self, key: &(RoomId, UserId), error: &Error, now_ms: i64, random: u64) {
        let mut refusals = self.0.lock();
        let failures = refusals.get(key).map_or(0, |refused| refused.failures) + 1;
        let wait = Growth::new(FIRST_REFUSAL, LONGEST_REFUSAL).wait(failures, random);
        let refused = Refused {
            error: error.clone(),
            failures,
            until_ms: now_ms + i64::try_from(wait.as_millis()).unwrap_or(i64::MAX / 2),
        };
        refusals.put(key.clone(), refused);
    }

    fn forget(&self, is_meant: impl Fn(&(RoomId, UserId)) -> bool) {
        let mut refusals = self.0.lock();
        if refusals.is_empty() {
            return;
        }
        let meant = refusals.iter().filter(|(key, _)| is_meant(key));
        let keys: Vec<_> = meant.map(|(key, _)| key.clone()).collect();
        for key in keys {
            refusals.pop(&key);
        }
    }
}

impl Core {
    /// Joins, unless the user is known to be in the room.
    pub(super) async fn join(
        &self,
        user: &UserId,
        room: &RoomId,
        options: &JoinOptions,
    ) -> Result<(), Error> {
        let key = (room.clone(), user.clone());
        let _flight = self.actors.joining.enter(&key).await;
        let view = self.rooms.view(room).await?;
        if view.membership(user) == Some(Membership::Join) {
            return Ok(());
        }
        // Whoever was in here before has just been refused.
        if let Some(error) = self.actors.refusals.standing(&key, self.now_ms()) {
            return Err(error);
        }
        self.enter(user, room, options).await
    }

    /// Joins, whatever is believed; for who is refused though it should be in the room.
    pub(super) async fn rejoin(&self, user: &UserId, room: &RoomId) -> Result<(), Error> {
        let key = (room.clone(), user.clone());
        let _flight = self.actors.joining.enter(&key).await;
        self.enter(user, room, &JoinOptions::default()).await
    }

    async fn enter(
        &self,
        user: &UserId,
        room: &RoomId,
        options: &JoinOptions,
    ) -> Result<(), Error> {
        self.ensure_registered(user).await?;
        let key = (room.clone(), user.clone());
        match self.let_in(user, room, options).await {
            Ok(()) => {
                self.rooms
                    .note_membership(room, user, Membership::Join, self.now_ms())
                    .await?;
                self.rooms.may_be_readable(room);
                self.actors.refusals.0.lock().pop(&key);
                self.actors.planner.reached(room, user, true).await;
                Ok(())
            }
            Err(error) => {
                // Neither an outage nor a token that is not known says anything of the room.
                if !error.may_pass() && !matches!(error, Error::PuppetLost(_)) {
                    let random = self.surroundings.randomness.below(u64::MAX);
                    let now_ms = self.now_ms();
                    self.actors.refusals.add(&key, &error, now_ms, random);
                }
                Err(error)
            }
        }
    }

    async fn let_in(
        &self,
        user: &UserId,
        room: &RoomId,
        options: &JoinOptions,
    ) -> Result<(), Error> {
        let refused = match self.post_join(user, room, options).await {
            Ok(()) => return Ok(()),
            Err(error) if is_no(&error) => error,
            Err(error) => return Err(error),
        };
        if self.join_by_alias(user, room).await? {
            return Ok(());
        }
        let inviter = self.invite_in(user, room, options).await;
        match inviter {
            Ok(true) => return Ok(()),
            // The invited user joins: an inviter that is in the room itself has helped nobody.
            Ok(false) => return self.post_join(user, room, options).await,
            Err(error) if error.may_pass() => return Err(error),
            Err(error) => {
                tracing::debug!(room.id = %room, user.id = %user, %error, "nobody can invite");
            }
        }
        if options.knock {
            return Err(self.knock(user, room, options).await?);
        }
        let view = self.rooms.view(room).await?;
        Err(match self.check_action(&view, user, &Action::Join) {
            Some(refusal) => refusal.into_error(),
            None => refused,
        })
    }

    async fn post_join(
        &self,
        user: &UserId,
        room: &RoomId,
        options: &JoinOptions,
    ) -> Result<(), Error> {
        let view = self.rooms.view(room).await?;
        let path = format!("/_matrix/client/v3/join/{}", escape(room.as_str()));
        let call = self.joining(Call::post(path, &reason(options)), user);
        let call = with_servers(call, &servers(&view, &self.server_name, options));
        let joined = self.client.ask::<Value>(&call).await.map(drop);
        let outcome = if joined.is_ok() { "joined" } else { "failed" };
        self.metrics.count(&JOINS, &[outcome], 1);
        joined
    }

    fn joining(&self, call: Call, user: &UserId) -> Call {
        call.by(Some(user)).urgency(Urgency::Membership)
    }

    /// Joins by the room's main alias, if it is known and still the room's: the homeserver then learns which servers
    /// are in the room.
    async fn join_by_alias(&self, user: &UserId, room: &RoomId) -> Result<bool, Error> {
        let view = self.rooms.view(room).await?;
        let is_remote = |alias: &crate::id::RoomAlias| *alias.server() != *self.server_name;
        let Some(alias) = view.canonical_alias().filter(is_remote) else {
            return Ok(false);
        };
        match self.resolve_alias(&alias).await? {
            Some((id, _)) if id == *room => {}
            _ => return Ok(false),
        }
        let path = format!("/_matrix/client/v3/join/{}", escape(alias.as_str()));
        let call = self.joining(Call::post(path, &json!({})), user);
        match self.client.ask::<Value>(&call).await {
            Ok(_) => Ok(true),
            Err(error) if is_no(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Has somebody of the service's who is in the room invite a user; `true` when the user is in already.
    async fn invite_in(
        &self,
        user: &UserId,
        room: &RoomId,
        options: &JoinOptions,
    ) -> Result<bool, Error> {
        if *user != self.bot {
            // The service's own user is the one who may, if anybody.
            self.bring_bot(room, options).await?;
        }
        let view = self.known_view(room).await?;
        if view.membership(user) == Some(Membership::Ban) {
            if !options.unban {
                return Err(self.refused_join(&view, user));
            }
            self.post_unban(user, room).await?;
            // What is open to all needs no invitation.
            if self.post_join(user, room, options).await.is_ok() {
                return Ok(true);
            }
        }
        let mut last = None;
        for inviter in self.inviters(&view, user) {
            match self.post_invite(&inviter, user, room).await {
                Ok(()) => return Ok(false),
                Err(error) if is_no(&error) => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(|| self.refused_join(&view, user)))
    }

    fn refused_join(&self, view: &RoomView, user: &UserId) -> Error {
        let refusal = self.check_action(view, user, &Action::Join);
        refusal.map_or_else(
            || {
                Error::Forbidden(format!(
                    "nobody of the service's can invite {user} into {}",
                    view.room_id
                ))
            },
            super::preflight::Refusal::into_error,
        )
    }

    /// The service's own user first, then others who are in the room.
    fn inviters(&self, view: &RoomView, user: &UserId) -> Vec<UserId> {
        let is_in = view.membership(&self.bot) == Some(Membership::Join);
        let bot = is_in.then(|| self.bot.clone());
        let others = self.own_joined(view).into_iter();
        let others = others.filter(|inviter| *inviter != self.bot).take(INVITERS);
        bot.into_iter()
            .chain(others)
            .filter(|inviter| inviter != user)
            .filter(|inviter| {
                self.check_action(view, inviter, &Action::Invite { target: user })
                    .is_none()
            })
            .collect()
    }

    /// Brings the service's own user into the room, if the room lets it. That it does not is no error: others may do
    /// without it.
    async fn bring_bot(&self, room: &RoomId, options: &JoinOptions) -> Result<(), Error> {
        let view = self.rooms.view(room).await?;
        if view.membership(&self.bot) == Some(Membership::Join) {
            return Ok(());
        }
        let key = (room.clone(), self.bot.clone());
        if self.actors.refusals.standing(&key, self.now_ms()).is_some()
            || self.removed_by(&self.bot, room).await?.is_some()
        {
            return Ok(());
        }
        self.ensure_registered(&self.bot).await?;
        match self.post_join(&self.bot, room, options).await {
            Ok(()) => {
                self.rooms
                    .note_membership(room, &self.bot, Membership::Join, self.now_ms())
                    .await?;
                self.rooms.may_be_readable(room);
                Ok(())
            }
            Err(error) if is_no(&error) => {
                let random = self.surroundings.randomness.below(u64::MAX);
                self.actors
                    .refusals
                    .add(&key, &error, self.now_ms(), random);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    async fn post_invite(
        &self,
        inviter: &UserId,
        user: &UserId,
        room: &RoomId,
    ) -> Result<(), Error> {
        let path = format!("/_matrix/client/v3/rooms/{}/invite", escape(room.as_str()));
        let call = Call::post(path, &json!({ "user_id": user }));
        self.client
            .ask::<Value>(&self.joining(call, inviter))
            .await
            .map(drop)
    }

    async fn post_unban(&self, user: &UserId, room: &RoomId) -> Result<(), Error> {
        let path = format!("/_matrix/client/v3/rooms/{}/unban", escape(room.as_str()));
        let call = Call::post(path, &json!({ "user_id": user }));
        self.client
            .ask::<Value>(&self.joining(call, &self.bot))
            .await
            .map(drop)
    }

    /// Asks to be let in; gives back what is to be told to who wanted to be in at once.
    async fn knock(
        &self,
        user: &UserId,
        room: &RoomId,
        options: &JoinOptions,
    ) -> Result<Error, Error> {
        let view = self.rooms.view(room).await?;
        if let Some(refusal) = self.check_action(&view, user, &Action::Knock) {
            return Ok(refusal.into_error());
        }
        let path = format!("/_matrix/client/v3/knock/{}", escape(room.as_str()));
        let call = self.joining(Call::post(path, &reason(options)), user);
        let call = with_servers(call, &servers(&view, &self.server_name, options));
        self.client.ask::<Value>(&call).await?;
        Ok(Error::Forbidden(format!(
            "{user} has asked to be let into {room}: somebody there has to let it in"
        )))
    }

    /// What was refused before is asked for again when it is wanted.
    pub(crate) fn forget_refusals(&self, room: &RoomId) {
        self.actors.refusals.forget(|(id, _)| id == room);
        self.rooms.may_be_readable(room);
    }

    /// The same in all rooms, for a user as whom more can be done than before.
    pub(crate) fn forget_refusals_of(&self, user: &UserId) {
        self.actors.refusals.forget(|(_, id)| id == user);
    }

    /// The stream has told of changes: what was refused in rooms that they may have opened is forgotten. Gives these
    /// back, for [`Self::reopen`].
    pub(crate) fn overheard(&self, news: &[Overheard]) -> BTreeSet<RoomId> {
        let opened = news
            .iter()
            .filter(|news| news.may_open(|user| self.is_own(user)));
        let opened: BTreeSet<RoomId> = opened.map(|news| news.room_id().clone()).collect();
        for room in &opened {
            self.actors.refusals.forget(|(id, _)| id == room);
        }
        opened
    }

    /// What bridges hold for want of being let in is tried again where the stream has told of that.
    pub(crate) async fn release_held(&self, news: &[Overheard]) {
        for news in news {
            if let Some(ghost) = news.lets_in(|user| self.is_own(user), &self.bot) {
                self.bridges.let_in(news.room_id(), ghost.as_ref()).await;
            }
        }
    }

    /// Looks again at the goals of rooms that may let in whom they have refused.
    pub(crate) async fn reopen(&self, rooms: BTreeSet<RoomId>) {
        for room in rooms {
            self.actors.planner.reopen(&room, self.now_ms()).await;
        }
    }
}

/// Whether it is a no of the room's or the homeserver's, as opposed to no answer, and to one about the token (401).
fn is_no(error: &Error) -> bool {
    matches!(error, Error::Forbidden(_)) || matches!(error.status(), Some(400 | 402..=404))
}

fn reason(options: &JoinOptions) -> Value {
    match &options.reason {
        Some(reason) => json!({ "reason": reason }),
        None => json!({}),
    }
}

/// Servers by which the room can be found: those that were named, the one of its id, those of its members.
fn servers(view: &RoomView, own: &str, options: &JoinOptions) -> Vec<String> {
    let named = options.via.iter().cloned();
    let of_id = view
        .room_id
        .as_str()
        .split_once(':')
        .map(|(_, server)| server.to_owned());
    let members = view.members().filter(|member| member.is_joined());
    let mut of_members: Vec<String> = members
        .map(|member| member.user_id.server().to_owned())
        .filter(|server| server != own)
        .take(256)
        .collect();
    of_members.sort();
    of_members.dedup();
    let mut servers: Vec<String> = Vec::new();
    for server in named.chain(of_id).chain(of_members) {
        if server != own && !servers.contains(&server) && servers.len() < MAX_VIA {
            servers.push(server);
        }
    }
    servers
}

/// Both names of the parameter: the second is that of before version 1.12.
fn with_servers(call: Call, servers: &[String]) -> Call {
    servers.iter().fold(call, |call, server| {
        call.query("via", server.as_str())
            .query("server_name", server.as_str())
    })
}
