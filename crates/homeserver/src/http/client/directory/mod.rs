//! Endpoints of the chapter; one file each.

pub(crate) mod get_public_rooms;
pub(crate) mod get_room_visibility;
pub(crate) mod set_room_visibility;
