//! The bridge as a program and nothing else, for tests that end it by force. `bridgehead-irc` in `irc-cli` has a
//! demonstration beside it.

use std::process::ExitCode;

use bridgehead_appservice::Service;

#[tokio::main]
async fn main() -> ExitCode {
    Service::main_with("irc", bridgehead_irc::service).await
}
