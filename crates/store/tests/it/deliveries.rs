//! Orders about a delivery, and what happens to a frozen transaction.

use bridgehead_store::{AppserviceNid, FrozenTransaction, PauseRow, StreamPosition};

use crate::{ALICE, BOB, Fixture};

fn transaction(txn_id: u64, from: u64, upto: u64) -> FrozenTransaction {
    FrozenTransaction {
        txn_id,
        from: StreamPosition(from),
        upto: StreamPosition(upto),
        body: br#"{"events":[]}"#.to_vec(),
        ..FrozenTransaction::default()
    }
}

/// A service, and `rows` rows of the log for it.
async fn service_with(fixture: &Fixture, rows: usize) -> AppserviceNid {
    fixture
        .write(move |tx| {
            let nid = tx.ensure_appservice("irc")?.nid;
            for _ in 0..rows {
                tx.insert_to_device(ALICE, "DEVICE", BOB, "m.test", "{}", &[nid])?;
            }
            Ok(nid)
        })
        .await
}

#[tokio::test]
async fn a_message_for_two_services_stays_until_both_have_it() {
    let fixture = Fixture::new();
    let (first, second) = fixture
        .write(|tx| {
            let first = tx.ensure_appservice("irc")?.nid;
            let second = tx.ensure_appservice("log")?.nid;
            tx.insert_to_device(ALICE, "DEVICE", BOB, "m.test", "{}", &[first, second])?;
            tx.freeze_transaction(first, &transaction(1, 0, 1))?;
            tx.freeze_transaction(second, &transaction(1, 0, 1))?;
            tx.complete_transaction(first, 1)?;
            Ok((first, second))
        })
        .await;
    let waiting = || fixture.read(|s| Ok(s.to_device_at(StreamPosition(1))?.len()));
    assert_eq!(waiting().await, 1);
    fixture
        .write(move |tx| tx.complete_transaction(second, 1))
        .await;
    assert_eq!(waiting().await, 0);
    assert_ne!(first, second);
}

#[tokio::test]
async fn a_skip_passes_over_the_one_transaction_that_was_meant() {
    let fixture = Fixture::new();
    let nid = service_with(&fixture, 3).await;
    let skipped = fixture
        .write(move |tx| {
            tx.freeze_transaction(nid, &transaction(7, 0, 2))?;
            assert!(tx.skip_transaction(nid, 6, "ops", 1, None)?.is_none());
            tx.skip_transaction(nid, 7, "ops", 1, Some("broken"))
        })
        .await
        .unwrap();
    let orders = fixture.read(move |s| s.orders(nid)).await;
    assert_eq!(
        (skipped.from, skipped.upto),
        (StreamPosition(0), StreamPosition(2))
    );
    assert_eq!(
        (orders.cursor, orders.last_upto),
        (StreamPosition(2), StreamPosition(2))
    );
    assert_eq!((orders.frozen, orders.skipped), (None, 1));
    // What was in it is still there, for a replay.
    let kept = fixture.read(|s| s.to_device_at(StreamPosition(1))).await;
    assert_eq!(kept.len(), 1);
    // A late acknowledgement finds nothing to acknowledge.
    assert!(
        !fixture
            .write(move |tx| tx.complete_transaction(nid, 7))
            .await
    );
}

#[tokio::test]
async fn a_replay_goes_up_to_the_cursor_and_does_not_move_it() {
    let fixture = Fixture::new();
    let nid = service_with(&fixture, 3).await;
    let (none, replay) = fixture
        .write(move |tx| {
            tx.move_cursor(nid, StreamPosition(2))?;
            let none = tx.replay(nid, StreamPosition(2), StreamPosition(3), "ops", 1)?;
            let replay = tx.replay(nid, StreamPosition(0), StreamPosition(3), "ops", 1)?;
            Ok((none, replay.unwrap()))
        })
        .await;
    assert_eq!((none, replay.upto), (None, StreamPosition(2)));
    let again = FrozenTransaction {
        replay_id: Some(replay.replay_id),
        ..transaction(9, 0, 2)
    };
    fixture
        .write(move |tx| {
            tx.freeze_transaction(nid, &again)?;
            tx.complete_transaction(nid, 9)
        })
        .await;
    let orders = fixture.read(move |s| s.orders(nid)).await;
    assert_eq!((orders.cursor, orders.replay), (StreamPosition(2), None));
}

#[tokio::test]
async fn orders_outlast_the_server() {
    let mut fixture = Fixture::new();
    let nid = service_with(&fixture, 2).await;
    let pause = PauseRow {
        by: "operator".to_owned(),
        since: 5,
        until: Some(50),
        reason: Some("upgrade".to_owned()),
    };
    let ordered = pause.clone();
    fixture
        .write(move |tx| {
            tx.pause_delivery(nid, &ordered)?;
            tx.fail_delivery(nid, 6)?;
            tx.set_policy(nid, Some(3))?;
            tx.freeze_transaction(nid, &transaction(1, 0, 1))?;
            tx.set_stuck(nid, 1, 7, "no")
        })
        .await;
    fixture.reopen().await;
    let orders = fixture.read(move |s| s.orders(nid)).await;
    assert_eq!(orders.pauses, [pause]);
    assert_eq!((orders.failed_at, orders.skip_after), (Some(6), Some(3)));
    let frozen = orders.frozen.unwrap();
    assert_eq!(
        (frozen.stuck_at, frozen.answer.as_deref()),
        (Some(7), Some("no"))
    );
    fixture.write(move |tx| tx.end_due_pauses(nid, 50)).await;
    let pauses = fixture.read(move |s| Ok(s.orders(nid)?.pauses)).await;
    assert!(pauses.is_empty());
}
