//! The same figures over UDP, for a statsd server.
//!
//! Names and labels are those of Prometheus; labels travel as tags in DogStatsD's form. What the queue does not hold is
//! dropped: a metrics server that is away slows nobody.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs as _},
};

use metrics::{Key, Label, Recorder as _};
use metrics_exporter_statsd::{StatsdBuilder, StatsdRecorder};

use super::{METADATA, catalogue::Unit};

/// What goes into one packet, so that it fits an Ethernet frame.
const PACKET_BYTES: usize = 1432;
/// Lines that wait to be sent; more are dropped.
const QUEUE: usize = 8192;

/// Why there is no connection to the statsd server. The service runs without it.
#[derive(Debug, thiserror::Error)]
pub enum StatsdError {
    /// Its name has no address.
    #[error("the statsd server {address} cannot be looked up: {source}; write host:port")]
    Lookup {
        /// As configured.
        address: String,
        /// What the resolver says.
        source: io::Error,
    },
    /// There is no socket to send from.
    #[error("nothing can be sent to the statsd server {address}: {reason}")]
    Sender {
        /// As configured.
        address: String,
        /// What the system says.
        reason: String,
    },
}

/// Sends to one statsd server.
pub(super) struct Statsd(StatsdRecorder);

impl Statsd {
    /// `address` as `host:port`. Looks the host up, so it may take a while.
    pub(super) fn new(address: &str, prefix: &str) -> Result<Self, StatsdError> {
        let to = resolve(address).map_err(|source| StatsdError::Lookup {
            address: address.to_owned(),
            source,
        })?;
        let from = if to.is_ipv4() { "0.0.0.0" } else { "[::]" };
        StatsdBuilder::from(to.ip().to_string(), to.port())
            .with_client_udp_host(from)
            .with_buffer_size(PACKET_BYTES)
            .with_queue_size(QUEUE)
            .histogram_is_timer()
            .build(Some(prefix).filter(|prefix| !prefix.is_empty()))
            .map(Self)
            .map_err(|error| StatsdError::Sender {
                address: address.to_owned(),
                reason: error.to_string(),
            })
    }

    pub(super) fn counter(&self, key: &Key) -> metrics::Counter {
        self.0.register_counter(&tagged(key), &METADATA)
    }

    pub(super) fn gauge(&self, key: &Key) -> metrics::Gauge {
        self.0.register_gauge(&tagged(key), &METADATA)
    }

    pub(super) fn histogram(&self, key: &Key, unit: Unit) -> metrics::Histogram {
        let mut key = tagged(key);
        if unit != Unit::Seconds {
            // The exporter's own hint, which it does not send: no timer.
            key = key.with_extra_labels(vec![Label::new("histogram", "histogram")]);
        }
        self.0.register_histogram(&key, &METADATA)
    }
}

fn resolve(address: &str) -> io::Result<SocketAddr> {
    address
        .to_socket_addrs()?
        .next()
        .ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Without what separates parts of a line.
fn tagged(key: &Key) -> Key {
    let tag = |c: char| if "|,#:@".contains(c) { '_' } else { c };
    let labels: Vec<Label> = key
        .labels()
        .map(|label| {
            let value: String = label.value().chars().map(tag).collect();
            Label::new(label.key().to_owned(), value)
        })
        .collect();
    Key::from_parts(key.name().to_owned(), labels)
}
