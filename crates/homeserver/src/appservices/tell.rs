//! Telling services who types and who is online.
//!
//! Application-service API, "Pushing ephemeral data"; features/as-host.md 1.5 rule 11: typing goes
//! to the services interested in the room, presence to those that own the user or share a room
//! with it, and either only to those that asked. What is told goes into each service's lane and
//! is kept nowhere else. Receipts are not told here: they are rows of the log.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bridgehead_store::{AppserviceNid, InterestSet, Result};
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::Notify;

use super::interest;
use crate::{app::App, shutdown::Shutdown, sync::PresenceState};

/// How often rooms in which somebody types are looked at for those who stopped without saying so.
const SWEEP: Duration = Duration::from_millis(500);

/// What services were last told of typing.
#[derive(Default)]
pub(crate) struct Teller {
    /// Room → users told as typing; no empty entries, so it is bounded by what goes on.
    typing: Mutex<BTreeMap<String, Vec<String>>>,
    somebody_types: Notify,
}

/// Tells of a change of who types in a room: long polls and services.
pub(crate) async fn typing_changed(app: &App, room_id: &str) -> Result<()> {
    app.notifier.poke(room_id);
    let registry = app.registry();
    let services = match interest::of_room_now(app, &registry, room_id).await? {
        Some(room) => interest::services_of(&room),
        None => InterestSet::new(),
    };
    // Under the lock, so that of two changes at once the later list is told last.
    let mut told = app.teller.typing.lock();
    let now_ms = app.now_ms();
    let (users, _) = app.typing.current(room_id, now_ms);
    let event = json!({
        "type": "m.typing",
        "room_id": room_id,
        "content": { "user_ids": users },
    });
    put(app, &services, |lane| {
        lane.typing(room_id, event.to_string(), now_ms);
    });
    if users.is_empty() {
        told.remove(room_id);
    } else {
        told.insert(room_id.to_owned(), users);
        app.teller.somebody_types.notify_one();
    }
    Ok(())
}

/// Tells of a change of somebody's presence: long polls and services.
pub(crate) async fn presence_changed(
    app: &App,
    user_id: &str,
    state: &PresenceState,
) -> Result<()> {
    let registry = app.registry();
    let user = user_id.to_owned();
    let rooms = app.store.read(move |s| s.joined_rooms(&user)).await?;
    app.notifier.poke(user_id);
    let mut services: InterestSet = registry.nids_of_user(user_id).into_iter().collect();
    for room_id in &rooms {
        app.notifier.poke(room_id);
        if let Some(room) = interest::of_room_now(app, &registry, room_id).await? {
            services.extend(interest::services_of(&room));
        }
    }
    services.sort_unstable();
    services.dedup();
    let now_ms = app.now_ms();
    let event = json!({
        "type": "m.presence",
        "sender": user_id,
        "content": state.content(now_ms, state.shown()),
    });
    put(app, &services, |lane| {
        lane.presence(user_id, event.to_string(), now_ms);
    });
    Ok(())
}

fn put(app: &App, services: &[AppserviceNid], tell: impl Fn(&super::delivery::EphemeralLane)) {
    let registry = app.registry();
    for service in services.iter().filter_map(|nid| registry.by_nid(*nid)) {
        if service.takes_ephemeral() && !service.is_offline(app.now_ms()) {
            tell(&service.delivery.lane);
            service.delivery.wake();
        }
    }
}

/// Tells of those whose typing ran out; until shutdown.
pub(crate) async fn run(app: Arc<App>, shutdown: Shutdown) {
    loop {
        tokio::select! {
            () = app.teller.somebody_types.notified() => {}
            () = shutdown.requested() => return,
        }
        while !app.teller.typing.lock().is_empty() {
            tokio::select! {
                () = tokio::time::sleep(SWEEP) => {}
                () = shutdown.requested() => return,
            }
            sweep(&app).await;
        }
    }
}

async fn sweep(app: &App) {
    let now_ms = app.now_ms();
    let changed: Vec<String> = {
        let told = app.teller.typing.lock();
        told.iter()
            .filter(|(room_id, users)| app.typing.current(room_id, now_ms).0 != **users)
            .map(|(room_id, _)| room_id.clone())
            .collect()
    };
    for room_id in changed {
        if let Err(error) = typing_changed(app, &room_id).await {
            tracing::warn!(%error, room.id = %room_id, "telling who types failed; it will be tried again");
        }
    }
}
