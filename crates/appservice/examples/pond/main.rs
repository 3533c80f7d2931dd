//! A bridge to the Pond, step by step: the book's *Write a bridge in an hour*.
//!
//! Start `pond_server`, then this; where the Pond is, is the key `server` of the configuration.

mod bridge;
mod link;

use bridgehead_appservice::{
    bridge::Permissions,
    config::{Config, JsonSchema, schemars},
    prelude::*,
};
use serde::{Deserialize, Serialize};

/// A bridge to the Pond.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// Address and port of the Pond.
    server: String,
    /// Who may do what: user ids, servers or `*`, each with `blocked`, `relay`, `user` or `admin`.
    permissions: Permissions,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            server: "127.0.0.1:7000".to_owned(),
            permissions: Permissions::new(),
        }
    }
}

impl Config for Settings {}

fn pond(settings: &Settings) -> Service {
    bridge::service(settings.server.clone()).permissions(settings.permissions.clone())
}

#[tokio::main]
async fn main() -> ExitCode {
    Service::main_with("pond", pond).await
}
