//! What IRC servers were given, stored before they get it, and marked once they have it.
//!
//! IRC does not recognise what is said twice. So each line of a message is claimed just before it goes to the socket, and
//! marked as written behind it; nobody waits for the mark. What is claimed and marked counts as said after a crash. What
//! is claimed and not marked is in doubt: `network/doubt.rs` finds out, or the sender is told.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bridgehead_appservice::store::{Migration, Store, StoreError};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::orders::LineId;

/// The table of claims.
pub const CLAIMS: Migration = Migration {
    name: "claims",
    sql: "CREATE TABLE claims (
        key TEXT NOT NULL,
        part INTEGER NOT NULL,
        claimed_ms INTEGER NOT NULL,
        PRIMARY KEY (key, part)
    ) WITHOUT ROWID;
    CREATE INDEX claims_by_age ON claims (claimed_ms);",
};

/// Their marks. What was claimed before there were marks counts as written, as it did then.
pub const WRITTEN: Migration = Migration {
    name: "claims written",
    sql: "ALTER TABLE claims ADD COLUMN written_ms INTEGER;
    UPDATE claims SET written_ms = claimed_ms;",
};

/// What the keeper calls them.
pub const FRAMES: Migration = Migration {
    name: "claims frames",
    sql: "ALTER TABLE claims ADD COLUMN epoch INTEGER;
    ALTER TABLE claims ADD COLUMN frame INTEGER;",
};

/// What the server calls them in its answers.
pub const LABELS: Migration = Migration {
    name: "claims labels",
    sql: "ALTER TABLE claims ADD COLUMN label TEXT;",
};

/// For how long claims are kept while the bridge runs; what it was given is told to be sent long before.
const KEPT_MS: i64 = 86_400_000;
/// How often old claims are looked for.
const FORGET_EVERY: Duration = Duration::from_secs(6 * 3600);
/// Marks that wait to be stored; of what is beyond that, a crash makes a doubt.
const MAX_MARKS: usize = 100_000;
/// Marks that are stored at once.
const MARKS_AT_ONCE: usize = 500;
/// How long is waited where marks cannot be stored.
const MARK_AGAIN: Duration = Duration::from_secs(1);

/// One line of a message.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// What names the message at each attempt.
    pub key: String,
    /// Which line of it, from 0 on.
    pub part: u32,
}

/// In which words a line goes to the server.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sent<'a> {
    /// The keeper's connection, where there is one, and the number of the frame.
    pub frame: Option<(i64, u64)>,
    /// What the server's answer bears (labeled-response).
    pub label: Option<&'a str>,
}

/// A line that was claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// Which line of the message.
    pub part: u32,
    /// When it was, ms since the Unix epoch.
    pub at_ms: i64,
    /// Whether it is known to have been written.
    pub is_written: bool,
    /// The keeper's connection that it was for, and the number of the frame that it went in.
    pub frame: Option<(i64, u64)>,
    /// What the server's answer bears.
    pub label: Option<String>,
}

/// The lines that servers have, or may have.
#[derive(Clone)]
pub struct Claims {
    store: Store,
    marks: Arc<Marks>,
}

/// Claims whose lines were written, and of which that is not stored yet.
#[derive(Default)]
struct Marks {
    waiting: Mutex<BTreeSet<Claim>>,
    wake: Notify,
}

/// Under this key a claim is kept that a line has ended. No message has one like it.
fn refusal_key(by: LineId) -> String {
    format!("refused/{}/{}", by.epoch, by.number)
}

