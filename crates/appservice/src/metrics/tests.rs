//! The catalogue's rules, the page, and what arrives at a statsd server.

use std::{collections::BTreeSet, net::UdpSocket, time::Duration};

use super::{catalogue::*, *};

#[test]
fn names_follow_the_conventions() {
    let mut seen = BTreeSet::new();
    for metric in CATALOGUE {
        let name = metric.name;
        assert!(seen.insert(name), "{name} stands there twice");
        assert!(name.starts_with("appservice_"), "{name}");
        assert_eq!(
            name.ends_with("_total"),
            metric.kind == Kind::Counter,
            "counters and nothing else end in _total: {name}"
        );
        assert_eq!(
            name.ends_with("_seconds"),
            metric.unit == Unit::Seconds,
            "{name}"
        );
        assert!(metric.help.trim().ends_with('.'), "{name}");
        if let Kind::Histogram(bounds) = metric.kind {
            assert!(bounds.is_sorted_by(|a, b| a < b), "{name}");
        }
        let known = metric.labels.iter().filter(|l| !l.values.is_empty());
        assert!(
            known.count() <= 1,
            "{name}: all combinations would have to be touched"
        );
    }
}

#[test]
fn the_page_tells_services_apart() {
    let irc = Metrics::new("irc");
    let log = irc.for_service("log \"x\"\n");
    irc.count(&TRANSACTIONS, &["received"], 3);
    irc.record(&HANDLER_SECONDS, &["on_message", "m.room.message"], 0.2);
    log.count(&TRANSACTIONS, &["received"], 4);
    log.set(&INBOX_DEPTH, &[], 7.0);
    log.set(&INBOX_DEPTH, &[], 2.0);
    for page in [irc.render(), log.render()] {
        for line in [
            "appservice_transactions_total{service=\"irc\",outcome=\"received\"} 3",
            "appservice_transactions_total{service=\"irc\",outcome=\"refused\"} 0",
            "appservice_transactions_total{service=\"log _x__\",outcome=\"received\"} 4",
            "appservice_inbox_events{service=\"log _x__\"} 2",
            "appservice_handler_duration_seconds_bucket{service=\"irc\",handler=\"on_message\",kind=\"m.room.message\",le=\"0.25\"} 1",
            "# TYPE appservice_handler_duration_seconds histogram",
            "# HELP appservice_inbox_events Events in the inbox that wait or are being handled.",
        ] {
            assert!(page.lines().any(|l| l == line), "no {line} in:\n{page}");
        }
        assert!(
            !page.contains("appservice_inbox_events{service=\"irc\"}"),
            "{page}"
        );
    }
    let apart = Metrics::new("irc").render();
    assert!(
        !apart.contains("} 3"),
        "two sets of instruments are apart: {apart}"
    );
}

#[test]
fn gauges_are_read_when_somebody_looks() {
    let metrics = Metrics::new("irc");
    let depth = Arc::new(std::sync::atomic::AtomicU32::new(1));
    let reads = depth.clone();
    metrics.for_service("log").on_look(move |metrics| {
        let value = reads.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        metrics.set(&OUTBOX_DEPTH, &[], f64::from(value));
    });
    for expected in [1, 2] {
        let page = metrics.render();
        let line = format!("appservice_outbox_sends{{service=\"log\"}} {expected}");
        assert!(page.lines().any(|l| l == line), "no {line} in:\n{page}");
    }
}

#[test]
fn labels_from_outside_are_bounded() {
    let metrics = Metrics::new("irc");
    for index in 0..1000 {
        let kind = format!("org.example.{index}");
        metrics.record(&HANDLER_SECONDS, &["on_any", &kind], 0.1);
        metrics
            .counter("mine_total", "Mine.", &[("nick", &kind)])
            .add(1);
    }
    let page = metrics.render();
    let count = |start: &str| page.lines().filter(|line| line.starts_with(start)).count();
    assert_eq!(
        count("appservice_handler_duration_seconds_count"),
        VALUES + 1
    );
    assert_eq!(count("mine_total{"), VALUES + 1);
    let line = "mine_total{service=\"irc\",nick=\"other\"} 900";
    assert!(page.contains(line), "{page}");
}

