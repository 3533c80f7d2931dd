//! What the tests need from outside the workspace: an IRC server, a browser with its driver, a Python with the
//! peers' packages, and one with Synapse.
//!
//! Nothing is installed that is already there, everything that is installed is announced first, and if something
//! cannot be installed the error names the command that a person has to run.

use crate::tasks::{run, shown};
use anyhow::{Context as _, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Tells the tests which Python has the peers' packages. Set by a person, it is used as it is.
pub(crate) const PYTHON_VAR: &str = "BRIDGEHEAD_TEST_PYTHON";
/// Tells the tests which Python has Synapse. Set by a person, it is used as it is.
pub(crate) const SYNAPSE_VAR: &str = "BRIDGEHEAD_TEST_SYNAPSE";
/// Tells the tests where the IRC server is. Set by a person, it is used as it is.
pub(crate) const NGIRCD_VAR: &str = "BRIDGEHEAD_TEST_NGIRCD";
/// Tells the tests where the browser is. Set by a person, it is used as it is.
pub(crate) const CHROMIUM_VAR: &str = "BRIDGEHEAD_TEST_CHROMIUM";
/// Tells the tests where the browser's driver is. Set by a person, it is used as it is.
pub(crate) const CHROMEDRIVER_VAR: &str = "BRIDGEHEAD_TEST_CHROMEDRIVER";

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

/// Where the tests find what they need.
pub(crate) struct Prerequisites {
    pub(crate) python: PathBuf,
    pub(crate) synapse: PathBuf,
    pub(crate) ngircd: PathBuf,
    pub(crate) chromium: PathBuf,
    pub(crate) chromedriver: PathBuf,
}

/// Finds everything, installing what is missing if that is wanted.
pub(crate) fn provide(root: &Path, may_install: bool) -> anyhow::Result<Prerequisites> {
    provide_packages(may_install)?;
    let ngircd =
        find_ngircd().context("the package ngircd is installed, yet no ngircd was found")?;
    let chromium =
        find_chromium().context("the package chromium is installed, yet no chromium was found")?;
    let chromedriver = find_chromedriver()
        .context("the package chromium-driver is installed, yet no chromedriver was found")?;
    Ok(Prerequisites {
        python: PEERS.provide(root, may_install)?,
        synapse: SYNAPSE.provide(root, may_install)?,
        ngircd,
        chromium,
        chromedriver,
    })
}

fn provide_packages(may_install: bool) -> anyhow::Result<()> {
    let mut missing = Vec::new();
    if find_ngircd().is_none() {
        missing.push("ngircd");
    }
    if find_chromium().is_none() {
        missing.push("chromium");
    }
    if find_chromedriver().is_none() {
        missing.push("chromium-driver");
    }
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
    install_packages(&missing).with_context(|| {
        format!(
            "cannot install {}. Run as root: {by_hand}\n(or, where there is no apt-get, install them in your \
             system's way and set {NGIRCD_VAR}, {CHROMIUM_VAR}, {CHROMEDRIVER_VAR}, {PYTHON_VAR} and {SYNAPSE_VAR})",
            missing.join(", ")
        )
    })
}

fn install_packages(packages: &[&str]) -> anyhow::Result<()> {
    eprintln!(
        "xtask: installing the Debian packages that the tests need: {}",
        packages.join(", ")
    );
    let prefix = root_prefix()?;
    run(&mut apt_get(prefix, &["update", "--quiet"]))?;
    let mut install = apt_get(
        prefix,
        &["install", "-y", "--quiet", "--no-install-recommends"],
    );
    run(install.args(packages))?;
    if packages.contains(&"ngircd") {
        eprintln!(
            "xtask: the tests start ngircd themselves; where Debian started it as a service as well, \
             `systemctl disable --now ngircd` undoes that"
        );
    }
    Ok(())
}

/// How this user becomes root: not at all, or through a sudo that does not ask.
fn root_prefix() -> anyhow::Result<&'static [&'static str]> {
    let id = Command::new("id")
        .arg("-u")
        .output()
        .context("cannot run `id -u`")?;
    if id.stdout.trim_ascii() == b"0" {
        return Ok(&[]);
    }
    if succeeds(Command::new("sudo").args(["-n", "true"])) {
        return Ok(&["sudo", "-n"]);
    }
    bail!("this needs root, and `sudo -n` does not work here")
}

fn apt_get(prefix: &[&str], args: &[&str]) -> Command {
    // `env`, because sudo drops the environment.
    let words = prefix
        .iter()
        .chain(&["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"])
        .chain(args)
        .copied()
        .collect::<Vec<_>>();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    command
}

fn find_ngircd() -> Option<PathBuf> {
    find(NGIRCD_VAR, &["ngircd"])
}

fn find_chromium() -> Option<PathBuf> {
    find(CHROMIUM_VAR, &["chromium", "chromium-browser"])
}

fn find_chromedriver() -> Option<PathBuf> {
    find(CHROMEDRIVER_VAR, &["chromedriver"])
}

/// The program that a person has chosen, or the first with one of these names.
fn find(chosen_by: &str, names: &[&str]) -> Option<PathBuf> {
    if let Some(chosen) = std::env::var_os(chosen_by) {
        return Some(PathBuf::from(chosen));
    }
    // Debian puts servers into /usr/sbin, which is not on everybody's path.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")]);
    folders
        .flat_map(|folder| names.iter().map(move |name| folder.join(name)))
        .find(|candidate| candidate.is_file())
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

fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
