//! Developer tasks: `cargo xtask check` is what the pipeline runs, the others are parts of it.
//!
//! `book` does what a reader of the book does, `bench` starts benchmarks, `sim` runs the simulation of delivery, `crash`
//! kills services under load, `fuzz` gives them anything; `prerequisites` provides what the tests need from outside the workspace, `programs` what of
//! it Debian has; `tasks` strings cargo calls together.

mod bench;
mod book;
mod crash;
mod fuzz;
mod prerequisites;
mod programs;
mod sim;
mod tasks;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

#[derive(Parser)]
#[command(bin_name = "cargo xtask", about = "Developer tasks")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Installs what the tests need, then runs them
    Test(TestArgs),
    /// Formats the code and applies clippy's safe fixes
    Fix,
    /// All that the pipeline does: formatting, lints, documentation, tests, fuzzing, the book
    Check(CheckArgs),
    /// Simulates deliveries through crashes and faults, from seeds; tells the shortest history that fails
    Sim {
        /// How many seeds, from zero on
        #[arg(long, default_value_t = 2_000)]
        seeds: u64,
        /// Runs this seed alone
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Puts the bridge of the book together as a reader does, and runs its tests
    Book,
    /// Kills a service made with the kit (`kill -9`) at random points under load, and counts what is lost or doubled
    Crash {
        /// How many seeds, from zero on
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
        seeds: u64,
        /// Runs this seed alone
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Gives what reads from outside whatever may come, guided by what it does with it
    Fuzz(fuzz::FuzzArgs),
    /// Measures; figures for people, not a test
    Bench(bench::BenchArgs),
}

#[derive(Args)]
struct TestArgs {
    /// Installs nothing; fails if something is missing
    #[arg(long)]
    no_install: bool,
    /// Runs only the tests whose name contains one of these
    filters: Vec<String>,
}

#[derive(Args)]
struct CheckArgs {
    /// Installs nothing; fails if something is missing
    #[arg(long)]
    no_install: bool,
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let root = workspace_root()?;
    match cli.task {
        Task::Test(args) => tasks::test(&root, !args.no_install, &args.filters),
        Task::Fix => tasks::fix(&root),
        Task::Book => book::book(&root),
        Task::Fuzz(args) => fuzz::fuzz(&root, &args),
        Task::Bench(args) => bench::bench(&root, &args),
        Task::Sim { seeds, seed } => sim::sim(&root, seeds, seed),
        Task::Crash { seeds, seed } => crash::crash(&root, seeds, seed),
        Task::Check(args) => tasks::check(&root, !args.no_install),
    }
}

fn workspace_root() -> anyhow::Result<PathBuf> {
    let manifest_dir = std::env::var_os("CARGO_MANIFEST_DIR")
        .context("CARGO_MANIFEST_DIR is not set: run this as `cargo xtask …`")?;
    let mut root = PathBuf::from(manifest_dir);
    root.pop();
    Ok(root)
}
