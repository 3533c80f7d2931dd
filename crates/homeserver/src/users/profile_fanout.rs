//! Brings a new display name or avatar into the member events of the user's rooms.
//!
//! Not part of the request that changed the profile: somebody in a thousand rooms would wait for
//! a thousand events. One task a user, which always writes the profile as it is then; a change
//! that comes while it runs makes it go round once more. So the newest profile wins in every room,
//! and any number of changes costs at most two rounds.

use std::{
    collections::{BTreeSet, HashMap},
    mem,
    sync::Arc,
};

use bridgehead_room::{Membership, NewEvent};
use bridgehead_store::Tx;
use futures_util::{StreamExt as _, stream};
use parking_lot::Mutex;
use ruma::{CanonicalJsonObject, OwnedRoomId, OwnedUserId};
use tokio::sync::Semaphore;

use crate::{
    app::App,
    http::time,
    rooms::{AppendContext, AppendError, AppendRequest, append_in, member_content},
};

/// Users whose rooms are brought up to date at once.
const USERS_AT_ONCE: usize = 8;
/// Rooms of one user at once; they share commits.
const ROOMS_AT_ONCE: usize = 8;

/// Who is being brought up to date.
pub(crate) struct ProfileFanout {
    /// Users with a task, and the fields changed since it last looked.
    pending: Mutex<HashMap<OwnedUserId, BTreeSet<String>>>,
    slots: Semaphore,
}

impl ProfileFanout {
    pub(crate) fn new() -> Self {
        Self {
            pending: Mutex::default(),
            slots: Semaphore::new(USERS_AT_ONCE),
        }
    }

    /// Whether every changed profile has reached its rooms.
    pub(crate) fn is_idle(&self) -> bool {
        self.pending.lock().is_empty()
    }

    /// The fields changed since the last call; `None` ends the user's task.
    fn take(&self, user_id: &OwnedUserId) -> Option<BTreeSet<String>> {
        let mut pending = self.pending.lock();
        let fields = pending.get_mut(user_id)?;
        if fields.is_empty() {
            pending.remove(user_id);
            return None;
        }
        Some(mem::take(fields))
    }
}

/// A field of a user's profile was changed.
pub(crate) fn start(app: &Arc<App>, user_id: &OwnedUserId, field: String) {
    let mut pending = app.profile_fanout.pending.lock();
    if let Some(fields) = pending.get_mut(user_id) {
        fields.insert(field);
        return;
    }
    pending.insert(user_id.clone(), BTreeSet::from([field]));
    drop(pending);
    let (app, user_id) = (app.clone(), user_id.clone());
    // Ends with its rounds, or when the store closes.
    tokio::spawn(async move {
        let Ok(_slot) = app.profile_fanout.slots.acquire().await else {
            return;
        };
        while let Some(fields) = app.profile_fanout.take(&user_id) {
            round(&app, &user_id, &Arc::new(fields)).await;
        }
    });
}

async fn round(app: &Arc<App>, user_id: &OwnedUserId, fields: &Arc<BTreeSet<String>>) {
    let user = user_id.to_string();
    let rooms = match app.store.read(move |s| s.joined_rooms(&user)).await {
        Ok(rooms) => rooms,
        Err(error) => {
            let error: bridgehead_store::Error = error;
            tracing::warn!(%error, user.id = %user_id, "a changed profile did not reach the user's rooms");
            return;
        }
    };
    stream::iter(rooms)
        .for_each_concurrent(ROOMS_AT_ONCE, |room_id| {
            update_room(app, user_id, room_id, fields.clone())
        })
        .await;
}

async fn update_room(
    app: &Arc<App>,
    user_id: &OwnedUserId,
    room_id: String,
    fields: Arc<BTreeSet<String>>,
) {
    let (context, ts) = (app.append_context(), time::now(app));
    let (user, room) = (user_id.clone(), room_id.clone());
    let updated = app
        .store
        .write(move |tx| {
            let Some((room_id, content)) = changed_member(tx, &user, &room, &fields)? else {
                return Ok(());
            };
            let event = NewEvent {
                sender: user.clone(),
                event_type: "m.room.member".to_owned(),
                state_key: Some(user.to_string()),
                content,
                redacts: None,
                origin_server_ts: ts,
            };
            append_member(tx, &context, room_id, event)
        })
        .await;
    match updated {
        Ok(()) => {}
        Err(AppendError::Store(error)) => {
            tracing::warn!(%error, user.id = %user_id, room.id = %room_id, "a changed profile did not reach a room");
        }
        Err(error) => {
            tracing::debug!(%error, user.id = %user_id, room.id = %room_id, "a room keeps the old profile");
        }
    }
}

fn append_member(
    tx: &mut Tx<'_>,
    context: &AppendContext,
    room_id: OwnedRoomId,
    event: NewEvent,
) -> Result<(), AppendError> {
    let request = AppendRequest {
        room_id,
        event,
        txn: None,
        device_id: None,
    };
    append_in(tx, context, request).map(drop)
}

/// The member event's content with the changed fields as the profile has them now; `None` when
/// the user is not joined or nothing changes. What else a service put there stays.
fn changed_member(
    tx: &mut Tx<'_>,
    user_id: &OwnedUserId,
    room_id: &str,
    fields: &BTreeSet<String>,
) -> Result<Option<(OwnedRoomId, CanonicalJsonObject)>, AppendError> {
    let Some(view) = tx.room_view(room_id)? else {
        return Ok(None);
    };
    let standing = view
        .state_event("m.room.member", user_id.as_str())
        .filter(|_| view.membership(user_id) == Some(Membership::Join));
    let Some(standing) = standing else {
        return Ok(None);
    };
    let corrupt = || bridgehead_store::Error::corrupt("events", standing.event_id.as_str());
    let before: CanonicalJsonObject =
        serde_json::from_str(standing.content.get()).map_err(|_| corrupt())?;
    let profile = member_content(tx, user_id)?;
    let mut content = before.clone();
    for field in fields {
        match profile.get(field.as_str()) {
            Some(value) => content.insert(field.as_str().into(), value.clone()),
            None => content.remove(field.as_str()),
        };
    }
    if content == before {
        return Ok(None);
    }
    // Those belong to the joining, not to the name.
    content.remove("reason");
    content.remove("join_authorised_via_users_server");
    Ok(Some((view.room_id.clone(), content)))
}
