//! Accounts: registration, sessions, user-interactive authentication, passwords.

pub(crate) mod passwords;
pub(crate) mod register;
mod sessions;
pub(crate) mod uia;

pub(crate) use self::{sessions::Sessions, uia::UiaSessions};
