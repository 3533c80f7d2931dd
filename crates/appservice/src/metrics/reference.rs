//! The reference page, made from the catalogue.

use super::catalogue::{CATALOGUE, Kind, Label, Metric, Unit};

const HEAD: &str = "\
| Metric | Kind | Unit | Labels | Meaning |
|---|---|---|---|---|
";

/// All instruments of the kit, as a Markdown table.
pub(super) fn render() -> String {
    let mut table = HEAD.to_owned();
    table.extend(CATALOGUE.iter().map(|metric| row(metric)));
    table
}

fn row(metric: &Metric) -> String {
    let (kind, buckets) = match metric.kind {
        Kind::Counter => ("counter", String::new()),
        Kind::Gauge => ("gauge", String::new()),
        Kind::Histogram(bounds) => {
            let bounds: Vec<String> = bounds.iter().map(f64::to_string).collect();
            ("histogram", format!(" Buckets: {}.", bounds.join(", ")))
        }
    };
    let unit = match metric.unit {
        Unit::Count => "count",
        Unit::Seconds => "seconds",
    };
    let mut labels = vec![format!("`{}`", super::SERVICE)];
    labels.extend(metric.labels.iter().map(label));
    format!(
        "| `{}` | {kind} | {unit} | {} | {}{buckets} |\n",
        metric.name,
        labels.join(", "),
        metric.help.trim(),
    )
}

fn label(label: &Label) -> String {
    if label.values.is_empty() {
        return format!("`{}`", label.name);
    }
    format!("`{}` ({})", label.name, label.values.join(", "))
}
