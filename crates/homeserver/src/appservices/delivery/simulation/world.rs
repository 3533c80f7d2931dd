//! The world of a run: the real engine and store, scripted services, a driver that does the steps.
//!
//! Everything above the database is dropped at a crash, at exactly the point where it stands, and
//! built anew from what the database has. The services and the judge live on.

mod acts;

use std::{fmt::Write as _, path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use bridgehead_room::{self as room, NewEvent, RoomView, SigningKey};
use bridgehead_store::{
    AppserviceNid, Error, Location, LogKind, Mode, PauseRow, Store, StoreOptions, StreamPosition,
    Tx,
};
use parking_lot::Mutex;
use ruma::{
    CanonicalJsonObject, MilliSecondsSinceUnixEpoch, OwnedRoomId, OwnedServerName, OwnedUserId,
    RoomVersionId, UInt,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{
    judge::{Judge, Violation},
    plan::{EPHEMERAL, Plan, ROOMS, SERVICES, Step},
    services::{Script, Switch, TIMEOUT},
};
use crate::{
    appservices::{
        Appservice, Bus, Registry,
        delivery::{DeliveryHandle, Engine, Links, run, wake_interested},
        namespaces::AsIndex,
        registration,
    },
    clock::Clock,
    config::{self, Config, Overrides},
    http::extract::canonical_object,
    random::Random,
    rooms::{AppendContext, AppendError, AppendRequest, append_in, insert_event},
    shutdown::{ShutdownTrigger, shutdown},
};

const SERVER: &str = "example.org";
const ALICE: &str = "@alice:example.org";
const EPOCH_MS: i64 = 1_700_000_000_000;
const NAMES: [&str; SERVICES] = ["alpha", "beta", "gamma", "neighbour"];
/// Users of these services are in the room.
const MEMBERS: [&[usize]; ROOMS] = [&[0, 1, 3], &[1, 2], &[0, 2, 3]];
/// Lines of a trace that a report shows.
const TRACE_TAIL: usize = 60;

/// The longest wait between attempts.
pub(super) const BACKOFF_MAX: Duration = Duration::from_secs(8);

/// How often the time may be asked while it stands still; more is a loop without end.
const MAX_LOOKS: u64 = 100_000;

/// The runtime's time, which stands still while anybody has something to do.
pub(super) struct SimClock {
    start: Instant,
    /// The last answer, and how often it was given.
    looks: Mutex<(i64, u64)>,
}

impl SimClock {
    fn new() -> Self {
        Self {
            start: Instant::now(),
            looks: Mutex::new((0, 0)),
        }
    }
}

impl Clock for SimClock {
    fn now_ms(&self) -> i64 {
        let ms = i64::try_from(self.start.elapsed().as_millis()).expect("a short run");
        let mut looks = self.looks.lock();
        *looks = if looks.0 == ms {
            (ms, looks.1 + 1)
        } else {
            (ms, 1)
        };
        assert!(looks.1 < MAX_LOOKS, "a loop that time does not end");
        EPOCH_MS + ms
    }
}

/// What happened, line by line.
pub(super) struct Trace {
    clock: Arc<SimClock>,
    lines: Mutex<Vec<String>>,
}

impl Trace {
    pub(super) fn add(&self, line: impl FnOnce() -> String) {
        let ms = self.clock.now_ms() - EPOCH_MS;
        let line = format!("{ms:>7} {}", line());
        self.lines.lock().push(line);
    }
}

/// Figures of a run.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Figures {
    pub(super) runs: u64,
    pub(super) steps: u64,
    pub(super) crashes: u64,
    pub(super) failures: u64,
}

impl Figures {
    pub(super) fn add(&mut self, other: Self) {
        self.runs += other.runs;
        self.steps += other.steps;
        self.crashes += other.crashes;
        self.failures += other.failures;
    }
}

/// How a run ended.
pub(super) struct Outcome {
    pub(super) figures: Figures,
    pub(super) violation: Option<Violation>,
    pub(super) trace: Vec<String>,
}

impl Outcome {
    /// The end of the trace, for a report.
    pub(super) fn tail(&self) -> String {
        let skipped = self.trace.len().saturating_sub(TRACE_TAIL);
        self.trace[skipped..].join("\n")
    }
}

/// A row of the log, as it was committed.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) pos: u64,
    pub(super) at_ms: i64,
    pub(super) interest: Vec<AppserviceNid>,
    pub(super) item: Item,
}

