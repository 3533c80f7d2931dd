//! The one thread that writes: units of work in groups, one commit for each group.

use std::{sync::Arc, thread::JoinHandle};

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::{Result, StoreError, closed};

/// Units that may wait; callers beyond that wait to hand theirs in.
const QUEUED_UNITS: usize = 1024;

/// Units in one commit at most.
const GROUP: usize = 256;

/// What a unit of work works on: queries by table are methods of it, in the files beside.
pub(crate) struct Unit<'a> {
    pub(crate) connection: &'a Connection,
}

impl<'a> Unit<'a> {
    pub(super) fn new(connection: &'a Connection) -> Self {
        Self { connection }
    }
}

/// A unit on its way: run on the writer's thread, then told how the commit went.
trait Work: Send {
    /// Whether the unit did what it wanted; `false` undoes it.
    fn run(&mut self, unit: &Unit<'_>) -> bool;

    fn answer(self: Box<Self>, committed: Result<()>);
}

struct Typed<T, F> {
    work: Option<F>,
    outcome: Option<Result<T>>,
    /// `None`: nobody waits.
    caller: Option<oneshot::Sender<Result<T>>>,
}

impl<T, F> Work for Typed<T, F>
where
    T: Send,
    F: FnOnce(&Unit<'_>) -> Result<T> + Send,
{
    fn run(&mut self, unit: &Unit<'_>) -> bool {
        let outcome = self.work.take().map(|work| work(unit));
        let is_good = matches!(outcome, Some(Ok(_)));
        self.outcome = outcome;
        is_good
    }

    fn answer(self: Box<Self>, committed: Result<()>) {
        let outcome = self.outcome.unwrap_or_else(|| Err(closed()));
        let outcome = committed.and(outcome);
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

pub(super) struct Writer {
    units: Mutex<Option<mpsc::Sender<Box<dyn Work>>>>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Writer {
    pub(super) fn start(connection: Connection) -> Result<Self> {
        let (units, queue) = mpsc::channel(QUEUED_UNITS);
        let thread = std::thread::Builder::new()
            .name("inbox writer".to_owned())
            .spawn(move || work_off(connection, queue))
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self {
            units: Mutex::new(Some(units)),
            thread: Arc::new(Mutex::new(Some(thread))),
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
            caller,
        };
        units.send(Box::new(unit)).await.map_err(|_| closed())
    }

    pub(super) async fn stop(&self) {
        drop(self.units.lock().take());
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            tokio::task::spawn_blocking(move || thread.join().ok())
                .await
                .ok();
        }
    }
}

fn work_off(mut connection: Connection, mut queue: mpsc::Receiver<Box<dyn Work>>) {
    let mut group = Vec::with_capacity(GROUP);
    while let Some(first) = queue.blocking_recv() {
        group.push(first);
        while group.len() < GROUP {
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
    let mut transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    for unit in group {
        let savepoint = transaction.savepoint()?;
        if unit.run(&Unit::new(&savepoint)) {
            savepoint.commit()?;
        } else {
            // Dropped: rolled back.
            drop(savepoint);
        }
    }
    transaction.commit()?;
    Ok(())
}

/// A unit in a transaction of its own, in the calling task.
pub(super) fn alone<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Unit<'_>) -> Result<T>,
) -> Result<T> {
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let done = work(&Unit::new(&transaction))?;
    transaction.commit()?;
    Ok(done)
}
