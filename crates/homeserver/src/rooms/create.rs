//! Making a room: all its first events in one unit of work.
//!
//! Client-server API, `POST /createRoom`; the steps follow the order given there.

use std::{collections::HashSet, sync::Arc};

use bridgehead_room::{self as room, Membership, NewEvent, Rejection, RoomView};
use bridgehead_store::{ClientTxn, Tx};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, MilliSecondsSinceUnixEpoch, OwnedRoomId, OwnedUserId,
    RoomVersionId, uint,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    AliasChange, AppendContext, AppendError, AppendRequest, MemberChange, append::insert,
    append_in, change_membership_in, member_content, membership::ensure_invitable,
};
use crate::{
    app::App,
    http::{auth::Requester, error::ApiError, extract::canonical_object},
};

/// Users invited in one request at most.
const MAX_INVITES: usize = 1_000;

/// Unknown ghosts among them that services are asked about at the same time.
const QUESTIONS_AT_ONCE: usize = 32;

/// What the creator asks for.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct CreateRoom {
    pub(crate) visibility: Option<String>,
    pub(crate) room_alias_name: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) topic: Option<String>,
    #[serde(default)]
    pub(crate) invite: Vec<OwnedUserId>,
    pub(crate) room_version: Option<String>,
    #[serde(default)]
    pub(crate) creation_content: serde_json::Map<String, Value>,
    #[serde(default)]
    pub(crate) initial_state: Vec<InitialState>,
    pub(crate) preset: Option<String>,
    #[serde(default)]
    pub(crate) is_direct: bool,
    pub(crate) power_level_content_override: Option<serde_json::Map<String, Value>>,
}

/// A state event that the creator wants from the start.
#[derive(Debug, Deserialize)]
pub(crate) struct InitialState {
    #[serde(rename = "type")]
    pub(crate) event_type: String,
    #[serde(default)]
    pub(crate) state_key: String,
    pub(crate) content: Value,
}

impl CreateRoom {
    /// What can be refused by looking at the request alone.
    fn check(&self) -> Result<(), ApiError> {
        if let Some(other) = self
            .visibility
            .as_deref()
            .filter(|visibility| !matches!(*visibility, "public" | "private"))
        {
            return Err(ApiError::invalid_param(format!(
                "Unknown visibility `{other}`; it is `public` or `private`"
            )));
        }
        let own_steps = ["m.room.create", "m.room.member"];
        match self
            .initial_state
            .iter()
            .find(|event| own_steps.contains(&event.event_type.as_str()))
        {
            Some(event) => Err(ApiError::bad_json(format!(
                "initial_state must not hold {}; use creation_content and invite",
                event.event_type
            ))),
            None => Ok(()),
        }
    }

    /// The initial state of this type, with an empty key.
    fn initial_state_of(&self, event_type: &str) -> Option<&InitialState> {
        self.initial_state
            .iter()
            .find(|event| event.event_type == event_type && event.state_key.is_empty())
    }
}

struct Preset {
    join_rule: &'static str,
    history_visibility: &'static str,
    guest_access: &'static str,
    trusted: bool,
}

struct Plan {
    creator: OwnedUserId,
    version: RoomVersionId,
    request: CreateRoom,
    alias: Option<AliasChange>,
    preset: Preset,
    ts: MilliSecondsSinceUnixEpoch,
    txn: Option<ClientTxn>,
}

