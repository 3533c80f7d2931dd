//! Accounts: registration, sessions, user-interactive authentication, passwords.

pub(crate) mod account_data;
pub(crate) mod directory;
pub(crate) mod openid;
pub(crate) mod passwords;
pub(crate) mod profile;
mod profile_fanout;
pub(crate) mod push_rules;
pub(crate) mod pushers;
pub(crate) mod register;
mod sessions;
pub(crate) mod uia;

pub(crate) use self::{
    directory::{mutual_rooms, share_a_room},
    profile_fanout::ProfileFanout,
    sessions::Sessions,
    uia::UiaSessions,
};
