//! Endpoints of the chapter; one file each.

pub(crate) mod delete_profile_field;
pub(crate) mod get_profile;
pub(crate) mod get_profile_field;
pub(crate) mod set_profile_field;
