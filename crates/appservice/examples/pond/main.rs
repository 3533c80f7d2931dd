//! A bridge to the Pond, step by step: the book's *Write a bridge in an hour*.
//!
//! Start `pond_server`, then this; the Pond's address is `POND_ADDRESS`, or else `127.0.0.1:7000`.

// ANCHOR: modules
mod bridge;
mod link;
// ANCHOR_END: modules

// ANCHOR: main
use std::sync::Arc;

use bridgehead_appservice::prelude::*;
use tokio::net::TcpStream;

#[tokio::main]
async fn main() -> ExitCode {
    let address = std::env::var("POND_ADDRESS");
    let address = address.unwrap_or_else(|_| "127.0.0.1:7000".to_owned());
    let dial: link::Dial = Arc::new(move || {
        let address = address.clone();
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            Ok(Box::new(stream) as Box<dyn link::Stream>)
        })
    });
    bridge::service(dial).main().await
}
// ANCHOR_END: main
