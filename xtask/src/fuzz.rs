//! `cargo xtask fuzz`: the targets of `fuzz/` under libFuzzer, by turns and for a bounded time.
//!
//! The package is a workspace of its own, built into `target/fuzz` with coverage counters in all code. That takes no nightly
//! toolchain: the flags are LLVM's, and the fuzzer itself comes with the crate `libfuzzer-sys`.

use crate::tasks::{cargo, run, shown};
use anyhow::{Context as _, bail};
use clap::Args;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
    thread,
};

#[derive(Args)]
pub(crate) struct FuzzArgs {
    /// Only this target: a name from `fuzz/fuzz_targets`
    target: Option<String>,
    /// How long each target runs
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Goes on with the next round after all targets had their turn, until Ctrl-C
    #[arg(long)]
    forever: bool,
    /// Runs one input alone, such as a finding, and says what it was
    #[arg(long, requires = "target", conflicts_with = "forever")]
    input: Option<PathBuf>,
}

/// How many inputs each target is given within `cargo xtask check`: always the same ones, for what is new there is no
/// fault of the change that is checked.
const CHECK_RUNS: u64 = 1_000;

/// How far a target goes.
#[derive(Clone, Copy)]
enum Extent {
    Seconds(u64),
    /// The seeds, and so many inputs made of them, the same ones each time.
    Runs(u64),
}
/// An input that takes longer is a finding.
const TIMEOUT_SECONDS: u64 = 10;
/// A target that takes more memory is a finding.
const MEMORY_MB: u64 = 2_048;
/// Lines of a failed target's output that are shown.
const SHOWN_LINES: usize = 40;

/// What puts the counters that guide the fuzzer into the code.
const COVERAGE: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Runs one target, one input or all targets.
pub(crate) fn fuzz(root: &Path, args: &FuzzArgs) -> anyhow::Result<()> {
    let fuzzer = Fuzzer::new(root)?;
    let targets = match &args.target {
        Some(target) => vec![fuzzer.known(target)?],
        None => fuzzer.targets.clone(),
    };
    fuzzer.build(args.target.as_deref())?;
    if let (Some(target), Some(input)) = (&args.target, &args.input) {
        return fuzzer.run_input(target, input);
    }
    loop {
        fuzzer.run_all(&targets, Extent::Seconds(args.seconds))?;
        if !args.forever {
            return Ok(());
        }
    }
}

/// What `cargo xtask check` does: formatting, lints, and a short turn for each target, which is the same each time.
pub(crate) fn check(root: &Path) -> anyhow::Result<()> {
    let fuzzer = Fuzzer::new(root)?;
    run(cargo(root)
        .args(["fmt", "--check", "--manifest-path"])
        .arg(fuzzer.manifest()))?;
    let mut clippy = fuzzer.cargo("clippy");
    run(clippy.args(["--all-targets", "--", "-D", "warnings"]))?;
    fuzzer.build(None)?;
    fuzzer.run_all(&fuzzer.targets, Extent::Runs(CHECK_RUNS))
}

struct Fuzzer {
    root: PathBuf,
    /// This machine, as cargo names it. Flags for a target that is named are not used for build scripts, which have no fuzzer.
    host: String,
    targets: Vec<String>,
}

impl Fuzzer {
    fn new(root: &Path) -> anyhow::Result<Self> {
        let told = cargo(root).arg("-vV").output()?;
        let told = String::from_utf8(told.stdout)?;
        let host = told.lines().find_map(|line| line.strip_prefix("host: "));
        Ok(Self {
            root: root.to_owned(),
            host: host.context("`cargo -vV` names no host")?.to_owned(),
            targets: targets(&root.join("fuzz/fuzz_targets"))?,
        })
    }

    fn known(&self, target: &str) -> anyhow::Result<String> {
        let found = self.targets.iter().find(|known| *known == target);
        let all = self.targets.join(", ");
        found
            .cloned()
            .with_context(|| format!("there is no target `{target}`; there are {all}"))
    }

    fn manifest(&self) -> PathBuf {
        self.root.join("fuzz/Cargo.toml")
    }

    /// A folder or file of the fuzzer's.
    fn place(&self, name: &str) -> PathBuf {
        self.root.join("target/fuzz").join(name)
    }

    fn cargo(&self, command: &str) -> Command {
        let mut cargo = cargo(&self.root);
        cargo
            .args([command, "--release", "--locked", "--target", &self.host])
            .arg("--manifest-path")
            .arg(self.manifest())
            .arg("--target-dir")
            .arg(self.place(""))
            .env("RUSTFLAGS", COVERAGE)
            .env_remove("CARGO_ENCODED_RUSTFLAGS");
        cargo
    }

    fn build(&self, target: Option<&str>) -> anyhow::Result<()> {
        let mut build = self.cargo("build");
        if let Some(target) = target {
            build.args(["--bin", target]);
        }
        run(&mut build)
    }

    fn program(&self, target: &str) -> Command {
        let folder = self.place(&self.host).join("release");
        let mut program = Command::new(folder.join(target));
        program
            .arg(format!("-timeout={TIMEOUT_SECONDS}"))
            .arg(format!("-rss_limit_mb={MEMORY_MB}"))
            .env("RUST_BACKTRACE", "1");
        program
    }

