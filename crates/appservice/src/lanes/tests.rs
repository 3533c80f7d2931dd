//! Lanes over a table in memory, with a paused clock.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicI64, AtomicUsize, Ordering},
};

use proptest::prelude::*;

use super::*;
use crate::store::StoreError;

/// Longer than any history here takes.
const PATIENCE: Duration = Duration::from_secs(100_000);

#[derive(Clone, Debug)]
struct TestRow {
    id: i64,
    lane: String,
    /// Attempts that fail before the one that succeeds.
    failures: u32,
    /// How long an attempt takes, ms.
    takes_ms: u64,
}

impl LaneRow for TestRow {
    fn id(&self) -> i64 {
        self.id
    }

    /// Any, in all mixtures.
    fn rank(&self) -> usize {
        (self.takes_ms % 4) as usize
    }
}

/// The database, and what was done with its rows.
#[derive(Default)]
struct Desk {
    rows: Mutex<BTreeMap<i64, TestRow>>,
    last_id: AtomicI64,
    /// Worked off, in this order.
    done: Mutex<Vec<(String, i64)>>,
    /// Rows stay in the table when they are done, as if their removal were not committed yet.
    keeps: bool,
    working: AtomicUsize,
    most_working: AtomicUsize,
    /// Loads that fail.
    unreadable: AtomicUsize,
    /// The last row that was pushed, where rows are.
    pushed_to: AtomicI64,
}

impl LaneWork for Arc<Desk> {
    type Row = TestRow;

    fn load<'a>(
        &'a self,
        lane: &'a str,
        after: i64,
        limit: usize,
    ) -> BoxFuture<'a, StoreResult<Vec<TestRow>>> {
        let to = match self.pushed_to.load(Ordering::SeqCst) {
            0 => i64::MAX,
            pushed => pushed.max(after),
        };
        async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let fails = |left: usize| left.checked_sub(1);
            let failing = self
                .unreadable
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, fails);
            if failing.is_ok() {
                return Err(StoreError::Unavailable("a test".to_owned()));
            }
            let rows = self.rows.lock();
            let behind = rows.range(after + 1..=to).map(|(_, row)| row);
            let found = behind.filter(|row| row.lane == lane).take(limit).cloned();
            Ok(found.collect())
        }
        .boxed()
    }

    fn pushed(&self, id: i64) {
        self.pushed_to.store(id, Ordering::SeqCst);
    }

    fn work<'a>(&'a self, row: &'a mut TestRow) -> BoxFuture<'a, Step> {
        async move {
            let working = self.working.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_working.fetch_max(working, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(row.takes_ms)).await;
            self.working.fetch_sub(1, Ordering::SeqCst);
            assert_ne!(row.failures, PANICS, "as the test wants it");
            if row.failures > 0 {
                row.failures -= 1;
                return Step::Again(Duration::from_secs(u64::from(row.failures)));
            }
            if !self.keeps {
                self.rows.lock().remove(&row.id);
            }
            self.done.lock().push((row.lane.clone(), row.id));
            Step::Next
        }
        .boxed()
    }
}

const PANICS: u32 = u32::MAX;

impl Desk {
    /// Stores a row, without telling the lanes.
    fn insert(&self, lane: &str, failures: u32, takes_ms: u64) -> TestRow {
        let mut rows = self.rows.lock();
        let row = TestRow {
            // Never used again, as the database has it.
            id: self.last_id.fetch_add(1, Ordering::SeqCst) + 1,
            lane: lane.to_owned(),
            failures,
            takes_ms,
        };
        rows.insert(row.id, row.clone());
        row
    }

    fn done(&self, lane: &str) -> Vec<i64> {
        let done = self.done.lock();
        let of_lane = done.iter().filter(|(name, _)| name == lane);
        of_lane.map(|(_, id)| *id).collect()
    }
}

fn lanes(places: usize) -> (Arc<Desk>, Lanes<Arc<Desk>>) {
    let desk = Arc::<Desk>::default();
    (desk.clone(), Lanes::new(desk, places))
}

async fn idle(lanes: &Lanes<Arc<Desk>>) {
    let mut busy = lanes.0.busy.subscribe();
    let idle = tokio::time::timeout(PATIENCE, busy.wait_for(|busy| *busy == 0)).await;
    assert!(idle.is_ok(), "{} lanes are never done", lanes.busy());
}

/// A row that comes: after a pause, into one of a few lanes.
#[derive(Clone, Debug)]
struct Coming {
    lane: u8,
    pause_ms: u64,
    /// Between the commit and what its lane hears of it.
    gap_ms: u64,
    failures: u32,
    takes_ms: u64,
}

fn history() -> impl Strategy<Value = Vec<Coming>> {
    let coming = (
        0_u8..6,
        prop_oneof![8 => Just(0), 1 => 0_u64..5, 1 => 0_u64..3000],
        prop_oneof![9 => Just(0), 1 => 0_u64..40],
        prop_oneof![9 => Just(0), 1 => 1_u32..4],
        prop_oneof![1 => Just(0), 1 => 0_u64..4],
    );
    let coming = coming.prop_map(|(lane, pause_ms, gap_ms, failures, takes_ms)| Coming {
        // Half of all go into one lane, so that it is longer than a window.
        lane: lane.saturating_sub(2),
        pause_ms,
        gap_ms,
        failures,
        takes_ms,
    });
    prop::collection::vec(coming, 0..400)
}

