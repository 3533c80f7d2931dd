//! As much of the server-server API as tools ask for to see whether a homeserver is there, and
//! what third parties ask without being clients. This server does not federate: everything else
//! answers 404 `M_UNRECOGNIZED`.
//! As much of the server-server API as third parties ask for without being servers: who this is,
//! its key, and whose an OpenID token is. This server does not federate: everything else answers
//! 404 `M_UNRECOGNIZED`.

pub(crate) mod get_openid_userinfo;
pub(crate) mod get_server_keys;
pub(crate) mod get_server_version;
