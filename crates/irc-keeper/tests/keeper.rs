//! The keeper between a bridge, played by hand, and a server in memory.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use bridgehead_irc_keeper::{
    Keeper,
    attach::{self, Attached, Came, KeptLines},
    dial::Server as At,
    wire::{Held, Hello, Kind, Message, Open, Wants},
};
use bridgehead_irc_server::{Dialect, Person, Server};
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt as _, net::UnixStream, task::JoinHandle, time::timeout};

const SOON: Duration = Duration::from_secs(20);
const LONG: Duration = Duration::from_secs(600);

struct Scene {
    folder: TempDir,
    irc: Server,
    bob: Person,
    keeper: Arc<Keeper>,
    running: JoinHandle<()>,
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Scene {
    async fn new(patience: Duration) -> anyhow::Result<Self> {
        let folder = TempDir::new()?;
        let irc = Server::start(Dialect::ngircd()).await?;
        let bob = irc.person("bob").await?;
        bob.join("#tea").await?;
        let keeper = Keeper::listen(&folder.path().join("keeper"), patience).await?;
        let keeper = Arc::new(keeper);
        let own = keeper.clone();
        let running = tokio::spawn(async move { own.run().await });
        Ok(Self {
            folder,
            irc,
            bob,
            keeper,
            running,
        })
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("keeper")
    }

    fn wanted(&self) -> Open {
        let address = self.irc.address();
        Open {
            id: "net/ann".to_owned(),
            server: At {
                host: address.ip().to_string(),
                port: address.port(),
            },
            tls: None,
            from: None,
        }
    }

    async fn open(&self) -> anyhow::Result<Attached> {
        Ok(attach::open(&self.path(), self.wanted(), |_| {}).await?)
    }

    /// Ann is in the channel; gives back the number of the last line that she was told of that.
    async fn enter(&self) -> anyhow::Result<(Attached, u64)> {
        let mut attached = self.open().await?;
        ensure!(attached.held.is_new && attached.held.received == 0);
        for line in ["NICK ann\r\nUSER a 0 * :a\r\n", "JOIN #tea\r\n"] {
            attached.frames.write(line.as_bytes()).await?;
        }
        let (last, _) = until(&mut attached.lines, " 366 ").await?;
        Ok((attached, last))
    }

    fn heard_of_ann(&self) -> Vec<String> {
        let heard = self.bob.heard().into_iter();
        let said = heard.filter(|line| line.command == "PRIVMSG");
        said.map(|line| line.text(1).into_owned()).collect()
    }
}

/// The first line with this in it, and its number.
async fn until(lines: &mut KeptLines, part: &str) -> anyhow::Result<(u64, String)> {
    let found = timeout(SOON, async {
        loop {
            let Came::Line(number, line) = lines.next().await? else {
                anyhow::bail!("it is over");
            };
            let line = String::from_utf8_lossy(&line).into_owned();
            if line.contains(part) {
                return Ok((number, line));
            }
        }
    });
    found
        .await
        .with_context(|| format!("{part:?} never came"))?
}

#[tokio::test]
async fn a_bridge_goes_on_where_the_one_before_it_was() -> anyhow::Result<()> {
    let scene = Scene::new(LONG).await?;
    let (mut first, last) = scene.enter().await?;
    first.frames.acknowledge(last, b"a note").await?;
    scene.bob.say("#tea", "one").await?;
    let (one, _) = until(&mut first.lines, ":one").await?;
    first.frames.write(b"PRIVMSG #tea :from ann\r\n").await?;
    scene
        .bob
        .wait_for(|line| line.text(1) == "from ann")
        .await?;
    // It is killed: what it had not acknowledged comes again, and what came meanwhile behind it.
    let epoch = first.held.epoch;
    drop(first);
    scene.bob.say("#tea", "two").await?;
    let mut second = scene.open().await?;
    let held = Held {
        is_new: false,
        epoch,
        received: 3,
        acknowledged: last,
        port: second.held.port,
    };
    ensure!(second.held == held, "{:?}", second.held);
    ensure!(second.note == b"a note", "{:?}", second.note);
    let (again, _) = until(&mut second.lines, ":one").await?;
    ensure!(again == one, "{again} is not {one}");
    until(&mut second.lines, ":two").await?;
    ensure!(attach::list(&scene.path(), "net/").await? == ["net/ann"]);
    ensure!(attach::list(&scene.path(), "other/").await?.is_empty());
    let seen = scene.bob.heard();
    ensure!(!seen.iter().any(|line| line.command == "QUIT"), "{seen:?}");
    ensure!(seen.iter().filter(|line| line.command == "JOIN").count() <= 2);
    Ok(())
}

#[tokio::test]
async fn a_frame_that_comes_twice_is_written_once_and_half_a_frame_is_none() -> anyhow::Result<()> {
    let scene = Scene::new(LONG).await?;
    let (first, _) = scene.enter().await?;
    drop(first);
    let say = |number: u64, text: &str| {
        Message::numbered(Kind::Frame, number, format!("PRIVMSG #tea :{text}\r\n"))
    };
    for times in 0..2 {
        let mut bridge = UnixStream::connect(scene.path()).await?;
        let hello = Hello {
            version: 1,
            wants: Wants::Open(Box::new(scene.wanted())),
        };
        Message::json(Kind::Hello, &hello)?
            .write(&mut bridge)
            .await?;
        let held = Message::read(&mut bridge).await?.context("held")?;
        ensure!(held.kind == Kind::Held);
        // The kill comes within the third.
        let mut bytes = Vec::new();
        say(3, "one").write(&mut bytes).await?;
        say(4, "two").write(&mut bytes).await?;
        let whole = bytes.len();
        say(5, "three").write(&mut bytes).await?;
        bytes.truncate(whole + 20);
        bridge.write_all(&bytes).await?;
        bridge.flush().await?;
        if times == 0 {
            scene.bob.wait_for(|line| line.text(1) == "two").await?;
        }
    }
    let mut last = scene.open().await?;
    ensure!(last.held.received == 4, "{:?}", last.held);
    last.frames.write(b"PRIVMSG #tea :three\r\n").await?;
    scene.bob.wait_for(|line| line.text(1) == "three").await?;
    ensure!(scene.heard_of_ann() == ["one", "two", "three"]);
    Ok(())
}

/// A bridge that has asked for a connection, and is told now that it is about to be made.
async fn asks(scene: &Scene) -> anyhow::Result<UnixStream> {
    let mut bridge = UnixStream::connect(scene.path()).await?;
    let hello = Hello {
        version: 1,
        wants: Wants::Open(Box::new(scene.wanted())),
    };
    let hello = Message::json(Kind::Hello, &hello)?;
    hello.write(&mut bridge).await?;
    let bound = Message::read(&mut bridge).await?.context("bound")?;
    ensure!(bound.kind == Kind::Bound, "{bound:?}");
    Ok(bridge)
}

#[tokio::test]
async fn a_connection_that_is_made_late_takes_the_place_of_none() -> anyhow::Result<()> {
    let scene = Scene::new(LONG).await?;
    // All are of a bridge that was restarted meanwhile: two still wait, and one does not.
    let (mut waits, mut gone, mut last) = (
        asks(&scene).await?,
        asks(&scene).await?,
        asks(&scene).await?,
    );
    let (mut ann, _) = scene.enter().await?;
    for late in [&mut waits, &mut gone] {
        Message::new(Kind::Go, b"").write(late).await?;
    }
    drop(gone);
    let answer = Message::read(&mut waits).await?.context("an answer")?;
    ensure!(answer.kind == Kind::Failed, "{answer:?}");
    scene.bob.say("#tea", "are you there?").await?;
    until(&mut ann.lines, ":are you there?").await?;
    let seen = scene.bob.heard();
    ensure!(!seen.iter().any(|line| line.command == "QUIT"), "{seen:?}");
    // Where no bridge is with hers any more, whoever is late goes on with that one.
    drop(ann);
    tokio::time::sleep(Duration::from_millis(500)).await;
    Message::new(Kind::Go, b"").write(&mut last).await?;
    let held = Message::read(&mut last).await?.context("held")?;
    ensure!(held.kind == Kind::Held, "{held:?}");
    ensure!(!held.read_json::<Held>()?.is_new);
    Ok(())
}

#[tokio::test]
async fn a_connection_that_nobody_waits_for_any_more_is_not_kept() -> anyhow::Result<()> {
    let scene = Scene::new(LONG).await?;
    let mut gone = asks(&scene).await?;
    Message::new(Kind::Go, b"").write(&mut gone).await?;
    drop(gone);
    // Whoever comes next gets one of their own, whenever that is.
    tokio::time::sleep(Duration::from_millis(500)).await;
    ensure!(attach::list(&scene.path(), "").await?.is_empty());
    ensure!(scene.open().await?.held.is_new);
    Ok(())
}

#[tokio::test]
async fn while_nobody_is_there_pings_are_answered_and_nothing_else_is_said() -> anyhow::Result<()> {
    let mut dialect = Dialect::ngircd();
    dialect.pings.every = Duration::from_millis(300);
    dialect.pings.timeout = Duration::from_millis(700);
    let folder = TempDir::new()?;
    let irc = Server::start(dialect).await?;
    let bob = irc.person("bob").await?;
    let path = folder.path().join("keeper");
    let keeper = Keeper::listen(&path, LONG).await?;
    let running = tokio::spawn(async move { keeper.run().await });
    let address = irc.address();
    let open = Open {
        id: "net/ann".to_owned(),
        server: At {
            host: address.ip().to_string(),
            port: address.port(),
        },
        tls: None,
        from: None,
    };
    let mut first = attach::open(&path, open.clone(), |_| {}).await?;
    first.frames.write(b"NICK ann\r\nUSER a 0 * :a\r\n").await?;
    until(&mut first.lines, " 376 ")
        .await
        .or_else(|_| anyhow::Ok(Default::default()))?;
    drop(first);
    tokio::time::sleep(Duration::from_secs(3)).await;
    bob.say("ann", "are you there?").await?;
    let mut second = attach::open(&path, open, |_| {}).await?;
    ensure!(!second.held.is_new);
    until(&mut second.lines, ":are you there?").await?;
    running.abort();
    Ok(())
}

#[tokio::test]
async fn who_waits_in_vain_for_a_bridge_leaves() -> anyhow::Result<()> {
    let scene = Scene::new(Duration::from_millis(200)).await?;
    let (attached, _) = scene.enter().await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    ensure!(!scene.bob.heard().iter().any(|line| line.command == "QUIT"));
    drop(attached);
    let quit = scene.bob.wait_for(|line| line.command == "QUIT").await?;
    ensure!(quit.text(0).contains("has not come back"), "{quit:?}");
    Ok(())
}

#[tokio::test]
async fn what_the_server_ends_is_told_behind_its_last_lines() -> anyhow::Result<()> {
    let scene = Scene::new(LONG).await?;
    let (attached, _) = scene.enter().await?;
    drop(attached);
    scene.bob.say("#tea", "the last").await?;
    scene.irc.faults().kill("ann", "enough").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut second = scene.open().await?;
    until(&mut second.lines, ":the last").await?;
    let ended = timeout(SOON, async {
        while let Came::Line(..) = second.lines.next().await? {}
        anyhow::Ok(())
    });
    ended.await??;
    second.frames.drop_it().await?;
    // The next one is new.
    timeout(SOON, async {
        loop {
            if attach::list(&scene.path(), "").await?.is_empty() {
                return anyhow::Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await??;
    ensure!(scene.open().await?.held.is_new);
    Ok(())
}

#[tokio::test]
async fn the_keeper_says_goodbye_and_there_is_one_at_a_path() -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let scene = Scene::new(LONG).await?;
    let mode = std::fs::metadata(scene.path())?.permissions().mode();
    ensure!(mode & 0o777 == 0o600, "{mode:o}");
    let other = Keeper::listen(&scene.path(), LONG).await;
    ensure!(other.is_err());
    let (_attached, _) = scene.enter().await?;
    scene.keeper.quit("bye now").await;
    scene.bob.wait_for(|line| line.command == "QUIT").await?;
    Ok(())
}

#[tokio::test]
async fn who_speaks_another_version_is_told_what_to_do() -> anyhow::Result<()> {
    let scene = Scene::new(LONG).await?;
    let mut bridge = UnixStream::connect(scene.path()).await?;
    let hello = br#"{"version": 99, "wishes": []}"#;
    Message::new(Kind::Hello, &hello[..])
        .write(&mut bridge)
        .await?;
    let answer = Message::read(&mut bridge).await?.context("an answer")?;
    ensure!(answer.kind == Kind::Failed);
    let words = String::from_utf8(answer.bytes)?;
    ensure!(words.contains("restart the keeper"), "{words}");
    let nobody = attach::list(&scene.folder.path().join("nobody"), "").await;
    let words = nobody.err().context("nobody is there")?.to_string();
    ensure!(words.contains("bridgehead-irc keeper --listen"), "{words}");
    Ok(())
}
