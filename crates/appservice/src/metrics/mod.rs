//! Figures about services at work, for Prometheus and, where configured, statsd: one set of instruments for both.
//!
//! - `catalogue`: the kit's instruments; `reference`: the page made from it;
//! - `own`: instruments that an author adds;
//! - `statsd`: the same over UDP.
//!
//! Nothing global: what one [`Metrics`] has counted, no other shows. Several services of one process share one by
//! [`Metrics::for_service`], and the label `service` tells them apart. Counting never waits and never fails.

pub mod catalogue;
mod own;
mod reference;
mod statsd;
#[cfg(test)]
mod tests;

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use metrics::{Key, Level, Metadata, Recorder as _};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusRecorder};
use parking_lot::{Mutex, RwLock};
use tokio::time::{Instant, MissedTickBehavior, interval};

use self::{
    catalogue::{BUILD_INFO, CATALOGUE, Kind, Metric, SECONDS, UPTIME, Unit},
    own::Declared,
    statsd::Statsd,
};
pub use self::{
    own::{Counter, Gauge, Histogram},
    statsd::StatsdError,
};

/// The label that says which service a figure is about.
const SERVICE: &str = "service";
/// How often gauges are told to statsd, and what was recorded is put into its buckets.
const INTERVAL: Duration = Duration::from_secs(10);
/// So many values of one label are told apart; the others come from outside, and there may be any number of them.
const VALUES: usize = 100;
/// What all further values are called.
const OTHER: &str = "other";
/// Longest value of a label, in characters.
const VALUE_CHARS: usize = 100;

/// Where a metric comes from; the recorders do not look at it.
static METADATA: Metadata<'static> = Metadata::new("bridgehead_appservice", Level::INFO, None);

/// The `Content-Type` of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The instruments of one service. Cloning is cheap and gives the same instruments.
#[derive(Clone)]
pub struct Metrics {
    core: Arc<Core>,
    service: Arc<str>,
}

type Look = Arc<dyn Fn(&Metrics) + Send + Sync>;

struct Core {
    prometheus: PrometheusRecorder,
    statsd: Option<Statsd>,
    declared: Mutex<Declared>,
    /// The values that are told apart, by metric and label.
    values: RwLock<HashMap<(String, String), HashSet<String>>>,
    /// What is read when somebody looks, by service.
    looks: Mutex<Vec<(Arc<str>, Look)>>,
    started: Instant,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics")
            .field(SERVICE, &self.service)
            .finish_non_exhaustive()
    }
}

impl Metrics {
    /// New instruments, all at zero, for the service of this name; shown to Prometheus only.
    #[must_use]
    pub fn new(service: &str) -> Self {
        Self::build(service, None)
    }

    /// Like [`Metrics::new`], and told to the statsd server at `address` (`host:port`) as well, each name with `prefix`
    /// and a dot before it. Looks the host up, so it belongs where waiting is allowed.
    ///
    /// # Errors
    /// [`StatsdError`] when the host has no address or there is no socket; that nobody listens there is no error.
    pub fn with_statsd(service: &str, address: &str, prefix: &str) -> Result<Self, StatsdError> {
        Ok(Self::build(service, Some(Statsd::new(address, prefix)?)))
    }

    fn build(service: &str, statsd: Option<Statsd>) -> Self {
        let core = Core {
            prometheus: prometheus(),
            statsd,
            declared: Mutex::default(),
            values: RwLock::default(),
            looks: Mutex::default(),
            started: Instant::now(),
        };
        let metrics = Self {
            core: Arc::new(core),
            service: label_value(service).into(),
        };
        metrics.touch_all();
        metrics
    }

    /// The instruments of another service, shown on the same page and told to the same statsd server.
    #[must_use]
    pub fn for_service(&self, service: &str) -> Self {
        let metrics = Self {
            core: self.core.clone(),
            service: label_value(service).into(),
        };
        metrics.touch_all();
        metrics
    }

    /// The name of the service that these figures are about.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Calls `look` whenever somebody is about to see the figures: the place to set gauges, which so cannot drift from
    /// the truth. It must be quick, and should hold what it reads weakly.
    pub fn on_look(&self, look: impl Fn(&Self) + Send + Sync + 'static) {
        let mut looks = self.core.looks.lock();
        looks.push((self.service.clone(), Arc::new(look)));
    }

    /// The page that Prometheus reads, of all services that share these instruments; its type is [`CONTENT_TYPE`].
    #[must_use]
    pub fn render(&self) -> String {
        self.look();
        self.core.prometheus.handle().render()
    }

    /// The kit's instruments as a Markdown table, for documentation.
    #[must_use]
    pub fn reference() -> String {
        reference::render()
    }

