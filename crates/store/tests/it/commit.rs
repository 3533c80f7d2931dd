//! Units of work: what is kept, what is undone, and which positions are handed out.

use std::{
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use bridgehead_store::{AppserviceNid, Error, StreamPosition};

use crate::{ALICE, Fixture};

#[derive(Debug)]
enum Refusal {
    Refused,
    Store,
}

impl From<Error> for Refusal {
    fn from(_: Error) -> Self {
        Self::Store
    }
}

/// Hands in twelve units while the committer is busy, so that they share one database
/// transaction; every third is refused after it has written. Returns the accepted positions.
async fn mixed_batch(fixture: &Fixture) -> Vec<u64> {
    let (release, released) = mpsc::channel();
    let store = fixture.store.clone();
    let blocker = tokio::spawn(async move {
        store
            .write(move |_| {
                released.recv_timeout(Duration::from_secs(60)).ok();
                Ok::<_, Error>(())
            })
            .await
    });
    tokio::task::yield_now().await;

    let units: Vec<_> = (0..12)
        .map(|n| {
            let store = fixture.store.clone();
            tokio::spawn(async move {
                store
                    .write(move |tx| {
                        let kind = format!("org.example.{n}");
                        let pos = tx.set_account_data(ALICE, "", &kind, "{}")?;
                        if n % 3 == 1 {
                            Err(Refusal::Refused)
                        } else {
                            Ok(pos.0)
                        }
                    })
                    .await
            })
        })
        .collect();
    tokio::task::yield_now().await;
    release.send(()).unwrap();
    blocker.await.unwrap().unwrap();

    let mut accepted = Vec::new();
    for (n, unit) in units.into_iter().enumerate() {
        match unit.await.unwrap() {
            Ok(pos) => accepted.push(pos),
            Err(Refusal::Refused) => assert_eq!(n % 3, 1, "unit {n} should have been accepted"),
            Err(Refusal::Store) => panic!("the store failed unit {n}"),
        }
    }
    accepted
}

#[tokio::test]
async fn a_refused_unit_leaves_no_gap() {
    let fixture = Fixture::new();
    let batches = Arc::new(Mutex::new(Vec::new()));
    let seen = batches.clone();
    fixture.store.on_commit(Box::new(move |entries| {
        seen.lock()
            .unwrap()
            .push(entries.iter().map(|entry| entry.pos.0).collect::<Vec<_>>());
    }));

    assert_eq!(mixed_batch(&fixture).await, [1, 2, 3, 4, 5, 6, 7, 8]);

    let log = fixture
        .read(|snapshot| snapshot.log_after(StreamPosition::ZERO, 100))
        .await;
    assert_eq!(
        log.iter().map(|entry| entry.pos.0).collect::<Vec<_>>(),
        (1..=8).collect::<Vec<_>>()
    );
    let kinds = fixture
        .read(|snapshot| snapshot.all_account_data(ALICE))
        .await;
    let kinds: Vec<_> = kinds.iter().map(|row| row.kind.as_str()).collect();
    let expected = [0, 2, 3, 5, 6, 8, 9, 11].map(|n| format!("org.example.{n}"));
    assert_eq!(kinds, expected);

    let batches = batches.lock().unwrap();
    assert_eq!(batches.concat(), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert!(
        batches.len() <= 2,
        "waiting units share a commit: {batches:?}"
    );
    assert_eq!(*fixture.store.position().borrow(), StreamPosition(8));
}

#[tokio::test]
async fn a_panicking_unit_is_undone_and_the_next_one_runs() {
    let fixture = Fixture::new();
    let outcome: Result<(), Error> = fixture
        .store
        .write(|tx| {
            tx.set_account_data(ALICE, "", "org.example.lost", "{}")?;
            panic!("on purpose");
        })
        .await;
    assert!(matches!(outcome, Err(Error::Unavailable { .. })));

    let pos = fixture
        .write(|tx| tx.set_account_data(ALICE, "", "org.example.kept", "{}"))
        .await;
    assert_eq!(pos, StreamPosition(1));
    let rows = fixture
        .read(|snapshot| snapshot.all_account_data(ALICE))
        .await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].kind, "org.example.kept");
}

