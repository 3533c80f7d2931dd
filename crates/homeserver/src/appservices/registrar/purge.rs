//! Clearing up after a service: its users leave their rooms and are closed, its aliases, its
//! directory entries and its queue go.
//!
//! It goes on in the background, a few users at a time, and after a restart where it had stopped:
//! users that are closed are not looked at again, and the row in the database says how far it is.

use std::{sync::Arc, time::Duration};

use bridgehead_admin_api::RemovalReport;
use bridgehead_room::Membership;
use bridgehead_store::{PurgeRow, RegistrationRow, Snapshot};
use futures_util::StreamExt as _;
use ruma::{CanonicalJsonObject, OwnedRoomId, OwnedUserId};
use tokio::sync::oneshot;

use super::{By, Entry, Registrar, RegistrarError, change::not_found, force::act};
use crate::{
    app::App,
    rooms::{MemberChange, change_membership},
    shutdown::Shutdown,
    users::devices,
};

/// Users read from the database at once.
const STEP: usize = 200;
/// Users that are cleared up at the same time.
const AT_ONCE: usize = 8;
/// How long a removal waits for the end, so that a small one is done when it answers.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long to wait before a failed use of the store is repeated.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// How a service is removed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct How {
    /// Clear up what it has left behind.
    pub(crate) purge: bool,
    /// Only say what would happen.
    pub(crate) dry_run: bool,
}

/// What a removal would do.
pub(super) async fn foresee(
    app: &Arc<App>,
    id: &str,
    purge: bool,
) -> Result<RemovalReport, RegistrarError> {
    let (name, store) = (id.to_owned(), app.store.clone());
    let report = app
        .store
        .read(move |snapshot| {
            let mut report = RemovalReport {
                id: name.clone(),
                dry_run: true,
                ..RemovalReport::default()
            };
            let row = snapshot
                .appservices()?
                .into_iter()
                .find(|row| row.id == name);
            if let Some(row) = row {
                let end = snapshot.last_position()?;
                let waiting = snapshot.waiting(row.cursor, end, |interest| {
                    store.interest_contains(interest, row.nid)
                })?;
                report.queued = waiting.entries;
            }
            let known = snapshot.registration(&name)?;
            if let Some(known) = known.filter(|_| purge) {
                let found = snapshot.leftovers(&name, &known.sender)?;
                report.ghosts = found.ghosts;
                report.memberships = found.memberships;
                report.aliases = found.aliases;
                report.directory_entries = found.directory_entries;
                report.examples = found.examples;
            }
            Ok::<_, bridgehead_store::Error>(report)
        })
        .await?;
    Ok(report)
}

/// The row that clearing up begins with.
pub(super) fn row_of(report: &RemovalReport, entry: &Entry, app: &App, now_ms: i64) -> PurgeRow {
    let sender = format!(
        "@{}:{}",
        entry.registration.sender_localpart, app.server_name
    );
    begun(report, sender, now_ms)
}

fn begun(report: &RemovalReport, sender: String, now_ms: i64) -> PurgeRow {
    PurgeRow {
        service_id: report.id.clone(),
        sender,
        started_at: now_ms,
        queued: report.queued,
        examples: serde_json::to_string(&report.examples).unwrap_or_else(|_| "[]".to_owned()),
        ..PurgeRow::default()
    }
}

/// A service that is not in force: how far its clearing-up is, or begins it.
pub(super) async fn of_absent(
    registrar: &Registrar,
    app: &Arc<App>,
    id: &str,
    how: How,
    by: &By,
) -> Result<RemovalReport, RegistrarError> {
    let name = id.to_owned();
    let (known, purge): (Option<RegistrationRow>, Option<PurgeRow>) = app
        .store
        .read(move |snapshot: &Snapshot<'_>| {
            Ok((snapshot.registration(&name)?, snapshot.purge(&name)?))
        })
        .await
        .map_err(RegistrarError::Store)?;
    let known = known.filter(|_| how.purge).ok_or_else(|| not_found(id))?;
    if let Some(purge) = purge {
        let still_true = purge.finished_at.is_none_or(|at| at >= known.changed_at);
        if still_true && !how.dry_run {
            return Ok(report_of(&purge));
        }
    }
    let report = foresee(app, id, true).await?;
    if how.dry_run {
        return Ok(report);
    }
    let now_ms = app.now_ms();
    let purge = begun(&report, known.sender, now_ms);
    let row = act(by, "remove", id, Some("purge".to_owned()), now_ms);
    let stored = purge.clone();
    app.store
        .write(move |tx| {
            tx.insert_audit(&row)?;
            tx.begin_purge(&stored)
        })
        .await
        .map_err(RegistrarError::Store)?;
    start(registrar, app, purge).await
}

/// Clears up in the background; the report says how far it is after a short while.
pub(super) async fn start(
    registrar: &Registrar,
    app: &Arc<App>,
    purge: PurgeRow,
) -> Result<RemovalReport, RegistrarError> {
    let Some(end) = registrar.end.get().cloned() else {
        return Ok(report_of(&purge));
    };
    let id = purge.service_id.clone();
    let (done, is_done) = oneshot::channel();
    let work = run(app.clone(), purge, end);
    registrar.tasks.lock().spawn(async move {
        work.await;
        // Nobody may be waiting any more.
        done.send(()).ok();
    });
    tokio::time::timeout(PATIENCE, is_done).await.ok();
    let name = id.clone();
    let purge: Option<PurgeRow> = app
        .store
        .read(move |snapshot| snapshot.purge(&name))
        .await
        .map_err(RegistrarError::Store)?;
    Ok(report_of(&purge.ok_or_else(|| not_found(&id))?))
}

