//! What keeps a service from being reached: step by step from its name to a transaction that it
//! acknowledges, and for each failure what to do about it.
//!
//! It is safe with a bridge at work. `/ping` makes nothing, and neither does a ping with a wrong
//! token, which a service is to refuse. The round trip is an empty transaction that the delivery
//! task itself cuts, freezes and sends: never beside another one, so that services which remember
//! the last transaction's id only are not confused, and under an id of the usual order. Nothing is
//! written into any room.

mod cures;
mod probes;

use std::time::{Duration, Instant};

use bridgehead_admin_api::{DoctorReport, DoctorStep, State, StepOutcome, Transport};
use url::{Host, Url};

use super::{Appservice, registration::AsUrl};
use crate::app::App;

/// For each step but the round trip.
const STEP_TIMEOUT: Duration = Duration::from_secs(5);
/// For the round trip.
const ROUND_TRIP_TIMEOUT: Duration = Duration::from_secs(10);
/// All steps, in their order.
const STEPS: [&str; 7] = ["dns", "tcp", "tls", "path", "token", "ping", "round_trip"];

/// Examines a service.
pub(crate) async fn examine(app: &App, service: &Appservice) -> DoctorReport {
    let mut checkup = Checkup {
        app,
        service,
        steps: Vec::with_capacity(STEPS.len()),
    };
    checkup.run().await;
    let healthy = checkup
        .steps
        .iter()
        .all(|step| step.outcome != StepOutcome::Failed);
    DoctorReport {
        id: service.registration.id.clone(),
        healthy,
        steps: checkup.steps,
    }
}

/// An examination that goes on.
struct Checkup<'a> {
    app: &'a App,
    service: &'a Appservice,
    steps: Vec<DoctorStep>,
}

/// What a step found.
struct Found {
    outcome: StepOutcome,
    detail: String,
    cure: Option<String>,
}

impl Found {
    fn ok(detail: impl Into<String>) -> Self {
        Self::new(StepOutcome::Ok, detail)
    }

    fn skipped(detail: impl Into<String>) -> Self {
        Self::new(StepOutcome::Skipped, detail)
    }

    fn warning(detail: impl Into<String>, cure: impl Into<String>) -> Self {
        Self::new(StepOutcome::Warning, detail).with(cure)
    }

    fn failed(detail: impl Into<String>, cure: impl Into<String>) -> Self {
        Self::new(StepOutcome::Failed, detail).with(cure)
    }

    fn new(outcome: StepOutcome, detail: impl Into<String>) -> Self {
        Self {
            outcome,
            detail: detail.into(),
            cure: None,
        }
    }

    fn with(mut self, cure: impl Into<String>) -> Self {
        self.cure = Some(cure.into());
        self
    }
}

