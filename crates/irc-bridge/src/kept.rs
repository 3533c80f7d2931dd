//! What is remembered of channels and people beyond a restart: masks that keep somebody out, and what others see of
//! people of Matrix.

use std::collections::BTreeMap;

use bridgehead_appservice::{
    id::UserId,
    store::{Migration, Store, StoreError},
};
use bridgehead_irc_protocol::Source;

/// The tables.
pub(crate) const KEPT: Migration = Migration {
    name: "kept",
    sql: "CREATE TABLE channel_masks (
        network TEXT NOT NULL,
        channel TEXT NOT NULL,
        nick TEXT NOT NULL,
        mask TEXT NOT NULL,
        PRIMARY KEY (network, channel, nick)
    );
    CREATE TABLE seen_as (
        network TEXT NOT NULL,
        user_id TEXT NOT NULL,
        source TEXT NOT NULL,
        account TEXT,
        PRIMARY KEY (network, user_id)
    );",
};

/// What others see of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Nick, user and host.
    pub(crate) source: Source,
    /// The account that they are logged in to.
    pub(crate) account: Option<String>,
}

/// Masks by folded channel and folded nick.
pub(crate) type Masks = BTreeMap<(String, String), String>;

/// What is kept of one network.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) masks: Masks,
    pub(crate) seen: BTreeMap<UserId, Seen>,
}

impl Kept {
    /// All of it.
    pub(crate) async fn load(store: &Store, network: &str) -> Result<Self, StoreError> {
        let mut kept = Self::default();
        let sql = "SELECT channel, nick, mask FROM channel_masks WHERE network = ?1";
        for row in store.query(sql, [network.into()]).await? {
            if let (Some(channel), Some(nick), Some(mask)) = (row.text(0), row.text(1), row.text(2))
            {
                let key = (channel.to_owned(), nick.to_owned());
                kept.masks.insert(key, mask.to_owned());
            }
        }
        let sql = "SELECT user_id, source, account FROM seen_as WHERE network = ?1";
        for row in store.query(sql, [network.into()]).await? {
            let person = row.text(0).and_then(|id| UserId::parse(id).ok());
            if let (Some(person), Some(source)) = (person, row.text(1)) {
                let seen = Seen {
                    source: Source::parse(source),
                    account: row.text(2).map(str::to_owned),
                };
                kept.seen.insert(person, seen);
            }
        }
        Ok(kept)
    }
}

/// Keeps the mask that keeps somebody out of a channel, or forgets it.
pub(crate) async fn keep_mask(
    store: &Store,
    (network, channel, nick): (&str, &str, &str),
    mask: Option<&str>,
) -> Result<(), StoreError> {
    match mask {
        Some(mask) => {
            let sql = "INSERT INTO channel_masks VALUES (?1, ?2, ?3, ?4)
                ON CONFLICT (network, channel, nick) DO UPDATE SET mask = excluded.mask";
            let values = [network.into(), channel.into(), nick.into(), mask.into()];
            store.execute(sql, values).await?;
        }
        None => {
            let sql = "DELETE FROM channel_masks WHERE network = ?1 AND channel = ?2 AND nick = ?3";
            let values = [network.into(), channel.into(), nick.into()];
            store.execute(sql, values).await?;
        }
    }
    Ok(())
}

/// Keeps what others see of a person.
pub(crate) async fn keep_seen(
    store: &Store,
    (network, person): (&str, &UserId),
    seen: &Seen,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO seen_as VALUES (?1, ?2, ?3, ?4) ON CONFLICT (network, user_id)
        DO UPDATE SET source = excluded.source, account = excluded.account";
    let source = seen.source.to_string();
    let account = seen.account.as_deref();
    let values = [network.into(), person.into(), source.into(), account.into()];
    store.execute(sql, values).await?;
    Ok(())
}
