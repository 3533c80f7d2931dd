//! `InspIRCd`: a server with most of `IRCv3`, alone, linked to another, or with services ([`super::atheme`]).

mod config;
#[cfg(test)]
mod tests;

use super::{SOON, certificate::Certificate, program, raw::RawClient, wait_for_line};
use bridgehead_testkit::{Process, free_port};
use std::{fs, path::Path};
use tempfile::TempDir;
use tokio::process::Command;

/// The name of a server that stands alone, or that others link to.
pub(crate) const HUB: &str = "hub.test.invalid";
/// The name of the one that links to it.
pub(crate) const LEAF: &str = "leaf.test.invalid";
/// The name under which services link.
pub(crate) const SERVICES: &str = "services.test.invalid";
/// The password between servers.
pub(crate) const LINK_PASSWORD: &str = "linkpw";
/// What a gateway on loopback has to know (WEBIRC).
pub(crate) const WEBIRC_PASSWORD: &str = "webircpw";

const CONFIG: &str = "inspircd.conf";

/// How a server differs from one that lets everybody do everything.
#[derive(Clone, Copy, Default)]
pub(crate) struct InspircdOptions {
    /// Asks whose each connection is; see [`super::ident`].
    pub(crate) asks_ident: bool,
    /// Listens on loopback's IPv6 address too, at the plain port.
    pub(crate) listens_on_v6: bool,
    /// How many connections one address may have, or as many as it likes.
    pub(crate) connections_per_address: Option<u32>,
    /// How many connections one address may begin before it is shut out for some minutes (`connectban`).
    pub(crate) throttled_after: Option<u32>,
}

/// Where a server listens.
#[derive(Clone, Copy)]
struct Ports {
    plain: u16,
    tls: u16,
    /// For other servers.
    links: u16,
}

/// A running server.
pub(crate) struct Inspircd {
    /// Where it listens.
    pub(crate) port: u16,
    /// Where it listens for TLS.
    pub(crate) tls_port: u16,
    /// Where it listens for services.
    pub(crate) links_port: u16,
    /// What it shows on TLS.
    pub(crate) certificate: Certificate,
    /// The server itself: to stop it (`kill9`), or to have it hang (`freeze`).
    pub(crate) process: Process,
    ports: Ports,
    leaf_ports: Ports,
    folder: TempDir,
}

impl Inspircd {
    /// Starts a server that lets services link and a [`Leaf`], and returns once it listens.
    pub(crate) async fn start(options: InspircdOptions) -> anyhow::Result<Self> {
        Self::start_with(options, |folder| Certificate::make(folder, HUB)).await
    }

    /// The same with another certificate than one of its own making.
    pub(crate) async fn start_with(
        options: InspircdOptions,
        certificate: impl FnOnce(&Path) -> anyhow::Result<Certificate>,
    ) -> anyhow::Result<Self> {
        let (ports, leaf_ports) = (Ports::free()?, Ports::free()?);
        let links = [
            config::link(LEAF, leaf_ports.links),
            config::link(SERVICES, ports.links),
        ];
        let (folder, certificate, process) =
            start((HUB, certificate), ports, options, &links.concat()).await?;
        Ok(Self {
            port: ports.plain,
            tls_port: ports.tls,
            links_port: ports.links,
            certificate,
            ports,
            leaf_ports,
            process,
            folder,
        })
    }

    /// Starts the server again where it was, after it was killed; it remembers nothing.
    pub(crate) async fn start_again(&mut self) -> anyhow::Result<()> {
        self.process = spawn((HUB, self.ports), self.folder.path()).await?;
        Ok(())
    }

    /// Starts a second server, and returns once each knows all of the other.
    pub(crate) async fn start_leaf(&self) -> anyhow::Result<Leaf> {
        let before = self.links(LEAF);
        let leaf = self.begin_leaf(&config::autoconnect(HUB)).await?;
        wait_for_links(&leaf.process, HUB, 1).await?;
        self.wait_for_links(LEAF, before + 1).await?;
        Ok(leaf)
    }

    /// Starts a second server that stands alone until an operator links it ([`Inspircd::link`]).
    pub(crate) async fn start_alone(&self) -> anyhow::Result<Leaf> {
        self.begin_leaf("").await
    }

    async fn begin_leaf(&self, more: &str) -> anyhow::Result<Leaf> {
        let links = config::link(HUB, self.links_port) + more;
        let options = InspircdOptions::default();
        let own = |folder: &Path| Certificate::make(folder, LEAF);
        let (folder, _, process) = start((LEAF, own), self.leaf_ports, options, &links).await?;
        Ok(Leaf {
            port: self.leaf_ports.plain,
            process,
            _folder: folder,
        })
    }

