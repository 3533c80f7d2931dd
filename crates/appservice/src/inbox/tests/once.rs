//! Each event is handled once, and counted once.

use super::*;
use crate::{
    ToDevice,
    bridge::{Bridge, testing::Nowhere},
};

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
        name: None,
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

/// A service that puts each message aside and handles it there; one that waits, waits there for an hour, and one that
/// fails is parked there.
fn putting_aside(log: &Log) -> Service {
    Service::new("test")
        .state(log.clone())
        .limits(|limits| limits.attempts = 1)
        .on(
            |text: Text, State(log): State<Log>, delivery: Delivery| async move {
                if !delivery.lane.contains(handle::ASIDE) {
                    return Ok(Verdict::Aside("there".to_owned()));
                }
                log.lock().push(text.body.clone());
                let times = log.lock().iter().filter(|said| **said == text.body).count();
                match &*text.body {
                    "waits" if times == 1 => Ok(Verdict::Hold(Duration::from_secs(3600))),
                    "fails" if times == 1 => Err(HandlerError::new("no")),
                    _ => Ok(Verdict::Done),
                }
            },
        )
}

#[tokio::test(start_paused = true)]
async fn what_is_put_aside_is_counted_once() {
    let log = Log::default();
    let stage = Stage::start(putting_aside(&log)).await;
    let events = [("$a", "!r:x", "a"), ("$b", "!r:x", "waits")];
    assert!(stage.take_texts("1", &events).await);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(*log.lock(), ["a", "waits"]);
    assert_eq!(stage.running.inbox_depth(), 1, "it waits there");
    stage.settle().await;
    assert_eq!(*log.lock(), ["a", "waits", "waits"]);
    assert_eq!(stage.running.inbox_depth(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_parked_aside_comes_back_and_nothing_is_left_behind() {
    let log = Log::default();
    let stage = Stage::start(putting_aside(&log)).await;
    assert!(stage.take_texts("1", &[("$a", "!r:x", "fails")]).await);
    stage.settle().await;
    let parked = stage.running.parked(0, 10).await.expect("parked");
    // It comes back while an earlier one has not been put aside yet.
    let row = NewInboxRow {
        lane: "!r:x".to_owned(),
        kind: InboxKind::Event,
        body: text("$b", "!r:x", "before").to_string(),
        digest: None,
        state: None,
        trace: None,
        name: None,
    };
    let number = parked[0].number;
    let inbox = &stage.running.core().inbox;
    let taking = inbox.taking.lock().await;
    let rows = inbox.store.write(move |unit| {
        let earlier = unit.insert_inbox(&row, "2", 1)?;
        Ok((earlier, unit.unpark(number)?))
    });
    let (earlier, replayed) = rows.await.expect("written");
    inbox.queue(earlier.into_iter().chain(replayed), *taking);
    drop(taking);
    stage.settle().await;
    assert_eq!(*log.lock(), ["fails", "before", "fails"]);
    assert_eq!(stage.running.inbox_depth(), 0);
    let left = stage
        .running
        .core()
        .inbox
        .store
        .read(|unit| unit.inbox_lanes());
    assert_eq!(left.await.expect("read"), []);
}

#[tokio::test(start_paused = true)]
async fn an_effects_name_does_not_hang_on_how_many_handlers_the_kit_has() {
    let names = async |service: Service| {
        let service = service.on(|_: Text, bot: Bot| async move {
            bot.send(&RoomId::parse("!r:x")?, "hello").await
        });
        let stage = Stage::start(service).await;
        assert!(stage.take_texts("1", &[("$a", "!r:x", "a")]).await);
        stage.settle().await;
        let sql = "SELECT key FROM outbox";
        let rows = stage.running.store().query(sql, []).await.expect("rows");
        assert_eq!(rows.len(), 1);
        rows[0].text(0).expect("a text").to_owned()
    };
    let alone = names(Service::new("test")).await;
    let bridge = Bridge::new(Nowhere).users("_no_{name}");
    assert_eq!(alone, names(Service::new("test").bridge(bridge)).await);
}

/// A service that answers each message to a device, and then fails, so that it is parked.
fn answering_devices() -> Service {
    Service::new("test")
        .limits(|limits| limits.attempts = 1)
        .on(|_: ToDevice, bot: Bot| async move {
            bot.send(&RoomId::parse("!r:x")?, "hello").await?;
            Err::<(), _>(HandlerError::new("no"))
        })
}

fn to_device() -> Value {
    json!({ "events": [], "to_device": [
        { "type": "m.x", "sender": "@u:y", "to_user_id": "@test:x", "to_device_id": "D", "content": {} }
    ] })
}

fn sends(stage: &Stage) -> Vec<String> {
    let heard = stage.host.heard.lock();
    let sends = heard.iter().filter(|path| path.contains("/send/"));
    sends.cloned().collect()
}

#[tokio::test(start_paused = true)]
async fn a_to_device_message_that_is_replayed_sends_nothing_twice() {
    let stage = Stage::start(answering_devices()).await;
    assert!(stage.take("1", &to_device()).await.expect("taken"));
    stage.settle().await;
    let parked = stage.running.parked(0, 10).await.expect("parked");
    assert!(
        stage
            .running
            .replay(parked[0].number)
            .await
            .expect("replayed")
    );
    stage.settle().await;
    let again = stage.running.parked(0, 10).await.expect("parked");
    assert_ne!(again[0].number, parked[0].number, "it was handled again");
    assert_eq!(sends(&stage).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_new_database_does_not_use_a_transaction_id_again() {
    let mut ids = Vec::new();
    for _ in 0..2 {
        let stage = Stage::start(answering_devices()).await;
        assert!(stage.take("1", &to_device()).await.expect("taken"));
        stage.settle().await;
        ids.extend(sends(&stage));
    }
    assert_eq!(ids.len(), 2);
    assert_ne!(ids[0], ids[1]);
}
