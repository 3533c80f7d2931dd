//! Whether a service's address lets secrets onto a network that others see.

use std::net::{IpAddr, Ipv4Addr};

use bridgehead_admin_api::{Finding, FindingKind, Severity};
use url::{Host, Url};

use super::{claims::Service, finding};
use crate::appservices::registration::AsUrl;

/// Endings of names that only exist in networks of one's own (RFC 6761, 6762, 8375 and habit).
const NEAR_ENDINGS: [&str; 6] = [
    ".local",
    ".localhost",
    ".internal",
    ".lan",
    ".home.arpa",
    ".test",
];

/// What is to be said of the service's address.
pub(super) fn check(service: &Service) -> Option<Finding> {
    let url = match &service.registration.url {
        Some(AsUrl::Http(url)) => url,
        None => {
            return Some(nowhere(
                service,
                "the service has no url: nothing is sent to it unless it fetches".to_owned(),
                "Right for a service that only sends; otherwise write its address into `url`",
            ));
        }
        Some(AsUrl::Websocket(url)) => {
            return Some(nowhere(
                service,
                format!(
                    "`{url}` is no http address: something is sent only while the service holds a websocket open, or fetches"
                ),
                "Right for a service with a websocket; otherwise write an address such as http://localhost:9000",
            ));
        }
        Some(AsUrl::Unix(url)) => {
            return Some(nowhere(
                service,
                format!("`{url}` is a unix socket, which this server does not call"),
                "Let the service listen on a port, and write http://localhost and the port",
            ));
        }
    };
    let parsed = Url::parse(url).ok()?;
    if parsed.scheme() != "http" || is_near(&parsed) {
        return None;
    }
    Some(Finding {
        message: format!(
            "`{url}` is far away and not encrypted: the token and all messages can be read and changed on the way"
        ),
        ..finding(
            service,
            FindingKind::PlainHttp,
            Severity::Warning,
            "Use https, a tunnel, or a websocket that the service opens",
        )
    })
}

fn nowhere(service: &Service, message: String, cure: &str) -> Finding {
    Finding {
        message,
        ..finding(service, FindingKind::NoUrl, Severity::Note, cure)
    }
}

fn is_near(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => is_near_v4(address),
        Some(Host::Ipv6(address)) => match address.to_canonical() {
            IpAddr::V4(address) => is_near_v4(address),
            IpAddr::V6(address) => {
                address.is_loopback()
                    || address.is_unspecified()
                    || address.is_unique_local()
                    || address.is_unicast_link_local()
            }
        },
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            // One label is a name of this machine, of a container or of the local network.
            !name.contains('.') || NEAR_ENDINGS.iter().any(|ending| name.ends_with(ending))
        }
        None => true,
    }
}

fn is_near_v4(address: Ipv4Addr) -> bool {
    // 100.64.0.0/10 is where private overlay networks are.
    let shared = address.octets()[0] == 100 && address.octets()[1] & 0xc0 == 64;
    address.is_loopback()
        || address.is_unspecified()
        || address.is_private()
        || address.is_link_local()
        || shared
}
