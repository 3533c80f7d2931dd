//! A lab: the real homeserver inside the test, application services beside it, no sockets, time
//! that stands still until nothing is left to do, and faults wherever a test wants them.
//!
//! ```
//! use bridgehead_testkit::lab::Lab;
//!
//! Lab::run(async |lab| {
//!     let alice = lab.user("alice").await.expect("a new user");
//!     let room = alice.create_room("lobby").await.expect("a room");
//!     alice.say(&room, "hello").await.expect("a message");
//!     assert_eq!(alice.texts(&room).await.expect("a timeline"), ["hello"]);
//!     println!("{}", lab.transcript().await);
//! });
//! ```
//!
//! A service made with the kit is mounted, and then anything may go wrong:
//!
//! ```
//! use bridgehead_appservice::prelude::*;
//! use bridgehead_testkit::lab::Lab;
//!
//! let echo = Service::new("echo")
//!     .bot("echobot")
//!     .users("_echo_{name}")
//!     .aliases("#echo_{topic}")
//!     .on(|text: Text, room: Room, ghosts: Ghosts| async move {
//!         ghosts.named(text.sender_local())?.send(&room, text.body).await
//!     })
//!     .on_alias(|ask: AliasAsk| async move { RoomPlan::public().name(&ask["topic"]) });
//! Lab::run(async |lab| {
//!     let echo = lab.mount(echo).await.expect("a declaration without mistakes");
//!     let alice = lab.user("alice").await.expect("a new user");
//!     let room = alice.join("#echo_hall:localhost").await.expect("made on demand");
//!     lab.faults().lose_next_ack(&echo);
//!     alice.say(&room, "hi").await.expect("a message");
//!     lab.settle().await;
//!     lab.restart(&echo).await.expect("the same database");
//!     // Told twice, handled once.
//!     assert_eq!(alice.texts(&room).await.expect("a timeline"), ["hi", "hi"]);
//!     assert!(lab.faults().unused().is_empty());
//! });
//! ```
//!
//! - [`Lab`]: the way in; [`LabOptions`]: how it is made, also against another homeserver;
//! - [`LabUser`]: a person; [`LabService`]: a service made with the kit, from [`Lab::mount`];
//! - [`Mounted`]: a service's place, [`MountedService`]: what sits there, kit or not;
//! - [`Faults`], [`Fault`]: what goes wrong between host and services.
//!
//! With the homeserver in the process everything runs on one thread, and chances come from one
//! seed: a test does the same each time. An hour that a test waits takes no time. Against another
//! homeserver the same test runs by the machine's clock.

mod clock;
mod error;
mod faults;
mod host;
mod journal;
mod listener;
mod mount;
mod names;
mod options;
mod rooms;
mod seam;
mod service;
#[cfg(test)]
mod tests;
mod transcript;
mod user;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bridgehead_appservice::Service;
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use self::{
    clock::LabClock,
    host::{Host, of_life},
    mount::Seat,
    names::Names,
    rooms::KnownRooms,
    seam::Seam,
    transcript::SeenRoom,
    user::Shared,
};
pub use self::{
    error::CallError,
    faults::{Fault, Faults, RetryAfter},
    mount::{Mounted, MountedService},
    options::{LabOptions, SEED_VARIABLE},
    service::{LabService, registration_for},
    user::{Download, LabUser},
};
use crate::SERVER_NAME;

/// The first pause of [`Lab::settle`] between two looks.
const SHORTEST_LOOK: Duration = Duration::from_millis(1);
/// The longest, where time costs nothing and an outage may last for days.
const LONGEST_LOOK: Duration = Duration::from_secs(1);
/// The longest by the machine's clock.
const LONGEST_REAL_LOOK: Duration = Duration::from_millis(50);
/// How long nothing must pass before another homeserver counts as settled.
const QUIET: Duration = Duration::from_millis(500);
/// How long another homeserver is waited for that has to bring a transaction again. Synapse comes
/// 2, 4, 8, 16 s after the first failures; one that waits for longer is not waited for.
const AGAIN: Duration = Duration::from_secs(20);

/// A lab. Clones are the same one.
#[derive(Clone)]
pub struct Lab(Arc<Inner>);

struct Inner {
    seed: u64,
    clock: LabClock,
    host: Host,
    seam: Arc<Seam>,
    users: Mutex<BTreeMap<String, LabUser>>,
    /// Registrations that were given, by id.
    registrations: BTreeMap<String, String>,
    /// Databases of services.
    folder: TempDir,
    shared: Shared,
    server_name: String,
    /// Stands behind localparts, where a homeserver knows people of earlier runs.
    suffix: String,
}

