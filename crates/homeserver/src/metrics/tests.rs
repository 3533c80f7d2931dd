//! The catalogue against the reference page, the example dashboard and the alert rules.

use std::{collections::BTreeSet, fs, path::PathBuf};

use super::{Metrics, catalogue::*, key, label_value, reference, service_of};

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(name)
}

#[test]
fn the_reference_is_current() {
    let (path, wanted) = (file("docs/metrics.md"), reference::render());
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        fs::write(&path, &wanted).unwrap();
    }
    assert_eq!(
        fs::read_to_string(&path).unwrap_or_default(),
        wanted,
        "docs/metrics.md is stale; run this test again with UPDATE_GENERATED=1"
    );
}

#[test]
fn names_follow_the_conventions() {
    let mut seen = BTreeSet::new();
    for metric in CATALOGUE {
        let name = metric.name;
        assert!(seen.insert(name), "{name} stands there twice");
        assert_eq!(
            name.ends_with("_total"),
            metric.kind == Kind::Counter,
            "counters and nothing else end in _total: {name}"
        );
        let unit = match metric.unit {
            metrics::Unit::Seconds => "_seconds",
            metrics::Unit::Bytes => "_bytes",
            _ => "",
        };
        let base = name.trim_end_matches("_total");
        assert!(base.ends_with(unit), "{name} is in{unit}");
        assert!(metric.help.trim().ends_with('.'), "{name}");
        if let Kind::Histogram(bounds) = metric.kind {
            assert!(bounds.is_sorted_by(|a, b| a < b), "{name}");
        }
        let of_a_service = name.starts_with("bridgehead_appservice_");
        assert_eq!(
            metric.labels.first() == Some(&"appservice"),
            of_a_service,
            "{name}"
        );
    }
}

#[test]
fn series_of_services_that_are_gone_are_not_shown() {
    let config = crate::config::Config::load(
        None,
        std::iter::empty(),
        crate::config::Overrides::default(),
    );
    let metrics = Metrics::new(&config.unwrap().config.metrics);
    for id in ["here", "gone", "odd \"id\\\n"] {
        metrics.touch_service(id);
        metrics.count(&AS_EVENTS, &[id], 3);
        metrics.record(&AS_PUSH, &[id], 0.2);
    }
    let in_force = ["here", "odd \"id\\\n"].map(label_value);
    let page = metrics.render(&in_force.into_iter().collect());
    assert!(!page.contains("gone"), "{page}");
    for line in [
        "bridgehead_appservice_events_delivered_total{appservice=\"here\"} 3",
        "bridgehead_appservice_events_delivered_total{appservice=\"odd _id__\"} 3",
        "bridgehead_appservice_push_duration_seconds_bucket{appservice=\"here\",le=\"0.25\"} 1",
        "# TYPE bridgehead_appservice_push_duration_seconds histogram",
    ] {
        assert!(page.lines().any(|l| l == line), "no {line} in:\n{page}");
    }
}

#[test]
fn a_line_names_its_service() {
    for (line, id) in [
        (r#"a{appservice="irc"} 1"#, Some("irc")),
        (r#"a{le="1",appservice="irc",state="idle"} 1"#, Some("irc")),
        (r#"a{endpoint="/x"} 1"#, None),
        (r#"# HELP a of appservice="irc"#, None),
    ] {
        assert_eq!(service_of(line), id);
    }
}

#[test]
fn labels_stand_in_the_catalogue_order() {
    let key = key(&AS_QUERIES, &["irc", "user", "yes"]);
    let labels: Vec<_> = key.labels().map(|l| (l.key(), l.value())).collect();
    assert_eq!(
        labels,
        [("appservice", "irc"), ("kind", "user"), ("outcome", "yes")]
    );
}
