//! Endpoints of the chapter; one file each.

pub(crate) mod get_global_account_data;
pub(crate) mod get_room_account_data;
pub(crate) mod set_global_account_data;
pub(crate) mod set_room_account_data;
