//! The server's only SQL: schema, log, group commit, queries and the delivery queue.
//!
//! ```text
//!   callers ──unit of work──▶ committer (one thread, one connection)
//!                               BEGIN; unit; unit; …; COMMIT (fsync)  ──▶ answers, wake-ups
//!   readers ──closure──▶ pool of read connections, each read one consistent snapshot
//! ```
//!
//! That is [`Mode::Threads`]. In [`Mode::Inline`] there is neither thread nor pool: whoever calls
//! runs its own unit or read, on the one connection.
//!
//! [`Store::write`] takes a closure over a [`Tx`]; many closures share one database transaction,
//! each behind a savepoint, and all are answered only after the commit is on disk.
//! [`Store::read`] takes a closure over a [`Snapshot`]. Every query is a method on one of the two.
//!
//! This crate decides nothing: no authorisation, no matching of namespaces. Of `bridgehead-room`
//! it knows the data types, not the rules.

mod account_data;
mod aliases;
mod appservices;
mod audit;
mod committer;
mod deliveries;
mod devices;
mod error;
mod events;
mod inline;
mod keys;
mod log;
mod media;
mod migrate;
mod operators;
mod options;
mod position;
mod pushers;
mod readers;
mod receipts;
mod registrations;
mod rooms;
mod state;
mod sync;
mod to_device;
mod tx;
mod users;
mod views;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};

pub use self::{
    account_data::AccountDataRow,
    aliases::AliasRow,
    appservices::AppserviceRow,
    audit::AuditRow,
    deliveries::{DrainRow, FrozenTransaction, Orders, PauseRow, ReplayRow, SkipRow, Waiting},
    devices::{DeviceRow, TokenOwner},
    error::{Error, Result},
    events::{ClientTxn, EventInsert, RelationQuery, TimelineEvent},
    keys::{DeviceKeysRow, InsertedKey, OneTimeKeyRow},
    log::{InterestSet, LogEntry, LogKind},
    media::MediaRow,
    operators::OperatorRow,
    options::{Clock, Gate, GateFuture, Location, Mode, StoreOptions},
    position::{AppserviceNid, InterestSetId, StreamPosition},
    pushers::PusherRow,
    receipts::ReceiptRow,
    registrations::{Leftovers, OldTokenRow, PurgeRow, RegistrationRow},
    rooms::{MembershipRow, RoomInterest, RoomRecord},
    to_device::ToDeviceRow,
    tx::{Snapshot, Tx},
    users::UserRow,
};
use self::{
    committer::{Committer, Unit, unit},
    inline::Inline,
    readers::Readers,
    tx::Sets,
    views::Views,
};

/// Read connections for clients' requests; reads beyond that wait.
const READERS: usize = 4;

/// Read connections for deliveries.
const DELIVERY_READERS: usize = 2;

/// Units of work that may wait for the committer; callers beyond that wait to hand theirs in.
const QUEUED_UNITS: usize = 4096;

/// How long a statement waits for another process's lock on the file.
pub(crate) const BUSY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// Told of every commit, on the committer's thread, before the callers are answered. It must be
/// quick and must not call the store.
pub type CommitListener = Box<dyn Fn(&[LogEntry]) + Send + Sync>;

/// What a group commit cost.
#[derive(Debug, Clone, Copy)]
pub struct CommitFigures {
    /// Units of work in it, refused ones included.
    pub units: usize,
    /// From its first unit to the answer of the disk.
    pub duration: std::time::Duration,
    /// Whether it was committed; otherwise all of its units were told that it was not.
    pub is_committed: bool,
}

/// Told what each commit cost, on the committer's thread. It must be quick and must not call the
/// store.
pub type CommitObserver = Box<dyn Fn(&CommitFigures) + Send + Sync>;

/// A handle to the database. Clones share it; the database closes when the last one is dropped or
/// [`Store::close`] was called.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    engine: Engine,
}

/// Who runs what is handed in.
#[derive(Clone)]
enum Engine {
    Threads {
        units: mpsc::Sender<Unit>,
        thread: Arc<Mutex<Option<std::thread::JoinHandle<()>>>>,
        readers: Arc<Readers>,
        delivery_readers: Arc<Readers>,
    },
    Inline(Arc<Inline>),
}

/// What readers and the committer share.
pub(crate) struct Shared {
    clock: Clock,
    views: Views,
    sets: Mutex<Sets>,
    position: watch::Sender<StreamPosition>,
    listener: Mutex<Option<CommitListener>>,
    observer: Mutex<Option<CommitObserver>>,
    /// The write-ahead log's file.
    wal: PathBuf,
}

