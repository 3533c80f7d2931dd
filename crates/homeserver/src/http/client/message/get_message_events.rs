//! `GET /_matrix/client/v3/rooms/{roomId}/messages`

use std::sync::Arc;

use axum::{Json, extract::State};
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
        filter::EventFilter,
        may_read_state,
        read::{
            PageRequest, Reader, is_forward, limit, members_of_senders, page, parse_optional_token,
            token,
        },
    },
};

/// Events when the client names no number.
const DEFAULT_LIMIT: u64 = 10;

#[derive(Deserialize)]
pub(crate) struct Query {
    from: Option<String>,
    to: Option<String>,
    dir: Option<String>,
    limit: Option<u64>,
    filter: Option<String>,
}

impl Query {
    fn page(&self) -> Result<PageRequest, ApiError> {
        let filter = EventFilter::parse(self.filter.as_deref())?;
        Ok(PageRequest {
            from: parse_optional_token(self.from.as_deref())?,
            to: parse_optional_token(self.to.as_deref())?,
            forward: is_forward(self.dir.as_deref())?,
            limit: limit(self.limit.or(filter.limit), DEFAULT_LIMIT),
            filter,
        })
    }
}

/// A page of the room's timeline.
pub(crate) async fn get_message_events(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params(room_id): Params<OwnedRoomId>,
    QueryParams(query): QueryParams<Query>,
) -> ApiResult<Json<Value>> {
    let request = query.page()?;
    let visible = may_read_state(&app, &requester.user_id, room_id.as_str()).await?;
    let reader = Reader::new(&app, &requester);
    let body = app
        .store
        .read(move |snapshot| {
            let page = page(snapshot, &visible, &reader, &request)?;
            let mut body = json!({
                "chunk": reader.events(snapshot, &page.events)?,
                "start": token(page.start),
            });
            if let Some(end) = page.end {
                body["end"] = json!(token(end));
            }
            if request.filter.lazy_load_members
                && let Some(at) = page.events.iter().map(|event| event.pos).max()
            {
                let members = members_of_senders(snapshot, room_id.as_str(), &page.events, at)?;
                body["state"] = json!(reader.events(snapshot, &members)?);
            }
            Ok::<_, ApiError>(body)
        })
        .await?;
    Ok(Json(body))
}
