//! A bridge that runs: what its parts share, and what a running service sees of it.

mod waiting;

use std::{
    any::{Any, TypeId},
    collections::{BTreeSet, HashMap},
    panic::AssertUnwindSafe,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, AtomicI64, AtomicIsize, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{FutureExt as _, future::BoxFuture};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{
    Bridge, Network, RemoteId,
    links::Links,
    naming::{self, Adopted, Names},
    network::{HeldLanes, Presences, Remote, Work, counts, tell_presences},
    portal::{Portal, Rooms},
    status::{self, Floods},
    unbridge,
};
use crate::{
    Error, Event, HandlerError,
    core::{Core, Limits},
    flights::Flights,
    handler::{Context, FromContext, Rejection},
    id::{RoomAlias, RoomId, UserId},
    lanes::Lanes,
    store::NewTask,
};

/// What the network says may wait in this many pieces; beyond that it waits itself.
const HIGH_WATER: isize = 20_000;

/// How long the network may take to say goodbye.
const LEAVES_WITHIN: Duration = Duration::from_secs(5);

/// The first wait before the network is connected to again; it doubles.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest wait before the network is connected to again.
const MAX_WAIT: Duration = Duration::from_secs(300);

/// How often what is old is forgotten.
const SWEEP: Duration = Duration::from_secs(3600);

/// Rows that are forgotten in one go.
const SWEEP_ROWS: usize = 5000;

/// A bridge, as the running service sees it.
pub(crate) trait Part: Any + Send + Sync {
    /// Begins with what waits from before, and connects. Called again does nothing.
    fn begin(self: Arc<Self>, core: Arc<Core>) -> BoxFuture<'static, Result<(), Error>>;
    /// Whether nothing waits.
    fn is_idle(&self) -> bool;
    /// Whether something waits for being let into this room.
    fn awaits(&self, room: &RoomId) -> bool;
    /// A room may let in, or let speak, whom it has refused: this ghost, or all.
    fn let_in<'a>(
        &'a self,
        room: &'a RoomId,
        ghost: Option<&'a UserId>,
    ) -> BoxFuture<'a, Result<(), Error>>;
    /// Who may do what has changed.
    fn levels_changed(&self) -> BoxFuture<'_, ()>;
    /// Ends waits between attempts.
    fn hurry(&self);
    /// An event was set aside after its last attempt.
    fn parked<'a>(
        self: Arc<Self>,
        core: &'a Arc<Core>,
        event: &'a Arc<Event>,
    ) -> BoxFuture<'a, Result<(), Error>>;
    /// Lets what runs finish, for a while, and begins nothing more.
    fn stop(&self, grace: Duration) -> BoxFuture<'_, ()>;
}

/// Makes a bridge for a homeserver of this name.
type Make = dyn Fn(&str, &Limits) -> Result<Arc<dyn Part>, String> + Send + Sync;

/// A bridge as it was declared.
#[derive(Clone)]
pub(crate) struct Factory {
    pub(crate) network: TypeId,
    pub(crate) name: &'static str,
    pub(crate) make: Arc<Make>,
}

/// The bridges of a running service, by their networks.
#[derive(Default)]
pub(crate) struct Bridges(HashMap<TypeId, Arc<dyn Part>>);

impl Bridges {
    pub(crate) fn build(
        factories: &[Factory],
        server_name: &str,
        limits: &Limits,
    ) -> Result<Self, String> {
        let built = factories
            .iter()
            .map(|factory| Ok((factory.network, (factory.make)(server_name, limits)?)));
        Ok(Self(built.collect::<Result<_, String>>()?))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn get<N: Network>(&self) -> Option<Arc<Live<N>>> {
        let part: Arc<dyn Any + Send + Sync> = self.0.get(&TypeId::of::<N>())?.clone();
        part.downcast().ok()
    }

    pub(crate) async fn begin(&self, core: &Arc<Core>) -> Result<(), Error> {
        for part in self.0.values() {
            part.clone().begin(core.clone()).await?;
        }
        Ok(())
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.0.values().all(|part| part.is_idle())
    }

    /// Whether something waits for being let into this room; then it is looked at again at once.
    pub(crate) fn awaits(&self, room: &RoomId) -> bool {
        let mut is_awaited = false;
        for part in self.0.values().filter(|part| part.awaits(room)) {
            part.hurry();
            is_awaited = true;
        }
        is_awaited
    }

    /// A room may let in, or let speak, whom it has refused: this ghost, or all.
    pub(crate) async fn let_in(&self, room: &RoomId, ghost: Option<&UserId>) {
        for part in self.0.values() {
            if let Err(error) = part.let_in(room, ghost).await {
                tracing::warn!(room.id = %room, %error, "what is held is not looked at again");
            }
        }
    }

    /// Who may do what has changed.
    pub(crate) async fn levels_changed(&self) {
        for part in self.0.values() {
            if AssertUnwindSafe(part.levels_changed())
                .catch_unwind()
                .await
                .is_err()
            {
                tracing::error!("`levels_changed` of a network has panicked");
            }
        }
    }

    pub(crate) fn hurry(&self) {
        self.0.values().for_each(|part| part.hurry());
    }

    /// An event was set aside after its last attempt: who has sent it is told.
    pub(crate) async fn parked(&self, core: &Arc<Core>, event: &str) {
        let Ok(event) = Event::from_json(event).map(Arc::new) else {
            return;
        };
        for part in self.0.values() {
            let telling = AssertUnwindSafe(part.clone().parked(core, &event));
            match telling.catch_unwind().await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(event.id = %event.id, %error, "its sender cannot be told that it was set aside");
                }
                Err(_) => tracing::error!(event.id = %event.id, "telling its sender has panicked"),
            }
        }
    }

    pub(crate) async fn stop(&self, grace: Duration) {
        for part in self.0.values() {
            part.stop(grace).await;
        }
    }
}

