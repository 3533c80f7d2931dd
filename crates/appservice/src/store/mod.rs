//! The service's database: one SQLite file, one writer, commits in groups.
//!
//! A service's author has tables of their own in it ([`Migration`]), and writes them with [`Tx`] in the unit of work
//! that consumes the event, or beside handlers with [`Store`]. Small things need no table: [`Tx::put`] and
//! [`Store::put`] remember a value under a name.
//!
//! Units of work that wait are run one after another in one database transaction, each behind a savepoint, so that one
//! that fails takes nothing of the others with it; then one commit with full durability answers all of them. Readers
//! see what is committed. In inline mode, which tests use, all runs in the calling task.
//!
//! Files: `schema` (versions), `writer` (the units), the queries by table, `sql` (what authors see of it: [`Tx`],
//! [`Value`]).

mod backfill;
mod census;
pub(crate) mod fates;
mod ghosts;
mod goals;
mod inbox;
mod links;
mod makings;
mod media;
mod messages;
mod outbox;
mod provisioning;
mod puppets;
mod schema;
pub(crate) mod sql;
mod state;
mod tasks;
mod writer;

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::Semaphore;

pub use self::sql::{Row, Tx, Value};
use self::writer::Writer;
pub(crate) use self::{
    backfill::BackfillRow,
    fates::FateRow,
    goals::{GoalRow, NEVER_MS},
    inbox::{InboxKind, InboxRow, NewInboxRow, ParkedRow},
    links::LinkRow,
    makings::MakingRow,
    media::UploadRow,
    messages::MessageRow,
    outbox::{FailedSend, NewOutboxRow, OutboxRow, OutboxState},
    provisioning::SessionRow,
    puppets::PuppetRow,
    state::{Heard, Origin, RoomRow, StateRow},
    tasks::{NewTask, TaskRow},
    writer::Unit,
};

/// How long a statement waits for another process's lock.
const BUSY: Duration = Duration::from_secs(10);

/// Prepared statements kept for each connection.
const STATEMENTS: usize = 128;

/// Connections that read while the writer writes.
const READERS: usize = 2;

/// Why the database did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database cannot be used: disk full, file damaged, closed.
    #[error("the database cannot be used: {0}")]
    Unavailable(String),
    /// The database was written by a newer version of this program.
    #[error(
        "the database {} has schema version {found}, and this program knows versions up to {known}: \
         start the newer program again, or restore the database of before", path.display()
    )]
    TooNew {
        /// The file.
        path: PathBuf,
        /// The version found.
        found: i64,
        /// The newest version known.
        known: i64,
    },
    /// Another process has the database.
    #[error("{} is in use by another process: stop that one, or give each its own data folder", .0.display())]
    InUse(PathBuf),
    /// The author's own statement failed.
    #[error("{0}")]
    Statement(String),
}

/// For the kit's own statements; authors see no type of rusqlite's.
#[doc(hidden)]
impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

pub(crate) type Result<T, E = StoreError> = std::result::Result<T, E>;

/// A handle of the database; cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<Engine>);

enum Engine {
    /// All work in the calling task. The lock is held for as long as there is the connection.
    Inline(Mutex<Option<(Connection, Option<File>)>>),
    /// One thread writes, a few read.
    Threads {
        writer: Writer,
        readers: Arc<Readers>,
    },
}

struct Readers {
    free: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

/// Where the database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    /// In this file, made when it is not there.
    File(PathBuf),
    /// In memory: gone with the process. Always inline.
    Memory,
}

impl Store {
    /// Opens the database and brings it to the current version. `migrations` are the author's own.
    ///
    /// # Errors
    /// When it cannot be used, is in use, or is too new.
    pub(crate) fn open(
        location: &Location,
        inline: bool,
        migrations: &[Migration],
    ) -> Result<Self> {
        let lock = lock(location)?;
        let mut connection = connect(location)?;
        schema::check(&connection, location)?;
        tune(&connection)?;
        schema::migrate(&mut connection, location, migrations)?;
        let engine = match location {
            Location::File(path) if !inline => Engine::Threads {
                readers: Arc::new(Readers::open(path)?),
                writer: Writer::start(connection, lock)?,
            },
            Location::File(_) | Location::Memory => {
                Engine::Inline(Mutex::new(Some((connection, lock))))
            }
        };
        Ok(Self(Arc::new(engine)))
    }

    /// Runs a unit of work and returns once it is on disk. What it gives back as an error undoes it.
    ///
    /// # Errors
    /// The unit's own, or that the database cannot be used; nothing of it is stored then.
    pub(crate) async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Unit<'_>) -> Result<T> + Send + 'static,
    {
        match &*self.0 {
            Engine::Inline(connection) => {
                let mut guard = connection.lock();
                let (connection, _) = guard.as_mut().ok_or_else(closed)?;
                writer::alone(connection, work)
            }
            Engine::Threads { writer, .. } => writer.run(work).await,
        }
    }

