//! Application services in a lab: what one must be able to do, and where it sits.

use std::{net::SocketAddr, path::Path, sync::Arc};

use anyhow::{Context as _, bail};
use bridgehead_appservice::{
    Secret,
    surroundings::{SeededRandomness, Surroundings, Transport, TransportError},
};
use bridgehead_registration::{AsUrl, Registration};
use bytes::Bytes;
use futures_util::{FutureExt as _, future::BoxFuture};
use http::{Request, Response};
use parking_lot::Mutex;
use tokio::{sync::watch, task::JoinHandle, time::Instant};

use super::{
    clock::LabClock,
    host::{HostPort, of_life},
    listener,
    seam::Seam,
};

/// An application service that takes requests by function call.
pub trait MountedService: Send + Sync + 'static {
    /// One request of the host: a transaction, a query, a ping. Its uri is a path with an optional
    /// query, its headers hold the `hs_token`. Called for several at once; never for two
    /// transactions at once by our host. Dropping the future is the host hanging up.
    fn call(&self, request: Request<Bytes>) -> BoxFuture<'_, Response<Bytes>>;

    /// Whether nothing is under way in it that goes on by itself: nothing received waits to be
    /// handled, nothing waits to be sent or tried again. What is set aside for a person to look at
    /// is not under way.
    fn is_settled(&self) -> bool;
}

/// A service's place in a lab: registered with the host, and reached there while one is served.
/// Clones are the same place.
#[derive(Clone)]
pub struct Mounted {
    pub(super) seat: Arc<Seat>,
    seam: Arc<Seam>,
    port: Arc<HostPort>,
    clock: LabClock,
    seed: u64,
}

/// The place itself.
pub(super) struct Seat {
    pub(super) id: String,
    pub(super) url: String,
    as_token: Secret,
    hs_token: Secret,
    /// Where it listens; only for a host that comes over HTTP.
    listens: Option<SocketAddr>,
    service: Mutex<Option<Arc<dyn MountedService>>>,
    listener: Mutex<Option<JoinHandle<()>>>,
    /// Counts the service's lives: with the end of one its requests and calls break off.
    life: watch::Sender<u64>,
    /// When a transaction has failed here, while none has succeeded since.
    failed: Mutex<Option<Instant>>,
}

impl Seat {
    pub(super) fn new(yaml: &str, ours: bool) -> anyhow::Result<Self> {
        let registration = read(yaml)?;
        let Some(AsUrl::Http(url)) = registration.url else {
            bail!(
                "the registration `{}` has no http url, and so the host would never call it",
                registration.id
            );
        };
        Ok(Self {
            listens: (!ours).then(|| address(&url)).transpose()?,
            id: registration.id,
            url,
            as_token: registration.as_token,
            hs_token: registration.hs_token,
            service: Mutex::default(),
            listener: Mutex::default(),
            life: watch::Sender::new(0),
            failed: Mutex::default(),
        })
    }

    /// A transaction was taken here, or it was not.
    pub(super) fn note_transaction(&self, is_taken: bool) {
        *self.failed.lock() = (!is_taken).then(Instant::now);
    }

    /// When the last transaction has failed here; `None` once one was taken.
    pub(super) fn failed(&self) -> Option<Instant> {
        *self.failed.lock()
    }

    /// The service, while one is served, and the number of its life.
    pub(super) fn service(&self) -> Option<(Arc<dyn MountedService>, u64)> {
        let service = self.service.lock().clone()?;
        Some((service, *self.life.borrow()))
    }

    /// Whether nothing is under way there. A place with nobody in it has nothing.
    pub(super) fn is_settled(&self) -> bool {
        let service = self.service.lock().clone();
        service.is_none_or(|service| service.is_settled())
    }

    pub(super) fn is_up(&self) -> bool {
        self.service.lock().is_some()
    }

    /// Returns when this life is over.
    pub(super) async fn life_ends(&self, life: u64) {
        let mut lives = self.life.subscribe();
        // The sender lives as long as the seat.
        lives.wait_for(|now| *now != life).await.ok();
    }

    fn is_alive(&self, life: u64) -> bool {
        *self.life.borrow() == life
    }
}

/// Reads a registration.
pub(super) fn read(text: &str) -> anyhow::Result<Registration> {
    let parsed = bridgehead_registration::parse(Path::new("registration"), text.as_bytes());
    parsed
        .map(|(registration, _)| registration)
        .map_err(|errors| {
            let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
            anyhow::anyhow!("this is no registration: {}", errors.join("; "))
        })
}