/// What a row is about, as far as the judge asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    /// A room event; its id is in the database.
    Event,
    /// A to-device message, by its number.
    ToDevice(u64),
    /// A user's devices.
    DeviceList(String),
    /// Nothing that has to arrive.
    Other,
}

/// What was committed, told by the store itself.
#[derive(Default)]
pub(super) struct Committed {
    pub(super) rows: Vec<Row>,
    /// The to-device message that is being sent.
    to_device: u64,
}

/// One life of the server.
pub(super) struct Life {
    pub(super) engine: Arc<Engine>,
    pub(super) services: Vec<Arc<Appservice>>,
    tasks: JoinSet<()>,
    _trigger: ShutdownTrigger,
}

impl Life {
    pub(super) fn handle(&self, service: usize) -> &Arc<DeliveryHandle> {
        &self.services[service].delivery
    }
}

/// Runs a plan in a runtime of its own.
pub(super) fn run_plan(plan: &Plan) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime needs nothing");
    runtime.block_on(async {
        let mut world = World::new(plan);
        let violation = world.play(plan).await.err();
        let failures = world.scripts.iter().map(|script| script.failures()).sum();
        world.end_life().await;
        Outcome {
            figures: Figures {
                runs: 1,
                steps: plan.steps.len() as u64,
                crashes: world.crashes,
                failures,
            },
            violation,
            trace: std::mem::take(&mut world.trace.lines.lock()),
        }
    })
}

pub(super) struct World {
    seed: u64,
    pub(super) clock: Arc<SimClock>,
    pub(super) trace: Arc<Trace>,
    switch: Arc<Switch>,
    pub(super) scripts: Vec<Arc<Script>>,
    pub(super) committed: Arc<Mutex<Committed>>,
    config: config::Appservices,
    key: Arc<SigningKey>,
    folder: Option<TempDir>,
    /// `None` while the server is down.
    store: Option<Store>,
    pub(super) nids: Vec<AppserviceNid>,
    pub(super) life: Option<Life>,
    judge: Option<Judge>,
    crashes: u64,
    /// Messages sent so far, and to-device messages.
    sent: u64,
}

impl World {
    fn new(plan: &Plan) -> Self {
        let clock = Arc::new(SimClock::new());
        let trace = Arc::new(Trace {
            clock: clock.clone(),
            lines: Mutex::new(Vec::new()),
        });
        let switch = Arc::new(Switch::new(plan.seed));
        let script = |index| {
            let (switch, clock) = (switch.clone(), clock.clone());
            Arc::new(Script::new(
                index,
                NAMES[index],
                switch,
                clock,
                trace.clone(),
            ))
        };
        let server: OwnedServerName = SERVER.try_into().expect("a name");
        Self {
            seed: plan.seed,
            scripts: (0..SERVICES).map(script).collect(),
            committed: Arc::default(),
            config: config(),
            key: Arc::new(SigningKey::from_seed(server, &[7; 32], "sim").expect("a key")),
            folder: plan.on_disk.then(|| TempDir::new().expect("a folder")),
            store: None,
            nids: Vec::new(),
            life: None,
            judge: None,
            crashes: 0,
            sent: 0,
            clock,
            trace,
            switch,
        }
    }

    async fn play(&mut self, plan: &Plan) -> Result<(), Violation> {
        self.store = Some(self.open());
        self.start().await;
        self.judge = Some(Judge::new());
        self.make_rooms().await;
        self.settle().await?;
        for (number, step) in plan.steps.iter().enumerate() {
            self.trace.add(|| format!("-- {number}: {step:?}"));
            self.step(*step).await?;
        }
        self.finish().await
    }

    fn file(&self) -> Option<PathBuf> {
        let folder = self.folder.as_ref()?;
        Some(folder.path().join("sim.db"))
    }

