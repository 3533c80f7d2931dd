//! Whom people do not want to hear alone: masks that each has given, on disk.

use std::collections::BTreeMap;

use bridgehead_appservice::{
    id::UserId,
    store::{Migration, Store, StoreError},
};
use bridgehead_irc_protocol::{CaseMapping, Source, mask::Mask};

/// The table of masks.
pub(crate) const IGNORED: Migration = Migration {
    name: "ignored",
    sql: "CREATE TABLE ignored (
        network TEXT NOT NULL,
        user_id TEXT NOT NULL,
        mask TEXT NOT NULL,
        PRIMARY KEY (network, user_id, mask)
    ) WITHOUT ROWID;",
};

/// Masks of one person at most.
const MAX_MASKS: usize = 100;
/// Bytes of a mask at most.
const MAX_BYTES: usize = 300;

/// Whom the people of one network ignore.
pub(crate) struct Ignoring {
    store: Store,
    network: String,
    masks: BTreeMap<UserId, Vec<Mask>>,
}

/// Why a mask is not taken. Displays as a sentence for who has given it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IgnoreError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nobody could talk to them.
    #[error("`{0}` would be everybody: name somebody, such as `nick` or `*!*@spam.example`")]
    Everybody(String),
    /// There are enough.
    #[error("you ignore {MAX_MASKS} already: `unignore` takes one away")]
    Full,
    /// It is too long.
    #[error("a mask has at most {MAX_BYTES} bytes")]
    Long,
}

impl Ignoring {
    /// Reads what is stored.
    pub(crate) async fn load(store: Store, network: &str) -> Result<Self, StoreError> {
        let mut masks: BTreeMap<UserId, Vec<Mask>> = BTreeMap::new();
        let mut after = (String::new(), String::new());
        loop {
            let sql = "SELECT user_id, mask FROM ignored WHERE network = ?1 AND (user_id, mask) > (?2, ?3)
                ORDER BY user_id, mask LIMIT 5000";
            let values = [
                network.into(),
                after.0.as_str().into(),
                after.1.as_str().into(),
            ];
            let rows = store.query(sql, values).await?;
            let Some(last) = rows.last() else { break };
            let text = |row: &bridgehead_appservice::store::Row, at| {
                row.text(at).unwrap_or_default().to_owned()
            };
            after = (text(last, 0), text(last, 1));
            for row in &rows {
                if let Ok(user) = UserId::parse(&text(row, 0)) {
                    masks
                        .entry(user)
                        .or_default()
                        .push(Mask::parse(&text(row, 1)));
                }
            }
        }
        Ok(Self {
            store,
            network: network.to_owned(),
            masks,
        })
    }

    /// Whether a person wants to hear nothing of somebody alone.
    pub(crate) fn ignores(&self, person: &UserId, who: &Source, mapping: CaseMapping) -> bool {
        let masks = self.masks.get(person).into_iter().flatten();
        masks.into_iter().any(|mask| mask.matches(who, mapping))
    }

    /// Whom somebody ignores.
    pub(crate) fn of(&self, person: &UserId) -> impl Iterator<Item = &Mask> {
        self.masks.get(person).into_iter().flatten()
    }

    /// Somebody wants to hear nothing of these any more; gives back the whole mask.
    pub(crate) async fn ignore(
        &mut self,
        person: &UserId,
        text: &str,
    ) -> Result<Mask, IgnoreError> {
        let mask = Mask::parse(text);
        if mask.is_everybody() {
            return Err(IgnoreError::Everybody(text.to_owned()));
        }
        if text.len() > MAX_BYTES {
            return Err(IgnoreError::Long);
        }
        let known = self.masks.get(person).map_or(0, Vec::len);
        if self.of(person).any(|other| *other == mask) {
            return Ok(mask);
        }
        if known >= MAX_MASKS {
            return Err(IgnoreError::Full);
        }
        let sql = "INSERT OR IGNORE INTO ignored (network, user_id, mask) VALUES (?1, ?2, ?3)";
        let written = mask.to_string();
        let values = [(&self.network).into(), person.into(), written.into()];
        self.store.execute(sql, values).await?;
        self.masks
            .entry(person.clone())
            .or_default()
            .push(mask.clone());
        Ok(mask)
    }

    /// Somebody wants to hear them again; whether that mask was there.
    pub(crate) async fn unignore(
        &mut self,
        person: &UserId,
        text: &str,
    ) -> Result<bool, StoreError> {
        let mask = Mask::parse(text);
        let sql = "DELETE FROM ignored WHERE network = ?1 AND user_id = ?2 AND mask = ?3";
        let written = mask.to_string();
        let values = [(&self.network).into(), person.into(), written.into()];
        let was_there = self.store.execute(sql, values).await? > 0;
        if let Some(masks) = self.masks.get_mut(person) {
            masks.retain(|other| *other != mask);
            if masks.is_empty() {
                self.masks.remove(person);
            }
        }
        Ok(was_there)
    }
}
