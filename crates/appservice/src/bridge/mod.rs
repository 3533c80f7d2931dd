//! What bridges need on top of a service.
//!
//! A bridge's author implements [`Network`] and declares a [`Bridge`]; the kit does the rest: portals, ghosts, direct
//! talks, commands, what senders are told, room upgrades, and taking it all apart again.
//!
//! - `network` the other network: what is said there, brought to Matrix and back, each way marked with where it came from
//! - `portal` rooms of Matrix that are rooms of the network
//! - `links`, `messages`, `remote_id` what belongs to what, on disk
//! - `relay`, `ghosts` who speaks
//! - `commands`, `management`, `permissions` what people tell the service, and where, and who may
//! - `status` what senders are told
//! - `info` what a room says about being bridged
//! - `upgrade`, `unbridge` rooms that are replaced, and portals that are taken apart
//! - `signed` links to media that anybody may open

pub mod backfill;
mod calls;
mod commands;
mod declare;
mod ghosts;
mod info;
mod links;
mod live;
mod management;
mod messages;
mod network;
mod permissions;
mod portal;
pub mod provisioning;
pub mod puppets;
mod relay;
mod remote_id;
pub mod signed;
pub(crate) mod status;
#[cfg(test)]
mod testing;
mod translate;
mod unbridge;
mod upgrade;

pub(crate) use self::live::{Bridges, Factory};
pub use self::{
    commands::{Answer, CommandAsk, CommandError, Commands},
    declare::Bridge,
    links::{Link, LinkKind, Links, MatrixId},
    management::Management,
    messages::{MessageRef, ReactionRef},
    network::{
        Action, Bridged, Cause, Fate, Foreign, Named, Network, Outgoing, Place, Receipt, Rejected,
        Remote, RemoteMessage, RoomChange, RoomInfo, SendError, Signal, Speaker, UserInfo,
    },
    permissions::{Level, Permissions},
    portal::{LinkRefused, Portal, PortalData, PortalKind, Portals, Rooms},
    relay::{BadTemplate, Relay, Template, Voice, VoiceStyle},
    remote_id::RemoteId,
    status::StatusOptions,
    unbridge::Orphan,
};
