//! Where a request comes from, for rate limits and for "last seen".

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
};

use axum::extract::{ConnectInfo, FromRequestParts};
use http::request::Parts;

/// The client's address: the peer's, or what a reverse proxy on this machine says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClientAddress(pub(crate) Option<IpAddr>);

impl ClientAddress {
    /// The address behind a request.
    pub(crate) fn of(parts: &Parts) -> Self {
        let peer = parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map(|info| info.0.ip().to_canonical());
        // Anybody may send the header; only what a proxy on this machine appended to it counts.
        if peer.is_some_and(|peer| peer.is_loopback())
            && let Some(forwarded) = forwarded_for(parts)
        {
            return Self(Some(forwarded));
        }
        Self(peer)
    }

    /// As the key of a rate limit.
    pub(crate) fn key(self) -> String {
        self.0.map_or_else(|| "?".to_owned(), |ip| ip.to_string())
    }
}

fn forwarded_for(parts: &Parts) -> Option<IpAddr> {
    let value = parts
        .headers
        .get_all("x-forwarded-for")
        .iter()
        .next_back()?;
    let last = value.to_str().ok()?.rsplit(',').next()?.trim();
    last.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

impl<S: Send + Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(parts))
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::extract::ConnectInfo;
    use http::Request;

    use super::ClientAddress;

    fn key(peer: &str, forwarded: Option<&str>) -> String {
        let mut request = Request::builder();
        if let Some(forwarded) = forwarded {
            request = request.header("X-Forwarded-For", forwarded);
        }
        let mut parts = request.body(()).unwrap().into_parts().0;
        let peer: SocketAddr = peer.parse().unwrap();
        parts.extensions.insert(ConnectInfo(peer));
        ClientAddress::of(&parts).key()
    }

    #[test]
    fn only_a_proxy_on_this_machine_is_believed() {
        assert_eq!(key("192.0.2.1:9", Some("192.0.2.7")), "192.0.2.1");
        assert_eq!(key("127.0.0.1:9", Some("10.9.9.9, 192.0.2.7")), "192.0.2.7");
        assert_eq!(key("127.0.0.1:9", Some("nonsense")), "127.0.0.1");
        assert_eq!(key("[::ffff:192.0.2.3]:9", None), "192.0.2.3");
    }
}
