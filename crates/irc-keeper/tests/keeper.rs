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
            user: None,
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
        from: None,
        to: Some(scene.irc.address().port()),
        closed_ms: None,
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
        user: None,
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

/// All lines that come from here on, until there are no more.
async fn rest(lines: &mut KeptLines) -> anyhow::Result<Vec<(u64, String)>> {
    let all = timeout(SOON, async {
        let mut all = Vec::new();
        while let Came::Line(number, line) = lines.next().await? {
            all.push((number, String::from_utf8_lossy(&line).into_owned()));
        }
        anyhow::Ok(all)
    });
    all.await.context("it is never over")?
}

/// Waits until nothing is held.
async fn is_empty(scene: &Scene) -> anyhow::Result<()> {
    timeout(SOON, async {
        while !attach::list(&scene.path(), "").await?.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::Ok(())
    })
    .await
    .context("something is held")?
}

#[tokio::test]
async fn what_came_before_it_left_is_kept_for_a_bridge_that_comes_back_late() -> anyhow::Result<()>
{
    let scene = Scene::new(Duration::from_millis(200)).await?;
    let (mut first, last) = scene.enter().await?;
    first.frames.acknowledge(last, b"a note").await?;
    drop(first);
    scene.bob.say("#tea", "meanwhile").await?;
    scene.bob.wait_for(|line| line.command == "QUIT").await?;
    // Longer than a server gets to close.
    tokio::time::sleep(Duration::from_secs(7)).await;
    let mut second = scene.open().await?;
    ensure!(
        !second.held.is_new && second.held.closed_ms.is_some(),
        "{:?}",
        second.held
    );
    ensure!(second.note == b"a note");
    let all = rest(&mut second.lines).await?;
    ensure!(
        all.iter().any(|(_, line)| line.ends_with(":meanwhile")),
        "{all:?}"
    );
    let (last, _) = all.last().context("a line")?;
    second.frames.acknowledge(*last, b"").await?;
    drop(second);
    is_empty(&scene).await
}

#[tokio::test]
async fn what_came_by_a_connection_that_was_ended_is_kept_until_it_is_acknowledged()
-> anyhow::Result<()> {
    let scene = Scene::new(LONG).await?;
    let (mut first, _) = scene.enter().await?;
    scene.bob.say("#tea", "one").await?;
    let (one, _) = until(&mut first.lines, ":one").await?;
    scene.bob.say("#tea", "two").await?;
    until(&mut first.lines, ":two").await?;
    first.frames.leave().await?;
    scene.bob.wait_for(|line| line.command == "QUIT").await?;
    first.frames.acknowledge(one, b"").await?;
    drop(first);
    let mut second = scene.open().await?;
    ensure!(
        !second.held.is_new && second.held.acknowledged == one,
        "{:?}",
        second.held
    );
    let all = rest(&mut second.lines).await?;
    ensure!(
        all.first().is_some_and(|(_, line)| line.ends_with(":two")),
        "{all:?}"
    );
    second.frames.drop_it().await?;
    is_empty(&scene).await?;
    ensure!(scene.open().await?.held.is_new);
    Ok(())
}

