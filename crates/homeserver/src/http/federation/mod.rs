//! As much of the server-server API as third parties ask for without being servers: who this is,
//! its key, and whose an OpenID token is. This server does not federate: everything else answers
//! 404 `M_UNRECOGNIZED`.

pub(crate) mod get_openid_userinfo;
pub(crate) mod get_server_keys;
pub(crate) mod get_server_version;
