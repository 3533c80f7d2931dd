//! Scripted services, and the switch that cuts the server off.

use std::{
    collections::BTreeMap,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bridgehead_admin_api::Transport as TransportKind;
use bridgehead_store::{FrozenTransaction, Gate, GateFuture};
use futures_util::{FutureExt as _, future::BoxFuture};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::{sync::Notify, task::yield_now, time::sleep};

use super::{
    plan::Behaviour,
    world::{SimClock, Trace},
};
use crate::{
    appservices::delivery::transport::{Failure, Transport},
    clock::Clock as _,
    random::Random,
};

/// After which the server gives an answer up.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
/// A healthy service's answer.
const LATENCY: Duration = Duration::from_millis(2);
/// How often the server looks whether a service that was not there listens again.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);

/// Points that a run passes at most; more is a loop that time does not end.
const MAX_POINTS: u64 = 30_000;

/// Every point at which the server may be cut off: around each commit and each push.
pub(super) struct Switch {
    random: Random,
    armed: Mutex<Option<u32>>,
    tripped: AtomicBool,
    notify: Notify,
    passed: AtomicU64,
}

impl Switch {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: Random::seeded(seed ^ 0x005e_ed0f_c4a5),
            armed: Mutex::new(None),
            tripped: AtomicBool::new(false),
            notify: Notify::new(),
            passed: AtomicU64::new(0),
        }
    }

    /// Cuts off at the `points`-th point from now.
    pub(super) fn arm(&self, points: u32) {
        *self.armed.lock() = Some(points);
    }

    /// A new life begins, and nothing threatens it.
    pub(super) fn reset(&self) {
        *self.armed.lock() = None;
        self.tripped.store(false, Ordering::Relaxed);
        self.notify.notified().now_or_never();
    }

    /// Whether somebody does the same again and again without any time going by.
    pub(super) fn is_worn_out(&self) -> bool {
        self.passed.load(Ordering::Relaxed) > MAX_POINTS
    }

    /// Returns when the server was cut off.
    pub(super) async fn cut(&self) {
        self.notify.notified().await;
    }

    /// Passes one of the points; others run before it, by chance.
    async fn crossing(&self) {
        let passed = self.passed.fetch_add(1, Ordering::Relaxed);
        if passed > MAX_POINTS {
            // Nobody gets any further; the judge sees why.
            pending::<()>().await;
        }
        for _ in 0..self.random.below(3) {
            yield_now().await;
        }
        if self.trips() {
            self.notify.notify_one();
            pending::<()>().await;
        }
    }

    fn trips(&self) -> bool {
        let mut armed = self.armed.lock();
        match *armed {
            Some(0 | 1) => {
                *armed = None;
                self.tripped.store(true, Ordering::Relaxed);
            }
            Some(points) => *armed = Some(points - 1),
            None => {}
        }
        self.tripped.load(Ordering::Relaxed)
    }
}

impl Gate for Switch {
    fn before_commit(&self) -> GateFuture<'_> {
        Box::pin(self.crossing())
    }

    fn after_commit(&self) -> GateFuture<'_> {
        Box::pin(self.crossing())
    }
}

/// A transaction's body, as a service reads it.
#[derive(Debug)]
pub(super) struct Body {
    /// The exact bytes.
    pub(super) bytes: Vec<u8>,
    /// Ids of its events.
    pub(super) events: Vec<String>,
    /// Numbers of its to-device messages.
    pub(super) to_device: Vec<u64>,
    /// Users whose devices changed.
    pub(super) device_lists: Vec<String>,
    /// It begins here.
    pub(super) first: u64,
    /// It ends here.
    pub(super) last: u64,
    /// Where the one before it ended.
    pub(super) prev: u64,
    /// It is sent once more.
    pub(super) replay: bool,
    /// The services it is poison for.
    poison: Vec<u64>,
}

