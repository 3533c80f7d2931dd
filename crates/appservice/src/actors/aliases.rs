//! Aliases of rooms.

use serde_json::{Value, json};

use crate::{
    Error,
    client::{Call, escape},
    core::Core,
    id::{RoomAlias, RoomId, UserId},
};

fn path(alias: &RoomAlias) -> String {
    format!(
        "/_matrix/client/v3/directory/room/{}",
        escape(alias.as_str())
    )
}

impl Core {
    /// Gives a room an alias. One that it has already is no error.
    pub(super) async fn set_alias(
        &self,
        user: &UserId,
        room: &RoomId,
        alias: &RoomAlias,
    ) -> Result<(), Error> {
        self.ensure_registered(user).await?;
        let call = Call::put(path(alias), &json!({ "room_id": room })).by(Some(user));
        match self.client.ask::<Value>(&call).await {
            Ok(_) => Ok(()),
            Err(error) if error.status() == Some(409) => match self.resolve_alias(alias).await? {
                Some((id, _)) if id == *room => Ok(()),
                _ => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// Takes an alias away; `false` when no room has it.
    pub(super) async fn remove_alias(
        &self,
        user: &UserId,
        alias: &RoomAlias,
    ) -> Result<bool, Error> {
        self.ensure_registered(user).await?;
        let call = Call::new(http::Method::DELETE, path(alias)).by(Some(user));
        match self.client.ask::<Value>(&call).await {
            Ok(_) => Ok(true),
            Err(error) if error.status() == Some(404) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Which room an alias belongs to, and servers that are in it.
    pub(crate) async fn resolve_alias(
        &self,
        alias: &RoomAlias,
    ) -> Result<Option<(RoomId, Vec<String>)>, Error> {
        let answer: Value = match self.client.ask(&Call::get(path(alias))).await {
            Ok(answer) => answer,
            Err(error) if error.status() == Some(404) => return Ok(None),
            Err(error) => return Err(error),
        };
        let room_id = answer.get("room_id").and_then(Value::as_str);
        let servers = answer.get("servers").and_then(Value::as_array);
        let servers = servers.into_iter().flatten();
        let servers = servers.filter_map(|server| server.as_str().map(str::to_owned));
        Ok(Some((
            RoomId::parse(room_id.unwrap_or_default())?,
            servers.take(16).collect(),
        )))
    }
}