impl Lab {
    /// Runs a test with the homeserver in the process. A test that fails is told the seed; the
    /// variable [`SEED_VARIABLE`] repeats the run of that seed.
    ///
    /// # Panics
    /// When the test does, or when the homeserver does not start.
    pub fn run<T>(test: impl AsyncFnOnce(Self) -> T) -> T {
        LabOptions::default().run(test)
    }

    /// Runs a test against another homeserver; see [`LabOptions::against`].
    ///
    /// # Panics
    /// When the test does.
    pub fn against<T>(base_url: &str, server_name: &str, test: impl AsyncFnOnce(Self) -> T) -> T {
        LabOptions::default()
            .against(base_url, server_name)
            .run(test)
    }

    /// Runs a test once for each seed.
    ///
    /// # Panics
    /// When one of the runs does; its seed is told.
    pub fn run_seeds(seeds: impl IntoIterator<Item = u64>, mut test: impl AsyncFnMut(Self)) {
        for seed in seeds {
            LabOptions::default()
                .seed(seed)
                .run(async |lab| test(lab).await);
        }
    }

    async fn open(options: &LabOptions, seed: u64) -> anyhow::Result<Self> {
        let other = options.of_host();
        let clock = LabClock::new(other.is_none());
        let seam = Arc::new(Seam::new());
        let host = Host::open(options, seed, clock, &seam).await?;
        let shared = Shared {
            port: host.port.clone(),
            rooms: KnownRooms::default(),
            patience: options.patience(),
        };
        Ok(Self(Arc::new(Inner {
            seed,
            clock,
            host,
            seam,
            users: Mutex::default(),
            registrations: by_id(options.registrations())?,
            folder: TempDir::new()?,
            shared,
            server_name: other
                .map_or(SERVER_NAME, |host| &host.server_name)
                .to_owned(),
            suffix: other.map_or_else(String::new, |_| format!("_{:08x}", rand::random::<u32>())),
        })))
    }

    async fn end(self) {
        for seat in self.0.seam.seats() {
            self.mounted(seat).take_down();
        }
        self.0.seam.clear();
        if self.0.host.is_ours() {
            // It was started, and so it can be stopped.
            self.0.host.stop().await.ok();
        }
    }

    /// The seed of this run.
    pub fn seed(&self) -> u64 {
        self.0.seed
    }

    /// The part of ids behind the colon.
    pub fn server_name(&self) -> &str {
        &self.0.server_name
    }

    /// The lab's time, ms since the Unix epoch.
    pub fn now_ms(&self) -> i64 {
        self.0.clock.now()
    }

    /// Lets time pass, with all that happens in it.
    pub async fn pass(&self, time: Duration) {
        sleep(time).await;
    }

    /// A person of this name: signs up the first time, and is the same one from then on. Against
    /// another homeserver something is added to the localpart, so that runs do not meet.
    ///
    /// # Errors
    /// When the sign-up is refused.
    pub async fn user(&self, name: &str) -> Result<LabUser, CallError> {
        let known = self.0.users.lock().get(name).cloned();
        if let Some(user) = known {
            return Ok(user);
        }
        let localpart = format!("{name}{}", self.0.suffix);
        let user = LabUser::register(&self.0.shared, name, &localpart).await?;
        self.0.users.lock().insert(name.to_owned(), user.clone());
        Ok(user)
    }

    /// Makes a place for a service: the registration (YAML or JSON, with an `http` url that nobody
    /// has to listen at) is put in force with the host, and until [`Mounted::serve`] nobody is
    /// there. Another homeserver must have the registration already.
    ///
    /// # Errors
    /// When the registration is refused, or id or url are another service's.
    pub async fn place(&self, registration: &str) -> anyhow::Result<Mounted> {
        let seat = Arc::new(Seat::new(registration, self.0.host.is_ours())?);
        self.0.seam.add(seat.clone())?;
        self.0.host.register(&seat.id, registration).await?;
        Ok(self.mounted(seat))
    }

    /// Registers a service made with the kit, starts it, and serves it: the host reaches it by
    /// function call. Its registration is made here, unless [`LabOptions::registration`] gave one
    /// with the service's name as its id.
    ///
    /// # Errors
    /// Mistakes in the service's declaration, and those of [`Lab::place`] and [`Mounted::serve`].
    pub async fn mount(&self, service: Service) -> anyhow::Result<LabService> {
        LabService::mount(self, service).await
    }

    /// Ends a service as a crash would, and starts it again on its database.
    ///
    /// # Errors
    /// As [`LabService::start`].
    pub async fn restart(&self, service: &LabService) -> anyhow::Result<()> {
        service.crash();
        service.start().await
    }

    fn mounted(&self, seat: Arc<Seat>) -> Mounted {
        let ways = (self.0.seam.clone(), self.0.host.port.clone());
        // Not the host's own chances.
        let seed = of_life(!self.0.seed, digest(&seat.id));
        Mounted::new(seat, ways, self.0.clock, seed)
    }