/// Makes the room and answers its id; with a transaction id that was used before, that of the room
/// made then.
pub(crate) async fn create_room(
    app: &Arc<App>,
    requester: &Requester,
    mut request: CreateRoom,
    txn_id: Option<String>,
) -> Result<OwnedRoomId, ApiError> {
    request.check()?;
    if request.invite.len() > MAX_INVITES {
        return Err(ApiError::invalid_param(format!(
            "At most {MAX_INVITES} invites at once"
        )));
    }
    let version = version_of(app, request.room_version.as_deref())?;
    let alias = match &request.room_alias_name {
        Some(localpart) => Some(alias_change(app, requester, localpart)?),
        None => None,
    };
    let mut invited = HashSet::from([requester.user_id.clone()]);
    request
        .invite
        .retain(|user_id| invited.insert(user_id.clone()));
    stream::iter(request.invite.clone())
        .map(|user_id| async move { ensure_invitable(app, &user_id).await })
        .buffered(QUESTIONS_AT_ONCE)
        .try_collect::<Vec<()>>()
        .await?;
    if let Some(alias) = &alias {
        app.queries.forget_refusal(alias.alias.as_str());
    }
    let plan = Plan {
        creator: requester.user_id.clone(),
        version,
        preset: preset_of(&request)?,
        alias,
        request,
        ts: crate::http::time::now(app),
        txn: txn_id.map(|client_txn_id| ClientTxn {
            user_id: requester.user_id.to_string(),
            scope: requester.txn_scope(),
            // No room has this id, so that nothing else is remembered here.
            room_id: String::new(),
            event_type: "createRoom".to_owned(),
            client_txn_id,
        }),
    };
    let context = app.append_context();
    Ok(app.store.write(move |tx| run(tx, &context, plan)).await?)
}

pub(super) fn version_of(app: &App, wanted: Option<&str>) -> Result<RoomVersionId, ApiError> {
    let version = match wanted {
        Some(text) => RoomVersionId::try_from(text).map_err(|_| {
            ApiError::unsupported_room_version(format!("Unknown room version {text}"))
        })?,
        None => app.config.rooms.default_version.clone(),
    };
    if room::is_supported(&version) {
        Ok(version)
    } else {
        Err(ApiError::unsupported_room_version(format!(
            "Room version {version} is not supported here"
        )))
    }
}

fn alias_change(
    app: &App,
    requester: &Requester,
    localpart: &str,
) -> Result<AliasChange, ApiError> {
    if localpart.is_empty() || localpart.contains(':') || localpart.starts_with('#') {
        return Err(ApiError::invalid_param(
            "room_alias_name is the part between # and : of the alias",
        ));
    }
    let alias = format!("#{localpart}:{}", app.server_name)
        .try_into()
        .map_err(|_| ApiError::invalid_param("room_alias_name makes no legal alias"))?;
    let change = AliasChange::new(app, requester, alias);
    change.check(app)?;
    Ok(change)
}

fn preset_of(request: &CreateRoom) -> Result<Preset, ApiError> {
    let name = match (request.preset.as_deref(), request.visibility.as_deref()) {
        (Some(preset), _) => preset,
        (None, Some("public")) => "public_chat",
        (None, _) => "private_chat",
    };
    match name {
        "public_chat" => Ok(Preset {
            join_rule: "public",
            history_visibility: "shared",
            guest_access: "forbidden",
            trusted: false,
        }),
        "private_chat" | "trusted_private_chat" => Ok(Preset {
            join_rule: "invite",
            history_visibility: "shared",
            guest_access: "can_join",
            trusted: name == "trusted_private_chat",
        }),
        other => Err(ApiError::invalid_param(format!("Unknown preset `{other}`"))),
    }
}

fn run(tx: &mut Tx<'_>, context: &AppendContext, plan: Plan) -> Result<OwnedRoomId, AppendError> {
    if let Some(txn) = &plan.txn
        && let Some(room_id) = tx.client_txn(txn)?
    {
        return room_id
            .as_str()
            .try_into()
            .map_err(|_| bridgehead_store::Error::corrupt("client_txns", room_id).into());
    }
    // 1. m.room.create. The alias comes before it, so that a service which owns the alias is told
    //    of everything in the room.
    let new_room = NewRoom {
        version: &plan.version,
        creator: &plan.creator,
        content: creation_content(&plan)?,
        ts: plan.ts,
    };
    let room_id = open_room(tx, context, new_room, |tx, room_id| match &plan.alias {
        Some(alias) => alias.insert(tx, room_id),
        None => Ok(()),
    })?;
    let mut steps = Steps {
        tx,
        context,
        room_id: room_id.clone(),
        creator: plan.creator.clone(),
        ts: plan.ts,
    };
    steps.run(&plan)?;
    if plan.request.visibility.as_deref() == Some("public") {
        tx.set_published("", room_id.as_str(), true)?;
    }
    if let Some(txn) = &plan.txn {
        tx.insert_client_txn(txn, room_id.as_str(), context.now_ms)?;
    }
    Ok(room_id)
}

