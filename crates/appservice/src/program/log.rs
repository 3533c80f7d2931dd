//! What is written to standard error, and how.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::{
    EnvFilter, Layer as _, Registry, layer::SubscriberExt as _, reload,
    util::SubscriberInitExt as _,
};

use crate::config::{LogConfig, LogFormat};

/// Changes the level while the program runs.
pub(super) struct Log(Option<reload::Handle<EnvFilter, Registry>>);

impl Log {
    /// Begins to log. Where the author has set up something already, that is left as it is.
    pub(super) fn start(config: &LogConfig) -> Self {
        let (filter, handle) = reload::Layer::new(filter(config));
        let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
        // Who reads a file wants no colours; a terminal has them unless `NO_COLOR` says otherwise.
        let lines = match io::stderr().is_terminal() {
            true => lines,
            false => lines.with_ansi(false),
        };
        let lines = match config.format {
            LogFormat::Text => lines.boxed(),
            LogFormat::Json => lines.json().flatten_event(true).boxed(),
        };
        let set = tracing_subscriber::registry()
            .with(filter)
            .with(lines)
            .try_init();
        Self(set.is_ok().then_some(handle))
    }

    /// Logs at this level from now on.
    pub(super) fn set(&self, config: &LogConfig) {
        if let Some(handle) = &self.0
            && let Err(error) = handle.reload(filter(config))
        {
            tracing::warn!(%error, "the log's level stays as it was");
        }
    }
}

/// The configuration has been checked; should it not be a filter all the same, the usual one.
fn filter(config: &LogConfig) -> EnvFilter {
    EnvFilter::try_new(&config.level).unwrap_or_else(|_| EnvFilter::new("info"))
}
