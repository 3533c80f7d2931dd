//! A fixed address whose connections lead to a homeserver that may change, and can be cut.

use std::{net::SocketAddr, sync::Arc};

use parking_lot::Mutex;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// Ended when dropped.
pub(super) struct Relay {
    address: SocketAddr,
    inner: Arc<Mutex<Inner>>,
    _accepting: JoinSet<()>,
}

struct Inner {
    upstream: Option<SocketAddr>,
    connections: JoinSet<()>,
}

impl Relay {
    /// One that leads nowhere yet.
    pub(super) async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let inner = Arc::new(Mutex::new(Inner {
            upstream: None,
            connections: JoinSet::new(),
        }));
        let mut accepting = JoinSet::new();
        let shared = inner.clone();
        accepting.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut inner = shared.lock();
                if let Some(upstream) = inner.upstream {
                    inner.connections.spawn(forward(stream, upstream));
                }
            }
        });
        Ok(Self {
            address,
            inner,
            _accepting: accepting,
        })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where further connections lead.
    pub(super) fn lead_to(&self, url: &str) -> anyhow::Result<()> {
        let upstream = url.trim_start_matches("http://").parse()?;
        self.inner.lock().upstream = Some(upstream);
        Ok(())
    }

    /// Ends all connections in the middle of whatever they carry.
    pub(super) fn cut(&self) {
        self.inner.lock().connections.abort_all();
    }
}

async fn forward(mut here: TcpStream, upstream: SocketAddr) {
    if let Ok(mut there) = TcpStream::connect(upstream).await {
        tokio::io::copy_bidirectional(&mut here, &mut there)
            .await
            .ok();
    }
}
