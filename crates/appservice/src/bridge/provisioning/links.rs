//! What is linked to what, over HTTP.

use std::{future::Future, sync::Arc};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Query},
    routing::{delete, get},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{caller::Caller, error::ProvisionError};
use crate::id::RoomId;

/// Longest remote id, in bytes.
const MAX_REMOTE_ID: usize = 1024;

/// A link, as it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkView {
    /// The Matrix side.
    pub room_id: RoomId,
    /// The other network's side, in its text form.
    pub remote_id: String,
    /// How it stands, such as `linked`, `pending` or `failed`.
    pub state: String,
    /// More about it, in the author's own form.
    #[serde(default)]
    pub details: Value,
}

/// A link that somebody wants.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct LinkAsk {
    /// The Matrix side.
    pub room_id: RoomId,
    /// The other network's side, in its text form.
    pub remote_id: String,
    /// More about it, in the author's own form.
    #[serde(default)]
    pub options: Value,
}

/// The author's links, for the provisioning API.
///
/// Links are made and removed for those only who may change the room's state, unless [`needs_power`](Self::needs_power)
/// says otherwise: whoever is let in here decides who hears what is said in a room.
pub trait LinkBook: Send + Sync + 'static {
    /// The links that this person may see: of one room, or all of theirs.
    fn list(
        &self,
        caller: &Caller,
        room: Option<&RoomId>,
    ) -> impl Future<Output = Result<Vec<LinkView>, ProvisionError>> + Send;

    /// Makes a link. Called again with the same when an answer was lost.
    fn create(
        &self,
        caller: &Caller,
        ask: LinkAsk,
    ) -> impl Future<Output = Result<LinkView, ProvisionError>> + Send;

    /// Removes a link; [`ProvisionError::not_found`] when there is none.
    fn delete(
        &self,
        caller: &Caller,
        room: &RoomId,
        remote_id: &str,
    ) -> impl Future<Output = Result<(), ProvisionError>> + Send;

    /// Whether links may be made and removed by those only who may change the room's state.
    fn needs_power(&self) -> bool {
        true
    }
}

#[derive(Deserialize)]
struct ListQuery {
    room_id: Option<String>,
}

pub(super) fn router<B: LinkBook>(book: B) -> Router {
    let book = Arc::new(book);
    let (lists, creates, deletes) = (book.clone(), book.clone(), book);
    let list = move |caller: Caller, Query(query): Query<ListQuery>| async move {
        let room = query.room_id.as_deref().map(room).transpose()?;
        let links = lists.list(&caller, room.as_ref()).await?;
        Ok::<_, ProvisionError>(Json(json!({ "links": links })))
    };
    let create = move |caller: Caller, body: Bytes| async move {
        let ask: LinkAsk = serde_json::from_slice(&body).map_err(|error| {
            ProvisionError::bad_request(format!("the body is no link: {error}"))
        })?;
        check_remote(&ask.remote_id)?;
        check_power(&*creates, &caller, &ask.room_id).await?;
        Ok::<_, ProvisionError>(Json(creates.create(&caller, ask).await?))
    };
    let remove = move |caller: Caller, Path((room_id, remote_id)): Path<(String, String)>| async move {
        let room_id = room(&room_id)?;
        check_remote(&remote_id)?;
        check_power(&*deletes, &caller, &room_id).await?;
        deletes.delete(&caller, &room_id, &remote_id).await?;
        Ok::<_, ProvisionError>(Json(json!({})))
    };
    Router::new()
        .route("/links", get(list).post(create))
        .route("/links/{room_id}/{remote_id}", delete(remove))
}

fn room(text: &str) -> Result<RoomId, ProvisionError> {
    RoomId::parse(text).map_err(|error| ProvisionError::bad_request(error.to_string()))
}

fn check_remote(remote_id: &str) -> Result<(), ProvisionError> {
    if remote_id.is_empty() || remote_id.len() > MAX_REMOTE_ID {
        let message = format!("`remote_id` is empty, or longer than {MAX_REMOTE_ID} bytes");
        return Err(ProvisionError::bad_request(message));
    }
    Ok(())
}

async fn check_power<B: LinkBook>(
    book: &B,
    caller: &Caller,
    room: &RoomId,
) -> Result<(), ProvisionError> {
    if book.needs_power() && !caller.may_change(room).await? {
        return Err(ProvisionError::forbidden(
            "you have not the power to change this room's state: ask somebody of the room who has",
        ));
    }
    Ok(())
}
