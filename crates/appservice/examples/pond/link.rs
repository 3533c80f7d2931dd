//! The connection to the Pond: lines of text. Nothing of Matrix is here.

use std::{collections::HashMap, io};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    sync::{mpsc, oneshot},
};

/// The way to the Pond. Tests have another one than TCP.
pub(crate) trait Dial: Send + Sync + 'static {
    type Stream: AsyncRead + AsyncWrite + Send + 'static;

    fn dial(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// An address and a port.
impl Dial for String {
    type Stream = TcpStream;

    async fn dial(&self) -> io::Result<TcpStream> {
        TcpStream::connect(self).await
    }
}

/// A line of the Pond's.
pub(crate) enum Line {
    /// Somebody has said something.
    Said {
        number: u64,
        id: String,
        channel: String,
        nick: String,
        text: String,
    },
    /// What has this id is said, or is not, and why.
    Answer(String, Result<(), String>),
}

impl Line {
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.splitn(6, ' ').collect();
        Some(match words[..] {
            ["SAID", number, id, channel, nick, text] => Self::Said {
                number: number.parse().ok()?,
                id: id.to_owned(),
                channel: channel.to_owned(),
                nick: nick.to_owned(),
                text: text.to_owned(),
            },
            ["OK", id] => Self::Answer(id.to_owned(), Ok(())),
            ["NO", id, ..] => {
                let reason = line.splitn(3, ' ').nth(2).unwrap_or("no");
                Self::Answer(id.to_owned(), Err(reason.to_owned()))
            }
            _ => return None,
        })
    }
}

/// A connection that stands. When it is dropped, whoever waits for an answer learns that there will be none.
pub(crate) struct Link {
    out: mpsc::Sender<String>,
    waiting: Mutex<HashMap<String, oneshot::Sender<Result<(), String>>>>,
}

impl Link {
    pub(crate) fn new(mut write: impl AsyncWrite + Send + Unpin + 'static) -> Self {
        let (out, mut lines) = mpsc::channel::<String>(64);
        tokio::spawn(async move {
            while let Some(line) = lines.recv().await {
                write.write_all(format!("{line}\n").as_bytes()).await?;
            }
            io::Result::Ok(())
        });
        let waiting = Mutex::default();
        Self { out, waiting }
    }

    /// Sends a line; `None` if too many wait already.
    pub(crate) fn send(&self, line: String) -> Option<()> {
        self.out.try_send(line).ok()
    }

    /// Says something under an id, and gives back what the answer will come by.
    pub(crate) fn say(
        &self,
        id: &str,
        rest: &str,
    ) -> Option<oneshot::Receiver<Result<(), String>>> {
        let (tell, told) = oneshot::channel();
        self.waiting.lock().insert(id.to_owned(), tell);
        self.send(format!("SAY {id} {rest}"))?;
        Some(told)
    }

    pub(crate) fn answered(&self, id: &str, answer: Result<(), String>) {
        if let Some(waits) = self.waiting.lock().remove(id) {
            // Who has stopped waiting needs no answer.
            waits.send(answer).ok();
        }
    }
}
