//! The way to others than the homeserver: where it redirects media to, and the homeservers that vouch for people.
//!
//! Who says where a request goes is not always the operator: a redirection is another server's word, and so is the name
//! in a login. So requests go to public addresses only, whatever a name resolves to, unless the operator has named the
//! host. No token of ours is ever sent here.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use http::{Request, Response, header};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::{
    client::HttpTransport,
    surroundings::{BodyStream, Transport, TransportError},
};

/// Redirections of a page that are followed one after another.
const MAX_REDIRECTS: usize = 3;

/// Why nobody is asked, or nobody answers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WebError {
    #[error("only http and https addresses are followed")]
    NotHttp,
    #[error("{0} is no public address: if it is meant, name it with `Service::trust_hosts`")]
    Private(String),
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error("{0}")]
    Unusable(String),
}

/// Who has said where the request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SaidBy {
    /// The operator: it may be a private address.
    Operator,
    /// Somebody else.
    Others,
}

/// One way each for addresses that are looked at and those that are not; made when they are first needed.
pub(crate) struct Web {
    given: Option<Arc<dyn Transport>>,
    guarded: OnceLock<Result<Arc<dyn Transport>, String>>,
    open: OnceLock<Result<Arc<dyn Transport>, String>>,
    /// `host` or `host:port`, in lower case.
    trusted: Vec<String>,
}

impl Web {
    pub(crate) fn new(given: Option<Arc<dyn Transport>>, trusted: &[String]) -> Self {
        Self {
            given,
            guarded: OnceLock::new(),
            open: OnceLock::new(),
            trusted: trusted.iter().map(|host| host.to_lowercase()).collect(),
        }
    }

    /// Asks for a page as a whole.
    pub(crate) async fn get(
        &self,
        url: &Url,
        said_by: SaidBy,
        max_bytes: usize,
    ) -> Result<Response<Bytes>, WebError> {
        let transport = self.transport(url, said_by)?;
        Ok(transport.call(request(url)?, max_bytes).await?)
    }

    /// Asks for a page as a whole that others have named, and goes where it redirects to.
    pub(crate) async fn get_following(
        &self,
        url: &Url,
        max_bytes: usize,
    ) -> Result<Response<Bytes>, WebError> {
        let mut at = url.clone();
        let mut response = self.get(&at, SaidBy::Others, max_bytes).await?;
        for _ in 0..MAX_REDIRECTS {
            let location = response.headers().get(header::LOCATION);
            let to = location.and_then(|to| at.join(to.to_str().ok()?).ok());
            let Some(to) = to.filter(|_| response.status().is_redirection()) else {
                break;
            };
            response = self.get(&to, SaidBy::Others, max_bytes).await?;
            at = to;
        }
        Ok(response)
    }

    /// Asks for something whose body comes piece by piece.
    pub(crate) async fn open(
        &self,
        url: &Url,
        said_by: SaidBy,
        max_bytes: usize,
    ) -> Result<Response<BodyStream>, WebError> {
        let transport = self.transport(url, said_by)?;
        Ok(transport.open(request(url)?, max_bytes).await?)
    }

    fn transport(&self, url: &Url, said_by: SaidBy) -> Result<Arc<dyn Transport>, WebError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(WebError::NotHttp);
        }
        let is_trusted = said_by == SaidBy::Operator || self.trusts(url);
        if !is_trusted {
            check_literal(url)?;
        }
        if let Some(given) = &self.given {
            return Ok(given.clone());
        }
        let made = if is_trusted {
            self.open.get_or_init(|| made(None))
        } else {
            self.guarded
                .get_or_init(|| made(Some(Arc::new(PublicOnly))))
        };
        made.clone().map_err(WebError::Unusable)
    }

    fn trusts(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default().to_lowercase();
        let port = url.port_or_known_default().unwrap_or_default();
        let with_port = format!("{host}:{port}");
        self.trusted
            .iter()
            .any(|named| *named == with_port || (url.port().is_none() && *named == host))
    }
}

fn made(resolver: Option<Arc<dyn Resolve>>) -> Result<Arc<dyn Transport>, String> {
    Ok(Arc::new(HttpTransport::anywhere(resolver)?))
}

fn request(url: &Url) -> Result<Request<Bytes>, WebError> {
    let mut url = url.clone();
    url.set_fragment(None);
    Request::get(url.as_str())
        .header(header::ACCEPT, "*/*")
        .body(Bytes::new())
        .map_err(|error| WebError::Unusable(error.to_string()))
}

