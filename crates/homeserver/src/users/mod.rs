//! Accounts: registration, sessions, user-interactive authentication, passwords.

mod directory;
pub(crate) mod passwords;
pub(crate) mod register;
mod sessions;
pub(crate) mod uia;

pub(crate) use self::{
    directory::{mutual_rooms, share_a_room},
    sessions::Sessions,
    uia::UiaSessions,
};
