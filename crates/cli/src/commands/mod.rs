//! One file a command.

pub(crate) mod appservice;
pub(crate) mod completions;
pub(crate) mod config;
mod connection;
pub(crate) mod demo;
pub(crate) mod operator;
pub(crate) mod registration;
pub(crate) mod serve;
pub(crate) mod user;

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::PathBuf,
};

use anyhow::Context as _;
use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Which server: for every command that works with one.
#[derive(Args, Default)]
pub(crate) struct Place {
    /// The configuration file (TOML).
    #[arg(long, env = "BRIDGEHEAD_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Folder for the database, the media and the signing key.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// The server's name, the part after the colon in `@user:server`.
    #[arg(long, value_name = "NAME")]
    pub(crate) server_name: Option<String>,
}

/// Writes to standard output. A reader that has seen enough, such as `head`, is no failure.
fn print(text: &str) -> anyhow::Result<()> {
    print_to_reader(text).map(drop)
}

/// The same; tells whether there is still a reader.
fn print_to_reader(text: &str) -> anyhow::Result<bool> {
    let mut output = io::stdout().lock();
    match output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush())
    {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        written => written
            .map(|()| true)
            .context("cannot write to standard output"),
    }
}

/// Colours are for people, not for files. See <https://no-color.org>.
pub(crate) fn wants_colours() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// SIGINT (Ctrl-C) and SIGTERM: from the moment this is made they no longer kill the process.
struct EndRequest {
    interrupt: Signal,
    terminate: Signal,
}

/// SIGHUP, which asks to read files again; without this it would end the process.
struct ReloadRequest {
    hangup: Signal,
}

impl ReloadRequest {
    fn new() -> anyhow::Result<Self> {
        let hangup = signal(SignalKind::hangup()).context("cannot wait for signals")?;
        Ok(Self { hangup })
    }

    /// Returns each time one has come.
    async fn asked(&mut self) {
        self.hangup.recv().await;
    }
}

impl EndRequest {
    fn new() -> anyhow::Result<Self> {
        let cannot = "cannot wait for signals";
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).context(cannot)?,
            terminate: signal(SignalKind::terminate()).context(cannot)?,
        })
    }

    /// Returns once either has come, also if that was a while ago.
    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