    /// Hands in a unit of work without waiting for its commit. Units take effect in the order in which they were
    /// handed in, so a later [`Store::write`] is not on disk before this one. Its failure is logged.
    pub(crate) async fn write_later<F>(&self, work: F)
    where
        F: FnOnce(&Unit<'_>) -> Result<()> + Send + 'static,
    {
        let handed_in = match &*self.0 {
            Engine::Inline(_) => self.write(work).await,
            Engine::Threads { writer, .. } => writer.run_later(work).await,
        };
        if let Err(error) = handed_in {
            tracing::error!(%error, "a change was not stored");
        }
    }

    /// Reads what is committed.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub(crate) async fn read<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Unit<'_>) -> Result<T> + Send + 'static,
    {
        match &*self.0 {
            Engine::Inline(connection) => {
                let guard = connection.lock();
                let (connection, _) = guard.as_ref().ok_or_else(closed)?;
                writer::guarded(&Unit::new(connection), work)
            }
            Engine::Threads { readers, .. } => readers.clone().run(work).await,
        }
    }

    /// Reads what all units that were handed in before have left, those included whose commit nobody waits for.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub(crate) async fn read_behind<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Unit<'_>) -> Result<T> + Send + 'static,
    {
        match &*self.0 {
            Engine::Inline(_) => self.read(work).await,
            Engine::Threads { writer, .. } => writer.run(work).await,
        }
    }

    /// Ends all work, when what was handed in before is done. Later calls fail.
    pub(crate) async fn close(&self) {
        self.shut();
        if let Engine::Threads { writer, .. } = &*self.0 {
            writer.stop().await;
        }
    }

    /// Begins to close, and waits for nothing: what was handed in is still done, later calls fail. The database is
    /// free for another process when the last of it is done.
    pub(crate) fn shut(&self) {
        match &*self.0 {
            Engine::Inline(connection) => drop(connection.lock().take()),
            Engine::Threads { writer, readers } => {
                writer.shut();
                readers.permits.close();
                readers.free.lock().clear();
            }
        }
    }
}

impl Readers {
    fn open(path: &Path) -> Result<Self> {
        let free = (0..READERS).map(|_| connect_reader(path));
        let free = free.collect::<Result<Vec<_>>>()?;
        Ok(Self {
            permits: Arc::new(Semaphore::new(free.len())),
            free: Mutex::new(free),
        })
    }

    async fn run<T, F>(self: Arc<Self>, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Unit<'_>) -> Result<T> + Send + 'static,
    {
        let permit = self.permits.clone().acquire_owned().await;
        let permit = permit.map_err(|_| closed())?;
        let reading = tokio::task::spawn_blocking(move || {
            // A caller that goes does not end this: the place is given back when the connection is.
            let _permit = permit;
            let connection = self.free.lock().pop().ok_or_else(closed)?;
            let read = writer::guarded(&Unit::new(&connection), work);
            if !self.permits.is_closed() {
                self.free.lock().push(connection);
            }
            read
        });
        reading
            .await
            .map_err(|error| StoreError::Unavailable(error.to_string()))?
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("it is closed".to_owned())
}

fn connect(location: &Location) -> Result<Connection> {
    let connection = match location {
        Location::Memory => Connection::open_in_memory()?,
        Location::File(path) => {
            create_private(path)?;
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
                | OpenFlags::SQLITE_OPEN_CREATE
                | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            Connection::open_with_flags(path, flags)
                .map_err(|error| StoreError::Unavailable(format!("{}: {error}", path.display())))?
        }
    };
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

/// Makes the file before SQLite does: SQLite would let everybody on the machine read it, and its log takes the file's
/// mode. What people have said in private rooms is in it.
fn create_private(path: &Path) -> Result<()> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(StoreError::Unavailable(format!(
            "{}: {error}",
            path.display()
        ))),
    }
}

/// A connection that cannot write, whatever statement an author has it read with.
fn connect_reader(path: &Path) -> Result<Connection> {
    let connection = connect(&Location::File(path.to_owned()))?;
    connection.pragma_update(None, "query_only", "ON")?;
    Ok(connection)
}

/// How the file is written: with full durability, and read meanwhile.
fn tune(connection: &Connection) -> Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    Ok(())
}

/// One service to a database: two would handle the same events. Whoever may still write holds the lock.
pub(crate) fn lock(location: &Location) -> Result<Option<File>> {
    let Location::File(path) = location else {
        return Ok(None);
    };
    let mut name = path.clone().into_os_string();
    name.push(".lock");
    let failed = |error: std::io::Error| {
        let place = PathBuf::from(&name);
        StoreError::Unavailable(format!("{}: {error}", place.display()))
    };
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&name);
    let file = file.map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(std::fs::TryLockError::WouldBlock) => Err(StoreError::InUse(path.clone())),
        Err(std::fs::TryLockError::Error(error)) => Err(failed(error)),
    }
}

impl Unit<'_> {
    /// Writes something for no other purpose than to see that it can be written.
    pub(crate) fn probe(&self, now_ms: i64) -> Result<()> {
        self.connection
            .prepare_cached(
                "INSERT INTO kv (scope, key, value) VALUES ('', 'health', ?1)
                 ON CONFLICT (scope, key) DO UPDATE SET value = excluded.value",
            )?
            .execute([now_ms.to_string()])?;
        Ok(())
    }
}

/// A step of the author's own tables: SQL that is run once, in the order of the list.
///
/// Never change one that has been released; add another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    /// Its name, unique among the author's.
    pub name: &'static str,
    /// One or more statements.
    pub sql: &'static str,
}

#[cfg(test)]
mod tests;
