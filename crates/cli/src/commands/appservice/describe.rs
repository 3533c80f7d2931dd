//! A service in words, as several verbs say them.

use bridgehead_admin_api::{PausedBy, Progress, Service, State, Stuck, Transport};

use crate::output::{Tone, clean, head, of, time};

/// The state with its flags, such as `retrying, stuck`.
pub(super) fn state(service: &Service) -> (String, Tone) {
    let (name, mut tone) = match service.state {
        State::Idle => ("idle", Tone::Plain),
        State::Delivering => ("delivering", Tone::Good),
        State::Retrying => ("retrying", Tone::Odd),
        State::Failed => ("failed", Tone::Bad),
    };
    let mut text = name.to_owned();
    if service.paused.is_some() {
        text.push_str(", paused");
        tone = if tone == Tone::Bad { tone } else { Tone::Odd };
    }
    if service.stuck.is_some() {
        text.push_str(", stuck");
        tone = Tone::Bad;
    }
    (text, tone)
}

/// Whether a person should look at it.
pub(super) fn needs_attention(service: &Service) -> bool {
    service.stuck.is_some() || matches!(service.state, State::Retrying | State::Failed)
}

/// `nothing waits`, or how much and for how long.
pub(super) fn waiting(service: &Service) -> String {
    let plural = if service.depth == 1 { "waits" } else { "wait" };
    match (service.depth, service.oldest_waiting_ms) {
        (0, _) => "nothing waits".to_owned(),
        (1, Some(oldest)) => format!("1 entry waits, for {}", time::duration(oldest)),
        (depth, Some(oldest)) => format!(
            "{} wait, the oldest for {}",
            of(depth, "entry"),
            time::duration(oldest)
        ),
        (depth, None) => format!("{} {plural}", of(depth, "entry")),
    }
}

/// One line: state and what waits.
pub(super) fn brief(service: &Service) -> String {
    format!("{}; {}", state(service).0, waiting(service))
}

/// The event that is refused, by what an operator knows it by.
pub(super) fn stuck_event(stuck: &Stuck) -> String {
    let kind = stuck.event_type.as_deref().unwrap_or("to-device message");
    match &stuck.sender {
        Some(sender) => format!("{} from {}", clean(kind), clean(sender)),
        None => clean(kind),
    }
}

/// By whom, since when, until when and why.
pub(super) fn pause(service: &Service, now_ms: i64) -> Option<String> {
    let pause = service.paused.as_ref()?;
    let by = match pause.by {
        PausedBy::Operator => "by an operator",
        PausedBy::Service => "by the service itself",
    };
    let mut text = format!("{by}, {}", time::ago(pause.since_ms, now_ms));
    if let Some(until_ms) = pause.until_ms {
        text.push_str(&format!(", ends {}", time::ahead(until_ms, now_ms)));
    }
    if let Some(reason) = &pause.reason {
        text.push_str(&format!(": {}", clean(reason)));
    }
    Some(text)
}

/// How transactions get there.
pub(super) fn transport(transport: Transport) -> &'static str {
    match transport {
        Transport::Http => "pushed to its url",
        Transport::Websocket => "pushed over its websocket",
        Transport::Pull => "fetched by the service",
        Transport::None => {
            "not reachable: it has no url, has no websocket open, and does not fetch"
        }
    }
}

/// How far something long has come.
pub(super) fn progress(progress: &Progress) -> String {
    let (done, total) = done_of(progress);
    let percent = u128::from(done) * 100 / u128::from(total.max(1));
    format!(
        "{percent} %, at position {} of {} to {}",
        progress.at, progress.from, progress.upto
    )
}

/// What of it is done, and all of it.
pub(super) fn done_of(progress: &Progress) -> (u64, u64) {
    let total = progress.upto.saturating_sub(progress.from);
    let done = progress.at.saturating_sub(progress.from);
    (done.min(total), total)
}

/// The most important thing to know about a service, in a few words; empty when all is well.
pub(super) fn note(service: &Service, now_ms: i64) -> String {
    if let Some(stuck) = &service.stuck {
        return format!(
            "refuses {}: {}",
            stuck_event(stuck),
            head(&stuck.answer, 60)
        );
    }
    if needs_attention(service)
        && let Some(error) = &service.last_error
    {
        return head(&error.message, 80);
    }
    if let Some(text) = pause(service, now_ms) {
        return format!("paused {}", head(&text, 80));
    }
    if let Some(replay) = &service.replay {
        return format!("replays, {}", progress(replay));
    }
    if let Some(drain) = &service.drain {
        return format!("drains, {}", progress(drain));
    }
    match service.transport {
        Transport::None if service.depth > 0 => "not reachable now".to_owned(),
        _ => String::new(),
    }
}
