//! The load of `cargo xtask bench irc`, in small: none lost, none twice, in order, across a restart of the bridge.

use std::time::Duration;

#[path = "../../examples/load/play/mod.rs"]
mod play;

use play::{Load, play};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_people_in_five_channels_lose_nothing_across_a_restart() -> anyhow::Result<()> {
    let load = Load {
        users: 30,
        channels: 5,
        messages: 150,
        rate: 30,
        patience: Duration::from_secs(90),
        ..Load::full(env!("CARGO_BIN_EXE_bridgehead-irc").into())
    };
    let outcome = play(&load).await?;
    println!("{}", outcome.table());
    outcome.is_good()
}
