//! Making a connection to an IRC server.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use rustls::pki_types::ServerName;
use serde::{Deserialize, Serialize};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpSocket,
};
use tokio_rustls::TlsConnector;

use crate::tls;

/// How long a connection to one address may take, encryption included.
const TIMEOUT: Duration = Duration::from_secs(20);
/// How long the encryption alone may take.
const HANDSHAKE: Duration = Duration::from_secs(15);
/// Addresses of one server that are tried.
const MAX_ADDRESSES: usize = 8;

/// A server by name and port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl Server {
    /// Reads `host:port` or `[address]:port`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Some(Self {
            host: host.to_owned(),
            port: port.parse().ok()?,
        })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// Both directions of a connection.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// How a connection is made.
#[derive(Clone)]
pub struct Dial {
    /// Where to.
    pub server: Server,
    /// How it is encrypted, if it is.
    pub tls: Option<TlsConnector>,
    /// From which address.
    pub from: Option<IpAddr>,
}

/// A connection that stands, and the port of this machine that it begins at.
pub struct Dialled {
    /// The connection.
    pub stream: Box<dyn Stream>,
    /// The port.
    pub port: u16,
}

impl Dial {
    /// Connects to the first of the server's addresses that answers. Before each attempt, `bound` is told the port that
    /// it is made from.
    ///
    /// # Errors
    /// The last address's error; that there is none; that none answers in time; what `bound` fails with.
    pub async fn dial<B, F>(&self, mut bound: B) -> io::Result<Dialled>
    where
        B: FnMut(u16) -> F + Send,
        F: Future<Output = io::Result<()>> + Send,
    {
        let found = tokio::net::lookup_host((self.server.host.as_str(), self.server.port));
        let addresses = tokio::time::timeout(TIMEOUT, found)
            .await
            .map_err(|_| io::Error::other("its name is not resolved in time"))??;
        let fits = |address: &SocketAddr| match self.from {
            Some(from) => from.is_ipv4() == address.is_ipv4(),
            None => true,
        };
        let mut last = io::Error::other("it has no address of the wanted kind");
        for address in addresses.filter(fits).take(MAX_ADDRESSES) {
            match tokio::time::timeout(TIMEOUT, self.connect(address, &mut bound)).await {
                Ok(Ok(dialled)) => return Ok(dialled),
                Ok(Err(error)) => last = error,
                Err(_) => last = io::Error::other("it does not answer in time"),
            }
        }
        Err(last)
    }

    async fn connect<B, F>(&self, address: SocketAddr, bound: &mut B) -> io::Result<Dialled>
    where
        B: FnMut(u16) -> F + Send,
        F: Future<Output = io::Result<()>> + Send,
    {
        let any: IpAddr = match address {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        if let Some(IpAddr::V6(_)) = self.from {
            // Addresses of a range are routed here and stand on no interface.
            SockRef::from(&socket).set_freebind_v6(true)?;
        }
        // The port is needed before the connection, for the server may ask for it at once.
        socket.bind(SocketAddr::new(self.from.unwrap_or(any), 0))?;
        let port = socket.local_addr()?.port();
        bound(port).await?;
        let stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        let stream = self.encrypt(Box::new(stream)).await?;
        Ok(Dialled { stream, port })
    }

    /// Encrypts a connection, where it is to be encrypted.
    ///
    /// # Errors
    /// When the server does not prove who it is, or does not speak TLS: with the key that an operator has to set.
    pub async fn encrypt(&self, stream: Box<dyn Stream>) -> io::Result<Box<dyn Stream>> {
        let Some(tls) = &self.tls else {
            return Ok(stream);
        };
        let name = ServerName::try_from(self.server.host.clone())
            .map_err(|_| io::Error::other("its name is none that can be proven"))?;
        let host = &self.server.host;
        match tokio::time::timeout(HANDSHAKE, tls.connect(name, stream)).await {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err(error)) => Err(tls::explained(error, host)),
            Err(_) => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                tls::no_tls(host, "it says nothing"),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_and_written() {
        for text in [
            "irc.libera.chat:6697",
            "127.0.0.1:6667",
            "[2001:db8::1]:6697",
        ] {
            assert_eq!(Server::parse(text).expect("a server").to_string(), text);
        }
        assert_eq!(Server::parse("irc.libera.chat"), None);
        assert_eq!(Server::parse("irc.libera.chat:port"), None);
    }
}
