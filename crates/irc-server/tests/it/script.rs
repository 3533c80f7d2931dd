//! Scripts: who sends what, and exactly what they get.
//!
//! ```text
//! ann> JOIN #tea                      ann sends this
//! ann< :ann!*@127.0.0.1 JOIN #tea     and this, with any text for `*`, is the next that she gets
//! ann. closed                         her connection is closed
//! ```
//!
//! At the end nobody may have got anything that the script does not say.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use bridgehead_irc_protocol::LineBuffer;
use bridgehead_irc_server::{Dialect, Server};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const WAIT: Duration = Duration::from_secs(10);

/// A client that does nothing by itself.
pub(crate) struct Raw {
    stream: TcpStream,
    lines: LineBuffer,
}

impl Raw {
    pub(crate) async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        Ok(Self {
            stream,
            lines: LineBuffer::new(),
        })
    }

    /// Connects and registers, with capabilities if any are named; reads up to the end of the welcome.
    pub(crate) async fn register(address: SocketAddr, nick: &str, caps: &str) -> Result<Self> {
        let mut raw = Self::connect(address).await?;
        if !caps.is_empty() {
            raw.send("CAP LS 302").await?;
            raw.send(&format!("CAP REQ :{caps}")).await?;
            let granted = raw.next_matching("*CAP * ?CK *").await;
            granted.with_context(|| format!("{caps} are granted"))?;
        }
        raw.send(&format!("NICK {nick}")).await?;
        raw.send(&format!("USER {nick} 0 * :{nick}")).await?;
        if !caps.is_empty() {
            raw.send("CAP END").await?;
        }
        raw.next_matching("*:irc.test.invalid 376 *").await?;
        Ok(raw)
    }

    pub(crate) async fn send(&mut self, line: &str) -> Result<()> {
        self.send_bytes(format!("{line}\r\n").as_bytes()).await
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await?;
        Ok(())
    }

    /// The next line; `None` when the connection is closed.
    pub(crate) async fn next_bytes(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            if let Some(line) = self.lines.next_line() {
                return Ok(Some(line.to_vec()));
            }
            let mut bytes = [0; 4096];
            let read = tokio::time::timeout(WAIT, self.stream.read(&mut bytes)).await;
            match read.context("nothing came")? {
                Ok(0) | Err(_) => return Ok(None),
                Ok(count) => self.lines.push(&bytes[..count]),
            }
        }
    }

    pub(crate) async fn next(&mut self) -> Result<String> {
        let line = self
            .next_bytes()
            .await?
            .context("the connection is closed")?;
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    /// The next line of this form; others before it are passed over.
    pub(crate) async fn next_matching(&mut self, pattern: &str) -> Result<String> {
        loop {
            let line = self.next().await.with_context(|| format!("no {pattern}"))?;
            if matches(pattern, &line) {
                return Ok(line);
            }
        }
    }

    /// Whether nothing has come that was not read.
    pub(crate) async fn is_quiet(&mut self) -> Result<()> {
        self.send("PING :is that all").await?;
        let line = self.next().await?;
        ensure!(line.ends_with(":is that all"), "more came: {line}");
        Ok(())
    }

    pub(crate) async fn is_closed(&mut self) -> Result<()> {
        match self.next_bytes().await? {
            None => Ok(()),
            Some(line) => bail!("it goes on: {}", String::from_utf8_lossy(&line)),
        }
    }
}

/// A server with clients that have names.
pub(crate) struct Stage {
    pub(crate) server: Server,
    pub(crate) clients: BTreeMap<String, Raw>,
}

impl Stage {
    pub(crate) async fn new(dialect: Dialect) -> Result<Self> {
        let server = Server::start(dialect).await?;
        server.clock().set_ms(1_767_323_045_678);
        Ok(Self {
            server,
            clients: BTreeMap::new(),
        })
    }

    /// A server and clients, registered, without capabilities.
    pub(crate) async fn with(dialect: Dialect, nicks: &[&str]) -> Result<Self> {
        let mut stage = Self::new(dialect).await?;
        for nick in nicks {
            stage.enter(nick, "").await?;
        }
        Ok(stage)
    }

    /// Somebody comes and registers.
    pub(crate) async fn enter(&mut self, nick: &str, caps: &str) -> Result<()> {
        let raw = Raw::register(self.server.address(), nick, caps).await?;
        self.clients.insert(nick.to_owned(), raw);
        Ok(())
    }

    /// Somebody connects and says nothing yet.
    pub(crate) async fn connect(&mut self, name: &str) -> Result<()> {
        let raw = Raw::connect(self.server.address()).await?;
        self.clients.insert(name.to_owned(), raw);
        Ok(())
    }

    pub(crate) fn raw(&mut self, name: &str) -> &mut Raw {
        self.clients.get_mut(name).expect("a client of the script")
    }

    /// All of them join a channel, in order, and read all of it.
    pub(crate) async fn join(&mut self, channel: &str, names: &[&str]) -> Result<()> {
        for (at, name) in names.iter().enumerate() {
            self.raw(name).send(&format!("JOIN {channel}")).await?;
            let end = format!("*:irc.test.invalid 366 {name} {channel} *");
            self.raw(name).next_matching(&end).await?;
            for earlier in &names[..at] {
                let join = format!("*:{name}!*JOIN {channel}*");
                self.raw(earlier).next_matching(&join).await?;
            }
        }
        Ok(())
    }

    /// Plays a script, and checks that nothing else was heard.
    pub(crate) async fn play(&mut self, script: &str) -> Result<()> {
        self.part(script).await?;
        for (name, raw) in &mut self.clients {
            raw.is_quiet().await.with_context(|| name.clone())?;
        }
        Ok(())
    }

    /// Plays a script; more may be heard after it.
    pub(crate) async fn part(&mut self, script: &str) -> Result<()> {
        for step in script
            .lines()
            .map(str::trim_start)
            .filter(|line| !line.is_empty())
        {
            self.step(step).await.with_context(|| step.to_owned())?;
        }
        Ok(())
    }

    async fn step(&mut self, step: &str) -> Result<()> {
        let at = step.find(['>', '<', '.']).context("no step of a script")?;
        let (name, rest) = step.split_at(at);
        let text = rest[1..].strip_prefix(' ').unwrap_or(&rest[1..]);
        match &rest[..1] {
            ">" => self.raw(name).send(text).await,
            "<" => {
                let line = self.raw(name).next().await?;
                ensure!(matches(text, &line), "instead came: {line}");
                Ok(())
            }
            _ => {
                self.raw(name).is_closed().await?;
                self.clients.remove(name);
                Ok(())
            }
        }
    }
}

/// Whether a text has a form: `*` stands for any text, `?` for one character.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut seen, mut star) = (0, 0, None);
    while seen < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(wanted) if *wanted == '?' || *wanted == text[seen] => {
                at += 1;
                seen += 1;
            }
            _ => match star {
                Some((place, held)) => {
                    star = Some((place, held + 1));
                    at = place + 1;
                    seen = held + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|c| *c == '*')
}
