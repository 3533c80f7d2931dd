//! Portals: rooms of Matrix that are rooms of the network.
//!
//! A portal is made when somebody of the network speaks, when somebody asks for its alias, or when a person invites
//! a ghost to talk alone; or an existing room is linked (*plumbed*). `make` makes and links, `sync` keeps names and
//! topics the same, `speech` who may speak, `invite` answers invitations and sees removals.

mod handle;
mod invite;
mod make;
mod plumb;
mod speech;
mod sync;

use serde::{Deserialize, Serialize};

pub use self::{handle::Portals, plumb::LinkRefused, speech::Speech};
pub(crate) use self::{
    invite::{back, on_member},
    make::{ensure, ensure_for_alias, lock},
    plumb::{check_power, plumb},
    sync::{gone, sync},
};
use super::{Link, LinkKind, Network};
use crate::{
    core::Core,
    id::{MxcUri, RoomAlias, RoomId, UserId},
    state::JoinRule,
};

/// The links between rooms of the network and portals.
pub struct Rooms<N>(std::marker::PhantomData<fn() -> N>);

impl<N: Network> LinkKind for Rooms<N> {
    const KIND: &'static str = "bridge/room";
    type Remote = N::Room;
    type Matrix = RoomId;
    type Data = PortalData;

    fn kind() -> String {
        format!("bridge/{}/room", N::NAME)
    }
}

/// A portal: the network's room and ours. As a handler's argument, that of the event's room; where the room is none,
/// the handler is not called.
pub type Portal<N> = Link<Rooms<N>>;

/// How a portal came to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PortalKind {
    /// The bridge has made the room.
    #[default]
    Made,
    /// The room was there before, and somebody with power in it has linked it.
    Plumbed,
    /// Two talk alone.
    Direct,
}

/// What the bridge knows of a portal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PortalData {
    /// How it came to be.
    #[serde(default)]
    pub kind: PortalKind,
    /// Who had it made or linked, where that was a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creator: Option<UserId>,
    /// Which of the service's users looks after the room; its own user where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<UserId>,
    /// The alias that the bridge has given it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<RoomAlias>,
    /// The name that the network has for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The topic that the network has for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// The picture that the network has for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar: Option<MxcUri>,
    /// Who may join by the network's last word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join_rule: Option<JoinRule>,
    /// Why nothing goes through it at the moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
    /// That is because somebody has put the bridge out of the room: what the network says does not bring it back, and
    /// whoever invites it again does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_put_out: bool,
    /// What it takes to speak there, as far as the network has had a say in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speech: Option<Speech>,
}

impl<N: Network> Link<Rooms<N>> {
    /// Which of the service's users looks after the room.
    pub(crate) fn agent(&self, core: &Core) -> UserId {
        self.data.agent.clone().unwrap_or_else(|| core.bot.clone())
    }
}
