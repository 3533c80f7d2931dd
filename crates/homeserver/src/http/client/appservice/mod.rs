//! Endpoints of the chapter; one file each.

pub(crate) mod request_ping;
pub(crate) mod set_room_visibility;
