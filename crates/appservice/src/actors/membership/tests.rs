use std::collections::HashMap;

use futures_util::FutureExt as _;
use proptest::prelude::*;

use super::*;
use crate::store::Location;

/// Rooms and users that change as they are told to, after a while.
struct Stage {
    began: Instant,
    /// Who is in a room, and how often they were told to come or go.
    state: Mutex<HashMap<Key, Standing>>,
    /// How long coming and going takes.
    latency: Duration,
    /// What is answered instead.
    refusal: Mutex<Option<Error>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    is_in: bool,
    is_moving: bool,
    requests: usize,
}

impl Stage {
    fn new(latency_ms: u64) -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            state: Mutex::default(),
            latency: Duration::from_millis(latency_ms),
            refusal: Mutex::default(),
        })
    }

    fn of(&self, key: &Key) -> Standing {
        self.state.lock().get(key).copied().unwrap_or_default()
    }

    fn requests(&self) -> usize {
        self.state
            .lock()
            .values()
            .map(|standing| standing.requests)
            .sum()
    }

    fn joined(&self) -> usize {
        self.state
            .lock()
            .values()
            .filter(|standing| standing.is_in)
            .count()
    }
}

impl Doors for Stage {
    fn is_in<'a>(
        &'a self,
        room: &'a RoomId,
        user: &'a UserId,
    ) -> BoxFuture<'a, Result<bool, Error>> {
        let is_in = self.of(&(room.clone(), user.clone())).is_in;
        async move { Ok(is_in) }.boxed()
    }

    fn go<'a>(
        &'a self,
        room: &'a RoomId,
        user: &'a UserId,
        goal: &'a GoalRow,
    ) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            let key = (room.clone(), user.clone());
            {
                let mut state = self.state.lock();
                let standing = state.entry(key.clone()).or_default();
                assert!(!standing.is_moving, "two requests for {key:?} at a time");
                assert_ne!(
                    standing.is_in, goal.joined,
                    "a needless request for {key:?}"
                );
                standing.is_moving = true;
                standing.requests += 1;
            }
            tokio::time::sleep(self.latency).await;
            let refusal = self.refusal.lock().clone();
            let mut state = self.state.lock();
            let standing = state.entry(key).or_default();
            standing.is_moving = false;
            match refusal {
                Some(error) => Err(error),
                None => {
                    standing.is_in = goal.joined;
                    Ok(())
                }
            }
        }
        .boxed()
    }

    fn now_ms(&self) -> i64 {
        millis(self.began.elapsed())
    }

    fn random(&self) -> u64 {
        u64::MAX
    }
}

fn store() -> Store {
    Store::open(&Location::Memory, true, &[]).expect("a database")
}

fn planner(store: &Store, places: usize) -> Arc<Planner> {
    let limits = Limits {
        membership_concurrency: places,
        ..Limits::default()
    };
    Arc::new(Planner::new(store.clone(), &limits))
}

/// A planner at work; it ends with what is given back.
fn begin(planner: &Arc<Planner>, stage: &Arc<Stage>) -> watch::Sender<bool> {
    let stop = watch::Sender::new(false);
    tokio::spawn(planner.clone().run(Arc::downgrade(stage), stop.subscribe()));
    stop
}

