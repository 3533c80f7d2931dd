//! The outbox over a homeserver that answers by a script.

use bridgehead_registration::Secret;
use futures_util::FutureExt as _;
use serde_json::json;
use tokio::time::Instant;

use super::*;
use crate::{
    Urgency,
    bridge::puppets::PuppetTable,
    client::ClientConfig,
    id::{RoomId, UserId},
    metrics::Metrics,
    scripted::{PausedClock, Said, Scripted},
    store::Location,
};

const HOUR: Duration = Duration::from_secs(3600);

/// An outbox, and what is around it.
struct Stage {
    host: Arc<Scripted>,
    store: Store,
    outbox: Outbox,
    stop: watch::Sender<bool>,
}

impl Stage {
    fn new(script: impl IntoIterator<Item = Said>) -> Self {
        let store = Store::open(&Location::Memory, true, &[]).expect("a store");
        Self::on(store, script)
    }

    fn on(store: Store, script: impl IntoIterator<Item = Said>) -> Self {
        Self::with(store, script, &Limits::default())
    }

    fn with(store: Store, script: impl IntoIterator<Item = Said>, limits: &Limits) -> Self {
        let host = Arc::new(Scripted::saying(script));
        let surroundings = Surroundings {
            clock: Arc::new(PausedClock::default()),
            ..Surroundings::default()
        };
        let bot = UserId::parse("@bot:x").expect("a user");
        let client = Client::new(ClientConfig {
            transport: host.clone(),
            as_token: Secret::new("secret".to_owned()),
            sender: bot.clone(),
            bot,
            puppets: Arc::new(PuppetTable::new("test").0),
            surroundings: surroundings.clone(),
            concurrency: 8,
            metrics: Metrics::new("test"),
        });
        let stop = watch::Sender::new(false);
        let stopped = stop.subscribe();
        Self {
            outbox: Outbox::new(store.clone(), client, surroundings, limits, stopped),
            host,
            store,
            stop,
        }
    }

    fn paths(&self) -> Vec<String> {
        self.host.heard.lock().clone()
    }

