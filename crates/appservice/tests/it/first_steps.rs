//! The smallest services do what they say.

use std::sync::Arc;

use bridgehead_appservice::prelude::*;
use parking_lot::Mutex;
use serde_json::json;

use crate::harness::{Pair, until};

type Log = Arc<Mutex<Vec<String>>>;

fn logger(log: &Log) -> Service {
    let log = log.clone();
    Service::new("logger")
        .bot("logging")
        .aliases("#logged_{topic}")
        .on(move |event: Timeline, room: Room| {
            let log = log.clone();
            async move {
                log.lock().push(format!(
                    "{} {} {} {}",
                    event.sender, room.id, event.kind, event.content
                ));
            }
        })
        .on_alias(|ask: AliasAsk| async move { RoomPlan::public().name(&ask["topic"]) })
}

#[tokio::test]
async fn a_logger_makes_rooms_and_logs_them() -> anyhow::Result<()> {
    let log = Log::default();
    let pair = Pair::start(logger(&log)).await?;
    let alice = pair.user("alice").await?;
    let room = alice.join("#logged_rust:localhost").await?;
    alice.send_text(&room, "1", "first").await?;
    alice.send_text(&room, "2", "second").await?;
    until("both messages are logged", || async {
        log.lock()
            .iter()
            .filter(|line| line.contains("m.room.message"))
            .count()
            == 2
    })
    .await?;
    let lines = log.lock().clone();
    let place = |text: &str| lines.iter().position(|line| line.contains(text));
    assert!(place("first") < place("second"), "{lines:#?}");
    assert!(
        place("m.room.create").is_some_and(|create| create == 0),
        "{lines:#?}"
    );
    assert!(
        lines.iter().any(|line| line.contains("\"name\":\"rust\"")),
        "{lines:#?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_ghost_answers_once() -> anyhow::Result<()> {
    let echo = Service::new("echo")
        .bot("echobot")
        .users("_echo_{name}")
        .on(|text: Text, room: Room, ghosts: Ghosts| async move {
            ghosts
                .named(text.sender_local())?
                .send(&room, text.body)
                .await
        });
    let pair = Pair::start(echo).await?;
    let alice = pair.user("alice").await?;
    let room = alice
        .create_room(&json!({ "invite": ["@echobot:localhost"] }))
        .await?;
    pair.running.bot().join(&RoomId::parse(&room)?).await?;
    alice.send_text(&room, "1", "hello").await?;
    until("the ghost has answered", || async {
        let path = format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=50");
        let Ok((_, page)) = alice.get(&path).await else {
            return false;
        };
        let chunk = page["chunk"].as_array().cloned().unwrap_or_default();
        chunk.iter().any(|event| {
            event["sender"] == "@_echo_alice:localhost" && event["content"]["body"] == "hello"
        })
    })
    .await?;
    pair.settled().await
}

#[tokio::test]
async fn what_fails_is_parked_and_can_be_replayed() -> anyhow::Result<()> {
    let works = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let flag = works.clone();
    let service = Service::new("moody")
        .bot("moodybot")
        .limits(|limits| {
            limits.attempts = 2;
            limits.first_retry = std::time::Duration::from_millis(10);
        })
        .on(move |text: Text| {
            let flag = flag.clone();
            async move {
                if flag.load(std::sync::atomic::Ordering::Relaxed) || text.body != "bad" {
                    Ok(())
                } else {
                    Err(HandlerError::new("not in the mood"))
                }
            }
        });
    let pair = Pair::start(service).await?;
    let alice = pair.user("alice").await?;
    let room = alice
        .create_room(&json!({ "invite": ["@moodybot:localhost"] }))
        .await?;
    pair.running.bot().join(&RoomId::parse(&room)?).await?;
    alice.send_text(&room, "1", "bad").await?;
    until("the message is parked", || async {
        pair.running
            .parked(0, 10)
            .await
            .is_ok_and(|parked| parked.len() == 1)
    })
    .await?;
    let parked = pair.running.parked(0, 10).await?.remove(0);
    assert_eq!((&*parked.error, parked.attempts), ("not in the mood", 2));
    works.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(pair.running.replay(parked.number).await?);
    pair.settled().await?;
    assert!(pair.running.parked(0, 10).await?.is_empty());
    assert!(!pair.running.replay(parked.number).await?);
    Ok(())
}
