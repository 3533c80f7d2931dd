//! The server over real HTTP, in the test's process. Modules mirror the API's chapters.

#![expect(
    clippy::unwrap_used,
    reason = "a failed step of a test's helper fails the test"
)]

mod account_data;
mod admin;
mod aliases;
mod append;
mod bridges;
mod calls;
mod context;
mod create_room;
mod dashboard;
mod delivery;
mod device_news;
mod devices;
mod dialect;
mod directory;
mod discovery;
mod ephemeral;
mod first_version;
mod guests;
mod http_edges;
mod identity;
mod in_process;
mod interest;
mod key_files;
mod keys;
mod knock;
mod login;
mod media;
mod members;
mod messages;
mod metrics;
mod operator;
mod own_service;
mod peer;
mod ping;
mod poison;
mod presence;
mod profile;
mod pull;
mod push_rules;
mod queries;
mod receipts;
mod redactions;
mod registration;
mod registrations_runtime;
mod relations;
mod session;
mod support;
mod sync;
mod thirdparty;
mod tls;
mod to_device;
mod typing;
mod upgrade;
mod websocket;