#[tokio::test]
async fn a_panicking_reader_gives_its_connection_back() {
    let fixture = Fixture::new();
    for _ in 0..10 {
        let outcome: Result<(), Error> = fixture
            .store
            .read(|_| -> Result<(), Error> { panic!("on purpose") })
            .await;
        assert!(matches!(outcome, Err(Error::Unavailable { .. })));
    }
    assert!(
        fixture
            .read(|snapshot| snapshot.user(ALICE))
            .await
            .is_none()
    );
}

#[tokio::test]
async fn positions_go_on_after_reopening() {
    let mut fixture = Fixture::new();
    for expected in 1..=3 {
        let pos = fixture
            .write(|tx| tx.set_account_data(ALICE, "", "org.example", "{}"))
            .await;
        assert_eq!(pos, StreamPosition(expected));
    }
    fixture.reopen().await;
    assert_eq!(*fixture.store.position().borrow(), StreamPosition(3));
    let pos = fixture
        .write(|tx| tx.set_account_data(ALICE, "", "org.example", "{}"))
        .await;
    assert_eq!(pos, StreamPosition(4));
}

#[tokio::test]
async fn interest_sets_survive_reopening_but_not_a_refusal() {
    let mut fixture = Fixture::new();
    let set = [AppserviceNid(1), AppserviceNid(7)];
    let refused: Result<(), Refusal> = fixture
        .store
        .write(move |tx| {
            tx.device_list_changed(ALICE, &set)?;
            Err(Refusal::Refused)
        })
        .await;
    assert!(matches!(refused, Err(Refusal::Refused)));

    // Were the refused unit's set still remembered, this row would name a set that is not stored.
    fixture
        .write(move |tx| tx.device_list_changed(ALICE, &set))
        .await;
    fixture.reopen().await;
    let log = fixture
        .read(|snapshot| snapshot.log_after(StreamPosition::ZERO, 10))
        .await;
    assert_eq!(log.len(), 1);
    assert_eq!(fixture.store.interest_set(log[0].interest).as_slice(), set);
    assert!(
        fixture
            .store
            .interest_contains(log[0].interest, AppserviceNid(7))
    );
    assert!(
        !fixture
            .store
            .interest_contains(log[0].interest, AppserviceNid(2))
    );
}

#[tokio::test]
async fn a_closed_store_refuses() {
    let fixture = Fixture::new();
    fixture.store.close().await;
    let write = fixture.store.write(|tx| tx.set_admin(ALICE, true)).await;
    assert!(matches!(write, Err(Error::Unavailable { .. })));
    let read = fixture.store.read(|snapshot| snapshot.user(ALICE)).await;
    assert!(matches!(read, Err(Error::Unavailable { .. })));
}

#[tokio::test]
async fn the_write_ahead_log_shrinks_when_a_slow_reader_has_gone() {
    const MIB: usize = 1 << 20;
    let fixture = Fixture::new();
    let wal = fixture.folder.path().join("store.db-wal");
    let wal_bytes = || std::fs::metadata(&wal).unwrap().len();
    let (holds, held) = tokio::sync::oneshot::channel();
    let (release, released) = mpsc::channel();
    let store = fixture.store.clone();
    let reader = tokio::spawn(async move {
        store
            .read(move |snapshot| {
                snapshot.user(ALICE)?;
                holds.send(()).ok();
                released.recv_timeout(Duration::from_secs(60)).ok();
                Ok::<_, Error>(())
            })
            .await
    });
    held.await.unwrap();
    let content = format!("\"{}\"", "x".repeat(MIB));
    let write = |kind: String| {
        let content = content.clone();
        fixture.write(move |tx| tx.set_account_data(ALICE, "", &kind, &content))
    };
    for n in 0..80 {
        write(format!("org.example.{n}")).await;
    }
    assert!(wal_bytes() > 70 * MIB as u64, "the reader keeps it");
    release.send(()).unwrap();
    reader.await.unwrap().unwrap();
    for n in 0..160 {
        write(format!("org.example.{n}")).await;
    }
    fixture.write(|tx| tx.set_admin(ALICE, true)).await;
    assert!(wal_bytes() <= 64 * MIB as u64, "{}", wal_bytes());
}
