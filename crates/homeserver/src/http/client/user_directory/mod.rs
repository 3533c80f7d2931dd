//! Endpoints of the chapter; one file each.

pub(crate) mod search_users;
