//! Networks that the configuration has no more: their rooms are taken apart, and what was kept of them is forgotten. Who is
//! who there is kept (`people`): whoever was banned by their user name or address is the same one when the network comes
//! back.

use std::collections::{BTreeMap, BTreeSet};

use bridgehead_appservice::{
    Handle as Service, HandlerError,
    store::{Store, StoreError},
};

use crate::Irc;

/// Under this name it is remembered which networks there were.
const KEY: &str = "networks";
/// A table of the bridge's with what is kept of networks.
struct Table {
    /// Of which networks there is something.
    networks: &'static str,
    delete: &'static str,
}

macro_rules! tables {
    ($($name:literal),*) => {
        [$(Table {
            networks: concat!("SELECT DISTINCT network FROM ", $name),
            delete: concat!("DELETE FROM ", $name, " WHERE network = ?1"),
        }),*]
    };
}

const TABLES: [Table; 8] = tables![
    "accounts",
    "away",
    "channel_keys",
    "channel_masks",
    "ignored",
    "seen_as",
    "talks",
    "talks_known"
];
/// What is remembered of a network under a name.
const REMEMBERED: [&str; 2] = ["heard", "threads"];

/// Takes apart whatever there is of networks that the configuration does not name; says what that is.
pub(crate) async fn forget_others(service: &Service) -> Result<Vec<String>, HandlerError> {
    let portals = service.portals::<Irc>()?;
    let settings = portals.network().networks().settings();
    let is_gone = |name: &String| !settings.networks.contains_key(name);
    let store = service.store()?;
    let mut gone: BTreeMap<String, usize> = BTreeMap::new();
    for place in portals.remote().rooms().await? {
        if !is_gone(&place.network) {
            continue;
        }
        let reason = format!("{} is not bridged any more", place.network);
        if let Some(portal) = portals.of(&place).await? {
            portals.unbridge(&portal, Some(&reason)).await?;
            *gone.entry(place.network).or_default() += 1;
        }
    }
    for name in known(&store).await?.into_iter().filter(is_gone) {
        forget(&store, &name).await?;
        gone.entry(name).or_default();
    }
    let names: Vec<&String> = settings.networks.keys().collect();
    store.put(KEY, &names).await?;
    let told = gone.into_iter().map(|(name, rooms)| {
        format!(
            "{name} is not bridged any more: its connections have quit, its rooms ({rooms}) are told and left, and \
             logins, keys and talks are forgotten"
        )
    });
    Ok(told.collect())
}

/// Networks of which something is kept.
async fn known(store: &Store) -> Result<BTreeSet<String>, StoreError> {
    let before: Option<Vec<String>> = store.get(KEY).await?;
    let mut known: BTreeSet<String> = before.into_iter().flatten().collect();
    for table in TABLES {
        for row in store.query(table.networks, []).await? {
            known.extend(row.text(0).map(str::to_owned));
        }
    }
    Ok(known)
}

async fn forget(store: &Store, network: &str) -> Result<(), StoreError> {
    for table in TABLES {
        store.execute(table.delete, [network.into()]).await?;
    }
    for what in REMEMBERED {
        store.forget(&format!("{what}/{network}")).await?;
    }
    Ok(())
}
