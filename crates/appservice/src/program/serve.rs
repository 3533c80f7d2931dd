//! The sockets of a running program: the homeserver's way in, and the page of figures where it has an address of its
//! own.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use axum::Router;
use tokio::{
    net::{TcpListener, UnixListener},
    sync::watch,
    task::JoinSet,
};

use super::{Failure, Result, current::Kits, pages};
use crate::{
    Running,
    config::{ListenAddress, ServiceConfig},
};

/// How long requests under way may take when the service ends.
const GRACE: Duration = Duration::from_secs(10);

/// What is open.
pub(super) struct Serving {
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl Serving {
    /// Opens what the configuration names.
    pub(super) async fn open(
        running: &Running,
        keys: &ServiceConfig,
        kits: &Arc<dyn Kits>,
    ) -> Result<Self> {
        let mut serving = Self {
            tasks: JoinSet::new(),
            stop: watch::Sender::new(false),
        };
        serving
            .listen("listen.address", &keys.listen.address, running.router())
            .await?;
        if let Some(address) = &keys.metrics.address {
            let page = pages::figures_alone(running, kits);
            serving.listen("metrics.address", address, page).await?;
        }
        Ok(serving)
    }

    async fn listen(&mut self, key: &str, address: &ListenAddress, router: Router) -> Result<()> {
        let failed = |error: std::io::Error| {
            Failure::tried(format!("{key}: cannot listen at {address}: {error}"))
        };
        let mut stop = self.stop.subscribe();
        let stopping = async move {
            stop.wait_for(|stop| *stop).await.ok();
        };
        match address {
            ListenAddress::Tcp(tcp) => {
                let listener = TcpListener::bind(tcp).await.map_err(failed)?;
                let at: SocketAddr = listener.local_addr().map_err(failed)?;
                tracing::info!(address = %at, "listening");
                let serve = axum::serve(listener, router).with_graceful_shutdown(stopping);
                self.tasks
                    .spawn(async move { serve.await.unwrap_or_default() });
            }
            ListenAddress::Unix(path) => {
                let listener = unix(path).map_err(failed)?;
                tracing::info!(address = %address, "listening");
                let serve = axum::serve(listener, router).with_graceful_shutdown(stopping);
                self.tasks
                    .spawn(async move { serve.await.unwrap_or_default() });
            }
        }
        Ok(())
    }

    /// Takes no more connections, and lets requests under way end.
    pub(super) async fn stop(mut self) {
        self.stop.send_replace(true);
        let all_ended = async { while self.tasks.join_next().await.is_some() {} };
        tokio::time::timeout(GRACE, all_ended).await.ok();
    }
}

fn unix(path: &Path) -> std::io::Result<UnixListener> {
    UnixListener::bind(path)
}
