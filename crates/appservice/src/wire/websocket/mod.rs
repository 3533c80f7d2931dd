//! Transactions through a websocket that the service opens: for services that the homeserver cannot reach.
//!
//! The protocol is `fi.mau.as_sync`, spoken by our homeserver and by proxies before others. A transaction is
//! acknowledged when it is on disk, by the same way in as over HTTP; what was not acknowledged when a connection broke
//! is sent again over the next one. The homeserver's questions come through the same connection and are answered by the
//! same routes.
//!
//! `connect` opens a connection, `frame` reads and writes what goes over it, `session` lives with one until it ends.

mod connect;
mod frame;
mod session;

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinHandle};

use self::{
    connect::{Connector, Unopened},
    session::{End, Session},
};
use crate::{
    backoff::Backoff,
    core::Core,
    metrics::{Metrics, catalogue::WEBSOCKET_CONNECTED},
    run::{Running, StartError},
};

/// A connection that has lived for this long was a good one: the next failure is a first one again.
const GOOD_AFTER: Duration = Duration::from_secs(60);

/// How a service connects to its homeserver, for [`Running::open_websocket`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Websocket {
    /// The address to connect to; `None` is the homeserver's. `http`, `https`, `ws` and `wss` are all good.
    pub address: Option<String>,
    /// Certificates, in PEM, of issuers that are trusted beside those that the machine trusts.
    pub trusted: Option<Vec<u8>>,
    /// The homeserver is asked for a sign of life after this time, and given as long to answer.
    pub ping_every: Duration,
    /// The wait after the first failure; it doubles each time.
    pub first_wait: Duration,
    /// The longest wait between attempts.
    pub max_wait: Duration,
}

impl Default for Websocket {
    fn default() -> Self {
        Self {
            address: None,
            trusted: None,
            ping_every: Duration::from_secs(30),
            first_wait: Duration::from_secs(1),
            max_wait: Duration::from_secs(60),
        }
    }
}

impl Websocket {
    /// To this address instead of the homeserver's.
    #[must_use]
    pub fn to(mut self, address: &str) -> Self {
        self.address = Some(address.to_owned());
        self
    }

    /// Trusts the issuers of these certificates, in PEM, as well.
    #[must_use]
    pub fn trust(mut self, certificates: impl Into<Vec<u8>>) -> Self {
        self.trusted = Some(certificates.into());
        self
    }

    /// The first and the longest wait between attempts.
    #[must_use]
    pub fn waits(mut self, first: Duration, longest: Duration) -> Self {
        (self.first_wait, self.max_wait) = (first, longest);
        self
    }
}

/// How it stands with a service's websocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WebsocketState {
    /// It is not open, and is being opened, now or after a wait.
    Connecting,
    /// It is open.
    Connected,
    /// Another process of the same service has connected: this one does not come back, for the two would drive each
    /// other away for ever.
    Replaced,
    /// It was ended from here.
    Stopped,
}

/// A service's websocket, opened again and again until it is stopped. Dropping it closes it at once.
#[derive(Debug)]
pub struct WebsocketLink {
    state: watch::Receiver<WebsocketState>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl WebsocketLink {
    /// How it stands now.
    #[must_use]
    pub fn state(&self) -> WebsocketState {
        *self.state.borrow()
    }

    /// Returns when it is open, or will never be again; with how it stands then.
    pub async fn connected(&self) -> WebsocketState {
        self.until(|state| state != WebsocketState::Connecting)
            .await
    }

    /// Returns when it will not be open again: it was [replaced](WebsocketState::Replaced) or stopped.
    pub async fn ended(&self) -> WebsocketState {
        self.until(|state| matches!(state, WebsocketState::Replaced | WebsocketState::Stopped))
            .await
    }

    async fn until(&self, holds: impl Fn(WebsocketState) -> bool) -> WebsocketState {
        let mut state = self.state.clone();
        let reached = state.wait_for(|state| holds(*state)).await;
        reached.map_or(WebsocketState::Stopped, |state| *state)
    }

    /// Closes it: a transaction that is being taken is acknowledged first.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        (&mut self.task).await.ok();
    }
}

