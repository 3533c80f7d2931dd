//! Figures about the server at work, for Prometheus (`/metrics`) and, where configured, statsd.
//!
//! - `catalogue`: every metric there is; `reference`: the page made from it;
//! - `endpoints`: requests of clients; `services`: application services; `process`: this process;
//! - `gauges`: what is read when somebody looks, instead of being kept up to date;
//! - `statsd`: the same over UDP.
//!
//! Each server has its own recorder, so that several may live in one process. Nothing here decides anything, and no
//! caller waits.

mod catalogue;
mod endpoints;
mod gauges;
mod process;
#[cfg(test)]
mod reference;
mod services;
mod statsd;
#[cfg(test)]
mod tests;

use std::{collections::HashSet, sync::Arc, time::Duration};

use metrics::{Key, Label, Level, Metadata, Recorder as _};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusRecorder};
use tokio::time::{Instant, MissedTickBehavior, interval};

use self::{
    catalogue::{CATALOGUE, Kind, Metric},
    endpoints::Endpoints,
    statsd::Statsd,
};
pub(crate) use self::{
    endpoints::InFlight,
    services::{QueryOutcome, TransactionOutcome},
};
use crate::{app::App, config, shutdown::Shutdown};

/// How often statsd is told the gauges, and what was recorded is put into its buckets.
const INTERVAL: Duration = Duration::from_secs(10);

/// Where a metric comes from; the recorders do not look at it.
static METADATA: Metadata<'static> = Metadata::new("bridgehead", Level::INFO, None);

/// One server's figures.
pub(crate) struct Metrics {
    prometheus: PrometheusRecorder,
    statsd: Option<Statsd>,
    endpoints: Endpoints,
    started: Instant,
    process: process::Told,
}

impl Metrics {
    /// May look up the statsd server's address, so it belongs on a thread that may wait.
    pub(crate) fn new(config: &config::Metrics) -> Self {
        let statsd = config.statsd.as_ref().and_then(|address| {
            Statsd::new(address, &config.statsd_prefix)
                .inspect_err(|error| {
                    tracing::warn!(
                        %error, %address,
                        "statsd gets no metrics until the server is started again"
                    );
                })
                .ok()
        });
        Self {
            prometheus: prometheus(),
            statsd,
            endpoints: Endpoints::default(),
            started: Instant::now(),
            process: process::Told::default(),
        }
    }

    /// The page that Prometheus reads, without series of services that are gone.
    fn render(&self, services: &HashSet<String>) -> String {
        let page = self.prometheus.handle().render();
        let mut kept = String::with_capacity(page.len());
        for line in page.lines() {
            if service_of(line).is_none_or(|id| services.contains(id)) {
                kept.push_str(line);
                kept.push('\n');
            }
        }
        kept
    }

    fn count(&self, metric: &'static Metric, labels: &[&str], by: u64) {
        debug_assert_eq!(metric.kind, Kind::Counter, "{}", metric.name);
        let key = key(metric, labels);
        self.prometheus
            .register_counter(&key, &METADATA)
            .increment(by);
        if let Some(statsd) = &self.statsd {
            statsd.count(metric, labels, by);
        }
    }

    fn set(&self, metric: &'static Metric, labels: &[&str], value: f64) {
        debug_assert_eq!(metric.kind, Kind::Gauge, "{}", metric.name);
        let key = key(metric, labels);
        self.prometheus.register_gauge(&key, &METADATA).set(value);
        if let Some(statsd) = &self.statsd {
            statsd.set(metric, labels, value);
        }
    }

    fn record(&self, metric: &'static Metric, labels: &[&str], value: f64) {
        debug_assert!(matches!(metric.kind, Kind::Histogram(_)), "{}", metric.name);
        let key = key(metric, labels);
        self.prometheus
            .register_histogram(&key, &METADATA)
            .record(value);
        if let Some(statsd) = &self.statsd {
            statsd.record(metric, labels, value);
        }
    }

    /// Makes a series appear with nothing in it, so that its first increase can be seen.
    fn touch(&self, metric: &'static Metric, labels: &[&str]) {
        let key = key(metric, labels);
        match metric.kind {
            Kind::Counter => drop(self.prometheus.register_counter(&key, &METADATA)),
            Kind::Gauge => drop(self.prometheus.register_gauge(&key, &METADATA)),
            Kind::Histogram(_) => drop(self.prometheus.register_histogram(&key, &METADATA)),
        }
    }

    /// What a commit of the store cost.
    pub(crate) fn committed(&self, commit: &bridgehead_store::CommitFigures) {
        self.record(&catalogue::STORE_COMMIT, &[], commit.duration.as_secs_f64());
        self.record(&catalogue::STORE_UNITS, &[], commit.units as f64);
        if !commit.is_committed {
            self.count(&catalogue::STORE_FAILED, &[], 1);
        }
    }
}

/// The page that Prometheus reads, as things are now.
pub(crate) fn scrape(app: &App) -> String {
    gauges::refresh(app);
    let registry = app.registry();
    let services = registry.services().iter();
    let in_force = services.map(|service| label_value(&service.registration.id));
    app.metrics.render(&in_force.collect())
}

/// Keeps what was recorded within bounds, and statsd informed, until shutdown.
pub(crate) async fn run(app: Arc<App>, shutdown: Shutdown) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shutdown.requested() => return,
        }
        if app.metrics.statsd.is_some() {
            gauges::refresh(&app);
        }
        // Values recorded since the last time are kept one by one until then.
        app.metrics.prometheus.handle().run_upkeep();
    }
}

fn prometheus() -> PrometheusRecorder {
    let mut builder = PrometheusBuilder::new();
    for metric in CATALOGUE {
        if let Kind::Histogram(buckets) = metric.kind {
            builder = builder
                .set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), buckets)
                .expect("invariant: no histogram of the catalogue is without buckets");
        }
    }
    let recorder = builder.build_recorder();
    for metric in CATALOGUE {
        let (name, unit, help) = (metric.name.into(), Some(metric.unit), metric.help.into());
        match metric.kind {
            Kind::Counter => recorder.describe_counter(name, unit, help),
            Kind::Gauge => recorder.describe_gauge(name, unit, help),
            Kind::Histogram(_) => recorder.describe_histogram(name, unit, help),
        }
    }
    recorder
}

fn key(metric: &'static Metric, values: &[&str]) -> Key {
    debug_assert_eq!(metric.labels.len(), values.len(), "{}", metric.name);
    let labels = metric.labels.iter().zip(values);
    let labels: Vec<Label> = labels
        .map(|(name, value)| Label::new(*name, label_value(value)))
        .collect();
    Key::from_parts(metric.name, labels)
}

/// The value of the label `appservice` in a line of the page.
fn service_of(line: &str) -> Option<&str> {
    const LABEL: &str = "appservice=\"";
    if line.starts_with('#') {
        return None;
    }
    let value = &line[line.find(LABEL)? + LABEL.len()..];
    value.split('"').next()
}

/// What needs no escaping in the page and breaks no line there. Ids of services are free text.
fn label_value(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() || matches!(c, '"' | '\\') {
                '_'
            } else {
                c
            }
        })
        .collect()
}
