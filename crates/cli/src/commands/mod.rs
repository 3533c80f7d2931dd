//! One file a command.

pub(crate) mod config;
pub(crate) mod demo;
pub(crate) mod registration;
pub(crate) mod serve;
pub(crate) mod user;

use std::{io::IsTerminal as _, path::Path};

use anyhow::Context as _;
use bridgehead_homeserver::config::{Config, LogFormat, Overrides};
use tracing_subscriber::EnvFilter;

/// Reads file, environment and flags; mistakes end the program with all of them listed.
fn load_config(file: Option<&Path>, overrides: Overrides) -> anyhow::Result<Config> {
    let loaded = Config::load(file, std::env::vars(), overrides)
        .map_err(|errors| anyhow::anyhow!("the configuration has mistakes:\n{errors}"))?;
    for warning in &loaded.warnings {
        eprintln!("warning: {warning}");
    }
    Ok(loaded.config)
}

/// Sends the log to standard error as the configuration says.
fn start_log(config: &Config) -> anyhow::Result<()> {
    // The library logs every authorisation it checks; that is of use to its authors only.
    let filter = format!("ruma_state_res=warn,{}", config.log.filter);
    let filter = EnvFilter::try_new(filter).context("log.filter")?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match config.log.format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}

/// Returns at SIGINT (Ctrl-C) or SIGTERM.
async fn asked_to_end() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}
