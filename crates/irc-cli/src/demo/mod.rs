//! `bridgehead-irc demo`: people of Matrix and of IRC talk, and what each side sees is printed.
//!
//! A homeserver in a fresh folder, an IRC server on loopback, the bridge between them as in production: over HTTP and
//! over sockets. Nothing is made up: what is printed came over a connection. It ends by itself, and leaves nothing behind.
//!
//! - `irc_server` ngIRCd where it is installed, a small one in memory where it is not
//! - `bridge` homeserver and bridge
//! - `matrix`, `irc` somebody on either side, who notes all that they see
//! - `conversation` what happens

mod bridge;
mod conversation;
mod irc;
mod irc_server;
mod matrix;

use std::{
    io::Write as _,
    process::ExitCode,
    time::{Duration, Instant},
};

use tracing_subscriber::EnvFilter;

use self::{bridge::Bridged, irc_server::IrcServer};

/// How long anything may take that has to come; it takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long all of it may take.
const END_WITHIN: Duration = Duration::from_secs(60);

/// Runs the demonstration. It fails if anything does not come as it should.
pub(crate) async fn run() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(
            EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("error")),
        )
        .with_writer(std::io::stderr)
        .init();
    // The process's TLS provider; nobody has set one before.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let shown = tokio::select! {
        shown = tokio::time::timeout(END_WITHIN, show()) => {
            shown.unwrap_or_else(|_| Err(anyhow::anyhow!("it takes too long")))
        }
        _ = tokio::signal::ctrl_c() => {
            tell("\nEnded before its end.");
            return ExitCode::FAILURE;
        }
    };
    match shown {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bridgehead-irc: the demonstration has failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn show() -> anyhow::Result<()> {
    let began = Instant::now();
    tell("A channel of IRC is a room of Matrix");
    tell("====================================\n");
    let irc = IrcServer::start().await?;
    tell(&format!("IRC server   {}", irc.described()));
    let bridged = Bridged::start(irc.address()).await?;
    tell(&format!("homeserver   Bridgehead at {}", bridged.url()));
    tell("bridge       between them; it owns the users @irc_… and the aliases #irc_…");
    let talked = conversation::hold(&bridged, irc.address()).await;
    bridged.stop().await;
    irc.stop().await;
    talked?;
    tell(&format!(
        "\nAll of it took {:.1} seconds. Next: docs/book/irc-bridge.md",
        began.elapsed().as_secs_f64()
    ));
    Ok(())
}

/// Prints a line. When nobody reads any more, the demonstration goes on all the same.
fn tell(line: &str) {
    writeln!(std::io::stdout(), "{line}").ok();
}
