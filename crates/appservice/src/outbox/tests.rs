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
        let limits = Limits::default();
        let stop = watch::Sender::new(false);
        let stopped = stop.subscribe();
        Self {
            outbox: Outbox::new(store.clone(), client, surroundings, &limits, stopped),
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
                // Polled once: handed in, and the caller goes.
                assert!(storing.now_or_never().is_none());
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
