//! The networks that there are, and the settings that count now. Both change when the configuration is read again
//! ([`mod@crate::reload`]): whoever has something for a network asks here for it, each time.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use bridgehead_appservice::{HandlerError, bridge::Remote};
use parking_lot::RwLock;
use tokio::{
    sync::{Mutex as AsyncMutex, watch},
    task::JoinSet,
};

use crate::{
    Irc, Settings,
    ident::Ident,
    link::dial::Way,
    network::{self, Beginning, Handle, Waiting},
    seal::Seal,
    settings::NetworkSettings,
};

/// All networks. Clones are the same ones.
#[derive(Clone)]
pub(crate) struct Networks {
    now: Arc<RwLock<Now>>,
    /// Told when there are others.
    changed: watch::Sender<()>,
    way: Way,
    pub(crate) ident: Ident,
    /// Links are made by what the service was declared with.
    has_links: bool,
    /// The keeper's socket, where there is one; another one counts after a restart.
    keeper: Option<Arc<Path>>,
    /// Held by who changes them, one after another.
    pub(crate) alone: Arc<AsyncMutex<()>>,
}

struct Now {
    settings: Arc<Settings>,
    networks: BTreeMap<String, Entry>,
}

struct Entry {
    handle: Handle,
    /// What runs it.
    waiting: Waiting,
}

impl Networks {
    /// Those of this configuration.
    pub(crate) fn new(settings: &Settings, way: &Way) -> Self {
        let networks = Self {
            now: Arc::new(RwLock::new(Now {
                settings: Arc::new(settings.clone()),
                networks: BTreeMap::new(),
            })),
            changed: watch::Sender::new(()),
            way: way.clone(),
            ident: Ident::new(),
            has_links: settings.media.has_links(),
            keeper: settings.keeper.path(),
            alone: Arc::default(),
        };
        for (name, network) in &settings.networks {
            networks.add(name, network);
        }
        networks
    }

    /// The settings that count now.
    pub(crate) fn settings(&self) -> Arc<Settings> {
        self.now.read().settings.clone()
    }

    /// Others count from now on; of the networks' own nobody is told here.
    pub(crate) fn set_settings(&self, settings: Arc<Settings>) {
        self.now.write().settings = settings;
    }

    /// A network, with the settings that it has now.
    pub(crate) fn get(&self, name: &str) -> Option<Handle> {
        let now = self.now.read();
        now.networks.get(name).map(|entry| entry.handle.clone())
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Handle> {
        let now = self.now.read();
        let handles = now.networks.values().map(|entry| entry.handle.clone());
        handles.collect()
    }

    /// One more, which runs from now on.
    pub(crate) fn add(&self, name: &str, settings: &NetworkSettings) {
        let (handle, waiting) = network::network(Beginning {
            name: name.to_owned(),
            settings: Arc::new(settings.clone()),
            ident: self.ident.clone(),
            has_links: self.has_links,
            way: self.way.clone(),
            keeper: self.keeper.clone(),
        });
        let entry = Entry { handle, waiting };
        self.now.write().networks.insert(name.to_owned(), entry);
        self.changed.send_replace(());
    }

    /// A network has other settings; gives it back, to be told.
    pub(crate) fn change(&self, name: &str, settings: &Arc<NetworkSettings>) -> Option<Handle> {
        let mut now = self.now.write();
        let entry = now.networks.get_mut(name)?;
        entry.handle.settings = settings.clone();
        entry.waiting.beginning.settings = settings.clone();
        Some(entry.handle.clone())
    }

    /// Takes one out; gives it back, to be ended.
    pub(crate) fn remove(&self, name: &str) -> Option<Handle> {
        let entry = self.now.write().networks.remove(name)?;
        self.changed.send_replace(());
        Some(entry.handle)
    }

    /// Runs them, those as well that come later. Returns when one of them fails.
    pub(crate) async fn run(
        &self,
        remote: &Remote<Irc>,
        seal: &Arc<Seal>,
    ) -> Result<(), HandlerError> {
        let mut changes = self.changed.subscribe();
        let mut running = JoinSet::new();
        let mut names = BTreeSet::new();
        loop {
            for waiting in self.not_in(&names) {
                let name = waiting.beginning.name.clone();
                names.insert(name.clone());
                let (remote, seal) = (remote.clone(), seal.clone());
                running.spawn(async move { (name, waiting.run(remote, seal).await) });
            }
            tokio::select! {
                Some(ended) = running.join_next() => {
                    let (name, ended) = ended?;
                    ended?;
                    // It was taken out; there may be another of its name by now.
                    names.remove(&name);
                }
                Ok(()) = changes.changed() => {}
            }
        }
    }

    fn not_in(&self, names: &BTreeSet<String>) -> Vec<Waiting> {
        let now = self.now.read();
        let missing = now
            .networks
            .iter()
            .filter(|(name, _)| !names.contains(*name));
        missing.map(|(_, entry)| entry.waiting.clone()).collect()
    }
}
