//! What was said before there was a room for it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use anyhow::Context as _;
use bridgehead_appservice::{
    Database, Running, Setup,
    bridge::backfill::{BackfillError, BackfillState, Backfills, HistoryMessage, HistoryPage},
    prelude::*,
    surroundings::{SeededRandomness, Surroundings},
};
use bridgehead_testkit::lab::{Fault, Lab, LabUser};
use http::Method;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::{
    harness::generate,
    outside::{Web, json as answer, log_in},
};

/// When the first message was said, ms since the Unix epoch.
const THEN: i64 = 1_000_000_000_000;

fn service() -> Service {
    Service::new("irc").bot("ircbot").users("_irc_{nick}")
}

/// The message of this number, said by one of two people.
fn message(running: &Running, number: usize) -> HistoryMessage {
    let nick = ["ann", "ben"][number % 2];
    let ghost = running.ghosts().named(nick).expect("a ghost");
    let sent_ms = THEN + number as i64 * 1000;
    HistoryMessage::new(
        &format!("m{number}"),
        ghost.id(),
        sent_ms,
        format!("line {number}"),
    )
}

/// Pages of five, up to this many messages; the cursor is the number of the next one.
fn page(running: &Running, cursor: Option<&str>, all: usize) -> HistoryPage {
    let from: usize = cursor.map_or(0, |cursor| cursor.parse().expect("a number"));
    let to = (from + 5).min(all);
    HistoryPage {
        messages: (from..to).map(|number| message(running, number)).collect(),
        next: (to < all).then(|| to.to_string()),
    }
}

async fn portal(running: &Running, person: &LabUser) -> anyhow::Result<RoomId> {
    let room = person.create_room("lobby").await?;
    running.bot().join(&room).await?;
    Ok(room)
}

fn lines(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("line {number}")).collect()
}

#[test]
fn it_goes_on_after_a_crash_and_brings_nothing_twice() {
    Lab::run_seeds(1..4, async |lab| {
        crashes(&lab).await.expect("it goes through");
    });
}

async fn crashes(lab: &Lab) -> anyhow::Result<()> {
    let irc = lab.mount(service()).await?;
    let alice = lab.user("alice").await?;
    let room = portal(&irc.running(), &alice).await?;
    let asked = Arc::new(Mutex::new(Vec::new()));
    let run = |running: Arc<Running>| {
        let asked = asked.clone();
        running
            .backfills()
            .of(&room, "history")
            .run(move |cursor: Option<String>| {
                let page = page(&running, cursor.as_deref(), 23);
                asked.lock().push(cursor);
                async move { Ok::<_, Error>(page) }
            })
    };
    lab.faults()
        .plan(Fault::of_calls().put("/send/").lose_answer());
    let slow = Fault::of_calls().put("/send/").times(1000);
    let second = std::time::Duration::from_secs(1);
    lab.faults().plan(slow.delay_answer(second));
    let task = tokio::spawn(run(irc.running()));
    // Somewhere in the second page.
    let enough = 6 + lab.seed() as usize;
    while alice.texts(&room).await?.len() < enough {
        lab.pass(second / 10).await;
    }
    irc.crash();
    task.abort();
    task.await.err().context("it was under way")?;
    lab.faults().clear();
    let before = alice.texts(&room).await?;
    assert_eq!(before, lines(before.len()));
    irc.start().await?;
    let status = run(irc.running()).await?;
    assert_eq!((status.state, status.sent), (BackfillState::Done, 23));
    assert_eq!(alice.texts(&room).await?, lines(23));
    assert!(
        asked
            .lock()
            .iter()
            .filter(|cursor| cursor.is_none())
            .count()
            == 1,
        "{asked:?}"
    );
    Ok(())
}

