//! Accounts: registration, sessions, devices, user-interactive authentication, passwords, and the
//! relay of what encrypting clients store and send.

pub(crate) mod account_data;
pub(crate) mod accounts;
pub(crate) mod devices;
pub(crate) mod directory;
pub(crate) mod keys;
mod last_seen;
mod nonces;
pub(crate) mod openid;
pub(crate) mod passwords;
pub(crate) mod profile;
mod profile_fanout;
pub(crate) mod push_rules;
pub(crate) mod pushers;
pub(crate) mod register;
mod sessions;
pub(crate) mod to_device;
pub(crate) mod uia;

pub(crate) use self::{
    directory::{mutual_rooms, share_a_room},
    last_seen::LastSeen,
    nonces::Nonces,
    profile_fanout::ProfileFanout,
    sessions::Sessions,
    uia::UiaSessions,
};
