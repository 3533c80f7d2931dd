//! What bridges need on top of a service.
//!
//! A bridge's author implements [`Network`] and declares a [`Bridge`]; the kit does the rest: portals, ghosts, direct
//! talks, commands, what senders are told, room upgrades, and taking it all apart again.
//!
//! # A whole bridge
//!
//! To a network whose rooms are numbers, and which hands out what is said as a stream:
//!
//! ```
//! use bridgehead_appservice::{HandlerError, Service, bridge::*};
//! # use std::sync::Arc;
//! # struct Line { id: String, room: String, who: String, text: String }
//! # struct Connection;
//! # impl Connection {
//! #     async fn open() -> Result<Arc<Self>, HandlerError> { Ok(Arc::new(Self)) }
//! #     async fn next(&self) -> Option<Line> { None }
//! #     async fn enter(&self, _: &str) {}
//! #     async fn say(&self, _: &str, _: &str, _: &str) -> Result<String, std::io::Error> { Ok(String::new()) }
//! # }
//!
//! #[derive(Default)]
//! struct Numbers {
//!     connection: tokio::sync::RwLock<Option<Arc<Connection>>>,
//! }
//!
//! impl Network for Numbers {
//!     type Room = String;
//!     type User = String;
//!     const NAME: &'static str = "numbers";
//!
//!     async fn run(&self, remote: Remote<Self>) -> Result<(), HandlerError> {
//!         let connection = Connection::open().await?;
//!         *self.connection.write().await = Some(connection.clone());
//!         remote.connected();
//!         for room in remote.rooms().await? {
//!             connection.enter(&room).await;
//!         }
//!         while let Some(line) = connection.next().await {
//!             remote.message(RemoteMessage::new(line.id, line.room, line.who, line.text)).await?;
//!         }
//!         Ok(())
//!     }
//!
//!     async fn send(&self, outgoing: Outgoing<Self>) -> Result<Receipt, SendError> {
//!         let connection = self.connection.read().await.clone();
//!         let connection = connection.ok_or_else(|| SendError::away("there is no connection"))?;
//!         let Action::Message { content, .. } = &outgoing.action else {
//!             return Err(SendError::unsupported("numbers only know messages"));
//!         };
//!         let text = content.describe().unwrap_or_default();
//!         Ok(Receipt::id(connection.say(&outgoing.room, &outgoing.speaker.name, &text).await?))
//!     }
//!
//!     async fn describe_user(&self, user: &String) -> Result<Option<UserInfo>, HandlerError> {
//!         Ok(Some(UserInfo::named(user)))
//!     }
//!
//!     async fn describe_room(&self, room: &String) -> Result<Option<RoomInfo<Self>>, HandlerError> {
//!         Ok(room.parse::<u32>().is_ok().then(|| RoomInfo::public(&format!("Number {room}"))))
//!     }
//! }
//!
//! let service = Service::new("numbers").bridge(
//!     Bridge::new(Numbers::default())
//!         .users("_numbers_{name}")
//!         .aliases("#numbers_{number}"),
//! );
//! # drop(service);
//! ```
//!
//! # What it consists of
//!
//! - `network` the other network: what is said there, brought to Matrix and back, each way marked with where it came from
//! - `portal` rooms of Matrix that are rooms of the network
//! - `links`, `messages`, `remote_id` what belongs to what, on disk
//! - `relay`, `ghosts` who speaks; `naming` what they are called; `adopting` what another bridge has left
//! - `commands`, `management`, `permissions` what people tell the service, and where, and who may
//! - `policies` ban lists that the service follows
//! - `status` what senders are told
//! - `info` what a room says about being bridged
//! - `upgrade`, `unbridge` rooms that are replaced, and portals that are taken apart
//! - `signed` links to media that anybody may open

mod adopting;
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
mod naming;
mod network;
mod permissions;
mod policies;
mod portal;
pub mod provisioning;
pub mod puppets;
mod relay;
mod remote_id;
pub mod signed;
pub(crate) mod status;
#[cfg(test)]
pub(crate) mod testing;
mod translate;
mod unbridge;
mod upgrade;

pub use self::{
    adopting::{Adopted, Adopting},
    commands::{Answer, CommandAsk, CommandError, Commands},
    declare::Bridge,
    links::{Link, LinkKind, Links, MatrixId},
    management::Management,
    messages::{MessageRef, ReactionRef},
    network::{
        Action, Begun, Bridged, Cause, Fate, Foreign, Held, Member, Named, Network, Outgoing,
        Place, PowerChange, Receipt, Rejected, Remote, RemoteMessage, RemotePresence, RoomChange,
        RoomInfo, SendError, Signal, Speaker, Together, UserInfo,
    },
    permissions::{Level, Permissions},
    policies::{PolicyReport, PolicyRoom},
    portal::{LinkRefused, Portal, PortalData, PortalKind, Portals, Rooms, Speech},
    relay::{BadTemplate, Relay, Template, Voice, VoiceStyle},
    remote_id::RemoteId,
    status::StatusOptions,
    unbridge::Orphan,
};
pub(crate) use self::{
    live::{Bridges, Factory},
    policies::{Policies, is_ban},
};
