//! `show`: everything about one service.

use std::process::ExitCode;

use bridgehead_admin_api::{
    ClientError, History, InFlight, LastError, Service, Span, State, Stuck, TransactionView,
};
use clap::Args;

use super::{Caller, One, describe, transaction};
use crate::{
    commands::print,
    output::{Fields, Look, Tone, bytes, clean, count, head, of, sparkline, time},
};

/// How many events of the transaction in flight are shown here.
const EVENTS_SHOWN: usize = 10;
/// How wide a plot is.
const PLOT_WIDTH: usize = 60;

#[derive(Args)]
pub(super) struct Show {
    #[command(flatten)]
    one: One,
    /// Show the registration in force instead, as YAML with its tokens hidden.
    #[arg(long)]
    registration: bool,
}

pub(super) async fn run(caller: &Caller, show: &Show) -> anyhow::Result<ExitCode> {
    let id = &show.one.id;
    if show.registration {
        let registration = caller.client.get_registration(id).await?;
        return caller.answer(&registration, |one, _| {
            let yaml = one.yaml.trim_end();
            format!("# revision {}\n{yaml}\n", one.revision)
        });
    }
    let service = caller.client.get_service(id).await?;
    if caller.json {
        return caller.answer(&service, |_, _| String::new());
    }
    let in_flight = match &service.in_flight {
        Some(_) => found(caller.client.get_transaction(id).await)?,
        None => None,
    };
    let history = match caller.client.get_history(id, Span::Hour).await {
        // A server that keeps none has everything else to show.
        Err(ClientError::Unexpected { .. }) => None,
        asked => found(asked)?,
    };
    let view = View {
        service: &service,
        in_flight: in_flight.as_ref(),
        history: history.as_ref(),
    };
    print(&view.render(caller.look, time::now_ms()))?;
    Ok(ExitCode::SUCCESS)
}

/// What may be gone by the time it is asked for.
fn found<T>(result: Result<T, ClientError>) -> Result<Option<T>, ClientError> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// All that there is to show.
pub(super) struct View<'a> {
    pub(super) service: &'a Service,
    pub(super) in_flight: Option<&'a TransactionView>,
    pub(super) history: Option<&'a History>,
}

impl View<'_> {
    pub(super) fn render(&self, look: Look, now_ms: i64) -> String {
        let service = self.service;
        let (state, tone) = describe::state(service);
        let mut text = format!(
            "{}  {}\n",
            look.paint(Tone::Strong, &clean(&service.id)),
            look.paint(tone, &state)
        );
        text.push_str(&registration(service, look));
        text.push_str(&delivery(service, look, now_ms));
        if let Some(history) = self.history {
            text.push_str(&last_hour(history, look));
        }
        if let Some(in_flight) = &service.in_flight {
            text.push_str(&transaction_in_flight(in_flight, look, now_ms));
            if let Some(view) = self.in_flight {
                text.push_str(&transaction::events(&view.events, look, EVENTS_SHOWN));
            }
        }
        if let Some(stuck) = &service.stuck {
            text.push_str(&stuck_event(stuck, look, now_ms));
        }
        if let Some(error) = &service.last_error {
            text.push_str(&last_error(error, look, now_ms));
        }
        text.push_str(&next_steps(service, look));
        text
    }
}

fn registration(service: &Service, look: Look) -> String {
    let mut fields = Fields::new(look, "Registration");
    fields
        .add("Own user", &service.sender)
        .add("Address", service.url.as_deref().unwrap_or("none"))
        .add("Transactions", describe::transport(service.transport))
        .add(
            "Comes from",
            match service.source.as_str() {
                "api" => "the operator API",
                file => file,
            },
        )
        .add("Revision", service.revision.to_string());
    let habits = [
        (
            service.dialect.legacy_paths,
            "paths without /_matrix/app/v1",
        ),
        (service.dialect.query_token, "the token in the query"),
    ];
    let habits: Vec<_> = habits
        .iter()
        .filter(|(has, _)| *has)
        .map(|(_, name)| *name)
        .collect();
    fields.maybe(
        "Old habits",
        (!habits.is_empty()).then(|| habits.join(", ")),
    );
    fields.render()
}

fn delivery(service: &Service, look: Look, now_ms: i64) -> String {
    let mut fields = Fields::new(look, "Delivery");
    let waiting_tone = if describe::needs_attention(service) {
        Tone::Odd
    } else {
        Tone::Plain
    };
    fields.toned("Waiting", waiting_tone, describe::waiting(service));
    if let Some(pause) = describe::pause(service, now_ms) {
        fields.toned("Paused", Tone::Odd, pause);
    }
    let next = service.next_try_at_ms;
    let next = next.map(|at| format!("{}, or at a sign of life", time::ahead(at, now_ms)));
    let success = service.last_success_at_ms;
    let success = success.map_or("never".to_owned(), |at| time::ago(at, now_ms));
    fields
        .maybe("Next try", next)
        .add("Last success", success)
        .add(
            "Last minute",
            format!(
                "{} delivered",
                of(service.rates.delivered_last_minute, "entry")
            ),
        )
        .add("Last 5 minutes", attempts(service))
        .add("Cursor", count(service.cursor))
        .add(
            "Batch",
            format!("at most {}", of(service.batch_limit, "entry")),
        )
        .maybe("Replay", service.replay.as_ref().map(describe::progress))
        .maybe("Drain", service.drain.as_ref().map(describe::progress))
        .add("A stuck event", policy(service));
    if service.skipped > 0 {
        fields.add("Skipped", of(service.skipped, "transaction"));
    }
    fields.render()
}

