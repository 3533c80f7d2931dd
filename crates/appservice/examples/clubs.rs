//! Clubs: who asks for `#club_chess` gets the room, and who comes in is greeted there, once.

use bridgehead_appservice::{
    format::content::{Content, Kind},
    prelude::*,
    store::{Migration, StoreError},
};
use serde::Deserialize;

// ANCHOR: tables
const CLUBS: Migration = Migration {
    name: "clubs",
    sql: "CREATE TABLE clubs (room TEXT PRIMARY KEY, words TEXT NOT NULL);
          CREATE TABLE greeted (room TEXT, user TEXT, PRIMARY KEY (room, user))",
};
// ANCHOR_END: tables

pub(crate) fn service() -> Service {
    Service::new("clubs")
        .bot("host")
        .aliases("#club_{name}")
        .migrations(&[CLUBS])
        .on_alias(club)
        .on(choose)
        .on(greet)
}

// ANCHOR: club
/// The state event that makes a room a club.
#[derive(Deserialize)]
struct Club {
    text: String,
}

impl StateKind for Club {
    const KIND: &'static str = "org.example.club";
}

/// Somebody asks for `#club_chess`.
async fn club(ask: AliasAsk) -> RoomPlan {
    let words = serde_json::json!({ "text": format!("welcome to {}.", &ask["name"]) });
    RoomPlan::public()
        .name(&ask["name"])
        .state(Club::KIND, "", words)
}

/// The words of a club were chosen. A room that others have made is none, whatever is said there.
async fn choose(club: StateEvent<Club>, room: Room, bot: Bot, tx: Tx) {
    if club.event.sender == *bot.id() {
        tx.execute(
            "INSERT OR REPLACE INTO clubs (room, words) VALUES (?1, ?2)",
            [(&room.id).into(), club.content.text.into()],
        );
    }
}
// ANCHOR_END: club

// ANCHOR: greet
/// Somebody comes in.
async fn greet(member: Member, room: Room, bot: Bot, tx: Tx) -> Result<(), HandlerError> {
    if member.is_own || member.membership != "join" {
        return Ok(());
    }
    let Some(words) = words_for(&tx, &room.id, &member.user_id).await? else {
        return Ok(());
    };
    let greeting = format!("{}, {words}", member.user_id.localpart());
    bot.send(&room, Content::plain(Kind::Notice, &greeting))
        .await?;
    tx.execute(
        "INSERT INTO greeted (room, user) VALUES (?1, ?2)",
        [(&room.id).into(), (&member.user_id).into()],
    );
    Ok(())
}

/// A club's words, for somebody who has not heard them yet.
async fn words_for(tx: &Tx, room: &RoomId, user: &UserId) -> Result<Option<String>, StoreError> {
    let sql = "SELECT words FROM clubs WHERE room = ?1
               AND NOT EXISTS (SELECT 1 FROM greeted WHERE room = ?1 AND user = ?2)";
    let rows = tx.query(sql, [room.into(), user.into()]).await?;
    Ok(rows.first().and_then(|row| row.text(0)).map(str::to_owned))
}
// ANCHOR_END: greet

#[tokio::main]
async fn main() -> ExitCode {
    service().main().await
}
