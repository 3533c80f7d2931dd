//! The program `bridgehead-irc`.

use std::process::ExitCode;

use bridgehead_appservice::Service;

#[tokio::main]
async fn main() -> ExitCode {
    Service::main_with("irc", bridgehead_irc::service).await
}
