//! The public directory: rooms that somebody published, the most visited first.
//!
//! A network's list (application-service API, "Application service room directories") stands
//! under `<service id>|<network id>`, the server's own under the empty name.

use std::sync::Arc;

use bridgehead_room::RoomView;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::summary::summary;
use crate::{app::App, http::error::ApiError};

/// Rooms on a page at most, and when the client names no number.
const MAX_LIMIT: u64 = 500;

/// Which part of the directory is wanted.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct DirectoryRequest {
    pub(crate) limit: Option<u64>,
    pub(crate) since: Option<String>,
    pub(crate) filter: DirectoryFilter,
    pub(crate) include_all_networks: bool,
    pub(crate) third_party_instance_id: Option<String>,
}

/// Which rooms are wanted.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct DirectoryFilter {
    pub(crate) generic_search_term: Option<String>,
    /// `null` in the list stands for rooms without a type.
    pub(crate) room_types: Option<Vec<Option<String>>>,
}

/// The name of a network's list.
pub(crate) fn network_key(service_id: &str, network_id: &str) -> String {
    format!("{service_id}|{network_id}")
}

/// A page of the directory, in the form of the answer.
pub(crate) async fn public_rooms(app: &App, request: &DirectoryRequest) -> Result<Value, ApiError> {
    let rooms = published(app, request).await?;
    let mut views: Vec<Arc<RoomView>> = Vec::with_capacity(rooms.len());
    for room_id in rooms {
        if let Some(view) = app.store.room_view(&room_id).await?
            && request.filter.matches(&view)
        {
            views.push(view);
        }
    }
    views.sort_by(|a, b| (b.joined_count, &a.room_id).cmp(&(a.joined_count, &b.room_id)));

    let total = views.len();
    let offset = request.since.as_deref().map_or(Ok(0), parse_offset)?;
    let limit = request.limit.unwrap_or(MAX_LIMIT).clamp(1, MAX_LIMIT);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let chunk: Vec<Value> = views
        .iter()
        .skip(offset)
        .take(limit)
        .map(|view| summary(view))
        .collect();
    let mut answer = json!({ "chunk": chunk, "total_room_count_estimate": total });
    if offset.saturating_add(limit) < total {
        answer["next_batch"] = json!(format!("p{}", offset + limit));
    }
    if offset > 0 {
        answer["prev_batch"] = json!(format!("p{}", offset.saturating_sub(limit)));
    }
    Ok(answer)
}

async fn published(app: &App, request: &DirectoryRequest) -> Result<Vec<String>, ApiError> {
    match (
        &request.third_party_instance_id,
        request.include_all_networks,
    ) {
        (Some(_), true) => Err(ApiError::invalid_param(
            "third_party_instance_id and include_all_networks exclude each other",
        )),
        (None, true) => {
            app.store
                .read(|snapshot| Ok::<_, ApiError>(snapshot.rooms_published_anywhere()?))
                .await
        }
        (network, false) => {
            let network = network.clone().unwrap_or_default();
            Ok(app
                .store
                .read(move |snapshot| snapshot.published_rooms(&network))
                .await?)
        }
    }
}

fn parse_offset(since: &str) -> Result<usize, ApiError> {
    since
        .strip_prefix('p')
        .and_then(|offset| offset.parse().ok())
        .ok_or_else(|| ApiError::invalid_param("`since` is not a token of this directory"))
}

impl DirectoryFilter {
    fn matches(&self, view: &RoomView) -> bool {
        self.matches_term(view) && self.matches_type(view)
    }

    fn matches_term(&self, view: &RoomView) -> bool {
        let Some(term) = &self.generic_search_term else {
            return true;
        };
        let term = term.to_lowercase();
        [view.name(), view.topic(), view.canonical_alias()]
            .into_iter()
            .flatten()
            .any(|text| text.to_lowercase().contains(&term))
    }

    fn matches_type(&self, view: &RoomView) -> bool {
        self.room_types
            .as_ref()
            .is_none_or(|types| types.contains(&view.room_type()))
    }
}

/// Whether a room stands in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Visibility {
    /// It does.
    #[default]
    Public,
    /// It does not.
    Private,
}

impl<'de> Deserialize<'de> for Visibility {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match &*String::deserialize(deserializer)? {
            "public" => Ok(Self::Public),
            "private" => Ok(Self::Private),
            other => Err(serde::de::Error::unknown_variant(
                other,
                &["public", "private"],
            )),
        }
    }
}

/// Puts a room into a list, or takes it out.
pub(crate) async fn set_visibility(
    app: &App,
    network: String,
    room_id: &str,
    visibility: Visibility,
) -> Result<(), ApiError> {
    let room_id = room_id.to_owned();
    app.store
        .write(move |tx| tx.set_published(&network, &room_id, visibility == Visibility::Public))
        .await
        .map_err(|error: bridgehead_store::Error| error.into())
}