#[tokio::test]
async fn while_no_bridge_is_there_servers_are_told_whose_a_connection_is() -> anyhow::Result<()> {
    use tokio::{io::AsyncReadExt as _, net::TcpStream};
    let irc = Server::start(Dialect::ngircd()).await?;
    let folder = TempDir::new()?;
    let path = folder.path().join("keeper");
    let mut keeper = Keeper::listen(&path, LONG).await?;
    let ident = keeper.answer_ident(([127, 0, 0, 1], 0).into()).await?;
    let running = tokio::spawn(async move { keeper.run().await });
    let to = irc.address().port();
    let open = Open {
        id: "net/ann".to_owned(),
        server: At {
            host: irc.address().ip().to_string(),
            port: to,
        },
        tls: None,
        from: None,
        user: Some("ann".to_owned()),
    };
    let asked = async |port: u16| {
        let mut stream = TcpStream::connect(ident).await?;
        stream
            .write_all(format!("{port}, {to}\r\n").as_bytes())
            .await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        anyhow::Ok(answer)
    };
    let first = attach::open(&path, open.clone(), |_| {}).await?;
    let port = first.held.port;
    let own = format!("{port}, {to} : USERID : UNIX : ann\r\n");
    ensure!(asked(port).await? == own);
    drop(first);
    ensure!(asked(port).await? == own, "the bridge is away");
    let mut pairs = Vec::new();
    let mut second = attach::open(&path, open, |pair| pairs.push(pair)).await?;
    ensure!(
        pairs.len() == 1 && pairs[0].port == port && pairs[0].to == Some(to),
        "{pairs:?}"
    );
    second.frames.drop_it().await?;
    // Of a connection that is no more nobody is named.
    let gone = timeout(SOON, async {
        while asked(port).await? == own {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::Ok(())
    });
    gone.await??;
    running.abort();
    Ok(())
}

/// A server that is played by hand, and a keeper that is to connect to it.
async fn by_hand() -> anyhow::Result<(TempDir, JoinHandle<()>, tokio::net::TcpListener, Open)> {
    let folder = TempDir::new()?;
    let keeper = Keeper::listen(&folder.path().join("keeper"), LONG).await?;
    let running = tokio::spawn(async move { keeper.run().await });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let open = Open {
        id: "net/ann".to_owned(),
        server: At {
            host: "127.0.0.1".to_owned(),
            port: listener.local_addr()?.port(),
        },
        tls: None,
        from: None,
        user: None,
    };
    Ok((folder, running, listener, open))
}

#[tokio::test]
async fn while_a_server_takes_nothing_frames_wait_within_bounds_and_none_is_lost()
-> anyhow::Result<()> {
    use tokio::io::{AsyncBufReadExt as _, BufReader};
    const FRAMES: u64 = 3_000;
    let frame = |number: u64| format!("PRIVMSG #tea :{number} {}\r\n", "x".repeat(8_000));
    let (folder, running, listener, open) = by_hand().await?;
    let path = folder.path().join("keeper");
    let made = attach::open(&path, open.clone(), |_| {});
    let (first, accepted) = tokio::join!(made, listener.accept());
    let (mut first, accepted) = (first?, accepted?);
    let given = async {
        for number in 1..=FRAMES {
            first.frames.write(frame(number).as_bytes()).await?;
        }
        anyhow::Ok(())
    };
    ensure!(
        timeout(Duration::from_secs(2), given).await.is_err(),
        "it takes all there is"
    );
    // The bridge is killed while it waits, in the middle of a frame. The next knows how far it came.
    drop(first);
    let mut second = attach::open(&path, open, |_| {}).await?;
    let taken = second.held.received;
    ensure!((256..FRAMES).contains(&taken), "{taken}");
    let giving = async {
        for number in taken + 1..=FRAMES {
            ensure!(second.frames.next_number() == number);
            second.frames.write(frame(number).as_bytes()).await?;
        }
        anyhow::Ok(())
    };
    let taking = async {
        let mut lines = BufReader::new(accepted.0).lines();
        for number in 1..=FRAMES {
            let line = lines.next_line().await?.context("a line")?;
            ensure!(
                line == frame(number).trim_end(),
                "{number}: {}",
                &line[..30]
            );
        }
        anyhow::Ok(())
    };
    let (given, taken) = timeout(SOON, async { tokio::join!(giving, taking) }).await?;
    given.and(taken)?;
    running.abort();
    Ok(())
}

#[tokio::test]
async fn what_a_server_said_before_it_broke_off_is_read_however_late() -> anyhow::Result<()> {
    const LINES: usize = 3_910;
    let line = |number: usize| format!(":srv NOTICE ann :{number} {}\r\n", "x".repeat(1_000));
    let (folder, running, listener, open) = by_hand().await?;
    let path = folder.path().join("keeper");
    let made = attach::open(&path, open, |_| {});
    let (attached, accepted) = tokio::join!(made, listener.accept());
    let (mut attached, (mut server, _)) = (attached?, accepted?);
    // A little more than is kept: the rest waits in the socket.
    for number in 0..LINES {
        server.write_all(line(number).as_bytes()).await?;
    }
    // What is still on its way when a connection breaks off is lost: all of it is to have arrived.
    tokio::time::sleep(Duration::from_secs(3)).await;
    drop(server);
    for _ in 0..3 {
        attached
            .frames
            .write(b"PRIVMSG #tea :is anybody there?\r\n")
            .await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_secs(7)).await;
    for number in 0..LINES {
        let came = timeout(SOON, attached.lines.next()).await??;
        let Came::Line(at, found) = came else {
            anyhow::bail!("it is over at {number}: {came:?}");
        };
        ensure!(found == line(number).trim_end().as_bytes(), "{number}");
        attached.frames.acknowledge(at, b"").await?;
    }
    running.abort();
    Ok(())
}
