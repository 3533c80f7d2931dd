//! The program `bridgehead-irc`: the bridge with the kit's commands, `demo`, `import` and `keeper`.
//!
//! It decides nothing: the bridge is `bridgehead-irc`, the commands are the kit's. It is a package of its own because the
//! demonstration brings a homeserver and an IRC server along, which the bridge must not need.

mod demo;

use std::{ffi::OsString, process::ExitCode};

use bridgehead_appservice::Service;
use bridgehead_irc_import::Arguments;
use clap::Parser as _;

/// The commands that the kit does not have.
const DEMO: &str = "demo";
const IMPORT: &str = "import";
const KEEPER: &str = "keeper";

const DEMO_USAGE: &str = "\
Usage: bridgehead-irc demo

Starts a homeserver, an IRC server (ngIRCd, where it is installed) and the bridge between them on this machine alone, lets
people on both sides talk, prints the conversation as each side has seen it, and ends.
";

#[tokio::main]
async fn main() -> ExitCode {
    let mut words: Vec<_> = std::env::args_os().skip(1).collect();
    // `help demo` is `demo --help`.
    let is_ours = |word: &OsString| [DEMO, IMPORT, KEEPER].iter().any(|ours| word == ours);
    if words.len() == 2 && words[0] == "help" && is_ours(&words[1]) {
        words = vec![words.remove(1), "--help".into()];
    }
    if words.len() == 1 && (words[0] == "--version" || words[0] == "-V") {
        println!("bridgehead-irc {}", env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    if words.first().is_some_and(|word| word == DEMO) {
        return demonstrate(&words[1..]).await;
    }
    if words.first().is_some_and(|word| word == IMPORT) {
        return import(words).await;
    }
    if words.first().is_some_and(|word| word == KEEPER) {
        tracing_subscriber::fmt()
            .with_writer(std::io::stderr)
            .init();
        return bridgehead_irc_keeper::program::run(&words[1..]).await;
    }
    let is_help =
        words.len() == 1 && (words[0] == "--help" || words[0] == "-h" || words[0] == "help");
    if is_help {
        println!(
            "A bridge between Matrix and IRC: channels are rooms of Matrix, and people on either side are people on the \
             other.\nIt is an application service, with the commands of every such service:\n"
        );
    }
    let ended = Service::main_with("irc", bridgehead_irc::service).await;
    if is_help {
        println!(
            "\nBeside these:\n  {DEMO}      Show a homeserver, an IRC server and the bridge between them: a conversation, seen from both sides\n  {IMPORT}    Take over what matrix-appservice-irc or heisenbridge keeps\n  {KEEPER}    Hold the connections to IRC while the bridge is restarted (`keeper --listen <PATH>`)"
        );
    }
    ended
}

/// Shows the bridge at work. There is nothing to choose.
async fn demonstrate(words: &[OsString]) -> ExitCode {
    let is_help = words.iter().any(|word| word == "--help" || word == "-h");
    match words {
        [] => demo::run().await,
        _ if is_help => {
            print!("{DEMO_USAGE}");
            ExitCode::SUCCESS
        }
        [word, ..] => {
            eprint!("{} is unknown\n\n{DEMO_USAGE}", word.display());
            ExitCode::from(2)
        }
    }
}

/// Takes over what another bridge keeps, and says what.
async fn import(words: Vec<OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(words) {
        Ok(arguments) => arguments,
        Err(error) => {
            // A closed terminal is no reason to fail otherwise.
            error.print().ok();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match bridgehead_irc_import::run(&arguments).await {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}
