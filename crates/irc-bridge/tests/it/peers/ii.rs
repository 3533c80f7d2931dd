//! `ii`: a real client, whose windows are folders with one file to write into and one to read.
//!
//! Both are made as pipes before ii would make them: so its lines come when they are written, with no looking again and
//! again. It shows lines as the server sent them, control codes and all.

use super::{SOON, heard::Heard, program, raw::RawClient};
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

    /// Opens a window for what a person says in private; it has to be open before they do.
    pub(crate) async fn open(&mut self, name: &str) -> anyhow::Result<()> {
        let is_kept = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".#&+!-".contains(&byte)
        };
        ensure!(
            name.bytes().all(is_kept),
            "ii calls the window of {name:?} otherwise: use lower case, digits and .#&+!-"
        );
        let window = Window::open(&self.folder.join(name), &self.nick).await?;
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
        let lines = self.window(window)?.output.all();
        Ok(lines.iter().map(|line| Shown::parse(line)).collect())
    }

    /// Waits until a window shows this; what it showed before is passed over.
    pub(crate) async fn wait_for(&mut self, window: &str, wanted: &Shown) -> anyhow::Result<()> {
        let what = format!("{wanted:?} in {window}");
        let is_wanted = |line: &str| Shown::parse(line) == *wanted;
        self.window(window)?.output.next(&what, is_wanted).await?;
        Ok(())
    }

    fn window(&mut self, name: &str) -> anyhow::Result<&mut Window> {
        match self.windows.get_mut(name) {
            Some(window) => Ok(window),
            None => bail!("{} has no window {name}", self.nick),
        }
    }
}

/// Somebody silent in a channel who can say what was said there, by whom and in which order.
pub(crate) struct Judge {
    ii: Ii,
    channel: String,
}

impl Judge {
    /// Enters a channel; what is said from now on counts.
    pub(crate) async fn listen(port: u16, nick: &str, channel: &str) -> anyhow::Result<Self> {
        let mut ii = Ii::start(port, nick).await?;
        ii.join(channel).await?;
        let channel = channel.to_owned();
        Ok(Self { ii, channel })
    }

    /// All that was said so far, in order, as nick and text. Notices are not among it: ii does not tell whose they are.
    pub(crate) fn said(&mut self) -> anyhow::Result<Vec<(String, String)>> {
        let shown = self.ii.shown(&self.channel)?;
        Ok(shown.into_iter().filter_map(said).collect())
    }

    /// All that was said, once it is at least so many lines.
    pub(crate) async fn said_at_least(
        &mut self,
        count: usize,
    ) -> anyhow::Result<Vec<(String, String)>> {
        let what = format!("{count} lines in {}", self.channel);
        let has_them = |lines: &[String]| {
            lines
                .iter()
                .filter_map(|line| said(Shown::parse(line)))
                .count()
                >= count
        };
        self.ii
            .window(&self.channel)?
            .output
            .wait(&what, has_them)
            .await?;
        self.said()
    }

    /// All that was said up to this and with it, once it was.
    pub(crate) async fn said_until(
        &mut self,
        by: &str,
        text: &str,
    ) -> anyhow::Result<Vec<(String, String)>> {
        self.ii
            .wait_for(&self.channel, &Shown::said(by, text))
            .await?;
        let mut all = self.said()?;
        let last = all.iter().rposition(|said| said.0 == by && said.1 == text);
        all.truncate(last.context("what was just said")? + 1);
        Ok(all)
    }
}

fn said(shown: Shown) -> Option<(String, String)> {
    match shown {
        Shown::Said { by, text } => Some((by, text)),
        Shown::Note(_) => None,
    }
}

/// What has to work on every server: a channel, a private word, and a judge who heard it all.
pub(crate) async fn two_people_talk(port: u16) -> anyhow::Result<()> {
    let mut judge = Judge::listen(port, "judge", "#talk").await?;
    let mut alice = Ii::start(port, "alice").await?;
    alice.join("#talk").await?;
    let mut bob = Ii::start(port, "bob").await?;
    bob.join("#talk").await?;
    alice
        .say("#talk", "hello  bob, schön dich \u{2}zu\u{2} sehen")
        .await?;
    let hello = Shown::said("alice", "hello  bob, schön dich \u{2}zu\u{2} sehen");
    bob.wait_for("#talk", &hello).await?;
    for number in 1..=20 {
        bob.say("#talk", &format!("line {number}")).await?;
    }
    alice
        .wait_for("#talk", &Shown::said("bob", "line 20"))
        .await?;
    let heard = judge.said_at_least(21).await?;
    let wanted = (1..=20).map(|number| ("bob".to_owned(), format!("line {number}")));
    ensure!(
        heard[0].0 == "alice" && heard[1..].iter().cloned().eq(wanted),
        "{heard:?}"
    );
    ensure!(
        judge.said_until("bob", "line 1").await?.len() == 2,
        "not up to there"
    );

    bob.open("alice").await?;
    alice.tell("bob", "psst").await?;
    alice.tell("bob", "once more").await?;
    bob.wait_for("alice", &Shown::said("alice", "psst")).await?;
    bob.wait_for("alice", &Shown::said("alice", "once more"))
        .await?;
    actions_and_notices(port, &mut bob).await
}

async fn actions_and_notices(port: u16, bob: &mut Ii) -> anyhow::Result<()> {
    let mut carol = RawClient::welcomed(port, "carol").await?;
    carol.join("#talk").await?;
    carol.say("PRIVMSG #talk :\u{1}ACTION waves\u{1}").await;
    bob.wait_for("#talk", &Shown::said("carol", "\u{1}ACTION waves\u{1}"))
        .await?;
    carol.say("NOTICE #talk :mind the step").await;
    let notice = Shown::Note("\"mind the step\")".to_owned());
    bob.wait_for("#talk", &notice).await?;
    ensure!(
        bob.shown("#talk")?.last() == Some(&notice),
        "the notice is not the last"
    );
    Ok(())
}

#[tokio::test]
async fn a_window_that_ii_would_call_otherwise_is_refused() {
    let server = super::ngircd::Ngircd::start(Default::default())
        .await
        .unwrap();
    let mut alice = Ii::start(server.port, "alice").await.unwrap();
    let error = alice.join("#Chan").await.unwrap_err().to_string();
    assert!(
        error.starts_with("ii calls the window of \"#Chan\" otherwise"),
        "{error}"
    );
    let error = alice.say("#never", "hello").await.unwrap_err();
    assert_eq!(error.to_string(), "alice has no window #never");
}