/// A bridge that runs.
pub(crate) struct Live<N: Network> {
    pub(crate) plan: Arc<Bridge<N>>,
    core: OnceLock<Weak<Core>>,
    has_begun: AtomicBool,
    users: Names,
    aliases: Names,
    /// Ghosts that go by other names than the templates give.
    adopted: Adopted,
    pub(crate) tasks: Lanes<Work<N>>,
    /// How many tasks wait. A task may be done before it is counted in, so for a moment there may be less than none.
    depth: AtomicIsize,
    fewer: Notify,
    /// Only one makes or links the portal of a room at a time.
    pub(crate) making: Flights<String>,
    /// Where the network echoes: rooms that something is on its way to.
    pub(crate) sending: Flights<String>,
    /// Rooms that portals are to move to, and that are not open yet.
    pub(crate) awaited: Mutex<BTreeSet<RoomId>>,
    pub(crate) floods: Floods,
    pub(crate) presences: Presences,
    /// What may not be said in Matrix yet.
    pub(crate) held: HeldLanes,
    connects: Notify,
    /// Failures of the connection since it last stood.
    failures: AtomicUsize,
    /// Lanes in which something waits for the network, and of which rooms they are.
    waiting: Mutex<HashMap<Arc<str>, N::Room>>,
    /// When the bridge began, ms since the Unix epoch.
    begun_ms: AtomicI64,
}

/// A bridge that may have ended: what the network itself holds.
pub(crate) struct LiveRef<N: Network>(Weak<Live<N>>);

impl<N: Network> Clone for LiveRef<N> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<N: Network> LiveRef<N> {
    pub(crate) fn new(live: &Arc<Live<N>>) -> Self {
        Self(Arc::downgrade(live))
    }

    pub(crate) fn get(&self) -> Result<Arc<Live<N>>, Error> {
        self.0.upgrade().ok_or(Error::Stopping)
    }
}

impl<N: Network> Live<N> {
    pub(crate) fn new(
        plan: Arc<Bridge<N>>,
        server_name: &str,
        limits: &Limits,
    ) -> Result<Arc<Self>, String> {
        let users = naming::bind(&plan.users, server_name)?;
        let aliases = naming::bind(&plan.aliases, server_name)?;
        Ok(Arc::new_cyclic(|weak| Self {
            plan,
            core: OnceLock::new(),
            has_begun: AtomicBool::new(false),
            users,
            aliases,
            adopted: Adopted::default(),
            tasks: Lanes::new(Work::new(LiveRef(weak.clone())), limits.send_concurrency),
            depth: AtomicIsize::new(0),
            fewer: Notify::new(),
            making: Flights::default(),
            sending: Flights::default(),
            awaited: Mutex::default(),
            floods: Floods::default(),
            presences: Presences::default(),
            held: HeldLanes::default(),
            connects: Notify::new(),
            failures: AtomicUsize::new(0),
            waiting: Mutex::default(),
            begun_ms: AtomicI64::new(0),
        }))
    }

    /// What the service's parts share, while it runs.
    pub(crate) fn core(&self) -> Result<Arc<Core>, Error> {
        self.core
            .get()
            .and_then(Weak::upgrade)
            .ok_or(Error::Stopping)
    }

    pub(crate) fn network(&self) -> &N {
        &self.plan.network
    }

    /// The ghost of a user of the network.
    pub(crate) fn ghost_id(&self, user: &N::User) -> Result<UserId, Error> {
        match self.adopted.ghost(user) {
            Some(ghost) => Ok(ghost),
            None => self.ghost_by_template(user),
        }
    }

