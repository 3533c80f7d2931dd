//! The IRC bridge under load, in figures: `cargo xtask bench irc`.
//!
//! One homeserver, one IRC server (InspIRCd, where it is installed) and the bridge as its own process, all on loopback with full
//! durability. Each person of Matrix has a connection. Both sides talk at a given rate and then as fast as they can, and
//! the bridge is ended and started again while people talk. Everything is bounded in count. Arguments: the bridge's
//! binary, then `--name value` pairs.

mod play;

use anyhow::{Context as _, bail};

use self::play::{Load, play};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut words = std::env::args().skip(1);
    let binary = words
        .next()
        .context("first argument: the bridge's binary")?;
    let mut load = Load::full(binary.into());
    while let Some(name) = words.next() {
        let value = words.next().with_context(|| format!("{name} what?"))?;
        let number = value.parse().with_context(|| format!("{name} {value}"))?;
        match name.as_str() {
            "--users" => load.users = number,
            "--channels" => load.channels = number,
            "--messages" => load.messages = number,
            "--rate" => load.rate = number,
            _ => bail!("{name} is no option"),
        }
    }
    let outcome = play(&load).await?;
    println!("{}", outcome.table());
    outcome.is_good()
}
