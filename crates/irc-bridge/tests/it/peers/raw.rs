//! A client that says any line, and hears every one. It answers PING and nothing else.

use super::{OPERATOR, OPERATOR_PASSWORD, SOON, certificate::Certificate, heard::Heard};
use anyhow::Context as _;
use rustls::{ClientConfig, pki_types::ServerName};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    sync::mpsc,
};
use tokio_rustls::TlsConnector;

/// How often somebody comes again who is hung up on.
const MAX_ATTEMPTS: u32 = 5;
/// How many lines may wait to be written.
const MAX_WAITING: usize = 1024;

/// A connection to an IRC server.
pub(crate) struct RawClient {
    /// What the server said.
    pub(crate) heard: Heard,
    to_say: mpsc::Sender<Vec<u8>>,
}

impl RawClient {
    /// Connects to a port of loopback, and says nothing yet.
    pub(crate) async fn connect(port: u16) -> anyhow::Result<Self> {
        Self::connect_from(Ipv4Addr::LOCALHOST.into(), port).await
    }

    /// The same from another of loopback's addresses.
    pub(crate) async fn connect_from(address: IpAddr, port: u16) -> anyhow::Result<Self> {
        Ok(Self::speak(tcp(address, port).await?))
    }

    /// Connects with TLS to who has the certificate, showing its own if it has one.
    pub(crate) async fn connect_tls(
        port: u16,
        server: &Certificate,
        own: Option<&Certificate>,
    ) -> anyhow::Result<Self> {
        let config: Arc<ClientConfig> = server.trusted(own)?;
        let stream = tcp(Ipv4Addr::LOCALHOST.into(), port).await?;
        let name = ServerName::try_from("localhost").context("a name")?;
        let stream = TlsConnector::from(config).connect(name, stream).await?;
        Ok(Self::speak(stream))
    }

    /// Connects and registers. Where many connect at once, ngIRCd has no room for some, and hangs up without a word: they
    /// come again.
    pub(crate) async fn welcomed(port: u16, nick: &str) -> anyhow::Result<Self> {
        let own = Ipv4Addr::LOCALHOST.into();
        Self::welcomed_from((own, port), (nick, nick)).await
    }

