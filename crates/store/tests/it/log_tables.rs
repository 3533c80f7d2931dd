//! What is told through the log beside room events: account data, receipts, to-device messages.

use bridgehead_store::{AppserviceNid, LogEntry, LogKind, StreamPosition};

use crate::{ALICE, BOB, Fixture, ROOM};

async fn log(fixture: &Fixture) -> Vec<LogEntry> {
    fixture
        .read(|snapshot| snapshot.log_after(StreamPosition::ZERO, 100))
        .await
}

#[tokio::test]
async fn account_data_is_told_from_its_newest_position() {
    let fixture = Fixture::new();
    fixture
        .write(|tx| {
            tx.set_account_data(ALICE, "", "m.direct", "{}")?;
            tx.set_account_data(ALICE, ROOM, "m.tag", "{}")?;
            tx.set_account_data(BOB, "", "m.direct", "{}")?;
            tx.set_account_data(ALICE, "", "m.direct", r#"{"a":[]}"#)
        })
        .await;
    let newest = fixture
        .read(|snapshot| snapshot.account_data(ALICE, "", "m.direct"))
        .await;
    assert_eq!(newest.as_deref(), Some(r#"{"a":[]}"#));
    assert_eq!(
        fixture
            .read(|snapshot| snapshot.account_data(ALICE, "", "m.tag"))
            .await,
        None
    );

    for (after, upto, expected) in [(0, 4, &[2, 4][..]), (0, 3, &[2]), (2, 4, &[4]), (4, 9, &[])] {
        let rows = fixture
            .read(move |snapshot| {
                snapshot.account_data_since(ALICE, StreamPosition(after), StreamPosition(upto))
            })
            .await;
        let positions: Vec<_> = rows.iter().map(|row| row.pos.0).collect();
        assert_eq!(positions, expected, "{after}..{upto}");
    }
    assert_eq!(
        fixture
            .read(|snapshot| snapshot.all_account_data(ALICE))
            .await
            .len(),
        2
    );

    let log = log(&fixture).await;
    assert!(log.iter().all(|entry| entry.kind == LogKind::AccountData));
    let rooms: Vec<_> = log.iter().map(|entry| entry.room_id.as_deref()).collect();
    assert_eq!(rooms, [None, Some(ROOM), None, None]);
    assert!(
        log.iter()
            .all(|entry| fixture.store.interest_set(entry.interest).is_empty())
    );
}

#[tokio::test]
async fn a_receipt_replaces_the_one_before() {
    let fixture = Fixture::new();
    let nid = AppserviceNid(3);
    fixture
        .write(move |tx| {
            tx.set_receipt(ROOM, ALICE, "m.read", "", "$1", 10, &[nid])?;
            tx.set_receipt(ROOM, ALICE, "m.read", "main", "$1", 11, &[])?;
            tx.set_receipt(ROOM, ALICE, "m.read", "", "$2", 12, &[nid])
        })
        .await;
    let (unthreaded, replaced, by_pos, since) = fixture
        .read(|snapshot| {
            Ok((
                snapshot.receipt(ROOM, ALICE, "m.read", "")?,
                snapshot.receipt_at(StreamPosition(1))?,
                snapshot.receipt_at(StreamPosition(3))?,
                snapshot.receipts_since(ROOM, StreamPosition(1), StreamPosition(3))?,
            ))
        })
        .await;
    let unthreaded = unthreaded.unwrap();
    assert_eq!((unthreaded.event_id.as_str(), unthreaded.ts), ("$2", 12));
    assert_eq!(replaced, None);
    assert_eq!(by_pos, Some(unthreaded));
    let threads: Vec<_> = since.iter().map(|row| row.thread_id.as_str()).collect();
    assert_eq!(threads, ["main", ""]);

    let log = log(&fixture).await;
    assert_eq!(log[0].kind, LogKind::Receipt);
    assert_eq!(
        (log[0].room_id.as_deref(), log[0].user_id.as_deref()),
        (Some(ROOM), Some(ALICE))
    );
    assert!(fixture.store.interest_contains(log[0].interest, nid));
    assert_eq!(log[0].interest, log[2].interest);
}

#[tokio::test]
async fn a_to_device_message_stays_until_acknowledged() {
    let fixture = Fixture::new();
    fixture
        .write(|tx| {
            for (device, content) in [
                ("PHONE", "1"),
                ("TABLET", "2"),
                ("PHONE", "3"),
                ("PHONE", "4"),
            ] {
                tx.insert_to_device(ALICE, device, BOB, "m.dummy", content, &[])?;
            }
            Ok(())
        })
        .await;
    let waiting = |after: u64, upto: u64, limit: usize| {
        fixture.read(move |snapshot| {
            let (after, upto) = (StreamPosition(after), StreamPosition(upto));
            let rows = snapshot.to_device_for(ALICE, "PHONE", after, upto, limit)?;
            Ok(rows.into_iter().map(|row| row.content).collect::<Vec<_>>())
        })
    };
    assert_eq!(waiting(0, 4, 10).await, ["1", "3", "4"]);
    assert_eq!(waiting(0, 3, 10).await, ["1", "3"]);
    assert_eq!(waiting(1, 4, 1).await, ["3"]);

    let at = fixture
        .read(|snapshot| snapshot.to_device_at(StreamPosition(2)))
        .await;
    assert_eq!(at.len(), 1);
    assert_eq!(
        (at[0].device_id.as_str(), at[0].sender.as_str()),
        ("TABLET", BOB)
    );
    assert!(
        fixture
            .write(|tx| tx.delete_to_device_at(StreamPosition(2)))
            .await
    );
    assert!(
        !fixture
            .write(|tx| tx.delete_to_device_at(StreamPosition(2)))
            .await
    );

    let deleted = fixture
        .write(|tx| tx.delete_to_device(ALICE, "PHONE", StreamPosition(3)))
        .await;
    assert_eq!(deleted, 2);
    assert_eq!(waiting(0, 4, 10).await, ["4"]);
    assert_eq!(log(&fixture).await.len(), 4, "the log keeps its rows");
}