fn attempts(service: &Service) -> String {
    match service.rates.attempts_last_5_minutes {
        0 => "no attempts".to_owned(),
        attempts => format!(
            "{}, {:.0} % of them failed",
            of(attempts, "attempt"),
            service.rates.failed_percent
        ),
    }
}

/// What happens with an event that is refused again and again.
pub(super) fn policy(service: &Service) -> String {
    match service.skip_stuck_after {
        None => "waits for a person".to_owned(),
        Some(attempts) => format!("is skipped after {}", of(attempts.into(), "attempt")),
    }
}

fn last_hour(history: &History, look: Look) -> String {
    let plot = |values: Vec<u64>| {
        let highest = values.iter().copied().max().unwrap_or(0);
        (sparkline(&values, PLOT_WIDTH), highest)
    };
    let of_samples = |pick: fn(&bridgehead_admin_api::Sample) -> u64| {
        plot(history.samples.iter().map(pick).collect())
    };
    if history.samples.is_empty() {
        return String::new();
    }
    let mut text = look.heading("Last hour");
    let rows = [
        (
            "Waiting",
            of_samples(|one| one.depth),
            count as fn(u64) -> String,
        ),
        ("Lag", of_samples(|one| one.lag_ms), time::duration),
        ("Delivered", of_samples(|one| one.delivered), count),
        ("Failed", of_samples(|one| one.failed), count),
    ];
    for (name, (bars, highest), show) in rows {
        let name = look.paint(Tone::Dim, &format!("{name:<14}"));
        text.push_str(&format!("  {name}  {bars}  at most {}\n", show(highest)));
    }
    text
}

fn transaction_in_flight(in_flight: &InFlight, look: Look, now_ms: i64) -> String {
    let mut fields = Fields::new(look, "In flight");
    fields
        .add("Transaction", &in_flight.transaction_id)
        .add("Made", time::ago(in_flight.since_ms, now_ms))
        .add(
            "Size",
            format!(
                "{}, {}",
                of(in_flight.events, "event"),
                bytes(in_flight.bytes)
            ),
        );
    let tone = if in_flight.failed_attempts == 0 {
        Tone::Plain
    } else {
        Tone::Odd
    };
    let failed = of(in_flight.failed_attempts.into(), "failed attempt");
    fields.toned("So far", tone, failed);
    fields.render()
}

fn stuck_event(stuck: &Stuck, look: Look, now_ms: i64) -> String {
    let mut fields = Fields::new(look, "Stuck on one event");
    fields
        .maybe("Event", stuck.event_id.as_ref())
        .add("What", describe::stuck_event(stuck))
        .maybe("Room", stuck.room_id.as_ref())
        .add("Position", count(stuck.position))
        .add("Transaction", &stuck.transaction_id)
        .add("Known", time::ago(stuck.since_ms, now_ms))
        .toned("Answer", Tone::Bad, &stuck.answer);
    fields.render()
}

fn last_error(error: &LastError, look: Look, now_ms: i64) -> String {
    let mut fields = Fields::new(look, "Last error");
    fields
        .add(
            "When",
            format!(
                "{}, {}",
                time::ago(error.at_ms, now_ms),
                time::utc(error.at_ms)
            ),
        )
        .add("Transaction", &error.transaction_id)
        .add("What", &error.message)
        .maybe("Status", error.status.map(|status| status.to_string()))
        .maybe("Answer", error.body.as_ref().map(|body| head(body, 1_000)));
    fields.render()
}

/// What an operator may want to do now.
fn next_steps(service: &Service, look: Look) -> String {
    let mut steps = Vec::new();
    if service.stuck.is_some() {
        steps.push(("transaction", "lays the refused event open"));
        steps.push(("skip", "goes on behind it"));
    }
    match service.state {
        State::Failed => steps.push(("retry", "brings it back")),
        State::Retrying => {
            steps.push(("doctor", "finds out what is wrong"));
            steps.push(("retry", "tries now"));
        }
        State::Idle | State::Delivering => {}
    }
    if service.paused.is_some() {
        steps.push(("resume", "ends the pause"));
    }
    if service.skipped > 0 {
        steps.push(("skips", "lists what was skipped"));
    }
    if steps.is_empty() {
        return String::new();
    }
    let mut text = look.heading("What to do");
    for (verb, effect) in steps {
        text.push_str(&format!(
            "  bridgehead appservice {verb} {}  {effect}\n",
            clean(&service.id)
        ));
    }
    text
}
