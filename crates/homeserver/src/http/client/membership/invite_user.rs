//! `POST /_matrix/client/v3/rooms/{roomId}/invite`, `/kick`, `/ban`: what others do to a user

use std::sync::Arc;

use axum::{Json, extract::State};
use bridgehead_room::Membership;
use ruma::{CanonicalJsonObject, OwnedRoomId, OwnedUserId};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    config::RateCategory,
    http::{
        auth::Requester,
        error::{ApiError, ApiResult},
        extract::{JsonBody, Params, QueryParams},
        time::TimestampQuery,
    },
    rooms::{MemberChange, change_membership},
};

/// Whom, and why.
#[derive(Deserialize)]
pub(crate) struct Body {
    pub(crate) user_id: OwnedUserId,
    pub(crate) reason: Option<String>,
}

/// Invites a user; an unknown ghost's service is asked first.
pub(crate) async fn invite_user(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params(room_id): Params<OwnedRoomId>,
    QueryParams(query): QueryParams<TimestampQuery>,
    JsonBody(body): JsonBody<Body>,
) -> ApiResult<Json<Value>> {
    change(&app, requester, room_id, body, Membership::Invite, &query).await
}

/// Makes the change and answers `{}`.
pub(crate) async fn change(
    app: &Arc<App>,
    requester: Requester,
    room_id: OwnedRoomId,
    body: Body,
    membership: Membership,
    query: &TimestampQuery,
) -> ApiResult<Json<Value>> {
    // Whoever wants to go is not held back.
    if !requester.is(&body.user_id) {
        app.limits
            .check_requester(RateCategory::Messages, &requester, app.now_ms())?;
    }
    let change = MemberChange {
        room_id,
        ts: query.of(app, &requester)?,
        sender: requester.user_id,
        target: body.user_id,
        membership,
        reason: body.reason,
        extra: CanonicalJsonObject::new(),
    };
    change_membership(app, change).await?;
    Ok(Json(json!({})))
}

/// Refuses when the target's membership is not one that the operation is for. Strangers are not
/// told what it is.
pub(crate) async fn require(
    app: &App,
    requester: &Requester,
    room_id: &OwnedRoomId,
    target: &OwnedUserId,
    fits: impl Fn(Option<Membership>) -> bool,
    otherwise: &str,
) -> Result<(), ApiError> {
    let view = app.store.room_view(room_id.as_str()).await?;
    let view = view.ok_or_else(|| ApiError::not_found("No such room"))?;
    let current = view.membership(target);
    if requester.user_id != *target && view.membership(&requester.user_id) != Some(Membership::Join)
    {
        Err(ApiError::forbidden("You are not a member of this room"))
    } else if fits(current) {
        Ok(())
    } else {
        Err(ApiError::forbidden(format!("{target} {otherwise}")))
    }
}
