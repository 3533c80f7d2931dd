//! The tasks themselves: cargo calls in a fixed order, stopping at the first failure.

use crate::{
    book, fuzz,
    prerequisites::{self, Prerequisites},
};
use anyhow::{Context as _, bail};
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

/// Formatting, lints, documentation, tests, fuzzing, the book: cheapest first.
pub(crate) fn check(root: &Path, may_install: bool) -> anyhow::Result<()> {
    run(cargo(root).args(["fmt", "--all", "--check"]))?;
    run(cargo(root).args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))?;
    run(cargo(root)
        .args(["doc", "--workspace", "--no-deps"])
        .env("RUSTDOCFLAGS", "-D warnings"))?;
    test(root, may_install, &[])?;
    fuzz::check(root)?;
    book::book(root)
}

/// Formats, and lets clippy rewrite what it can rewrite safely.
pub(crate) fn fix(root: &Path) -> anyhow::Result<()> {
    run(cargo(root).args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--fix",
        "--allow-dirty",
        "--allow-staged",
    ]))?;
    run(cargo(root).args(["fmt", "--all"]))?;
    run(cargo(root).args(["fmt", "--manifest-path", "fuzz/Cargo.toml"]))
}

/// All tests, or those that a filter names; documentation tests run only without a filter.
pub(crate) fn test(root: &Path, may_install: bool, filters: &[String]) -> anyhow::Result<()> {
    let needs = prerequisites::provide(root, may_install)?;
    run(cargo(root).args(["build", "--package", "bridgehead"]))?;
    if has_nextest(root) {
        let mut nextest = cargo(root);
        nextest
            .args(["nextest", "run", "--workspace"])
            .args(filters);
        run(with_prerequisites(&mut nextest, &needs))?;
        // nextest does not run documentation tests.
        if filters.is_empty() {
            run(cargo(root).args(["test", "--workspace", "--doc"]))?;
        }
        return Ok(());
    }
    eprintln!(
        "xtask: cargo-nextest is not installed, using `cargo test`: no time limits, and the peer tests run \
         all at once. `cargo install cargo-nextest --locked` brings both."
    );
    let mut test = cargo(root);
    test.args(["test", "--workspace", "--no-fail-fast", "--"])
        .args(filters);
    run(with_prerequisites(&mut test, &needs))
}

fn has_nextest(root: &Path) -> bool {
    cargo(root)
        .args(["nextest", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn with_prerequisites<'a>(command: &'a mut Command, needs: &Prerequisites) -> &'a mut Command {
    command.envs(needs.0.iter().map(|(variable, path)| (variable, path)))
}

/// The cargo that runs this, in the workspace.
pub(crate) fn cargo(root: &Path) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    command.current_dir(root);
    command
}

/// Runs a command, saying so, and fails when it fails.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let shown = shown(command);
    eprintln!("xtask: {shown}");
    let status = command
        .status()
        .with_context(|| format!("cannot start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    Ok(())
}

/// The command as somebody would type it; cargo by its name, whatever its path is.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut words = vec![
        program
            .file_name()
            .unwrap_or(command.get_program())
            .to_string_lossy()
            .into_owned(),
    ];
    words.extend(
        command
            .get_args()
            .map(|arg| arg.to_string_lossy().into_owned()),
    );
    words.join(" ")
}
