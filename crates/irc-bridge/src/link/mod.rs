//! Connections to IRC servers: made, encrypted, driven.

pub mod dial;
pub mod tls;
