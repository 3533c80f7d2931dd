//! What is counted of a network, for Prometheus and statsd. It decides nothing, and counting waits for nobody.

use std::{sync::Arc, time::Duration};

use bridgehead_appservice::metrics::{Counter, Histogram, Metrics};
use parking_lot::Mutex;

use super::look::State;

/// What a figure is, for those who read the list.
struct Figure {
    name: &'static str,
    labels: &'static str,
    kind: &'static str,
    help: &'static str,
}

macro_rules! figures {
    ($($id:ident: $kind:literal $name:literal [$labels:literal] $help:literal,)*) => {
        $(const $id: (&str, &str) = ($name, $help);)*
        /// All of them.
        const CATALOGUE: &[Figure] = &[$(Figure {
            name: $name,
            labels: $labels,
            kind: $kind,
            help: $help,
        }),*];
    };
}

figures! {
    CONNECTIONS: "gauge" "irc_connections" ["network, state"]
        "Clients of the network by state: up, connecting, waiting for their turn, parked until their people speak, and idle with no reason to be connected.",
    CONNECT_SECONDS: "histogram" "irc_connect_seconds" ["network"]
        "How long it took from dialling to the end of the registration.",
    ENDS: "counter" "irc_connections_ended_total" ["network, why"]
        "Connections and attempts that have ended: error, timeout, refused (the registration), login, nicks (none is free), quit.",
    LINES: "counter" "irc_lines_total" ["network, direction"]
        "Lines that mean something to the bridge: in, heard (what others of its connections hear as well is not counted again); out, said for people and taken by the server.",
    REFUSALS: "counter" "irc_refusals_total" ["network, reason"]
        "What the server has refused, by its numeric or code; none, where it gave neither.",
    TO_IRC: "gauge" "irc_messages_waiting" ["network"]
        "Messages that wait to be said, or for the proof that they were.",
    TO_MATRIX: "gauge" "irc_deeds_waiting" ["network"]
        "What was heard and is not yet stored for Matrix; more than a few means that the disk is slow.",
    LOST: "counter" "irc_lines_lost_total" ["network"]
        "Lines that could not be kept because Matrix did not keep up; each is a bug or a disk that is too slow.",
    SPLITS: "counter" "irc_netsplit_quits_total" ["network"]
        "People who have gone in a netsplit.",
    AWAY: "gauge" "irc_netsplit_away" ["network"]
        "People who have gone in a netsplit and may come back.",
    CHANNELS: "gauge" "irc_channels" ["network"]
        "Channels that the bridge hears.",
    KEPT: "gauge" "irc_connections_kept" ["network"]
        "Connections that a keeper holds, and that a restart of the bridge does not end.",
    LAG_SECONDS: "gauge" "irc_lag_seconds" ["network"]
        "How long the server took to answer the bridge's own connection last.",
}

/// How many a network has of everything that goes up and down.
#[derive(Clone, Debug, Default)]
pub(super) struct Levels {
    /// Clients, by [`State`].
    pub(super) clients: [usize; State::ALL.len()],
    pub(super) to_irc: usize,
    pub(super) to_matrix: usize,
    pub(super) away: usize,
    pub(super) channels: usize,
    pub(super) kept: usize,
    pub(super) lag_ms: Option<u64>,
}

/// The instruments of one network.
pub(super) struct Figures {
    metrics: Metrics,
    network: String,
    connect_seconds: Histogram,
    heard: Counter,
    said: Counter,
    lost: Counter,
    splits: Counter,
    levels: Arc<Mutex<Levels>>,
}

impl Figures {
    pub(super) fn new(metrics: Metrics, network: &str) -> Self {
        let counter = |(name, help), labels: &[(&str, &str)]| {
            let labels = [&[("network", network)], labels].concat();
            metrics.counter(name, help, &labels)
        };
        let (name, help) = CONNECT_SECONDS;
        let connect_seconds = metrics.histogram(name, help, &[("network", network)]);
        let levels = Arc::new(Mutex::new(Levels::default()));
        show(&metrics, network, &levels);
        Self {
            connect_seconds,
            heard: counter(LINES, &[("direction", "in")]),
            said: counter(LINES, &[("direction", "out")]),
            lost: counter(LOST, &[]),
            splits: counter(SPLITS, &[]),
            network: network.to_owned(),
            metrics,
            levels,
        }
    }

    pub(super) fn connected(&self, after: Duration) {
        self.connect_seconds.record(after.as_secs_f64());
    }

    pub(super) fn ended(&self, why: &str) {
        self.count(ENDS, ("why", why));
    }

    pub(super) fn heard(&self) {
        self.heard.add(1);
    }

    pub(super) fn said(&self) {
        self.said.add(1);
    }

    pub(super) fn refused(&self, reason: &str) {
        self.count(REFUSALS, ("reason", reason));
    }

    pub(super) fn lost(&self) {
        self.lost.add(1);
    }

    pub(super) fn split(&self) {
        self.splits.add(1);
    }

    /// The network is no more.
    pub(super) fn end(&self) {
        self.set(Levels::default());
        tell(&self.metrics, &self.network, &Levels::default());
    }

    /// How everything stands now.
    pub(super) fn set(&self, levels: Levels) {
        *self.levels.lock() = levels;
    }

    fn count(&self, (name, help): (&str, &'static str), label: (&str, &str)) {
        let labels = [("network", self.network.as_str()), label];
        self.metrics.counter(name, help, &labels).add(1);
    }
}

/// Shows what goes up and down whenever somebody looks, for as long as the network runs.
fn show(metrics: &Metrics, network: &str, levels: &Arc<Mutex<Levels>>) {
    let (network, levels) = (network.to_owned(), Arc::downgrade(levels));
    metrics.on_look(move |metrics| {
        let Some(levels) = levels.upgrade() else {
            return;
        };
        let levels = levels.lock().clone();
        tell(metrics, &network, &levels);
    });
}

fn tell(metrics: &Metrics, network: &str, levels: &Levels) {
    let set = |(name, help), labels: &[(&str, &str)], value: f64| {
        let labels = [&[("network", network)], labels].concat();
        metrics.gauge(name, help, &labels).set(value);
    };
    for (state, count) in State::ALL.into_iter().zip(levels.clients) {
        set(CONNECTIONS, &[("state", state.name())], number(count));
    }
    set(TO_IRC, &[], number(levels.to_irc));
    set(TO_MATRIX, &[], number(levels.to_matrix));
    set(AWAY, &[], number(levels.away));
    set(CHANNELS, &[], number(levels.channels));
    set(KEPT, &[], number(levels.kept));
    if let Some(lag_ms) = levels.lag_ms {
        let lag = Duration::from_millis(lag_ms);
        set(LAG_SECONDS, &[], lag.as_secs_f64());
    }
}

/// As gauges have it: no count here comes near what would lose its last digit.
fn number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}

/// The list of figures as a Markdown table.
pub(crate) fn reference() -> String {
    let rows = CATALOGUE.iter().map(|figure| {
        let Figure {
            name,
            labels,
            kind,
            help,
        } = figure;
        format!("| `{name}` | {kind} | {labels} | {help} |\n")
    });
    format!(
        "| name | kind | labels | what it says |\n|---|---|---|---|\n{}",
        rows.collect::<String>()
    )
}
