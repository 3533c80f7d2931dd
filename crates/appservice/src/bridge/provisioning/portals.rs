//! The links of a bridge made with the kit: its portals.

use std::marker::PhantomData;

use serde_json::json;

use super::{
    LinkAsk, LinkBook, LinkView,
    caller::{Caller, check_level},
    error::ProvisionError,
};
use crate::{
    bridge::{Level, LinkRefused, Network, Portal, PortalKind, Portals, RemoteId},
    id::RoomId,
};

/// Portals listed at most, and read at once.
const LISTED: usize = 1000;

/// The portals of a network; see [`Provisioning::portals`](super::Provisioning::portals).
pub(super) struct PortalBook<N>(PhantomData<fn() -> N>);

impl<N: Network> PortalBook<N> {
    pub(super) fn new() -> Self {
        Self(PhantomData)
    }

    fn portals(caller: &Caller) -> Result<Portals<N>, ProvisionError> {
        let live = caller.core().bridges.get::<N>().ok_or_else(|| {
            ProvisionError::not_found(format!("the service has no bridge to {}", N::NAME))
        })?;
        Ok(Portals::outside(live, caller.core().clone()))
    }

    fn room(text: &str) -> Result<N::Room, ProvisionError> {
        N::Room::from_text(text).ok_or_else(|| {
            ProvisionError::bad_request(format!("`{text}` is no room of {}", N::NAME))
        })
    }
}

impl<N: Network> LinkBook for PortalBook<N> {
    /// Of one room, if the caller is in it; or those that they had made or linked. The operator and admins see all.
    async fn list(
        &self,
        caller: &Caller,
        room: Option<&RoomId>,
    ) -> Result<Vec<LinkView>, ProvisionError> {
        let portals = Self::portals(caller)?;
        let sees_all =
            caller.is_operator() || caller.core().level(caller.user_id()) >= Level::Admin;
        let is_theirs = |portal: &Portal<N>| portal.data.creator.as_ref() == Some(caller.user_id());
        if let Some(room) = room {
            let portal = portals.at(room).await?;
            let is_shown = match &portal {
                Some(portal) => sees_all || is_theirs(portal) || caller.is_in(room).await?,
                None => false,
            };
            return Ok(portal.iter().filter(|_| is_shown).map(view).collect());
        }
        let mut listed = Vec::new();
        let mut last = None;
        loop {
            let page = portals.list(last.as_ref(), LISTED).await?;
            let theirs = page.iter().filter(|portal| sees_all || is_theirs(portal));
            listed.extend(theirs.take(LISTED - listed.len()).map(view));
            if page.len() < LISTED || listed.len() >= LISTED {
                return Ok(listed);
            }
            last = page.into_iter().last().map(|portal| portal.remote);
        }
    }

    async fn create(&self, caller: &Caller, ask: LinkAsk) -> Result<LinkView, ProvisionError> {
        let portals = Self::portals(caller)?;
        check_level(caller.core(), caller.user_id(), Level::User)?;
        let remote = Self::room(&ask.remote_id)?;
        // Asked for again since the answer was lost.
        if let Some(portal) = portals.at(&ask.room_id).await?
            && portal.remote == remote
        {
            return Ok(view(&portal));
        }
        let linked = portals.link(Some(caller.user_id()), &ask.room_id, &remote);
        Ok(view(&linked.await?))
    }

    async fn delete(
        &self,
        caller: &Caller,
        room: &RoomId,
        remote_id: &str,
    ) -> Result<(), ProvisionError> {
        let portals = Self::portals(caller)?;
        let remote = Self::room(remote_id)?;
        let portal = portals.of(&remote).await?;
        let portal = portal.filter(|portal| portal.matrix == *room);
        let portal = portal.ok_or_else(|| ProvisionError::not_found("there is no such link"))?;
        Ok(portals.unbridge(&portal, None).await?)
    }
}

fn view<N: Network>(portal: &Portal<N>) -> LinkView {
    let kind = match portal.data.kind {
        PortalKind::Made => "made",
        PortalKind::Plumbed => "linked",
        PortalKind::Direct => "direct",
    };
    LinkView {
        room_id: portal.matrix.clone(),
        remote_id: portal.remote.to_text(),
        state: if portal.data.broken.is_some() {
            "broken"
        } else {
            "linked"
        }
        .to_owned(),
        details: json!({
            "kind": kind,
            "creator": portal.data.creator,
            "name": portal.data.name,
            "broken": portal.data.broken,
            "linked_ms": portal.linked_ms,
        }),
    }
}

impl From<LinkRefused> for ProvisionError {
    fn from(refused: LinkRefused) -> Self {
        let text = refused.to_string();
        match refused {
            LinkRefused::NoPower { .. }
            | LinkRefused::PowerUnknown
            | LinkRefused::Direct(_)
            | LinkRefused::NotAllowed(_) => Self::forbidden(text),
            LinkRefused::RoomLinked(_) | LinkRefused::RemoteLinked(_) => Self::conflict(text),
            LinkRefused::NoRoom(_) => Self::not_found(text),
            LinkRefused::Network(..) => Self::bad_gateway(text),
            LinkRefused::Failed(error) => error.into(),
        }
    }
}
