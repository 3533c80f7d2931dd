//! Who stands around the bridge in a test: IRC servers and clients that others wrote.
//!
//! - [`ngircd`] and [`inspircd`] are servers, [`atheme`] the services of the second.
//! - [`ii`] is the other person: a real client that hears and speaks. The [`judge`] says with it what a channel was told.
//! - [`raw`] is a client that says any line, for what ii cannot do: operators, capabilities, TLS.
//! - [`ident`] answers who a connection belongs to (RFC 1413); [`certificate`] makes certificates.
//!
//! Each starts what it needs on free ports of loopback in a folder of its own, and ends it when dropped. Nothing here knows
//! the bridge or its reading of IRC: a fault of those must not hide itself.

pub(crate) mod atheme;
pub(crate) mod certificate;
pub(crate) mod heard;
pub(crate) mod ident;
pub(crate) mod ii;
pub(crate) mod inspircd;
pub(crate) mod judge;
pub(crate) mod ngircd;
pub(crate) mod raw;

use anyhow::Context as _;
use bridgehead_testkit::Process;
use std::{path::PathBuf, time::Duration};

/// How long anything here may take.
pub(crate) const SOON: Duration = Duration::from_secs(30);
/// Who becomes an operator on every server here, with `OPER`.
const OPERATOR: &str = "oper";
/// The operator's password.
const OPERATOR_PASSWORD: &str = "operpass";

/// A program that `cargo xtask test` provides. Without it a test fails: a skipped proof proves nothing.
fn program(variable: &str, package: &str) -> anyhow::Result<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from).with_context(|| {
        format!(
            "{variable} is not set: run `cargo xtask test`, which installs Debian's {package} and tells the tests where it is"
        )
    })
}

/// Waits until the process has printed a line that holds this.
async fn wait_for_line(process: &Process, part: &str) -> anyhow::Result<()> {
    let has_it = |lines: &[String]| lines.iter().any(|line| line.contains(part));
    process.wait_for_output(part, SOON, has_it).await
}

#[test]
fn a_program_that_is_not_there_is_asked_for() {
    let error = program("BRIDGEHEAD_TEST_NO_SUCH_PROGRAM", "nothing").unwrap_err();
    assert_eq!(
        error.to_string(),
        "BRIDGEHEAD_TEST_NO_SUCH_PROGRAM is not set: run `cargo xtask test`, which installs Debian's nothing and tells \
         the tests where it is"
    );
}