#[test]
fn a_source_that_fails_is_asked_again_from_there() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let irc = lab.mount(service()).await?;
        let (running, alice) = (irc.running(), lab.user("alice").await?);
        let room = portal(&running, &alice).await?;
        let works = AtomicBool::new(false);
        let history = running.backfills().of(&room, "h");
        let run = || {
            history.clone().run(|cursor: Option<String>| {
                let may = cursor.is_none() || works.load(Ordering::Relaxed);
                let page = page(&running, cursor.as_deref(), 8);
                async move { may.then_some(page).ok_or_else(|| HandlerError::new("the network is away")) }
            })
        };
        let failed = run().await;
        assert!(matches!(&failed, Err(BackfillError::Source(error)) if error.to_string() == "the network is away"));
        let status = history.status().await?.context("a status")?;
        assert_eq!((status.state, status.sent, status.cursor.as_deref()), (BackfillState::Running, 5, Some("5")));
        works.store(true, Ordering::Relaxed);
        assert_eq!(run().await?.sent, 8);
        assert_eq!(alice.texts(&room).await?, lines(8));
        let endless = running.backfills().of(&room, "endless");
        let endless = endless.run(async |_| Ok::<_, Error>(HistoryPage { messages: vec![], next: Some("1".to_owned()) }));
        assert!(matches!(endless.await, Err(BackfillError::Page(_))));
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn it_is_cancelled_for_good_until_it_is_forgotten() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let irc = lab.mount(service()).await?;
        let (running, alice) = (irc.running(), lab.user("alice").await?);
        let room = portal(&running, &alice).await?;
        let history = running.backfills().of(&room, "h");
        assert!(!history.cancel().await?, "there is nothing yet");
        let pages = AtomicUsize::new(0);
        let run = |is_cancelled: bool| {
            let (history, running, pages) = (&history, &running, &pages);
            history
                .clone()
                .run(move |cursor: Option<String>| async move {
                    if is_cancelled && pages.fetch_add(1, Ordering::Relaxed) == 1 {
                        let twice = history
                            .clone()
                            .run(async |_| Ok::<_, Error>(HistoryPage::default()))
                            .await;
                        assert!(matches!(twice, Err(BackfillError::Running)));
                        assert!(history.cancel().await?);
                    }
                    Ok::<_, Error>(page(running, cursor.as_deref(), 20))
                })
        };
        assert!(matches!(run(true).await, Err(BackfillError::Cancelled)));
        assert_eq!(alice.texts(&room).await?, lines(5));
        assert!(matches!(run(false).await, Err(BackfillError::Cancelled)));
        let status = history.status().await?.context("a status")?;
        assert_eq!(status.state, BackfillState::Cancelled);
        assert!(!history.cancel().await?);
        assert!(history.forget().await?);
        assert_eq!(run(false).await?.sent, 20);
        assert_eq!(
            alice.texts(&room).await?,
            lines(20),
            "what was there is not sent again"
        );
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn what_the_homeserver_refuses_is_left_out() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let irc = lab.mount(service()).await?;
        let (running, alice) = (irc.running(), lab.user("alice").await?);
        let room = portal(&running, &alice).await?;
        let history = running.backfills().of(&room, "h").as_notices();
        let status = history.run(|_| {
            let mut page = page(&running, None, 3);
            page.messages[1].content = Content::from("x".repeat(70_000));
            page.next = None;
            async move { Ok::<_, Error>(page) }
        });
        let status = status.await?;
        assert_eq!(
            (status.state, status.sent, status.failed),
            (BackfillState::Done, 2, 1)
        );
        assert_eq!(alice.texts(&room).await?, ["line 0", "line 2"]);
        let timeline = alice.timeline(&room).await?;
        let last = timeline.last().context("an event")?;
        assert_eq!(last.content["msgtype"], "m.notice");
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn the_receipts_of_readers_move_behind_it() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let irc = lab.mount(service()).await?;
        let (running, alice, bob) = (
            irc.running(),
            lab.user("alice").await?,
            lab.user("bob").await?,
        );
        let room = portal(&running, &alice).await?;
        bob.join(&room).await?;
        running
            .puppets()
            .adopt(alice.id(), log_in(&irc, &alice).await?)
            .await?;
        let history = running
            .backfills()
            .of(&room, "h")
            .read_by([alice.id(), bob.id()]);
        let status = history.run(|cursor: Option<String>| {
            let page = page(&running, cursor.as_deref(), 7);
            async move { Ok::<_, Error>(page) }
        });
        let last = status.await?.last_event.context("an event")?;
        let sync = bob.sync(None, std::time::Duration::ZERO).await?;
        let told = &sync["rooms"]["join"][room.as_str()]["ephemeral"]["events"];
        let receipts = told
            .as_array()
            .into_iter()
            .flatten()
            .find(|event| event["type"] == "m.receipt");
        let receipts = &receipts.context("receipts")?["content"];
        let read = receipts[last.as_str()]["m.read"]
            .as_object()
            .context("read")?;
        assert!(read.contains_key(alice.id().as_str()));
        assert!(
            !receipts.to_string().contains(bob.id().as_str()),
            "nobody acts for bob"
        );
        Ok(())
    })
    .expect("it goes through");
}

