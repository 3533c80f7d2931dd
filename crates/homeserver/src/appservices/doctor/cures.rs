//! What a finding means, and what to do about it, in plain words.

use std::{io, net::SocketAddr, time::Duration};

use bridgehead_admin_api::Transport;
use http::StatusCode;
use url::Host;

use super::Found;
use crate::appservices::{Appservice, CallError, registration::AsUrl, wire::Answer};

/// Characters of an answer that are shown.
const HEAD: usize = 200;

/// The name does not resolve.
pub(super) fn unknown_name(name: &str, error: &str) -> Found {
    Found::failed(
        format!("the name {name} is not known here: {error}"),
        format!(
            "write a name or address in the registration's url that this server can resolve; in \
             containers that is the other container's name, and both must be in one network (see \
             what the server itself gets for: getent hosts {name})"
        ),
    )
}

/// Nobody answers what the name stands for.
pub(super) fn silent_resolver(name: &str) -> Found {
    Found::failed(
        format!("nobody said within 5 seconds what {name} stands for"),
        "the resolver of the server's machine does not answer; look at its network settings",
    )
}

/// Nobody listens there.
pub(super) fn refused(address: &SocketAddr, host: &Host<&str>, error: &io::Error) -> Found {
    if error.kind() != io::ErrorKind::ConnectionRefused {
        return Found::failed(
            format!("cannot connect to {address}: {error}"),
            "look at the url, the network between the two, and firewalls on the way",
        );
    }
    let local = match host {
        Host::Domain(name) => name.trim_end_matches('.') == "localhost",
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => ip.is_loopback(),
    };
    let container = if local {
        " In a container this address is the container itself: write the other container's name \
         instead."
    } else {
        " If it listens on 127.0.0.1 only, let it listen on an address that this server can reach."
    };
    Found::failed(
        format!("nobody listens on {address}"),
        format!("start the service, and compare its port with the url's.{container}"),
    )
}

/// Nothing comes back at all.
pub(super) fn unreachable(address: &SocketAddr) -> Found {
    Found::failed(
        format!("{address} does not answer"),
        "the machine is off, the address is wrong, or a firewall on the way drops what is sent",
    )
}

/// TLS does not come about.
pub(super) fn of_handshake(error: &CallError) -> Found {
    let text = error.to_string();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let cure = if says(&["UnknownIssuer", "unknown issuer"]) {
        "the certificate is by nobody whom this machine trusts: add its authority to the system's \
         trusted certificates, or use a certificate that is trusted everywhere"
    } else if says(&[
        "NotValidForName",
        "not valid for name",
        "not valid for any name",
    ]) {
        "the certificate is for another name: write the name that it has in the url, or get one \
         for the url's name"
    } else if says(&["Expired", "expired"]) {
        "the certificate has expired: renew it, and look at this machine's clock"
    } else if says(&["InvalidContentType", "corrupt message", "WRONG_VERSION"]) {
        "the service speaks plain http on that port: write http:// in the url, or the port with TLS"
    } else if matches!(error, CallError::Timeout(_)) {
        "the service takes the connection and then says nothing; see whether it hangs"
    } else {
        "TLS does not come about: compare the url's scheme and port with the service's"
    };
    Found::failed(text, cure)
}

/// What a ping tells of path, token and ping.
pub(super) fn of_ping(
    answer: &Result<Answer, CallError>,
    service: &Appservice,
    took: Duration,
) -> (Found, Found, Found) {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            let unseen = || Found::skipped("there was no answer");
            return (of_silence(error), unseen(), unseen());
        }
    };
    let code = answer.status.as_u16();
    let head = head(&answer.head());
    match answer.status {
        status if status.is_success() => (
            Found::ok("an application service answers there"),
            Found::ok("the server's token is taken"),
            Found::ok(format!("answered in {} ms", took.as_millis())),
        ),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => (
            Found::ok("something answers there"),
            wrong_hs_token(service, code, &head),
            Found::skipped("the token was refused"),
        ),
        status if status.is_redirection() => only_path(Found::failed(
            format!("the address leads elsewhere ({code})"),
            "write the address that it leads to in the url; the server follows no redirects",
        )),
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
            no_ping(service, code, &head)
        }
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            only_path(Found::failed(
                format!("a proxy answers {code}, and not the service: {head}"),
                "start the service behind the proxy, and see in the proxy's settings where it sends \
                 requests",
            ))
        }
        StatusCode::BAD_REQUEST if speaks_of_https(&head) => only_path(Found::failed(
            format!("that port speaks TLS: {head}"),
            "write https:// in the url",
        )),
        _ => (
            Found::ok("something answers there"),
            Found::ok("the token was not refused"),
            Found::failed(
                format!("the service answered {code} to a ping: {head}"),
                "look at the service's log: it has failed at an empty request",
            ),
        ),
    }
}

fn only_path(path: Found) -> (Found, Found, Found) {
    let unseen = || Found::skipped("the service was not reached");
    (path, unseen(), unseen())
}

fn of_silence(error: &CallError) -> Found {
    let text = error.to_string();
    match error {
        CallError::Timeout(_) => Found::failed(
            text,
            "the service takes the connection and then says nothing: see whether it hangs, and \
             restart it",
        ),
        CallError::Broken(_) => Found::failed(
            text,
            "what listens there does not speak http as the url says: if it speaks TLS, write \
             https:// in the url; else look at the service's log",
        ),
        CallError::Connect(_) => Found::failed(
            text,
            "the service went away at this moment; see whether it restarts again and again",
        ),
    }
}

