//! Aliases: what they point at, and who may make and delete them.

use std::sync::Arc;

use bridgehead_store::{AliasRow, Tx};
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, OwnedRoomAliasId, OwnedRoomId, RoomAliasId, RoomId,
    RoomOrAliasId, UserId,
};

use super::AppendError;
use crate::{
    app::App,
    appservices::{Appservice, Existence, Registry},
    http::{auth::Requester, error::ApiError},
};

/// A change of an alias by somebody.
pub(crate) struct AliasChange {
    /// The alias.
    pub(crate) alias: OwnedRoomAliasId,
    /// Who asks.
    pub(crate) user_id: ruma::OwnedUserId,
    /// The service behind them.
    pub(crate) appservice: Option<Arc<Appservice>>,
    /// The registrations in force.
    pub(crate) registry: Arc<Registry>,
}

impl AliasChange {
    pub(crate) fn new(app: &App, requester: &Requester, alias: OwnedRoomAliasId) -> Self {
        Self {
            alias,
            user_id: requester.user_id.clone(),
            appservice: requester.appservice.clone(),
            registry: app.registry(),
        }
    }

    /// Namespaces first (application-service API, "Exclusive"): nobody but the owning service
    /// touches an exclusive alias, and a service touches only aliases of its own namespaces.
    pub(crate) fn check(&self, app: &App) -> Result<(), ApiError> {
        if self.alias.server_name() != app.server_name {
            return Err(ApiError::invalid_param(format!(
                "{} is not an alias of this server ({})",
                self.alias, app.server_name
            )));
        }
        if let Some(owner) = self
            .registry
            .alias_reserved_by(&self.alias, self.appservice.as_deref())
        {
            tracing::info!(
                code = "APPSERVICE_NAMESPACE_CONFLICT", alias = %self.alias,
                appservice.id = %owner.registration.id, "alias refused"
            );
            return Err(ApiError::exclusive(
                "This alias is reserved by an application service",
            ));
        }
        match &self.appservice {
            Some(service) if !self.registry.owns_alias(service, &self.alias) => Err(
                ApiError::exclusive("The alias is outside the application service's namespaces"),
            ),
            _ => Ok(()),
        }
    }

    /// Makes the alias.
    pub(crate) fn insert(&self, tx: &mut Tx<'_>, room_id: &RoomId) -> Result<(), AppendError> {
        let alias = self.alias.as_str();
        if tx.insert_alias(alias, room_id.as_str(), self.user_id.as_str())? {
            return Ok(());
        }
        Err(ApiError::room_in_use(format!("The alias {alias} is taken")).into())
    }

    /// Whether the asker may delete the alias: its maker, a service that owns it, or somebody who
    /// may change the room's canonical alias.
    pub(crate) fn may_delete(
        &self,
        row: &AliasRow,
        view: Option<&bridgehead_room::RoomView>,
    ) -> bool {
        row.creator == self.user_id.as_str()
            || self
                .appservice
                .as_ref()
                .is_some_and(|service| self.registry.owns_alias(service, &self.alias))
            || view.is_some_and(|view| may_change_aliases(view, &self.user_id))
    }
}

fn may_change_aliases(view: &bridgehead_room::RoomView, user_id: &UserId) -> bool {
    view.membership(user_id) == Some(bridgehead_room::Membership::Join)
        && view.can_send_state(user_id, "m.room.canonical_alias")
}

/// What a local alias points at.
pub(crate) async fn resolve(app: &App, alias: &RoomAliasId) -> Result<Option<AliasRow>, ApiError> {
    let name = alias.to_string();
    Ok(app.store.read(move |s| s.alias(&name)).await?)
}

/// What an alias points at; on a miss the services that own it are asked. The flag says whether a
/// service has made it for this very question.
pub(crate) async fn resolve_or_ask(
    app: &Arc<App>,
    alias: &RoomAliasId,
) -> Result<(AliasRow, bool), ApiError> {
    if alias.server_name() != app.server_name {
        return Err(ApiError::not_found(format!(
            "{alias} belongs to another server, and this one does not federate"
        )));
    }
    let existence = app.queries.alias(app, alias).await?;
    match existence {
        Existence::Unavailable => {
            return Err(ApiError::timeout(
                "The application service that owns this alias did not answer; try again later",
            ));
        }
        Existence::Existed | Existence::Created | Existence::No | Existence::Unowned => {}
    }
    let row = resolve(app, alias)
        .await?
        .ok_or_else(|| ApiError::not_found(format!("Room alias {alias} not found")))?;
    Ok((row, existence == Existence::Created))
}

/// The room that an id or alias names; services are asked about unknown aliases. Beside it the
/// alias, if a service has made it for this very question.
pub(crate) async fn resolve_room(
    app: &Arc<App>,
    target: &RoomOrAliasId,
) -> Result<(OwnedRoomId, Option<AliasRow>), ApiError> {
    let illegal = || ApiError::invalid_param(format!("`{target}` is no room id and no alias"));
    if let Ok(alias) = <&RoomAliasId>::try_from(target.as_str()) {
        let (row, just_made) = resolve_or_ask(app, alias).await?;
        let room_id = row.room_id.as_str().try_into().map_err(|_| illegal())?;
        return Ok((room_id, just_made.then_some(row)));
    }
    let room_id = target.as_str().try_into().map_err(|_| illegal())?;
    Ok((room_id, None))
}

/// The aliases that a canonical-alias event newly names must point at its room; services are asked
/// about those that nobody made yet.
pub(crate) async fn check_canonical_alias(
    app: &Arc<App>,
    room_id: &RoomId,
    content: &CanonicalJsonObject,
) -> Result<(), ApiError> {
    let standing = standing_canonical_alias(app, room_id).await?;
    let known = aliases_named(&standing);
    for text in aliases_named(content) {
        if known.contains(&text) {
            continue;
        }
        let alias = <&RoomAliasId>::try_from(text)
            .map_err(|_| ApiError::invalid_param(format!("`{text}` is not a room alias")))?;
        let points_here = match resolve_or_ask(app, alias).await {
            Ok((row, _)) => row.room_id == room_id.as_str(),
            Err(error) if error.errcode() == "M_NOT_FOUND" => false,
            Err(error) => return Err(error),
        };
        if !points_here {
            return Err(ApiError::bad_alias(format!(
                "{alias} does not point at {room_id}"
            )));
        }
    }
    Ok(())
}

/// The content of the room's `m.room.canonical_alias`; empty without one.
async fn standing_canonical_alias(
    app: &App,
    room_id: &RoomId,
) -> Result<CanonicalJsonObject, ApiError> {
    let view = app.store.room_view(room_id.as_str()).await?;
    Ok(view
        .as_ref()
        .and_then(|view| view.state_event("m.room.canonical_alias", ""))
        .and_then(|event| serde_json::from_str(event.content.get()).ok())
        .unwrap_or_default())
}

/// `alias` and `alt_aliases` of a canonical-alias event.
fn aliases_named(content: &CanonicalJsonObject) -> Vec<&str> {
    let main = content
        .get("alias")
        .and_then(CanonicalJsonValue::as_str)
        .filter(|alias| !alias.is_empty());
    let others = content
        .get("alt_aliases")
        .and_then(CanonicalJsonValue::as_array);
    main.into_iter()
        .chain(
            others
                .into_iter()
                .flatten()
                .filter_map(CanonicalJsonValue::as_str),
        )
        .collect()
}
