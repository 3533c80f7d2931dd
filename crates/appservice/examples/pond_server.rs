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
//! The nick `*` is the Pond's own, and nobody else's.

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
        let (said, begin) = (self.said.lock(), format!("{channel} "));
        let lines = said.iter().map(|said| &said.rest);
        let heard = lines.filter_map(|line| line.strip_prefix(&begin));
        heard.map(str::to_owned).collect()
    }

    /// The Pond itself says something.
    pub(crate) fn announce(&self, channel: &str, text: &str) {
        let id = *self.newest.borrow();
        self.say(&format!("pond:{id} {channel} * {text}"));
    }

    /// Somebody says `id channel nick text…`; gives back the answer.
    pub(crate) fn hear(&self, line: &str) -> String {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        let no = |reason: &str| format!("NO {} {reason}", words[0]);
        match words[..] {
            [_, _, "*", _] => no("nobody else is *"),
            [.., text] if text.len() > MAX_TEXT => {
                no(&format!("a line has at most {MAX_TEXT} bytes"))
            }
            [_, _, _, _] => self.say(line),
            _ => no("say: SAY id channel nick text"),
        }
    }

    fn say(&self, line: &str) -> String {
        let (id, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (answer, mut said) = (format!("OK {id}"), self.said.lock());
        if !said.iter().any(|known| known.id == id) {
            let (id, rest) = (id.to_owned(), rest.to_owned());
            let number = *self.newest.borrow() + 1;
            said.push_back(Said { number, id, rest });
            if said.len() > MEMORY {
                said.pop_front();
            }
            self.newest.send_replace(number);
        }
        answer
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
        let (mut line, mut is_rest) = (Vec::new(), false);
        while (&mut lines)
            .take(MAX_LINE)
            .read_until(b'\n', &mut line)
            .await?
            > 0
        {
            let text = String::from_utf8_lossy(&line);
            match text.trim_end().split_once(' ') {
                // Of a line that is too long, the beginning was answered.
                _ if is_rest => {}
                Some(("SAY", said)) => {
                    answers.send(self.hear(said)).await.ok();
                }
                Some(("SINCE", number)) => {
                    since.send_replace(number.parse().ok());
                }
                _ => {
                    answers.send("NO ? say SINCE or SAY".to_owned()).await.ok();
                }
            }
            is_rest = line.pop() != Some(b'\n');
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
    pond.announce("lobby", "there is water again");
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of files, mostly: somebody has to leave first.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let pond = pond.clone();
        tokio::spawn(async move { pond.serve(stream).await.ok() });
    }
}
