//! `watch`: what happens, as it happens.
//!
//! Two sources: the server's event stream, and the services themselves, which are looked at every
//! two seconds, for a change of state is no event. When the server goes away it is waited for.

use std::{collections::BTreeMap, process::ExitCode, time::Duration};

use bridgehead_admin_api::{
    ClientError, EventKind, EventStream, OperatorEvent, Service, StreamItem,
};
use clap::Args;
use serde::Serialize;
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use super::{Caller, describe};
use crate::{
    commands::{EndRequest, print_to_reader},
    output::{self, Look, Tone, clean, of, time},
};

/// How often the services are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The first and the longest wait before a server that went away is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(500);
const RETRY_AFTER_AT_MOST: Duration = Duration::from_secs(10);

#[derive(Args)]
pub(super) struct Watch {
    /// Only this service.
    id: Option<String>,
}

/// Why following ended.
enum End {
    /// Nobody reads the output any more.
    Unread,
    /// The server closed the stream, or is gone.
    Lost(String),
}

/// A change of state, for scripts: beside the API's events, one object a line.
#[derive(Serialize)]
struct StateLine<'a> {
    at_ms: i64,
    event: &'static str,
    service_id: &'a str,
    /// Absent when the service is registered no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'a Service>,
}

pub(super) async fn run(caller: &Caller, watch: Watch) -> anyhow::Result<ExitCode> {
    let mut end = EndRequest::new()?;
    let mut watcher = Watcher {
        caller,
        id: watch.id,
        known: BTreeMap::new(),
    };
    // What is wrong at the start is told at once; only what was there is waited for.
    let mut stream = tokio::select! {
        () = end.asked() => return Ok(ExitCode::SUCCESS),
        begun = watcher.begin() => match begun? {
            Some(stream) => stream,
            None => return Ok(ExitCode::SUCCESS),
        },
    };
    loop {
        let reason = tokio::select! {
            () = end.asked() => return Ok(ExitCode::SUCCESS),
            ended = watcher.follow(stream) => match ended? {
                End::Unread => return Ok(ExitCode::SUCCESS),
                End::Lost(reason) => reason,
            },
        };
        eprintln!("bridgehead: the server is gone ({reason}); waiting for it");
        stream = tokio::select! {
            () = end.asked() => return Ok(ExitCode::SUCCESS),
            again = watcher.begin_again() => match again? {
                Some(stream) => stream,
                None => return Ok(ExitCode::SUCCESS),
            },
        };
    }
}

struct Watcher<'a> {
    caller: &'a Caller,
    id: Option<String>,
    /// How each service stood when it was last told of.
    known: BTreeMap<String, String>,
}

