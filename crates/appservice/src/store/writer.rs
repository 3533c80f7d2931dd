//! The one thread that writes: units of work in groups, one commit for each group.

use std::{cell::RefCell, fs::File, panic::AssertUnwindSafe, thread::JoinHandle};

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::{Result, StoreError, closed};

/// Units that may wait; callers beyond that wait to hand theirs in.
const QUEUED_UNITS: usize = 1024;

/// Units in one commit at most.
pub(super) const GROUP: usize = 256;

/// What is to be done when a unit was not committed.
type Undo = Box<dyn FnOnce() + Send>;

/// What a unit of work works on: queries by table are methods of it, in the files beside.
pub(crate) struct Unit<'a> {
    pub(crate) connection: &'a Connection,
    undo: RefCell<Vec<Undo>>,
}

impl<'a> Unit<'a> {
    pub(super) fn new(connection: &'a Connection) -> Self {
        Self {
            connection,
            undo: RefCell::default(),
        }
    }

    /// Has this done if the unit is not committed, whoever's fault that is: for what it has changed in memory.
    pub(crate) fn if_undone(&self, undo: impl FnOnce() + Send + 'static) {
        self.undo.borrow_mut().push(Box::new(undo));
    }
}

fn undo_all(undo: Vec<Undo>) {
    for undo in undo {
        undo();
    }
}

/// A unit on its way: run on the writer's thread, then told how the commit went.
trait Work: Send {
    /// Whether the unit did what it wanted; `false` undoes it.
    fn run(&mut self, connection: &Connection) -> bool;

    fn answer(self: Box<Self>, committed: Result<()>);
}

struct Typed<T, F> {
    work: Option<F>,
    outcome: Option<Result<T>>,
    undo: Vec<Undo>,
    /// `None`: nobody waits.
    caller: Option<oneshot::Sender<Result<T>>>,
}

impl<T, F> Work for Typed<T, F>
where
    T: Send,
    F: FnOnce(&Unit<'_>) -> Result<T> + Send,
{
    fn run(&mut self, connection: &Connection) -> bool {
        let unit = Unit::new(connection);
        let outcome = self.work.take().map(|work| guarded(&unit, work));
        self.undo = unit.undo.into_inner();
        let is_good = matches!(outcome, Some(Ok(_)));
        self.outcome = outcome;
        is_good
    }

    fn answer(self: Box<Self>, committed: Result<()>) {
        let outcome = self.outcome.unwrap_or_else(|| Err(closed()));
        let outcome = committed.and(outcome);
        if outcome.is_err() {
            undo_all(self.undo);
        }
        match self.caller {
            // A caller that has gone does not want to know; what was committed stays.
            Some(caller) => drop(caller.send(outcome)),
            None => {
                if let Err(error) = outcome {
                    tracing::error!(%error, "a change was not stored");
                }
            }
        }
    }
}

/// Runs a unit. One that panics has failed, and the thread or connection lives on for all others.
pub(super) fn guarded<T>(unit: &Unit<'_>, work: impl FnOnce(&Unit<'_>) -> Result<T>) -> Result<T> {
    std::panic::catch_unwind(AssertUnwindSafe(|| work(unit))).unwrap_or_else(|_| {
        let error = "a unit of work has panicked; nothing of it is stored";
        Err(StoreError::Statement(error.to_owned()))
    })
}

pub(super) struct Writer {
    units: Mutex<Option<mpsc::Sender<Box<dyn Work>>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// `lock` is held until the connection is closed; at most `group` units are committed together.
    pub(super) fn start(connection: Connection, lock: Option<File>, group: usize) -> Result<Self> {
        let (units, queue) = mpsc::channel(QUEUED_UNITS);
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
                work_off(connection, queue, group);
                drop(lock);
            })
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self {
            units: Mutex::new(Some(units)),
            thread: Mutex::new(Some(thread)),
        })
    }

    pub(super) async fn run<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Unit<'_>) -> Result<T> + Send + 'static,
    {
        let (caller, answer) = oneshot::channel();
        self.hand_in(work, Some(caller)).await?;
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    pub(super) async fn run_later<F>(&self, work: F) -> Result<()>
    where
        F: FnOnce(&Unit<'_>) -> Result<()> + Send + 'static,
    {
        self.hand_in(work, None).await
    }

    async fn hand_in<T, F>(&self, work: F, caller: Option<oneshot::Sender<Result<T>>>) -> Result<()>
    where
        T: Send + 'static,
        F: FnOnce(&Unit<'_>) -> Result<T> + Send + 'static,
    {
        let units = self.units.lock().clone().ok_or_else(closed)?;
        let unit = Typed {
            work: Some(work),
            outcome: None,
            undo: Vec::new(),
            caller,
        };
        units.send(Box::new(unit)).await.map_err(|_| closed())
    }

    /// Takes no further units; those that were handed in are still worked off.
    pub(super) fn shut(&self) {
        self.units.lock().take();
    }

    pub(super) async fn stop(&self) {
        self.shut();
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            tokio::task::spawn_blocking(move || thread.join().ok())
                .await
                .ok();
        }
    }
}

fn work_off(mut connection: Connection, mut queue: mpsc::Receiver<Box<dyn Work>>, most: usize) {
    let mut group = Vec::with_capacity(most);
    while let Some(first) = queue.blocking_recv() {
        group.push(first);
        while group.len() < most {
            let Ok(next) = queue.try_recv() else { break };
            group.push(next);
        }
        let committed = commit(&mut connection, &mut group);
        if let Err(error) = &committed {
            tracing::error!(%error, units = group.len(), "the database did not take a group of changes");
        }
        for unit in group.drain(..) {
            unit.answer(committed.clone());
        }
    }
}

fn commit(connection: &mut Connection, group: &mut [Box<dyn Work>]) -> Result<()> {
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    for unit in group {
        savepoint(&transaction, "SAVEPOINT unit")?;
        if !unit.run(&transaction) {
            rescue(&transaction)?;
        }
        savepoint(&transaction, "RELEASE unit")?;
    }
    transaction.commit()?;
    Ok(())
}

/// Undoes a unit that has failed.
fn rescue(connection: &Connection) -> Result<()> {
    // A full disk and the like undo all of the transaction. What came then would be committed by itself, unit by unit,
    // while everybody is told that nothing was.
    if connection.is_autocommit() {
        let error = "a unit of work has failed in a way that undid its whole group";
        return Err(StoreError::Unavailable(error.to_owned()));
    }
    savepoint(connection, "ROLLBACK TO unit")
}

fn savepoint(connection: &Connection, sql: &str) -> Result<()> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}

/// A unit in a transaction of its own, in the calling task.
pub(super) fn alone<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Unit<'_>) -> Result<T>,
) -> Result<T> {
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let unit = Unit::new(&transaction);
    let done = guarded(&unit, work);
    let undo = unit.undo.into_inner();
    let done = done.and_then(|done| {
        transaction.commit()?;
        Ok(done)
    });
    if done.is_err() {
        undo_all(undo);
    }
    done
}