impl Checkup<'_> {
    async fn run(&mut self) {
        let transport = self.service.delivery.status.figures().transport;
        let url = self.service.registration.url.clone();
        match (transport, url) {
            (Transport::Websocket, _) => {
                self.skip_the_way("it is reached by the websocket that it has opened");
            }
            (Transport::Pull, _) => self.skip_the_way("it fetches its transactions itself"),
            (Transport::Http | Transport::None, Some(AsUrl::Http(base))) => {
                self.examine_url(&base).await;
            }
            (
                Transport::Http | Transport::None,
                Some(AsUrl::Websocket(_) | AsUrl::Unix(_)) | None,
            ) => {
                self.skip_the_way("it has no address that the server could call");
                self.note(
                    "round_trip",
                    Instant::now(),
                    cures::nobody_there(self.service),
                );
            }
        }
        if self.all_well() {
            let started = Instant::now();
            let found = self.round_trip().await;
            self.note("round_trip", started, found);
        }
        self.skip_the_rest();
    }

    /// From its name to a ping. Stops at the first failure that makes the rest pointless.
    async fn examine_url(&mut self, base: &str) {
        let Ok(url) = Url::parse(base) else {
            let found = Found::failed(
                format!("`{base}` is no url"),
                "write the url as http://host:port",
            );
            return self.note("dns", Instant::now(), found);
        };
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            let found = Found::failed(
                format!("`{base}` names no host"),
                "write the url as http://host:port",
            );
            return self.note("dns", Instant::now(), found);
        };
        let started = Instant::now();
        let (found, addresses) = probes::resolve(&host, port).await;
        self.note("dns", started, found);
        if addresses.is_empty() {
            return;
        }
        let started = Instant::now();
        let found = probes::connect(&addresses, &host).await;
        self.note("tcp", started, found);
        if !self.all_well() {
            return;
        }
        let started = Instant::now();
        let found = if url.scheme() == "https" {
            probes::handshake(base).await
        } else {
            plain(&host)
        };
        self.note("tls", started, found);
        if self.all_well() {
            self.ping().await;
        }
    }

    /// Path, token and ping are seen by the same request, and one with a wrong token.
    async fn ping(&mut self) {
        let started = Instant::now();
        let answer = probes::ping(self.service, self.app.now_ms()).await;
        let (path, token, ping) = cures::of_ping(&answer, self.service, started.elapsed());
        if ping.outcome == StepOutcome::Ok {
            self.service.sign_of_life();
        }
        self.note("path", started, path);
        if !self.all_well() {
            return;
        }
        let asks_for_wrong = ping.outcome == StepOutcome::Ok;
        let wrong_started = Instant::now();
        let token = match (asks_for_wrong, &self.service.registration.url) {
            (true, Some(AsUrl::Http(base))) => probes::wrong_token(base).await,
            _ => token,
        };
        self.note("token", wrong_started, token);
        if self.all_well() {
            self.note("ping", started, ping);
        }
    }

    /// A transaction by the usual way.
    async fn round_trip(&self) -> Found {
        let figures = self.service.delivery.status.figures();
        if let Some(pause) = figures.orders.pauses.first() {
            return Found::skipped(format!("the service is paused by {}", article(&pause.by)));
        }
        if figures.state == State::Failed {
            return Found::failed(
                "a person has given the service up, so nothing is sent",
                "bring it back with `retry`",
            );
        }
        if figures.transport == Transport::None
            && !matches!(self.service.registration.url, Some(AsUrl::Http(_)))
        {
            return cures::nobody_there(self.service);
        }
        probes::round_trip(self.app, self.service).await
    }

    fn note(&mut self, name: &str, started: Instant, found: Found) {
        self.steps.push(DoctorStep {
            name: name.to_owned(),
            outcome: found.outcome,
            took_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            detail: found.detail,
            cure: found.cure,
        });
    }

    fn all_well(&self) -> bool {
        self.steps
            .iter()
            .all(|step| step.outcome != StepOutcome::Failed)
    }

    /// The steps to an address, for a service that comes by itself.
    fn skip_the_way(&mut self, why: &str) {
        for name in &STEPS[..6] {
            self.note(name, Instant::now(), Found::skipped(why));
        }
    }

    fn skip_the_rest(&mut self) {
        for name in &STEPS[self.steps.len()..] {
            self.note(
                name,
                Instant::now(),
                Found::skipped("not tried after the failure above"),
            );
        }
    }
}

fn article(by: &str) -> &str {
    if by == "operator" {
        "an operator"
    } else {
        "itself"
    }
}

/// Whether everybody on the way may read along.
fn plain(host: &Host<&str>) -> Found {
    let near = match host {
        Host::Ipv4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        Host::Ipv6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
        // A name without a dot is of this machine or its network: localhost, a container.
        Host::Domain(name) => !name.trim_end_matches('.').contains('.'),
    };
    if near {
        return Found::skipped("plain http, to a host nearby");
    }
    Found::warning(
        "plain http: tokens and messages go to that host in clear",
        "put the service behind TLS and write https:// in its url, or reach it by a private network",
    )
}