async fn idle(planner: &Planner) {
    let day = Duration::from_secs(86_400);
    let idle = async {
        while !planner.is_idle() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(day, idle)
        .await
        .expect("idle within a day");
}

fn key(room: u8, user: u8) -> Key {
    let room = RoomId::parse(&format!("!r{room}:x")).expect("an id");
    (room, UserId::parse(&format!("@u{user}:x")).expect("an id"))
}

async fn wish(planner: &Planner, stage: &Stage, (room, user): &Key, joined: bool) {
    let wishes = vec![Wish {
        user: user.clone(),
        joined,
    }];
    planner
        .wish(stage, room, wishes, None)
        .await
        .expect("stored");
}

async fn open(store: &Store) -> usize {
    store
        .read(|unit| unit.count_goals())
        .await
        .expect("read")
        .open
}

#[tokio::test(start_paused = true)]
async fn a_join_that_a_part_follows_before_its_turn_costs_nothing() {
    let (store, stage) = (store(), Stage::new(1000));
    let planner = planner(&store, 1);
    let stop = begin(&planner, &stage);
    let (first, second) = (key(0, 0), key(0, 1));
    wish(&planner, &stage, &first, true).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    wish(&planner, &stage, &second, true).await;
    wish(&planner, &stage, &second, false).await;
    idle(&planner).await;
    assert!(stage.of(&first).is_in);
    assert_eq!(
        (stage.of(&second).is_in, stage.of(&second).requests),
        (false, 0)
    );
    // And the reverse.
    stage.state.lock().insert(
        second.clone(),
        Standing {
            is_in: true,
            ..Standing::default()
        },
    );
    wish(&planner, &stage, &first, false).await;
    wish(&planner, &stage, &second, false).await;
    wish(&planner, &stage, &second, true).await;
    idle(&planner).await;
    assert_eq!(
        (stage.of(&second).is_in, stage.of(&second).requests),
        (true, 0)
    );
    drop(stop);
}

#[tokio::test(start_paused = true)]
async fn a_wish_that_changes_under_way_is_made_good() {
    let (store, stage) = (store(), Stage::new(1000));
    let planner = planner(&store, 4);
    let _stop = begin(&planner, &stage);
    let key = key(0, 0);
    wish(&planner, &stage, &key, true).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(stage.of(&key).is_moving);
    wish(&planner, &stage, &key, false).await;
    idle(&planner).await;
    assert_eq!((stage.of(&key).is_in, stage.of(&key).requests), (false, 2));
    assert_eq!(open(&store).await, 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_given_up_and_tried_anew_when_wished_again() {
    let (store, stage) = (store(), Stage::new(10));
    let planner = planner(&store, 4);
    let _stop = begin(&planner, &stage);
    let key = key(0, 0);
    *stage.refusal.lock() = Some(Error::Forbidden("closed".to_owned()));
    wish(&planner, &stage, &key, true).await;
    idle(&planner).await;
    assert_eq!(stage.of(&key).requests, REFUSED_ATTEMPTS as usize);
    // The waits grow: 15, 30 and 60 seconds.
    assert!(
        stage.began.elapsed() >= Duration::from_secs(100),
        "{:?}",
        stage.began.elapsed()
    );
    let room = key.0.to_string();
    let goals = store
        .read(move |unit| unit.goals_of_room(&room, 10))
        .await
        .expect("read");
    assert_eq!(
        (goals[0].next_ms, goals[0].error.as_deref()),
        (NEVER_MS, Some("closed"))
    );
    *stage.refusal.lock() = None;
    wish(&planner, &stage, &key, true).await;
    idle(&planner).await;
    assert!(stage.of(&key).is_in);
}

fn token_unknown() -> Error {
    Error::Refused {
        what: "POST /join".to_owned(),
        status: 401,
        errcode: "M_UNKNOWN_TOKEN".to_owned(),
        message: String::new(),
        retry_after: None,
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_brings_no_goal_nearer_to_its_end() {
    let (store, stage) = (store(), Stage::new(10));
    let planner = planner(&store, 4);
    let _stop = begin(&planner, &stage);
    let key = key(0, 0);
    *stage.refusal.lock() = Some(token_unknown());
    wish(&planner, &stage, &key, true).await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let unanswered = stage.of(&key).requests;
    assert!(unanswered > REFUSED_ATTEMPTS as usize, "{unanswered}");
    // Three times no, and then yes.
    *stage.refusal.lock() = Some(Error::Forbidden("closed".to_owned()));
    while stage.of(&key).requests < unanswered + REFUSED_ATTEMPTS as usize - 1 {
        assert!(!planner.is_idle(), "given up");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    *stage.refusal.lock() = None;
    idle(&planner).await;
    assert!(stage.of(&key).is_in);
}

#[tokio::test(start_paused = true)]
async fn a_room_that_opens_is_tried_at_once() {
    let (store, stage) = (store(), Stage::new(10));
    let planner = planner(&store, 4);
    let _stop = begin(&planner, &stage);
    let key = key(0, 0);
    *stage.refusal.lock() = Some(Error::Forbidden("closed".to_owned()));
    wish(&planner, &stage, &key, true).await;
    idle(&planner).await;
    *stage.refusal.lock() = None;
    let opened = Instant::now();
    planner.reopen(&key.0, stage.now_ms()).await;
    assert!(!planner.is_idle());
    idle(&planner).await;
    assert!(stage.of(&key).is_in && opened.elapsed() < Duration::from_secs(1));
    planner.reopen(&key.0, stage.now_ms()).await;
    assert!(planner.is_idle());
}

#[tokio::test(start_paused = true)]
async fn where_nobody_wants_to_be_anywhere_nothing_is_looked_at() {
    let (stage, store) = (Stage::new(1), store());
    let planner = planner(&store, 2);
    let _stop = begin(&planner, &stage);
    idle(&planner).await;
    let key = key(0, 0);
    let goal = GoalRow {
        room_id: key.0.to_string(),
        user_id: key.1.to_string(),
        joined: true,
        reason: None,
        attempts: 1,
        refusals: 0,
        next_ms: NEVER_MS,
        error: None,
    };
    // Past the planner, so that what it does shows.
    store
        .write(move |unit| {
            unit.set_goal(&goal, 1)?;
            unit.fail_goal(&goal)
        })
        .await
        .expect("written");
    planner.reopen(&key.0, stage.now_ms()).await;
    let reopened = store
        .read(move |unit| unit.goal(key.0.as_str(), key.1.as_str()))
        .await;
    let goal = reopened.expect("read").expect("a goal");
    assert_eq!(goal.next_ms, NEVER_MS);
}

#[tokio::test(start_paused = true)]
async fn one_room_with_many_does_not_hold_up_another_with_one() {
    let (store, stage) = (store(), Stage::new(50));
    let planner = planner(&store, 2);
    let _stop = begin(&planner, &stage);
    let (room, _) = key(0, 0);
    let many = (0..200)
        .map(|n| Wish {
            user: key(0, n).1,
            joined: true,
        })
        .collect();
    planner
        .wish(&*stage, &room, many, None)
        .await
        .expect("stored");
    tokio::time::sleep(Duration::from_millis(200)).await;
    let other = key(1, 0);
    wish(&planner, &stage, &other, true).await;
    tokio::time::sleep(Duration::from_millis(1000)).await;
    assert!(
        stage.of(&other).is_in,
        "after {} of the others",
        stage.joined()
    );
    assert!(stage.joined() < 100);
    idle(&planner).await;
    assert_eq!((stage.joined(), stage.requests()), (201, 201));
}

#[tokio::test(start_paused = true)]
async fn a_restart_goes_on_where_it_was() {
    let (store, stage) = (store(), Stage::new(20));
    let (room, _) = key(0, 0);
    let many = (0..200)
        .map(|n| Wish {
            user: key(0, n).1,
            joined: true,
        })
        .collect();
    let before = planner(&store, 8);
    let stop = begin(&before, &stage);
    before
        .wish(&*stage, &room, many, None)
        .await
        .expect("stored");
    while stage.joined() < 50 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.send_replace(true);
    before.finish(Duration::from_secs(10)).await;
    let done = stage.joined();
    assert!((50..200).contains(&done), "{done}");
    let after = planner(&store, 8);
    assert!(!after.is_idle());
    let _stop = begin(&after, &stage);
    idle(&after).await;
    assert_eq!((stage.joined(), stage.requests()), (200, 200));
}

#[tokio::test(start_paused = true)]
async fn a_forecast_is_about_right() {
    let (store, stage) = (store(), Stage::new(400));
    let planner = planner(&store, 8);
    let _stop = begin(&planner, &stage);
    let (room, _) = key(0, 0);
    let many = (0..200)
        .map(|n| Wish {
            user: key(0, n).1,
            joined: true,
        })
        .collect();
    planner
        .wish(&*stage, &room, many, None)
        .await
        .expect("stored");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let count = store.read(|unit| unit.count_goals()).await.expect("read");
    let forecast = planner.forecast(count.open, count.last_ms, stage.now_ms());
    let asked = Instant::now();
    idle(&planner).await;
    let took = asked.elapsed();
    assert!(
        forecast >= took / 2 && forecast <= took * 2,
        "{forecast:?} for {took:?}"
    );
}

/// A wish, after a pause.
#[derive(Clone, Debug)]
struct Move {
    room: u8,
    user: u8,
    joined: bool,
    pause_ms: u64,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = (
        0..2_u8,
        0..3_u8,
        any::<bool>(),
        prop_oneof![Just(0), 1..40_u64],
    );
    let one = one.prop_map(|(room, user, joined, pause_ms)| Move {
        room,
        user,
        joined,
        pause_ms,
    });
    prop::collection::vec(one, 1..40)
}

async fn play(moves: &[Move], latency_ms: u64, places: usize, seed: u8) {
    let (store, stage) = (store(), Stage::new(latency_ms));
    let planner = planner(&store, places);
    let _stop = begin(&planner, &stage);
    for n in 0..6 {
        let is_in = seed >> n & 1 == 1;
        let standing = Standing {
            is_in,
            ..Standing::default()
        };
        stage.state.lock().insert(key(n / 3, n % 3), standing);
    }
    let mut wishes: HashMap<Key, (bool, usize)> = HashMap::new();
    for step in moves {
        let key = key(step.room, step.user);
        wish(&planner, &stage, &key, step.joined).await;
        let (last, count) = wishes.entry(key).or_default();
        (*last, *count) = (step.joined, *count + 1);
        tokio::time::sleep(Duration::from_millis(step.pause_ms)).await;
    }
    idle(&planner).await;
    for (key, (last, count)) in wishes {
        let standing = stage.of(&key);
        assert_eq!(standing.is_in, last, "the last wish counts for {key:?}");
        assert!(
            standing.requests <= count,
            "{} requests for {count} wishes",
            standing.requests
        );
    }
    assert_eq!(open(&store).await, 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_last_wish_counts_and_no_request_is_needless(
        moves in moves(), latency_ms in 0..60_u64, places in 1..4_usize, seed: u8,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(play(&moves, latency_ms, places, seed));
    }
}
