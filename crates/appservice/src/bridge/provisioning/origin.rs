//! Where a request comes from, to count by.

use std::net::{IpAddr, Ipv6Addr};

use http::HeaderMap;

/// What requests from one place are counted under: its address, of IPv6 the network (`/64`), as one customer has so
/// many addresses. `peer` is who has connected; `None` where that is not known, as on a unix socket.
pub(super) fn of(peer: Option<IpAddr>, headers: &HeaderMap) -> String {
    let peer = peer.map(|peer| peer.to_canonical());
    // Only a proxy of the operator's own connects from within, and it writes the last address itself.
    let address = match peer {
        Some(peer) if !is_within(peer) => Some(peer),
        _ => forwarded(headers).or(peer),
    };
    match address {
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => {
            let network = address.to_bits() & !u128::from(u64::MAX);
            Ipv6Addr::from_bits(network).to_string()
        }
        None => String::new(),
    }
}

fn is_within(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback() || address.is_private(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local(),
    }
}

fn forwarded(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all("x-forwarded-for").iter().next_back()?;
    let last = last.to_str().ok()?.rsplit(',').next()?.trim();
    let address: IpAddr = last.parse().ok()?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_stands_behind_a_proxy_is_told_by_it_and_by_nobody_else() {
        let with = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("x-forwarded-for", value.parse().expect("a header"));
            }
            headers
        };
        for (peer, values, origin) in [
            ("203.0.113.7", &[][..], "203.0.113.7"),
            ("203.0.113.7", &["198.51.100.1"], "203.0.113.7"),
            ("127.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("10.1.2.3", &["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
            ("::1", &["1.1.1.1", "198.51.100.1"], "198.51.100.1"),
            ("::ffff:127.0.0.1", &["2001:db8::1:2:3:4"], "2001:db8::"),
            ("2001:db8:0:5:1:2:3:4", &[], "2001:db8:0:5::"),
            ("127.0.0.1", &["nonsense"], "127.0.0.1"),
            ("127.0.0.1", &[], "127.0.0.1"),
        ] {
            let peer = peer.parse().expect("an address");
            assert_eq!(of(Some(peer), &with(values)), origin, "{peer} {values:?}");
        }
        assert_eq!(of(None, &with(&["198.51.100.1"])), "198.51.100.1");
        assert_eq!(of(None, &with(&[])), "");
    }
}