fn address(url: &str) -> anyhow::Result<SocketAddr> {
    let parsed = url::Url::parse(url)?;
    let addresses = parsed.socket_addrs(|| None)?;
    let mut addresses = addresses.into_iter();
    addresses
        .next()
        .with_context(|| format!("`{url}` names no address to listen on"))
}

impl Mounted {
    pub(super) fn new(
        seat: Arc<Seat>,
        (seam, port): (Arc<Seam>, Arc<HostPort>),
        clock: LabClock,
        seed: u64,
    ) -> Self {
        Self {
            seat,
            seam,
            port,
            clock,
            seed,
        }
    }

    /// The registration's `id`.
    pub fn id(&self) -> &str {
        &self.seat.id
    }

    /// What the service shows the host.
    pub fn as_token(&self) -> &Secret {
        &self.seat.as_token
    }

    /// What the host shows the service.
    pub fn hs_token(&self) -> &Secret {
        &self.seat.hs_token
    }

    /// What the next service that is served here takes from outside: the lab's time, chances of
    /// its seed, and the way to the host through the lab's faults. They are for one life: once
    /// [`Mounted::take_down`] ends it, calls fail.
    pub fn surroundings(&self) -> Surroundings {
        let life = *self.seat.life.borrow();
        Surroundings {
            clock: Arc::new(self.clock),
            randomness: Arc::new(SeededRandomness::new(of_life(self.seed, life))),
            transport: Some(Arc::new(self.way(life))),
            inline_store: true,
            ..Surroundings::default()
        }
    }

    /// The way to the host, for a service that is not made with the kit.
    pub fn host(&self) -> Arc<dyn Transport> {
        Arc::new(self.way(*self.seat.life.borrow()))
    }

    fn way(&self, life: u64) -> Way {
        Way {
            seat: self.seat.clone(),
            seam: self.seam.clone(),
            port: self.port.clone(),
            life,
        }
    }

    /// From now on the host reaches this service here.
    ///
    /// # Errors
    /// When it is to be served over HTTP, and nobody can listen at the registration's `url`.
    pub async fn serve(&self, service: Arc<dyn MountedService>) -> anyhow::Result<()> {
        if let Some(address) = self.seat.listens {
            let before = self.seat.listener.lock().take();
            if let Some(before) = before {
                before.abort();
                // The address is free once the task is gone; that it was ended is no news.
                before.await.ok();
            }
            let task = listener::listen(address, self.seam.clone(), self.seat.clone()).await?;
            *self.seat.listener.lock() = Some(task);
        }
        *self.seat.service.lock() = Some(service);
        Ok(())
    }

    /// Ends the service as `kill -9` would, as far as the host can see: connections are refused,
    /// requests under way break off, and calls of this life arrive no more. The service's own
    /// tasks are its maker's to end. Nothing happens when none is served.
    pub fn take_down(&self) {
        self.refuse();
        self.seat.life.send_modify(|life| *life += 1);
    }

    /// The host cannot connect any more; what is under way goes on.
    pub(super) fn refuse(&self) {
        if let Some(listener) = &*self.seat.listener.lock() {
            listener.abort();
        }
        self.seat.service.lock().take();
    }

    /// Whether a service is served here.
    pub fn is_up(&self) -> bool {
        self.seat.is_up()
    }
}

/// One life's way to the host.
struct Way {
    seat: Arc<Seat>,
    seam: Arc<Seam>,
    port: Arc<HostPort>,
    life: u64,
}

impl Transport for Way {
    fn call(
        &self,
        request: Request<Bytes>,
        max_bytes: usize,
    ) -> BoxFuture<'_, Result<Response<Bytes>, TransportError>> {
        async move {
            if !self.seat.is_alive(self.life) {
                let ended = "the service that calls was taken down";
                return Err(TransportError::Unreachable(ended.to_owned()));
            }
            let answer = tokio::select! {
                biased;
                () = self.seat.life_ends(self.life) => {
                    let ended = "the service that called was taken down";
                    Err(TransportError::Broken(ended.to_owned()))
                }
                answer = self.seam.call(&self.seat, &self.port, request) => answer,
            }?;
            if answer.body().len() > max_bytes {
                return Err(TransportError::TooLarge(max_bytes));
            }
            Ok(answer)
        }
        .boxed()
    }
}