impl Body {
    /// Reads one; an unreadable one is a bug of the server, which the panic shows.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(bytes).expect("a body is JSON");
        let list = |key: &str| body[key].as_array().cloned().unwrap_or_default();
        let events = list("events");
        let seq = &body["io.bridgehead.seq"];
        let position = |key: &str| seq[key].as_u64().expect("a body has its place");
        let text = |value: &Value| value.as_str().expect("a string").to_owned();
        Self {
            bytes: bytes.to_vec(),
            to_device: list("de.sorunome.msc2409.to_device")
                .iter()
                .map(|message| message["content"]["n"].as_u64().expect("its number"))
                .collect(),
            device_lists: body["device_lists"]["changed"]
                .as_array()
                .map(|users| users.iter().map(text).collect())
                .unwrap_or_default(),
            poison: events
                .iter()
                .filter_map(|event| event["content"]["poison"].as_u64())
                .collect(),
            events: events
                .iter()
                .map(|event| text(&event["event_id"]))
                .collect(),
            first: position("first"),
            last: position("last"),
            prev: position("prev"),
            replay: seq["replay"].as_bool().unwrap_or(false),
        }
    }

    fn entries(&self) -> usize {
        self.events.len() + self.to_device.len() + self.device_lists.len()
    }
}

/// What a service has seen.
#[derive(Debug, Clone)]
pub(super) enum Seen {
    /// A push came in.
    Started { push: Arc<Push> },
    /// The service took what was in it.
    Processed { push: Arc<Push> },
    /// The server was told something that makes it suspect the contents.
    Doubted { push: Arc<Push> },
    /// The server was told so.
    Acknowledged { push: Arc<Push>, at_ms: i64 },
    /// Something that must not be.
    Wrong { rule: &'static str, what: String },
}

/// One attempt, as the service saw it.
#[derive(Debug)]
pub(super) struct Push {
    pub(super) txn_id: u64,
    pub(super) life: u32,
    pub(super) body: Arc<Body>,
}

/// A scripted service, which outlives the server.
pub(super) struct Script {
    name: &'static str,
    index: usize,
    switch: Arc<Switch>,
    clock: Arc<SimClock>,
    trace: Arc<Trace>,
    inner: Mutex<Inner>,
}

struct Inner {
    behaviour: Behaviour,
    poisoned: bool,
    in_flight: u32,
    /// Nothing may be sent until then.
    held_until: Option<i64>,
    life: u32,
    seen: Vec<Seen>,
    bodies: BTreeMap<u64, Arc<Body>>,
    failures: u64,
}

impl Script {
    pub(super) fn new(
        index: usize,
        name: &'static str,
        switch: Arc<Switch>,
        clock: Arc<SimClock>,
        trace: Arc<Trace>,
    ) -> Self {
        Self {
            name,
            index,
            switch,
            clock,
            trace,
            inner: Mutex::new(Inner {
                behaviour: Behaviour::Healthy,
                poisoned: true,
                in_flight: 0,
                held_until: None,
                life: 0,
                seen: Vec::new(),
                bodies: BTreeMap::new(),
                failures: 0,
            }),
        }
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn behave(&self, behaviour: Behaviour) {
        self.inner.lock().behaviour = behaviour;
    }

    pub(super) fn behaviour(&self) -> Behaviour {
        self.inner.lock().behaviour
    }

    /// From now on it takes everything.
    pub(super) fn cure(&self) {
        let mut inner = self.inner.lock();
        inner.behaviour = Behaviour::Healthy;
        inner.poisoned = false;
    }

    /// Nothing may be sent to it until then.
    pub(super) fn hold(&self, until_ms: Option<i64>) {
        self.inner.lock().held_until = until_ms;
    }

    /// The server begins a new life.
    pub(super) fn next_life(&self) {
        self.inner.lock().life += 1;
    }

    /// What it has seen since it was last asked.
    pub(super) fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.inner.lock().seen)
    }

    /// Attempts that it did not acknowledge.
    pub(super) fn failures(&self) -> u64 {
        self.inner.lock().failures
    }

    fn begin(&self, transaction: &FrozenTransaction) -> (Arc<Push>, InFlight<'_>) {
        let mut inner = self.inner.lock();
        let id = transaction.txn_id;
        let body = match inner.bodies.get(&id) {
            Some(known) if known.bytes == transaction.body => known.clone(),
            known => {
                if known.is_some() {
                    let what = format!("transaction {id} has other bytes than before");
                    let rule = "same id, same bytes";
                    inner.seen.push(Seen::Wrong { rule, what });
                }
                Arc::new(Body::read(&transaction.body))
            }
        };
        inner.bodies.insert(id, body.clone());
        inner.in_flight += 1;
        if inner.in_flight > 1 {
            let what = format!("transaction {id} is sent while another is under way");
            let rule = "one in flight";
            inner.seen.push(Seen::Wrong { rule, what });
        }
        if inner
            .held_until
            .is_some_and(|until| self.clock.now_ms() < until)
        {
            let what = format!("transaction {id} is sent to a service that is held");
            let rule = "nothing while held";
            inner.seen.push(Seen::Wrong { rule, what });
        }
        let push = Arc::new(Push {
            txn_id: id,
            life: inner.life,
            body,
        });
        inner.seen.push(Seen::Started { push: push.clone() });
        (push, InFlight(self))
    }

