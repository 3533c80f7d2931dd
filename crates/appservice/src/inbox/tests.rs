//! Whole services with a homeserver that answers by a script: what is taken, handled, tried again, set aside.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::{
    Bot, Database, Delivery, HandlerError, Running, Service, Setup, State, Text, Timeline, Typing,
    Verdict,
    id::RoomId,
    run::StartError,
    scripted::{PausedClock, Scripted},
    store::{InboxKind, NewInboxRow, StoreError, Tx},
    surroundings::Surroundings,
};

type Log = Arc<Mutex<Vec<String>>>;

struct Stage {
    running: Running,
    host: Arc<Scripted>,
}

impl Stage {
    async fn start(service: Service) -> Self {
        Self::start_on(service, Database::Memory, true).await
    }

    async fn start_on(service: Service, database: Database, inline_store: bool) -> Self {
        let host = Arc::new(Scripted::default());
        let draft = service.registration(None, "x").expect("a draft");
        let generated = draft
            .generate(|bytes| bytes.fill(7))
            .expect("a registration");
        let setup = Setup {
            registration: generated.registration,
            server_name: "x".to_owned(),
            homeserver: "http://x".to_owned(),
            database,
            surroundings: Surroundings {
                clock: Arc::new(PausedClock::default()),
                transport: Some(host.clone()),
                inline_store,
                ..Surroundings::default()
            },
        };
        let running = loop {
            match service.clone().start(setup.clone()).await {
                // The service of before still writes what it was given.
                Err(StartError::Store(StoreError::InUse(_))) => tokio::task::yield_now().await,
                other => break other.expect("it starts"),
            }
        };
        Self { running, host }
    }

    async fn take(&self, txn_id: &str, body: &Value) -> Result<bool, TakeError> {
        let body = body.to_string();
        let inbox = &self.running.core().inbox;
        inbox.take(txn_id, body.as_bytes(), 1).await
    }

    async fn take_texts(&self, txn_id: &str, events: &[(&str, &str, &str)]) -> bool {
        let events: Vec<Value> = events
            .iter()
            .map(|(id, room, body)| text(id, room, body))
            .collect();
        let taken = self.take(txn_id, &json!({ "events": events })).await;
        taken.expect("taken")
    }