    /// An operator links the second server, and each tells the other all it knows.
    pub(crate) async fn link(&self, leaf: &Leaf, operator: &RawClient) -> anyhow::Result<()> {
        let before = (self.links(LEAF), links(&leaf.process.output(), HUB));
        operator.say(&format!("CONNECT {LEAF}")).await;
        self.wait_for_links(LEAF, before.0 + 1).await?;
        wait_for_links(&leaf.process, HUB, before.1 + 1).await
    }

    /// An operator ends the link: both servers go on, each by itself. Returns once each knows it: one that does not would
    /// refuse the next link, for it has one.
    pub(crate) async fn split(&self, leaf: &Leaf, operator: &RawClient) -> anyhow::Result<()> {
        operator.say(&format!("SQUIT {LEAF} :split")).await;
        self.wait_for_split(LEAF).await?;
        wait_for_split(&leaf.process, HUB).await
    }

    /// How often a server has linked and said all it knows.
    pub(crate) fn links(&self, server: &str) -> usize {
        links(&self.process.output(), server)
    }

    /// Waits until a server has linked and said all it knows, as often as this.
    pub(crate) async fn wait_for_links(&self, server: &str, count: usize) -> anyhow::Result<()> {
        wait_for_links(&self.process, server, count).await
    }

    /// Waits until the server has seen that another is gone.
    pub(crate) async fn wait_for_split(&self, server: &str) -> anyhow::Result<()> {
        wait_for_split(&self.process, server).await
    }
}

/// A second server, linked to the first. Dropping it splits the net.
pub(crate) struct Leaf {
    /// Where it listens.
    pub(crate) port: u16,
    process: Process,
    _folder: TempDir,
}

impl Ports {
    fn free() -> anyhow::Result<Self> {
        Ok(Self {
            plain: free_port()?,
            tls: free_port()?,
            links: free_port()?,
        })
    }
}

async fn start(
    (name, certificate): (&str, impl FnOnce(&Path) -> anyhow::Result<Certificate>),
    ports: Ports,
    options: InspircdOptions,
    links: &str,
) -> anyhow::Result<(TempDir, Certificate, Process)> {
    let folder = TempDir::with_prefix("bridgehead-inspircd-")?;
    let certificate = certificate(folder.path())?;
    let path = folder.path().join(CONFIG);
    fs::write(
        path,
        config::config(name, ports, options, &certificate) + links,
    )?;
    let process = spawn((name, ports), folder.path()).await?;
    Ok((folder, certificate, process))
}

/// Starts the program, and returns once it listens. Where it cannot it goes on without, and only says so.
async fn spawn((name, ports): (&str, Ports), folder: &Path) -> anyhow::Result<Process> {
    let mut command = Command::new(program("BRIDGEHEAD_TEST_INSPIRCD", "inspircd")?);
    // Root is refused otherwise; of anybody else the flag changes nothing.
    command.args(["--runasroot", "--nofork", "--nopid", "--config"]);
    command.arg(folder.join(CONFIG));
    let process = Process::spawn(name, command)?;
    wait_for_line(&process, "InspIRCd is now running").await?;
    for port in [ports.plain, ports.tls, ports.links] {
        let listens = format!("Added a listener on 127.0.0.1:{port} ");
        let lines = process.output();
        anyhow::ensure!(
            lines.iter().any(|line| line.contains(&listens)),
            "{name} cannot listen at port {port}: see what has it; it printed:\n{}",
            lines.join("\n")
        );
    }
    Ok(process)
}

async fn wait_for_split(process: &Process, server: &str) -> anyhow::Result<()> {
    let is_gone = |line: &String| {
        line.contains("LINK: Server ") && line.contains(server) && line.contains(" split: ")
    };
    let has_gone = |lines: &[String]| {
        let last = lines
            .iter()
            .rfind(|line| is_gone(line) || is_linked(line, server));
        last.is_some_and(is_gone)
    };
    let what = format!("the split of {server}");
    process.wait_for_output(&what, SOON, has_gone).await
}

async fn wait_for_links(process: &Process, server: &str, count: usize) -> anyhow::Result<()> {
    let what = format!("the end of what {server} tells");
    let has_them = |lines: &[String]| links(lines, server) >= count;
    process.wait_for_output(&what, SOON, has_them).await
}

fn links(lines: &[String], server: &str) -> usize {
    lines.iter().filter(|line| is_linked(line, server)).count()
}

/// Whether a line says that a server has told all; the name stands between control codes.
fn is_linked(line: &str, server: &str) -> bool {
    line.contains("Received end of netburst from") && line.contains(server)
}
