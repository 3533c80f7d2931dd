//! Services made with the kit, in a lab.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use bridgehead_appservice::{
    Database, Running, Service, Setup, StartError,
    store::StoreError,
    surroundings::{Randomness as _, SeededRandomness},
};
use bridgehead_registration::Registration;
use bytes::Bytes;
use futures_util::{FutureExt as _, future::BoxFuture};
use http::{Request, Response};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::{
    Lab,
    mount::{Mounted, MountedService, read},
};

/// How long the parts of a crashed life may take to see that it is over.
const LAST_BREATH: Duration = Duration::from_secs(600);
/// How often they are looked at.
const LOOK: Duration = Duration::from_millis(5);

/// A registration for a service, for homeservers that have to know it from their start; see
/// [`super::LabOptions::registration`]. The tokens are the same for the same seed.
///
/// # Errors
/// The declaration's mistakes.
pub fn registration_for(
    service: &Service,
    url: &str,
    server_name: &str,
    seed: u64,
) -> anyhow::Result<String> {
    let draft = service.registration(Some(url), server_name)?;
    let chances = SeededRandomness::new(seed);
    let generated = draft
        .generate(|bytes| chances.fill(bytes))
        .map_err(|errors| {
            let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
            anyhow::anyhow!("no registration can be made: {}", errors.join("; "))
        })?;
    Ok(generated.text.expose().to_owned())
}

/// A service made with the kit, from [`Lab::mount`]. Clones are the same one. Its lives share one
/// database.
#[derive(Clone)]
pub struct LabService(Arc<Inner>);

struct Inner {
    place: Mounted,
    service: Mutex<Service>,
    registration: Registration,
    server_name: String,
    database: PathBuf,
    running: Mutex<Option<Arc<Running>>>,
}

/// What the host reaches.
struct Reached(Arc<Running>);

impl MountedService for Reached {
    fn call(&self, request: Request<Bytes>) -> BoxFuture<'_, Response<Bytes>> {
        self.0.call(request).boxed()
    }

    fn is_settled(&self) -> bool {
        self.0.is_settled()
    }
}

impl std::ops::Deref for LabService {
    type Target = Mounted;

    fn deref(&self) -> &Mounted {
        &self.0.place
    }
}

impl LabService {
    pub(super) async fn mount(lab: &Lab, service: Service) -> anyhow::Result<Self> {
        let number = lab.0.seam.seats().len();
        let made = service.registration(None, lab.server_name())?;
        let text = match lab.0.registrations.get(&made.id) {
            Some(given) => given.clone(),
            None => {
                anyhow::ensure!(
                    lab.0.host.is_ours(),
                    "another homeserver must know `{}` from its start: give its registration to \
                     LabOptions::registration",
                    made.id
                );
                let url = format!("http://service-{number}.lab");
                let seed = lab.seed().wrapping_add(number as u64);
                registration_for(&service, &url, lab.server_name(), seed)?
            }
        };
        let mounted = Self(Arc::new(Inner {
            registration: read(&text)?,
            place: lab.place(&text).await?,
            service: Mutex::new(service),
            server_name: lab.server_name().to_owned(),
            database: lab.0.folder.path().join(format!("service-{number}.db")),
            running: Mutex::default(),
        }));
        mounted.start().await?;
        Ok(mounted)
    }

    /// The service of this life.
    ///
    /// # Panics
    /// When none runs.
    pub fn running(&self) -> Arc<Running> {
        let running = self.0.running.lock().clone();
        running.unwrap_or_else(|| panic!("the service `{}` does not run", self.id()))
    }

    /// Declares the service anew, as a program does that is started with another configuration: for the lives from the
    /// next [`LabService::start`] on. The registration stays as it is.
    pub fn declare(&self, service: Service) {
        *self.0.service.lock() = service;
    }

    /// Starts the service on its database, after [`LabService::crash`] or [`LabService::stop`].
    ///
    /// # Errors
    /// When it runs, or does not start.
    pub async fn start(&self) -> anyhow::Result<()> {
        let inner = &self.0;
        anyhow::ensure!(
            inner.running.lock().is_none(),
            "the service `{}` runs already",
            self.id()
        );
        let deadline = Instant::now() + LAST_BREATH;
        let running = loop {
            let setup = Setup {
                registration: inner.registration.clone(),
                server_name: inner.server_name.clone(),
                homeserver: String::new(),
                database: Database::File(inner.database.clone()),
                surroundings: self.surroundings(),
            };
            let service = inner.service.lock().clone();
            match service.start(setup).await {
                // Handlers of the life before may still be at it; a new process would not meet
                // them, and this life must not.
                Err(StartError::Store(StoreError::InUse(_))) if Instant::now() < deadline => {
                    sleep(LOOK).await;
                }
                started => break Arc::new(started?),
            }
        };
        *inner.running.lock() = Some(running.clone());
        inner.place.serve(Arc::new(Reached(running))).await
    }

    /// Ends the service as a crash would: the host cannot connect any more, what it was at is lost,
    /// and its database is as it is. Handlers that run cannot be stopped where they are, but
    /// whatever they ask the host for fails.
    pub fn crash(&self) {
        self.take_down();
        self.0.running.lock().take();
    }

    /// Ends the service in order, and with it the way to it.
    ///
    /// # Errors
    /// When it does not run, or somebody holds [`LabService::running`].
    pub async fn stop(&self) -> anyhow::Result<()> {
        let running = self.0.running.lock().take();
        let running = running.context("the service does not run")?;
        self.0.place.refuse();
        // What the host is being answered is answered.
        let deadline = Instant::now() + LAST_BREATH;
        let mut running = running;
        let running = loop {
            running = match Arc::try_unwrap(running) {
                Ok(running) => break running,
                Err(held) => held,
            };
            anyhow::ensure!(
                Instant::now() < deadline,
                "somebody holds the running service"
            );
            sleep(LOOK).await;
        };
        running.stop().await;
        self.take_down();
        Ok(())
    }
}
