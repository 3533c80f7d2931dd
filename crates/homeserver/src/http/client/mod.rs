//! The client-server API, a folder a chapter.

pub(crate) mod account;
pub(crate) mod alias;
pub(crate) mod appservice;
pub(crate) mod device;
pub(crate) mod discovery;
pub(crate) mod keys;
pub(crate) mod membership;
pub(crate) mod message;
pub(crate) mod redact;
pub(crate) mod room;
pub(crate) mod session;
pub(crate) mod state;
pub(crate) mod to_device;