/// A room about to be.
pub(super) struct NewRoom<'a> {
    pub(super) version: &'a RoomVersionId,
    pub(super) creator: &'a OwnedUserId,
    pub(super) content: CanonicalJsonObject,
    pub(super) ts: MilliSecondsSinceUnixEpoch,
}

/// Makes a room with nothing but its create event. `before_first` runs when the room's id is known
/// and nobody has been told of the room yet.
pub(super) fn open_room<'c>(
    tx: &mut Tx<'c>,
    context: &AppendContext,
    new: NewRoom<'_>,
    before_first: impl FnOnce(&mut Tx<'c>, &OwnedRoomId) -> Result<(), AppendError>,
) -> Result<OwnedRoomId, AppendError> {
    let candidate: OwnedRoomId = format!(
        "!{}:{}",
        context.random.alphanumeric(18),
        context.key.server_name()
    )
    .try_into()
    .map_err(|_| ApiError::invalid_param("the server's name makes no legal room id"))?;
    let mut create = NewEvent {
        sender: new.creator.clone(),
        event_type: "m.room.create".to_owned(),
        state_key: Some(String::new()),
        content: new.content,
        redacts: None,
        origin_server_ts: new.ts,
    };
    let build = |create: NewEvent| {
        room::build_create(new.version, Some(candidate.clone()), create, &context.key)
    };
    let (mut event, _) = build(create.clone())?;
    // Where the create event names the room, two alike of the same millisecond would be one room.
    while tx.room_record(event.room_id.as_str())?.is_some() {
        create.origin_server_ts = later(create.origin_server_ts)?;
        (event, _) = build(create.clone())?;
    }
    let room_id = event.room_id.clone();
    tx.insert_room(room_id.as_str(), new.version)?;
    let nothing = RoomView::from_state(room_id.clone(), new.version.clone(), [], Vec::new(), 0)
        .map_err(Rejection::from)?;
    tx.set_room_view(Arc::new(nothing), None);
    before_first(tx, &room_id)?;
    let view = tx
        .room_view(room_id.as_str())?
        .ok_or(AppendError::RoomNotFound)?;
    insert(tx, context, &view, event, None)?;
    Ok(room_id)
}

fn later(ts: MilliSecondsSinceUnixEpoch) -> Result<MilliSecondsSinceUnixEpoch, AppendError> {
    ts.0.checked_add(uint!(1))
        .map(MilliSecondsSinceUnixEpoch)
        .ok_or_else(|| ApiError::invalid_param("the time is past what a room can hold").into())
}

fn creation_content(plan: &Plan) -> Result<CanonicalJsonObject, AppendError> {
    let mut content = plan.request.creation_content.clone();
    content.remove("creator");
    content.remove("room_version");
    if plan.preset.trusted
        && plan
            .version
            .rules()
            .is_some_and(|rules| rules.authorization.additional_room_creators)
    {
        // Room version 12: those who would get the creator's power are creators.
        let creators = content
            .entry("additional_creators")
            .or_insert_with(|| json!([]));
        if let Value::Array(creators) = creators {
            for user_id in &plan.request.invite {
                let user_id = json!(user_id);
                if !creators.contains(&user_id) {
                    creators.push(user_id);
                }
            }
        }
    }
    Ok(canonical_object(Value::Object(content))?)
}

/// What the creator does in the room, one event after the other.
pub(super) struct Steps<'a, 'c> {
    pub(super) tx: &'a mut Tx<'c>,
    pub(super) context: &'a AppendContext,
    pub(super) room_id: OwnedRoomId,
    pub(super) creator: OwnedUserId,
    pub(super) ts: MilliSecondsSinceUnixEpoch,
}