fn report_of(purge: &PurgeRow) -> RemovalReport {
    RemovalReport {
        id: purge.service_id.clone(),
        dry_run: false,
        finished: purge.finished_at.is_some(),
        ghosts: purge.ghosts,
        memberships: purge.memberships,
        aliases: purge.aliases,
        directory_entries: purge.directory_entries,
        queued: purge.queued,
        examples: serde_json::from_str(&purge.examples).unwrap_or_default(),
    }
}

/// Runs until all is done or the server ends. A failing store is waited for.
pub(super) async fn run(app: Arc<App>, purge: PurgeRow, end: Shutdown) {
    loop {
        let outcome = tokio::select! {
            outcome = clear(&app, &purge) => outcome,
            () = end.requested() => return,
        };
        match outcome {
            Ok(()) => break,
            Err(error) => {
                tracing::error!(appservice.id = %purge.service_id, %error, "clearing up waits for the store");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(STORE_PAUSE) => {}
            () = end.requested() => return,
        }
    }
    tracing::info!(appservice.id = %purge.service_id, "what the service had left behind is cleared up");
}

async fn clear(app: &Arc<App>, purge: &PurgeRow) -> bridgehead_store::Result<()> {
    let id = purge.service_id.clone();
    let queue = id.clone();
    // Once more: the delivery's last act may have come after the removal.
    app.store.write(move |tx| tx.drop_queue(&queue)).await?;
    clear_sender(app, purge).await?;
    let mut after = String::new();
    // A service that is registered again keeps what is left.
    while !is_registered(app, &id) {
        let (name, from) = (id.clone(), after.clone());
        let users: Vec<String> = app
            .store
            .read(move |snapshot| snapshot.users_of_service(&name, &from, STEP))
            .await?;
        let Some(last) = users.last() else { break };
        after.clone_from(last);
        let mut work = futures_util::stream::iter(users)
            .map(|user| clear_user(app, &id, user, true))
            .buffer_unordered(AT_ONCE);
        while let Some(cleared) = work.next().await {
            cleared?;
        }
    }
    let now_ms = app.now_ms();
    app.store
        .write(move |tx| tx.finish_purge(&id, now_ms))
        .await
}

fn is_registered(app: &App, id: &str) -> bool {
    let registry = app.registry();
    registry
        .services()
        .iter()
        .any(|service| service.registration.id == id)
}

/// The service's own user needs no account to be in rooms. One that is somebody's account stays.
async fn clear_sender(app: &Arc<App>, purge: &PurgeRow) -> bridgehead_store::Result<()> {
    let sender = purge.sender.clone();
    let account = app
        .store
        .read(move |snapshot| snapshot.user(&sender))
        .await?;
    if account.is_some() || is_registered(app, &purge.service_id) {
        return Ok(());
    }
    clear_user(app, &purge.service_id, purge.sender.clone(), false).await
}

/// Out of all rooms first, by the way that everybody goes, so that clients see it; then closed.
async fn clear_user(
    app: &Arc<App>,
    service_id: &str,
    user: String,
    has_account: bool,
) -> bridgehead_store::Result<()> {
    let Ok(user_id) = OwnedUserId::try_from(user.as_str()) else {
        return Err(bridgehead_store::Error::corrupt("users", user));
    };
    let name = user.clone();
    let memberships = app
        .store
        .read(move |snapshot| snapshot.memberships_of(&name))
        .await?;
    let mut left = 0;
    for row in memberships {
        if matches!(row.membership.as_str(), "join" | "invite" | "knock")
            && let Ok(room_id) = OwnedRoomId::try_from(row.room_id)
        {
            left += u64::from(leave(app, &user_id, room_id).await);
        }
    }
    let registry = app.registry();
    let service_id = service_id.to_owned();
    app.store
        .write(move |tx| {
            if has_account {
                tx.set_profile(&user, "{}")?;
                tx.deactivate_user(&user)?;
                devices::list_changed(tx, &registry, &user)?;
            }
            tx.delete_all_to_device(&user)?;
            let aliases = tx.aliases_made_by(&user)?;
            for alias in &aliases {
                tx.delete_alias(alias)?;
            }
            tx.advance_purge(
                &service_id,
                u64::from(has_account),
                left,
                aliases.len() as u64,
            )
        })
        .await?;
    app.sessions.forget_user(&user_id);
    Ok(())
}

/// A room that cannot be left must not keep the rest from being cleared up.
async fn leave(app: &Arc<App>, user_id: &OwnedUserId, room_id: OwnedRoomId) -> bool {
    let change = MemberChange {
        room_id: room_id.clone(),
        sender: user_id.clone(),
        target: user_id.clone(),
        membership: Membership::Leave,
        reason: None,
        extra: CanonicalJsonObject::new(),
        ts: crate::http::time::now(app),
    };
    match change_membership(app, change).await {
        Ok(_) => true,
        Err(error) => {
            tracing::warn!(
                room.id = %room_id, user.id = %user_id, error = error.message(),
                "a user of a removed service could not leave a room"
            );
            false
        }
    }
}
