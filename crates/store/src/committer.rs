//! Group commit: units of work run in order, many in one database transaction.
//!
//! A batch is whatever waits at the moment; a lone unit is never held back for company. Each unit
//! stands behind a savepoint, so one that is refused spoils only itself. Answers go out after the
//! commit: an answer always means *on disk*.
//!
//! [`Committer::run`] is the thread that a server has. In inline mode the callers run their units
//! on the same [`Committer`] themselves, one at a time (`inline`).

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::{
    CommitFigures, Error, Result, Shared, StreamPosition,
    tx::{Batch, Tx},
};

/// Units in one database transaction at most, so that the first of them is not kept waiting.
const MAX_BATCH: usize = 256;

/// The write-ahead log is emptied when it is larger: readers that overlap all the time keep the
/// engine from starting it over by itself.
pub(crate) const MAX_WAL_BYTES: i64 = 64 << 20;

/// How long the committer waits for readers that hold on to the write-ahead log.
const WAL_PATIENCE: Duration = Duration::from_millis(200);

type Answer = Box<dyn FnOnce(Result<()>) + Send>;
pub(crate) type Work = Box<dyn FnOnce(&mut Tx<'_>) -> Verdict + Send>;

/// What became of a unit's closure, and how to tell its caller once the batch's fate is known.
pub(crate) struct Verdict {
    keep: bool,
    answer: Answer,
}

/// Something for the committer to do.
pub(crate) enum Unit {
    Work(Work),
    Stop(oneshot::Sender<()>),
}

/// A unit that sends what became of it to `answer`.
pub(crate) fn unit<T, E>(
    work: impl FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    answer: oneshot::Sender<Result<T, E>>,
) -> Work
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    Box::new(move |tx| {
        let result = work(tx);
        Verdict {
            keep: result.is_ok(),
            // A caller that has gone away needs no answer.
            answer: Box::new(move |committed| {
                let result = match (committed, result) {
                    (Err(error), Ok(_)) => Err(E::from(error)),
                    (_, result) => result,
                };
                answer.send(result).ok();
            }),
        }
    })
}

/// The one that writes: its connection, and where the log ends.
pub(crate) struct Committer {
    pub(crate) conn: Connection,
    shared: Arc<Shared>,
    position: StreamPosition,
    /// Larger than this the write-ahead log is emptied next.
    wal_limit: i64,
    /// The last batch was lost for want of room.
    full: bool,
}

impl Committer {
    pub(crate) fn new(conn: Connection, shared: Arc<Shared>, position: StreamPosition) -> Self {
        Self {
            wal_limit: MAX_WAL_BYTES,
            full: false,
            conn,
            shared,
            position,
        }
    }

    /// Runs until [`Unit::Stop`] or until every store handle is gone.
    pub(crate) fn run(mut self, mut queue: mpsc::Receiver<Unit>) {
        while let Some(unit) = queue.blocking_recv() {
            let first = match unit {
                Unit::Work(work) => work,
                Unit::Stop(answer) => return self.stop(answer),
            };
            if let Some(answer) = self.run_batch(first, || queue.try_recv().ok()) {
                return self.stop(answer);
            }
            self.bound_wal();
        }
    }

    /// Keeps the write-ahead log from growing for ever. Where a reader does not let go of it, the
    /// next try waits until it has doubled, so that one slow reader does not slow all writes.
    fn bound_wal(&mut self) {
        let bytes = std::fs::metadata(&self.shared.wal).map_or(0, |metadata| metadata.len());
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        if bytes <= self.wal_limit {
            return;
        }
        let emptied = self.empty_wal().unwrap_or_else(|error| {
            tracing::warn!(%error, "emptying the write-ahead log failed");
            false
        });
        self.wal_limit = if emptied {
            MAX_WAL_BYTES
        } else {
            bytes.saturating_mul(2)
        };
    }

