//! People of Matrix who have said that they are away: so they are again after each reconnect and each restart.

use std::collections::BTreeMap;

use bridgehead_appservice::{
    id::UserId,
    store::{Migration, Store, StoreError},
};

/// The table of those who are away.
pub(crate) const AWAY: Migration = Migration {
    name: "away",
    sql: "CREATE TABLE away (
        network TEXT NOT NULL,
        user_id TEXT NOT NULL,
        reason TEXT NOT NULL,
        PRIMARY KEY (network, user_id)
    ) WITHOUT ROWID;",
};

/// People of one network who are away.
pub(crate) struct Away {
    store: Store,
    network: String,
    reasons: BTreeMap<UserId, String>,
}

impl Away {
    /// Reads what is stored.
    pub(crate) async fn load(store: Store, network: &str) -> Result<Self, StoreError> {
        let mut reasons = BTreeMap::new();
        let mut after = String::new();
        loop {
            let sql = "SELECT user_id, reason FROM away WHERE network = ?1 AND user_id > ?2
                ORDER BY user_id LIMIT 5000";
            let rows = store
                .query(sql, [network.into(), after.as_str().into()])
                .await?;
            let Some(last) = rows.last().and_then(|row| row.text(0)) else {
                break;
            };
            after = last.to_owned();
            for row in &rows {
                let user = row.text(0).and_then(|id| UserId::parse(id).ok());
                reasons.extend(user.zip(row.text(1).map(str::to_owned)));
            }
        }
        Ok(Self {
            store,
            network: network.to_owned(),
            reasons,
        })
    }

    /// Why somebody is away, if they are.
    pub(crate) fn reason(&self, person: &UserId) -> Option<&str> {
        self.reasons.get(person).map(String::as_str)
    }

    /// Somebody is away, or back.
    pub(crate) async fn set(
        &mut self,
        person: &UserId,
        reason: Option<&str>,
    ) -> Result<(), StoreError> {
        match reason {
            Some(reason) => {
                let sql = "INSERT INTO away (network, user_id, reason) VALUES (?1, ?2, ?3)
                    ON CONFLICT (network, user_id) DO UPDATE SET reason = excluded.reason";
                let values = [(&self.network).into(), person.into(), reason.into()];
                self.store.execute(sql, values).await?;
                self.reasons.insert(person.clone(), reason.to_owned());
            }
            None => {
                let sql = "DELETE FROM away WHERE network = ?1 AND user_id = ?2";
                let values = [(&self.network).into(), person.into()];
                self.store.execute(sql, values).await?;
                self.reasons.remove(person);
            }
        }
        Ok(())
    }
}
