//! `remove`: a service goes, and on demand all that it left behind.

use std::{process::ExitCode, time::Instant};

use bridgehead_admin_api::{Purge, RemovalReport};
use clap::Args;

use super::{Caller, One, Reason, confirm::Confirm, wait::Wait};
use crate::output::{Fields, Look, clean, meter::Meter, of};

#[derive(Args)]
pub(super) struct Remove {
    #[command(flatten)]
    one: One,
    /// Also deactivate its users (which leave their rooms), delete its aliases and directory
    /// entries, and drop what waits for it.
    #[arg(long)]
    purge: bool,
    /// Only say what would happen.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    reason: Reason,
    #[command(flatten)]
    confirm: Confirm,
    #[command(flatten)]
    wait: Wait,
}

pub(super) async fn run(caller: &Caller, remove: Remove) -> anyhow::Result<ExitCode> {
    let id = &remove.one.id;
    let request = Purge {
        purge: remove.purge,
        dry_run: remove.dry_run,
        reason: remove.reason.reason.clone(),
    };
    let mut planned = None;
    if remove.purge && !remove.dry_run {
        let dry_run = Purge {
            dry_run: true,
            ..request.clone()
        };
        let plan = caller.client.remove_service(id, &dry_run).await?;
        let what = render(&plan, true, Look::plain());
        if !remove.confirm.ask(what.trim_end())? {
            return Ok(ExitCode::FAILURE);
        }
        planned = Some(plan);
    }
    let mut report = caller.client.remove_service(id, &request).await?;
    if let Some(plan) = planned
        && remove.wait.is_wanted()
    {
        report = until_finished(caller, &remove, &request, &plan, report).await?;
    }
    caller.answer(&report, |report, look| render(report, remove.purge, look))
}

async fn until_finished(
    caller: &Caller,
    remove: &Remove,
    request: &Purge,
    plan: &RemovalReport,
    mut report: RemovalReport,
) -> anyhow::Result<RemovalReport> {
    let id = &remove.one.id;
    let started_at = Instant::now();
    let mut meter = Meter::new(&format!("purge of {id}"));
    while !report.finished {
        let (done, total) = (items(&report), items(plan));
        meter.show(done.min(total), total, "");
        let what = format!("the purge of {}", clean(id));
        remove.wait.pause(started_at, &what).await?;
        report = caller.client.remove_service(id, request).await?;
    }
    meter.end();
    Ok(report)
}

/// All that has to be touched one by one.
fn items(report: &RemovalReport) -> u64 {
    report.ghosts + report.memberships + report.aliases + report.directory_entries
}

pub(super) fn render(report: &RemovalReport, purge: bool, look: Look) -> String {
    let id = clean(&report.id);
    let (heading, others) = match (report.dry_run, purge) {
        (true, true) => (format!("{id} would be removed, and with it:"), "Queue"),
        (true, false) => (
            format!("{id} would be removed. What it leaves behind:"),
            "Not delivered",
        ),
        (false, true) if report.finished => (format!("{id} is removed, and with it:"), "Queue"),
        (false, true) => (
            format!("{id} is removed; still being removed with it:"),
            "Queue",
        ),
        (false, false) => (
            format!("{id} is removed. What it leaves behind:"),
            "Not delivered",
        ),
    };
    let mut fields = Fields::new(look, &heading);
    fields
        .add(
            "Users",
            format!(
                "{}, in {}",
                of(report.ghosts, "user"),
                of(report.memberships, "membership")
            ),
        )
        .add("Aliases", of(report.aliases, "alias"))
        .add("Directory", of(report.directory_entries, "directory entry"))
        .add(others, of(report.queued, "entry"));
    if !report.examples.is_empty() {
        fields.add("Such as", report.examples.join(", "));
    }
    let mut text = fields.render().trim_start().to_owned();
    if report.dry_run && !purge {
        text.push_str("With --purge that goes, too.\n");
    }
    text
}
