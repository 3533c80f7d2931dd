//! How a store is opened: where, by whose clock, and on whose time its work is done.

use std::{
    path::Path,
    pin::Pin,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// Tells the time in milliseconds since the Unix epoch.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Where the database is.
#[derive(Debug, Clone, Copy)]
pub enum Location<'a> {
    /// In this file, made when missing.
    File(&'a Path),
    /// In memory, gone with the store. Needs [`Mode::Inline`]: there is one connection.
    Memory,
}

/// Who runs units of work and reads.
#[derive(Clone, Default)]
pub enum Mode {
    /// A committer thread and pools of readers; what a server wants.
    #[default]
    Threads,
    /// The calling task, there and then: each unit is a database transaction of its own, and
    /// reads go through the writer's connection. A call blocks its thread for as long as the
    /// database takes. It exists so that a single-threaded runtime, with time that stands still
    /// or is moved by hand, drives the store deterministically, and it suits a tool that does one
    /// thing after the other.
    Inline {
        /// Passed before and after each unit.
        gate: Option<Arc<dyn Gate>>,
    },
}

/// What a [`Gate`] is waited for with.
pub type GateFuture<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Stands before and behind the commit of every unit in inline mode. A future that never ends
/// stops the caller at exactly that point, as a crash of the server would.
pub trait Gate: Send + Sync {
    /// The unit was asked for, and nothing of it was done.
    fn before_commit(&self) -> GateFuture<'_>;

    /// The unit is committed (or refused), and its caller does not know yet.
    fn after_commit(&self) -> GateFuture<'_>;
}

/// How a store is opened. The default is what a server wants.
#[derive(Clone)]
pub struct StoreOptions {
    /// What [`crate::LogEntry::at_ms`] is taken from.
    pub clock: Clock,
    /// Who runs units of work and reads.
    pub mode: Mode,
    /// Whether each commit waits until the disk has it. Without, what was committed survives the
    /// end of the process, and not surely that of the machine.
    pub flush: bool,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            clock: Arc::new(system_time_ms),
            mode: Mode::Threads,
            flush: true,
        }
    }
}

fn system_time_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}
