//! The reference page, made from the catalogue.

use std::fmt::Write as _;

use super::catalogue::{CATALOGUE, Kind, Metric};

const INTRODUCTION: &str = "\
# Metrics

This page is generated from the code. `GET /metrics` gives them to Prometheus; with `metrics.statsd` set they go to a
statsd server as well. `docs/monitoring.md` says how to have them collected, shown and watched.

Labels are bounded: `endpoint` is a route's template, `appservice` a registered service. The series of a service end
when it is removed. Counters start at zero when the server starts.
";

/// The reference of all metrics, in Markdown.
pub(super) fn render() -> String {
    let mut page = INTRODUCTION.to_owned();
    for (heading, prefix) in [
        ("Clients", "bridgehead_http_"),
        ("Application services", "bridgehead_appservice_"),
        ("Database", "bridgehead_store_"),
        ("Process", ""),
    ] {
        write!(
            page,
            "\n## {heading}\n\n| Metric | Kind | Unit | Labels | Meaning |\n|---|---|---|---|---|\n"
        )
        .expect("invariant: writing to a String cannot fail");
        for metric in CATALOGUE {
            if chapter(metric) == prefix {
                page.push_str(&row(metric));
            }
        }
    }
    page
}

/// The start of the names in the metric's chapter.
fn chapter(metric: &Metric) -> &'static str {
    [
        "bridgehead_http_",
        "bridgehead_appservice_",
        "bridgehead_store_",
    ]
    .into_iter()
    .find(|prefix| metric.name.starts_with(prefix))
    .unwrap_or_default()
}

fn row(metric: &Metric) -> String {
    let labels: Vec<String> = metric.labels.iter().map(|l| format!("`{l}`")).collect();
    let (kind, buckets) = match metric.kind {
        Kind::Counter => ("counter", String::new()),
        Kind::Gauge => ("gauge", String::new()),
        Kind::Histogram(bounds) => {
            let bounds: Vec<String> = bounds.iter().map(f64::to_string).collect();
            ("histogram", format!(" Buckets: {}.", bounds.join(", ")))
        }
    };
    format!(
        "| `{}` | {kind} | {} | {} | {}{buckets} |\n",
        metric.name,
        metric.unit.as_str(),
        labels.join(", "),
        metric.help.trim(),
    )
}
