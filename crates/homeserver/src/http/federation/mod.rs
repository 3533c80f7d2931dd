//! What third parties ask without being clients. This server does not federate.

pub(crate) mod get_openid_userinfo;
