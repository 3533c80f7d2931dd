//! Replacing a room by one of another version, in one unit of work.
//!
//! Client-server API, "Server behaviour" of "Room upgrades". In the old room everything happens
//! before its aliases move: services that know the room by an alias see the tombstone.

use std::sync::Arc;

use bridgehead_room::RoomView;
use bridgehead_store::Tx;
use ruma::{
    CanonicalJsonObject, MilliSecondsSinceUnixEpoch, OwnedRoomId, OwnedUserId, RoomVersionId,
    room_version_rules::AuthorizationRules,
};
use serde_json::{Map, Value, json};

use super::{
    AppendContext, AppendError,
    create::{NewRoom, Steps, open_room, version_of},
};
use crate::{
    app::App,
    http::{auth::Requester, error::ApiError, extract::canonical_object, time},
};

/// State that goes along, as far as the old room has it.
const COPIED: &[&str] = &[
    "m.room.server_acl",
    "m.room.encryption",
    "m.room.name",
    "m.room.avatar",
    "m.room.topic",
    "m.room.guest_access",
    "m.room.history_visibility",
    "m.room.join_rules",
];

/// What the users of the old room read in it.
const NOTICE: &str = "This room has been replaced";

/// A wish for a replacement.
pub(crate) struct Upgrade {
    /// The room to replace.
    pub(crate) room_id: OwnedRoomId,
    /// The version wanted.
    pub(crate) new_version: String,
    /// Creators beside the upgrader, where the version has them.
    pub(crate) additional_creators: Vec<OwnedUserId>,
}

struct Plan {
    request: Upgrade,
    version: RoomVersionId,
    upgrader: OwnedUserId,
    ts: MilliSecondsSinceUnixEpoch,
}

/// Replaces the room; answers the new one's id.
pub(crate) async fn upgrade_room(
    app: &Arc<App>,
    requester: &Requester,
    request: Upgrade,
) -> Result<OwnedRoomId, ApiError> {
    let plan = Plan {
        version: version_of(app, Some(&request.new_version))?,
        request,
        upgrader: requester.user_id.clone(),
        ts: time::now(app),
    };
    let context = app.append_context();
    Ok(app.store.write(move |tx| run(tx, &context, &plan)).await?)
}

fn run(tx: &mut Tx<'_>, context: &AppendContext, plan: &Plan) -> Result<OwnedRoomId, AppendError> {
    // 1. The upgrader must be allowed to say that the room is over.
    let old_id = &plan.request.room_id;
    let old = tx
        .room_view(old_id.as_str())?
        .ok_or(AppendError::RoomNotFound)?;
    if !old.can_send_state(&plan.upgrader, "m.room.tombstone") {
        return Err(AppendError::NotAllowed(
            "Upgrading a room needs the power to send m.room.tombstone".to_owned(),
        ));
    }
    let rules = plan.version.rules().ok_or_else(|| {
        AppendError::from(ApiError::unsupported_room_version("Unknown room version"))
    })?;

    // 2. The new room, and, as soon as its id is known, the end of the old one (4 to 6).
    let new_room = NewRoom {
        version: &plan.version,
        creator: &plan.upgrader,
        content: creation_content(plan, &old, &rules.authorization)?,
        ts: plan.ts,
    };
    let new_id = open_room(tx, context, new_room, |tx, new_id| {
        close_old_room(&mut plan.steps(tx, context, old_id), &old, new_id)?;
        tx.move_aliases(old_id.as_str(), new_id.as_str())?;
        Ok(())
    })?;

    // 3. Its state.
    fill_new_room(
        &mut plan.steps(tx, context, &new_id),
        &old,
        PowerLevels::of(plan, &old, &rules.authorization),
    )?;
    if tx.is_published("", old_id.as_str())? {
        tx.set_published("", old_id.as_str(), false)?;
        tx.set_published("", new_id.as_str(), true)?;
    }
    Ok(new_id)
}

impl Plan {
    fn steps<'a, 'c>(
        &self,
        tx: &'a mut Tx<'c>,
        context: &'a AppendContext,
        room_id: &OwnedRoomId,
    ) -> Steps<'a, 'c> {
        Steps {
            tx,
            context,
            room_id: room_id.clone(),
            creator: self.upgrader.clone(),
            ts: self.ts,
        }
    }
}

fn creation_content(
    plan: &Plan,
    old: &RoomView,
    rules: &AuthorizationRules,
) -> Result<CanonicalJsonObject, AppendError> {
    let mut content = content_of(old, "m.room.create").unwrap_or_default();
    for key in ["creator", "room_version", "additional_creators"] {
        content.remove(key);
    }
    let mut predecessor = json!({ "room_id": old.room_id });
    if !rules.room_create_event_id_as_room_id
        && let Some(last) = old.forward_extremities.first()
    {
        // Later versions have dropped it.
        predecessor["event_id"] = json!(last);
    }
    content.insert("predecessor".to_owned(), predecessor);
    if rules.additional_room_creators && !plan.request.additional_creators.is_empty() {
        let creators = json!(plan.request.additional_creators);
        content.insert("additional_creators".to_owned(), creators);
    }
    Ok(canonical_object(Value::Object(content))?)
}

