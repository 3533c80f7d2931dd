//! What IRC servers were given, stored before they get it.
//!
//! IRC does not recognise what is said twice. So each line of a message is claimed just before it goes to the socket;
//! after a crash what was claimed is not said again. Between the claim and the socket lie some microseconds, and no
//! waiting.

use bridgehead_appservice::store::{Migration, Store};

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

/// For how long claims are kept while the bridge runs; what it was given is told to be sent long before.
const KEPT_MS: i64 = 86_400_000;

/// One line of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// What names the message at each attempt.
    pub key: String,
    /// Which line of it, from 0 on.
    pub part: u32,
}

/// The lines that servers have, or may have.
#[derive(Clone)]
pub struct Claims {
    store: Store,
}

impl Claims {
    /// In this database.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Stores a claim. Where that cannot be, the line goes out all the same: said twice after a crash is better than
    /// never.
    pub async fn store(&self, claim: &Claim) {
        let sql = "INSERT INTO claims VALUES (?1, ?2, CAST(unixepoch('subsec') * 1000 AS INTEGER))
                   ON CONFLICT DO NOTHING";
        let stored = self
            .store
            .execute(sql, [(&claim.key).into(), claim.part.into()]);
        if let Err(error) = stored.await {
            tracing::error!(%error, "what goes to IRC cannot be noted; a crash now may repeat it");
        }
    }

    /// The lines of a message that were claimed.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn of(
        &self,
        key: &str,
    ) -> Result<Vec<u32>, bridgehead_appservice::store::StoreError> {
        let rows = self
            .store
            .query("SELECT part FROM claims WHERE key = ?1", [key.into()]);
        let parts = rows.await?.into_iter().filter_map(|row| row.integer(0));
        Ok(parts.filter_map(|part| u32::try_from(part).ok()).collect())
    }

    /// Gives up a claim: the line has not arrived.
    pub async fn release(&self, claim: &Claim) {
        let sql = "DELETE FROM claims WHERE key = ?1 AND part = ?2";
        let released = self
            .store
            .execute(sql, [(&claim.key).into(), claim.part.into()]);
        if let Err(error) = released.await {
            tracing::error!(%error, "a claim stays; a crash now may lose a line");
        }
    }

    /// Forgets claims that are old. Not to be called before what was under way when the bridge ended last is sent again.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn prune(&self) -> Result<(), bridgehead_appservice::store::StoreError> {
        let sql = "DELETE FROM claims WHERE claimed_ms < CAST(unixepoch('subsec') * 1000 AS INTEGER) - ?1";
        self.store.execute(sql, [KEPT_MS.into()]).await?;
        Ok(())
    }
}
