//! The sockets of a running program: the homeserver's way in, and an address of its own for those who watch.

use std::{sync::Arc, time::Duration};

use axum::Router;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use super::{Failure, Result, current::Kits, pages};
use crate::{
    Listen, ListenAddress, Listening, Running, Websocket, WebsocketLink,
    config::{HealthConfig, ListenConfig, ServiceConfig},
};

/// How long a page that is being read may take when the service ends.
const GRACE: Duration = Duration::from_secs(2);

/// What is open.
pub(super) struct Serving {
    way: Way,
    watchers: Option<Watchers>,
}

/// How transactions come.
enum Way {
    Listening(Listening),
    Websocket(WebsocketLink),
}

/// The page of figures at an address of its own.
struct Watchers {
    serving: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

impl Serving {
    /// Opens what the configuration names.
    pub(super) async fn open(
        running: &Running,
        keys: &ServiceConfig,
        kits: &Arc<dyn Kits>,
    ) -> Result<Self> {
        let watchers = match &keys.metrics.address {
            Some(address) => Some(Watchers::open(address, pages::alone(running, kits)).await?),
            None => None,
        };
        let way = if keys.listen.websocket {
            warn_of_lost_pages(keys);
            let address = keys.homeserver.address.as_str();
            Way::Websocket(running.open_websocket(Websocket::default().to(address))?)
        } else {
            let listening = running.listen(listen(&keys.listen)).await;
            let told = |error| Failure::tried(format!("listen.address: {error}"));
            Way::Listening(listening.map_err(told)?)
        };
        Ok(Self { way, watchers })
    }

    /// Uses the certificate's files as they are now.
    pub(super) async fn renew_certificate(&self) {
        if let Way::Listening(listening) = &self.way
            && let Err(error) = listening.renew_certificate().await
        {
            tracing::error!(%error, "the certificate from before is used on");
        }
    }

    /// Takes no more, and lets requests under way end.
    pub(super) async fn stop(self) {
        match self.way {
            Way::Listening(listening) => listening.stop().await,
            Way::Websocket(link) => link.stop().await,
        }
        if let Some(watchers) = self.watchers {
            watchers.stop().await;
        }
    }
}

/// Without a port of the service's own, the pages are only at `metrics.address`.
fn warn_of_lost_pages(keys: &ServiceConfig) {
    if keys.metrics.address.is_some() {
        return;
    }
    if keys.health != HealthConfig::default() {
        tracing::warn!(
            "health: with listen.websocket nothing listens, and these pages are nowhere: set metrics.address, they are \
             there too"
        );
    }
    if !keys.metrics.token.is_empty() {
        tracing::warn!(
            "metrics.token: with listen.websocket nothing listens, and the page is nowhere: set metrics.address"
        );
    }
}

fn listen(keys: &ListenConfig) -> Listen {
    let listen = Listen::default().and(keys.address.clone());
    match keys.tls() {
        Some((certificate, key)) => listen.tls(certificate.as_ref(), key.as_ref()),
        None => listen,
    }
}

impl Watchers {
    async fn open(address: &ListenAddress, page: Router) -> Result<Self> {
        let ListenAddress::Tcp(address) = address else {
            return Err(Failure::Setup(
                "metrics.address: write an address and a port; Prometheus does not read unix sockets".to_owned(),
            ));
        };
        let failed = |error: std::io::Error| {
            Failure::tried(format!(
                "metrics.address: cannot listen at {address}: {error}"
            ))
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        tracing::info!(%address, "figures are told");
        let stop = watch::Sender::new(false);
        let mut stopping = stop.subscribe();
        let serve = axum::serve(listener, page).with_graceful_shutdown(async move {
            stopping.wait_for(|stop| *stop).await.ok();
        });
        let serving = tokio::spawn(async move {
            if let Err(error) = serve.await {
                tracing::error!(%error, "figures are not told any more");
            }
        });
        Ok(Self { serving, stop })
    }

    async fn stop(mut self) {
        self.stop.send_replace(true);
        if tokio::time::timeout(GRACE, &mut self.serving)
            .await
            .is_err()
        {
            self.serving.abort();
        }
    }
}