#[test]
fn authors_add_instruments() {
    let metrics = Metrics::new("irc");
    metrics
        .counter(
            "irc_lines_total",
            "Lines received.",
            &[("network", "libera")],
        )
        .add(2);
    metrics
        .counter(
            "irc_lines_total",
            "Lines received.",
            &[("network", "libera")],
        )
        .add(3);
    metrics
        .gauge("irc_channels", "Channels joined.", &[])
        .set(4.5);
    metrics
        .histogram("irc_lag_seconds", "Lag.", &[])
        .record(0.02);
    let page = metrics.render();
    for line in [
        "# HELP irc_lines_total Lines received.",
        "irc_lines_total{service=\"irc\",network=\"libera\"} 5",
        "irc_channels{service=\"irc\"} 4.5",
        "irc_lag_seconds_bucket{service=\"irc\",le=\"0.025\"} 1",
        "irc_lag_seconds_bucket{service=\"irc\",le=\"0.01\"} 0",
    ] {
        assert!(page.lines().any(|l| l == line), "no {line} in:\n{page}");
    }
}

#[test]
fn names_that_cannot_be_used_count_nothing() {
    let metrics = Metrics::new("irc");
    metrics.gauge("mine", "A gauge.", &[]).set(1.0);
    metrics.counter("mine", "A counter.", &[]).add(1);
    metrics
        .gauge("appservice_joins_total", "Joins.", &[])
        .set(1.0);
    metrics.gauge("not a name", "No.", &[]).set(1.0);
    metrics.gauge("9lives", "No.", &[]).set(1.0);
    metrics
        .gauge("labelled", "Labels.", &[("service", "mine"), ("a b", "c")])
        .set(1.0);
    for index in 0..1000 {
        let name = format!("many_{index}");
        metrics.gauge(&name, "Many.", &[]).set(1.0);
    }
    let page = metrics.render();
    assert!(page.contains("mine{service=\"irc\"} 1\n"), "{page}");
    assert!(page.contains("labelled{service=\"irc\"} 1\n"), "{page}");
    for absent in [
        "# TYPE mine counter",
        "# TYPE appservice_joins_total gauge",
        "lives",
        "not a name",
        "not_a_name",
        "many_999",
    ] {
        assert!(!page.contains(absent), "{absent} in:\n{page}");
    }
}

#[test]
fn the_reference_names_every_instrument() {
    let reference = Metrics::reference();
    for metric in CATALOGUE {
        assert!(reference.contains(metric.name), "{}", metric.name);
    }
    assert!(
        reference.contains(
            "| `appservice_sends_total` | counter | count | `service`, `outcome` (sent, given_up) |"
        ),
        "{reference}"
    );
}

#[test]
fn a_statsd_server_that_has_no_address_is_an_error_that_says_so() {
    let error = Metrics::with_statsd("irc", "no port", "").err();
    let text = error.map(|error| error.to_string()).unwrap_or_default();
    assert!(
        text.contains("no port") && text.contains("write host:port"),
        "{text}"
    );
}

#[tokio::test]
async fn statsd_gets_the_same_figures() {
    let server = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let patience = Some(Duration::from_secs(20));
    server.set_read_timeout(patience).expect("a timeout");
    let address = server.local_addr().expect("an address").to_string();
    {
        let metrics = Metrics::with_statsd("irc", &address, "matrix").expect("an address");
        metrics.count(&SENDS, &["sent"], 2);
        metrics.count(&SENDS, &["sent"], 0);
        metrics.record(&SEND_SECONDS, &[], 0.25);
        metrics.on_look(|metrics| metrics.set(&REMOTE_UP, &["a|b:c"], 1.0));
        metrics
            .histogram("irc_line_bytes", "Length.", &[])
            .record(80.0);
        metrics.upkeep();
        // What is still buffered goes out when the sender is dropped.
    }
    let mut received = String::new();
    let wanted = [
        "matrix.appservice_sends_total:2|c|#service:irc,outcome:sent",
        "matrix.appservice_send_duration_seconds:250|ms|#service:irc",
        "matrix.appservice_remote_up:1|g|#service:irc,remote:a_b_c",
        "matrix.irc_line_bytes:80|h|#service:irc",
    ];
    while !wanted.iter().all(|line| received.contains(line)) {
        let mut packet = [0; 2048];
        let length = server.recv(&mut packet).unwrap_or_else(|error| {
            panic!("no more packets ({error}), and not all of {wanted:?} in:\n{received}")
        });
        received.push_str(&String::from_utf8_lossy(&packet[..length]));
        received.push('\n');
    }
    assert!(!received.contains("sends_total:0"), "{received}");
}
