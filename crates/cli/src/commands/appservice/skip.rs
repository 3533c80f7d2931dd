//! `skip`: going on behind a transaction that is refused; `skips`: what was skipped.

use std::process::ExitCode;

use bridgehead_admin_api::{InFlight, Service, SkipList, SkipRequest, Stuck};
use clap::Args;

use super::{Caller, One, Reason, confirm::Confirm, describe, steer};
use crate::output::{Cell, Look, Table, Tone, clean, head, of, time};

#[derive(Args)]
pub(super) struct Skip {
    #[command(flatten)]
    one: One,
    /// The transaction that is meant; without it, the one in flight now. A skip never hits another
    /// that came in between.
    #[arg(long, value_name = "ID")]
    transaction: Option<String>,
    #[command(flatten)]
    reason: Reason,
    #[command(flatten)]
    confirm: Confirm,
}

pub(super) async fn run(caller: &Caller, skip: Skip) -> anyhow::Result<ExitCode> {
    let id = &skip.one.id;
    let before = caller.client.get_service(id).await?;
    let Some(transaction_id) = skip.transaction.or_else(|| in_flight_id(&before)) else {
        anyhow::bail!(
            "no transaction of {} is in flight: there is nothing to skip",
            clean(id)
        );
    };
    if !skip.confirm.ask(&question(&before, &transaction_id))? {
        return Ok(ExitCode::FAILURE);
    }
    let request = SkipRequest {
        transaction_id,
        reason: skip.reason.reason,
    };
    let service = caller.client.skip(id, &request).await?;
    caller.answer(&service, |service, _| {
        format!(
            "Transaction {} of {id} is skipped. `bridgehead appservice skips {id}` lists it, and replays it by its number.\n{}",
            clean(&request.transaction_id),
            steer::now(service),
            id = clean(&service.id),
        )
    })
}

fn in_flight_id(service: &Service) -> Option<String> {
    let in_flight = service.in_flight.as_ref();
    in_flight.map(|in_flight| in_flight.transaction_id.clone())
}

/// What a skip of this transaction will do.
pub(super) fn question(service: &Service, transaction_id: &str) -> String {
    let id = clean(&service.id);
    let mut text = format!(
        "Transaction {} of {id} will be skipped",
        clean(transaction_id)
    );
    let is_it = |other: &str| other == transaction_id;
    if let Some(stuck) = service
        .stuck
        .as_ref()
        .filter(|one: &&Stuck| is_it(&one.transaction_id))
    {
        text.push_str(&format!(": one event, {}", describe::stuck_event(stuck)));
        if let Some(event_id) = &stuck.event_id {
            text.push_str(&format!(" ({})", clean(event_id)));
        }
    } else if let Some(one) = service
        .in_flight
        .as_ref()
        .filter(|one: &&InFlight| is_it(&one.transaction_id))
    {
        text.push_str(&format!(": {}", of(one.events, "event")));
        if one.failed_attempts == 0 {
            text.push_str(", and no attempt of it has failed yet");
        }
    }
    text.push_str(&format!(
        ".\n{id} will not get what is in it, and goes on with what is behind it. It is kept, and can be replayed."
    ));
    text
}

pub(super) async fn list(caller: &Caller, id: &str) -> anyhow::Result<ExitCode> {
    let skips = caller.client.list_skips(id).await?;
    caller.answer(&skips, |skips, look| {
        render(skips, id, look, time::now_ms())
    })
}

pub(super) fn render(list: &SkipList, id: &str, look: Look, now_ms: i64) -> String {
    let id = clean(id);
    if list.skips.is_empty() {
        return format!("Nothing of {id} was skipped.\n");
    }
    let headings = [">NUMBER", "SKIPPED", "BY", "WHAT", "REPLAYED", "WHY"];
    let mut table = Table::new(look, &headings);
    for skip in &list.skips {
        let what = match skip.events.as_slice() {
            [] => "no events".to_owned(),
            [one] => format!("{} from {}", one.event_type, one.sender),
            more => of(more.len() as u64, "event"),
        };
        let replayed = skip.replayed_at_ms.map(|at| time::ago(at, now_ms));
        let why = skip.reason.as_ref().or(skip.answer.as_ref());
        table.row(vec![
            Cell::toned(Tone::Strong, skip.skip_id.to_string()),
            Cell::new(time::ago(skip.at_ms, now_ms)),
            Cell::new(&skip.by),
            Cell::new(what),
            Cell::new(replayed.unwrap_or_else(|| "no".to_owned())),
            Cell::new(head(why.map_or("", String::as_str), 80)),
        ]);
    }
    let hint = format!("`bridgehead appservice replay {id} --skip NUMBER` sends one of them again");
    format!("{}\n{}\n", table.render(), look.paint(Tone::Dim, &hint))
}