impl Shared {
    /// What is known of the database behind `conn`, and nothing remembered of it yet.
    fn of(conn: &Connection, clock: Clock) -> Result<(Arc<Self>, StreamPosition)> {
        let snapshot = Snapshot { conn };
        let position = snapshot.last_position()?;
        let mut sets = Sets::default();
        for (id, members) in snapshot.interest_sets()? {
            sets.insert(id, members);
        }
        let shared = Self {
            clock,
            views: Views::new(),
            sets: Mutex::new(sets),
            position: watch::Sender::new(position),
            listener: Mutex::new(None),
            observer: Mutex::new(None),
            wal: wal_of(conn),
        };
        Ok((Arc::new(shared), position))
    }
}

impl Store {
    /// Opens (or makes) the database in `file` and brings its schema up to date.
    ///
    /// # Errors
    /// [`Error::SchemaTooNew`] or [`Error::WrongServer`] when the file belongs to another version
    /// or server, [`Error::Unavailable`] when it cannot be opened.
    pub fn open(file: &Path, server_name: &str) -> Result<Self> {
        Self::open_with(Location::File(file), server_name, StoreOptions::default())
    }

    /// The same with another clock, in inline mode, or in memory.
    ///
    /// # Errors
    /// As [`Store::open`]; [`Error::Unavailable`] for [`Location::Memory`] with [`Mode::Threads`].
    pub fn open_with(
        location: Location<'_>,
        server_name: &str,
        options: StoreOptions,
    ) -> Result<Self> {
        let mut writer = open_connection(location)?;
        if !options.flush {
            writer.pragma_update(None, "synchronous", "OFF")?;
        }
        migrate::migrate(&mut writer, server_name)?;
        match (options.mode, location) {
            (Mode::Inline { gate }, _) => Self::inline(writer, options.clock, gate),
            (Mode::Threads, Location::File(file)) => Self::threads(writer, file, options.clock),
            (Mode::Threads, Location::Memory) => Err(Error::Unavailable {
                reason: "a database in memory has one connection, so it needs inline mode"
                    .to_owned(),
            }),
        }
    }

    fn threads(writer: Connection, file: &Path, clock: Clock) -> Result<Self> {
        let (shared, position) = Shared::of(&writer, clock)?;
        let readers = Readers::open(file, READERS)?;
        let delivery_readers = Readers::open(file, DELIVERY_READERS)?;
        let (units, queue) = mpsc::channel(QUEUED_UNITS);
        let committer = Committer::new(writer, shared.clone(), position);
        let thread = std::thread::Builder::new()
            .name("committer".to_owned())
            .spawn(move || committer.run(queue))
            .map_err(|error| Error::Unavailable {
                reason: error.to_string(),
            })?;
        let engine = Engine::Threads {
            units,
            thread: Arc::new(Mutex::new(Some(thread))),
            readers,
            delivery_readers,
        };
        Ok(Self { shared, engine })
    }

    fn inline(writer: Connection, clock: Clock, gate: Option<Arc<dyn Gate>>) -> Result<Self> {
        let (shared, position) = Shared::of(&writer, clock)?;
        let committer = Committer::new(writer, shared.clone(), position);
        let engine = Engine::Inline(Arc::new(Inline::new(committer, gate)));
        Ok(Self { shared, engine })
    }

    /// What a crash and a new start leave of a store in inline mode: its database, with all that
    /// was committed, and nothing that was only remembered (views, who listens). From now on the
    /// old handles refuse, so whatever of the old life is still about can do no harm. `gate` is
    /// the new store's.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the store is closed, or not in inline mode.
    pub fn restart(&self, gate: Option<Arc<dyn Gate>>) -> Result<Self> {
        match &self.engine {
            Engine::Inline(inline) => {
                Self::inline(inline.take()?.conn, self.shared.clock.clone(), gate)
            }
            Engine::Threads { .. } => Err(Error::Unavailable {
                reason: "only a store in inline mode can be restarted".to_owned(),
            }),
        }
    }

    /// Sets who is told of commits; replaces an earlier one.
    pub fn on_commit(&self, listener: CommitListener) {
        *self.shared.listener.lock() = Some(listener);
    }

    /// Sets who is told what commits cost; replaces an earlier one.
    pub fn observe_commits(&self, observer: CommitObserver) {
        *self.shared.observer.lock() = Some(observer);
    }

