//! What an actor needs before it acts: to be registered, to have joined.

use std::sync::Arc;

use rusqlite::params;
use serde_json::{Value, json};

use crate::{
    Error, Urgency,
    client::{Call, escape},
    core::Core,
    handler::{GhostPlan, RoomPlan, Scope},
    id::{EventId, RoomId, UserId},
    metrics::catalogue::{GHOSTS_REGISTERED, JOINS},
    outbox::Outgoing,
    store::{Result as StoreResult, Tx, Unit},
};

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
        self.outbox.wake_new().await;
        Ok(())
    }

    /// Makes sure that the homeserver has this user.
    pub(crate) async fn ensure_registered(&self, user: &UserId) -> Result<(), Error> {
        if !self.is_own(user) {
            // A person: they have an account.
            return Ok(());
        }
        let id = user.to_string();
        if self.store.read(move |unit| unit.is_registered(&id)).await? {
            return Ok(());
        }
        self.register(user).await?;
        self.metrics.count(&GHOSTS_REGISTERED, &[], 1);
        let (id, now_ms) = (user.to_string(), self.now_ms());
        self.store
            .write(move |unit| unit.insert_ghost(&id, now_ms))
            .await?;
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

    /// Makes sure that this user of the service's is in the room: registered, and let in by the service's own user
    /// where the room is not open.
    pub(crate) async fn ensure_joined(&self, user: &UserId, room: &RoomId) -> Result<(), Error> {
        let (room_id, id) = (room.to_string(), user.to_string());
        if self
            .store
            .read(move |unit| unit.membership(&room_id, &id))
            .await?
            .as_deref()
            == Some("join")
        {
            return Ok(());
        }
        self.ensure_registered(user).await?;
        match self.join(user, room).await {
            Err(error) if error.status() == Some(403) && *user != self.bot => {
                self.invite(user, room).await?;
                self.join(user, room).await?;
            }
            other => other?,
        }
        let (room_id, id, now_ms) = (room.to_string(), user.to_string(), self.now_ms());
        self.store
            .write(move |unit| unit.note_joined(&room_id, &id, now_ms))
            .await?;
        Ok(())
    }

    async fn join(&self, user: &UserId, room: &RoomId) -> Result<(), Error> {
        let path = format!("/_matrix/client/v3/join/{}", escape(room.as_str()));
        let call = Call::post(path, &json!({}))
            .by(Some(user))
            .urgency(Urgency::Membership);
        let joined = self.client.ask::<Value>(&call).await.map(drop);
        let outcome = if joined.is_ok() { "joined" } else { "failed" };
        self.metrics.count(&JOINS, &[outcome], 1);
        joined
    }

    async fn invite(&self, user: &UserId, room: &RoomId) -> Result<(), Error> {
        let path = format!("/_matrix/client/v3/rooms/{}/invite", escape(room.as_str()));
        let body = json!({ "user_id": user.as_str() });
        let call = Call::post(path, &body).urgency(Urgency::Membership);
        self.client.ask::<Value>(&call).await.map(drop)
    }

    /// Makes a room as the service's own user.
    pub(crate) async fn create_room(&self, plan: RoomPlan) -> Result<RoomId, Error> {
        self.ensure_registered(&self.bot).await?;
        let call = Call::post("/_matrix/client/v3/createRoom", &Value::Object(plan.body));
        let answer: Value = self.client.ask(&call).await?;
        let room_id = answer
            .get("room_id")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let room_id = RoomId::parse(room_id)?;
        let (id, bot, now_ms) = (room_id.to_string(), self.bot.to_string(), self.now_ms());
        self.store
            .write(move |unit| unit.note_joined(&id, &bot, now_ms))
            .await?;
        Ok(room_id)
    }

    /// Makes a ghost with a profile.
    pub(crate) async fn make_ghost(
        self: &Arc<Self>,
        user: &UserId,
        plan: &GhostPlan,
    ) -> Result<(), Error> {
        self.ensure_registered(user).await?;
        let wanted = [
            ("displayname", &plan.displayname),
            ("avatar_url", &plan.avatar_url),
        ];
        for (field, value) in wanted {
            let Some(value) = value else { continue };
            let path = format!(
                "/_matrix/client/v3/profile/{}/{field}",
                escape(user.as_str())
            );
            let call = Call::put(path, &json!({ field: value }))
                .by(Some(user))
                .urgency(Urgency::Profile);
            self.client.ask::<Value>(&call).await?;
        }
        Ok(())
    }
}

impl Unit<'_> {
    fn is_registered(&self, user: &str) -> StoreResult<bool> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT 1 FROM ghosts WHERE user_id = ?1")?;
        Ok(statement.exists([user])?)
    }

    fn insert_ghost(&self, user: &str, now_ms: i64) -> StoreResult<()> {
        self.connection
            .prepare_cached(
                "INSERT OR IGNORE INTO ghosts (user_id, registered_ms) VALUES (?1, ?2)",
            )?
            .execute(params![user, now_ms])?;
        Ok(())
    }

    fn membership(&self, room: &str, user: &str) -> StoreResult<Option<String>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT content ->> 'membership' FROM state
             WHERE room_id = ?1 AND kind = 'm.room.member' AND state_key = ?2",
        )?;
        let mut rows = statement.query([room, user])?;
        Ok(rows.next()?.map(|row| row.get(0)).transpose()?.flatten())
    }

    fn note_joined(&self, room: &str, user: &str, now_ms: i64) -> StoreResult<()> {
        self.connection
            .prepare_cached(
                "INSERT INTO state (room_id, kind, state_key, sender, sent_ms, content)
                 VALUES (?1, 'm.room.member', ?2, ?2, ?3, '{\"membership\":\"join\"}')
                 ON CONFLICT (room_id, kind, state_key) DO UPDATE
                 SET content = json_set(content, '$.membership', 'join'), sent_ms = max(sent_ms, excluded.sent_ms)",
            )?
            .execute(params![room, user, now_ms])?;
        Ok(())
    }
}
