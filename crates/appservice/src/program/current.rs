//! The author's configuration as it is now, reloads included.

use std::{fmt, ops::Deref, sync::Arc};

use parking_lot::RwLock;

use crate::config::{ServiceConfig, Whole};

/// The configuration of a running program. Handlers take it as [`State<Current<C>>`](crate::State); what they read
/// with [`get`](Self::get) is what the last reload has brought. Keys that only count at the start should be read
/// where the service is declared, and not be listed in [`Config::LIVE`](crate::config::Config::LIVE).
pub struct Current<C>(Arc<RwLock<Arc<Whole<C>>>>);

impl<C> Clone for Current<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C> fmt::Debug for Current<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Current").finish_non_exhaustive()
    }
}

impl<C> Current<C> {
    pub(super) fn new(config: Arc<Whole<C>>) -> Self {
        Self(Arc::new(RwLock::new(config)))
    }

    /// The service's own keys, as they are at this moment.
    #[must_use]
    pub fn get(&self) -> Now<C> {
        Now(self.whole())
    }

    pub(super) fn whole(&self) -> Arc<Whole<C>> {
        self.0.read().clone()
    }

    pub(super) fn set(&self, config: Arc<Whole<C>>) {
        *self.0.write() = config;
    }
}

/// A configuration at one moment; later reloads do not change it.
pub struct Now<C>(Arc<Whole<C>>);

impl<C> Now<C> {
    pub(crate) fn new(config: Arc<Whole<C>>) -> Self {
        Self(config)
    }
}

impl<C> Deref for Now<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.0.own
    }
}

impl<C: fmt::Debug> fmt::Debug for Now<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.own.fmt(f)
    }
}

/// What the kit's own parts read of it.
pub(super) trait Kits: Send + Sync {
    /// The kit's keys at this moment.
    fn read(&self, look: &mut dyn FnMut(&ServiceConfig));
}

impl<C: Send + Sync> Kits for Current<C> {
    fn read(&self, look: &mut dyn FnMut(&ServiceConfig)) {
        look(&self.whole().service);
    }
}