fn wrong_hs_token(service: &Appservice, code: u16, head: &str) -> Found {
    Found::failed(
        format!("the service refuses this server's token ({code}): {head}"),
        format!(
            "hs_token in {} and in the service's own copy of the registration differ: compare \
             them, make them equal, and restart the service",
            service.registration.source.file.display()
        ),
    )
}

fn no_ping(service: &Appservice, code: u16, head: &str) -> (Found, Found, Found) {
    let url = service.registration.url.as_ref().map_or("", AsUrl::as_str);
    let page = if head.trim_start().starts_with('<') {
        " with a page for browsers"
    } else {
        ""
    };
    (
        Found::warning(
            format!("/_matrix/app/v1/ping is answered {code}{page}"),
            format!(
                "older services know no ping, and then nothing is wrong; but if the round trip \
                 below fails, see whether {url} is the service's own address, with the right port \
                 and path, and not another program's"
            ),
        ),
        Found::skipped("without a ping only the round trip shows it"),
        Found::warning(
            "the service knows no ping",
            "nothing needs to be done; a newer version of it may know one",
        ),
    )
}

/// Go's and nginx's words to who speaks plainly to a port with TLS.
fn speaks_of_https(head: &str) -> bool {
    head.contains("HTTPS")
}

/// It has no address, and has not come by itself.
pub(super) fn nobody_there(service: &Appservice) -> Found {
    match &service.registration.url {
        Some(AsUrl::Websocket(url)) => Found::failed(
            format!("the url is `{url}`, and no websocket is open"),
            "start the service: it opens the websocket by itself, to this server's address and \
             with its as_token",
        ),
        Some(AsUrl::Unix(url)) => Found::failed(
            format!("nothing is sent to `{url}`"),
            "let the service listen on a port, or connect by websocket",
        ),
        Some(AsUrl::Http(_)) | None => Found::failed(
            "the registration has no url, no websocket is open, and nobody fetches",
            "write a url into the registration, or start a service that connects by itself; a \
             service that only sends needs none of it",
        ),
    }
}

/// An attempt failed.
pub(super) fn not_acknowledged(service: &Appservice) -> Found {
    let figures = service.delivery.status.figures();
    let error = figures.last_error;
    let text = error.as_ref().map_or_else(
        || "the attempt failed".to_owned(),
        |error| head(&error.message),
    );
    let file = service.registration.source.file.display();
    let cure = match error.and_then(|error| error.status) {
        Some(401 | 403) => format!(
            "hs_token in {file} and in the service's own copy of the registration differ: make \
             them equal, and restart the service"
        ),
        Some(404 | 405) => {
            "the service takes no transactions there: see whether the url is its own \
             address, with the right port and path"
                .to_owned()
        }
        Some(413) => {
            "the service, or a proxy before it, takes small bodies only: raise its limit".to_owned()
        }
        Some(_) => "look at the service's log; the transaction that it refused is shown by \
             `transaction`, and can be skipped"
            .to_owned(),
        None => "the connection failed at this moment; see whether the service restarts again and \
             again"
            .to_owned(),
    };
    Found::failed(text, cure)
}

/// Nothing was heard of the transaction.
pub(super) fn no_acknowledgement(service: &Appservice, seconds: u64) -> Found {
    let figures = service.delivery.status.figures();
    if figures.transport == Transport::Pull {
        return Found::failed(
            format!("nobody fetched and acknowledged a transaction within {seconds} seconds"),
            "see whether the service still fetches, and acknowledges what it has",
        );
    }
    Found::failed(
        format!("no transaction was acknowledged within {seconds} seconds"),
        "the service takes the connection but does not answer; see whether it hangs at the \
         transaction in flight, which `transaction` shows",
    )
}

fn head(text: &str) -> String {
    text.chars()
        .take(HEAD)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{of_handshake, of_silence};
    use crate::appservices::CallError;

    #[test]
    fn tls_failures_have_their_cures() {
        for (text, word) in [
            (
                "invalid peer certificate: UnknownIssuer",
                "trusted certificates",
            ),
            (
                "invalid peer certificate: certificate not valid for name \"a\"",
                "another name",
            ),
            ("invalid peer certificate: Expired", "renew"),
            (
                "received corrupt message of type InvalidContentType",
                "http://",
            ),
            ("tls handshake eof", "scheme"),
        ] {
            let cure = of_handshake(&CallError::Connect(text.to_owned())).cure;
            assert!(
                cure.clone().is_some_and(|cure| cure.contains(word)),
                "{text}: {cure:?}"
            );
        }
        let silent = of_handshake(&CallError::Timeout(Duration::from_secs(5)));
        assert!(silent.cure.is_some_and(|cure| cure.contains("hangs")));
    }

    #[test]
    fn silence_has_its_cures() {
        for (error, word) in [
            (CallError::Timeout(Duration::from_secs(5)), "restart"),
            (
                CallError::Broken("invalid HTTP version parsed".to_owned()),
                "https://",
            ),
            (CallError::Connect("refused".to_owned()), "went away"),
        ] {
            assert!(
                of_silence(&error)
                    .cure
                    .is_some_and(|cure| cure.contains(word))
            );
        }
    }
}