/// A homeserver that takes batches; the first is answered with a failure.
fn batching() -> Arc<Web> {
    let failed = AtomicBool::new(false);
    Web::new(move |request| {
        let path = request.uri().path();
        if path == "/_matrix/client/versions" {
            let features = json!({ "com.beeper.batch_sending": true });
            return answer(
                200,
                &json!({ "versions": ["v1.11"], "unstable_features": features }),
            );
        }
        if path.ends_with("/state") {
            return answer(200, &json!([]));
        }
        if !path.ends_with("/batch_send") {
            return answer(200, &json!({ "room_id": "!room:localhost" }));
        }
        if !failed.swap(true, Ordering::Relaxed) {
            return answer(
                502,
                &json!({ "errcode": "M_UNKNOWN", "error": "a worker died" }),
            );
        }
        let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        let events = body["events"].as_array().into_iter().flatten();
        let ids: Vec<_> = events.map(|event| event["event_id"].clone()).collect();
        answer(200, &json!({ "event_ids": ids }))
    })
}

#[tokio::test(start_paused = true)]
#[expect(
    clippy::too_many_lines,
    reason = "one story, and the answers that the homeserver gives in it"
)]
async fn homeservers_that_take_batches_get_batches() -> anyhow::Result<()> {
    let web = batching();
    let service = service();
    let setup = Setup {
        registration: generate(&service, None)?.registration,
        server_name: "localhost".to_owned(),
        homeserver: String::new(),
        database: Database::Memory,
        surroundings: Surroundings {
            randomness: Arc::new(SeededRandomness::new(1)),
            transport: Some(web.clone()),
            inline_store: true,
            ..Surroundings::default()
        },
    };
    let running = service.start(setup).await?;
    let room = RoomId::parse("!room:localhost")?;
    let reader = UserId::parse("@alice:localhost")?;
    let bring = async |name: &str| {
        let history = Backfills::of(&running.backfills(), &room, name).read_by([&reader]);
        history
            .run(|_| {
                let messages = (0..130).map(|number| message(&running, number)).collect();
                async move {
                    Ok::<_, Error>(HistoryPage {
                        messages,
                        next: None,
                    })
                }
            })
            .await
    };
    let status = bring("h").await?;
    assert_eq!((status.state, status.sent), (BackfillState::Done, 130));
    let batches: Vec<Value> = web
        .bodies()
        .into_iter()
        .filter(|body| body.get("events").is_some())
        .collect();
    let sizes: Vec<_> = batches
        .iter()
        .map(|batch| batch["events"].as_array().map_or(0, Vec::len))
        .collect();
    assert_eq!(sizes, [100, 100, 30], "the first was tried again");
    assert_eq!(batches[0], batches[1], "with the same events");
    let batch = &batches[0];
    assert_eq!(
        (
            &batch["forward"],
            &batch["send_notification"],
            &batch["mark_read_by"]
        ),
        (&json!(true), &json!(false), &json!("@alice:localhost"))
    );
    let event = &batch["events"][1];
    assert_eq!(
        (&event["type"], &event["sender"], &event["origin_server_ts"]),
        (
            &json!("m.room.message"),
            &json!("@_irc_ben:localhost"),
            &json!(THEN + 1000)
        )
    );
    assert_eq!(event["content"]["org.matrix.msc2716.historical"], true);
    let last = batches[2]["events"][29]["event_id"]
        .as_str()
        .context("an id")?;
    assert_eq!(
        status.last_event.map(|event| event.to_string()).as_deref(),
        Some(last)
    );
    EventId::parse(last)?;

    Backfills::of(&running.backfills(), &room, "h")
        .forget()
        .await?;
    bring("h").await?;
    bring("another").await?;
    let batches: Vec<Value> = web
        .bodies()
        .into_iter()
        .filter(|body| body.get("events").is_some())
        .collect();
    assert_eq!(
        batches[3], batches[1],
        "a batch of the same messages is the same"
    );
    assert_ne!(
        batches[5]["events"][0]["event_id"],
        batches[1]["events"][0]["event_id"]
    );
    assert_eq!(
        web.asked()
            .iter()
            .filter(|line| line.contains("/send/"))
            .count(),
        0
    );
    let joins = web
        .asked()
        .iter()
        .filter(|line| line.starts_with(&format!("{} ", Method::POST)) && line.contains("/join/"))
        .count();
    assert_eq!(joins, 2, "each sender once");
    running.stop().await;
    Ok(())
}