    /// The same for one that was made by nobody else.
    pub(crate) fn ghost_by_template(&self, user: &N::User) -> Result<UserId, Error> {
        let built = naming::build(&self.users, &user.values()).unwrap_or_else(|| {
            Err(Error::Unsupported(format!(
                "the bridge to {} has no ghosts: declare `.users(…)`",
                N::TITLE
            )))
        });
        Ok(UserId::parse(&built?)?)
    }

    /// The user of the network whom a ghost stands for.
    pub(crate) fn user_of(&self, ghost: &UserId) -> Option<N::User> {
        if let Some(user) = self.adopted.user(ghost) {
            return Some(user);
        }
        let user: N::User = naming::parse(&self.users, ghost.as_str())?;
        // Who goes by another name does not go by this one as well.
        self.adopted.ghost(&user).is_none().then_some(user)
    }

    /// Learns of the ghosts that were taken over from another bridge.
    pub(crate) fn adopt(&self, ghosts: Vec<(String, UserId)>) {
        self.adopted.put(ghosts);
    }

    /// The patterns of all ghosts.
    pub(crate) fn users_patterns(&self) -> Vec<&str> {
        let patterns = self.users.iter().map(|named| named.template.regex());
        patterns.collect()
    }

    /// The alias of a room of the network, where the bridge has aliases.
    pub(crate) fn alias_of(&self, room: &N::Room) -> Option<RoomAlias> {
        let alias = naming::build(&self.aliases, &room.values())?.ok()?;
        RoomAlias::parse(&alias).ok()
    }

    /// The room of the network that an alias is for.
    pub(crate) fn room_of_alias(&self, alias: &RoomAlias) -> Option<N::Room> {
        naming::parse(&self.aliases, alias.as_str())
    }

    /// The links of rooms.
    pub(crate) fn links(&self) -> Result<Links<Rooms<N>>, Error> {
        Ok(Links::of(&*self.core()?))
    }

    /// The portal of a room of the network.
    pub(crate) async fn portal(&self, room: &N::Room) -> Result<Option<Portal<N>>, Error> {
        Ok(self.links()?.by_remote(room).await?)
    }

    /// What a room is the portal of.
    pub(crate) async fn portal_at(&self, room: &RoomId) -> Result<Option<Portal<N>>, Error> {
        Ok(self.links()?.by_matrix(room).await?)
    }

    /// Stores something to be done, and sees to it that it is done. Waits while too much waits.
    pub(crate) async fn take(&self, task: NewTask) -> Result<(), Error> {
        let core = self.core()?;
        loop {
            let fewer = self.fewer.notified();
            if self.depth.load(Ordering::Acquire) < HIGH_WATER {
                break;
            }
            tokio::select! {
                () = fewer => {}
                () = core.stopping() => return Err(Error::Stopping),
            }
        }
        let lane = task.lane.clone();
        let now_ms = core.now_ms();
        let stored = core
            .store
            .write(move |unit| unit.insert_task(N::NAME, &task, now_ms))
            .await?;
        if stored.is_some() {
            self.added(&lane);
        }
        Ok(())
    }

    /// A task was added to the database in a lane.
    pub(crate) fn added(&self, lane: &str) {
        self.depth.fetch_add(1, Ordering::AcqRel);
        self.tasks.wake(lane, 0);
    }

    /// A task is done, or given up.
    pub(crate) fn removed(&self) {
        self.depth.fetch_sub(1, Ordering::AcqRel);
        self.fewer.notify_waiters();
    }