/// Tombstone, no canonical alias any more, and as far as possible nobody may go on there.
fn close_old_room(
    steps: &mut Steps<'_, '_>,
    old: &RoomView,
    new_id: &OwnedRoomId,
) -> Result<(), AppendError> {
    let tombstone = json!({ "body": NOTICE, "replacement_room": new_id });
    steps.state("m.room.tombstone", "", tombstone)?;
    if old.canonical_alias().is_some() {
        if_possible(steps.state("m.room.canonical_alias", "", json!({})))?;
    }
    let mut levels = content_of(old, "m.room.power_levels").unwrap_or_default();
    let floor = level(levels.get("users_default")).map_or(50, |default| (default + 1).max(50));
    for key in ["events_default", "invite"] {
        let now = level(levels.get(key)).unwrap_or(0);
        levels.insert(key.to_owned(), json!(now.max(floor)));
    }
    if_possible(steps.state("m.room.power_levels", "", Value::Object(levels)))
}

/// What the room's rules refuse is left as it is: a refused event has changed nothing.
fn if_possible(result: Result<(), AppendError>) -> Result<(), AppendError> {
    match result {
        Err(AppendError::Rejected(rejection)) => {
            tracing::debug!(%rejection, "a step of a room upgrade was left out");
            Ok(())
        }
        result => result,
    }
}

fn fill_new_room(
    steps: &mut Steps<'_, '_>,
    old: &RoomView,
    levels: PowerLevels,
) -> Result<(), AppendError> {
    steps.join()?;
    steps.state("m.room.power_levels", "", levels.at_first)?;
    for event_type in COPIED {
        if let Some(content) = content_of(old, event_type).filter(|content| !content.is_empty()) {
            steps.state(event_type, "", Value::Object(content))?;
        }
    }
    for (room_id, event) in old.state.get("m.space.child").into_iter().flatten() {
        let content: Value = serde_json::from_str(event.content.get()).unwrap_or_default();
        if content.get("via").is_some() {
            steps.state("m.space.child", room_id, content)?;
        }
    }
    if let Some(content) = content_of(old, "m.room.canonical_alias")
        && !content.is_empty()
    {
        steps.state("m.room.canonical_alias", "", Value::Object(content))?;
    }
    if let Some(in_the_end) = levels.in_the_end {
        steps.state("m.room.power_levels", "", in_the_end)?;
    }
    Ok(())
}

/// The new room's power levels. An upgrader who had too little power to set all the state gets it
/// until that is done.
struct PowerLevels {
    at_first: Value,
    in_the_end: Option<Value>,
}

impl PowerLevels {
    fn of(plan: &Plan, old: &RoomView, rules: &AuthorizationRules) -> Self {
        let mut content = content_of(old, "m.room.power_levels").unwrap_or_default();
        content.values_mut().for_each(to_integers);
        let mut users = match content.remove("users") {
            Some(Value::Object(users)) => users,
            _ => Map::new(),
        };
        if rules.explicitly_privilege_room_creators {
            // Creators stand above all levels and must not be listed.
            users.remove(plan.upgrader.as_str());
            for creator in &plan.request.additional_creators {
                users.remove(creator.as_str());
            }
            content.insert("users".to_owned(), Value::Object(users));
            return Self {
                at_first: Value::Object(content),
                in_the_end: None,
            };
        }
        if old.rules.authorization.explicitly_privilege_room_creators || content.is_empty() {
            for creator in old.creators() {
                users.insert(creator.to_string(), json!(100));
            }
        }
        let has = level(users.get(plan.upgrader.as_str()))
            .or_else(|| level(content.get("users_default")))
            .unwrap_or(0);
        let needs = level_needed(&content);
        let mut raised = users.clone();
        raised.insert(plan.upgrader.to_string(), json!(needs));
        let with = |users: Map<String, Value>| {
            let mut content = content.clone();
            content.insert("users".to_owned(), Value::Object(users));
            Value::Object(content)
        };
        if has >= needs {
            Self {
                at_first: with(users),
                in_the_end: None,
            }
        } else {
            Self {
                at_first: with(raised),
                in_the_end: Some(with(users)),
            }
        }
    }
}

/// The most that any state event needs.
fn level_needed(content: &Map<String, Value>) -> i64 {
    let default = level(content.get("state_default")).unwrap_or(50);
    let events = content.get("events").and_then(Value::as_object);
    events
        .into_iter()
        .flat_map(Map::values)
        .filter_map(|value| level(Some(value)))
        .fold(default, i64::max)
}

fn level(value: Option<&Value>) -> Option<i64> {
    match value? {
        Value::String(text) => text.trim().parse().ok(),
        value => value.as_i64(),
    }
}

/// Versions before 10 took levels as text.
fn to_integers(value: &mut Value) {
    match value {
        Value::Object(entries) => entries.values_mut().for_each(to_integers),
        Value::String(_) => {
            if let Some(number) = level(Some(value)) {
                *value = json!(number);
            }
        }
        _ => {}
    }
}

fn content_of(view: &RoomView, event_type: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(view.state_event(event_type, "")?.content.get()).ok()
}
