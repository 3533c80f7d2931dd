//! `transaction`: the transaction in flight, laid open.

use std::process::ExitCode;

use bridgehead_admin_api::{TransactionEvent, TransactionView};
use clap::Args;

use super::{Caller, One};
use crate::{
    commands::print,
    output::{self, Cell, Fields, Look, Table, Tone, bytes, clean, count, flow, of, time},
};

/// An event's ids side by side, and what is around them.
const TABLE_WIDTH: u16 = 150;

#[derive(Args)]
pub(super) struct Transaction {
    #[command(flatten)]
    one: One,
    /// Print its body instead, as the service gets it.
    #[arg(long)]
    body: bool,
}

pub(super) async fn run(caller: &Caller, transaction: &Transaction) -> anyhow::Result<ExitCode> {
    let view = caller.client.get_transaction(&transaction.one.id).await?;
    if transaction.body {
        print(&output::json(&view.body)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    caller.answer(&view, |view, look| render(view, look, time::now_ms()))
}

pub(super) fn render(view: &TransactionView, look: Look, now_ms: i64) -> String {
    let mut fields = Fields::new(look, &format!("Transaction {}", view.transaction_id));
    fields
        .add("Made", time::ago(view.created_at_ms, now_ms))
        .add(
            "Size",
            format!(
                "{}, {}",
                of(view.events.len() as u64, "event"),
                bytes(view.bytes)
            ),
        )
        .add("So far", of(view.failed_attempts.into(), "failed attempt"))
        .add("Ends at", format!("position {}", count(view.upto)));
    let text = fields.render() + &events(&view.events, look, usize::MAX);
    text.trim_start().to_owned()
}

/// The events, as many as are wanted.
pub(super) fn events(events: &[TransactionEvent], look: Look, at_most: usize) -> String {
    if events.is_empty() {
        return String::new();
    }
    let shown = &events[..events.len().min(at_most)];
    let mut text = match look.has_room_for(TABLE_WIDTH) {
        true => table(shown, look),
        false => lines(shown, look),
    };
    let more = events.len().saturating_sub(at_most);
    if more > 0 {
        let line = format!("  and {} more\n", count(more as u64));
        text.push_str(&look.paint(Tone::Dim, &line));
    }
    text
}

fn table(events: &[TransactionEvent], look: Look) -> String {
    let mut table = Table::new(look, &["EVENT", "TYPE", "SENDER", "ROOM", ">SIZE"]).indented();
    for event in events {
        table.row(vec![
            Cell::new(&event.event_id),
            Cell::new(&event.event_type),
            Cell::new(&event.sender),
            Cell::new(&event.room_id),
            Cell::new(bytes(event.bytes)),
        ]);
    }
    format!("\n{}", table.render())
}

/// The same where four long ids have no room side by side.
fn lines(events: &[TransactionEvent], look: Look) -> String {
    let lines = events.iter().map(|event| {
        let kind = look.paint(Tone::Strong, &clean(&event.event_type));
        let about = format!(
            "from {} in {}, {}",
            event.sender,
            event.room_id,
            bytes(event.bytes)
        );
        let about = flow(look, 4, Tone::Plain, &about);
        let event_id = look.paint(Tone::Dim, &clean(&event.event_id));
        format!("\n  {kind}\n    {about}\n    {event_id}\n")
    });
    lines.collect()
}