    fn open(&self) -> Store {
        let clock = self.clock.clone();
        let options = StoreOptions {
            clock: Arc::new(move || clock.now_ms()),
            mode: Mode::Inline {
                gate: Some(self.switch.clone()),
            },
            ..StoreOptions::default()
        };
        let file = self.file();
        let location = file.as_deref().map_or(Location::Memory, Location::File);
        Store::open_with(location, SERVER, options).expect("a fresh or sound database")
    }

    /// A new life of the server, on what the database has.
    async fn start(&mut self) {
        let store = self.store.clone().expect("it was opened");
        if self.nids.is_empty() {
            for name in NAMES {
                let row: Result<_, Error> = store.write(move |tx| tx.ensure_appservice(name)).await;
                self.nids.push(row.expect("a sound database").nid);
            }
        }
        let services: Vec<_> = (0..SERVICES).map(|index| self.service(index)).collect();
        let server: OwnedServerName = SERVER.try_into().expect("a name");
        let registry = Registry::new(1, &server, services.clone()).expect("patterns compile");
        let engine = Arc::new(Engine {
            store: store.clone(),
            clock: self.clock.clone(),
            random: Arc::new(Random::seeded(self.seed.wrapping_add(self.crashes))),
            registry: ArcSwap::from_pointee(registry),
            config: self.config.clone(),
            bus: Arc::new(Bus::new()),
        });
        self.listen(&store, &engine);
        let (trigger, end) = shutdown();
        let mut tasks = JoinSet::new();
        for service in &services {
            self.scripts[service.index.0 as usize].next_life();
            tasks.spawn(run(engine.clone(), service.delivery.clone(), end.clone()));
        }
        self.life = Some(Life {
            engine,
            services,
            tasks,
            _trigger: trigger,
        });
    }

    fn service(&self, index: usize) -> Arc<Appservice> {
        let registration = Arc::new(registration_of(index));
        let nid = self.nids[index];
        let links = Links {
            push: Some(self.scripts[index].clone()),
            queries: None,
        };
        Arc::new(Appservice {
            sender: user(NAMES[index]),
            registration,
            nid,
            index: AsIndex(u16::try_from(index).expect("a few")),
            delivery: Arc::new(DeliveryHandle::new(nid, links, &self.config)),
        })
    }

    /// What is committed is known to the judge from the commit on, crash or not.
    fn listen(&self, store: &Store, engine: &Arc<Engine>) {
        let weak = Arc::downgrade(engine);
        let committed = self.committed.clone();
        store.on_commit(Box::new(move |entries| {
            let Some(engine) = weak.upgrade() else {
                return;
            };
            let mut known = committed.lock();
            for entry in entries {
                let item = match entry.kind {
                    LogKind::Event => Item::Event,
                    LogKind::ToDevice => Item::ToDevice(known.to_device),
                    LogKind::DeviceList => {
                        Item::DeviceList(entry.user_id.clone().unwrap_or_default())
                    }
                    LogKind::Met
                    | LogKind::Parted
                    | LogKind::KeyCounts
                    | LogKind::Receipt
                    | LogKind::AccountData
                    | LogKind::Aliases => Item::Other,
                };
                known.rows.push(Row {
                    pos: entry.pos.0,
                    at_ms: entry.at_ms,
                    interest: engine.store.interest_set(entry.interest).to_vec(),
                    item,
                });
            }
            drop(known);
            wake_interested(&engine, entries);
        }));
    }

    /// Drops all of the server but the database.
    async fn end_life(&mut self) {
        if let Some(mut life) = self.life.take() {
            life.tasks.shutdown().await;
        }
    }

    async fn crash(&mut self) -> Result<(), Violation> {
        self.trace.add(|| "the server is cut off".to_owned());
        self.crashes += 1;
        if let (Some(judge), Some(life)) = (&self.judge, &self.life) {
            judge.check_moves(life)?;
        }
        self.end_life().await;
        self.switch.reset();
        let store = self.store.take().expect("it was open");
        self.store = Some(match self.folder {
            Some(_) => {
                drop(store);
                self.open()
            }
            None => store
                .restart(Some(self.switch.clone()))
                .expect("it is in inline mode"),
        });
        self.start().await;
        let now_ms = self.clock.now_ms();
        self.judge_mut().restarted(now_ms);
        self.settle().await
    }