impl Claims {
    /// In this database. Marks wait until [`Claims::keep`] runs.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self {
            store,
            marks: Arc::default(),
        }
    }

    /// Stores a claim, and how the line goes out. Where that cannot be, it goes out all the same: said twice after a crash
    /// is better than never.
    pub async fn store(&self, claim: &Claim, sent: Sent<'_>) {
        let sql = "INSERT INTO claims (key, part, claimed_ms, epoch, frame, label)
                   VALUES (?1, ?2, CAST(unixepoch('subsec') * 1000 AS INTEGER), ?3, ?4, ?5)
                   ON CONFLICT DO UPDATE SET claimed_ms = excluded.claimed_ms, written_ms = NULL,
                       epoch = excluded.epoch, frame = excluded.frame, label = excluded.label";
        let epoch = sent.frame.map(|(epoch, _)| epoch);
        let number = sent
            .frame
            .and_then(|(_, number)| i64::try_from(number).ok());
        let values = [
            (&claim.key).into(),
            claim.part.into(),
            epoch.into(),
            number.into(),
            sent.label.into(),
        ];
        let stored = self.store.execute(sql, values);
        if let Err(error) = stored.await {
            tracing::error!(%error, "what goes to IRC cannot be noted; a crash now may repeat it");
        }
    }

    /// The kernel has all of a line. That is stored behind it.
    pub fn written(&self, claim: Claim) {
        let mut waiting = self.marks.waiting.lock();
        if waiting.len() < MAX_MARKS {
            waiting.insert(claim);
        }
        drop(waiting);
        self.marks.wake.notify_one();
    }

    /// Stores marks for as long as it is polled, and forgets old claims now and then.
    pub async fn keep(&self) {
        tokio::join!(self.keep_marks(), self.forget_old());
    }

    /// The first time after so long that what was under way before has been sent again.
    async fn forget_old(&self) {
        loop {
            tokio::time::sleep(FORGET_EVERY).await;
            if let Err(error) = self.prune().await {
                tracing::warn!(%error, "old claims are not forgotten");
            }
        }
    }

    async fn keep_marks(&self) {
        loop {
            let some: Vec<Claim> = {
                let waiting = self.marks.waiting.lock();
                waiting.iter().take(MARKS_AT_ONCE).cloned().collect()
            };
            if some.is_empty() {
                self.marks.wake.notified().await;
                continue;
            }
            match self.mark(&some).await {
                Ok(()) => {
                    let mut waiting = self.marks.waiting.lock();
                    for claim in &some {
                        waiting.remove(claim);
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "what IRC was given is not noted; a crash now puts it in doubt");
                    tokio::time::sleep(MARK_AGAIN).await;
                }
            }
        }
    }

    async fn mark(&self, claims: &[Claim]) -> Result<(), StoreError> {
        let claims = claims.iter().map(|claim| (&claim.key, claim.part));
        let claims =
            serde_json::Value::from_iter(claims.map(|(key, part)| serde_json::json!([key, part])));
        let sql = "UPDATE claims SET written_ms = CAST(unixepoch('subsec') * 1000 AS INTEGER)
                   WHERE (key, part) IN (SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]')
                                         FROM json_each(?1))";
        self.store.execute(sql, [claims.to_string().into()]).await?;
        Ok(())
    }

    /// The lines of a message that were claimed.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn of(&self, key: &str) -> Result<Vec<Claimed>, StoreError> {
        // Looked at first: a mark that is stored meanwhile is in the rows.
        let marked: BTreeSet<Claim> = {
            let waiting = self.marks.waiting.lock();
            let own = waiting.iter().filter(|claim| claim.key == key);
            own.cloned().collect()
        };
        let sql = "SELECT part, claimed_ms, written_ms IS NOT NULL, epoch, frame, label FROM claims
                   WHERE key = ?1 ORDER BY part";
        let rows = self.store.query(sql, [key.into()]).await?;
        let claimed = rows.into_iter().filter_map(|row| {
            let part = u32::try_from(row.integer(0)?).ok()?;
            let claim = Claim {
                key: key.to_owned(),
                part,
            };
            Some(Claimed {
                part,
                at_ms: row.integer(1)?,
                is_written: row.integer(2)? != 0 || marked.contains(&claim),
                frame: row
                    .integer(3)
                    .zip(row.integer(4).and_then(|frame| u64::try_from(frame).ok())),
                label: row.text(5).map(str::to_owned),
            })
        });
        Ok(claimed.collect())
    }

    /// It is not known any more whether a line has arrived; a crash now leaves that open.
    pub async fn doubt(&self, claim: &Claim) {
        self.marks.waiting.lock().remove(claim);
        let sql = "UPDATE claims SET written_ms = NULL WHERE key = ?1 AND part = ?2";
        let doubted = self
            .store
            .execute(sql, [(&claim.key).into(), claim.part.into()]);
        if let Err(error) = doubted.await {
            tracing::error!(%error, "a claim counts as written; a crash now may lose a line");
        }
    }

    /// Gives up a claim: the line has not arrived.
    pub async fn release(&self, claim: &Claim) {
        self.marks.waiting.lock().remove(claim);
        let sql = "DELETE FROM claims WHERE key = ?1 AND part = ?2";
        let released = self
            .store
            .execute(sql, [(&claim.key).into(), claim.part.into()]);
        if let Err(error) = released.await {
            tracing::error!(%error, "a claim stays; a crash now may lose a line");
        }
    }

    /// Gives up a claim: the server has refused the line, as this one of the keeper's says. That the refusal is dealt with is
    /// known with it: it may come again.
    pub async fn refused(&self, claim: &Claim, by: LineId) {
        self.marks.waiting.lock().remove(claim);
        let sql = "UPDATE OR REPLACE claims SET key = ?3 WHERE key = ?1 AND part = ?2";
        let values = [
            (&claim.key).into(),
            claim.part.into(),
            refusal_key(by).into(),
        ];
        if let Err(error) = self.store.execute(sql, values).await {
            tracing::error!(%error, "a claim stays; a crash now may lose a line");
        }
    }

    /// Whether a refusal has ended a claim before.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn is_dealt_with(&self, by: LineId) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM claims WHERE key = ?1 LIMIT 1";
        let rows = self.store.query(sql, [refusal_key(by).into()]).await?;
        Ok(!rows.is_empty())
    }

    /// Forgets claims that are old. Not to be called before what was under way when the bridge ended last is sent again.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn prune(&self) -> Result<(), StoreError> {
        let sql = "DELETE FROM claims WHERE claimed_ms < CAST(unixepoch('subsec') * 1000 AS INTEGER) - ?1";
        self.store.execute(sql, [KEPT_MS.into()]).await?;
        Ok(())
    }
}
