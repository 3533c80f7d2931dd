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
    if !purge {
        return render_plain(report);
    }
    let id = clean(&report.id);
    let heading = match (report.dry_run, report.finished) {
        (true, _) => format!("{id} would be removed, and with it:"),
        (false, true) => format!("{id} is removed, and with it:"),
        (false, false) => format!("{id} is removed, and with it so far:"),
    };
    let mut fields = Fields::new(look, &heading);
    let (users, rooms) = (
        of(report.ghosts, "user"),
        of(report.memberships, "membership"),
    );
    fields
        .add("Users", format!("{users}, in {rooms}"))
        .add("Aliases", of(report.aliases, "alias"))
        .add("Directory", of(report.directory_entries, "directory entry"))
        .add("Queue", of(report.queued, "entry"));
    if !report.examples.is_empty() {
        fields.add("Such as", report.examples.join(", "));
    }
    let mut text = fields.render().trim_start().to_owned();
    if !report.dry_run && !report.finished {
        text.push_str("It goes on; the same command tells how far it has come.\n");
    }
    text
}

/// The server counts what a purge takes, and without one there is little to count.
fn render_plain(report: &RemovalReport) -> String {
    let id = clean(&report.id);
    let is = if report.dry_run { "would be" } else { "is" };
    let queued = match report.queued {
        0 => String::new(),
        queued => format!("Not delivered any more: {}.\n", of(queued, "entry")),
    };
    let dry_run = if report.dry_run { " --dry-run" } else { "" };
    format!(
        "{id} {is} removed. Its users, aliases and rooms stay.\n{queued}\
         `bridgehead appservice remove {id} --purge{dry_run}` {} them, too.\n",
        if report.dry_run { "counts" } else { "removes" }
    )
}