    fn judge_mut(&mut self) -> &mut Judge {
        self.judge.as_mut().expect("made at the start")
    }

    pub(super) fn store(&self) -> Store {
        self.store.clone().expect("it is open between steps")
    }

    fn live(&self) -> &Life {
        self.life.as_ref().expect("the server runs between steps")
    }

    /// Everybody does what can be done at once; then the judge looks.
    async fn settle(&mut self) -> Result<(), Violation> {
        let switch = self.switch.clone();
        tokio::select! {
            biased;
            () = switch.cut() => return Box::pin(self.crash()).await,
            () = sleep(Duration::from_millis(1)) => {}
        }
        self.check_tasks()?;
        let mut judge = self.judge.take().expect("made at the start");
        let verdict = judge.look(self).await;
        self.judge = Some(judge);
        verdict
    }

    /// The tasks run, and none runs in circles.
    fn check_tasks(&mut self) -> Result<(), Violation> {
        let broken = |rule, what: String| Violation {
            rule,
            service: "",
            what,
        };
        if self.switch.is_worn_out() {
            let what = "it goes on without any time going by".to_owned();
            return Err(broken("the engine rests", what));
        }
        let life = self.life.as_mut().expect("the server runs between steps");
        match life.tasks.try_join_next() {
            Some(ended) => Err(broken("the engine lives", format!("{ended:?}"))),
            None => Ok(()),
        }
    }

    async fn step(&mut self, step: Step) -> Result<(), Violation> {
        let switch = self.switch.clone();
        if let Step::Crash { points } = step {
            if points == 0 {
                return self.crash().await;
            }
            switch.arm(points);
            return self.settle().await;
        }
        tokio::select! {
            biased;
            () = switch.cut() => return self.crash().await,
            () = self.act(step) => {}
        }
        self.settle().await
    }

    /// From now on nothing may be sent to a service that is paused.
    pub(super) async fn look_at_holds(&self, service: usize) {
        let nid = self.nids[service];
        let orders = self
            .store()
            .read(move |snapshot| snapshot.orders(nid))
            .await;
        let orders: bridgehead_store::Orders =
            orders.unwrap_or_else(|error: Error| panic!("{error}"));
        let state = self.live().handle(service).status.state();
        let failed = orders.failed_at.is_some() && state == bridgehead_admin_api::State::Failed;
        let paused = orders
            .pauses
            .iter()
            .map(|pause| pause.until.unwrap_or(i64::MAX));
        let until = if failed { Some(i64::MAX) } else { paused.max() };
        self.scripts[service].hold(until);
    }

    async fn make_rooms(&mut self) {
        let key = self.key.clone();
        let context = self.context();
        let clock = self.clock.clone();
        let made: Result<(), AppendError> = self
            .store()
            .write(move |tx| {
                for (number, members) in MEMBERS.iter().enumerate() {
                    make_room(tx, &context, &key, &clock, number, members)?;
                }
                Ok(())
            })
            .await;
        made.unwrap_or_else(|error| panic!("rooms are made: {error}"));
    }

    /// All faults end; everything must arrive.
    async fn finish(&mut self) -> Result<(), Violation> {
        self.trace.add(|| "-- all faults end".to_owned());
        self.switch.reset();
        for service in 0..SERVICES {
            self.scripts[service].cure();
            self.scripts[service].hold(None);
            let (nid, handle) = (self.nids[service], self.live().handle(service).clone());
            self.write(move |tx| {
                tx.resume_delivery(nid, "operator")?;
                tx.resume_delivery(nid, "service")?;
                tx.set_policy(nid, None)?;
                tx.recover_delivery(nid)
            })
            .await;
            handle.control_changed();
            handle.sign_of_life();
        }
        let patience = TIMEOUT + BACKOFF_MAX + Duration::from_secs(5);
        for _ in 0..patience.as_secs() {
            sleep(Duration::from_secs(1)).await;
            if self.is_drained().await {
                break;
            }
        }
        self.settle().await?;
        let judge = self.judge.take().expect("made at the start");
        let verdict = judge.at_the_end(self).await;
        self.judge = Some(judge);
        verdict
    }

