//! A bridge to the Pond, step by step: the book's *Write a bridge in an hour*.
//!
//! Start `pond_server`, then this; where the Pond is, is the key `server` of the configuration.

// ANCHOR: modules
mod bridge;
mod link;
// ANCHOR_END: modules

// ANCHOR: main
use std::sync::Arc;

use bridgehead_appservice::{
    config::{Config, JsonSchema, schemars},
    prelude::*,
};
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;

/// A bridge to the Pond.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// Address and port of the Pond.
    server: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            server: "127.0.0.1:7000".to_owned(),
        }
    }
}

impl Config for Settings {}

fn pond(settings: &Settings) -> Service {
    let server = settings.server.clone();
    let dial: link::Dial = Arc::new(move || {
        let server = server.clone();
        Box::pin(async move {
            let stream = TcpStream::connect(server).await?;
            Ok(Box::new(stream) as Box<dyn link::Stream>)
        })
    });
    bridge::service(dial)
}

#[tokio::main]
async fn main() -> ExitCode {
    Service::main_with("pond", pond).await
}
// ANCHOR_END: main
