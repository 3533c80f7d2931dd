//! Endpoints of the chapter; one file each.

pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod logout_all;
pub(crate) mod refresh_token;
