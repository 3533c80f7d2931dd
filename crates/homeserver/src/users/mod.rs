//! Accounts: registration, sessions, devices, user-interactive authentication, passwords, and the
//! relay of what encrypting clients store and send.

pub(crate) mod devices;
pub(crate) mod keys;
mod last_seen;
pub(crate) mod passwords;
pub(crate) mod register;
mod sessions;
pub(crate) mod to_device;
pub(crate) mod uia;

pub(crate) use self::{last_seen::LastSeen, sessions::Sessions, uia::UiaSessions};
