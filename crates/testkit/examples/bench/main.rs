//! Benchmarks of `cargo xtask bench`: figures for people, side by side from one run, on this machine.
//!
//! Everything is on loopback, bounded in count, and the server runs as its own process with full durability.
//! Latency is measured from the first byte of a request to the event's arrival in a transaction. Arguments: the
//! benchmark's name, the server's binary, then `--name value` pairs.

mod backlog;
mod isolation;
mod kit;
mod measured;
mod namespaces;
mod send;
mod wakeup;

use anyhow::{Context as _, bail};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What was asked for.
struct Arguments {
    binary: PathBuf,
    options: BTreeMap<String, String>,
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let binary = words
            .next()
            .context("second argument: the server's binary")?;
        let mut options = BTreeMap::new();
        while let Some(name) = words.next() {
            let name = name
                .strip_prefix("--")
                .with_context(|| format!("{name} is no option"))?;
            let value = words.next().with_context(|| format!("--{name} what?"))?;
            options.insert(name.to_owned(), value);
        }
        Ok(Self {
            binary: binary.into(),
            options,
        })
    }

    fn get<T: std::str::FromStr>(&self, name: &str, default: T) -> anyhow::Result<T>
    where
        T::Err: std::error::Error + Send + Sync + 'static,
    {
        match self.options.get(name) {
            Some(value) => value.parse().with_context(|| format!("--{name} {value}")),
            None => Ok(default),
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut words = std::env::args().skip(1);
    let name = words.next().context("first argument: which benchmark")?;
    if name == "kit-logger" {
        return kit::logger(words.collect()).await;
    }
    let arguments = Arguments::parse(words)?;
    match name.as_str() {
        "send" => send::run(&arguments).await,
        "isolation" => isolation::run(&arguments).await,
        "namespaces" => namespaces::run(&arguments).await,
        "backlog" => backlog::run(&arguments).await,
        "kit" => kit::run(&arguments).await,
        "wakeup" => wakeup::run(&arguments).await,
        other => bail!("no benchmark is called {other}"),
    }
}
