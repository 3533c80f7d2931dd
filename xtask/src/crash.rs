//! `cargo xtask crash`: services killed at random points under load, for more seeds than the tests take, or for one.

use std::path::Path;

use crate::tasks::{cargo, run};

/// Runs so many seeds, or one.
pub(crate) fn crash(root: &Path, seeds: u64, seed: Option<u64>) -> anyhow::Result<()> {
    // What is killed is an example, which the test of one target does not build by itself.
    run(cargo(root).args([
        "build",
        "--package",
        "bridgehead-appservice",
        "--example",
        "ledger",
    ]))?;
    let mut command = cargo(root);
    command
        .args(["test", "--quiet", "--package", "bridgehead-appservice"])
        .args(["--test", "it", "--", "crash::", "--nocapture"])
        .env("BRIDGEHEAD_CRASH_SEEDS", seeds.to_string());
    if let Some(seed) = seed {
        command.env("BRIDGEHEAD_CRASH_SEED", seed.to_string());
    }
    run(&mut command)
}
