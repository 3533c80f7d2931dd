//! Endpoints of the chapter; one file each.

pub(crate) mod get_hierarchy;