    /// Keeps the connection, for as long as the service runs.
    async fn stay_connected(self: Arc<Self>) {
        let remote = Remote::new(LiveRef::new(&self));
        loop {
            let Ok(core) = self.core() else { return };
            // The connection must not keep the service alive; its end is seen by the watch.
            let mut stop = core.stop.subscribe();
            drop(core);
            let connection = async { self.network().run(remote.clone()).await };
            let ended = tokio::select! {
                ended = AssertUnwindSafe(connection).catch_unwind() => ended,
                _ = stop.wait_for(|stop| *stop) => return,
            };
            let ended = ended.unwrap_or_else(|_| Err(HandlerError::new("it panicked")));
            self.show_connection(N::NAME, false);
            let failures = self.failures.fetch_add(1, Ordering::AcqRel);
            let wait = self.wait_after(failures);
            match ended {
                Ok(()) => tracing::info!(network = N::NAME, ?wait, "the connection has ended"),
                Err(error) => {
                    tracing::warn!(network = N::NAME, %error, ?wait, "the connection has failed");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.connects.notified() => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    fn wait_after(&self, failures: usize) -> Duration {
        let factor = 1_u32 << failures.min(16);
        let wait = FIRST_WAIT.saturating_mul(factor).min(MAX_WAIT);
        let spread = u64::try_from(wait.as_millis() / 4).unwrap_or(0);
        let less = self
            .core()
            .map_or(0, |core| core.surroundings.randomness.below(spread + 1));
        wait - Duration::from_millis(less)
    }

    /// Forgets what is old, from time to time.
    async fn sweep(self: Arc<Self>) {
        loop {
            let Ok(core) = self.core() else { return };
            if let Err(error) = self.sweep_once(&core).await {
                tracing::warn!(network = N::NAME, %error, "what is old was not forgotten");
            }
            let mut stop = core.stop.subscribe();
            drop(core);
            tokio::select! {
                () = tokio::time::sleep(SWEEP) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    async fn sweep_once(&self, core: &Core) -> Result<(), Error> {
        let ago =
            |age: Duration| core.now_ms() - i64::try_from(age.as_millis()).unwrap_or(i64::MAX / 2);
        let (age, keep) = self.plan.keep;
        let (messages, rest) = (ago(age), ago(core.limits.remember));
        core.store.write(unbridge::forget_unlinked::<N>).await?;
        loop {
            let rows = core
                .store
                .write(move |unit| {
                    Ok(unit.forget_messages(N::NAME, messages, keep, SWEEP_ROWS)?
                        + unit.forget_tasks(rest, SWEEP_ROWS)?
                        + unit.forget_fates(rest, SWEEP_ROWS)?)
                })
                .await?;
            if rows < SWEEP_ROWS {
                return Ok(());
            }
        }
    }
}

impl<N: Network> Part for Live<N> {
    fn begin(self: Arc<Self>, core: Arc<Core>) -> BoxFuture<'static, Result<(), Error>> {
        async move {
            self.core.set(Arc::downgrade(&core)).ok();
            if self.has_begun.load(Ordering::Acquire) {
                return Ok(());
            }
            self.begun_ms.store(core.now_ms(), Ordering::Release);
            self.adopt(core.store.read(Adopted::read::<N>).await?);
            let waiting = core.store.read(|unit| unit.task_lanes(N::NAME)).await?;
            self.has_begun.store(true, Ordering::Release);
            for (lane, tasks) in waiting {
                if counts(&lane) {
                    self.depth.fetch_add(tasks.cast_signed(), Ordering::AcqRel);
                } else {
                    self.held.begin(&lane, tasks);
                }
                self.tasks.wake(&lane, 0);
            }
            tokio::spawn(self.clone().stay_connected());
            tokio::spawn(tell_presences(self.clone()));
            tokio::spawn(self.sweep());
            Ok(())
        }
        .boxed()
    }

    fn is_idle(&self) -> bool {
        self.tasks.busy() <= self.held.resting()
    }

    fn let_in<'a>(
        &'a self,
        room: &'a RoomId,
        ghost: Option<&'a UserId>,
    ) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            if self.held.is_empty() {
                return Ok(());
            }
            if let Some(portal) = self.portal_at(room).await? {
                self.look_again(&portal.remote, ghost);
            }
            Ok(())
        }
        .boxed()
    }

    fn awaits(&self, room: &RoomId) -> bool {
        self.awaited.lock().contains(room)
    }

    fn levels_changed(&self) -> BoxFuture<'_, ()> {
        self.network().levels_changed().boxed()
    }

    fn hurry(&self) {
        self.tasks.hurry();
        self.connects.notify_one();
    }

    fn parked<'a>(
        self: Arc<Self>,
        core: &'a Arc<Core>,
        event: &'a Arc<Event>,
    ) -> BoxFuture<'a, Result<(), Error>> {
        async move { status::tell_parked(&self, core, event).await }.boxed()
    }

    fn stop(&self, grace: Duration) -> BoxFuture<'_, ()> {
        let leaving = AssertUnwindSafe(self.network().leave()).catch_unwind();
        async move {
            self.tasks.stop(grace).await;
            let left = tokio::time::timeout(LEAVES_WITHIN, leaving).await;
            if !matches!(left, Ok(Ok(()))) {
                tracing::warn!(network = N::NAME, "the network was left without a goodbye");
            }
        }
        .boxed()
    }
}

/// A running bridge, taken out of the context of a handler.
pub(crate) struct Held<N: Network>(pub(crate) Arc<Live<N>>);

impl<N: Network> FromContext for Held<N> {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        let live = context.core.bridges.get::<N>();
        live.map(Self).ok_or_else(|| {
            Rejection::Failed(crate::HandlerError::new(format!(
                "the service has no bridge to {}: declare it with `.bridge(…)`",
                N::TITLE
            )))
        })
    }
}
