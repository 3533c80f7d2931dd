//! The client-server API, a folder a chapter.

pub(crate) mod account;
pub(crate) mod alias;
pub(crate) mod appservice;
pub(crate) mod config;
pub(crate) mod context;
pub(crate) mod device;
pub(crate) mod discovery;
pub(crate) mod filter;
pub(crate) mod membership;
pub(crate) mod message;
pub(crate) mod presence;
pub(crate) mod profile;
pub(crate) mod push;
pub(crate) mod read_marker;
pub(crate) mod receipt;
pub(crate) mod redact;
pub(crate) mod relations;
pub(crate) mod room;
pub(crate) mod session;
pub(crate) mod state;
pub(crate) mod sync;
pub(crate) mod tag;
pub(crate) mod to_device;
pub(crate) mod typing;
pub(crate) mod user_directory;
