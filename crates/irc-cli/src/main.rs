//! The program `bridgehead-irc`: the bridge with the kit's commands, `demo`, and `keeper`.
//!
//! It decides nothing: the bridge is `bridgehead-irc`, the commands are the kit's. It is a package of its own because the
//! demonstration brings a homeserver and an IRC server along, which the bridge must not need.

mod demo;

use std::process::ExitCode;

use bridgehead_appservice::Service;

/// The commands that the kit does not have.
const DEMO: &str = "demo";
const KEEPER: &str = "keeper";

#[tokio::main]
async fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    if words.len() == 1 && words[0] == DEMO {
        return demo::run().await;
    }
    if words.first().is_some_and(|word| word == KEEPER) {
        tracing_subscriber::fmt()
            .with_writer(std::io::stderr)
            .init();
        return bridgehead_irc_keeper::program::run(&words[1..]).await;
    }
    let is_help =
        words.len() == 1 && (words[0] == "--help" || words[0] == "-h" || words[0] == "help");
    let ended = Service::main_with("irc", bridgehead_irc::service).await;
    if is_help {
        println!(
            "\nBeside these:\n  {DEMO}      Show a homeserver, an IRC server and the bridge between them: a conversation, seen from both sides\n  {KEEPER}    Hold the connections to IRC while the bridge is restarted (`keeper --listen <PATH>`)"
        );
    }
    ended
}
