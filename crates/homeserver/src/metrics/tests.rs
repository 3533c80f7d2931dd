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

/// The metrics and labels that an expression names, each known; gives back how many metrics.
fn check_expression(expression: &str) -> usize {
    let words = regex::Regex::new(r"\b(?:bridgehead|process)_[a-z0-9_]+").unwrap();
    let mut count = 0;
    for word in words.find_iter(expression) {
        let name = word.as_str();
        let metric = CATALOGUE.iter().find(|metric| match metric.kind {
            Kind::Counter | Kind::Gauge => metric.name == name,
            Kind::Histogram(_) => ["_bucket", "_sum", "_count"]
                .iter()
                .any(|suffix| name.strip_suffix(suffix) == Some(metric.name)),
        });
        let metric = metric.unwrap_or_else(|| panic!("no metric {name}: {expression}"));
        check_matchers(metric, &expression[word.end()..], expression);
        count += 1;
    }
    for (open, close) in [('(', ')'), ('{', '}'), ('[', ']')] {
        let [opened, closed] = [open, close].map(|c| expression.matches(c).count());
        assert_eq!(opened, closed, "{expression}");
    }
    count
}

/// The labels in braces behind a metric's name are its own, or Prometheus's.
fn check_matchers(metric: &Metric, behind: &str, expression: &str) {
    let Some(matchers) = behind.strip_prefix('{') else {
        return;
    };
    let labels = regex::Regex::new(r#"([a-z_]+)(?:=~|!~|!=|=)"[^"]*""#).unwrap();
    let end = matchers.find('}').unwrap_or(matchers.len());
    for label in labels.captures_iter(&matchers[..end]) {
        let label = &label[1];
        assert!(
            metric.labels.contains(&label) || ["instance", "job"].contains(&label),
            "{} has no label {label}: {expression}",
            metric.name
        );
    }
}

#[test]
fn the_dashboard_shows_metrics_that_exist() {
    let text = fs::read_to_string(file("contrib/grafana-dashboard.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        if panel["type"] == "row" {
            continue;
        }
        let place = &panel["gridPos"];
        let right = place["x"].as_u64().unwrap() + place["w"].as_u64().unwrap();
        assert!(right <= 24, "{panel}");
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{panel}");
        for target in targets {
            assert!(check_expression(target["expr"].as_str().unwrap()) > 0);
        }
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        if variable["type"] == "query" {
            assert!(check_expression(variable["definition"].as_str().unwrap()) > 0);
        }
    }
}

#[test]
fn the_alerts_watch_metrics_that_exist_and_say_what_to_do() {
    let text = fs::read_to_string(file("contrib/prometheus-alerts.yml")).unwrap();
    let rules: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    let rules = rules["groups"][0]["rules"].as_array().unwrap();
    let mut names = BTreeSet::new();
    for rule in rules {
        assert!(names.insert(rule["alert"].as_str().unwrap()), "{rule}");
        let expression = rule["expr"].as_str().unwrap();
        let known = check_expression(expression);
        assert!(known > 0 || expression.starts_with("up{"), "{rule}");
        for annotation in ["summary", "description", "command"] {
            assert!(rule["annotations"][annotation].is_string(), "{rule}");
        }
        assert!(rule["labels"]["severity"].is_string(), "{rule}");
    }
    for wanted in [
        "BridgeheadDown",
        "BridgeheadServiceLags",
        "BridgeheadServiceStuck",
        "BridgeheadServiceErrors",
        "BridgeheadServiceFailed",
        "BridgeheadServicePausedLong",
        "BridgeheadDiskFull",
        "BridgeheadWalGrows",
    ] {
        assert!(names.contains(wanted), "{wanted}");
    }
}
