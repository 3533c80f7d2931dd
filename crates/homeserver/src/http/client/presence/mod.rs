//! Endpoints of the chapter; one file each.

pub(crate) mod get_presence;
pub(crate) mod set_presence;
