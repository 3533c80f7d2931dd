//! Nicks that change hands while a connection lags: what the observer hears of somebody of Matrix is newer then than what
//! their own connection has told. Homeserver, bridge and IRC server in one process.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use anyhow::{Context as _, ensure};
use bridgehead_irc::link::dial::Stream;
use bridgehead_irc_server::{Dialect, Person};
use bridgehead_testkit::lab::Lab;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::within::{CHANNEL, Scene};

/// Alice's nick.
const NICK: &str = "alice[m]";
/// What a server calls her who gives her nick to somebody else.
const UID: &str = "1AAAAAAAB";

/// Whether Alice's connection lags.
#[derive(Default)]
struct Lag {
    is_on: bool,
    waits: Option<Waker>,
}

/// A connection that reads nothing while it lags.
struct Lagging {
    inner: Box<dyn Stream>,
    lag: Arc<Mutex<Lag>>,
    /// It is Alice's.
    is_hers: bool,
}

impl AsyncRead for Lagging {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_hers {
            let mut lag = self.lag.lock();
            if lag.is_on {
                lag.waits = Some(context.waker().clone());
                return Poll::Pending;
            }
        }
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl AsyncWrite for Lagging {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let text = String::from_utf8_lossy(bytes);
        self.is_hers |= text.contains(&format!("NICK {NICK}"));
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// Everybody is there, and Alice's connection may lag.
struct Play {
    scene: Scene,
    lag: Arc<Mutex<Lag>>,
}

impl Play {
    async fn new(lab: Lab) -> anyhow::Result<Self> {
        let lag = Arc::new(Mutex::new(Lag::default()));
        let own = lag.clone();
        let between = move |inner| {
            Box::new(Lagging {
                inner,
                lag: own.clone(),
                is_hers: false,
            }) as Box<dyn Stream>
        };
        let scene = Scene::behind(lab, Dialect::inspircd(), Arc::new(between)).await?;
        Ok(Self { scene, lag })
    }

    fn lags(&self, is_on: bool) {
        let mut lag = self.lag.lock();
        lag.is_on = is_on;
        if let Some(waits) = lag.waits.take_if(|_| !is_on) {
            waits.wake();
        }
    }

    /// Somebody else takes her nick, comes into the channel and is heard, before her own connection knows of it and after.
    async fn is_taken(&self) -> anyhow::Result<()> {
        let irc = &self.scene.irc;
        let eve = irc.person(NICK).await?;
        irc.change_host(NICK, "eve", "eve.example").await;
        eve.join(CHANNEL).await?;
        self.shows(&eve, "I am Eve").await?;
        self.lags(false);
        self.scene.alice.say(&self.scene.room, "I am Alice").await?;
        self.scene.hears_on_irc("I am Alice").await?;
        self.shows(&eve, "I am still Eve").await
    }

    async fn shows(&self, eve: &Person, text: &str) -> anyhow::Result<()> {
        eve.say(CHANNEL, text).await?;
        self.scene.hears_in_matrix(text).await?;
        let timeline = self.scene.alice.timeline(&self.scene.room).await?;
        let mut said = timeline
            .iter()
            .filter(|event| event.content["body"] == text);
        let said = said.next().context("it was heard")?;
        ensure!(said.sender != *self.scene.alice.id(), "Alice says {text}");
        Ok(())
    }

    /// All that was said is there once.
    async fn is_said_once(&self) -> anyhow::Result<()> {
        let texts = self.scene.alice.texts(&self.scene.room).await?;
        let all = ["first", "I am Eve", "I am Alice", "I am still Eve"];
        ensure!(texts == all, "{texts:?}");
        let heard = self.scene.order_on_irc();
        ensure!(heard == all, "{heard:?}");
        Ok(())
    }
}

#[test]
fn who_gets_a_nick_that_a_server_has_taken_from_somebody_is_heard() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let play = Play::new(lab).await?;
        play.lags(true);
        let faults = play.scene.irc.faults();
        ensure!(faults.force_nick(NICK, UID).await, "she is there");
        play.is_taken().await?;
        play.is_said_once().await
    })
}

#[test]
fn who_takes_the_nick_of_somebody_who_was_killed_is_heard() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let play = Play::new(lab).await?;
        play.lags(true);
        let faults = play.scene.irc.faults();
        ensure!(faults.kill(NICK, "Nick collision").await, "she is there");
        play.is_taken().await?;
        play.is_said_once().await
    })
}