async fn live(history: Vec<Coming>, places: usize, pushes: bool, unreadable: usize) {
    let desk = Arc::new(Desk {
        keeps: pushes,
        unreadable: unreadable.into(),
        ..Desk::default()
    });
    let lanes = Lanes::new(desk.clone(), places);
    let mut expected: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for coming in history {
        if coming.pause_ms > 0 {
            tokio::time::sleep(Duration::from_millis(coming.pause_ms)).await;
        }
        let name = format!("lane {}", coming.lane);
        let row = desk.insert(&name, coming.failures, coming.takes_ms);
        expected.entry(name.clone()).or_default().push(row.id);
        if coming.gap_ms > 0 {
            tokio::time::sleep(Duration::from_millis(coming.gap_ms)).await;
        }
        if pushes {
            lanes.push(&name, row);
        } else {
            lanes.wake(&name, 0);
        }
    }
    idle(&lanes).await;
    for (name, ids) in expected {
        assert_eq!(desk.done(&name), ids, "{name}");
    }
    // As many again for what is urgent.
    assert!(desk.most_working.load(Ordering::SeqCst) <= 2 * places);
    assert_eq!((lanes.busy(), lanes.0.table.lock().lanes.len()), (0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_row_is_worked_off_once_and_in_its_lanes_order(
        history in history(), places in 1_usize..4, pushes: bool, unreadable in 0_usize..3,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(live(history, places, pushes, unreadable));
    }
}

#[tokio::test(start_paused = true)]
async fn thousands_of_lanes_that_wait_hold_up_nobody() {
    let (desk, lanes) = lanes(4);
    for number in 0..3000 {
        let name = format!("stuck {number}");
        lanes.push(&name, desk.insert(&name, 20_000, 0));
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    lanes.push("fine", desk.insert("fine", 0, 0));
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(desk.done("fine").len(), 1);
    assert_eq!(lanes.busy(), 3000);
}

#[tokio::test(start_paused = true)]
async fn a_long_lane_gives_its_place_to_others() {
    let (desk, lanes) = lanes(1);
    for _ in 0..1000 {
        lanes.push("long", desk.insert("long", 0, 1));
    }
    lanes.push("short", desk.insert("short", 0, 1));
    while desk.done("short").is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(desk.done("long").len() <= 2 * TURN);
    idle(&lanes).await;
    assert_eq!(desk.done("long").len(), 1000);
}

#[tokio::test(start_paused = true)]
async fn a_more_urgent_lane_does_not_wait_for_turns_to_end() {
    let (desk, lanes) = lanes(2);
    for n in 0..10 * TURN {
        for lane in ["a", "b", "c"] {
            if n % 2 == 0 {
                lanes.push(lane, desk.insert(lane, 0, 7));
            } else {
                desk.insert(lane, 0, 7);
                lanes.wake(lane, 3);
            }
        }
    }
    tokio::time::sleep(Duration::from_millis(10)).await;
    lanes.push("urgent", desk.insert("urgent", 0, 4));
    tokio::time::sleep(Duration::from_millis(12)).await;
    assert_eq!(desk.done("urgent").len(), 1);
    idle(&lanes).await;
    // Those who are not urgent share their workers.
    assert_eq!(desk.most_working.load(Ordering::SeqCst), 3);
    for lane in ["a", "b", "c"] {
        let done = desk.done(lane);
        assert!(done.len() == 10 * TURN && done.is_sorted(), "{lane}");
    }
}

#[tokio::test(start_paused = true)]
async fn hurrying_ends_waits() {
    let (desk, lanes) = lanes(2);
    lanes.push("a", desk.insert("a", 1_000_000, 0));
    tokio::time::sleep(Duration::from_millis(1)).await;
    let failures_left = || lanes.0.table.lock().lanes["a"].rows[0].failures;
    assert_eq!(failures_left(), 999_999);
    lanes.hurry();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(failures_left(), 999_998);
}

#[tokio::test(start_paused = true)]
async fn stopping_finishes_what_is_begun_and_begins_nothing() {
    let (desk, lanes) = lanes(2);
    for name in ["a", "b", "c"] {
        lanes.push(name, desk.insert(name, 0, 50));
        lanes.push(name, desk.insert(name, 0, 50));
    }
    lanes.push("waits", desk.insert("waits", 1_000_000, 0));
    tokio::time::sleep(Duration::from_millis(10)).await;
    lanes.stop(Duration::from_secs(10)).await;
    assert_eq!((desk.done("a").len(), desk.done("b").len()), (1, 1));
    lanes.push("d", desk.insert("d", 0, 0));
    tokio::time::sleep(PATIENCE).await;
    assert_eq!((desk.done("c").len(), desk.done("d").len()), (0, 0));
    // Nothing holds the lanes, and with them the database, any more.
    assert_eq!(Arc::strong_count(&lanes.0), 1);
}

#[tokio::test(start_paused = true)]
async fn stopping_waits_no_longer_than_its_grace() {
    let (desk, lanes) = lanes(1);
    lanes.push("a", desk.insert("a", 0, 3_600_000));
    tokio::time::sleep(Duration::from_millis(1)).await;
    let asked = tokio::time::Instant::now();
    lanes.stop(Duration::from_secs(10)).await;
    assert_eq!(asked.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn work_that_panics_holds_up_its_own_lane_only() {
    let (desk, lanes) = lanes(1);
    lanes.push("bad", desk.insert("bad", PANICS, 0));
    for _ in 0..3 {
        lanes.push("good", desk.insert("good", 0, 0));
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(desk.done("good").len(), 3);
    assert_eq!(lanes.busy(), 1);
}