    /// The same from another of loopback's addresses, and under a user name of its own.
    pub(crate) async fn welcomed_from(
        (address, port): (IpAddr, u16),
        (nick, user): (&str, &str),
    ) -> anyhow::Result<Self> {
        let mut attempts = 0;
        loop {
            let mut client = Self::connect_from(address, port).await?;
            client.register_as(nick, user).await;
            attempts += 1;
            match client.welcome().await {
                Ok(_) => return Ok(client),
                Err(_) if client.heard.all().is_empty() && attempts < MAX_ATTEMPTS => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn speak(stream: impl AsyncRead + AsyncWrite + Send + 'static) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        let (to_say, lines) = mpsc::channel(MAX_WAITING);
        tokio::spawn(write(writer, lines));
        // Weak, so that dropping the client ends the writing, and with it the connection.
        let pong = to_say.downgrade();
        let heard = Heard::listen("the raw client", reader, move |line| {
            if let Some(token) = line.strip_prefix("PING ")
                && let Some(pong) = pong.upgrade()
            {
                pong.try_send(format!("PONG {token}").into_bytes()).ok();
            }
        });
        Self { heard, to_say }
    }

    /// Says a line. To a connection that has ended it says it to nobody: the next wait tells.
    pub(crate) async fn say(&self, line: &str) {
        self.say_bytes(line.as_bytes()).await;
    }

    /// The same of any bytes.
    pub(crate) async fn say_bytes(&self, line: &[u8]) {
        self.to_say.send(line.to_owned()).await.ok();
    }

    /// Says NICK and USER, with the nick for all that has to be named.
    pub(crate) async fn register(&self, nick: &str) {
        self.register_as(nick, nick).await;
    }

    async fn register_as(&self, nick: &str, user: &str) {
        self.say(&format!("NICK {nick}")).await;
        self.say(&format!("USER {user} 0 * :{nick}")).await;
    }

    /// Waits until the server has said all that it greets with: the end of its message of the day, or that it has none.
    pub(crate) async fn welcome(&mut self) -> anyhow::Result<String> {
        let is_end = |line: &str| matches!(line.split(' ').nth(1), Some("376" | "422"));
        self.heard.next("the welcome", is_end).await
    }

    /// The next line that holds this.
    pub(crate) async fn hear(&mut self, part: &str) -> anyhow::Result<String> {
        self.heard.next(part, |line| line.contains(part)).await
    }

    /// Waits until these have been seen to come in. No line is passed over by it.
    pub(crate) async fn sees_enter(&mut self, nicks: &[&str]) -> anyhow::Result<()> {
        let came = |lines: &[String], nick: &str| {
            let source = format!(":{nick}!");
            let mut came = lines.iter();
            came.any(|line| line.starts_with(&source) && line.contains(" JOIN "))
        };
        let all = |lines: &[String]| nicks.iter().all(|nick| came(lines, nick));
        self.heard
            .wait(&format!("the entries of {nicks:?}"), all)
            .await
    }

    /// Says a line, and gives the next that holds what it is to be answered with.
    pub(crate) async fn ask(&mut self, line: &str, part: &str) -> anyhow::Result<String> {
        self.say(line).await;
        self.hear(part).await
    }

    /// Enters a channel, and waits until it has seen who is there.
    pub(crate) async fn join(&mut self, channel: &str) -> anyhow::Result<()> {
        self.ask(&format!("JOIN {channel}"), " 366 ").await?;
        Ok(())
    }

    /// Becomes an operator of the server.
    pub(crate) async fn become_operator(&mut self) -> anyhow::Result<()> {
        self.ask(&format!("OPER {OPERATOR} {OPERATOR_PASSWORD}"), " 381 ")
            .await?;
        Ok(())
    }

    /// Waits until the server has closed the connection, and gives what it said as its reason.
    pub(crate) async fn error(&mut self) -> anyhow::Result<String> {
        let heard = self.heard.end().await?;
        let error = heard.iter().find(|line| line.starts_with("ERROR "));
        let error = error.with_context(|| format!("no ERROR in:\n{}", heard.join("\n")))?;
        Ok(error.clone())
    }
}

async fn tcp(from: IpAddr, port: u16) -> anyhow::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(from, 0))?;
    let server = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
    let connected = tokio::time::timeout(SOON, socket.connect(server)).await;
    connected
        .context("nobody answers")?
        .with_context(|| format!("cannot connect from {from} to {server}"))
}

async fn write(mut writer: impl AsyncWrite + Unpin, mut lines: mpsc::Receiver<Vec<u8>>) {
    while let Some(mut line) = lines.recv().await {
        line.extend_from_slice(b"\r\n");
        let written = writer.write_all(&line).await;
        if written.is_err() || writer.flush().await.is_err() {
            return;
        }
    }
    writer.shutdown().await.ok();
}

/// Asks for nicks that no server here gives: one that is taken, the same in capitals, and three that are no nicks. Then, by
/// another who is in already, for the taken one. Gives the refusals without the server's name.
pub(crate) async fn refused_nicks(port: u16) -> anyhow::Result<Vec<String>> {
    let _alice = RawClient::welcomed(port, "alice").await?;
    let mut bob = RawClient::connect(port).await?;
    bob.say("USER bob 0 * :bob").await;
    let mut refused = Vec::new();
    for nick in ["alice", "ALICE", "1alice", "älice", &"a".repeat(31)] {
        refused.push(bob.ask(&format!("NICK {nick}"), " 43").await?);
    }
    bob.say("NICK bob").await;
    bob.welcome().await?;
    refused.push(bob.ask("NICK Alice", " 43").await?);
    let texts = refused.iter().filter_map(|line| line.split_once(' '));
    Ok(texts.map(|(_, text)| text.to_owned()).collect())
}
