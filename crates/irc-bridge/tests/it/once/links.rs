//! One connection alone, without a network's loop around it: what becomes of what is under way when it ends, and of
//! orders that it has no room for.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use bridgehead_appservice::store::Store;
use bridgehead_irc::{
    Irc,
    ident::Ident,
    link::{
        claims::Claims,
        dial::{Dial, Kept, Server as At, Stream, Way},
        drive::{Beginning, Done, Link, LinkId, Order, Told},
    },
};
use bridgehead_irc_keeper::{
    Keeper,
    attach::{self, Came},
    wire::Open,
};
use bridgehead_irc_protocol::{
    Line,
    session::{Ask, Ended, Event, Pace, Priority, Settings},
};
use bridgehead_irc_server::Dialect;
use bridgehead_testkit::lab::{Lab, LabService};
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt as _, sync::mpsc, time::timeout};

use super::with_ngircd;
use crate::{
    peers::{SOON, ngircd::NgircdOptions, raw::RawClient},
    stage::comes_to,
    within::Scene,
};

const ID: &str = "net/carl";
/// Commands that a session has room for, and those that wait until it has.
const ROOM: u64 = 4096;
const WAITING: u64 = 2048;

/// A link, and what it tells.
struct Linked {
    link: Link,
    told: mpsc::Receiver<(LinkId, Told)>,
}

fn store(service: &LabService) -> anyhow::Result<Store> {
    let portals = service.running().portals::<Irc>().context("the bridge")?;
    Ok(portals.remote().store()?)
}

fn settings(line_ms: u32) -> Settings {
    Settings {
        nicks: vec!["carl".to_owned()],
        user: "carl".to_owned(),
        pace: Pace {
            burst_lines: 1,
            line_ms,
            ..Pace::default()
        },
        ..Settings::default()
    }
}

impl Linked {
    fn begin(dial: Dial, session: Settings, store: Store) -> Self {
        let (tell, told) = mpsc::channel(1024);
        let beginning = Beginning {
            dial,
            session,
            observes: true,
            claims: Claims::new(store),
        };
        Self {
            link: Link::begin(beginning, 1, tell),
            told,
        }
    }

    async fn next(&mut self) -> anyhow::Result<Told> {
        let (_, told) = timeout(SOON, self.told.recv())
            .await
            .context("it tells nothing")?
            .context("it is gone")?;
        Ok(told)
    }

    /// What is told up to an event of this kind; all else is dealt with at once.
    async fn until(&mut self, is_it: impl Fn(&Event) -> bool) -> anyhow::Result<()> {
        loop {
            match self.next().await? {
                Told::Event(event, _) if is_it(&event) => return Ok(()),
                Told::Event(..) => {}
                Told::UpTo(done) => done.tell(),
                Told::Closed(why) => anyhow::bail!("it is over: {why:?}"),
            }
        }
    }

    /// Gives a command, as soon as the link takes orders.
    async fn ask(&self, id: u64) -> bool {
        let line = Line::new("ISON", ["bob"]);
        let priority = Priority::Said;
        let is_taken = self
            .link
            .order(Order::Ask(Ask { id, line, priority }, None));
        if id.is_multiple_of(500) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        is_taken
    }
}

fn within(way: Way) -> Dial {
    Dial {
        way,
        server: At {
            host: "irc.example.org".to_owned(),
            port: 6667,
        },
        tls: None,
        from: None,
        user: "carl".to_owned(),
        ident: Ident::new(),
        keeper: None,
    }
}

/// Plays with a link to a server in memory.
fn with_link(
    line_ms: u32,
    play: impl AsyncFnOnce(Linked) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab, Dialect::modern()).await?;
        let irc = scene.irc.clone();
        let way = Way::Within(Arc::new(move |_| {
            Ok(Box::new(irc.wire()) as Box<dyn Stream>)
        }));
        let mut linked = Linked::begin(within(way), settings(line_ms), store(&scene.service)?);
        linked.until(|event| *event == Event::Ready).await?;
        play(linked).await
    })
}

#[test]
fn orders_that_there_is_no_room_for_wait_and_none_is_lost() -> anyhow::Result<()> {
    const ALL: u64 = ROOM + WAITING / 2;
    with_link(1, async |mut linked| {
        for id in 1..=ALL {
            ensure!(linked.ask(id).await, "{id} is not taken");
        }
        let mut answered = Vec::new();
        while answered.len() < usize::try_from(ALL)? {
            match linked.next().await? {
                Told::Event(event, _) => match *event {
                    Event::Answered { id, .. } => answered.push(id),
                    Event::Refused { id, text, .. } => anyhow::bail!("{id}: {text}"),
                    Event::Ended { why } => anyhow::bail!("it is over: {why:?}"),
                    _ => {}
                },
                Told::UpTo(_) => {}
                Told::Closed(why) => anyhow::bail!("it is over: {why:?}"),
            }
        }
        ensure!(
            answered.iter().copied().eq(1..=ALL),
            "each once and in order"
        );
        Ok(())
    })
}

