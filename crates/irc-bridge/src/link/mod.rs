//! Connections to IRC servers: made, encrypted, driven.

pub(crate) mod certificate;
pub mod claims;
pub mod dial;
pub mod drive;
mod ends;
mod note;
pub mod orders;
mod own;
