//! The requests of an examination. Each ends within its time.

use std::{net::SocketAddr, time::Duration};

use bridgehead_admin_api::EventKind;
use http::{Method, StatusCode};
use serde_json::json;
use tokio::{
    net::{TcpStream, lookup_host},
    sync::broadcast::error::RecvError,
    time::timeout,
};
use url::Host;

use super::{Found, ROUND_TRIP_TIMEOUT, STEP_TIMEOUT, cures};
use crate::{
    app::App,
    appservices::{Appservice, Call, CallError, wire::Answer},
    random::Random,
};

/// Addresses that are tried.
const MAX_ADDRESSES: usize = 8;

/// From the host's name to its addresses.
pub(super) async fn resolve(host: &Host<&str>, port: u16) -> (Found, Vec<SocketAddr>) {
    let name = match host {
        Host::Ipv4(ip) => {
            let address = SocketAddr::new((*ip).into(), port);
            return (
                Found::skipped("the url has an address, not a name"),
                vec![address],
            );
        }
        Host::Ipv6(ip) => {
            let address = SocketAddr::new((*ip).into(), port);
            return (
                Found::skipped("the url has an address, not a name"),
                vec![address],
            );
        }
        Host::Domain(name) => *name,
    };
    match timeout(STEP_TIMEOUT, lookup_host((name, port))).await {
        Ok(Ok(found)) => {
            let addresses: Vec<SocketAddr> = found.take(MAX_ADDRESSES).collect();
            if addresses.is_empty() {
                return (cures::unknown_name(name, "it has no address"), addresses);
            }
            let list: Vec<_> = addresses.iter().map(|a| a.ip().to_string()).collect();
            (
                Found::ok(format!("{name} is {}", list.join(", "))),
                addresses,
            )
        }
        Ok(Err(error)) => (cures::unknown_name(name, &error.to_string()), Vec::new()),
        Err(_) => (cures::silent_resolver(name), Vec::new()),
    }
}

/// Whether somebody listens there.
pub(super) async fn connect(addresses: &[SocketAddr], host: &Host<&str>) -> Found {
    let each = STEP_TIMEOUT / u32::try_from(addresses.len()).unwrap_or(1);
    let mut last = None;
    for address in addresses {
        match timeout(each, TcpStream::connect(address)).await {
            Ok(Ok(_)) => return Found::ok(format!("connected to {address}")),
            Ok(Err(error)) => last = Some((address, Some(error))),
            Err(_) => last = Some((address, None)),
        }
    }
    match last {
        Some((address, Some(error))) => cures::refused(address, host, &error),
        Some((address, None)) => cures::unreachable(address),
        None => Found::failed("there is no address to connect to", "look at the url"),
    }
}

/// Whether TLS comes about. The request has no token, and its answer does not matter.
pub(super) async fn handshake(base: &str) -> Found {
    match plain_request(Method::HEAD, base, None).await {
        Ok(_) => Found::ok("TLS works, and the certificate is trusted"),
        Err(error) => cures::of_handshake(&error),
    }
}

/// A ping with the service's own token, in its dialect.
pub(super) async fn ping(service: &Appservice, now_ms: i64) -> Result<Answer, CallError> {
    let Some(wire) = service.delivery.links().queries.clone() else {
        return Err(CallError::Connect("there is no address".to_owned()));
    };
    let call = Call {
        method: Method::POST,
        path: "/ping",
        legacy_path: None,
        query: &[],
        body: Some(ping_body().into()),
    };
    timeout(STEP_TIMEOUT, wire.call(&call, now_ms))
        .await
        .unwrap_or(Err(CallError::Timeout(STEP_TIMEOUT)))
}

/// A ping with a token that is not the service's, which it is to refuse.
pub(super) async fn wrong_token(base: &str) -> Found {
    let url = format!("{base}/_matrix/app/v1/ping");
    match plain_request(Method::POST, &url, Some(&Random::system().token())).await {
        Ok(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
            Found::ok("the server's token is taken, and a wrong one is refused")
        }
        Ok(status) if status.is_success() => Found::warning(
            "the service takes any token",
            "anybody who reaches the service can tell it what they like: let it compare the token \
             with hs_token, or let nobody but this server reach it",
        ),
        Ok(status) => Found::warning(
            format!(
                "the server's token is taken; a wrong one is answered {} and not 401 or 403",
                status.as_u16()
            ),
            "the service should answer 403 to a wrong token",
        ),
        Err(error) => Found::warning(
            format!("the server's token is taken; the answer to a wrong one did not come: {error}"),
            "look at the service's log",
        ),
    }
}

async fn plain_request(
    method: Method,
    url: &str,
    token: Option<&str>,
) -> Result<StatusCode, CallError> {
    let client = reqwest::Client::builder()
        .connect_timeout(STEP_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .map_err(|error| CallError::Broken(error.to_string()))?;
    let mut request = client.request(method, url);
    if let Some(token) = token {
        request = request
            .bearer_auth(token)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(ping_body());
    }
    match timeout(STEP_TIMEOUT, request.send()).await {
        Ok(Ok(response)) => Ok(response.status()),
        Ok(Err(error)) => Err(super::super::wire::call_error(&error)),
        Err(_) => Err(CallError::Timeout(STEP_TIMEOUT)),
    }
}

fn ping_body() -> String {
    json!({ "transaction_id": format!("doctor-{}", Random::system().hex(8)) }).to_string()
}

/// Waits for the acknowledgement of a transaction, an empty one if there is nothing else to send.
pub(super) async fn round_trip(app: &App, service: &Appservice) -> Found {
    let mut events = app.bus.subscribe();
    service.delivery.request_probe();
    // A service that is waited for is tried now.
    service.sign_of_life();
    let id = service.registration.id.as_str();
    let outcome = async {
        loop {
            match events.recv().await {
                Ok(event) if event.kind.service_id() != id => {}
                Ok(event) => match event.kind {
                    EventKind::EventsDelivered { transaction_id, .. } => return Ok(transaction_id),
                    EventKind::DeliveryFailed { .. } => return Err(()),
                    EventKind::UserProvisioned { .. } | EventKind::AliasProvisioned { .. } => {}
                },
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return Err(()),
            }
        }
    };
    match timeout(ROUND_TRIP_TIMEOUT, outcome).await {
        Ok(Ok(transaction_id)) => {
            Found::ok(format!("transaction {transaction_id} was acknowledged"))
        }
        Ok(Err(())) => cures::not_acknowledged(service),
        Err(_) => cures::no_acknowledgement(service, secs(ROUND_TRIP_TIMEOUT)),
    }
}

fn secs(duration: Duration) -> u64 {
    duration.as_secs()
}