impl Steps<'_, '_> {
    fn run(&mut self, plan: &Plan) -> Result<(), AppendError> {
        let request = &plan.request;
        // 2. The creator joins.
        self.join()?;
        // 3. Power levels: those of the initial state, if it has some.
        self.state("m.room.power_levels", "", power_levels(plan))?;
        // 4. Canonical alias.
        if let Some(alias) = &plan.alias {
            self.state(
                "m.room.canonical_alias",
                "",
                json!({ "alias": alias.alias }),
            )?;
        }
        // 5. The preset, as far as the initial state does not say otherwise.
        let preset = [
            (
                "m.room.join_rules",
                json!({ "join_rule": plan.preset.join_rule }),
            ),
            (
                "m.room.history_visibility",
                json!({ "history_visibility": plan.preset.history_visibility }),
            ),
            (
                "m.room.guest_access",
                json!({ "guest_access": plan.preset.guest_access }),
            ),
        ];
        for (event_type, content) in preset {
            if request.initial_state_of(event_type).is_none() {
                self.state(event_type, "", content)?;
            }
        }
        // 6. Initial state.
        for event in &request.initial_state {
            if (event.event_type.as_str(), event.state_key.as_str()) != ("m.room.power_levels", "")
            {
                self.state(&event.event_type, &event.state_key, event.content.clone())?;
            }
        }
        // 7. Name and topic.
        if let Some(name) = &request.name {
            self.state("m.room.name", "", json!({ "name": name }))?;
        }
        if let Some(topic) = &request.topic {
            let content = json!({
                "topic": topic,
                "m.topic": { "m.text": [{ "body": topic, "mimetype": "text/plain" }] },
            });
            self.state("m.room.topic", "", content)?;
        }
        // 8. Invites.
        for user_id in &request.invite {
            let mut extra = CanonicalJsonObject::new();
            if request.is_direct {
                extra.insert("is_direct".into(), CanonicalJsonValue::Bool(true));
            }
            self.member(user_id, Membership::Invite, extra)?;
        }
        Ok(())
    }

    /// The creator joins.
    pub(super) fn join(&mut self) -> Result<(), AppendError> {
        let profile = member_content(self.tx, &self.creator)?;
        self.member(&self.creator.clone(), Membership::Join, profile)
    }

    /// The creator sets state.
    pub(super) fn state(
        &mut self,
        event_type: &str,
        state_key: &str,
        content: Value,
    ) -> Result<(), AppendError> {
        let event = NewEvent {
            sender: self.creator.clone(),
            event_type: event_type.to_owned(),
            state_key: Some(state_key.to_owned()),
            content: canonical_object(content)?,
            redacts: None,
            origin_server_ts: self.ts,
        };
        let room_id = self.room_id.clone();
        append_in(
            self.tx,
            self.context,
            AppendRequest {
                room_id,
                event,
                txn: None,
                device_id: None,
            },
        )?;
        Ok(())
    }

    fn member(
        &mut self,
        target: &OwnedUserId,
        membership: Membership,
        extra: CanonicalJsonObject,
    ) -> Result<(), AppendError> {
        let change = MemberChange {
            room_id: self.room_id.clone(),
            sender: self.creator.clone(),
            target: target.clone(),
            membership,
            reason: None,
            extra,
            ts: self.ts,
        };
        change_membership_in(self.tx, self.context, change)?;
        Ok(())
    }
}

fn power_levels(plan: &Plan) -> Value {
    let mut content = match plan.request.initial_state_of("m.room.power_levels") {
        Some(event) => event.content.clone(),
        None => default_power_levels(plan),
    };
    if let (Some(given), Value::Object(content)) =
        (&plan.request.power_level_content_override, &mut content)
    {
        content.extend(given.clone());
    }
    content
}

fn default_power_levels(plan: &Plan) -> Value {
    let creators_are_above = plan
        .version
        .rules()
        .is_some_and(|rules| rules.authorization.explicitly_privilege_room_creators);
    let mut users = serde_json::Map::new();
    if !creators_are_above {
        users.insert(plan.creator.to_string(), json!(100));
        if plan.preset.trusted {
            users.extend(
                plan.request
                    .invite
                    .iter()
                    .map(|user| (user.to_string(), json!(100))),
            );
        }
    }
    let tombstone = if creators_are_above { 150 } else { 100 };
    json!({
        "users": users,
        "users_default": 0,
        "events": {
            "m.room.name": 50,
            "m.room.power_levels": 100,
            "m.room.history_visibility": 100,
            "m.room.canonical_alias": 50,
            "m.room.avatar": 50,
            "m.room.tombstone": tombstone,
            "m.room.server_acl": 100,
            "m.room.encryption": 100,
        },
        "events_default": 0,
        "state_default": 50,
        "ban": 50,
        "kick": 50,
        "redact": 50,
        "invite": 0,
        "historical": 100,
    })
}