    async fn is_drained(&self) -> bool {
        let end = self.committed.lock().rows.len() as u64;
        for (service, nid) in self.nids.clone().into_iter().enumerate() {
            let orders: Result<_, Error> = self.store().read(move |s| s.orders(nid)).await;
            let orders = orders.unwrap_or_else(|error| panic!("{error}"));
            let depth = self.live().handle(service).status.figures().depth;
            if orders.frozen.is_some() || orders.replay.is_some() || depth > 0 && end > 0 {
                return false;
            }
        }
        true
    }
}

fn config() -> config::Appservices {
    let loaded = Config::load(None, std::iter::empty(), Overrides::default());
    let mut config = loaded.expect("the defaults are sound").config.appservices;
    config.max_transaction_events = 5;
    config.max_transaction_bytes = 6_000;
    config.backoff_min = Duration::from_millis(500);
    config.backoff_max = BACKOFF_MAX;
    config
}

fn registration_of(index: usize) -> registration::Registration {
    let name = NAMES[index];
    let mut text = String::new();
    write!(
        text,
        "id: {name}\nurl: null\nas_token: as_{name}\nhs_token: hs_{name}\nsender_localpart: {name}\n\
         namespaces:\n  users:\n  - regex: '@{name}_.*'\n    exclusive: true\n"
    )
    .expect("a string takes everything");
    match index {
        1 => text.push_str("org.matrix.msc3202: true\n"),
        EPHEMERAL => text.push_str(
            "org.matrix.msc3202: true\nreceive_ephemeral: true\n\
             de.sorunome.msc2409.push_ephemeral: true\n",
        ),
        _ => {}
    }
    let (registration, _) =
        registration::parse("sim.yaml".as_ref(), text.as_bytes()).expect("a sound registration");
    registration
}

fn user(localpart: &str) -> OwnedUserId {
    let id = format!("@{localpart}:{SERVER}");
    id.as_str().try_into().expect("a user id")
}

fn ghost(service: usize) -> String {
    format!("@{}_1:{SERVER}", NAMES[service])
}

fn room_id(number: usize) -> OwnedRoomId {
    let id = format!("!r{number}:{SERVER}");
    id.as_str().try_into().expect("a room id")
}

fn new_event(
    clock: &SimClock,
    sender: &str,
    event_type: &str,
    state_key: Option<&str>,
    content: Value,
) -> NewEvent {
    let now = UInt::try_from(clock.now_ms()).expect("a time");
    NewEvent {
        sender: sender.try_into().expect("a user id"),
        event_type: event_type.to_owned(),
        state_key: state_key.map(str::to_owned),
        content: canonical_object(content).expect("an object"),
        redacts: None,
        origin_server_ts: MilliSecondsSinceUnixEpoch(now),
    }
}

fn make_room(
    tx: &mut Tx<'_>,
    context: &AppendContext,
    key: &SigningKey,
    clock: &SimClock,
    number: usize,
    members: &[usize],
) -> Result<(), AppendError> {
    let id = room_id(number);
    let version = RoomVersionId::V11;
    let create = NewEvent {
        content: CanonicalJsonObject::new(),
        ..new_event(clock, ALICE, "m.room.create", Some(""), json!({}))
    };
    let (event, _) = room::build_create(&version, Some(id.clone()), create, key)?;
    tx.insert_room(id.as_str(), &version)?;
    let nothing = RoomView::from_state(id.clone(), version, [], Vec::new(), 0)
        .map_err(room::Rejection::from)?;
    let nothing = Arc::new(nothing);
    tx.set_room_view(nothing.clone(), None);
    insert_event(tx, context, &nothing, event, None)?;
    let mut add = |sender: &str, event_type: &str, state_key: &str, content: Value| {
        let request = AppendRequest {
            room_id: id.clone(),
            event: new_event(clock, sender, event_type, Some(state_key), content),
            txn: None,
            device_id: None,
        };
        append_in(tx, context, request).map(drop)
    };
    let join = || json!({ "membership": "join" });
    add(ALICE, "m.room.member", ALICE, join())?;
    let public = json!({ "join_rule": "public" });
    add(ALICE, "m.room.join_rules", "", public)?;
    for service in members {
        add(&ghost(*service), "m.room.member", &ghost(*service), join())?;
    }
    Ok(())
}
