//! `ii`: a real client, whose windows are folders with one file to write into and one to read.
//!
//! Both are made as pipes before ii would make them: so its lines come when they are written, with no looking again and
//! again. It shows lines as the server sent them, control codes and all.

use super::{
    SOON,
    heard::Heard,
    ngircd::{Ngircd, NgircdOptions},
    program,
};
use anyhow::{Context as _, bail, ensure};
use bridgehead_testkit::Process;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt as _, net::unix::pipe, process::Command};

/// The folder of the server, and the address ii connects to.
const ADDRESS: &str = "127.0.0.1";

/// What ii shows in a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Somebody said something, ii's own user too.
    Said {
        /// The nick of who did.
        by: String,
        /// What; an action is still in its `\x01ACTION …\x01`.
        text: String,
    },
    /// Anything else: who came and went, modes, topics. Of a notice it does not tell whose it is: `"text")`.
    Note(String),
}

impl Shown {
    /// Something that somebody said.
    pub(crate) fn said(by: &str, text: &str) -> Self {
        Self::Said {
            by: by.to_owned(),
            text: text.to_owned(),
        }
    }

    /// Reads a line: a time in seconds, `<nick>` or `-!-`, the rest.
    fn parse(line: &str) -> Self {
        let (_, line) = line.split_once(' ').unwrap_or_default();
        let said = line
            .strip_prefix('<')
            .and_then(|line| line.split_once("> "));
        match said {
            Some((by, text)) => Self::said(by, text),
            None => Self::Note(line.strip_prefix("-!- ").unwrap_or(line).to_owned()),
        }
    }
}

/// A folder of ii's: a channel, a person, or the server.
struct Window {
    input: pipe::Sender,
    output: Heard,
}

impl Window {
    async fn open(folder: &Path, whose: &str) -> anyhow::Result<Self> {
        ensure!(
            !folder.exists(),
            "ii has this window already: {}",
            folder.display()
        );
        fs::create_dir_all(folder)?;
        let pipes = ["in", "out"].map(|name| folder.join(name));
        let made = Command::new("mkfifo").args(&pipes).status().await?;
        ensure!(made.success(), "mkfifo {}: {made}", folder.display());
        // Opened for both, so that neither side waits for the other, and neither sees an end.
        let mut open = pipe::OpenOptions::new();
        open.read_write(true);
        Ok(Self {
            input: open.open_sender(&pipes[0])?,
            output: Heard::listen(whose, open.open_receiver(&pipes[1])?, |_| ()),
        })
    }

    async fn write(&mut self, line: &str) -> anyhow::Result<()> {
        let line = format!("{line}\n");
        let written = tokio::time::timeout(SOON, self.input.write_all(line.as_bytes())).await;
        Ok(written.context("ii does not read")??)
    }
}

/// A person with ii.
pub(crate) struct Ii {
    nick: String,
    folder: PathBuf,
    server: Window,
    windows: BTreeMap<String, Window>,
    _process: Process,
    _temporary: TempDir,
}

impl Ii {
    /// Connects to a port of loopback, and returns once the server has welcomed the nick.
    pub(crate) async fn start(port: u16, nick: &str) -> anyhow::Result<Self> {
        let temporary = TempDir::with_prefix("bridgehead-ii-")?;
        let folder = temporary.path().join(ADDRESS);
        let mut server = Window::open(&folder, nick).await?;
        let mut command = Command::new(program("BRIDGEHEAD_TEST_II", "ii")?);
        command.args(["-s", ADDRESS, "-p", &port.to_string(), "-n", nick, "-i"]);
        command.arg(temporary.path());
        let process = Process::spawn("ii", command)?;
        server
            .output
            .next("the welcome", |line| line.contains(" Welcome to the "))
            .await?;
        Ok(Self {
            nick: nick.to_owned(),
            folder,
            server,
            windows: BTreeMap::new(),
            _process: process,
            _temporary: temporary,
        })
    }

