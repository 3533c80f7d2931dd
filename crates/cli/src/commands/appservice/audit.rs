//! `audit`: who did what, when and why.

use std::process::ExitCode;

use bridgehead_admin_api::{AuditPage, AuditQuery};
use clap::Args;

use super::Caller;
use crate::output::{Cell, Look, Table, Tone, head, time};

#[derive(Args)]
pub(super) struct Audit {
    /// Only what was done to this service.
    id: Option<String>,
    /// How many entries at most.
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// Only what came before this entry, by its number.
    #[arg(long, value_name = "NUMBER")]
    before: Option<u64>,
}

pub(super) async fn run(caller: &Caller, audit: Audit) -> anyhow::Result<ExitCode> {
    let query = AuditQuery {
        limit: Some(audit.limit),
        before: audit.before,
        service_id: audit.id,
    };
    let page = caller.client.list_audit(&query).await?;
    caller.answer(&page, |page, look| render(page, look, time::now_ms()))
}

pub(super) fn render(page: &AuditPage, look: Look, now_ms: i64) -> String {
    if page.entries.is_empty() {
        return "Nothing was done.\n".to_owned();
    }
    let headings = [">NUMBER", "WHEN", "WHO", "WHAT", "SERVICE", "WHY", "DETAIL"];
    let mut table = Table::new(look, &headings);
    for entry in &page.entries {
        let text = |text: &Option<String>| head(text.as_deref().unwrap_or(""), 120);
        table.row(vec![
            Cell::toned(Tone::Dim, entry.audit_id.to_string()),
            Cell::new(time::ago(entry.at_ms, now_ms)),
            Cell::new(&entry.who),
            Cell::toned(Tone::Strong, &entry.action),
            Cell::new(text(&entry.service_id)),
            Cell::new(text(&entry.reason)),
            Cell::toned(Tone::Dim, text(&entry.detail)),
        ]);
    }
    let mut shown = table.render();
    if let Some(next) = page.next {
        let line = format!("\n`--before {next}` shows what came before\n");
        shown.push_str(&look.paint(Tone::Dim, &line));
    }
    shown
}