impl Watcher<'_> {
    /// Opens the stream and tells how things stand; `None` when nobody reads it.
    async fn begin(&mut self) -> Result<Option<EventStream>, anyhow::Error> {
        let services = self.services().await?;
        let stream = self.caller.client.events(self.id.as_deref()).await?;
        Ok(self.tell_states(&services)?.then_some(stream))
    }

    /// The same, as often as it takes.
    async fn begin_again(&mut self) -> anyhow::Result<Option<EventStream>> {
        let mut wait = RETRY_AFTER;
        loop {
            match self.begin().await {
                Err(error) if is_outage(&error) => {}
                begun => {
                    begun
                        .as_ref()
                        .ok()
                        .inspect(|_| eprintln!("bridgehead: the server is back"));
                    return begun;
                }
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(RETRY_AFTER_AT_MOST);
        }
    }

    async fn follow(&mut self, mut stream: EventStream) -> anyhow::Result<End> {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_read = tokio::select! {
                next = stream.next() => match next {
                    Ok(Some(StreamItem::Event(event))) => self.tell_event(&event)?,
                    Ok(Some(StreamItem::Missed(missed))) => self.tell_missed(missed)?,
                    Ok(None) => return Ok(End::Lost("it ended the stream".to_owned())),
                    Err(error) => return Ok(End::Lost(error.to_string())),
                },
                _ = ticks.tick() => match self.services().await {
                    Ok(services) => self.tell_states(&services)?,
                    Err(error) if is_outage(&error) => return Ok(End::Lost(error.to_string())),
                    Err(error) => return Err(error),
                },
            };
            if !is_read {
                return Ok(End::Unread);
            }
        }
    }

    /// The services that are watched, as they are now.
    async fn services(&self) -> anyhow::Result<Vec<Service>> {
        let client = &self.caller.client;
        match &self.id {
            None => Ok(client.list_services().await?.services),
            Some(id) => match client.get_service(id).await {
                Ok(service) => Ok(vec![service]),
                // It was removed while it was watched.
                Err(error) if error.is_not_found() && self.known.contains_key(id) => Ok(Vec::new()),
                Err(error) => Err(error.into()),
            },
        }
    }

    /// Tells of each service whose state is another than before. Gives back whether somebody reads.
    fn tell_states(&mut self, services: &[Service]) -> anyhow::Result<bool> {
        let mut lines = String::new();
        for service in services {
            let state = state_words(service);
            if self.known.get(&service.id) != Some(&state) {
                lines.push_str(&self.state_line(&service.id, Some(service))?);
                self.known.insert(service.id.clone(), state);
            }
        }
        let is_here = |id: &String| services.iter().any(|service| service.id == *id);
        let gone: Vec<_> = self
            .known
            .keys()
            .filter(|id| !is_here(id))
            .cloned()
            .collect();
        for id in gone {
            lines.push_str(&self.state_line(&id, None)?);
            self.known.remove(&id);
        }
        print_to_reader(&lines)
    }

    fn state_line(&self, id: &str, service: Option<&Service>) -> anyhow::Result<String> {
        let now_ms = time::now_ms();
        if self.caller.json {
            return output::json_line(&StateLine {
                at_ms: now_ms,
                event: "state",
                service_id: id,
                service,
            });
        }
        Ok(render_state(id, service, self.caller.look, now_ms))
    }

    /// The server could not keep up with telling, or this end with reading.
    fn tell_missed(&self, missed: u64) -> anyhow::Result<bool> {
        let now_ms = time::now_ms();
        let line = if self.caller.json {
            output::json_line(&json!({ "at_ms": now_ms, "event": "lagged", "missed": missed }))?
        } else {
            format!(
                "{}  {} came too fast to be told\n",
                time::clock(now_ms),
                of(missed, "event")
            )
        };
        print_to_reader(&line)
    }

    fn tell_event(&self, event: &OperatorEvent) -> anyhow::Result<bool> {
        let line = if self.caller.json {
            output::json_line(event)?
        } else {
            render_event(event, self.caller.look)
        };
        print_to_reader(&line)
    }
}

/// Whether waiting may help.
fn is_outage(error: &anyhow::Error) -> bool {
    match error.downcast_ref() {
        Some(ClientError::Unreachable { .. } | ClientError::Unexpected { .. }) => true,
        Some(ClientError::Refused { status, .. }) => *status >= 500,
        None => false,
    }
}

/// What counts as a change.
fn state_words(service: &Service) -> String {
    let stuck = service
        .stuck
        .as_ref()
        .map(|stuck| stuck.transaction_id.as_str());
    // A service at work goes to and fro between these two; its events tell of that.
    let state = match describe::state(service).0.as_str() {
        "delivering" => "idle".to_owned(),
        other => other.to_owned(),
    };
    format!(
        "{state} {:?} {}",
        service.transport,
        stuck.unwrap_or_default()
    )
}

pub(super) fn render_state(id: &str, service: Option<&Service>, look: Look, now_ms: i64) -> String {
    let (state, tone) = match service {
        Some(service) => describe::state(service),
        None => ("registered no more".to_owned(), Tone::Bad),
    };
    let mut rest = String::new();
    if let Some(service) = service {
        rest = format!("; {}", describe::waiting(service));
        let note = describe::note(service, now_ms);
        if !note.is_empty() {
            rest.push_str(&format!("; {note}"));
        }
    }
    line(
        now_ms,
        id,
        &format!("{}{rest}", look.paint(tone, &state)),
        look,
    )
}

pub(super) fn render_event(event: &OperatorEvent, look: Look) -> String {
    let what = match &event.kind {
        EventKind::EventsDelivered {
            transaction_id,
            event_count,
            ..
        } => format!(
            "{} {} in transaction {}",
            look.paint(Tone::Good, "delivered"),
            of(*event_count, "event"),
            clean(transaction_id)
        ),
        EventKind::UserProvisioned { user_id, .. } => format!("made the user {}", clean(user_id)),
        EventKind::AliasProvisioned { alias, .. } => format!("made the alias {}", clean(alias)),
        EventKind::DeliveryFailed {
            transaction_id,
            retry_count,
            ..
        } => format!(
            "{} transaction {}, {} so far",
            look.paint(Tone::Bad, "did not take"),
            clean(transaction_id),
            of((*retry_count).into(), "failed attempt")
        ),
    };
    line(event.at_ms, event.kind.service_id(), &what, look)
}

fn line(at_ms: i64, id: &str, what: &str, look: Look) -> String {
    let clock = look.paint(Tone::Dim, &time::clock(at_ms));
    let id = look.paint(Tone::Strong, &clean(id));
    format!("{clock}  {id}  {what}\n")
}