    /// What goes wrong between host and services.
    pub fn faults(&self) -> Faults {
        self.0.seam.faults.clone()
    }

    /// Ends the homeserver as SIGTERM would and starts it again on its data.
    ///
    /// # Errors
    /// When it does not start, or is not in this process.
    pub async fn restart_host(&self) -> anyhow::Result<()> {
        self.stop_host().await?;
        self.start_host().await
    }

    /// Ends the homeserver as SIGTERM would; calls cannot connect from now on.
    ///
    /// # Errors
    /// When it is not in this process.
    pub async fn stop_host(&self) -> anyhow::Result<()> {
        self.0.host.stop().await
    }

    /// Starts the homeserver on its data.
    ///
    /// # Errors
    /// When it does not start, or is not in this process.
    pub async fn start_host(&self) -> anyhow::Result<()> {
        self.0.host.start().await
    }

    /// Waits until nothing is under way: the host has told each service that is up all it has for
    /// it, no request between them is unanswered (long polls aside), and every service says that
    /// it is settled. Of another homeserver it cannot be seen what it still has; there, nothing
    /// must have passed for half a second, and a service that did not take a transaction must have
    /// taken one since, unless the homeserver stays away for 20 s.
    ///
    /// # Panics
    /// When that does not come about within a day of the lab's time (a minute of the machine's);
    /// it says what is still under way.
    pub async fn settle(&self) {
        let deadline = Instant::now() + self.0.shared.patience;
        let longest = if self.0.host.is_ours() {
            LONGEST_LOOK
        } else {
            LONGEST_REAL_LOOK
        };
        let mut pause = SHORTEST_LOOK;
        loop {
            // With paused time this returns when there is nothing left that could be done now.
            sleep(pause).await;
            let under_way = self.under_way().await;
            if under_way.is_empty() {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "the lab does not settle: {}",
                under_way.join("; ")
            );
            pause = (pause * 2).min(longest);
        }
    }

    /// What is under way now, one line each; nothing once the lab has settled.
    pub async fn under_way(&self) -> Vec<String> {
        let seam = &self.0.seam;
        let mut found = Vec::new();
        let requests = seam.under_way();
        if requests > 0 {
            found.push(format!("{requests} requests are unanswered"));
        }
        let seats = seam.seats();
        let busy = seats.iter().filter(|seat| !seat.is_settled());
        found.extend(busy.map(|seat| format!("`{}` has work to do", seat.id)));
        match self.0.host.under_way().await {
            Some((waiting, spreading)) => {
                let is_up = |id: &String| seats.iter().any(|seat| seat.id == *id && seat.is_up());
                let waiting = waiting.into_iter().filter(is_up);
                found.extend(waiting.map(|id| format!("the host has something for `{id}`")));
                if spreading {
                    found.push("profiles are on their way into rooms".to_owned());
                }
            }
            None => {
                if seam.last().elapsed() < QUIET {
                    found.push("something has just passed".to_owned());
                }
                let owed = seats.iter().filter(|seat| seat.is_up() && is_owed(seat));
                found.extend(owed.map(|seat| format!("`{}` did not take a transaction", seat.id)));
            }
        }
        found
    }

    /// All that happened in rooms that somebody of the lab can see, and between host and services,
    /// with stable names in place of ids: for snapshots. Rooms stand in the order in which the
    /// lab's users met them.
    pub async fn transcript(&self) -> String {
        let users: Vec<LabUser> = self.0.users.lock().values().cloned().collect();
        let mut rooms = Vec::new();
        for room in self.0.shared.rooms.all() {
            let mut events = None;
            for user in &users {
                // The one who sees most of it tells.
                let seen = user.timeline(&room).await.ok();
                if seen.as_ref().map(Vec::len) > events.as_ref().map(Vec::len) {
                    events = seen;
                }
            }
            rooms.push(SeenRoom {
                id: room.as_str().to_owned(),
                events,
            });
        }
        let names = Names::new(&self.0.server_name, &self.0.suffix);
        transcript::render(names, &rooms, &self.0.seam.journal)
    }
}

/// Whether a transaction has failed at a service so lately that it will come again.
fn is_owed(seat: &Seat) -> bool {
    seat.failed().is_some_and(|failed| failed.elapsed() < AGAIN)
}

fn by_id(registrations: &[String]) -> anyhow::Result<BTreeMap<String, String>> {
    let with_id = registrations.iter().map(|text| {
        let registration = mount::read(text)?;
        Ok((registration.id, text.clone()))
    });
    with_id.collect()
}

/// Tells service ids apart when they share a lab's seed.
fn digest(text: &str) -> u64 {
    // FNV-1a: the same everywhere and always, which the standard library's hasher does not promise.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in text.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash
}
