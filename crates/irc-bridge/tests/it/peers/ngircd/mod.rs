//! ngIRCd: a small server with one capability, ASCII names and no services, alone or linked to another.

#[cfg(test)]
mod tests;

use super::{
    OPERATOR, OPERATOR_PASSWORD, SOON, certificate::Certificate, program, raw::RawClient,
    wait_for_line,
};
use bridgehead_testkit::{Process, free_port};
use std::{fs, path::Path};
use tempfile::TempDir;
use tokio::process::Command;

/// The name of the server.
pub(crate) const NAME: &str = "ng.test.invalid";
/// The name of the one that links to it.
pub(crate) const FAR: &str = "far.test.invalid";

const CONFIG: &str = "ngircd.conf";
/// The password between servers.
const LINK_PASSWORD: &str = "linkpw";

/// How a server differs from one that lets everybody do everything.
#[derive(Clone, Copy, Default)]
pub(crate) struct NgircdOptions {
    /// Asks whose each connection is; see [`super::ident`].
    pub(crate) asks_ident: bool,
    /// How many connections one address may have, or as many as it likes.
    pub(crate) connections_per_address: Option<u32>,
}

/// A running server.
pub(crate) struct Ngircd {
    /// Where it listens.
    pub(crate) port: u16,
    /// Where it listens for TLS.
    pub(crate) tls_port: u16,
    /// What it shows there.
    pub(crate) certificate: Certificate,
    /// The server itself: to stop it (`kill9`), or to have it hang (`freeze`).
    pub(crate) process: Process,
    far_port: u16,
    folder: TempDir,
}

/// A second server, which stands alone until an operator links it ([`Ngircd::link`]).
pub(crate) struct Far {
    /// Where it listens.
    pub(crate) port: u16,
    process: Process,
    _folder: TempDir,
}

impl Ngircd {
    /// Starts a server, and returns once it listens.
    pub(crate) async fn start(options: NgircdOptions) -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("bridgehead-ngircd-")?;
        let certificate = Certificate::make(folder.path(), NAME)?;
        let (port, tls_port, far_port) = (free_port()?, free_port()?, free_port()?);
        let tls = tls_config(tls_port, &certificate);
        let link = link_config(FAR, far_port);
        let config = folder.path().join(CONFIG);
        let plain = plain_config((NAME, port), options);
        fs::write(config, format!("{plain}{tls}{link}"))?;
        let process = spawn(folder.path())?;
        let server = Self {
            port,
            tls_port,
            certificate,
            process,
            far_port,
            folder,
        };
        server.listens().await?;
        Ok(server)
    }

    /// Starts a second server, and returns once it listens.
    pub(crate) async fn start_far(&self) -> anyhow::Result<Far> {
        let folder = TempDir::with_prefix("bridgehead-ngircd-")?;
        let plain = plain_config((FAR, self.far_port), NgircdOptions::default());
        let link = link_config(NAME, self.port);
        fs::write(folder.path().join(CONFIG), format!("{plain}{link}"))?;
        let process = spawn(folder.path())?;
        is_listening(&process, self.far_port).await?;
        Ok(Far {
            port: self.far_port,
            process,
            _folder: folder,
        })
    }

    /// An operator links the second server, and each tells the other all it knows. The server takes some seconds before it
    /// tries.
    pub(crate) async fn link(&self, far: &Far, operator: &RawClient) -> anyhow::Result<()> {
        let connect = format!("CONNECT {FAR} {}", far.port);
        let both = [(&self.process, linked(FAR)), (&far.process, linked(NAME))];
        has_both_say((operator, &connect), both).await
    }

    /// An operator ends the link: both servers go on, each by itself.
    pub(crate) async fn split(&self, far: &Far, operator: &RawClient) -> anyhow::Result<()> {
        let squit = format!("SQUIT {FAR} :split");
        let both = [
            (&self.process, unlinked(FAR)),
            (&far.process, unlinked(NAME)),
        ];
        has_both_say((operator, &squit), both).await
    }

    /// Starts the server again where it was, after it was killed; it remembers nothing.
    pub(crate) async fn start_again(&mut self) -> anyhow::Result<()> {
        self.process = spawn(self.folder.path())?;
        self.listens().await
    }

    async fn listens(&self) -> anyhow::Result<()> {
        for port in [self.port, self.tls_port] {
            is_listening(&self.process, port).await?;
        }
        Ok(())
    }
}

async fn is_listening(process: &Process, port: u16) -> anyhow::Result<()> {
    wait_for_line(process, &format!("Now listening on [127.0.0.1]:{port} ")).await
}

/// What a server prints when another has linked and said all it knows.
fn linked(server: &str) -> String {
    format!("Synchronization with \"{server}\" done")
}

/// What a server prints when another is linked no more.
fn unlinked(server: &str) -> String {
    format!("Server \"{server}\" unregistered")
}

/// How many lines hold this.
fn count(lines: &[String], part: &str) -> usize {
    lines.iter().filter(|line| line.contains(part)).count()
}

/// An operator says something, and both servers print once more what comes of it.
async fn has_both_say(
    (operator, line): (&RawClient, &str),
    said: [(&Process, String); 2],
) -> anyhow::Result<()> {
    let before = said
        .each_ref()
        .map(|(process, part)| count(&process.output(), part));
    operator.say(line).await;
    for ((process, part), before) in said.iter().zip(before) {
        let is_said = |lines: &[String]| count(lines, part) > before;
        process.wait_for_output(part, SOON, is_said).await?;
    }
    Ok(())
}

fn spawn(folder: &Path) -> anyhow::Result<Process> {
    let mut command = Command::new(program("BRIDGEHEAD_TEST_NGIRCD", "ngircd")?);
    command
        .args(["--nodaemon", "--config"])
        .arg(folder.join(CONFIG));
    Process::spawn("ngircd", command)
}

fn plain_config((name, port): (&str, u16), options: NgircdOptions) -> String {
    // Without DNS it does not ask for the user either, whatever `Ident` says.
    let ident = if options.asks_ident { "yes" } else { "no" };
    let connections = options.connections_per_address.unwrap_or(0);
    format!(
        "[Global]\n\
         Name = {name}\n\
         Info = peer of a test\n\
         AdminInfo1 = nobody\n\
         Listen = 127.0.0.1\n\
         Ports = {port}\n\
         MotdPhrase = hello\n\
         [Limits]\n\
         MaxConnectionsIP = {connections}\n\
         MaxNickLength = 30\n\
         MaxPenaltyTime = 0\n\
         MaxJoins = 0\n\
         ConnectRetry = 5\n\
         [Options]\n\
         DNS = {ident}\n\
         Ident = {ident}\n\
         PAM = no\n\
         AllowedChannelTypes = #&+\n\
         [Operator]\n\
         Name = {OPERATOR}\n\
         Password = {OPERATOR_PASSWORD}\n"
    )
}

/// Another server, which is connected to when an operator says so.
fn link_config(name: &str, port: u16) -> String {
    format!(
        "[Server]\n\
         Name = {name}\n\
         Host = 127.0.0.1\n\
         Port = {port}\n\
         MyPassword = {LINK_PASSWORD}\n\
         PeerPassword = {LINK_PASSWORD}\n\
         Passive = yes\n"
    )
}

fn tls_config(port: u16, certificate: &Certificate) -> String {
    format!(
        "[SSL]\n\
         CertFile = {}\n\
         KeyFile = {}\n\
         Ports = {port}\n",
        certificate.certificate_file.display(),
        certificate.key_file.display(),
    )
}