    /// Units of work that wait for the committer.
    pub fn queued_units(&self) -> usize {
        match &self.engine {
            Engine::Threads { units, .. } => units.max_capacity() - units.capacity(),
            Engine::Inline(_) => 0,
        }
    }

    /// Size of the write-ahead log on disk.
    pub fn wal_bytes(&self) -> u64 {
        std::fs::metadata(&self.shared.wal).map_or(0, |metadata| metadata.len())
    }

    /// The newest committed position, to read or to wait on.
    pub fn position(&self) -> watch::Receiver<StreamPosition> {
        self.shared.position.subscribe()
    }

    /// Runs `work` as one unit: all of it is committed, or (when it returns an error or panics)
    /// nothing of it. Returns after the commit is on disk. Inside, nothing but the store may be
    /// waited for.
    ///
    /// # Errors
    /// What `work` returned, or [`Error::Unavailable`] when the commit failed.
    pub async fn write<T, E>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let unit = unit(work, answer);
        match &self.engine {
            Engine::Threads { units, .. } => {
                let unit = Unit::Work(unit);
                units.send(unit).await.map_err(|_| E::from(closed()))?;
            }
            Engine::Inline(inline) => inline.write(unit).await?,
        }
        answered.await.map_err(|_| E::from(dropped()))?
    }

    /// Runs `work` on one consistent snapshot of the committed data, on a blocking thread.
    ///
    /// # Errors
    /// What `work` returned, or [`Error::Unavailable`] when no snapshot could be had.
    pub async fn read<T, E>(
        &self,
        work: impl FnOnce(&Snapshot<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        match &self.engine {
            Engine::Threads { readers, .. } => readers.read(work).await,
            Engine::Inline(inline) => inline.read(work),
        }
    }

    /// The same for deliveries, on connections of their own.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn read_for_delivery<T, E>(
        &self,
        work: impl FnOnce(&Snapshot<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        match &self.engine {
            Engine::Threads {
                delivery_readers, ..
            } => delivery_readers.read(work).await,
            Engine::Inline(inline) => inline.read(work),
        }
    }

    /// The services in an interned set.
    pub fn interest_set(&self, id: InterestSetId) -> InterestSet {
        self.shared
            .sets
            .lock()
            .by_id
            .get(&id)
            .cloned()
            .unwrap_or_default()
    }

    /// Whether `nid` is in the interned set `id`.
    pub fn interest_contains(&self, id: InterestSetId, nid: AppserviceNid) -> bool {
        id != InterestSetId::EMPTY
            && self
                .shared
                .sets
                .lock()
                .by_id
                .get(&id)
                .is_some_and(|set| set.contains(&nid))
    }

    /// Waits until all units handed in so far are answered, then closes the database. Later calls
    /// fail with [`Error::Unavailable`].
    pub async fn close(&self) {
        let Engine::Threads {
            units,
            thread,
            readers,
            delivery_readers,
        } = &self.engine
        else {
            return self.close_inline();
        };
        let (answer, answered) = oneshot::channel();
        if units.send(Unit::Stop(answer)).await.is_ok() {
            answered.await.ok();
        }
        readers.refuse();
        delivery_readers.refuse();
        let thread = thread.lock().take();
        if let Some(thread) = thread {
            tokio::task::spawn_blocking(move || thread.join().ok())
                .await
                .ok();
        }
        readers.close();
        delivery_readers.close();
    }

    fn close_inline(&self) {
        if let Engine::Inline(inline) = &self.engine
            && let Ok(committer) = inline.take()
        {
            committer.close();
        }
    }
}

fn open_connection(location: Location<'_>) -> Result<Connection> {
    let connection = match location {
        Location::File(file) => Connection::open(file)?,
        Location::Memory => Connection::open_in_memory()?,
    };
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A client's 200 means *on disk*: FULL syncs the log at every commit.
    connection.pragma_update(None, "synchronous", "FULL")?;
    // Once the write-ahead log starts over, the file gives back what it had grown beyond this.
    connection.pragma_update(None, "journal_size_limit", committer::MAX_WAL_BYTES)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -32_000)?;
    connection.set_prepared_statement_cache_capacity(256);
    Ok(connection)
}

/// The engine keeps the write-ahead log beside the database.
fn wal_of(connection: &Connection) -> PathBuf {
    PathBuf::from(format!("{}-wal", connection.path().unwrap_or_default()))
}

fn closed() -> Error {
    Error::Unavailable {
        reason: "the store is closed".to_owned(),
    }
}

fn dropped() -> Error {
    Error::Unavailable {
        reason: "the unit of work ended without an answer".to_owned(),
    }
}
