//! Inline mode: deterministic on one thread, and cut off exactly where a gate says.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU32, Ordering},
    },
    time::Duration,
};

use bridgehead_store::{
    AppserviceNid, Error, Gate, GateFuture, Location, Mode, Store, StoreOptions, StreamPosition,
};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::{ALICE, Fixture, SERVER};

/// Lets everybody through until it is told where to stop.
#[derive(Default)]
struct Barrier {
    crossings: AtomicU32,
    stop_at: AtomicU32,
}

impl Barrier {
    fn crossing(&self) -> GateFuture<'_> {
        let crossing = 1 + self.crossings.fetch_add(1, Ordering::Relaxed);
        if crossing == self.stop_at.load(Ordering::Relaxed) {
            Box::pin(pending())
        } else {
            Box::pin(async {})
        }
    }
}

impl Gate for Barrier {
    fn before_commit(&self) -> GateFuture<'_> {
        self.crossing()
    }

    fn after_commit(&self) -> GateFuture<'_> {
        self.crossing()
    }
}

fn inline(location: Location<'_>, gate: Option<Arc<dyn Gate>>) -> Store {
    let options = StoreOptions {
        mode: Mode::Inline { gate },
        ..StoreOptions::default()
    };
    Store::open_with(location, SERVER, options).unwrap()
}

async fn set(store: &Store, kind: &'static str) -> Result<StreamPosition, Error> {
    store
        .write(move |tx| tx.set_account_data(ALICE, "", kind, "{}"))
        .await
}

async fn kinds(store: &Store) -> Vec<String> {
    let rows: Result<Vec<_>, Error> = store.read(|s| s.all_account_data(ALICE)).await;
    rows.unwrap().into_iter().map(|row| row.kind).collect()
}

#[tokio::test]
async fn units_are_kept_or_undone_and_told_of_as_with_threads() {
    let store = inline(Location::Memory, None);
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = told.clone();
    store.on_commit(Box::new(move |entries| {
        seen.lock()
            .unwrap()
            .extend(entries.iter().map(|entry| entry.pos.0));
    }));
    assert_eq!(set(&store, "a").await.unwrap(), StreamPosition(1));
    let refused: Result<(), Error> = store
        .write(|tx| {
            tx.set_account_data(ALICE, "", "b", "{}")?;
            Err(Error::corrupt("test", "on purpose"))
        })
        .await;
    assert!(matches!(refused, Err(Error::Corrupt { .. })));
    let panicked: Result<(), Error> = store
        .write(|tx| {
            tx.set_account_data(ALICE, "", "c", "{}")?;
            panic!("on purpose")
        })
        .await;
    assert!(matches!(panicked, Err(Error::Unavailable { .. })));
    let panicked: Result<(), Error> = store.read(|_| panic!("on purpose")).await;
    assert!(matches!(panicked, Err(Error::Unavailable { .. })));
    assert_eq!(set(&store, "d").await.unwrap(), StreamPosition(2));
    assert_eq!(kinds(&store).await, ["a", "d"]);
    assert_eq!(*told.lock().unwrap(), [1, 2]);
    assert_eq!(*store.position().borrow(), StreamPosition(2));

    store.close().await;
    assert!(matches!(
        set(&store, "e").await,
        Err(Error::Unavailable { .. })
    ));
}

/// Stops at the given crossing of the second unit's gates, and returns what a new life finds.
async fn cut_off_at(crossing: u32, file: Option<&TempDir>) -> Vec<String> {
    let barrier = Arc::new(Barrier::default());
    let path = file.map(|folder| folder.path().join("store.db"));
    let location = path.as_deref().map_or(Location::Memory, Location::File);
    let store = inline(location, Some(barrier.clone()));
    set(&store, "first").await.unwrap();
    barrier.stop_at.store(2 + crossing, Ordering::Relaxed);
    let cut_off = timeout(Duration::from_secs(5), set(&store, "second")).await;
    assert!(cut_off.is_err(), "the caller must never know");

    let next = if file.is_some() {
        drop(store);
        inline(location, None)
    } else {
        let next = store.restart(None).unwrap();
        assert!(set(&store, "ghost").await.is_err(), "of the old life");
        next
    };
    let found = kinds(&next).await;
    let position = set(&next, "third").await.unwrap();
    assert_eq!(position.0, found.len() as u64 + 1);
    found
}

#[tokio::test(start_paused = true)]
async fn a_crash_before_the_commit_loses_the_unit_and_one_after_it_does_not() {
    let folders = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    for on_disk in [false, true] {
        let file = |n: usize| on_disk.then(|| &folders[n]);
        assert_eq!(cut_off_at(1, file(0)).await, ["first"]);
        assert_eq!(cut_off_at(2, file(1)).await, ["first", "second"]);
    }
}

#[tokio::test]
async fn a_restarted_store_knows_its_interest_sets() {
    let store = inline(Location::Memory, None);
    let set = [AppserviceNid(3), AppserviceNid(4)];
    let write: Result<_, Error> = store
        .write(move |tx| tx.device_list_changed(ALICE, &set))
        .await;
    write.unwrap();
    let store = store.restart(None).unwrap();
    let log: Result<_, Error> = store.read(|s| s.log_after(StreamPosition::ZERO, 9)).await;
    let interest = log.unwrap()[0].interest;
    assert_eq!(store.interest_set(interest).as_slice(), set);
    store.close().await;
    assert!(store.restart(None).is_err());
}

#[test]
fn memory_takes_inline_mode() {
    let threads = Store::open_with(Location::Memory, SERVER, StoreOptions::default());
    assert!(matches!(threads, Err(Error::Unavailable { .. })));
}

#[tokio::test]
async fn only_inline_stores_restart() {
    assert!(Fixture::new().store.restart(None).is_err());
}

#[tokio::test]
async fn log_rows_bear_the_time_of_the_stores_clock() {
    let now = Arc::new(AtomicI64::new(1_000));
    let clock = now.clone();
    let options = StoreOptions {
        clock: Arc::new(move || clock.load(Ordering::Relaxed)),
        mode: Mode::Inline { gate: None },
        ..StoreOptions::default()
    };
    let store = Store::open_with(Location::Memory, SERVER, options).unwrap();
    set(&store, "a").await.unwrap();
    now.store(2_500, Ordering::Relaxed);
    set(&store, "b").await.unwrap();
    let times = |store: Store| async move {
        let log: Result<_, Error> = store.read(|s| s.log_after(StreamPosition::ZERO, 9)).await;
        let log = log.unwrap();
        log.iter().map(|entry| entry.at_ms).collect::<Vec<_>>()
    };
    assert_eq!(times(store.clone()).await, [1_000, 2_500]);
    let store = store.restart(None).unwrap();
    set(&store, "c").await.unwrap();
    assert_eq!(times(store).await, [1_000, 2_500, 2_500]);
}
