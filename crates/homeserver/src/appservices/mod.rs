//! Application services: who they are, what is of interest to them, and how it reaches them.
//!
//! - [`registration`], [`namespaces`]: what a service declares, read from files;
//! - `registrar`: how declarations come into force, change, and go;
//! - `registry`: the declarations in force;
//! - `interest`: which services an event is for (station 6 of its way);
//! - `acquaintance`: whom their users meet in encrypted rooms;
//! - `delivery`: from the log to the service (station 8); `wire`: requests to it;
//! - `outlet`: where a service takes its transactions itself, by websocket or by fetching;
//! - `ask`: asking a service something, over its url or its websocket;
//! - `own`: what a service may do about its own delivery; `reports`: what it says of itself;
//! - `tell`: typing and presence on their way to services;
//! - `doctor`: what keeps a service from being reached;
//! - `bus`: what operators are told as it happens;
//! - `query`: asking a service about users and aliases nobody knows yet;
//! - `lint`: what is doubtful about registrations;
//! - `thirdparty`: asking services about the networks they bridge.

pub(crate) mod acquaintance;
mod ask;
mod bus;
mod delivery;
mod doctor;
pub(crate) mod interest;
mod lint;
pub mod namespaces;
mod outlet;
mod own;
mod query;
mod registrar;
mod registry;
mod reports;
mod tell;
mod thirdparty;
mod wire;

/// Registrations themselves are shared with the kit.
pub use bridgehead_registration as registration;

pub use self::lint::{LintedFile, lint_files};
pub(crate) use self::{
    bus::Bus,
    delivery::{
        DeliveryHandle, Engine, Histories, HttpPush, Links, describe, describe_ordered,
        run as run_delivery, run_history, wake_interested,
    },
    doctor::examine,
    lint::Linter,
    outlet::{
        Ending, Handed, MAX_INCOMING_FRAME, Outlet, frame_with_keys_of, refusal_of, serve_websocket,
    },
    query::{Existence, Queries},
    registrar::{BeginError, By, How, Registrar, RegistrarError, Replacement},
    registry::{Appservice, Nids, Registry},
    reports::{Reported, Reports},
    tell::{Teller, presence_changed, run as run_teller, typing_changed},
    thirdparty::{Lookup, Protocols},
    wire::{Call, CallError, Wire, WireConfig},
};
/// What [`lint_files`] wants to know of the server.
pub use ruma::{OwnedServerName, ServerName};