    /// Writes into the server's window: a command of ii's (`/t …`), or a line as it goes to the server.
    pub(crate) async fn command(&mut self, line: &str) -> anyhow::Result<()> {
        self.server.write(line).await
    }

    /// Enters a channel, and returns once it is in.
    pub(crate) async fn join(&mut self, channel: &str) -> anyhow::Result<()> {
        self.open(channel).await?;
        self.command(&format!("/j {channel}")).await?;
        let (joined, ending) = (
            format!("-!- {}(", self.nick),
            format!(" has joined {channel}"),
        );
        let is_joined = |line: &str| line.contains(&joined) && line.ends_with(&ending);
        let window = self.window(channel)?;
        window.output.next("its own entry", is_joined).await?;
        Ok(())
    }

    /// Opens a window for what a person says in private; it has to be open before they do, and before they are
    /// told something.
    pub(crate) async fn open(&mut self, name: &str) -> anyhow::Result<()> {
        let window = Window::open(&self.folder.join(folder_name(name)), &self.nick).await?;
        self.windows.insert(name.to_owned(), window);
        Ok(())
    }

    /// Says something in a channel.
    pub(crate) async fn say(&mut self, channel: &str, text: &str) -> anyhow::Result<()> {
        self.window(channel)?.write(text).await
    }

    /// Says something to a person.
    pub(crate) async fn tell(&mut self, nick: &str, text: &str) -> anyhow::Result<()> {
        self.command(&format!("/j {nick} {text}")).await
    }

    /// All that a window shows.
    pub(crate) fn shown(&mut self, window: &str) -> anyhow::Result<Vec<Shown>> {
        Ok(shown(&self.window(window)?.output.all()))
    }

    /// Waits until a window shows this; what it showed before is passed over.
    pub(crate) async fn wait_for(&mut self, window: &str, wanted: &Shown) -> anyhow::Result<()> {
        let what = format!("{wanted:?} in {window}");
        let is_wanted = |line: &str| Shown::parse(line) == *wanted;
        self.window(window)?.output.next(&what, is_wanted).await?;
        Ok(())
    }

    /// Waits until all that a window shows is as wanted, and gives it; nothing is passed over.
    pub(crate) async fn wait_until(
        &mut self,
        window: &str,
        what: &str,
        mut is_wanted: impl FnMut(&[Shown]) -> bool,
    ) -> anyhow::Result<Vec<Shown>> {
        let is_wanted = |lines: &[String]| is_wanted(&shown(lines));
        self.window(window)?.output.wait(what, is_wanted).await?;
        self.shown(window)
    }

    fn window(&mut self, name: &str) -> anyhow::Result<&mut Window> {
        match self.windows.get_mut(name) {
            Some(window) => Ok(window),
            None => bail!("{} has no window {name}", self.nick),
        }
    }
}

fn shown(lines: &[String]) -> Vec<Shown> {
    lines.iter().map(|line| Shown::parse(line)).collect()
}

/// What ii calls the folder of a channel or a person.
fn folder_name(name: &str) -> String {
    let kept = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'#' | b'&' | b'+' | b'!' | b'-' => {
            char::from(byte.to_ascii_lowercase())
        }
        _ => '_',
    };
    name.bytes().map(kept).collect()
}

#[tokio::test]
async fn names_are_as_ii_writes_them() {
    let server = Ngircd::start(NgircdOptions::default()).await.unwrap();
    let mut alice = Ii::start(server.port, "alice").await.unwrap();
    let channel = "#A_b[c]{d}\\e^f`gä.h|i~J";
    alice.join(channel).await.unwrap();
    alice.say(channel, "hello").await.unwrap();
    let hello = Shown::said("alice", "hello");
    alice.wait_for(channel, &hello).await.unwrap();
    let twice = alice
        .join("#a_B_c_{d}\\e^f`gä.h|i~j")
        .await
        .unwrap_err()
        .to_string();
    assert!(twice.starts_with("ii has this window already: "), "{twice}");
    let error = alice.say("#never", "hello").await.unwrap_err();
    assert_eq!(error.to_string(), "alice has no window #never");
}
