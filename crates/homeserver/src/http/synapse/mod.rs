//! The few endpoints of Synapse's admin API that bridges and their tools call. All but the
//! shared-secret registration are for administrators only.

pub(crate) mod join_room;
pub(crate) mod make_room_admin;
pub(crate) mod register;
pub(crate) mod server_version;
pub(crate) mod user;
pub(crate) mod user_admin;
