//! The connection to the Pond: dials, hears, says, and dials again.

// ANCHOR: head
use std::{collections::HashMap, io, sync::Arc, time::Duration};

use bridgehead_appservice::HandlerError;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader},
    sync::{mpsc, oneshot},
};

// ANCHOR_END: head
// ANCHOR: link
/// Both directions of a connection.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Makes a connection. Tests give another one than TCP.
pub(crate) type Dial =
    Arc<dyn Fn() -> BoxFuture<'static, io::Result<Box<dyn Stream>>> + Send + Sync>;

/// The connection, as handlers see it.
pub(crate) struct Link {
    dial: Dial,
    /// Where lines for the Pond go, while there is a connection.
    out: Mutex<Option<mpsc::Sender<String>>>,
    /// Who waits for the Pond's word on what has this id.
    waiting: Mutex<HashMap<String, oneshot::Sender<Result<(), String>>>>,
}

/// A line of the Pond's that somebody has said.
pub(crate) struct Said {
    pub(crate) number: u64,
    pub(crate) id: String,
    pub(crate) channel: String,
    pub(crate) nick: String,
    pub(crate) text: String,
}
// ANCHOR_END: link

// ANCHOR: parse
impl Said {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.splitn(5, ' ').map(str::to_owned);
        Some(Self {
            number: words.next()?.parse().ok()?,
            id: words.next()?,
            channel: words.next()?,
            nick: words.next()?,
            text: words.next()?,
        })
    }
}

impl Link {
    pub(crate) fn new(dial: Dial) -> Self {
        Self {
            dial,
            out: Mutex::default(),
            waiting: Mutex::default(),
        }
    }
}
// ANCHOR_END: parse

// ANCHOR: say
impl Link {
    /// Says something, and returns when the Pond has it, with the Pond's no as the inner error. Saying the same `id`
    /// again changes nothing.
    ///
    /// # Errors
    /// When there is no connection, or it ends meanwhile: whether it was said is not known.
    pub(crate) async fn say(
        &self,
        id: &str,
        channel: &str,
        nick: &str,
        text: &str,
    ) -> Result<Result<(), String>, HandlerError> {
        let lost = || HandlerError::new("there is no connection to the Pond");
        let out = self.out.lock().clone().ok_or_else(lost)?;
        let (tell, told) = oneshot::channel();
        self.waiting.lock().insert(id.to_owned(), tell);
        let line = format!("SAY {id} {channel} {nick} {}", text.replace('\n', " / "));
        out.send(line).await.map_err(|_| lost())?;
        told.await.map_err(|_| lost())
    }
}
// ANCHOR_END: say

// ANCHOR: session
impl Link {
    /// Dials, and brings what is said after `since` to `hear`, one after another, until the connection ends.
    pub(crate) async fn session<Heard>(
        &self,
        since: u64,
        hear: impl Fn(Said) -> Heard,
    ) -> Result<(), HandlerError>
    where
        Heard: Future<Output = Result<(), HandlerError>>,
    {
        let timeout = tokio::time::timeout(Duration::from_secs(30), (self.dial)());
        let (read, write) = tokio::io::split(timeout.await??);
        let (out, lines) = mpsc::channel(64);
        out.send(format!("SINCE {since}")).await?;
        *self.out.lock() = Some(out);
        let ended = tokio::select! {
            ended = self.listen(read, hear) => ended,
            ended = write_all(write, lines) => ended,
        };
        // Whoever waits learns that nothing is known, and asks again over the next connection.
        self.out.lock().take();
        self.waiting.lock().clear();
        ended
    }
}
// ANCHOR_END: session

// ANCHOR: rest
impl Link {
    async fn listen<Heard>(
        &self,
        read: impl AsyncRead + Unpin,
        hear: impl Fn(Said) -> Heard,
    ) -> Result<(), HandlerError>
    where
        Heard: Future<Output = Result<(), HandlerError>>,
    {
        let mut lines = BufReader::new(read).lines();
        while let Some(line) = lines.next_line().await? {
            let (command, rest) = line.split_once(' ').unwrap_or((&line, ""));
            match (command, rest.split_once(' ')) {
                ("SAID", _) => {
                    if let Some(said) = Said::parse(rest) {
                        hear(said).await?;
                    }
                }
                ("OK", _) => self.answer(rest, Ok(())),
                ("NO", Some((id, reason))) => self.answer(id, Err(reason.to_owned())),
                _ => {}
            }
        }
        Ok(())
    }

    fn answer(&self, id: &str, answer: Result<(), String>) {
        if let Some(waits) = self.waiting.lock().remove(id) {
            // Who has stopped waiting needs no answer.
            waits.send(answer).ok();
        }
    }
}

async fn write_all(
    mut write: impl AsyncWrite + Unpin,
    mut lines: mpsc::Receiver<String>,
) -> Result<(), HandlerError> {
    while let Some(line) = lines.recv().await {
        write.write_all(format!("{line}\n").as_bytes()).await?;
    }
    Ok(())
}
// ANCHOR_END: rest
