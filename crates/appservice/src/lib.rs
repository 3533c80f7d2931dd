//! Write Matrix application services.

mod actors;
pub mod backoff;
pub mod bridge;
mod capabilities;
mod client;
pub mod config;
mod core;
mod error;
mod event;
mod handler;
pub mod id;
mod inbox;
mod lanes;
pub mod media;
pub mod metrics;
mod namespaces;
mod outbox;
pub mod prelude;
mod run;
mod service;
mod state;
pub mod store;
pub mod surroundings;
mod trace;
mod web;
mod wire;

pub use self::{
    actors::{Bot, Ghost, Ghosts, Puppet, Room},
    capabilities::Capabilities,
    client::{Urgency, gate, limiter, retry_after},
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
    run::{Database, Health, Running, Setup, StartError},
    service::Service,
    wire::{
        Listen, ListenAddress, ListenError, Listening, TlsFiles, Websocket, WebsocketLink,
        WebsocketState,
    },
};
pub use bridgehead_registration::{self as registration, Secret};
pub mod format;
