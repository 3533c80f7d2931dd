//! The one task that owns the state.
//!
//! ```text
//! sockets ──Traffic──▶ ┐
//!                      ├─ State ──▶ outlets of sockets, ears of people in memory
//! handles ──Call─────▶ ┘
//! ```
//!
//! Each is done to its end before the next begins. While the server is silent on request, sockets are not listened to,
//! and handles are.

use std::time::Duration;

use tokio::{sync::mpsc, time::Instant};

use crate::{
    commands,
    state::{State, client::ClientId},
    wire::Traffic,
};

/// Lines from sockets that wait; what is beyond waits in the sockets.
pub(crate) const MAX_TRAFFIC: usize = 1024;
/// Calls of handles that wait.
pub(crate) const MAX_CALLS: usize = 64;

/// Something that a handle wants done.
pub(crate) type Call = Box<dyn FnOnce(&mut State) + Send>;

/// Runs until all handles are gone.
pub(crate) async fn run(
    mut state: State,
    mut calls: mpsc::Receiver<Call>,
    mut traffic: mpsc::Receiver<Traffic>,
) {
    let mut tick = tokio::time::interval(tick_period(&state));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let silent_until = state.knobs.silent_until;
        let speaks_at = silent_until.unwrap_or_else(Instant::now);
        tokio::select! {
            call = calls.recv() => match call {
                Some(call) => call(&mut state),
                None => return,
            },
            Some(traffic) = traffic.recv(), if silent_until.is_none() => take(&mut state, traffic),
            () = tokio::time::sleep_until(speaks_at), if silent_until.is_some() => {
                state.knobs.silent_until = None;
            }
            _ = tick.tick(), if silent_until.is_none() => check_alive(&mut state),
        }
        state.close_marked();
    }
}

fn take(state: &mut State, traffic: Traffic) {
    match traffic {
        Traffic::Opened(id, peer, outlet) => state.open(id, *peer, outlet),
        Traffic::Line(id, bytes) => commands::take(state, id, &bytes),
        Traffic::Closed(id, reason) => state.drop_client(id, reason, false),
    }
}

fn tick_period(state: &State) -> Duration {
    let pings = &state.dialect.pings;
    let shortest = pings.every.min(pings.timeout).min(pings.registration);
    (shortest / 4).clamp(Duration::from_millis(5), Duration::from_secs(1))
}

/// Sends pings, and closes those who do not answer or do not register.
fn check_alive(state: &mut State) {
    let now = Instant::now();
    let pings = state.dialect.pings;
    let sockets = state
        .clients
        .iter()
        .filter(|(_, client)| client.is_socket());
    let ids: Vec<ClientId> = sockets.map(|(id, _)| *id).collect();
    for id in ids {
        let Some(client) = state.client_mut(id) else {
            continue;
        };
        if !client.is_registered() {
            if now.duration_since(client.opened_at) > pings.registration {
                state.close(id, "", "Registration timeout");
            }
            continue;
        }
        match client.pinged_at {
            Some(at) if now.duration_since(at) > pings.timeout => {
                let reason = format!("Ping timeout: {} seconds", pings.timeout.as_secs());
                state.close(id, &reason, &reason);
            }
            None if now.duration_since(client.heard_at) > pings.every => {
                client.pinged_at = Some(now);
                let server = state.dialect.server_name.clone();
                state.send(id, bridgehead_irc_protocol::Line::new("PING", [server]));
            }
            _ => {}
        }
    }
}
