//! Endpoints of the chapter; one file each.

pub(crate) mod create_alias;
pub(crate) mod delete_alias;
pub(crate) mod get_alias;
