//! Benchmarks: which there are, and how they are started. They live in the test kit's example `bench`; that of the IRC
//! bridge in the example `load` beside its program.

use crate::tasks::{cargo, run};
use clap::{Args, Subcommand};
use std::path::Path;

#[derive(Args)]
pub(crate) struct BenchArgs {
    /// Measures the debug build: to try a benchmark, not for figures
    #[arg(long, global = true)]
    debug: bool,
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// Ghosts of one service send into bridged rooms: events per second, and time until delivered
    Send {
        /// How long each concurrency is measured
        #[arg(long, default_value_t = 5.0)]
        seconds: f64,
    },
    /// A healthy service alone, and beside a neighbour that is dead, hangs, drips or is flooded
    Isolation {
        /// How long each neighbour is measured in a round
        #[arg(long, default_value_t = 10.0)]
        seconds: f64,
        /// How often each neighbour has its turn
        #[arg(long, default_value_t = 3)]
        rounds: usize,
    },
    /// One registration, two hundred of which one is interested, and fifty that all are
    Namespaces {
        /// How long each set-up is measured in a round
        #[arg(long, default_value_t = 5.0)]
        seconds: f64,
        /// How often each set-up has its turn
        #[arg(long, default_value_t = 3)]
        rounds: usize,
    },
    /// Memory and disk that events for a dead service cost, and the time to catch up
    Backlog {
        /// How many events are queued
        #[arg(long, default_value_t = 1_000_000)]
        events: usize,
    },
    /// The kit: an empty handler, logging beside mautrix-python, and many ghosts
    Kit {
        /// How many events are logged
        #[arg(long, default_value_t = 20_000)]
        events: usize,
        /// How often each logger has its turn
        #[arg(long, default_value_t = 3)]
        rounds: usize,
        /// How many ghosts
        #[arg(long, default_value_t = 10_000)]
        ghosts: usize,
        /// In how many rooms
        #[arg(long, default_value_t = 1_000)]
        rooms: usize,
    },
    /// The IRC bridge: latency both ways, memory by connections, and a restart while people talk
    Irc {
        /// How many people of Matrix, each with a connection
        #[arg(long, default_value_t = 500)]
        users: usize,
        /// In how many channels
        #[arg(long, default_value_t = 50)]
        channels: usize,
        /// How many messages each side says in each stretch
        #[arg(long, default_value_t = 2_000)]
        messages: usize,
        /// How many a second, where they do not talk as fast as they can
        #[arg(long, default_value_t = 50)]
        rate: usize,
    },
    /// Time from a service's return to its first delivery
    Wakeup {
        /// How often it returns in each way
        #[arg(long, default_value_t = 20)]
        rounds: usize,
    },
}

impl Bench {
    /// Its name and options for the example.
    fn words(&self) -> Vec<String> {
        let words: Vec<(&str, String)> = match self {
            Self::Send { seconds } => vec![("--seconds", seconds.to_string())],
            Self::Isolation { seconds, rounds } | Self::Namespaces { seconds, rounds } => vec![
                ("--seconds", seconds.to_string()),
                ("--rounds", rounds.to_string()),
            ],
            Self::Kit {
                events,
                rounds,
                ghosts,
                rooms,
            } => vec![
                ("--events", events.to_string()),
                ("--rounds", rounds.to_string()),
                ("--ghosts", ghosts.to_string()),
                ("--rooms", rooms.to_string()),
            ],
            Self::Backlog { events } => vec![("--events", events.to_string())],
            Self::Irc {
                users,
                channels,
                messages,
                rate,
            } => vec![
                ("--users", users.to_string()),
                ("--channels", channels.to_string()),
                ("--messages", messages.to_string()),
                ("--rate", rate.to_string()),
            ],
            Self::Wakeup { rounds } => vec![("--rounds", rounds.to_string())],
        };
        words
            .into_iter()
            .flat_map(|(name, value)| [name.to_owned(), value])
            .collect()
    }

    /// The package and example that it is, and the package and name of the program that is measured.
    fn parts(&self) -> [&'static str; 4] {
        match self {
            Self::Irc { .. } => [
                "bridgehead-irc-cli",
                "load",
                "bridgehead-irc-cli",
                "bridgehead-irc",
            ],
            _ => ["bridgehead-testkit", "bench", "bridgehead", "bridgehead"],
        }
    }

    /// What the example calls it; the load is the only one of its example.
    fn name(&self) -> Option<&'static str> {
        Some(match self {
            Self::Irc { .. } => return None,
            Self::Send { .. } => "send",
            Self::Isolation { .. } => "isolation",
            Self::Namespaces { .. } => "namespaces",
            Self::Backlog { .. } => "backlog",
            Self::Kit { .. } => "kit",
            Self::Wakeup { .. } => "wakeup",
        })
    }
}

/// Runs one benchmark on the release build, over loopback with full durability.
pub(crate) fn bench(root: &Path, args: &BenchArgs) -> anyhow::Result<()> {
    let profile: &[&str] = if args.debug { &[] } else { &["--release"] };
    let folder = if args.debug { "debug" } else { "release" };
    let [package, example, program_package, program] = args.bench.parts();
    run(cargo(root)
        .arg("build")
        .args(profile)
        .args(["--package", program_package]))?;
    let mut command = cargo(root);
    command
        .arg("run")
        .args(profile)
        .args(["--package", package, "--example", example, "--"])
        .args(args.bench.name())
        .arg(root.join("target").join(folder).join(program))
        .args(args.bench.words());
    run(&mut command)
}
