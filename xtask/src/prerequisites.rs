//! What the tests need from outside the workspace: IRC servers with services and a client, a browser with its driver, a
//! Python with the peers' packages, and one with Synapse.
//!
//! Nothing is installed that is already there, everything that is installed is announced first, and if something
//! cannot be installed the error names the command that a person has to run.

use crate::programs::{PROGRAMS, Program, install, succeeds};
use crate::tasks::{run, shown};
use anyhow::{Context as _, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Tells the tests which Python has the peers' packages. Set by a person, it is used as it is.
const PYTHON_VAR: &str = "BRIDGEHEAD_TEST_PYTHON";
/// Tells the tests which Python has Synapse. Set by a person, it is used as it is.
const SYNAPSE_VAR: &str = "BRIDGEHEAD_TEST_SYNAPSE";

/// The oldest Python that all pinned packages support.
const OLDEST_PYTHON: &str = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))";

/// A virtual environment made from one file of pinned packages.
struct Venv {
    /// The variable by which a person names another Python that has the packages.
    chosen_by: &'static str,
    /// The file, from the workspace's root.
    requirements: &'static str,
    /// Where it is made, from the workspace's root.
    folder: &'static str,
}

const PEERS: Venv = Venv {
    chosen_by: PYTHON_VAR,
    requirements: "xtask/peers-requirements.txt",
    folder: "target/peers/venv",
};
/// Apart from the peers, because the two want different versions of the same packages.
const SYNAPSE: Venv = Venv {
    chosen_by: SYNAPSE_VAR,
    requirements: "xtask/synapse-requirements.txt",
    folder: "target/peers/synapse-venv",
};

/// Where the tests find what they need: variables for their environment.
pub(crate) struct Prerequisites(pub(crate) Vec<(&'static str, PathBuf)>);

/// Finds everything, installing what is missing if that is wanted.
pub(crate) fn provide(root: &Path, may_install: bool) -> anyhow::Result<Prerequisites> {
    provide_packages(may_install)?;
    let mut found = PROGRAMS
        .iter()
        .map(Program::provided)
        .collect::<anyhow::Result<Vec<_>>>()?;
    for venv in [PEERS, SYNAPSE] {
        found.push((venv.chosen_by, venv.provide(root, may_install)?));
    }
    Ok(Prerequisites(found))
}

fn provide_packages(may_install: bool) -> anyhow::Result<()> {
    let mut missing = PROGRAMS
        .iter()
        .filter_map(Program::missing_package)
        .collect::<Vec<_>>();
    let makes_a_venv = [PEERS, SYNAPSE].iter().any(|venv| venv.chosen().is_none());
    if makes_a_venv && find_base_python().is_none() {
        missing.push("python3-venv");
    }
    if missing.is_empty() {
        return Ok(());
    }
    let by_hand = format!(
        "apt-get update && apt-get install -y --no-install-recommends {}",
        missing.join(" ")
    );
    if !may_install {
        bail!(
            "the tests need {}. Run as root: {by_hand}",
            missing.join(", ")
        );
    }
    let variables = PROGRAMS.iter().map(|program| program.variable);
    let variables = variables.collect::<Vec<_>>().join(", ");
    install(&missing).with_context(|| {
        format!(
            "cannot install {}. Run as root: {by_hand}\n(or, where there is no apt-get, install them in your \
             system's way and set {variables}, {PYTHON_VAR} and {SYNAPSE_VAR})",
            missing.join(", ")
        )
    })
}

/// A Python that is new enough and can make virtual environments.
fn find_base_python() -> Option<&'static str> {
    ["python3", "/usr/bin/python3"]
        .into_iter()
        .find(|python| succeeds(Command::new(python).args(["-c", OLDEST_PYTHON])))
}

impl Venv {
    fn chosen(&self) -> Option<PathBuf> {
        std::env::var_os(self.chosen_by).map(PathBuf::from)
    }

    /// Its Python: the chosen one, the one made earlier from the same file, or one made now.
    fn provide(&self, root: &Path, may_install: bool) -> anyhow::Result<PathBuf> {
        if let Some(chosen) = self.chosen() {
            return Ok(chosen);
        }
        let requirements = root.join(self.requirements);
        let wanted = std::fs::read_to_string(&requirements)
            .with_context(|| format!("cannot read {}", requirements.display()))?;
        let folder = root.join(self.folder);
        let python = folder.join("bin/python");
        // The stamp is the file itself: it is small, and equality needs no hash.
        let stamp = folder.join("installed-requirements.txt");
        let installed = std::fs::read_to_string(&stamp).unwrap_or_default();
        if installed == wanted && succeeds(Command::new(&python).arg("--version")) {
            return Ok(python);
        }
        let file = self.requirements;
        if !may_install {
            bail!("the tests need the Python packages of {file}: run `cargo xtask test`");
        }
        eprintln!(
            "xtask: installing the Python packages of {file} into {}",
            self.folder
        );
        make_venv(&folder, &python, &requirements)?;
        std::fs::write(&stamp, wanted)
            .with_context(|| format!("cannot write {}", stamp.display()))?;
        Ok(python)
    }
}

fn make_venv(venv: &Path, python: &Path, requirements: &Path) -> anyhow::Result<()> {
    let base =
        find_base_python().context("no Python 3.11 or newer with the venv module was found")?;
    run(Command::new(base).args(["-m", "venv", "--clear"]).arg(venv))?;
    let mut pip = Command::new(python);
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ])
    .arg("--requirement")
    .arg(requirements);
    run(&mut pip)
        .with_context(|| format!("cannot install the Python packages; try `{}`", shown(&pip)))
}
