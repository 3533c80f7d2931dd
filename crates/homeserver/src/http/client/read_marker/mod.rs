//! Endpoints of the chapter; one file each.

pub(crate) mod set_read_marker;