    async fn settle(&self) {
        let settled = async {
            while !self.running.is_settled() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let settled = tokio::time::timeout(Duration::from_secs(36_000), settled).await;
        assert!(settled.is_ok(), "something waits for ever");
    }

    async fn count(&self, sql: &'static str) -> i64 {
        let rows = self.running.store().query(sql, []).await.expect("rows");
        rows[0].integer(0).expect("a number")
    }
}

fn text(id: &str, room: &str, body: &str) -> Value {
    json!({
        "event_id": id, "room_id": room, "sender": "@u:y", "type": "m.room.message",
        "origin_server_ts": 1, "content": { "msgtype": "m.text", "body": body },
    })
}

/// Notes each text, with which attempt it is, and then fails on those that say so.
fn noting(log: &Log) -> Service {
    Service::new("test")
        .state(log.clone())
        .limits(|limits| limits.attempts = 3)
        .on(
            |text: Text, State(log): State<Log>, delivery: Delivery| async move {
                log.lock()
                    .push(format!("{} {}", text.body, delivery.attempt));
                match &*text.body {
                    "fails" => Err(HandlerError::new("no")),
                    "fails once" if delivery.attempt == 1 => Err(HandlerError::new("not yet")),
                    "panics" => panic!("as the test wants it"),
                    "hangs" => std::future::pending().await,
                    _ => Ok(()),
                }
            },
        )
}

#[tokio::test(start_paused = true)]
async fn repeats_are_recognised_and_what_only_looks_like_one_is_not() {
    let log = Log::default();
    let stage = Stage::start(noting(&log)).await;
    let aged = |age: u64| {
        let mut event = text("$a", "!r:x", "a");
        event["unsigned"] = json!({ "age": age });
        json!({ "events": [event] })
    };
    assert!(stage.take("1", &aged(5)).await.expect("taken"));
    assert!(
        !stage.take("1", &aged(9)).await.expect("known"),
        "only its age is another"
    );
    assert!(
        stage.take_texts("1", &[("$b", "!r:x", "b")]).await,
        "its id is used anew"
    );
    assert!(
        stage
            .take_texts("2", &[("$b", "!r:x", "b"), ("$c", "!r:x", "c")])
            .await
    );
    stage.settle().await;
    assert_eq!(*log.lock(), ["a 1", "b 1", "c 1"]);
    assert_eq!(stage.count("SELECT count(*) FROM inbox").await, 0);
    assert_eq!(stage.running.inbox_depth(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_leaves_nothing_to_keep_is_not_kept() {
    let log = Log::default();
    let service = noting(&log).on(|typing: Typing, State(log): State<Log>| async move {
        log.lock().push(format!("{:?}", typing.users));
    });
    let stage = Stage::start(service).await;
    let typing = |user: &str| {
        json!({ "events": [], "ephemeral": [
            { "type": "m.typing", "room_id": "!r:x", "content": { "user_ids": [user] } }
        ] })
    };
    assert!(stage.take("1", &typing("@a:y")).await.expect("taken"));
    assert!(!stage.take("1", &typing("@a:y")).await.expect("a repeat"));
    assert!(stage.take("1", &typing("@b:y")).await.expect("another"));
    stage.settle().await;
    assert_eq!(log.lock().len(), 2);
    assert_eq!(stage.count("SELECT count(*) FROM transactions").await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_full_inbox_takes_nothing_and_forgets_nothing() {
    let log = Log::default();
    let service = noting(&log).limits(|limits| limits.inbox_high_water = 2);
    let stage = Stage::start(service).await;
    let waits = [("$a", "!r:x", "hangs"), ("$b", "!r:x", "b")];
    assert!(stage.take_texts("1", &waits).await);
    let more = json!({ "events": [text("$c", "!q:x", "c")] });
    let full = stage.take("2", &more).await.expect_err("it is full");
    assert!(matches!(full, TakeError::Full(2)), "{full}");
    stage.settle().await;
    assert!(stage.take("2", &more).await.expect("there is room now"));
    stage.settle().await;
    assert_eq!(log.lock().last().map(String::as_str), Some("c 1"));
}

#[tokio::test(start_paused = true)]
async fn a_room_waits_for_its_own_failures_only() {
    let log = Log::default();
    let stage = Stage::start(noting(&log)).await;
    let events = [
        ("$1", "!bad:x", "panics"),
        ("$2", "!bad:x", "hangs"),
        ("$3", "!bad:x", "fails once"),
        ("$4", "!bad:x", "last"),
        ("$5", "!good:x", "good"),
    ];
    assert!(stage.take_texts("1", &events).await);
    stage.settle().await;
    let expected = [
        "panics 1",
        "good 1",
        "panics 2",
        "panics 3",
        "hangs 1",
        "hangs 2",
        "hangs 3",
        "fails once 1",
        "fails once 2",
        "last 1",
    ];
    assert_eq!(*log.lock(), expected);
    let parked = stage.running.parked(0, 10).await.expect("parked");
    let errors: Vec<&str> = parked.iter().map(|parked| &*parked.error).collect();
    assert!(
        errors[0].contains("panicked: as the test wants it"),
        "{errors:?}"
    );
    assert!(errors[1].contains("longer than 300s"), "{errors:?}");
    assert_eq!((errors.len(), stage.running.inbox_depth()), (2, 0));
    assert!(
        stage
            .running
            .replay(parked[0].number)
            .await
            .expect("replayed")
    );
    stage.settle().await;
    assert_eq!(log.lock().len(), expected.len() + 3);
    assert!(
        stage
            .running
            .drop_parked(parked[1].number)
            .await
            .expect("dropped")
    );
    assert_eq!(stage.count("SELECT count(*) FROM inbox").await, 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_event_is_set_aside_alone() {
    let log = Log::default();
    let stage = Stage::start(noting(&log)).await;
    let events = json!([7, { "event_id": "$x" }, text("$a", "!r:x", "a")]);
    assert!(
        stage
            .take("1", &json!({ "events": events }))
            .await
            .expect("taken")
    );
    stage.settle().await;
    assert_eq!(*log.lock(), ["a 1"]);
    assert_eq!(stage.running.parked(0, 10).await.expect("parked").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_a_handler_writes_is_all_there_or_not_at_all() {
    let service = Service::new("test")
        .limits(|limits| limits.attempts = 2)
        .on(|text: Text, tx: Tx| async move {
            tx.put(&text.body, &1)?;
            match &*text.body {
                "rejected" => Ok(Verdict::Reject("no".to_owned())),
                "fails" => Err(HandlerError::new("no")),
                "writes nonsense" => {
                    tx.execute("INSERT INTO nowhere VALUES (1)", []);
                    Ok(Verdict::Done)
                }
                _ => Ok(Verdict::Done),
            }
        });
    let stage = Stage::start(service).await;
    let bodies = ["good", "rejected", "fails", "writes nonsense", "good too"];
    for body in bodies {
        assert!(
            stage
                .take_texts(body, &[(&format!("${body}"), "!r:x", body)])
                .await
        );
    }
    stage.settle().await;
    for body in bodies {
        let stored: Option<i64> = stage.running.store().get(body).await.expect("read");
        assert_eq!(stored.is_some(), body.starts_with("good"), "{body}");
    }
    assert_eq!(stage.running.parked(0, 10).await.expect("parked").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_is_called_again_sends_nothing_twice() {
    let sends = |text: Text, bot: Bot, delivery: Delivery| async move {
        let room = RoomId::parse("!r:x")?;
        bot.send(&room, text.body.clone()).await?;
        bot.send(&room, text.body).await?;
        if delivery.attempt < 3 {
            return Err(HandlerError::new("not yet"));
        }
        Ok(())
    };
    // Twice the same: their effects are not the same.
    let service = Service::new("test").on(sends).on(sends);
    let stage = Stage::start(service).await;
    assert!(
        stage
            .take_texts("1", &[("$a", "!r:x", "a"), ("$b", "!r:x", "b")])
            .await
    );
    stage.settle().await;
    let mut sent = stage.host.heard.lock().clone();
    sent.retain(|path| path.contains("/send/"));
    assert_eq!(sent.len(), 8, "{sent:#?}");
    sent.sort();
    sent.dedup();
    assert_eq!(sent.len(), 8);
}

#[tokio::test(start_paused = true)]
async fn the_start_is_tried_until_it_succeeds_and_does_nothing_twice() {
    let log = Log::default();
    let service = noting(&log)
        .on_start(|State(log): State<Log>| async move { log.lock().push("first".to_owned()) })
        .on_start(|State(log): State<Log>, bot: Bot| async move {
            log.lock().push("second".to_owned());
            let tries = log.lock().iter().filter(|line| *line == "second").count();
            bot.send(&RoomId::parse("!r:x")?, "here I am").await?;
            match tries {
                1 => Err(HandlerError::new("not yet")),
                2 => panic!("as the test wants it"),
                3 => Ok(Verdict::RetryIn(Duration::from_secs(1))),
                _ => Ok(Verdict::Done),
            }
        });
    let stage = Stage::start(service).await;
    assert!(stage.take_texts("1", &[("$a", "!r:x", "a")]).await);
    stage.settle().await;
    let expected = ["first", "second", "second", "second", "second", "a 1"];
    assert_eq!(*log.lock(), expected);
    let heard = stage.host.heard.lock();
    assert_eq!(
        heard.iter().filter(|path| path.contains("/send/")).count(),
        1
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dropped_service_had_taken_is_handled_by_the_next() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let file = || Database::File(folder.path().join("service.db"));
    let log = Log::default();
    let never = Service::new("test").on_start(|_: State<()>| std::future::pending::<()>());
    let first = Stage::start_on(never.state(()), file(), false).await;
    for number in 0..50 {
        let rooms: Vec<String> = (0..20).map(|room| format!("!{room}:x")).collect();
        let events = rooms
            .iter()
            .map(|room| text(&format!("${number}{room}"), room, &number.to_string()));
        let body = json!({ "events": events.collect::<Vec<_>>() });
        assert!(first.take(&number.to_string(), &body).await.expect("taken"));
    }
    drop(first);
    let service = Service::new("test").state(log.clone()).on(
        |event: Timeline, State(log): State<Log>| async move {
            let body = event.text("body").unwrap_or_default();
            log.lock().push(format!("{} {body}", event.room_id));
        },
    );
    let second = Stage::start_on(service, file(), false).await;
    second.settle().await;
    let log = log.lock().clone();
    assert_eq!(log.len(), 1000);
    for room in 0..20 {
        let of_room = format!("!{room}:x ");
        let bodies = log.iter().filter_map(|line| line.strip_prefix(&of_room));
        assert!(
            bodies.eq((0..50).map(|number| number.to_string())),
            "{room}"
        );
    }
    let behind = second
        .running
        .core()
        .store
        .read_behind(|unit| unit.inbox_lanes());
    assert!(behind.await.expect("read").is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_committed_is_handled_once_however_late_its_lane_hears_of_it() {
    let log = Log::default();
    let service = Service::new("test").state(log.clone()).on(
        |text: Text, tx: Tx, State(log): State<Log>| async move {
            log.lock().push(text.body.clone());
            tx.put("last", &text.body)
        },
    );
    let stage = Stage::start(service).await;
    while !stage.running.is_settled() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // More than a window: the lane reads on from the database.
    let ids: Vec<String> = (0..200).map(|number| format!("${number}")).collect();
    let events: Vec<(&str, &str, &str)> = ids.iter().map(|id| (&**id, "!r:x", "early")).collect();
    assert!(stage.take_texts("1", &events).await);
    let row = NewInboxRow {
        lane: "!r:x".to_owned(),
        kind: InboxKind::Event,
        body: text("$late", "!r:x", "late").to_string(),
        digest: None,
        state: None,
        trace: None,
    };
    let inbox = &stage.running.core().inbox;
    let taking = inbox.taking.lock().await;
    let row = inbox
        .store
        .write(move |unit| unit.insert_inbox(&row, "2", 1))
        .await
        .expect("written");
    while inbox.lanes() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(log.lock().len(), 200, "the rest has not been brought yet");
    inbox.queue(row, *taking);
    drop(taking);
    stage.settle().await;
    assert_eq!(log.lock().len(), 201);
    assert_eq!(log.lock().last().map(String::as_str), Some("late"));
    assert_eq!(stage.running.inbox_depth(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_handled_a_second_time_commits_nothing() {
    let service = Service::new("test").on(|text: Text, tx: Tx, store: Store| async move {
        tx.put(&text.body, &1)?;
        // As if it had been handled, and counted, meanwhile.
        store.execute("DELETE FROM inbox", []).await.map(drop)
    });
    let stage = Stage::start(service).await;
    assert!(stage.take_texts("1", &[("$a", "!r:x", "a")]).await);
    stage.running.core().inbox.lanes.work().remove();
    stage.settle().await;
    let stored: Option<i64> = stage.running.store().get("a").await.expect("read");
    assert_eq!(stored, None);
    assert_eq!(stage.running.inbox_depth(), 0, "and never less than none");
    let taken = stage.take_texts("2", &[("$b", "!r:x", "b")]).await;
    assert!(taken, "the inbox is open");
}

#[tokio::test(start_paused = true)]
async fn waits_between_attempts_grow_to_the_longest_and_a_little_apart() {
    let begun: Arc<Mutex<Vec<tokio::time::Instant>>> = Arc::default();
    let service = Service::new("test")
        .state(begun.clone())
        .limits(|limits| {
            limits.first_retry = Duration::from_secs(2);
            limits.max_retry = Duration::from_secs(30);
            limits.attempts = 9;
        })
        .on(
            |_: Text, State(begun): State<Arc<Mutex<Vec<tokio::time::Instant>>>>| async move {
                begun.lock().push(tokio::time::Instant::now());
                Err::<(), _>(HandlerError::new("no"))
            },
        );
    let stage = Stage::start(service).await;
    assert!(stage.take_texts("1", &[("$a", "!r:x", "a")]).await);
    stage.settle().await;
    let begun = begun.lock().clone();
    let waits = begun.windows(2).map(|pair| (pair[1] - pair[0]).as_millis());
    let waits: Vec<u128> = waits.collect();
    let full = [2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000, 30_000];
    assert_eq!(waits.len(), full.len());
    for (wait, full) in waits.iter().zip(full) {
        // Up to a quarter less, so that what failed together does not come back together.
        let range = full * 3 / 4..=full + 10;
        assert!(range.contains(wait), "{waits:?}");
    }
    let distinct: std::collections::BTreeSet<&u128> = waits[4..].iter().collect();
    assert!(distinct.len() > 1, "{waits:?}");
    assert_eq!(stage.running.parked(0, 10).await.expect("read").len(), 1);
}
