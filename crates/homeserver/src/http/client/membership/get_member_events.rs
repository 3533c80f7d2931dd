//! `GET /_matrix/client/v3/rooms/{roomId}/members`

use std::sync::Arc;

use axum::{Json, extract::State};
use bridgehead_room::Membership;
use bridgehead_store::TimelineEvent;
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
        may_read_state, membership_of,
        read::{Reader, parse_optional_token},
    },
};

#[derive(Deserialize)]
pub(crate) struct Query {
    membership: Option<String>,
    not_membership: Option<String>,
    at: Option<String>,
}

/// Both filters together are an *or*, as the specification has it.
struct Wanted {
    is: Option<Membership>,
    is_not: Option<Membership>,
}

impl Wanted {
    fn parse(query: &Query) -> Result<Self, ApiError> {
        let membership = |text: &Option<String>| {
            text.as_deref()
                .map(|text| {
                    text.parse().map_err(|_| {
                        ApiError::invalid_param(
                            "Memberships are join, invite, knock, leave and ban",
                        )
                    })
                })
                .transpose()
        };
        Ok(Self {
            is: membership(&query.membership)?,
            is_not: membership(&query.not_membership)?,
        })
    }

    fn matches(&self, event: &TimelineEvent) -> bool {
        let membership = membership_of(event);
        match (self.is, self.is_not) {
            (None, None) => true,
            (Some(_), None) => membership == self.is,
            (None, Some(_)) => membership != self.is_not,
            (Some(_), Some(_)) => membership == self.is || membership != self.is_not,
        }
    }
}

/// The member events of a room, now or at an earlier place.
pub(crate) async fn get_member_events(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params(room_id): Params<OwnedRoomId>,
    QueryParams(query): QueryParams<Query>,
) -> ApiResult<Json<Value>> {
    let wanted = Wanted::parse(&query)?;
    let at = parse_optional_token(query.at.as_deref())?;
    let visible = may_read_state(&app, &requester.user_id, room_id.as_str()).await?;
    let reader = Reader::new(&app, &requester);
    let at = at.map_or(visible.upto, |at| at.min(visible.upto));
    let chunk = app
        .store
        .read(move |snapshot| {
            let members = snapshot.state_of_type_at(room_id.as_str(), "m.room.member", at)?;
            reader.events(
                snapshot,
                members.iter().filter(|event| wanted.matches(event)),
            )
        })
        .await?;
    Ok(Json(json!({ "chunk": chunk })))
}
