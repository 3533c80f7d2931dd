//! Where the homeserver reaches the service: TCP with and without TLS, and unix sockets.
//!
//! A connection costs little before it has shown the homeserver's token: there is a bounded number of them, each must
//! say what it wants within some seconds, and no body is read before.

use std::{
    io,
    net::SocketAddr,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use axum_server::{
    Handle,
    accept::{DefaultAcceptor, NoDelayAcceptor},
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use futures_util::FutureExt as _;
use hyper_util::{
    rt::{TokioExecutor, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{sync::Semaphore, task::JoinSet};

use super::{certificate::Certificate, guard::Guard, ping};
use crate::{Error, config::ListenAddress, run::Running};

/// How long requests under way may take when listening ends.
const GRACE: Duration = Duration::from_secs(10);

/// Requests of one HTTP/2 connection at once.
const MAX_STREAMS: u32 = 250;

/// An HTTP/2 connection is asked for a sign of life after this, and given as long to answer.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// Who may connect to a unix socket: its owner and its group.
const SOCKET_MODE: u32 = 0o660;

/// The files of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, with those between it and the root, in PEM.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
}

/// Where and how to listen, for [`Running::listen`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Listen {
    /// The places, all served alike.
    pub addresses: Vec<ListenAddress>,
    /// TLS, at the addresses that are TCP.
    pub tls: Option<TlsFiles>,
    /// How long a request's head may take to come; also a TLS handshake.
    pub head_timeout: Duration,
    /// Connections at the same time, at all addresses together; more are closed at once.
    pub max_connections: usize,
    /// How often the certificate's files are looked at: renewed ones are used from then on, for new connections.
    pub renew_every: Duration,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            tls: None,
            head_timeout: Duration::from_secs(30),
            max_connections: 1024,
            renew_every: Duration::from_secs(3600),
        }
    }
}

impl Listen {
    /// At this address and port; port 0 is any that is free.
    #[must_use]
    pub fn tcp(address: SocketAddr) -> Self {
        Self::default().and(ListenAddress::Tcp(address))
    }

    /// At this unix socket.
    #[must_use]
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self::default().and(ListenAddress::Unix(path.into()))
    }

    /// There as well.
    #[must_use]
    pub fn and(mut self, address: ListenAddress) -> Self {
        self.addresses.push(address);
        self
    }

    /// With TLS at the addresses that are TCP.
    #[must_use]
    pub fn tls(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.tls = Some(TlsFiles {
            certificate: certificate.into(),
            key: key.into(),
        });
        self
    }
}

/// Why a service does not listen. Displays as a sentence that says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// No place was given.
    #[error("there is no address to listen at")]
    Nowhere,
    /// Somebody else listens there, or it is not this machine's.
    #[error("cannot listen at {address}: {reason}")]
    Address {
        /// The place.
        address: ListenAddress,
        /// What the system says.
        reason: io::Error,
    },
    /// The certificate or its key cannot be used.
    #[error(
        "TLS is not possible with the certificate {} and the key {}: {reason}",
        files.certificate.display(), files.key.display()
    )]
    Tls {
        /// The files.
        files: TlsFiles,
        /// What is wrong.
        reason: io::Error,
    },
}

/// A service that listens. Dropping it ends that at once; [`stop`](Self::stop) lets requests under way end.
#[derive(Debug)]
pub struct Listening {
    addresses: Vec<ListenAddress>,
    doors: Vec<Door>,
    serving: JoinSet<()>,
    /// Pings the homeserver, and looks after the certificate. Ended with this.
    in_touch: JoinSet<()>,
    certificate: Option<Arc<Certificate>>,
}

/// How one place is closed.
#[derive(Debug)]
enum Door {
    Tcp(Handle<SocketAddr>),
    Unix {
        handle: Handle<std::os::unix::net::SocketAddr>,
        _file: SocketFile,
    },
}

/// The file of a unix socket, removed when dropped.
#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        match self {
            Self::Tcp(handle) => handle.shutdown(),
            Self::Unix { handle, .. } => handle.shutdown(),
        }
    }
}

impl Listening {
    /// Where it listens, in the order of [`Listen::addresses`], with the real port where 0 was asked for.
    #[must_use]
    pub fn addresses(&self) -> &[ListenAddress] {
        &self.addresses
    }

    /// Reads the certificate and its key again, and uses them for new connections. Happens by itself every
    /// [`Listen::renew_every`]. `false`: they are as before, or there are none.
    ///
    /// # Errors
    /// The files cannot be used. Those from before are used on.
    pub async fn renew_certificate(&self) -> Result<bool, ListenError> {
        match &self.certificate {
            Some(certificate) => certificate.renew().await,
            None => Ok(false),
        }
    }

    /// Takes no further connections, lets requests under way end for some seconds, and returns then.
    pub async fn stop(mut self) {
        for door in &self.doors {
            match door {
                Door::Tcp(handle) => handle.graceful_shutdown(Some(GRACE)),
                Door::Unix { handle, .. } => handle.graceful_shutdown(Some(GRACE)),
            }
        }
        while self.serving.join_next().await.is_some() {}
    }
}

