//! `GET /_matrix/client/v1/rooms/{roomId}/relations/{eventId}[/{relType}[/{eventType}]]`

use std::sync::Arc;

use axum::{Json, extract::State};
use bridgehead_store::{RelationQuery, Snapshot, StreamPosition, TimelineEvent};
use ruma::OwnedRoomId;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{
        auth::Requester,
        error::{ApiError, ApiResult},
        extract::{Params, QueryParams},
    },
    rooms::{
        Visible, may_read_state,
        read::{Reader, is_forward, limit, parse_optional_token, place_past, token, visible_event},
    },
};

/// Events when the client names no number.
const DEFAULT_LIMIT: u64 = 5;

/// Events on a page at most.
const MAX_LIMIT: usize = 100;

#[derive(Deserialize)]
pub(crate) struct Query {
    from: Option<String>,
    to: Option<String>,
    dir: Option<String>,
    limit: Option<u64>,
}

/// `{roomId}`, `{eventId}`, and what narrows the relations down.
struct Target {
    room_id: OwnedRoomId,
    event_id: String,
    rel_type: Option<String>,
    event_type: Option<String>,
}

/// All relations of an event.
pub(crate) async fn get_relating_events(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params((room_id, event_id)): Params<(OwnedRoomId, String)>,
    QueryParams(query): QueryParams<Query>,
) -> ApiResult<Json<Value>> {
    let target = Target {
        room_id,
        event_id,
        rel_type: None,
        event_type: None,
    };
    relating(&app, &requester, target, &query).await
}

/// Relations of one kind.
pub(crate) async fn get_relating_events_with_rel_type(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params((room_id, event_id, rel_type)): Params<(OwnedRoomId, String, String)>,
    QueryParams(query): QueryParams<Query>,
) -> ApiResult<Json<Value>> {
    let target = Target {
        room_id,
        event_id,
        rel_type: Some(rel_type),
        event_type: None,
    };
    relating(&app, &requester, target, &query).await
}

/// Relations of one kind by events of one type.
pub(crate) async fn get_relating_events_with_rel_type_and_event_type(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params((room_id, event_id, rel_type, event_type)): Params<(
        OwnedRoomId,
        String,
        String,
        String,
    )>,
    QueryParams(query): QueryParams<Query>,
) -> ApiResult<Json<Value>> {
    let target = Target {
        room_id,
        event_id,
        rel_type: Some(rel_type),
        event_type: Some(event_type),
    };
    relating(&app, &requester, target, &query).await
}

async fn relating(
    app: &App,
    requester: &Requester,
    target: Target,
    query: &Query,
) -> ApiResult<Json<Value>> {
    let forward = is_forward(query.dir.as_deref())?;
    let from = parse_optional_token(query.from.as_deref())?;
    let to = parse_optional_token(query.to.as_deref())?;
    let limit = limit(query.limit, DEFAULT_LIMIT).min(MAX_LIMIT);
    let visible = may_read_state(app, &requester.user_id, target.room_id.as_str()).await?;
    let reader = Reader::new(app, requester);
    let (after, until) = if forward { (from, to) } else { (to, from) };
    let wanted = RelationQuery {
        event_id: target.event_id,
        rel_type: target.rel_type,
        event_type: target.event_type,
        after: after.unwrap_or(StreamPosition::ZERO),
        // A token is the place after a position; `before` is exclusive.
        before: until.map_or(visible.upto, |at| at.min(visible.upto)).next(),
    };
    let body = app
        .store
        .read(move |snapshot| {
            visible_event(snapshot, &visible, &reader, &wanted.event_id)?;
            let page = Page::read(snapshot, &visible, &reader, &wanted, forward, limit)?;
            let mut body = json!({ "chunk": reader.events(snapshot, &page.events)? });
            if let Some(next) = page.next {
                body["next_batch"] = json!(token(next));
            }
            if let Some(from) = from {
                body["prev_batch"] = json!(token(from));
            }
            Ok::<_, ApiError>(body)
        })
        .await?;
    Ok(Json(body))
}

struct Page {
    events: Vec<TimelineEvent>,
    next: Option<StreamPosition>,
}

impl Page {
    /// One more than wanted is read, to know whether there are more.
    fn read(
        snapshot: &Snapshot<'_>,
        visible: &Visible,
        reader: &Reader,
        wanted: &RelationQuery,
        forward: bool,
        limit: usize,
    ) -> Result<Self, ApiError> {
        let found = snapshot.relations(wanted, forward, limit + 1)?;
        let more = found.len() > limit;
        let next = more.then(|| place_past(&found[limit - 1], forward));
        let mut events = Vec::with_capacity(limit);
        for event in found.into_iter().take(limit) {
            let here = event.room_id == visible.view.room_id.as_str();
            if here && visible.allows(snapshot, &reader.user_id, &event)? {
                events.push(event);
            }
        }
        Ok(Self { events, next })
    }
}