    fn behaviour_for(&self, body: &Body) -> Behaviour {
        let mut inner = self.inner.lock();
        if inner.poisoned && body.poison.contains(&(self.index as u64)) {
            return Behaviour::Refuse(if self.index == 0 { 400 } else { 500 });
        }
        match inner.behaviour {
            Behaviour::TooLarge(limit) if body.entries() <= limit => Behaviour::Healthy,
            Behaviour::TooLarge(_) => Behaviour::Refuse(413),
            Behaviour::AckLost(left) => {
                inner.behaviour = match left {
                    0 | 1 => Behaviour::Healthy,
                    more => Behaviour::AckLost(more - 1),
                };
                Behaviour::Cut(true)
            }
            Behaviour::Slow(ms) if Duration::from_millis(ms) >= TIMEOUT => Behaviour::Hang(true),
            other => other,
        }
    }

    async fn answer(&self, push: &Arc<Push>) -> Result<(), Failure> {
        self.switch.crossing().await;
        let html = || "<html><body>Oh no</body></html>".to_owned();
        let broken = || Failure::Broken("reset".to_owned());
        match self.behaviour_for(&push.body) {
            Behaviour::Healthy | Behaviour::TooLarge(_) | Behaviour::AckLost(_) => {
                sleep(LATENCY).await;
            }
            Behaviour::Slow(ms) => sleep(Duration::from_millis(ms)).await,
            Behaviour::Down => return Err(Failure::Unreachable("refused".to_owned())),
            Behaviour::Hang(takes) => {
                if takes {
                    self.process(push);
                }
                sleep(TIMEOUT).await;
                return Err(Failure::Timeout(10_000));
            }
            Behaviour::Refuse(status) => {
                sleep(LATENCY).await;
                let body = html();
                return Err(Failure::Refused { status, body });
            }
            Behaviour::Cut(takes) => {
                sleep(LATENCY).await;
                if takes {
                    self.process(push);
                }
                return Err(broken());
            }
        }
        self.process(push);
        // The answer is on its way.
        self.switch.crossing().await;
        Ok(())
    }

    fn process(&self, push: &Arc<Push>) {
        let push = push.clone();
        self.inner.lock().seen.push(Seen::Processed { push });
    }

    async fn take(&self, transaction: &FrozenTransaction) -> Result<(), Failure> {
        let (push, _in_flight) = self.begin(transaction);
        let answer = self.answer(&push).await;
        let what = match &answer {
            Ok(()) => {
                let at_ms = self.clock.now_ms();
                let push = push.clone();
                self.inner
                    .lock()
                    .seen
                    .push(Seen::Acknowledged { push, at_ms });
                "acknowledged".to_owned()
            }
            Err(failure) => {
                let mut inner = self.inner.lock();
                inner.failures += 1;
                if failure.suspicion().is_some() {
                    let push = push.clone();
                    inner.seen.push(Seen::Doubted { push });
                }
                failure.to_string()
            }
        };
        self.trace.add(|| {
            let body = &push.body;
            format!(
                "{} txn {} ({}, {}] {} events{}: {what}",
                self.name,
                push.txn_id,
                body.prev,
                body.last,
                body.events.len(),
                if body.replay { ", replay" } else { "" },
            )
        });
        answer
    }

    async fn listens_again(&self, misled: bool) {
        let mut was_away = !misled;
        loop {
            sleep(PROBE_INTERVAL).await;
            match self.behaviour() {
                Behaviour::Down => was_away = true,
                _ if was_away => return,
                _ => {}
            }
        }
    }
}

impl Transport for Script {
    fn kind(&self) -> TransportKind {
        TransportKind::Http
    }

    fn push<'a>(
        &'a self,
        transaction: &'a FrozenTransaction,
    ) -> BoxFuture<'a, Result<(), Failure>> {
        self.take(transaction).boxed()
    }

    fn reachable_again(&self, misled: bool) -> BoxFuture<'_, ()> {
        self.listens_again(misled).boxed()
    }
}

struct InFlight<'a>(&'a Script);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.inner.lock().in_flight -= 1;
    }
}
