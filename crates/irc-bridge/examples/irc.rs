//! The bridge as a program of its own, without the demonstration.

use std::process::ExitCode;

use bridgehead_appservice::Service;

#[tokio::main]
async fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    if words.first().is_some_and(|word| word == "keeper") {
        return bridgehead_irc_keeper::program::run(&words[1..]).await;
    }
    Service::main_with("irc", bridgehead_irc::service).await
}
