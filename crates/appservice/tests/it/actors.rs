//! Ghosts, rooms and what they need of each other, on our real homeserver.

mod copy;
mod doors;
mod goals;
mod power;
mod scripted;
mod sends;
mod state;

use anyhow::Context as _;
use bridgehead_appservice::prelude::*;
use bridgehead_testkit::Client;
use serde_json::{Value, json};

use crate::harness::Pair;

/// A service with ghosts, and nothing to do by itself.
pub(crate) fn service() -> Service {
    Service::new("actors").bot("actorsbot").users("_act_{name}")
}

/// The service's own user.
const BOT: &str = "@actorsbot:localhost";

/// The user id of a ghost.
fn ghost_id(name: &str) -> String {
    format!("@_act_{name}:localhost")
}

fn room_id(id: &str) -> anyhow::Result<RoomId> {
    Ok(RoomId::parse(id)?)
}

/// A room of this person's, with the service's own user in it.
async fn shared_room(pair: &Pair, person: &Client, mut body: Value) -> anyhow::Result<RoomId> {
    body["invite"] = json!([BOT]);
    let room = room_id(&person.create_room(&body).await?)?;
    pair.running.bot().join(&room).await?;
    Ok(room)
}

/// All events of a room, oldest first.
async fn timeline(person: &Client, room: &RoomId) -> anyhow::Result<Vec<Value>> {
    let path = format!("/_matrix/client/v3/rooms/{room}/messages");
    let mut events = Vec::new();
    let mut from: Option<String> = None;
    loop {
        let mut query = vec![("dir", "b"), ("limit", "1000")];
        query.extend(from.as_deref().map(|from| ("from", from)));
        let page = person
            .expect_ok(reqwest::Method::GET, &path, &query, None)
            .await?;
        let chunk = page["chunk"].as_array().context("no chunk")?;
        events.extend(chunk.iter().cloned());
        from = page["end"].as_str().map(str::to_owned);
        if from.is_none() || chunk.is_empty() {
            break;
        }
    }
    events.reverse();
    Ok(events)
}

/// The memberships of a user in a room, one after another; changes of the profile are told by `name=…`.
async fn memberships(person: &Client, room: &RoomId, user: &str) -> anyhow::Result<Vec<String>> {
    let events = timeline(person, room).await?;
    let of_user = events
        .iter()
        .filter(|event| event["type"] == "m.room.member" && event["state_key"] == user);
    Ok(of_user
        .map(|event| {
            event["content"]["membership"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        })
        .collect())
}

/// How often somebody has said this.
async fn said(person: &Client, room: &RoomId, user: &str, body: &str) -> anyhow::Result<usize> {
    let events = timeline(person, room).await?;
    let said = events
        .iter()
        .filter(|event| event["sender"] == user && event["content"]["body"] == body);
    Ok(said.count())
}

/// What the room's rules say, as the error of an action.
fn forbidden<T: std::fmt::Debug>(outcome: Result<T, Error>) -> String {
    match outcome {
        Err(Error::Forbidden(text)) => text,
        other => panic!("not forbidden, but {other:?}"),
    }
}

async fn act(person: &Client, room: &RoomId, what: &str, body: Value) -> anyhow::Result<()> {
    let path = format!("/_matrix/client/v3/rooms/{room}/{what}");
    person
        .expect_ok(reqwest::Method::POST, &path, &[], Some(&body))
        .await
        .map(drop)
}

async fn set_state(
    person: &Client,
    room: &RoomId,
    kind: &str,
    content: Value,
) -> anyhow::Result<()> {
    let path = format!("/_matrix/client/v3/rooms/{room}/state/{kind}/");
    person
        .expect_ok(reqwest::Method::PUT, &path, &[], Some(&content))
        .await
        .map(drop)
}
