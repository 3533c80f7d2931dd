//! Endpoints of the chapter; one file each.

pub(crate) mod get_by_fields;
pub(crate) mod get_by_name;
pub(crate) mod get_protocols;
