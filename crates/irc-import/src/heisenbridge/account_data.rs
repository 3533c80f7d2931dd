//! Reads heisenbridge's account data at the homeserver.

use std::{sync::Once, time::Duration};

use bridgehead_appservice::{
    Secret,
    id::{RoomId, UserId},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Client, StatusCode};
use serde_json::{Map, Value};

use crate::{Failure, Result, keys::Keys};

/// How long the homeserver may take for an answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Attempts where the homeserver asks for a pause, or fails.
const ATTEMPTS: u32 = 5;
/// Bytes of an answer at most.
const MAX_ANSWER: usize = 64 << 20;
/// Rooms that are read at most.
const MAX_ROOMS: usize = 20_000;

/// The way to the homeserver, as heisenbridge's user.
pub(crate) struct Reader {
    client: Client,
    homeserver: String,
    token: Secret,
    pub(crate) user: UserId,
}

/// A room that heisenbridge knows.
#[derive(Debug)]
pub(crate) struct OldRoom {
    pub(crate) id: RoomId,
    /// Such as `ChannelRoom`.
    pub(crate) kind: String,
    /// Whose it is.
    pub(crate) owner: UserId,
    /// The rest of what is kept of it.
    pub(crate) data: Map<String, Value>,
}

/// What was read of all rooms.
#[derive(Debug, Default)]
pub(crate) struct Rooms {
    pub(crate) rooms: Vec<OldRoom>,
    /// Rooms of which nothing sensible is kept.
    pub(crate) odd: Vec<String>,
}

impl OldRoom {
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.data.get(key)?.as_str().filter(|text| !text.is_empty())
    }
}

impl Reader {
    pub(crate) async fn connect(homeserver: &str, token: &Secret) -> Result<Self> {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            // Fails where the program has chosen one already, which is as good.
            rustls::crypto::ring::default_provider()
                .install_default()
                .ok();
        });
        let client = Client::builder().timeout(PATIENCE).build();
        let mut reader = Self {
            client: client.map_err(Failure::new)?,
            homeserver: homeserver.trim_end_matches('/').to_owned(),
            token: token.clone(),
            user: UserId::parse("@nobody:localhost").map_err(Failure::new)?,
        };
        let who = reader.get("account/whoami").await?.unwrap_or_default();
        let user = who
            .get("user_id")
            .and_then(Value::as_str)
            .unwrap_or_default();
        reader.user = UserId::parse(user).map_err(|error| Failure::at(homeserver, error))?;
        Ok(reader)
    }

    /// What is kept of the bridge as a whole.
    pub(crate) async fn own(&self) -> Result<Keys> {
        let path = format!("user/{}/account_data/irc", escape(self.user.as_str()));
        match self.get(&path).await? {
            Some(Value::Object(map)) => Ok(Keys::new(String::new(), map)),
            _ => Err(Failure::new(format!(
                "{} keeps nothing at {}: heisenbridge has not run there with this registration",
                self.user, self.homeserver
            ))),
        }
    }

    /// What is kept of the rooms: those of the bridge's owner first.
    pub(crate) async fn rooms(&self, own: &Keys) -> Result<Rooms> {
        let joined = self.get("joined_rooms").await?.unwrap_or_default();
        let ids = joined.get("joined_rooms").and_then(Value::as_array);
        let mut ids: Vec<&str> = ids
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        ids.sort_unstable();
        let mut read = Rooms::default();
        if ids.len() > MAX_ROOMS {
            return Err(Failure::new(format!(
                "heisenbridge is in {} rooms, and at most {MAX_ROOMS} are read",
                ids.len()
            )));
        }
        for id in ids {
            match self.room(id).await? {
                Ok(room) => read.rooms.push(room),
                Err(why) => read.odd.push(format!("{id}: {why}")),
            }
        }
        let owner = own.peek("owner").unwrap_or_default().to_owned();
        read.rooms
            .sort_by_key(|room| (room.owner.as_str() != owner, room.owner.to_string()));
        Ok(read)
    }

    async fn room(&self, id: &str) -> Result<Result<OldRoom, String>> {
        let user = escape(self.user.as_str());
        let path = format!("user/{user}/rooms/{}/account_data/irc", escape(id));
        let Some(Value::Object(data)) = self.get(&path).await? else {
            return Ok(Err("nothing is kept of it".to_owned()));
        };
        let text = |key: &str| data.get(key).and_then(Value::as_str);
        let parts = (
            RoomId::parse(id),
            text("type"),
            text("user_id").map(UserId::parse),
        );
        let (Ok(id), Some(kind), Some(Ok(owner))) = parts else {
            return Ok(Err("what is kept of it is not whole".to_owned()));
        };
        let kind = kind.to_owned();
        Ok(Ok(OldRoom {
            id,
            kind,
            owner,
            data,
        }))
    }

    /// Who is in a room: ids, and the names that are shown.
    pub(crate) async fn members(&self, room: &RoomId) -> Result<Vec<(UserId, Option<String>)>> {
        let path = format!("rooms/{}/joined_members", escape(room.as_str()));
        let answer = self.get(&path).await?.unwrap_or_default();
        let members = answer.get("joined").and_then(Value::as_object);
        let members = members.into_iter().flatten().filter_map(|(id, profile)| {
            let name = profile.get("display_name").and_then(Value::as_str);
            Some((UserId::parse(id).ok()?, name.map(str::to_owned)))
        });
        Ok(members.collect())
    }

    /// An answer; `None` where there is no such thing.
    async fn get(&self, path: &str) -> Result<Option<Value>> {
        let url = format!("{}/_matrix/client/v3/{path}", self.homeserver);
        let mut wait = Duration::from_millis(500);
        for attempt in 1.. {
            let asked = self
                .client
                .get(&url)
                .bearer_auth(self.token.expose())
                .send()
                .await;
            let why = match asked {
                Ok(answer) if answer.status() == StatusCode::NOT_FOUND => return Ok(None),
                Ok(answer) if answer.status().is_success() => return body(answer, &url).await,
                Ok(answer) => format!("the homeserver says {}", answer.status()),
                Err(error) => error.without_url().to_string(),
            };
            let is_final = why.contains(" 401") || why.contains(" 403") || attempt >= ATTEMPTS;
            if is_final {
                return Err(Failure::at(url, why));
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
        Ok(None)
    }
}

async fn body(mut answer: reqwest::Response, url: &str) -> Result<Option<Value>> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer
        .chunk()
        .await
        .map_err(|error| Failure::at(url, error))?
    {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MAX_ANSWER {
            return Err(Failure::at(url, "the answer is too large"));
        }
    }
    let value = serde_json::from_slice(&bytes);
    value.map(Some).map_err(|error| Failure::at(url, error))
}

fn escape(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
