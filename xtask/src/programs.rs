//! The programs of Debian's that the tests start: where they are, and how they get there.

use crate::tasks::run;
use anyhow::{Context as _, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where systemd, when it runs the machine, keeps what it knows (`sd_booted(3)`).
const SYSTEMD_RUNS: &str = "/run/systemd/system";

/// A program, and the package it comes from.
pub(crate) struct Program {
    /// The variable that tells the tests where it is. Set by a person, it is used as it is.
    pub(crate) variable: &'static str,
    package: &'static str,
    /// What it may be called.
    names: &'static [&'static str],
    /// Whether its package makes a service of it, of the package's name.
    is_service: bool,
}

/// All of them: IRC servers, services for one of them, an IRC client, a browser with its driver, a database.
pub(crate) const PROGRAMS: [Program; 7] = [
    Program {
        variable: "BRIDGEHEAD_TEST_NGIRCD",
        package: "ngircd",
        names: &["ngircd"],
        is_service: true,
    },
    Program {
        variable: "BRIDGEHEAD_TEST_INSPIRCD",
        package: "inspircd",
        names: &["inspircd"],
        is_service: true,
    },
    Program {
        variable: "BRIDGEHEAD_TEST_ATHEME",
        package: "atheme-services",
        names: &["atheme-services"],
        is_service: true,
    },
    Program {
        variable: "BRIDGEHEAD_TEST_II",
        package: "ii",
        names: &["ii"],
        is_service: false,
    },
    Program {
        variable: "BRIDGEHEAD_TEST_CHROMIUM",
        package: "chromium",
        names: &["chromium", "chromium-browser"],
        is_service: false,
    },
    Program {
        variable: "BRIDGEHEAD_TEST_CHROMEDRIVER",
        package: "chromium-driver",
        names: &["chromedriver"],
        is_service: false,
    },
    // What matrix-appservice-irc keeps its things in; its `initdb` is beside it.
    Program {
        variable: "BRIDGEHEAD_TEST_POSTGRES",
        package: "postgresql",
        names: &["postgres"],
        is_service: true,
    },
];

/// Where Debian has PostgreSQL, in a folder for each version.
const POSTGRES: &str = "/usr/lib/postgresql";

impl Program {
    /// Its package, when it is not there.
    pub(crate) fn missing_package(&self) -> Option<&'static str> {
        self.find().is_none().then_some(self.package)
    }

    /// The variable and where the program is, once its package is installed.
    pub(crate) fn provided(&self) -> anyhow::Result<(&'static str, PathBuf)> {
        let package = self.package;
        let path = self.find().with_context(|| {
            format!("the package {package} is installed, yet its program was not found")
        })?;
        Ok((self.variable, path))
    }

    /// The program that a person has chosen, or the first with one of its names.
    fn find(&self) -> Option<PathBuf> {
        if let Some(chosen) = std::env::var_os(self.variable) {
            return Some(PathBuf::from(chosen));
        }
        // Debian puts servers into /usr/sbin, which is not on everybody's path.
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path)
            .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")])
            .chain(versions_of_postgres());
        folders
            .flat_map(|folder| self.names.iter().map(move |name| folder.join(name)))
            .find(|candidate| candidate.is_file())
    }
}

/// The newest version first.
fn versions_of_postgres() -> Vec<PathBuf> {
    let versions = std::fs::read_dir(POSTGRES).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    folders.sort_by_key(|folder| {
        let version = folder.parent().and_then(Path::file_name);
        let number = version.and_then(|name| name.to_str()?.parse::<u32>().ok());
        std::cmp::Reverse(number)
    });
    folders
}

/// Installs packages, saying so; what they start as a service is stopped, for the tests start it themselves.
pub(crate) fn install(packages: &[&str]) -> anyhow::Result<()> {
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
    let services = PROGRAMS
        .iter()
        .filter(|program| program.is_service && packages.contains(&program.package));
    for service in services {
        stop_service(prefix, service.package)?;
    }
    Ok(())
}

/// Stops what a package's installation may have started, now and for the next start of the machine.
fn stop_service(prefix: &[&str], service: &str) -> anyhow::Result<()> {
    if Path::new(SYSTEMD_RUNS).is_dir() {
        return run(&mut as_root(
            prefix,
            &["systemctl", "disable", "--now", service],
        ));
    }
    // Without systemd, as in most containers, seldom anything was started; a service that does not run fails to stop.
    succeeds(&mut as_root(prefix, &["service", service, "stop"]));
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
    let mut command = as_root(
        prefix,
        &["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"],
    );
    command.args(args);
    command
}

fn as_root(prefix: &[&str], words: &[&str]) -> Command {
    let words = prefix.iter().chain(words).collect::<Vec<_>>();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    command
}

/// Whether a command can be started and ends well; what it prints is not shown.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
