//! A ledger: every message of the rooms it is in is noted once, and confirmed once, whatever crashes.
//!
//! What the handler writes with [`Tx`] is committed together with the event's consumption; what it sends has the same
//! transaction id when the handler is run again. So there is one row for each message, one answer of the ledger's, and
//! one of its witness's, who is a ghost.
//!
//! `ledger REGISTRATION HOMESERVER SERVER_NAME DATABASE ADDRESS`

use std::path::PathBuf;

use axum::{Json, Router, routing::get};
use bridgehead_appservice::{
    Database, Setup,
    format::content::{Content, Kind},
    prelude::*,
    registration,
    store::Migration,
    surroundings::Surroundings,
};

const TABLE: Migration = Migration {
    name: "ledger",
    sql: "CREATE TABLE ledger (number INTEGER PRIMARY KEY AUTOINCREMENT, room TEXT NOT NULL, body TEXT NOT NULL)",
};

fn ledger() -> Service {
    Service::new("ledger")
        .bot("ledger")
        .users("_ledger_{name}")
        .migrations(&[TABLE])
        .on(
            |text: Text, room: Room, bot: Bot, ghosts: Ghosts, tx: Tx| async move {
                tx.execute(
                    "INSERT INTO ledger (room, body) VALUES (?1, ?2)",
                    [(&room.id).into(), (&text.body).into()],
                );
                let notice =
                    |did: &str| Content::plain(Kind::Notice, &format!("{did}: {}", text.body));
                bot.send(&room, notice("noted")).await?;
                ghosts.named("witness")?.send(&room, notice("seen")).await
            },
        )
        .on(|member: Member, room: Room, bot: Bot| async move {
            if member.is_own && member.membership == "invite" {
                bot.join(&room).await?;
            }
            Ok::<_, Error>(())
        })
}

/// What was noted, in order.
async fn rows(store: Store) -> Json<Vec<[String; 2]>> {
    let rows = store
        .query("SELECT room, body FROM ledger ORDER BY number", [])
        .await;
    let text = |row: &bridgehead_appservice::store::Row, column| {
        row.text(column).unwrap_or_default().to_owned()
    };
    Json(
        rows.unwrap_or_default()
            .iter()
            .map(|row| [text(row, 0), text(row, 1)])
            .collect(),
    )
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [file, homeserver, server_name, database, address] = &args[..] else {
        return Err("usage: ledger REGISTRATION HOMESERVER SERVER_NAME DATABASE ADDRESS".into());
    };
    let text = std::fs::read_to_string(file)?;
    let (registration, _) = registration::parse(file.as_ref(), text.as_bytes())
        .map_err(|errors| format!("{errors:?}"))?;
    let setup = Setup {
        registration,
        server_name: server_name.clone(),
        homeserver: homeserver.clone(),
        database: Database::File(PathBuf::from(database)),
        surroundings: Surroundings::default(),
    };
    let running = ledger().start(setup).await?;
    let store = running.store().clone();
    let listed = Router::new().route("/ledger", get(move || rows(store.clone())));
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening");
    axum::serve(listener, running.router().merge(listed)).await?;
    Ok(())
}
