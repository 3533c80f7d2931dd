//! The homeserver as a library: HTTP, rooms, users, sync, application services and delivery.

pub mod config;
pub mod secret;