    async fn quiet(&self) {
        let quiet = async {
            while !self.outbox.is_idle() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let quiet = tokio::time::timeout(1000 * HOUR, quiet).await;
        assert!(quiet.is_ok(), "it never has nothing to do");
    }

    async fn row(&self, key: &'static str) -> Option<OutboxRow> {
        let row = self.store.read(|unit| unit.outbox_by_key(key)).await;
        row.expect("a row")
    }
}

fn refused(status: u16, errcode: &str) -> Said {
    Said::Answer(status, json!({ "errcode": errcode, "error": "no" }))
}

fn message(key: &str) -> Outgoing {
    Outgoing {
        key: key.to_owned(),
        room_id: RoomId::parse("!room:x").expect("a room"),
        user: UserId::parse("@_ghost:x").expect("a user"),
        what: What::Event("m.room.message".to_owned()),
        content: json!({ "body": key }),
        ts_ms: None,
        urgency: Urgency::Message,
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_key_is_the_same_send() {
    let stage = Stage::new([]);
    let first = stage.outbox.send(&message("a")).await.expect("sent");
    let other_words = Outgoing {
        content: json!({ "body": "other words" }),
        ..message("a")
    };
    let again = stage.outbox.send(&other_words).await.expect("known");
    assert_eq!((first.as_ref(), stage.paths().len()), (again.as_ref(), 1));
    let outgoing = message("b");
    let both = [stage.outbox.send(&outgoing), stage.outbox.send(&outgoing)];
    let both = futures_util::future::join_all(both).await;
    assert_eq!(both[0].as_ref().ok(), both[1].as_ref().ok());
    assert_eq!(stage.paths().len(), 2);
    assert!(stage.outbox.lanes.work().waiters.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_only_takes_time_is_tried_under_the_same_transaction_id() {
    let stage = Stage::new([
        refused(502, ""),
        refused(429, "M_LIMIT_EXCEEDED"),
        refused(401, "M_UNKNOWN_TOKEN"),
        Said::Broken,
    ]);
    stage
        .outbox
        .enqueue(&message("first"))
        .await
        .expect("stored");
    let second = stage.outbox.send(&message("second")).await;
    assert!(second.is_ok());
    let paths = stage.paths();
    assert!(
        paths[..5].iter().all(|path| *path == paths[0]),
        "{paths:#?}"
    );
    assert_ne!(paths[5], paths[0]);
    assert!(paths[0].ends_with("?user_id=%40_ghost%3Ax"), "{}", paths[0]);
    assert_eq!(stage.host.bodies.lock()[0], &br#"{"body":"first"}"#[..]);
}

#[tokio::test(start_paused = true)]
async fn a_final_no_is_told_and_holds_up_nobody() {
    for (status, errcode) in [
        (403, "M_FORBIDDEN"),
        (404, "M_NOT_FOUND"),
        (413, "M_TOO_LARGE"),
    ] {
        let stage = Stage::new([refused(status, errcode)]);
        let error = stage.outbox.send(&message("a")).await.expect_err("no");
        assert_eq!(error.status(), Some(status));
        let state = stage.row("a").await.expect("remembered").state;
        assert!(matches!(state, OutboxState::Failed(_)), "{state:?}");
        assert!(stage.outbox.send(&message("b")).await.is_ok());
        assert_eq!(stage.paths().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_given_up_when_its_time_is_over() {
    let stage = Stage::new((0..5000).map(|_| refused(500, "")));
    let begun = Instant::now();
    assert!(stage.outbox.send(&message("a")).await.is_err());
    let took = begun.elapsed();
    assert!(took >= 24 * HOUR && took < 25 * HOUR, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn time_in_which_the_service_did_not_run_does_not_count() {
    let stage = Stage::new([refused(502, "")]);
    let long_ago = 1_000_000 - 10 * 24 * 3_600_000;
    let row = message("old").row();
    stage
        .store
        .write(move |unit| unit.insert_outbox(&row, long_ago))
        .await
        .expect("stored");
    stage.outbox.lanes.wake("!room:x", 0);
    stage.quiet().await;
    let state = stage.row("old").await.expect("known").state;
    assert_eq!(state, OutboxState::Done(Some("$2".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn time_behind_others_does_not_count() {
    let stage = Stage::new([refused(502, "")]);
    let row = message("patient").row();
    stage
        .store
        .write(move |unit| unit.insert_outbox(&row, 1_000_000))
        .await
        .expect("stored");
    tokio::time::sleep(25 * HOUR).await;
    stage.outbox.lanes.wake("!room:x", 0);
    stage.quiet().await;
    let state = stage.row("patient").await.expect("known").state;
    assert_eq!(state, OutboxState::Done(Some("$2".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn a_limit_is_waited_for_however_long() {
    let stage = Stage::new((0..400).map(|_| refused(429, "M_LIMIT_EXCEEDED")));
    let begun = Instant::now();
    assert!(stage.outbox.send(&message("a")).await.is_ok());
    assert!(begun.elapsed() > 25 * HOUR, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_send_that_the_homeserver_always_fails_over_is_set_aside() {
    for answer in [(500, json!({})), (200, json!({ "event_id": "nonsense" }))] {
        let stage = Arc::new(Stage::new([]));
        let bad = message("bad");
        *stage.host.poison.lock() = Some((super::outgoing::txn_id("bad"), answer.0, answer.1));
        let others = tokio::spawn({
            let stage = stage.clone();
            async move {
                for number in 0.. {
                    let mut other = message(&format!("other {number}"));
                    other.room_id = RoomId::parse("!other:x").expect("a room");
                    stage.outbox.send(&other).await.expect("sent");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        });
        let begun = Instant::now();
        let next = message("next");
        let (failed, next) = tokio::join!(stage.outbox.send(&bad), stage.outbox.send(&next));
        assert!(failed.is_err() && next.is_ok(), "{failed:?} {next:?}");
        assert!(begun.elapsed() < HOUR, "{:?}", begun.elapsed());
        let row = stage.row("bad").await.expect("remembered");
        assert!(row.attempts >= MAX_ALONE, "{row:?}");
        others.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_of_the_homeserver_that_is_away_is_waited_for() {
    let stage = Arc::new(Stage::new([]));
    *stage.host.poison.lock() = Some((super::outgoing::txn_id("a"), 502, json!({})));
    let sending = tokio::spawn({
        let stage = stage.clone();
        async move { stage.outbox.send(&message("a")).await }
    });
    for number in 0..3600 {
        let mut other = message(&format!("other {number}"));
        other.room_id = RoomId::parse("!other:x").expect("a room");
        stage.outbox.send(&other).await.expect("sent");
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    *stage.host.poison.lock() = None;
    assert!(sending.await.expect("no panic").is_ok());
}

#[tokio::test(start_paused = true)]
async fn who_is_limited_holds_up_nobody_else() {
    let limited = json!({ "errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 300_000 });
    let limits = Limits {
        send_concurrency: 2,
        ..Limits::default()
    };
    let store = Store::open(&Location::Memory, true, &[]).expect("a store");
    let stage = Stage::with(store, [Said::Answer(429, limited)], &limits);
    for number in 0..8 {
        let mut outgoing = message(&format!("limited {number}"));
        outgoing.room_id = RoomId::parse(&format!("!{number}:x")).expect("a room");
        stage.outbox.enqueue(&outgoing).await.expect("stored");
    }
    let begun = Instant::now();
    let mut other = message("other");
    other.user = UserId::parse("@_other:x").expect("a user");
    stage.outbox.send(&other).await.expect("sent");
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
    stage.quiet().await;
    assert_eq!(
        stage.paths().len(),
        10,
        "each once, and the one that was refused"
    );
    assert_eq!(stage.row("limited 7").await.expect("known").attempts, 0);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_another_send_has_had_is_no_answer() {
    let stage = Stage::new([]);
    let named = |key: &str| message(&placed(key));
    stage.outbox.send(&named("$e/on/0")).await.expect("sent");
    let others = [
        Outgoing {
            room_id: RoomId::parse("!elsewhere:x").expect("a room"),
            ..named("$e/on/0")
        },
        Outgoing {
            user: UserId::parse("@_other:x").expect("a user"),
            ..named("$e/on/0")
        },
        Outgoing {
            what: What::Event("m.sticker".to_owned()),
            ..named("$e/on/0")
        },
    ];
    for other in others {
        let error = stage.outbox.send(&other).await.expect_err("another send");
        assert!(error.to_string().contains("the same order"), "{error}");
        let before = stage.outbox.sent_before(&other).await;
        assert!(before.is_err(), "{before:?}");
    }
    let other_words = Outgoing {
        content: json!({ "body": "other words" }),
        ..named("$e/on/0")
    };
    stage.outbox.send(&other_words).await.expect("known");
    // Named by the other network, it is the same whoever says it.
    stage.outbox.send(&message("remote/1")).await.expect("sent");
    let by_another = Outgoing {
        user: UserId::parse("@_other:x").expect("a user"),
        ..message("remote/1")
    };
    stage.outbox.send(&by_another).await.expect("known");
    assert_eq!(stage.paths().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_was_given_up_is_listed_and_sent_again_or_forgotten() {
    let stage = Stage::new([refused(413, "M_TOO_LARGE"), refused(403, "M_FORBIDDEN")]);
    for key in ["a", "b"] {
        stage.outbox.enqueue(&message(key)).await.expect("stored");
    }
    stage.quiet().await;
    let given_up = stage.outbox.given_up(0, 10).await.expect("read");
    assert_eq!(given_up.len(), 2, "{given_up:?}");
    assert!(given_up[0].error.contains("M_TOO_LARGE"), "{given_up:?}");
    assert_eq!(&*given_up[0].content, r#"{"body":"a"}"#);
    let page = stage
        .outbox
        .given_up(given_up[0].number, 1)
        .await
        .expect("read");
    assert_eq!(page[0].number, given_up[1].number);
    let (again, never) = (given_up[0].number, given_up[1].number);
    assert!(stage.outbox.send_again(again).await.expect("written"));
    assert!(stage.outbox.drop_given_up(never).await.expect("written"));
    assert!(!stage.outbox.send_again(never).await.expect("written"));
    assert!(!stage.outbox.drop_given_up(again).await.expect("written"));
    stage.quiet().await;
    let state = stage.row("a").await.expect("known").state;
    assert_eq!(state, OutboxState::Done(Some("$3".to_owned())));
    assert!(stage.row("b").await.is_none());
    let paths = stage.paths();
    assert_eq!(paths[2], paths[0], "another transaction id");
    assert!(stage.outbox.given_up(0, 10).await.expect("read").is_empty());
}

#[tokio::test(start_paused = true)]
async fn whoever_stops_waiting_leaves_nothing_behind() {
    let stage = Stage::new([Said::Silence]);
    let outgoing = message("a");
    let sending = stage.outbox.send(&outgoing);
    let waited = tokio::time::timeout(Duration::from_secs(1), sending).await;
    assert!(waited.is_err());
    assert!(stage.outbox.lanes.work().waiters.lock().is_empty());
    stage.stop.send_replace(true);
    let error = stage.outbox.send(&message("b")).await.expect_err("it ends");
    assert!(matches!(error, Error::Stopping));
    assert!(stage.row("b").await.is_some(), "for the next start");
}

#[tokio::test(start_paused = true)]
async fn what_commits_with_a_unit_is_sent_and_what_does_not_is_not() {
    let stage = Stage::new([]);
    for (key, good) in [("good", true), ("bad", false)] {
        let tx = Tx::new(stage.store.clone());
        stage.outbox.enqueue_with(&tx, &message(key));
        let changes = tx.take();
        let unit = move |unit: &Unit<'_>| {
            changes.into_iter().try_for_each(|change| change(unit))?;
            good.then_some(())
                .ok_or_else(|| crate::store::StoreError::Statement("no".to_owned()))
        };
        assert_eq!(stage.store.write(unit).await.is_ok(), good);
    }
    stage.quiet().await;
    assert_eq!(stage.paths().len(), 1);
    assert!(stage.row("bad").await.is_none());
}

/// The database's own thread commits in groups, so a room is woken before its send can be read; and whoever has asked
/// may be gone before the commit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sends_of_groups_and_of_callers_that_have_gone_are_sent_once() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let location = Location::File(folder.path().join("service.db"));
    let stage = Arc::new(Stage::on(
        Store::open(&location, false, &[]).expect("a store"),
        [],
    ));
    let mut callers = Vec::new();
    for number in 0..300 {
        let stage = stage.clone();
        callers.push(tokio::spawn(async move {
            let mut outgoing = message(&format!("key {number}"));
            outgoing.room_id = RoomId::parse(&format!("!{}:x", number % 7)).expect("a room");
            if number % 2 == 0 {
                let storing = stage.outbox.enqueue(&outgoing);
                // Polled once: handed in, and the caller goes. On a busy machine it may be stored by then.
                drop(storing.now_or_never());
                return;
            }
            let tx = Tx::new(stage.store.clone());
            stage.outbox.enqueue_with(&tx, &outgoing);
            let changes = tx.take();
            let unit =
                move |unit: &Unit<'_>| changes.into_iter().try_for_each(|change| change(unit));
            stage.store.write(unit).await.expect("written");
        }));
    }
    for caller in callers {
        caller.await.expect("no panic");
    }
    let sent = async {
        while stage.paths().len() < 300 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let sent = tokio::time::timeout(Duration::from_secs(30), sent).await;
    assert!(sent.is_ok(), "{} of 300 were sent", stage.paths().len());
    stage.quiet().await;
    let mut paths = stage.paths();
    paths.sort();
    paths.dedup();
    assert_eq!((paths.len(), stage.paths().len()), (300, 300));
}