    /// Keeps what was recorded within bounds, and statsd informed. Never ends. A service that runs does this itself;
    /// to be run where there are instruments without one.
    pub async fn run(&self) {
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.upkeep();
        }
    }

    pub(crate) fn upkeep(&self) {
        if self.core.statsd.is_some() {
            self.look();
        }
        // Values recorded since the last time are kept one by one until then.
        self.core.prometheus.handle().run_upkeep();
    }

    fn look(&self) {
        let looks = self.core.looks.lock().clone();
        for (service, look) in &looks {
            look(&self.of(service));
        }
        let mut services: Vec<_> = looks.into_iter().map(|(service, _)| service).collect();
        services.push(self.service.clone());
        services.sort();
        services.dedup();
        for service in &services {
            let metrics = self.of(service);
            metrics.set(&BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1.0);
            metrics.set(&UPTIME, &[], self.core.started.elapsed().as_secs_f64());
        }
    }

    fn of(&self, service: &Arc<str>) -> Self {
        Self {
            core: self.core.clone(),
            service: service.clone(),
        }
    }

    /// Counts `by` more. `labels`: one value for each label of the catalogue's entry, in its order.
    pub fn count(&self, metric: &'static Metric, labels: &[&str], by: u64) {
        debug_assert_eq!(metric.kind, Kind::Counter, "{}", metric.name);
        let key = self.catalogue_key(metric, labels);
        let counter = self.core.prometheus.register_counter(&key, &METADATA);
        counter.increment(by);
        if let Some(statsd) = self.core.statsd.as_ref().filter(|_| by > 0) {
            statsd.counter(&key).increment(by);
        }
    }

    /// Sets a gauge; labels as for [`Metrics::count`].
    pub fn set(&self, metric: &'static Metric, labels: &[&str], value: f64) {
        debug_assert_eq!(metric.kind, Kind::Gauge, "{}", metric.name);
        let key = self.catalogue_key(metric, labels);
        self.core
            .prometheus
            .register_gauge(&key, &METADATA)
            .set(value);
        if let Some(statsd) = &self.core.statsd {
            statsd.gauge(&key).set(value);
        }
    }

    /// Records a value of a histogram; labels as for [`Metrics::count`].
    pub fn record(&self, metric: &'static Metric, labels: &[&str], value: f64) {
        debug_assert!(matches!(metric.kind, Kind::Histogram(_)), "{}", metric.name);
        let key = self.catalogue_key(metric, labels);
        let histogram = self.core.prometheus.register_histogram(&key, &METADATA);
        histogram.record(value);
        if let Some(statsd) = &self.core.statsd {
            statsd.histogram(&key, metric.unit).record(value);
        }
    }

    /// Makes every series whose labels are known in advance appear with nothing in it, so that rates can be told from
    /// the first increase on. Gauges appear when they are set: a zero would be a claim.
    fn touch_all(&self) {
        for metric in CATALOGUE {
            if metric.kind == Kind::Gauge || metric.labels.iter().any(|l| l.values.is_empty()) {
                continue;
            }
            // No instrument has two labels with known values.
            let values = metric
                .labels
                .first()
                .map_or(&[""][..], |label| label.values);
            for value in values {
                let labels = &[*value][..metric.labels.len().min(1)];
                let key = self.catalogue_key(metric, labels);
                let recorder = &self.core.prometheus;
                match metric.kind {
                    Kind::Counter => drop(recorder.register_counter(&key, &METADATA)),
                    Kind::Gauge => {}
                    Kind::Histogram(_) => drop(recorder.register_histogram(&key, &METADATA)),
                }
            }
        }
    }

    fn catalogue_key(&self, metric: &'static Metric, values: &[&str]) -> Key {
        debug_assert_eq!(metric.labels.len(), values.len(), "{}", metric.name);
        let labels = metric.labels.iter().zip(values).map(|(label, value)| {
            let value = if label.values.is_empty() {
                self.told_apart(metric.name, label.name, value)
            } else {
                debug_assert!(label.values.contains(value), "{} {value}", metric.name);
                (*value).to_owned()
            };
            (label.name.to_owned(), value)
        });
        self.key(metric.name, labels)
    }

    fn key(
        &self,
        name: impl Into<Cow<'static, str>>,
        labels: impl Iterator<Item = (String, String)>,
    ) -> Key {
        let service = metrics::Label::new(SERVICE, self.service.to_string());
        let labels = labels.map(|(name, value)| metrics::Label::new(name, value));
        let labels: Vec<_> = std::iter::once(service).chain(labels).collect();
        let name: metrics::KeyName = match name.into() {
            Cow::Borrowed(name) => name.into(),
            Cow::Owned(name) => name.into(),
        };
        Key::from_parts(name, labels)
    }

    /// The value of a label that may be anything: itself as long as there are few of them.
    fn told_apart(&self, metric: &str, label: &str, value: &str) -> String {
        let value = label_value(value);
        let place = (metric.to_owned(), label.to_owned());
        if let Some(known) = self.core.values.read().get(&place)
            && known.contains(&value)
        {
            return value;
        }
        let mut values = self.core.values.write();
        let known = values.entry(place).or_default();
        if known.len() >= VALUES && !known.contains(&value) {
            return OTHER.to_owned();
        }
        known.insert(value.clone());
        value
    }
}

impl From<Unit> for metrics::Unit {
    fn from(unit: Unit) -> Self {
        match unit {
            Unit::Count => Self::Count,
            Unit::Seconds => Self::Seconds,
        }
    }
}

fn prometheus() -> PrometheusRecorder {
    const BOUNDED: &str = "invariant: no histogram is without bounds";
    let mut builder = PrometheusBuilder::new()
        .set_buckets(SECONDS)
        .expect(BOUNDED);
    for metric in CATALOGUE {
        if let Kind::Histogram(bounds) = metric.kind {
            builder = builder
                .set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), bounds)
                .expect(BOUNDED);
        }
    }
    let recorder = builder.build_recorder();
    for metric in CATALOGUE {
        let unit = Some(metric.unit.into());
        let (name, help) = (metric.name.into(), metric.help.trim().into());
        match metric.kind {
            Kind::Counter => recorder.describe_counter(name, unit, help),
            Kind::Gauge => recorder.describe_gauge(name, unit, help),
            Kind::Histogram(_) => recorder.describe_histogram(name, unit, help),
        }
    }
    recorder
}

/// What needs no escaping in the page and breaks no line there.
fn label_value(text: &str) -> String {
    let shown = |c: char| {
        if c.is_control() || matches!(c, '"' | '\\') {
            '_'
        } else {
            c
        }
    };
    text.chars().take(VALUE_CHARS).map(shown).collect()
}
