//! Somebody on IRC, with a socket of their own.

use std::{fmt::Write as _, net::SocketAddr};

use anyhow::Context as _;
use bridgehead_irc_protocol::{Line, LineBuffer, Source};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout_at},
};

use super::PATIENCE;

const READ_BYTES: usize = 4096;

/// A connected client, with all that it shows: what the server has told it, and what it has said itself.
pub(super) struct Person {
    nick: String,
    stream: TcpStream,
    buffer: LineBuffer,
    heard: Vec<Line>,
}

impl Person {
    /// Connects and registers under this nick.
    pub(super) async fn connect(server: SocketAddr, nick: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(server).await?;
        let mut person = Self {
            nick: nick.to_owned(),
            stream,
            buffer: LineBuffer::new(),
            heard: Vec::new(),
        };
        person.say(Line::new("NICK", [nick])).await?;
        person
            .say(Line::new("USER", [nick, "0", "*", nick]))
            .await?;
        let is_end = |line: &Line| matches!(line.numeric(), Some(376 | 422));
        person.hears("a welcome", is_end).await?;
        Ok(person)
    }

    /// Sends a line.
    pub(super) async fn say(&mut self, line: Line) -> anyhow::Result<()> {
        let bytes = line.to_bytes()?;
        let written = timeout_at(deadline(), self.stream.write_all(&bytes)).await;
        written.context("the IRC server takes nothing")??;
        // Servers do not send back what was said, unless they are asked to.
        if line.command == "PRIVMSG" {
            let own = Source::named(&self.nick);
            self.heard.push(line.from(own));
        }
        Ok(())
    }

    /// Enters a channel.
    pub(super) async fn join(&mut self, channel: &str) -> anyhow::Result<()> {
        self.say(Line::new("JOIN", [channel])).await?;
        self.hears("the channel", |line| line.numeric() == Some(366))
            .await
    }

    /// All lines so far.
    pub(super) fn heard(&self) -> &[Line] {
        &self.heard
    }

    /// Reads until a line has come that is meant.
    pub(super) async fn hears(
        &mut self,
        what: &str,
        is_meant: impl Fn(&Line) -> bool,
    ) -> anyhow::Result<()> {
        let deadline = deadline();
        while !self.heard.iter().any(&is_meant) {
            let mut bytes = [0; READ_BYTES];
            let read = timeout_at(deadline, self.stream.read(&mut bytes)).await;
            let read = read.with_context(|| format!("on IRC nobody hears {what}"))??;
            anyhow::ensure!(read > 0, "the IRC server has closed the connection");
            self.buffer.push(&bytes[..read]);
            self.take_lines().await?;
        }
        Ok(())
    }

    async fn take_lines(&mut self) -> anyhow::Result<()> {
        while let Some(bytes) = self.buffer.next_line() {
            let Ok(line) = Line::parse(bytes) else {
                continue;
            };
            if line.command == "PING" {
                self.say(Line::new("PONG", &line.params)).await?;
            } else {
                self.heard.push(line);
            }
        }
        Ok(())
    }
}

fn deadline() -> Instant {
    Instant::now() + PATIENCE
}

/// What a line is for a reader; `None` for what no client shows in a channel.
pub(super) fn shown(line: &Line) -> Option<String> {
    let (who, last) = (line.from_name(), visible(line.last()));
    match line.command.as_str() {
        "PRIVMSG" => Some(match last.strip_prefix("␁ACTION ") {
            Some(deed) => format!("* {who} {}", deed.trim_end_matches('␁')),
            None => format!("<{who}> {last}"),
        }),
        "NOTICE" => Some(format!("-{who}- {last}")),
        "JOIN" => Some(format!("→ {who} has joined {}", line.text(0))),
        "PART" => Some(format!("← {who} has left {}", line.text(0))),
        "QUIT" => Some(format!("← {who} has quit ({last})")),
        "KICK" => Some(format!("← {who} has kicked {} ({last})", line.text(1))),
        "TOPIC" => Some(format!("{who} sets the topic: {last}")),
        _ => None,
    }
}

/// The text with its control characters in sight: ␂ begins and ends what is bold, ␝ italics.
fn visible(text: &[u8]) -> String {
    let mut shown = String::new();
    for letter in String::from_utf8_lossy(text).chars() {
        let code = u32::from(letter);
        let picture = char::from_u32(0x2400 + code).filter(|_| code < 0x20);
        // A `String` takes everything.
        let _ = write!(shown, "{}", picture.unwrap_or(letter));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_shown_as_a_client_shows_them() {
        for (line, expected) in [
            (
                &b":bob!b@h PRIVMSG #demo :\x02hi\x02 there"[..],
                Some("<bob> ␂hi␂ there"),
            ),
            (
                b":bob!b@h PRIVMSG #demo :\x01ACTION waves\x01",
                Some("* bob waves"),
            ),
            (
                b":bob!b@h KICK #demo carol :enough",
                Some("← bob has kicked carol (enough)"),
            ),
            (b":x 353 bob = #demo :bob", None),
        ] {
            let line = Line::parse(line).expect("a line");
            assert_eq!(shown(&line).as_deref(), expected);
        }
    }
}
