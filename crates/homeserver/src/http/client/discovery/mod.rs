//! Endpoints of the chapter; one file each.

pub(crate) mod discover_homeserver;
pub(crate) mod get_capabilities;
pub(crate) mod get_supported_versions;
