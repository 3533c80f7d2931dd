//! HTTP: routes, extractors, errors, and one file an endpoint.
//!
//! Files are named by ruma's modules: `PUT …/rooms/{id}/send/{type}/{txn}` is
//! `message::send_message_event` there and `client/message/send_message_event.rs` here. Handlers
//! parse, call a domain module and format; they hold no rule and open no unit of work.

pub(crate) mod address;
pub(crate) mod auth;
mod client;
pub(crate) mod connection;
pub(crate) mod error;
pub(crate) mod extract;
mod federation;
mod media;
mod metrics;
mod observe;
mod operator;
mod pages;
mod router;
mod synapse;
pub(crate) mod time;
mod timeout;

pub(crate) use self::router::service;
