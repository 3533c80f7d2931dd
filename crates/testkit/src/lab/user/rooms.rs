//! Rooms: making them, being in them, and who may do what there.

use bridgehead_appservice::id::{RoomId, UserId};
use http::Method;
use serde_json::{Value, json};

use super::{LabUser, parse, segment, what};
use crate::lab::CallError;

const V3: &str = "/_matrix/client/v3";

impl LabUser {
    /// Makes a public room of this name.
    ///
    /// # Errors
    /// See [`LabUser::call`].
    pub async fn create_room(&self, name: &str) -> Result<RoomId, CallError> {
        let body = json!({ "name": name, "preset": "public_chat" });
        self.create_room_with(&body).await
    }

    /// Makes a room from a whole body of `/createRoom`.
    ///
    /// # Errors
    /// See [`LabUser::call`].
    pub async fn create_room_with(&self, body: &Value) -> Result<RoomId, CallError> {
        let path = format!("{V3}/createRoom");
        let made = self.post(&path, body).await?;
        self.room(&what(&Method::POST, &path), &made, "room_id")
    }

    fn room(&self, what: &str, answer: &Value, key: &str) -> Result<RoomId, CallError> {
        let room = parse(what, answer, key, RoomId::parse)?;
        self.0.rooms.note(&room);
        Ok(room)
    }

    /// Joins a room by id or alias.
    ///
    /// # Errors
    /// See [`LabUser::call`].
    pub async fn join(&self, room_or_alias: impl AsRef<str>) -> Result<RoomId, CallError> {
        let path = format!("{V3}/join/{}", segment(room_or_alias.as_ref()));
        let joined = self.post(&path, &json!({})).await?;
        self.room(&what(&Method::POST, &path), &joined, "room_id")
    }

    /// Leaves a room, or refuses an invitation.
    ///
    /// # Errors
    /// See [`LabUser::call`].
    pub async fn leave(&self, room: &RoomId) -> Result<(), CallError> {
        self.act_in(room, "leave", &json!({})).await
    }

    /// Invites a user.
    ///
    /// # Errors
    /// See [`LabUser::call`].
    pub async fn invite(&self, room: &RoomId, user: &UserId) -> Result<(), CallError> {
        self.act_on(room, "invite", user).await
    }

    /// Removes a user from a room.
    ///
    /// # Errors
    /// See [`LabUser::call`].
    pub async fn kick(&self, room: &RoomId, user: &UserId) -> Result<(), CallError> {
        self.act_on(room, "kick", user).await
    }

    /// Removes a user from a room for good.
    ///
    /// # Errors
    /// See [`LabUser::call`].
    pub async fn ban(&self, room: &RoomId, user: &UserId) -> Result<(), CallError> {
        self.act_on(room, "ban", user).await
    }

    /// Lets a banned user come again.
    ///
    /// # Errors
    /// See [`LabUser::call`].
    pub async fn unban(&self, room: &RoomId, user: &UserId) -> Result<(), CallError> {
        self.act_on(room, "unban", user).await
    }

    async fn act_on(&self, room: &RoomId, act: &str, user: &UserId) -> Result<(), CallError> {
        self.act_in(room, act, &json!({ "user_id": user })).await
    }

    async fn act_in(&self, room: &RoomId, act: &str, body: &Value) -> Result<(), CallError> {
        let path = format!("{V3}/rooms/{}/{act}", segment(room.as_str()));
        self.post(&path, body).await.map(drop)
    }

    /// Replaces a room by a new one of this version; gives back the new one.
    ///
    /// # Errors
    /// See [`LabUser::call`].
    pub async fn upgrade_room(&self, room: &RoomId, version: &str) -> Result<RoomId, CallError> {
        let path = format!("{V3}/rooms/{}/upgrade", segment(room.as_str()));
        let upgraded = self.post(&path, &json!({ "new_version": version })).await?;
        self.room(&what(&Method::POST, &path), &upgraded, "replacement_room")
    }

    /// Points an alias, `#name:server`, to a room.
    ///
    /// # Errors
    /// See [`LabUser::call`].
    pub async fn set_alias(&self, room: &RoomId, alias: &str) -> Result<(), CallError> {
        let path = format!("{V3}/directory/room/{}", segment(alias));
        self.put(&path, &json!({ "room_id": room })).await.map(drop)
    }

    /// The content of a state event.
    ///
    /// # Errors
    /// 404 `M_NOT_FOUND` when there is none; else see [`LabUser::call`].
    pub async fn state(
        &self,
        room: &RoomId,
        kind: &str,
        state_key: &str,
    ) -> Result<Value, CallError> {
        self.get(&state_path(room, kind, state_key)).await
    }

    /// Sets state.
    ///
    /// # Errors
    /// See [`LabUser::call`].
    pub async fn set_state(
        &self,
        room: &RoomId,
        kind: &str,
        state_key: &str,
        content: &Value,
    ) -> Result<(), CallError> {
        let path = state_path(room, kind, state_key);
        self.put(&path, content).await.map(drop)
    }

    /// The content of `m.room.power_levels`.
    ///
    /// # Errors
    /// See [`LabUser::call`].
    pub async fn power_levels(&self, room: &RoomId) -> Result<Value, CallError> {
        self.state(room, "m.room.power_levels", "").await
    }

    /// Gives a user a power level.
    ///
    /// # Errors
    /// See [`LabUser::call`].
    pub async fn set_power(
        &self,
        room: &RoomId,
        user: &UserId,
        level: i64,
    ) -> Result<(), CallError> {
        let mut levels = self.power_levels(room).await?;
        levels["users"][user.as_str()] = level.into();
        self.set_state(room, "m.room.power_levels", "", &levels)
            .await
    }
}

fn state_path(room: &RoomId, kind: &str, state_key: &str) -> String {
    format!(
        "{V3}/rooms/{}/state/{}/{}",
        segment(room.as_str()),
        segment(kind),
        segment(state_key)
    )
}
