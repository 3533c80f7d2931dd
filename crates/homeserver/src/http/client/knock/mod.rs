//! Endpoints of the chapter; one file each.

pub(crate) mod knock_room;
