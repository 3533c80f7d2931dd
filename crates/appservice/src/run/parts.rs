//! A running service's parts, to act with outside of handlers.

use super::Running;
use crate::{
    Capabilities, Error,
    actors::{Ghosts, Room},
    bridge::{Management, Network, Portals, backfill::Backfills, puppets::Puppets},
    id::{RoomId, UserId},
    media::MediaRepo,
    metrics::Metrics,
    store::{Store, StoreError},
};

impl Running {
    /// The service's own user.
    #[must_use]
    pub fn bot_id(&self) -> &UserId {
        &self.core.bot
    }

    /// The service's own user, to act as outside of handlers.
    #[must_use]
    pub fn bot(&self) -> crate::Bot {
        crate::actors::Bot::outside(self.core.clone())
    }

    /// The service's ghosts, to act as outside of handlers.
    #[must_use]
    pub fn ghosts(&self) -> Ghosts {
        Ghosts::new(self.core.clone(), None)
    }

    /// The portals of the bridge to this network, if the service has one.
    #[must_use]
    pub fn portals<N: Network>(&self) -> Option<Portals<N>> {
        let live = self.core.bridges.get::<N>()?;
        Some(Portals::outside(live, self.core.clone()))
    }

    /// People's own rooms with the service's user, to tell them things outside of handlers.
    #[must_use]
    pub fn management(&self) -> Management {
        Management::outside(self.core.clone())
    }

    /// The people for whom the service may act, outside of handlers.
    #[must_use]
    pub fn puppets(&self) -> Puppets {
        Puppets::new(self.core.clone(), None)
    }

    /// The homeserver's media.
    #[must_use]
    pub fn media(&self) -> MediaRepo {
        MediaRepo::new(&self.core)
    }

    /// Histories of rooms.
    #[must_use]
    pub fn backfills(&self) -> Backfills {
        Backfills::new(self.core.clone())
    }

    /// What the homeserver can do, as it said within the last hour.
    ///
    /// # Errors
    /// When it was never heard and does not answer.
    pub async fn capabilities(&self) -> Result<Capabilities, Error> {
        Ok(Capabilities::clone(&*self.core.capabilities().await?))
    }

    /// A room, to ask about it outside of handlers.
    #[must_use]
    pub fn room(&self, id: &RoomId) -> Room {
        Room::new(self.core.clone(), id.clone(), None)
    }

    /// The service's database.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.core.store
    }

    /// The service's instruments, for counters of the author's own. What [`Metrics::render`] shows of the database is
    /// ten seconds old at most; [`figures`](Self::figures) shows what is.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.core.metrics
    }

    /// The page of figures that Prometheus reads, with all of them read anew; its type is
    /// [`CONTENT_TYPE`](crate::metrics::CONTENT_TYPE).
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn figures(&self) -> Result<String, StoreError> {
        self.core.read_figures().await?;
        Ok(self.core.metrics.render())
    }
}
