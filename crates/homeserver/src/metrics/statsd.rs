//! The same figures over UDP, for a statsd server.
//!
//! Names and labels are those of the catalogue; labels travel as tags in DogStatsD's form. What the queue does not
//! hold is dropped: a metrics server that is away slows nobody.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs as _},
};

use metrics::{Key, Label, Recorder as _, Unit};
use metrics_exporter_statsd::{StatsdBuilder, StatsdError, StatsdRecorder};

use super::{METADATA, catalogue::Metric};

/// What goes into one packet, so that it fits an Ethernet frame.
const PACKET_BYTES: usize = 1432;
/// Lines that wait to be sent; more are dropped.
const QUEUE: usize = 8192;

/// Why there is no connection to the statsd server.
#[derive(Debug, thiserror::Error)]
pub(super) enum StatsdSetupError {
    /// Its name has no address.
    #[error("cannot look up the address: {0}")]
    Lookup(#[source] io::Error),
    /// The sender could not be made.
    #[error(transparent)]
    Sender(#[from] StatsdError),
}

/// Sends to one statsd server.
pub(super) struct Statsd(StatsdRecorder);

impl Statsd {
    /// `address` as `host:port`. Looks the host up, so it may take a while.
    pub(super) fn new(address: &str, prefix: &str) -> Result<Self, StatsdSetupError> {
        let to = resolve(address).map_err(StatsdSetupError::Lookup)?;
        let from = if to.is_ipv4() { "0.0.0.0" } else { "[::]" };
        let recorder = StatsdBuilder::from(to.ip().to_string(), to.port())
            .with_client_udp_host(from)
            .with_buffer_size(PACKET_BYTES)
            .with_queue_size(QUEUE)
            .histogram_is_timer()
            .build(Some(prefix).filter(|prefix| !prefix.is_empty()))?;
        Ok(Self(recorder))
    }

    pub(super) fn count(&self, metric: &'static Metric, labels: &[&str], by: u64) {
        if by > 0 {
            let key = key(metric, labels);
            self.0.register_counter(&key, &METADATA).increment(by);
        }
    }

    pub(super) fn set(&self, metric: &'static Metric, labels: &[&str], value: f64) {
        let key = key(metric, labels);
        self.0.register_gauge(&key, &METADATA).set(value);
    }

    pub(super) fn record(&self, metric: &'static Metric, labels: &[&str], value: f64) {
        let mut key = key(metric, labels);
        if metric.unit != Unit::Seconds {
            // The exporter's own hint, which it does not send: no timer.
            key = key.with_extra_labels(vec![Label::new("histogram", "histogram")]);
        }
        self.0.register_histogram(&key, &METADATA).record(value);
    }
}

fn resolve(address: &str) -> io::Result<SocketAddr> {
    address
        .to_socket_addrs()?
        .next()
        .ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn key(metric: &'static Metric, values: &[&str]) -> Key {
    let labels = metric.labels.iter().zip(values);
    let labels: Vec<Label> = labels
        .map(|(name, value)| Label::new(*name, tag_value(value)))
        .collect();
    Key::from_parts(metric.name, labels)
}

/// Without what separates parts of a line.
fn tag_value(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() || matches!(c, '|' | ',' | '#' | ':') {
                '_'
            } else {
                c
            }
        })
        .collect()
}
