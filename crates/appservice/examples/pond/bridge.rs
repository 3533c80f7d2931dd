//! The bridge: portals, ghosts, both directions, commands.

// ANCHOR: head
use std::time::Duration;

use bridgehead_appservice::{
    format::content::{Kind, Profile},
    prelude::*,
    store::{Migration, StoreError},
};
use serde::Deserialize;

use super::link::{Dial, Link, Said};

/// The wait before the Pond is dialled again.
const DIAL_AGAIN: Duration = Duration::from_secs(5);
/// What ids on the Pond begin with that are events of Matrix.
const OURS: &str = "matrix:";
/// Who speaks for the Pond itself.
const POND: &str = "*";
// ANCHOR_END: head

// ANCHOR: tables
const PORTALS: Migration = Migration {
    name: "portals",
    sql: "CREATE TABLE portals (room TEXT PRIMARY KEY, channel TEXT NOT NULL UNIQUE)",
};
// ANCHOR_END: tables

// ANCHOR: service
/// The bridge, to a Pond that is reached like this.
pub(crate) fn service(dial: Dial) -> Service {
    Service::new("pond")
        .bot("pondbot")
        .users("_pond_{nick}")
        .aliases("#pond_{channel}")
        .migrations(&[PORTALS])
        .state(Link::new(dial))
        .on_alias(portal)
        .on(link)
        .on(command)
        .on(to_pond)
        .on_start(connect)
}
// ANCHOR_END: service

// ANCHOR: portal
/// The state event that says which channel a room belongs to.
#[derive(Deserialize)]
struct Portal {
    channel: String,
}

impl StateKind for Portal {
    const KIND: &'static str = "org.example.pond.portal";
}

/// Somebody asks for `#pond_lobby`: there is a room for every channel.
async fn portal(ask: AliasAsk) -> RoomPlan {
    let channel = &ask["channel"];
    RoomPlan::public()
        .name(channel)
        .topic("a channel of the Pond")
        .state(Portal::KIND, "", serde_json::json!({ "channel": channel }))
}

/// The room was made: remembered together with the event that says so. What others claim is not believed.
async fn link(portal: StateEvent<Portal>, room: Room, bot: Bot, tx: Tx) {
    if portal.event.sender == *bot.id() {
        tx.execute(
            "INSERT OR IGNORE INTO portals (room, channel) VALUES (?1, ?2)",
            [(&room.id).into(), portal.content.channel.into()],
        );
    }
}
// ANCHOR_END: portal

// ANCHOR: to_pond
/// Matrix → Pond.
async fn to_pond(
    message: Message,
    room: Room,
    link: State<Link>,
    tx: Tx,
) -> Result<Verdict, HandlerError> {
    let Some(channel) = channel_of(&tx, &room.id).await? else {
        return Ok(Verdict::Done);
    };
    // One line about whatever was sent: pictures and polls too.
    let Some(text) = Content::of(&message.event).describe() else {
        return Ok(Verdict::Done);
    };
    if text.starts_with("!pond") {
        return Ok(Verdict::Done);
    }
    let id = format!("{OURS}{}", message.event.id);
    let nick = nick_of(&room, &message.event.sender).await?;
    match link.say(&id, &channel, &nick, &text).await? {
        Ok(()) => Ok(Verdict::Done),
        // The sender's client shows it.
        Err(reason) => Ok(Verdict::Reject(reason)),
    }
}

async fn channel_of(tx: &Tx, room: &RoomId) -> Result<Option<String>, StoreError> {
    let sql = "SELECT channel FROM portals WHERE room = ?1";
    let rows = tx.query(sql, [room.into()]).await?;
    Ok(rows.first().and_then(|row| row.text(0)).map(str::to_owned))
}

/// The name that somebody has in the room, as the Pond can have it.
async fn nick_of(room: &Room, user: &UserId) -> Result<String, Error> {
    let member = room.member(user).await?.value().flatten();
    let name = member.and_then(|member| member.displayname);
    let name = name.unwrap_or_else(|| user.localpart().to_owned());
    Ok(name.split_whitespace().collect::<Vec<_>>().join("_"))
}
// ANCHOR_END: to_pond

// ANCHOR: connect
/// Keeps the connection, for as long as the service runs.
async fn connect(handle: Handle, link: State<Link>) {
    tokio::spawn(async move {
        tokio::select! {
            () = handle.stopped() => {}
            () = stay_connected(&handle, &link) => {}
        }
    });
}

async fn stay_connected(handle: &Handle, link: &Link) {
    loop {
        if let Err(error) = session(handle, link).await {
            eprintln!("the Pond: {error}");
        }
        tokio::time::sleep(DIAL_AGAIN).await;
    }
}

async fn session(handle: &Handle, link: &Link) -> Result<(), HandlerError> {
    let since = handle.store()?.get("since").await?.unwrap_or(0);
    let hear = |said| {
        let handle = handle.clone();
        async move { from_pond(&handle, &said).await }
    };
    link.session(since, hear).await
}
// ANCHOR_END: connect

// ANCHOR: from_pond
/// Pond → Matrix.
async fn from_pond(handle: &Handle, said: &Said) -> Result<(), HandlerError> {
    let store = handle.store()?;
    if !said.id.starts_with(OURS)
        && let Some(room) = room_of(&store, &said.channel).await?
    {
        match speak(handle, &room, said).await {
            // Nobody could say that: with it in the way, nothing would ever be said again.
            Err(error) if !error.is_transient() && !matches!(error, Error::Stopping) => {
                eprintln!("{} of the Pond is left out: {error}", said.number);
            }
            spoken => spoken?,
        }
    }
    // After the message, not before: what is told again has the same key, and is there once.
    Ok(store.put("since", &said.number).await?)
}

async fn speak(handle: &Handle, room: &RoomId, said: &Said) -> Result<(), Error> {
    let key = ("pond", &*said.number.to_string());
    if said.nick == POND {
        let profile = Profile {
            id: POND.to_owned(),
            name: Some("The Pond".to_owned()),
            ..Profile::default()
        };
        let notice = Content::plain(Kind::Notice, &said.text).with_profile(&profile, true);
        handle.bot()?.send_with_key(room, key, notice).await?;
    } else {
        let ghost = handle.ghosts()?.named(&said.nick)?;
        ghost.set_profile(Some(&said.nick), None).await?;
        ghost.send_with_key(room, key, &*said.text).await?;
    }
    Ok(())
}

async fn room_of(store: &Store, channel: &str) -> Result<Option<RoomId>, StoreError> {
    let sql = "SELECT room FROM portals WHERE channel = ?1";
    let rows = store.query(sql, [channel.into()]).await?;
    let room = rows.first().and_then(|row| row.text(0));
    Ok(room.and_then(|room| RoomId::parse(room).ok()))
}
// ANCHOR_END: from_pond

// ANCHOR: command
/// `!pond` in a portal: where does this room lead?
async fn command(text: Text, room: Room, bot: Bot, tx: Tx) -> Result<(), HandlerError> {
    if text.body.trim() == "!pond" {
        let answer = match channel_of(&tx, &room.id).await? {
            Some(channel) => format!("This is the channel {channel} of the Pond."),
            None => "This room is not bridged. Join #pond_<channel> for one that is.".to_owned(),
        };
        bot.send(&room, Content::plain(Kind::Notice, &answer))
            .await?;
    }
    Ok(())
}
// ANCHOR_END: command