    fn empty_wal(&self) -> Result<bool> {
        self.conn.busy_timeout(WAL_PATIENCE)?;
        let busy = self
            .conn
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
                row.get::<_, bool>(0)
            });
        self.conn.busy_timeout(crate::BUSY_TIMEOUT)?;
        Ok(!busy?)
    }

    fn stop(self, answer: oneshot::Sender<()>) {
        self.close();
        answer.send(()).ok();
    }

    /// Closes the database.
    pub(crate) fn close(self) {
        if let Err(error) = self.conn.close() {
            tracing::warn!(error = %error.1, "closing the database failed");
        }
    }

    /// One database transaction: `first`, and what `waiting` has besides. Returns the stop
    /// request, if one came in between.
    pub(crate) fn run_batch(
        &mut self,
        first: Work,
        mut waiting: impl FnMut() -> Option<Unit>,
    ) -> Option<oneshot::Sender<()>> {
        let started = Instant::now();
        let mut stop = None;
        let mut answers: Vec<Answer> = Vec::new();
        let at_ms = (self.shared.clock)();
        let mut batch = Batch::new(self.shared.clone(), self.position.next(), at_ms);
        let mut outcome = self
            .conn
            .execute_batch("BEGIN IMMEDIATE")
            .map_err(Error::from);

        let mut next = Some(first);
        while let Some(work) = next.take() {
            if outcome.is_ok() {
                outcome = self.run_unit(work, &mut batch, &mut answers);
            }
            if answers.len() >= MAX_BATCH || outcome.is_err() {
                break;
            }
            match waiting() {
                Some(Unit::Work(work)) => next = Some(work),
                Some(Unit::Stop(answer)) => {
                    stop = Some(answer);
                    break;
                }
                None => break,
            }
        }

        let outcome = outcome.and_then(|()| Ok(self.conn.execute_batch("COMMIT")?));
        match &outcome {
            Ok(()) => self.publish(batch),
            Err(error) => self.abandon(error, batch),
        }
        if let Some(observer) = &*self.shared.observer.lock() {
            observer(&CommitFigures {
                units: answers.len(),
                duration: started.elapsed(),
                is_committed: outcome.is_ok(),
            });
        }
        for answer in answers {
            answer(match &outcome {
                Ok(()) => Ok(()),
                Err(error) => Err(error.for_all()),
            });
        }
        stop
    }

    /// Runs one unit behind a savepoint. An error means that the whole batch is lost.
    fn run_unit(&self, work: Work, batch: &mut Batch, answers: &mut Vec<Answer>) -> Result<()> {
        let mark = batch.mark();
        self.conn.prepare_cached("SAVEPOINT unit")?.execute([])?;
        let verdict = catch_unwind(AssertUnwindSafe(|| work(&mut Tx::new(&self.conn, batch))));
        let keep = verdict.as_ref().is_ok_and(|verdict| verdict.keep);
        match verdict {
            Ok(verdict) => answers.push(verdict.answer),
            // The unit's answer channel is dropped with it, which its caller sees as an error.
            Err(_) => tracing::error!("a unit of work panicked; it was rolled back"),
        }
        if !keep {
            batch.roll_back(&mark);
            // A full disk makes SQLite roll the whole transaction back by itself; hardly anything
            // else does.
            if self.conn.is_autocommit() {
                return Err(Error::Full {
                    reason: "the engine rolled the batch back".to_owned(),
                });
            }
            self.conn.prepare_cached("ROLLBACK TO unit")?.execute([])?;
        }
        self.conn.prepare_cached("RELEASE unit")?.execute([])?;
        Ok(())
    }

    fn publish(&mut self, batch: Batch) {
        self.position = StreamPosition(batch.next_position.0 - 1);
        self.shared.views.publish(batch.rooms, self.position);
        if batch.log.is_empty() {
            return;
        }
        if std::mem::take(&mut self.full) {
            tracing::info!("there is room on the disk again");
        }
        self.shared.position.send_replace(self.position);
        if let Some(listener) = &*self.shared.listener.lock()
            && catch_unwind(AssertUnwindSafe(|| listener(&batch.log))).is_err()
        {
            // What it would have woken finds the rows all the same, at its next look.
            tracing::error!("the commit listener panicked");
        }
    }

    fn abandon(&mut self, error: &Error, mut batch: Batch) {
        // One line when the disk becomes full, not one for each attempt to write.
        if !matches!(error, Error::Full { .. }) {
            tracing::error!(%error, "a batch could not be committed");
        } else if !self.full {
            self.full = true;
            tracing::error!(%error, "nothing can be stored until there is room on the disk of the data folder");
        }
        batch.forget_sets_from(0);
        if !self.conn.is_autocommit()
            && let Err(error) = self.conn.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "rolling back failed");
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Error, Store, StreamPosition};

    const ALICE: &str = "@alice:example.org";

    /// Lets the database have `pages` pages at most, as a full disk would.
    async fn limit_pages(store: &Store, pages: i64) {
        store
            .write(move |tx| {
                let sql = format!("PRAGMA max_page_count = {pages}");
                tx.conn.query_row(&sql, [], |_| Ok(()))?;
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }

    async fn set(store: &Store, kind: String, bytes: usize) -> Result<StreamPosition, Error> {
        let content = format!("\"{}\"", "x".repeat(bytes));
        store
            .write(move |tx| tx.set_account_data(ALICE, "", &kind, &content))
            .await
    }

    #[tokio::test]
    async fn a_full_disk_refuses_and_is_survived() {
        let folder = tempfile::TempDir::new().unwrap();
        let store = Store::open(&folder.path().join("store.db"), "example.org").unwrap();
        assert_eq!(
            set(&store, "a".to_owned(), 1).await.unwrap(),
            StreamPosition(1)
        );
        limit_pages(&store, 1).await;
        let units = (0..8).map(|n| {
            let store = store.clone();
            tokio::spawn(async move { set(&store, format!("big{n}"), 1 << 20).await })
        });
        for unit in units.collect::<Vec<_>>() {
            let outcome = unit.await.unwrap();
            assert!(matches!(outcome, Err(Error::Full { .. })), "{outcome:?}");
        }
        limit_pages(&store, 1 << 20).await;
        assert_eq!(
            set(&store, "b".to_owned(), 1).await.unwrap(),
            StreamPosition(2)
        );
        let kinds = store.read(|s| s.all_account_data(ALICE)).await;
        let kinds: Result<Vec<_>, Error> = kinds;
        let kinds: Vec<_> = kinds.unwrap().into_iter().map(|row| row.kind).collect();
        assert_eq!(kinds, ["a", "b"]);
    }
}
