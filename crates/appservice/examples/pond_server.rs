//! The Pond: a chat network small enough to be read in five minutes. It exists for a bridge to be written to it.
//!
//! It speaks lines of text over TCP, so `nc localhost 7000` is a client:
//!
//! | you say | it means |
//! |---|---|
//! | `SINCE number` | tell me all that was said after this number, and go on telling me |
//! | `SAY id channel nick text…` | I say this; `id` is of my own choice, and saying it again changes nothing |
//!
//! | it says | it means |
//! |---|---|
//! | `OK id` | it is said |
//! | `SAID number id channel nick text…` | somebody has said this |
//! | `NO id reason…` | it is not said |
//!
//! Numbers grow, over restarts too, for they begin with the time. What was said lives in memory: the last 10,000 lines.

use std::{
    collections::VecDeque,
    io,
    sync::Arc,
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite},
    io::{AsyncWriteExt as _, BufReader},
    sync::{mpsc, watch},
};

/// Lines that are remembered.
const MEMORY: usize = 10_000;
/// Bytes of a line.
const MAX_LINE: u64 = 2_000;
/// Bytes of a text.
const MAX_TEXT: usize = 400;

struct Said {
    number: u64,
    id: String,
    /// Channel, nick and text, with spaces between.
    rest: String,
}

/// The network.
pub(crate) struct Pond {
    said: Mutex<VecDeque<Said>>,
    newest: watch::Sender<u64>,
}

impl Pond {
    /// Nothing was said yet. Numbers are larger than `now_ms`.
    pub(crate) fn new(now_ms: u64) -> Self {
        Self {
            said: Mutex::default(),
            newest: watch::Sender::new(now_ms),
        }
    }

    /// All that was said in a channel: nick and text.
    #[cfg(test)]
    pub(crate) fn heard(&self, channel: &str) -> Vec<String> {
        let said = self.said.lock();
        let of_channel = said
            .iter()
            .filter_map(|said| said.rest.strip_prefix(channel)?.strip_prefix(' '));
        of_channel.map(str::to_owned).collect()
    }

    /// Says `id channel nick text…`; gives back the answer.
    pub(crate) fn say(&self, line: &str) -> String {
        let mut words = line.splitn(4, ' ');
        let (Some(id), Some(channel), Some(nick), Some(text)) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return "NO ? say: SAY id channel nick text".to_owned();
        };
        if text.len() > MAX_TEXT {
            return format!("NO {id} a line has at most {MAX_TEXT} bytes");
        }
        let mut said = self.said.lock();
        if !said.iter().any(|known| known.id == id) {
            let number = *self.newest.borrow() + 1;
            said.push_back(Said {
                number,
                id: id.to_owned(),
                rest: format!("{channel} {nick} {text}"),
            });
            if said.len() > MEMORY {
                said.pop_front();
            }
            self.newest.send_replace(number);
        }
        format!("OK {id}")
    }

    fn since(&self, number: u64) -> Vec<(u64, String)> {
        let said = self.said.lock();
        let news = said.iter().filter(|said| said.number > number);
        let line = |said: &Said| format!("SAID {} {} {}", said.number, said.id, said.rest);
        news.map(|said| (said.number, line(said))).collect()
    }

    /// Serves one connection, until it ends.
    pub(crate) async fn serve(&self, stream: impl AsyncRead + AsyncWrite) -> io::Result<()> {
        let (read, write) = tokio::io::split(stream);
        let (answers, answered) = mpsc::channel(64);
        let since = watch::Sender::new(None);
        tokio::select! {
            ended = self.listen(BufReader::new(read), &answers, &since) => ended,
            ended = self.tell(write, answered, since.subscribe()) => ended,
        }
    }

    async fn listen(
        &self,
        mut lines: impl AsyncBufRead + Unpin,
        answers: &mpsc::Sender<String>,
        since: &watch::Sender<Option<u64>>,
    ) -> io::Result<()> {
        let mut line = String::new();
        while (&mut lines).take(MAX_LINE).read_line(&mut line).await? > 0 {
            match line.trim_end().split_once(' ') {
                Some(("SAY", said)) => {
                    answers.send(self.say(said)).await.ok();
                }
                Some(("SINCE", number)) => {
                    since.send_replace(number.parse().ok());
                }
                _ => {
                    answers.send("NO ? say SINCE or SAY".to_owned()).await.ok();
                }
            }
            line.clear();
        }
        Ok(())
    }

    async fn tell(
        &self,
        mut write: impl AsyncWrite + Unpin,
        mut answered: mpsc::Receiver<String>,
        mut since: watch::Receiver<Option<u64>>,
    ) -> io::Result<()> {
        let (mut newest, mut told) = (self.newest.subscribe(), None);
        loop {
            tokio::select! {
                Some(answer) = answered.recv() => {
                    write.write_all(format!("{answer}\n").as_bytes()).await?;
                }
                Ok(()) = since.changed() => told = *since.borrow_and_update(),
                Ok(()) = newest.changed() => { newest.borrow_and_update(); }
            }
            for (number, line) in told.map(|told| self.since(told)).unwrap_or_default() {
                write.write_all(format!("{line}\n").as_bytes()).await?;
                told = Some(number);
            }
        }
    }
}

/// `pond_server [ADDRESS]`
#[tokio::main]
async fn main() -> io::Result<()> {
    let address = std::env::args().nth(1);
    let address = address.unwrap_or_else(|| "127.0.0.1:7000".to_owned());
    let listener = tokio::net::TcpListener::bind(&address).await?;
    println!("the Pond is at {}", listener.local_addr()?);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now_ms = now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(0));
    let pond = Arc::new(Pond::new(now_ms));
    loop {
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of files, mostly: somebody has to leave first.
                eprintln!("{error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let pond = pond.clone();
        tokio::spawn(async move {
            if let Err(error) = pond.serve(stream).await {
                eprintln!("{from}: {error}");
            }
        });
    }
}