/// A homeserver that takes batches, but not with this line in them; and a room that bars ben.
fn choosy(refused: &'static str) -> Arc<Web> {
    let no = json!({ "errcode": "M_FORBIDDEN", "error": "not here" });
    Web::new(move |request| {
        let path = request.uri().path();
        if path == "/_matrix/client/versions" {
            let features = json!({ "com.beeper.batch_sending": true });
            return answer(
                200,
                &json!({ "versions": ["v1.11"], "unstable_features": features }),
            );
        }
        let query = request.uri().query().unwrap_or_default();
        if path.contains("/join/") && query.contains("_irc_ben") {
            return answer(403, &no);
        }
        if path.ends_with("/state") {
            return answer(200, &json!([]));
        }
        if !path.ends_with("/batch_send") {
            return answer(200, &json!({ "room_id": "!room:localhost" }));
        }
        let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        let events = body["events"].as_array().cloned().unwrap_or_default();
        if events
            .iter()
            .any(|event| event["content"]["body"] == refused)
        {
            return answer(403, &no);
        }
        let ids: Vec<_> = events
            .iter()
            .map(|event| event["event_id"].clone())
            .collect();
        answer(200, &json!({ "event_ids": ids }))
    })
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_of_a_batch_is_left_out_and_the_rest_is_brought() -> anyhow::Result<()> {
    let web = choosy("line 4");
    let service = service();
    let setup = Setup {
        registration: generate(&service, None)?.registration,
        server_name: "localhost".to_owned(),
        homeserver: String::new(),
        database: Database::Memory,
        surroundings: Surroundings {
            randomness: Arc::new(SeededRandomness::new(1)),
            transport: Some(web.clone()),
            inline_store: true,
            ..Surroundings::default()
        },
    };
    let running = service.start(setup).await?;
    let room = RoomId::parse("!room:localhost")?;
    let history = running.backfills().of(&room, "h");
    let status = history.run(|_| {
        let messages = (0..20).map(|number| message(&running, number)).collect();
        async move {
            Ok::<_, Error>(HistoryPage {
                messages,
                next: None,
            })
        }
    });
    let status = status.await?;
    assert_eq!(
        (status.state, status.sent, status.failed),
        (BackfillState::Done, 9, 11)
    );
    let lines = |body: &Value| -> Vec<String> {
        let events = body["events"].as_array().into_iter().flatten();
        events
            .filter_map(|event| event["content"]["body"].as_str().map(str::to_owned))
            .collect()
    };
    let batches = web.bodies();
    let taken = batches.iter().map(lines);
    let taken: Vec<String> = taken
        .filter(|lines| !lines.contains(&"line 4".to_owned()))
        .flatten()
        .collect();
    let expected = (0..20).step_by(2).filter(|number| *number != 4);
    let expected: Vec<String> = expected.map(|number| format!("line {number}")).collect();
    assert_eq!(taken, expected, "in order, and each once");
    running.stop().await;
    Ok(())
}
