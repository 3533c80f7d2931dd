//! `cargo xtask sim`: the seeded simulation of delivery, for longer than the tests run it, or for
//! one seed.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    path::Path,
    process::Stdio,
    time::Instant,
};

use anyhow::{Context as _, bail};

use crate::tasks::{cargo, shown};

/// What each part of the simulation ends with, before its figures.
const FIGURES: &str = "simulation: ";

/// Runs so many seeds, or one.
pub(crate) fn sim(root: &Path, seeds: u64, seed: Option<u64>) -> anyhow::Result<()> {
    let mut command = cargo(root);
    command
        .args(["test", "--quiet", "--package", "bridgehead-homeserver", "--lib", "--"])
        .args(["delivery::simulation::seeds", "--nocapture"])
        .env("BRIDGEHEAD_SIM_SEEDS", seeds.to_string())
        // A failing seed says what happened itself.
        .env("RUST_BACKTRACE", "0")
        .stdout(Stdio::piped());
    if let Some(seed) = seed {
        command.env("BRIDGEHEAD_SIM_SEED", seed.to_string());
    }
    let shown = shown(&command);
    eprintln!("xtask: {shown}");
    let started = Instant::now();
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start `{shown}`"))?;
    let output = child.stdout.take().context("its output was asked for")?;
    let mut figures = BTreeMap::new();
    for line in BufReader::new(output).lines() {
        let line = line?;
        match line.split_once(FIGURES) {
            Some((_, part)) => add(&mut figures, part),
            None => eprintln!("{line}"),
        }
    }
    let status = child.wait()?;
    let total: Vec<_> = figures
        .iter()
        .map(|(name, n)| format!("{name} {n}"))
        .collect();
    println!("{} in {:.1?}", total.join(", "), started.elapsed());
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    Ok(())
}

/// Adds the figures of one part: `name=number`, with spaces between.
fn add(figures: &mut BTreeMap<String, u64>, part: &str) {
    for figure in part.split_whitespace() {
        if let Some((name, number)) = figure.split_once('=')
            && let Ok(number) = number.parse::<u64>()
        {
            *figures.entry(name.replace('_', " ")).or_default() += number;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_all_parts_are_added_up() {
        let mut figures = BTreeMap::new();
        add(&mut figures, "seeds=2 failed_attempts=10");
        add(&mut figures, "seeds=3 failed_attempts=1 odd");
        let expected = [("failed attempts", 11), ("seeds", 5)];
        let expected = expected.map(|(name, number)| (name.to_owned(), number));
        assert_eq!(figures, BTreeMap::from(expected));
    }
}