/// Addresses that are written as numbers are not resolved, so they are looked at here.
fn check_literal(url: &Url) -> Result<(), WebError> {
    let is_public = match url.host() {
        Some(Host::Ipv4(ip)) => is_public(IpAddr::V4(ip)),
        Some(Host::Ipv6(ip)) => is_public(IpAddr::V6(ip)),
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            name != "localhost" && !name.ends_with(".localhost")
        }
        None => false,
    };
    let host = url.host_str().unwrap_or("an address without host");
    is_public
        .then_some(())
        .ok_or_else(|| WebError::Private(host.to_owned()))
}

/// Resolves names as the machine does, and leaves out what is not public. The connection goes to just these addresses,
/// so a name that means another address a moment later gains nothing.
struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err(WebError::Private(name.as_str().to_owned()).into());
            }
            let addresses: Addrs = Box::new(public.into_iter());
            Ok(addresses)
        })
    }
}

/// Whether an address is anybody's on the internet (IANA's registries of special-purpose addresses).
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => match embedded(ip) {
            Some(ip) => is_public_v4(ip),
            None => is_public_v6(ip),
        },
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    !(a == 0
        || a >= 224
        || ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_documentation()
        || (a == 100 && b & 0xc0 == 64)
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && b & 0xfe == 18))
}

/// Global unicast is 2000::/3; parts of it are set aside.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, ..] = ip.segments();
    let is_global = a & 0xe000 == 0x2000;
    let is_set_aside = (a == 0x2001 && (b < 0x0200 || b == 0x0db8)) || (a == 0x3fff && b < 0x1000);
    is_global && !is_set_aside
}

/// The IPv4 address that an IPv6 address leads to.
fn embedded(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = ip.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0xffff | 0] | [0x64, 0xff9b, 0, 0, 0, 0] => Some(v4(g, h)),
        [0x2002, ..] => Some(v4(b, c)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(url: &str) -> Result<(), WebError> {
        let web = Web::new(
            None,
            &["minio.internal:9000".to_owned(), "Plain.example".to_owned()],
        );
        web.transport(&Url::parse(url).expect("a url"), SaidBy::Others)
            .map(drop)
    }

    #[test]
    fn private_addresses_are_not_asked() {
        for host in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            // The same address in other spellings.
            "2130706433",
            "0x7f.1",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[64:ff9b::a00:1]",
            "[2002:7f00:1::]",
            "[fe80::1]",
            "[fd00::1]",
            "[ff02::1]",
            "[2001:db8::1]",
            "localhost",
            "LOCALHOST.",
            "a.localhost",
        ] {
            let url = format!("http://{host}:8008/x");
            assert!(
                matches!(checked(&url), Err(WebError::Private(_))),
                "{url}: {:?}",
                checked(&url)
            );
        }
    }

    #[test]
    fn public_addresses_and_names_are() {
        for url in [
            "https://93.184.216.34/x",
            "https://[2606:2800:220:1::1]/x",
            "https://[::ffff:8.8.8.8]/",
            "https://media.example.org/x",
        ] {
            assert_eq!(checked(url), Ok(()), "{url}");
        }
    }

    #[test]
    fn only_http_is_spoken() {
        for url in [
            "file:///etc/passwd",
            "ftp://example.org/",
            "gopher://example.org/",
        ] {
            assert_eq!(checked(url), Err(WebError::NotHttp), "{url}");
        }
    }

    #[test]
    fn what_the_operator_names_is_asked() {
        let web = Web::new(None, &["127.0.0.1:9000".to_owned(), "LocalHost".to_owned()]);
        let ask = |url: &str, said_by| {
            web.transport(&Url::parse(url).expect("a url"), said_by)
                .is_ok()
        };
        assert!(ask("http://127.0.0.1:9000/x", SaidBy::Others));
        assert!(!ask("http://127.0.0.1:9001/x", SaidBy::Others));
        assert!(ask("http://localhost/x", SaidBy::Others));
        assert!(!ask("http://localhost:8008/x", SaidBy::Others));
        assert!(ask("http://127.0.0.1:9001/x", SaidBy::Operator));
    }

    #[tokio::test]
    async fn names_of_private_addresses_are_refused_when_they_are_resolved() {
        let name: Name = "localhost".parse().expect("a name");
        let refused = PublicOnly.resolve(name).await.err().expect("refused");
        assert!(
            refused.to_string().contains("no public address"),
            "{refused}"
        );
    }
}
