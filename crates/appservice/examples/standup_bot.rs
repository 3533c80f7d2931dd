//! Keeps the daily stand-up: `!standup start`, `!standup done <what you did>`, `!standup end`.
//!
//! Reports are rows of its own tables, reactions to them are votes, and who has read the call without answering, or
//! types still, is known from receipts and typing. Invite `@standup:…` into the room.

use std::collections::{BTreeSet, HashMap};

use bridgehead_appservice::{
    format::content::{Content, Kind},
    prelude::*,
    store::{Migration, StoreError},
};
use parking_lot::Mutex;

const TABLES: Migration = Migration {
    name: "standup",
    sql: "CREATE TABLE reports (room TEXT, sender TEXT, event TEXT, said TEXT, PRIMARY KEY (room, sender));
          CREATE TABLE votes (reaction TEXT PRIMARY KEY, target TEXT)",
};

/// Users by room; in memory only, for nothing hangs on it.
type ByRoom = Mutex<HashMap<RoomId, BTreeSet<UserId>>>;

#[derive(Default)]
struct Present {
    readers: ByRoom,
    typing: ByRoom,
}

pub(crate) fn service() -> Service {
    Service::new("standup")
        .migrations(&[TABLES])
        .state(Present::default())
        .on(|member: Member, room: Room, bot: Bot| async move {
            if member.user_id == *bot.id() && member.membership == "invite" {
                bot.join(&room).await?;
            }
            Ok::<_, Error>(())
        })
        .on(command)
        .on(|vote: Reaction, tx: Tx| async move {
            let values = [(&vote.event.id).into(), (&vote.target).into()];
            tx.execute("INSERT INTO votes VALUES (?1, ?2)", values);
        })
        .on(|gone: Redaction, tx: Tx| async move {
            let values = [(&gone.redacts).into()];
            tx.execute("DELETE FROM votes WHERE reaction = ?1", values);
        })
        .on(|typing: Typing, present: State<Present>| async move {
            let users = typing.users.into_iter().collect();
            present.typing.lock().insert(typing.room_id, users);
        })
        .on(|receipt: Receipt, present: State<Present>| async move {
            let users = receipt.reads.into_iter().map(|(user, _, _)| user);
            let mut readers = present.readers.lock();
            readers.entry(receipt.room_id).or_default().extend(users);
        })
}

// ANCHOR: command
async fn command(
    text: Text,
    room: Room,
    bot: Bot,
    tx: Tx,
    present: State<Present>,
) -> Result<Verdict, HandlerError> {
    let Some(command) = text.body.strip_prefix("!standup ") else {
        return Ok(Verdict::Done);
    };
    let (here, by) = ((&room.id).into(), (&text.sender).into());
    let answer = match command.split_once(' ').unwrap_or((command, "")) {
        ("start", _) => {
            tx.execute("DELETE FROM reports WHERE room = ?1", [here]);
            present.readers.lock().remove(&room.id);
            "Stand-up! Say `!standup done` and what you did.".to_owned()
        }
        ("done", said) if !said.is_empty() => {
            tx.execute(
                "INSERT OR REPLACE INTO reports VALUES (?1, ?2, ?3, ?4)",
                [here, by, (&text.event.id).into(), said.into()],
            );
            format!("Noted, {}.", text.sender_local())
        }
        ("end", _) => summary(&tx, &room.id, &present).await?,
        // The sender's client shows that this was not done, and why.
        _ => return Ok(Verdict::Reject("start, done <what>, or end?".to_owned())),
    };
    let notice = Content::plain(Kind::Notice, &answer);
    bot.send(&room, notice).await?;
    Ok(Verdict::Done)
}
// ANCHOR_END: command

async fn summary(tx: &Tx, room: &RoomId, present: &Present) -> Result<String, StoreError> {
    let reports = tx.query(
        "SELECT sender, said, (SELECT count(*) FROM votes WHERE target = event) AS votes
         FROM reports WHERE room = ?1 ORDER BY votes DESC, sender",
        [room.into()],
    );
    let of = |users: &ByRoom| users.lock().get(room).cloned().unwrap_or_default();
    let (mut silent, typing) = (of(&present.readers), of(&present.typing));
    let mut lines = vec!["Stand-up:".to_owned()];
    for row in reports.await? {
        let [sender, said] = [0, 1].map(|column| row.text(column).unwrap_or_default());
        let votes = row.integer(2).unwrap_or(0);
        lines.push(format!("{sender}: {said} ({votes} votes)"));
        silent.retain(|user| user.as_str() != sender);
    }
    lines.extend(
        silent
            .difference(&typing)
            .map(|user| format!("{user} has read it and said nothing")),
    );
    lines.extend(typing.iter().map(|user| format!("{user} is typing still")));
    Ok(lines.join("\n"))
}

#[tokio::main]
async fn main() -> ExitCode {
    service().main().await
}