impl Running {
    /// Listens for the homeserver, and whoever else asks, at these places. Once that works, the homeserver is pinged,
    /// so that it brings at once what waits; also each time after it was away.
    ///
    /// # Errors
    /// What is wrong with an address or the certificate. Nothing listens then.
    pub async fn listen(&self, listen: Listen) -> Result<Listening, ListenError> {
        if listen.addresses.is_empty() {
            return Err(ListenError::Nowhere);
        }
        let certificate = match &listen.tls {
            Some(files) => Some(Arc::new(Certificate::read(files).await?)),
            None => None,
        };
        let server = Server {
            tls: certificate.as_ref().map(|certificate| certificate.in_use()),
            router: self.router(),
            places: Arc::new(Semaphore::new(listen.max_connections)),
            patience: listen.head_timeout,
        };
        let mut listening = Listening {
            addresses: Vec::new(),
            doors: Vec::new(),
            serving: JoinSet::new(),
            in_touch: JoinSet::new(),
            certificate,
        };
        for address in &listen.addresses {
            let opened = match address {
                ListenAddress::Tcp(address) => server.open_tcp(*address, &mut listening),
                ListenAddress::Unix(path) => server.open_unix(path, &mut listening),
            };
            let opened = opened.map_err(|reason| ListenError::Address {
                address: address.clone(),
                reason,
            })?;
            tracing::info!(service = %self.core().name, address = %opened, "listening");
            listening.addresses.push(opened);
        }
        listening
            .in_touch
            .spawn(ping::keep_in_touch(self.core().clone()));
        if let Some(certificate) = listening.certificate.clone() {
            listening
                .in_touch
                .spawn(certificate.renew_again_and_again(listen.renew_every));
        }
        Ok(listening)
    }

    /// Asks the homeserver to call the service (specification, *Application Service API*, *Pinging*): how long that
    /// took, by the homeserver's word. A good ping makes homeservers that gave the service up for a while bring at once
    /// what waits.
    ///
    /// # Errors
    /// The homeserver is not reached, or it does not reach the service, or it reaches another process.
    pub async fn ping(&self) -> Result<Duration, Error> {
        ping::ping(self.core()).await
    }
}

/// What serves at each place.
struct Server {
    router: Router,
    tls: Option<RustlsConfig>,
    places: Arc<Semaphore>,
    patience: Duration,
}

impl Server {
    fn guard<A>(&self, inner: A) -> Guard<A> {
        Guard {
            inner,
            places: self.places.clone(),
            patience: self.patience,
        }
    }

    fn open_tcp(
        &self,
        address: SocketAddr,
        listening: &mut Listening,
    ) -> io::Result<ListenAddress> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let opened = ListenAddress::Tcp(listener.local_addr()?);
        let handle = Handle::new();
        let mut server = axum_server::from_tcp(listener)?.handle(handle.clone());
        self.set_limits(server.http_builder());
        let make = self
            .router
            .clone()
            .into_make_service_with_connect_info::<SocketAddr>();
        let plain = NoDelayAcceptor::new();
        let serving = match &self.tls {
            Some(tls) => {
                let tls = RustlsAcceptor::new(tls.clone()).acceptor(plain);
                server.acceptor(self.guard(tls)).serve(make).boxed()
            }
            None => server.acceptor(self.guard(plain)).serve(make).boxed(),
        };
        listening.doors.push(Door::Tcp(handle));
        listening.serving.spawn(told(serving, opened.clone()));
        Ok(opened)
    }

    fn open_unix(&self, path: &Path, listening: &mut Listening) -> io::Result<ListenAddress> {
        remove_stale(path)?;
        let listener = std::os::unix::net::UnixListener::bind(path)?;
        let file = SocketFile(path.to_owned());
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(SOCKET_MODE))?;
        listener.set_nonblocking(true)?;
        let handle = Handle::new();
        let mut server = axum_server::from_unix(listener)?.handle(handle.clone());
        self.set_limits(server.http_builder());
        let make = self.router.clone().into_make_service();
        let serving = server
            .acceptor(self.guard(DefaultAcceptor::new()))
            .serve(make)
            .boxed();
        let opened = ListenAddress::Unix(path.to_owned());
        listening.doors.push(Door::Unix {
            handle,
            _file: file,
        });
        listening.serving.spawn(told(serving, opened.clone()));
        Ok(opened)
    }

    fn set_limits(&self, builder: &mut Builder<TokioExecutor>) {
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.patience);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .max_concurrent_streams(MAX_STREAMS);
    }
}

async fn told(serving: impl Future<Output = io::Result<()>>, address: ListenAddress) {
    if let Err(error) = serving.await {
        tracing::error!(%address, %error, "listening has ended");
    }
}

/// Removes a socket's file that nobody listens at any more.
fn remove_stale(path: &Path) -> io::Result<()> {
    let metadata = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !metadata.file_type().is_socket() {
        let error = "there is a file of another kind: remove it, or choose another path";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, error));
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => {
            let error = "another process listens there";
            Err(io::Error::new(io::ErrorKind::AddrInUse, error))
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)
        }
        Err(error) => Err(error),
    }
}
