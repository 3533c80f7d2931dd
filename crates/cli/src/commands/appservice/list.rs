//! `list`: all services in a table.

use std::{io::IsTerminal as _, process::ExitCode, time::Duration};

use bridgehead_admin_api::{Service, ServiceList};
use clap::Args;

use super::{Caller, describe};
use crate::{
    commands::{EndRequest, print},
    exit::Usage,
    output::{Cell, Look, Table, Tone, clean, count, flow, of, time},
};

/// How often a list that is watched is made anew.
const REFRESH_EVERY: Duration = Duration::from_secs(2);

/// From this width on there is room for notes.
const WIDE: u16 = 130;

#[derive(Args)]
pub(super) struct List {
    /// Keep the list on the terminal up to date, until Ctrl-C.
    #[arg(long, conflicts_with = "json")]
    watch: bool,
}

pub(super) async fn run(caller: &Caller, list: &List) -> anyhow::Result<ExitCode> {
    if list.watch {
        return watch(caller).await;
    }
    let services = caller.client.list_services().await?;
    caller.answer(&services, |services, look| {
        render(services, look, time::now_ms())
    })
}

async fn watch(caller: &Caller) -> anyhow::Result<ExitCode> {
    if !std::io::stdout().is_terminal() {
        return Err(Usage("--watch is for terminals; `watch` writes lines".to_owned()).into());
    }
    let mut end = EndRequest::new()?;
    loop {
        let services = caller.client.list_services().await?;
        let now_ms = time::now_ms();
        let text = render(&services, Look::of_stdout(), now_ms);
        // Home, the text with whatever stood behind each line wiped, and what stood below it.
        let text = text.replace('\n', "\u{1b}[K\n");
        print(&format!("\u{1b}[H{text}{}\u{1b}[J", time::utc(now_ms)))?;
        tokio::select! {
            () = end.asked() => break,
            () = tokio::time::sleep(REFRESH_EVERY) => {}
        }
    }
    print("\n")?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn render(list: &ServiceList, look: Look, now_ms: i64) -> String {
    if list.services.is_empty() {
        return format!(
            "{} has no application services; `bridgehead appservice add FILE` adds one\n",
            clean(&list.server_name)
        );
    }
    // Notes are sentences: beside the figures they need a wide terminal, or none.
    let notes_beside = look.has_room_for(WIDE);
    let mut headings = vec!["ID", "STATE", ">WAITING", "OLDEST", ">PER MIN", "LAST OK"];
    headings.extend(notes_beside.then_some("NOTE"));
    let mut table = Table::new(look, &headings);
    let mut notes = String::new();
    for service in &list.services {
        let note = describe::note(service, now_ms);
        let mut row = row(service, now_ms);
        if notes_beside {
            row.push(Cell::toned(Tone::Dim, &note));
        } else if !note.is_empty() {
            let id = clean(&service.id);
            let note = flow(look, 2, Tone::Plain, &format!("{id}: {note}"));
            notes.push_str(&format!("{note}\n"));
        }
        table.row(row);
    }
    if !notes.is_empty() {
        notes.insert(0, '\n');
    }
    let wanting = list
        .services
        .iter()
        .filter(|one| describe::needs_attention(one));
    let wanting = match wanting.count() {
        0 => String::new(),
        1 => ", 1 needs attention".to_owned(),
        more => format!(", {more} need attention"),
    };
    let total = of(list.services.len() as u64, "service");
    let summary = format!("{total} on {}{wanting}", clean(&list.server_name));
    let summary = look.paint(Tone::Dim, &summary);
    format!("{}{notes}\n{summary}\n", table.render())
}

fn row(service: &Service, now_ms: i64) -> Vec<Cell> {
    let (state, tone) = describe::state(service);
    let oldest = service.oldest_waiting_ms.map(time::duration);
    let success = service.last_success_at_ms.map(|at| time::ago(at, now_ms));
    vec![
        Cell::toned(Tone::Strong, &service.id),
        Cell::toned(tone, state),
        Cell::new(count(service.depth)),
        Cell::new(oldest.unwrap_or_default()),
        Cell::new(count(service.rates.delivered_last_minute)),
        Cell::new(success.unwrap_or_else(|| "never".to_owned())),
    ]
}
