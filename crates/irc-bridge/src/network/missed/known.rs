//! How far each person's talks are known, on disk: so that the next connection asks for what was said since.
//!
//! It is written by whoever carries out deeds, behind them: what counts as known is on its way to Matrix whatever
//! crashes.

use std::collections::BTreeMap;

use bridgehead_appservice::{
    id::UserId,
    store::{Migration, Store, StoreError},
};

/// The table of how far talks are known.
pub(crate) const TALKS_KNOWN: Migration = Migration {
    name: "talks_known",
    sql: "CREATE TABLE talks_known (
        network TEXT NOT NULL,
        user_id TEXT NOT NULL,
        at_ms INTEGER NOT NULL,
        is_open INTEGER NOT NULL,
        PRIMARY KEY (network, user_id)
    ) WITHOUT ROWID;",
};

/// People of one network of whom it is remembered; of others nothing is fetched.
const MAX_PEOPLE: usize = 100_000;

/// How far one person's talks are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::network) struct Known {
    /// What was said to them alone until then was heard, by the server's clock.
    pub(super) at_ms: i64,
    /// What was said since is being fetched, or was to be.
    pub(super) is_open: bool,
    /// It is later than what was written down.
    pub(super) is_ahead: bool,
}

impl Known {
    /// Writes it down.
    pub(in crate::network) async fn store(
        self,
        store: &Store,
        (network, person): (&str, &UserId),
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO talks_known (network, user_id, at_ms, is_open) VALUES (?1, ?2, ?3, ?4)
            ON CONFLICT (network, user_id) DO UPDATE SET at_ms = excluded.at_ms, is_open = excluded.is_open";
        let is_open = i64::from(self.is_open);
        let values = [
            network.into(),
            person.into(),
            self.at_ms.into(),
            is_open.into(),
        ];
        store.execute(sql, values).await.map(drop)
    }
}

/// How far the talks of a network's people are known.
#[derive(Debug, Default)]
pub(super) struct AllKnown(BTreeMap<UserId, Known>);

impl AllKnown {
    /// Reads what is written down.
    pub(super) async fn load(store: &Store, network: &str) -> Result<Self, StoreError> {
        let mut all = BTreeMap::new();
        let mut after = String::new();
        while all.len() < MAX_PEOPLE {
            let sql = "SELECT user_id, at_ms, is_open FROM talks_known WHERE network = ?1 AND user_id > ?2
                ORDER BY user_id LIMIT 5000";
            let rows = store
                .query(sql, [network.into(), after.as_str().into()])
                .await?;
            let Some(last) = rows.last().and_then(|row| row.text(0)) else {
                break;
            };
            after = last.to_owned();
            for row in &rows {
                let person = row.text(0).and_then(|id| UserId::parse(id).ok());
                let known = row.integer(1).map(|at_ms| Known {
                    at_ms,
                    is_open: row.integer(2) == Some(1),
                    is_ahead: false,
                });
                all.extend(person.zip(known));
            }
        }
        Ok(Self(all))
    }

    pub(super) fn get(&self, person: &UserId) -> Option<Known> {
        self.0.get(person).copied()
    }

    /// Nothing was known of a person until now; whether it can be remembered.
    pub(super) fn begin(&mut self, person: &UserId, at_ms: i64) -> Option<Known> {
        if self.0.len() >= MAX_PEOPLE && !self.0.contains_key(person) {
            return None;
        }
        let known = Known {
            at_ms,
            ..Known::default()
        };
        self.0.insert(person.clone(), known);
        Some(known)
    }

    /// It is known up to then; gives back what is to be written down, where that is news.
    pub(super) fn reach(&mut self, person: &UserId, at_ms: i64) -> Option<Known> {
        let known = self.0.get_mut(person).filter(|known| known.at_ms < at_ms)?;
        (known.at_ms, known.is_ahead) = (at_ms, false);
        Some(*known)
    }

    /// It is known up to then, which need not be written down at once.
    pub(super) fn drift(&mut self, person: &UserId, at_ms: i64) {
        if let Some(known) = self.0.get_mut(person).filter(|known| known.at_ms < at_ms) {
            (known.at_ms, known.is_ahead) = (at_ms, true);
        }
    }

    /// What was said since is being fetched, or was; gives back what is to be written down, where that is news.
    pub(super) fn open(&mut self, person: &UserId, is_open: bool) -> Option<Known> {
        let known = self.0.get_mut(person)?;
        let is_news = known.is_open != is_open;
        known.is_open = is_open;
        is_news.then_some(*known)
    }

    /// What is known and not written down yet.
    pub(super) fn take_ahead(&mut self) -> Vec<(UserId, Known)> {
        let ahead = self.0.iter_mut().filter(|(_, known)| known.is_ahead);
        let ahead = ahead.map(|(person, known)| {
            known.is_ahead = false;
            (person.clone(), *known)
        });
        ahead.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_never_becomes_less() {
        let ann = UserId::parse("@ann:x").expect("an id");
        let mut all = AllKnown::default();
        assert_eq!(all.reach(&ann, 5), None, "nothing was begun");
        all.begin(&ann, 5);
        assert_eq!(all.reach(&ann, 9).map(|known| known.at_ms), Some(9));
        assert_eq!(all.reach(&ann, 7), None);
        all.drift(&ann, 8);
        assert_eq!(all.take_ahead(), []);
        all.drift(&ann, 12);
        let ahead: Vec<i64> = all.take_ahead().iter().map(|(_, it)| it.at_ms).collect();
        assert_eq!(ahead, [12]);
        assert_eq!(all.take_ahead(), [], "it was taken");
        assert_eq!(all.open(&ann, true).map(|known| known.is_open), Some(true));
        assert_eq!(all.open(&ann, true), None);
    }
}
