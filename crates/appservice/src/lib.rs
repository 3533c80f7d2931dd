//! Write Matrix application services.

#![expect(
    clippy::redundant_closure_for_method_calls,
    reason = "the path of a unit's method is not general enough over the unit's lifetime"
)]

mod actors;
pub mod backoff;
pub mod bridge;
mod capabilities;
mod client;
pub mod config;
mod core;
mod error;
mod event;
mod flights;
mod handler;
pub mod id;
mod inbox;
mod lanes;
pub mod media;
pub mod metrics;
mod namespaces;
mod outbox;
pub mod prelude;
pub mod program;
mod run;
#[cfg(test)]
mod scripted;
mod service;
mod state;
pub mod store;
pub mod surroundings;
mod trace;
mod web;
mod wire;

pub use self::{
    actors::{
        Actor, Bot, Ghost, Ghosts, JoinOptions, MembershipGap, ProfileChange, Propagation, Puppet,
        Room, SendOptions,
    },
    capabilities::Capabilities,
    client::{Urgency, gate, limiter, retry_after},
    config::ListenAddress,
    core::Limits,
    error::{Error, HandlerError},
    event::{BadEvent, Event},
    format::content::Content,
    handler::{
        AliasAsk, Context, Declared, Delivery, Devices, Edit, FromContext, GhostPlan, Handler,
        IntoOutcome, Member, Message, Presence, ProtocolInfo, Raw, Reaction, Receipt, Redaction,
        Rejection, RemoteAsk, RemoteLocation, RemoteUser, RoomPlan, Sender, State, StateEvent,
        StateKind, Text, ThirdParty, Timeline, ToDevice, Typing, UserAsk, Verdict,
    },
    inbox::Parked,
    run::{Database, Handle, Health, Running, Setup, StartError},
    service::Service,
    state::{Creation, Fresh, JoinRule, Membership, Power, PowerLevels, RoomMember, Tombstone},
    wire::{Listen, ListenError, Listening, TlsFiles, Websocket, WebsocketLink, WebsocketState},
};
pub use bridgehead_registration::{self as registration, Secret};
pub mod format;