#[test]
fn a_connection_for_which_too_much_waits_ends() -> anyhow::Result<()> {
    // It may say a line an hour.
    with_link(3_600_000, async |mut linked| {
        let mut given = 0;
        while given < 4 * ROOM && linked.ask(given + 1).await {
            given += 1;
        }
        ensure!(given > ROOM + WAITING, "{given}");
        ensure!(given < 4 * ROOM, "it takes all there is");
        loop {
            match linked.next().await? {
                Told::Event(event, _) if matches!(*event, Event::Ended { why: Ended::Quit }) => {
                    return Ok(());
                }
                Told::Closed(why) => {
                    ensure!(why.as_deref() == Some("Too much waits"), "{why:?}");
                    return Ok(());
                }
                _ => {}
            }
        }
    })
}

#[test]
fn a_link_that_loses_an_order_ends_for_the_next_to_have_it() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab, Dialect::modern()).await?;
        // A server that welcomes, and then takes nothing.
        let way = Way::Within(Arc::new(|_| {
            let (here, mut there) = tokio::io::duplex(512);
            tokio::spawn(async move {
                let welcome = b":srv 001 carl :Hi\r\n:srv 376 carl :End\r\n";
                there.write_all(welcome).await.ok();
                tokio::time::sleep(Duration::from_secs(3600)).await;
            });
            Ok(Box::new(here) as Box<dyn Stream>)
        }));
        let mut linked = Linked::begin(within(way), settings(0), store(&scene.service)?);
        linked.until(|event| *event == Event::Ready).await?;
        let mut given = 0;
        while linked.ask(given + 1).await {
            given += 1;
            ensure!(given < 4 * ROOM, "it takes all there is");
        }
        loop {
            if let Told::Closed(why) = linked.next().await? {
                ensure!(why.as_deref() == Some("Too much waits"), "{why:?}");
                return Ok(());
            }
        }
    })
}

/// What is said last by a server that goes, with a keeper between: dealt with, or not.
async fn ends(port: u16, store: Store, is_dealt_with: bool) -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let path = folder.path().join("keeper");
    let keeper = Keeper::listen(&path, Duration::from_secs(600)).await?;
    let running = tokio::spawn(async move { keeper.run().await });
    let server = At {
        host: "127.0.0.1".to_owned(),
        port,
    };
    let dial = Dial {
        way: Way::Network,
        server: server.clone(),
        keeper: Some(Kept {
            path: path.as_path().into(),
            id: ID.to_owned(),
            turn: Arc::default(),
        }),
        ..within(Way::Network)
    };
    let mut linked = Linked::begin(dial, settings(0), store);
    linked.until(|event| *event == Event::Ready).await?;
    ensure!(
        linked
            .link
            .order(Order::Send(Line::new("JOIN", ["#end"]), Priority::Said))
    );
    linked
        .until(|event| matches!(event, Event::Line(heard) if heard.line.command == "366"))
        .await?;
    let mut oper = RawClient::welcomed(port, "oper").await?;
    oper.become_operator().await?;
    oper.join("#end").await?;
    oper.say("PRIVMSG #end :the last words").await;
    oper.say("KILL carl :enough").await;
    // The others have heard all of it, and have not dealt with it.
    let (mut last, mut waiting): (Option<Done>, Vec<String>) = (None, Vec::new());
    loop {
        match linked.next().await? {
            Told::UpTo(done) => last = Some(done),
            Told::Event(event, _) => match *event {
                Event::Line(heard) => waiting.push(heard.line.text(1).into_owned()),
                Event::Ended { .. } => break,
                _ => {}
            },
            Told::Closed(why) => anyhow::bail!("it is over: {why:?}"),
        }
    }
    ensure!(
        waiting.iter().any(|text| text == "the last words"),
        "{waiting:?}"
    );
    drop(linked);
    let last = last.context("something is to be dealt with")?;
    if is_dealt_with {
        last.tell();
        let over = timeout(SOON, async {
            while !attach::list(&path, "").await?.is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            anyhow::Ok(())
        });
        over.await.context("it is kept for nothing")??;
    } else {
        // Now the bridge is killed. The next has it.
        let open = Open {
            id: ID.to_owned(),
            server,
            tls: None,
            from: None,
            user: None,
        };
        let mut next = attach::open(&path, open, |_| {}).await?;
        ensure!(
            !next.held.is_new && !next.note.is_empty(),
            "{:?}",
            next.held
        );
        let found = timeout(SOON, async {
            while let Came::Line(_, line) = next.lines.next().await? {
                if line.ends_with(b":the last words") {
                    return Ok(());
                }
            }
            anyhow::bail!("the last words are lost")
        });
        found.await??;
        drop(last);
    }
    running.abort();
    Ok(())
}

#[test]
fn what_came_last_stays_with_the_keeper_until_it_is_dealt_with() -> anyhow::Result<()> {
    with_ngircd(
        NgircdOptions::default(),
        |_| {},
        async |stage, _| {
            comes_to(&true, async || Ok(store(&stage.service).is_ok())).await?;
            for is_dealt_with in [true, false] {
                ends(stage.port, store(&stage.service)?, is_dealt_with).await?;
            }
            Ok(())
        },
    )
}
