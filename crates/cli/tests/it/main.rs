//! The server proven against programs that others wrote, and against its own sudden death.
//!
//! Every test here starts the real executable and judges it from outside.

mod alerts;
mod appservice;
mod backlog;
mod cli;
mod desk;
mod disk_full;
mod freeze;
mod heisenbridge;
mod kill;
mod lane;
mod log_secrets;
mod nio;
mod registrations;
mod stall;
mod tls;
mod tutorial;

use anyhow::Context as _;
use std::path::{Path, PathBuf};

/// The server under test.
const BRIDGEHEAD: &str = env!("CARGO_BIN_EXE_bridgehead");

/// A Python with the packages of `xtask/peers-requirements.txt`.
fn python() -> anyhow::Result<PathBuf> {
    needed("BRIDGEHEAD_TEST_PYTHON")
}

/// The IRC server.
fn ngircd() -> anyhow::Result<PathBuf> {
    needed("BRIDGEHEAD_TEST_NGIRCD")
}

/// A program that `cargo xtask test` provides. Without it a test fails: a skipped proof proves nothing.
fn needed(variable: &str) -> anyhow::Result<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from).with_context(|| {
        format!(
            "{variable} is not set: run `cargo xtask test`, which installs ngircd and the Python packages of \
             xtask/peers-requirements.txt and tells the tests where they are"
        )
    })
}

/// A file below `tests/fixtures`.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}
