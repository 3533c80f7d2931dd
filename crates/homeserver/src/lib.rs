//! The homeserver as a library: HTTP, rooms, users, sync, application services and delivery.

pub mod appservices;
pub mod secret;
