//! Instruments that a service declares itself, beside the kit's.

use std::collections::hash_map::Entry;

use metrics::Recorder as _;

use super::{
    METADATA, Metrics,
    catalogue::{CATALOGUE, Kind, SECONDS, Unit},
};

/// Instruments of a service at most.
const MOST: usize = 200;

/// Only grows. Made by [`Metrics::counter`].
#[derive(Clone)]
pub struct Counter(Vec<metrics::Counter>);

impl Counter {
    /// Adds `by`.
    pub fn add(&self, by: u64) {
        for counter in &self.0 {
            counter.increment(by);
        }
    }
}

/// Goes up and down. Made by [`Metrics::gauge`].
#[derive(Clone)]
pub struct Gauge(Vec<metrics::Gauge>);

impl Gauge {
    /// Is `value` from now on.
    pub fn set(&self, value: f64) {
        for gauge in &self.0 {
            gauge.set(value);
        }
    }
}

/// How values spread. Made by [`Metrics::histogram`].
#[derive(Clone)]
pub struct Histogram(Vec<metrics::Histogram>);

impl Histogram {
    /// One more value.
    pub fn record(&self, value: f64) {
        for histogram in &self.0 {
            histogram.record(value);
        }
    }
}

macro_rules! opaque {
    ($($name:ident),*) => {
        $(impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        })*
    };
}
opaque!(Counter, Gauge, Histogram);

/// Instruments by name, with what they are.
pub(super) type Declared = std::collections::HashMap<String, Kind>;

impl Metrics {
    /// A counter of the service's own, for Prometheus and statsd alike. `name` in Prometheus's form, such as
    /// `irc_lines_total`; `labels` in pairs of name and value, beside `service`.
    ///
    /// Cheap enough to be called each time, but keep it where much is counted. Of one label 100 values are told apart,
    /// the rest is `other`. A name that cannot be used (the kit's own, or used for another kind already) is logged, and
    /// the counter counts nothing.
    #[must_use]
    pub fn counter(&self, name: &str, help: &'static str, labels: &[(&str, &str)]) -> Counter {
        if !self.declare(name, help, Kind::Counter) {
            return Counter(Vec::new());
        }
        let key = self.own_key(name, labels);
        let mut all = vec![self.core.prometheus.register_counter(&key, &METADATA)];
        all.extend(self.core.statsd.as_ref().map(|statsd| statsd.counter(&key)));
        Counter(all)
    }

    /// A gauge of the service's own; as [`Metrics::counter`].
    #[must_use]
    pub fn gauge(&self, name: &str, help: &'static str, labels: &[(&str, &str)]) -> Gauge {
        if !self.declare(name, help, Kind::Gauge) {
            return Gauge(Vec::new());
        }
        let key = self.own_key(name, labels);
        let mut all = vec![self.core.prometheus.register_gauge(&key, &METADATA)];
        all.extend(self.core.statsd.as_ref().map(|statsd| statsd.gauge(&key)));
        Gauge(all)
    }

    /// A histogram of the service's own; as [`Metrics::counter`]. Its bounds suit seconds, from a millisecond to a
    /// minute. If the name ends in `_seconds`, statsd gets a timer.
    #[must_use]
    pub fn histogram(&self, name: &str, help: &'static str, labels: &[(&str, &str)]) -> Histogram {
        if !self.declare(name, help, Kind::Histogram(SECONDS)) {
            return Histogram(Vec::new());
        }
        let key = self.own_key(name, labels);
        let mut all = vec![self.core.prometheus.register_histogram(&key, &METADATA)];
        let statsd = self.core.statsd.as_ref();
        all.extend(statsd.map(|statsd| statsd.histogram(&key, unit_of(name))));
        Histogram(all)
    }

    /// Whether `name` may be used for this kind of instrument; describes it the first time.
    fn declare(&self, name: &str, help: &'static str, kind: Kind) -> bool {
        let mut declared = self.core.declared.lock();
        let is_full = declared.len() >= MOST;
        let problem = match declared.entry(name.to_owned()) {
            Entry::Occupied(known) if *known.get() == kind => return true,
            Entry::Occupied(_) => "it is in use for another kind of instrument",
            Entry::Vacant(_) if !is_name(name) => "it is not a name for Prometheus",
            Entry::Vacant(_) if CATALOGUE.iter().any(|metric| metric.name == name) => {
                "the kit has one of this name"
            }
            Entry::Vacant(_) if is_full => "there are too many instruments",
            Entry::Vacant(new) => {
                new.insert(kind);
                self.describe(name, help, kind);
                return true;
            }
        };
        tracing::warn!(name, problem, "an instrument is not shown; rename it");
        false
    }

    fn describe(&self, name: &str, help: &'static str, kind: Kind) {
        let recorder = &self.core.prometheus;
        let (name, unit) = (name.to_owned().into(), Some(unit_of(name).into()));
        match kind {
            Kind::Counter => recorder.describe_counter(name, unit, help.into()),
            Kind::Gauge => recorder.describe_gauge(name, unit, help.into()),
            Kind::Histogram(_) => recorder.describe_histogram(name, unit, help.into()),
        }
    }

    fn own_key(&self, name: &str, labels: &[(&str, &str)]) -> metrics::Key {
        let labels = labels
            .iter()
            .filter(|(label, _)| is_name(label) && *label != super::SERVICE)
            .map(|(label, value)| ((*label).to_owned(), self.told_apart(name, label, value)));
        self.key(name.to_owned(), labels)
    }
}

fn unit_of(name: &str) -> Unit {
    if name.ends_with("_seconds") {
        Unit::Seconds
    } else {
        Unit::Count
    }
}

fn is_name(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= 100
        && text.bytes().all(is_part)
        && text
            .bytes()
            .next()
            .is_some_and(|byte| !byte.is_ascii_digit())
}