    /// As many targets at once as there are processors. All have their turn, also after one has found something.
    fn run_all(&self, targets: &[String], extent: Extent) -> anyhow::Result<()> {
        let waiting = Mutex::new(targets.iter());
        let failed = Mutex::new(Vec::new());
        let workers = thread::available_parallelism().map_or(1, usize::from);
        thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    loop {
                        let next = waiting.lock().expect("no worker panics").next();
                        let Some(target) = next else { return };
                        if let Err(error) = self.run_target(target, extent) {
                            eprintln!("xtask: fuzz {target}: {error:#}");
                            failed
                                .lock()
                                .expect("no worker panics")
                                .push(target.as_str());
                        }
                    }
                });
            }
        });
        let failed = failed.into_inner().expect("no worker panics");
        if !failed.is_empty() {
            bail!("fuzzing found something: {}", failed.join(", "));
        }
        Ok(())
    }

    fn run_target(&self, target: &str, extent: Extent) -> anyhow::Result<()> {
        let corpus = match extent {
            Extent::Seconds(_) => self.place("corpus").join(target),
            Extent::Runs(_) => self.place("check").join(target),
        };
        if matches!(extent, Extent::Runs(_)) && corpus.exists() {
            fs::remove_dir_all(&corpus)?;
        }
        let findings = self.place("findings").join(target);
        let logs = self.place("logs");
        for folder in [&corpus, &findings, &logs] {
            fs::create_dir_all(folder)?;
        }
        let log = logs.join(format!("{target}.log"));
        let output = File::create(&log)?;
        let mut program = self.program(target);
        match extent {
            Extent::Seconds(seconds) => program.arg(format!("-max_total_time={seconds}")),
            Extent::Runs(runs) => program.arg(format!("-runs={runs}")).arg("-seed=1"),
        };
        program
            .arg("-print_final_stats=1")
            .arg(format!("-artifact_prefix={}/", findings.display()));
        let words = self.root.join("fuzz/words").join(format!("{target}.dict"));
        if words.is_file() {
            program.arg(format!("-dict={}", words.display()));
        }
        program
            .arg(&corpus)
            .arg(self.root.join("fuzz/seeds").join(target))
            .stdout(output.try_clone()?)
            .stderr(output);
        let status = program
            .status()
            .with_context(|| format!("cannot start {target}"))?;
        let told = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        if status.success() {
            let runs = number(&told, "stat::number_of_executed_units:");
            println!("fuzz {target}: {runs} inputs");
            return Ok(());
        }
        let lines: Vec<&str> = told.lines().collect();
        let last = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
        let again = match finding(&told) {
            Some(input) => format!("see it again by `cargo xtask fuzz {target} --input {input}`"),
            None => format!("`{}` failed", shown(&program)),
        };
        bail!("{status}\n{}\n{again}", last.join("\n"))
    }

    fn run_input(&self, target: &str, input: &Path) -> anyhow::Result<()> {
        let told = self.place("input.txt");
        let mut tell = self.program(target);
        // With this it writes down what the bytes mean to the target, and does nothing else.
        let tell = tell.arg(input).env("RUST_LIBFUZZER_DEBUG_PATH", &told);
        if tell.output().is_ok() {
            println!("{}", fs::read_to_string(&told).unwrap_or_default());
        }
        run(self.program(target).arg(input))
    }
}

/// The names of the targets, in order.
fn targets(folder: &Path) -> anyhow::Result<Vec<String>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut targets = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str());
        targets.extend(name.map(str::to_owned));
    }
    targets.sort();
    Ok(targets)
}

/// What stands behind a figure's name in the fuzzer's output.
fn number<'a>(told: &'a str, name: &str) -> &'a str {
    let found = told.lines().find_map(|line| line.strip_prefix(name));
    found.map_or("no", str::trim)
}

/// The file that the fuzzer has written the input to that failed.
fn finding(told: &str) -> Option<&str> {
    told.lines()
        .find_map(|line| line.split_once("Test unit written to "))
        .map(|(_, path)| path.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_fuzzer_says_is_read() {
        let told = "#2 INITED\nstat::number_of_executed_units: 4711\n\
                    artifact_prefix='x/'; Test unit written to x/crash-1\n";
        assert_eq!(number(told, "stat::number_of_executed_units:"), "4711");
        assert_eq!(finding(told), Some("x/crash-1"));
        assert_eq!((number("", "stat::"), finding("")), ("no", None));
    }

    #[test]
    fn each_target_is_built_and_has_seeds() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).expect("a manifest");
        for target in targets(&folder.join("fuzz_targets")).expect("a folder") {
            let is_built = manifest.contains(&format!("\nname = \"{target}\"\n"));
            assert!(is_built, "`{target}` is no [[bin]] of fuzz/Cargo.toml");
            let seeds = fs::read_dir(folder.join("seeds").join(&target));
            let has_seeds = seeds.is_ok_and(|mut seeds| seeds.next().is_some());
            assert!(has_seeds, "fuzz/seeds/{target} holds nothing to begin with");
        }
    }
}