impl Drop for WebsocketLink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Running {
    /// Fetches transactions through a websocket, for a service whose registration has the url `websocket`, or none that
    /// leads to it. It is opened again whenever it breaks, after waits that grow.
    ///
    /// # Errors
    /// When the address or the certificates are none.
    pub fn open_websocket(&self, websocket: Websocket) -> Result<WebsocketLink, StartError> {
        let core = self.core().clone();
        let connector = Connector::new(&core, &websocket).map_err(StartError::Setup)?;
        let (told, state) = watch::channel(WebsocketState::Connecting);
        let stop = watch::Sender::new(false);
        let keeper = Keeper {
            core,
            router: self.router(),
            connector,
            settings: websocket,
            told,
            stop: stop.subscribe(),
        };
        show(&keeper.core.metrics, &state);
        let task = tokio::spawn(keeper.run());
        Ok(WebsocketLink { state, stop, task })
    }
}

/// Has the figures say whether it is open.
fn show(metrics: &Metrics, state: &watch::Receiver<WebsocketState>) {
    let state = state.clone();
    metrics.on_look(move |metrics| {
        // Nobody is there to say that it has gone, when it was dropped.
        let is_kept = state.has_changed().is_ok();
        let is_open = is_kept && *state.borrow() == WebsocketState::Connected;
        metrics.set(&WEBSOCKET_CONNECTED, &[], f64::from(u8::from(is_open)));
    });
}

/// Keeps a websocket open.
struct Keeper {
    core: Arc<Core>,
    router: axum::Router,
    connector: Connector,
    settings: Websocket,
    told: watch::Sender<WebsocketState>,
    stop: watch::Receiver<bool>,
}

impl Keeper {
    async fn run(mut self) {
        self.tell(WebsocketState::Connecting);
        let mut backoff = Backoff::new(self.settings.first_wait, self.settings.max_wait);
        let end = loop {
            let started = tokio::time::Instant::now();
            if let Some(end) = self.once().await {
                break end;
            }
            self.tell(WebsocketState::Connecting);
            if started.elapsed() >= GOOD_AFTER {
                backoff.reset();
            }
            let mut random = [0; 8];
            self.core.surroundings.randomness.fill(&mut random);
            let wait = backoff.fail(u64::from_le_bytes(random));
            tracing::info!(service = %self.core.name, ?wait, "the websocket will be opened again");
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stopped(&mut self.stop) => break WebsocketState::Stopped,
                () = self.core.stopping() => break WebsocketState::Stopped,
            }
        };
        self.tell(end);
    }

    fn tell(&self, state: WebsocketState) {
        self.told.send_replace(state);
    }

    /// One connection from its opening to its end; what it stands at when there shall be no other.
    async fn once(&mut self) -> Option<WebsocketState> {
        let opened = tokio::select! {
            opened = self.connector.open() => opened,
            () = stopped(&mut self.stop) => return Some(WebsocketState::Stopped),
            () = self.core.stopping() => return Some(WebsocketState::Stopped),
        };
        let socket = match opened {
            Ok(socket) => socket,
            Err(Unopened::Refused(why)) => {
                tracing::error!(service = %self.core.name, why, "the homeserver refuses the websocket");
                return None;
            }
            Err(Unopened::Unreachable(why)) => {
                tracing::warn!(service = %self.core.name, why, "the websocket cannot be opened");
                return None;
            }
        };
        tracing::info!(service = %self.core.name, "the websocket is open");
        self.tell(WebsocketState::Connected);
        let mut session = Session::new(&self.core, &self.router, self.settings.ping_every);
        match session.run(socket, &mut self.stop).await {
            End::Replaced => {
                tracing::error!(
                    service = %self.core.name,
                    "another process of this service has connected to the homeserver: this one gets no transactions any more"
                );
                Some(WebsocketState::Replaced)
            }
            End::Stopped => Some(WebsocketState::Stopped),
            End::Broken(why) => {
                tracing::warn!(service = %self.core.name, why, "the websocket has ended");
                None
            }
        }
    }
}

/// Returns when the websocket is to be closed; also when nobody is there any more to say so.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    stop.wait_for(|stop| *stop).await.ok();
}
