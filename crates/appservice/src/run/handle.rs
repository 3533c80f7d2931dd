//! A way into a running service for what runs beside its handlers: the author's routes, connections, timers.

use std::{
    fmt,
    sync::{Arc, Weak},
};

use axum::{extract::FromRequestParts, http::StatusCode, http::request::Parts};
use tokio::sync::watch;

use crate::{
    Bot, Error, Ghosts, Room,
    bridge::{Network, Permissions, PolicyReport, Portals, backfill::Backfills, puppets::Puppets},
    core::Core,
    handler::{Context, FromContext, Rejection},
    id::RoomId,
    media::MediaRepo,
    metrics::Metrics,
    outbox::GivenUp,
    store::Store,
};

/// A running service, held by what runs beside it and does not keep it alive: a task that a handler of
/// [`Service::on_start`](crate::Service::on_start) spawns, a connection to another network. Clones are the same one.
///
/// A handler takes it as an argument; so does a handler of [`Service::routes`](crate::Service::routes), which can also
/// take [`Bot`], [`Ghosts`] and [`Store`].
#[derive(Clone)]
pub struct Handle {
    core: Weak<Core>,
    stop: watch::Receiver<bool>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("is_stopping", &*self.stop.borrow())
            .finish_non_exhaustive()
    }
}

impl Handle {
    pub(crate) fn new(core: &Arc<Core>) -> Self {
        Self {
            core: Arc::downgrade(core),
            stop: core.stop.subscribe(),
        }
    }

    pub(super) fn core(&self) -> Result<Arc<Core>, Error> {
        let core = self.core.upgrade().ok_or(Error::Stopping)?;
        if *self.stop.borrow() {
            return Err(Error::Stopping);
        }
        Ok(core)
    }

    /// The service's own user.
    ///
    /// Take it anew for each thing to be done: while it is held, the service's database stays open.
    ///
    /// # Errors
    /// [`Error::Stopping`], when the service has ended.
    pub fn bot(&self) -> Result<Bot, Error> {
        Ok(Bot::outside(self.core()?))
    }

    /// The service's ghosts; as [`bot`](Self::bot).
    ///
    /// # Errors
    /// [`Error::Stopping`], when the service has ended.
    pub fn ghosts(&self) -> Result<Ghosts, Error> {
        Ok(Ghosts::new(self.core()?, None))
    }

    /// The people for whom the service acts; as [`bot`](Self::bot).
    ///
    /// # Errors
    /// [`Error::Stopping`], when the service has ended.
    pub fn puppets(&self) -> Result<Puppets, Error> {
        Ok(Puppets::new(self.core()?, None))
    }

    /// Who may use the service, from now on, in the place of what [`Service::permissions`](crate::Service::permissions)
    /// said.
    ///
    /// # Errors
    /// [`Error::Stopping`], when the service has ended.
    pub fn set_permissions(&self, permissions: Permissions) -> Result<(), Error> {
        *self.core()?.permissions.write() = permissions;
        Ok(())
    }

    /// A room, to ask about it; as [`bot`](Self::bot).
    ///
    /// # Errors
    /// [`Error::Stopping`], when the service has ended.
    pub fn room(&self, id: &RoomId) -> Result<Room, Error> {
        Ok(Room::new(self.core()?, id.clone(), None))
    }

    /// The homeserver's media. It may be kept.
    ///
    /// # Errors
    /// [`Error::Stopping`], when the service has ended.
    pub fn media(&self) -> Result<MediaRepo, Error> {
        Ok(MediaRepo::new(&self.core()?))
    }

    /// Histories of rooms; as [`bot`](Self::bot). One that is being brought ends with the service.
    ///
    /// # Errors
    /// [`Error::Stopping`], when the service has ended.
    pub fn backfills(&self) -> Result<Backfills, Error> {
        Ok(Backfills::new(self.core()?))
    }

    /// The portals of the bridge to this network; as [`bot`](Self::bot).
    ///
    /// # Errors
    /// [`Error::Stopping`], when the service has ended; [`Error::Unsupported`], when it has no such bridge.
    pub fn portals<N: Network>(&self) -> Result<Portals<N>, Error> {
        let core = self.core()?;
        let live = core.bridges.get::<N>().ok_or_else(|| {
            Error::Unsupported(format!("the service has no bridge to {}", N::TITLE))
        })?;
        Ok(Portals::outside(live, core))
    }

    /// How the ban lists stand that the service follows ([`Service::policy_rooms`](crate::Service::policy_rooms)).
    ///
    /// # Errors
    /// [`Error::Stopping`], when the service has ended.
    pub fn policies(&self) -> Result<PolicyReport, Error> {
        Ok(self.core()?.policies.report())
    }

    /// The service's database; as [`bot`](Self::bot).
    ///
    /// # Errors
    /// [`Error::Stopping`], when the service has ended.
    pub fn store(&self) -> Result<Store, Error> {
        Ok(self.core()?.store.clone())
    }

    /// The service's instruments, for counters of the author's own: kept, they count for as long as one likes.
    ///
    /// # Errors
    /// [`Error::Stopping`], when the service has ended.
    pub fn metrics(&self) -> Result<Metrics, Error> {
        Ok(self.core()?.metrics.clone())
    }

    /// Sends that were given up, with numbers above `after`, oldest first, at most `limit`: for a service that tells its
    /// people of them.
    ///
    /// # Errors
    /// [`Error::Stopping`], when the service has ended; when the database cannot be used.
    pub async fn given_up(&self, after: i64, limit: usize) -> Result<Vec<GivenUp>, Error> {
        Ok(self.core()?.outbox.given_up(after, limit).await?)
    }

    /// Sends again what was given up under this number, behind what waits in its room; `false` when there is nothing.
    ///
    /// # Errors
    /// As [`given_up`](Self::given_up).
    pub async fn send_again(&self, number: i64) -> Result<bool, Error> {
        Ok(self.core()?.outbox.send_again(number).await?)
    }

    /// Forgets the send that was given up under this number; `false` when there is nothing.
    ///
    /// # Errors
    /// As [`given_up`](Self::given_up).
    pub async fn drop_given_up(&self, number: i64) -> Result<bool, Error> {
        Ok(self.core()?.outbox.drop_given_up(number).await?)
    }

    /// Returns when the service ends: the time for what runs beside it to end too.
    pub async fn stopped(&self) {
        let mut stop = self.stop.clone();
        // A service that is gone without a word has ended as well.
        stop.wait_for(|stop| *stop).await.ok();
    }
}

impl FromContext for Handle {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        Ok(Self::new(&context.core))
    }
}

/// What a route answers that cannot have what it takes.
type Refusal = (StatusCode, &'static str);

const GONE: Refusal = (
    StatusCode::SERVICE_UNAVAILABLE,
    "the service is being ended",
);

impl<S: Send + Sync> FromRequestParts<S> for Handle {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        // Only a router that was given to no service has none.
        parts.extensions.get::<Self>().cloned().ok_or((
            StatusCode::INTERNAL_SERVER_ERROR,
            "this route is no service's: give the router to `Service::routes`",
        ))
    }
}

macro_rules! in_routes {
    ($($part:ty => $method:ident),* $(,)?) => {$(
        impl<S: Send + Sync> FromRequestParts<S> for $part {
            type Rejection = Refusal;

            async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
                let handle = Handle::from_request_parts(parts, state).await?;
                handle.$method().map_err(|_| GONE)
            }
        }
    )*};
}

in_routes! {
    Bot => bot,
    Ghosts => ghosts,
    Store => store,
}
