//! The bridge is killed between a line's claim and the note that it was written: nobody hears the line twice, and
//! whoever has said it learns what became of it.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use bridgehead_appservice::id::EventId;
use bridgehead_irc::link::dial::Stream;
use bridgehead_irc_server::Dialect;
use bridgehead_testkit::lab::Lab;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{scenarios::silence::told_of, within::Scene};

/// What becomes of the line at which the bridge hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Arrives,
    IsLost,
}

/// Where the bridge is to hang: at the first line with this text.
#[derive(Default)]
struct Trap {
    at: Option<(&'static str, Fate)>,
    has_caught: bool,
}

/// A connection that hangs for ever once the line has come, as do those beside it: nobody overhears the line.
struct Trapped {
    inner: Box<dyn Stream>,
    trap: Arc<Mutex<Trap>>,
    /// It was made by the bridge that was started afterwards.
    is_later: bool,
}

impl Trapped {
    fn hangs(&self) -> bool {
        !self.is_later && self.trap.lock().has_caught
    }
}

impl AsyncRead for Trapped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.hangs() {
            true => Poll::Pending,
            false => Pin::new(&mut self.inner).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Trapped {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let has = |text: &str| {
            bytes
                .windows(text.len())
                .any(|some| some == text.as_bytes())
        };
        let trap = self.trap.clone();
        let caught = trap.lock().at.take_if(|(text, _)| has(text));
        if let Some((_, fate)) = caught {
            trap.lock().has_caught = true;
            if fate == Fate::Arrives {
                // The server has it, and the bridge never learns that it has written it.
                let _ = Pin::new(&mut self.inner).poll_write(context, bytes);
            }
        }
        match self.hangs() {
            true => Poll::Pending,
            false => Pin::new(&mut self.inner).poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.hangs() {
            true => Poll::Pending,
            false => Pin::new(&mut self.inner).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// Everybody is there, and a trap before the server.
struct Play {
    scene: Scene,
    trap: Arc<Mutex<Trap>>,
}

impl Play {
    async fn new(lab: Lab, dialect: Dialect) -> anyhow::Result<Self> {
        let trap = Arc::new(Mutex::new(Trap::default()));
        let own = trap.clone();
        let between = move |inner| {
            let trap = own.clone();
            let is_later = trap.lock().has_caught;
            Box::new(Trapped {
                inner,
                trap,
                is_later,
            }) as Box<dyn Stream>
        };
        let scene = Scene::behind(lab, dialect, Arc::new(between)).await?;
        Ok(Self { scene, trap })
    }

    /// Says this; the bridge is killed while it writes its first line, and `last` is said before it is started again. Gives back which
    /// event the first was.
    async fn is_killed_at(&self, text: &'static str, fate: Fate) -> anyhow::Result<EventId> {
        let scene = &self.scene;
        self.trap.lock().at = text.lines().next().map(|first| (first, fate));
        let event = scene.alice.say(&scene.room, text).await?;
        for _ in 0..600 {
            if self.trap.lock().has_caught {
                break;
            }
            scene.lab.pass(Duration::from_millis(10)).await;
        }
        ensure!(self.trap.lock().has_caught, "{text:?} was never written");
        scene.service.crash();
        scene.alice.say(&scene.room, "last").await?;
        scene.service.start().await?;
        Ok(event)
    }

    /// What the sender was told of a message.
    async fn told(&self, event: &EventId) -> anyhow::Result<Option<String>> {
        told_of(&self.scene.alice, &self.scene.room, event).await
    }

    async fn is_told(&self, event: &EventId) -> anyhow::Result<String> {
        for _ in 0..600 {
            if let Some(words) = self.told(event).await? {
                return Ok(words);
            }
            self.scene.lab.pass(Duration::from_secs(1)).await;
        }
        anyhow::bail!("nobody was told; on IRC: {:?}", self.scene.order_on_irc())
    }
}

#[test]
fn where_no_history_is_kept_the_sender_is_told_and_may_say_it_again() -> anyhow::Result<()> {
    for dialect in [Dialect::ngircd, Dialect::inspircd] {
        Lab::run(async |lab| {
            let play = Play::new(lab, dialect()).await?;
            let event = play.is_killed_at("caught", Fate::IsLost).await?;
            let words = play.is_told(&event).await?;
            ensure!(words.contains("may be missing"), "{words}");
            let scene = &play.scene;
            scene.hears_on_irc("last").await?;
            ensure!(scene.order_on_irc() == ["first", "last"]);
            scene.alice.react(&scene.room, &event, "🔁").await?;
            scene.hears_on_irc("caught").await?;
            ensure!(scene.order_on_irc() == ["first", "last", "caught"]);
            anyhow::Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn what_has_arrived_is_never_said_twice_though_nobody_can_know() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let play = Play::new(lab, Dialect::ngircd()).await?;
        let event = play.is_killed_at("caught", Fate::Arrives).await?;
        let words = play.is_told(&event).await?;
        ensure!(words.contains("Look there first"), "{words}");
        play.scene.hears_on_irc("last").await?;
        play.scene.lab.pass(Duration::from_secs(60)).await;
        let order = play.scene.order_on_irc();
        ensure!(order == ["first", "caught", "last"], "{order:?}");
        anyhow::Ok(())
    })
}

#[test]
fn where_history_is_kept_it_says_what_has_arrived() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let play = Play::new(lab, Dialect::modern()).await?;
        let event = play.is_killed_at("caught", Fate::Arrives).await?;
        let scene = &play.scene;
        scene.hears_on_irc("last").await?;
        scene.lab.pass(Duration::from_secs(60)).await;
        let order = scene.order_on_irc();
        ensure!(order == ["first", "caught", "last"], "{order:?}");
        let told = play.told(&event).await?;
        ensure!(
            told.is_none(),
            "it is there, and the sender was told {told:?}"
        );
        anyhow::Ok(())
    })
}

#[test]
fn history_says_of_a_message_of_several_lines_that_it_has_arrived() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let play = Play::new(lab, Dialect::modern()).await?;
        let event = play.is_killed_at("caught\nboth", Fate::Arrives).await?;
        let scene = &play.scene;
        scene.hears_on_irc("last").await?;
        scene.lab.pass(Duration::from_secs(60)).await;
        let order = scene.order_on_irc();
        ensure!(order == ["first", "caught", "both", "last"], "{order:?}");
        let told = play.told(&event).await?;
        ensure!(
            told.is_none(),
            "it is there, and the sender was told {told:?}"
        );
        anyhow::Ok(())
    })
}

#[test]
fn where_history_has_it_not_the_sender_is_told() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let play = Play::new(lab, Dialect::modern()).await?;
        let event = play.is_killed_at("caught", Fate::IsLost).await?;
        let words = play.is_told(&event).await?;
        ensure!(words.contains("may be missing"), "{words}");
        let scene = &play.scene;
        scene.hears_on_irc("last").await?;
        // Told once more where the bridge is started once more: it does not remember what it has told.
        scene.service.crash();
        scene.service.start().await?;
        scene.alice.react(&scene.room, &event, "🔁").await?;
        scene.lab.pass(Duration::from_secs(30)).await;
        ensure!(scene.order_on_irc() == ["first", "last"]);
        scene.alice.react(&scene.room, &event, "🔁\u{fe0f}").await?;
        scene.hears_on_irc("caught").await?;
        let order = scene.order_on_irc();
        ensure!(order == ["first", "last", "caught"], "{order:?}");
        anyhow::Ok(())
    })
    .context("a lost line on a server with history")
}
