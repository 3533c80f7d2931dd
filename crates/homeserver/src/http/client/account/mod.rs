//! Endpoints of the chapter; one file each.

pub(crate) mod register;
pub(crate) mod request_openid_token;
pub(crate) mod whoami;
