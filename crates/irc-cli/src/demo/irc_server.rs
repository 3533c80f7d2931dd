//! The IRC server of the demonstration.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use bridgehead_irc_server::{Dialect, Server};
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
};

use super::PATIENCE;

/// Names ngIRCd's binary, where it is not on the path.
const VARIABLE: &str = "BRIDGEHEAD_TEST_NGIRCD";
const LOOK: Duration = Duration::from_millis(20);

/// A server that listens.
pub(super) enum IrcServer {
    /// Somebody else's, in a process of its own.
    Ngircd {
        address: SocketAddr,
        // Killed when it is dropped.
        process: Child,
        _folder: TempDir,
    },
    /// The small one in this process.
    Own(Server),
}

impl IrcServer {
    /// Starts ngIRCd where it is installed, and the small one where it is not.
    pub(super) async fn start() -> anyhow::Result<Self> {
        match ngircd() {
            Some(program) => Self::start_ngircd(&program).await,
            None => Ok(Self::Own(Server::start(Dialect::modern()).await?)),
        }
    }

    async fn start_ngircd(program: &Path) -> anyhow::Result<Self> {
        let address = free_address()?;
        let folder = TempDir::with_prefix("bridgehead-irc-demo-")?;
        let config = folder.path().join("ngircd.conf");
        std::fs::write(&config, ngircd_config(address.port()))?;
        let process = Command::new(program)
            .args(["--nodaemon", "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} does not start", program.display()))?;
        let mut server = Self::Ngircd {
            address,
            process,
            _folder: folder,
        };
        server.listens().await?;
        Ok(server)
    }

    async fn listens(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = TcpStream::connect(self.address()).await {
            if let Self::Ngircd { process, .. } = self
                && let Some(status) = process.try_wait()?
            {
                anyhow::bail!("ngIRCd has ended: {status}");
            }
            anyhow::ensure!(Instant::now() < deadline, "ngIRCd does not listen: {error}");
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        match self {
            Self::Ngircd { address, .. } => *address,
            Self::Own(server) => server.address(),
        }
    }

    /// What it is, for people.
    pub(super) fn described(&self) -> String {
        let address = self.address();
        match self {
            Self::Ngircd { .. } => format!("ngIRCd at {address}"),
            Self::Own(_) => {
                format!("a small one in memory at {address}, for ngIRCd is not installed")
            }
        }
    }

    /// Ends it.
    pub(super) async fn stop(self) {
        match self {
            Self::Ngircd { mut process, .. } => {
                // It may have ended by itself.
                process.kill().await.ok();
            }
            Self::Own(server) => server.stop().await,
        }
    }
}

fn ngircd() -> Option<PathBuf> {
    if let Some(chosen) = std::env::var_os(VARIABLE) {
        return Some(chosen.into()).filter(|path: &PathBuf| path.is_file());
    }
    // Debian puts servers into /usr/sbin, which is not on everybody's path.
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join("ngircd"))
        .find(|program| program.is_file())
}

fn free_address() -> anyhow::Result<SocketAddr> {
    let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(held.local_addr()?)
}

fn ngircd_config(port: u16) -> String {
    format!(
        "[Global]\nName = irc.demo.invalid\nInfo = a demonstration\nAdminInfo1 = nobody\n\
         Listen = 127.0.0.1\nPorts = {port}\nMotdPhrase = hello\n\
         [Limits]\nMaxConnectionsIP = 0\nMaxNickLength = 30\nMaxPenaltyTime = 0\n\
         [Options]\nDNS = no\nIdent = no\nPAM = no\n"
    )
}
