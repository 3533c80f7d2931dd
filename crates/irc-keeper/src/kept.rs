//! One connection of IRC: what came of it and was not acknowledged, and what is to be written.
//!
//! Two tasks own its ends: one reads while there is room, the other writes. Neither depends on whether a bridge is there.

use std::{
    collections::VecDeque,
    io,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf},
    sync::{Notify, mpsc, watch},
    time::timeout,
};

use crate::{
    dial::{Dialled, Stream},
    ident::{Pair, Vouched},
    lines::{Lines, pong},
    wire::Held,
};

/// Bytes of lines that are kept; while there are more the server is read no further.
const MAX_KEPT_BYTES: usize = 4 << 20;
/// What each line takes beside its bytes.
const LINE_BYTES: usize = 64;
/// Frames that wait to be written.
const MAX_FRAMES: usize = 256;
/// Bytes that are read at once.
const READ_BYTES: usize = 4096;
/// How long the server may take with what is written.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the server may take to close after a `QUIT`, or to say why it takes nothing any more.
const LAST_BREATH: Duration = Duration::from_secs(5);
/// How long the lines of a connection that is over are kept for a bridge to take up.
const KEPT_AFTER: Duration = Duration::from_secs(24 * 3600);

/// A connection that is kept.
pub(crate) struct Kept {
    /// Names it and no other.
    pub(crate) epoch: i64,
    pair: Pair,
    frames: mpsc::Sender<Vec<u8>>,
    state: Mutex<State>,
    /// Something has come, or it is over, or another bridge is there.
    news: Notify,
    /// There is room again.
    room: Notify,
    /// Nobody wants it any more.
    end: Notify,
    /// Since when nothing can be written, and why.
    broken: watch::Sender<Option<(Instant, String)>>,
}

struct State {
    lines: VecDeque<(u64, Vec<u8>)>,
    bytes: usize,
    /// The number of the last line that has come.
    last: u64,
    acknowledged: u64,
    note: Vec<u8>,
    received: u64,
    /// Why it is over, and since when.
    closed: Option<(String, SystemTime)>,
    /// Which of the bridges that were there is the last.
    turn: u64,
    /// Since when no bridge is there.
    alone_since: Option<Instant>,
    quit_at: Option<Instant>,
}

/// What a bridge that is there is to be told next.
pub(crate) enum News {
    /// A line.
    Line(u64, Vec<u8>),
    /// It is over.
    Closed(String),
    /// Another bridge has taken its place.
    Superseded,
}

impl Kept {
    /// Keeps a connection from now on; its bridge is there. Gives back what has to run for it.
    pub(crate) fn new(
        dialled: Dialled,
        (pair, vouched): (Pair, Option<Vouched>),
    ) -> (
        std::sync::Arc<Self>,
        impl Future<Output = ()> + Send + use<>,
    ) {
        let (frames, waiting) = mpsc::channel(MAX_FRAMES);
        let kept = std::sync::Arc::new(Self {
            epoch: rand::random(),
            pair,
            frames,
            state: Mutex::new(State {
                lines: VecDeque::new(),
                bytes: 0,
                last: 0,
                acknowledged: 0,
                note: Vec::new(),
                received: 0,
                closed: None,
                turn: 0,
                alone_since: None,
                quit_at: None,
            }),
            news: Notify::new(),
            room: Notify::new(),
            end: Notify::new(),
            broken: watch::Sender::new(None),
        });
        let (reader, writer) = tokio::io::split(dialled.stream);
        let own = kept.clone();
        let running = async move {
            let writing = async {
                if let Err(error) = write(writer, waiting).await {
                    own.broken
                        .send_replace(Some((Instant::now(), error.to_string())));
                }
                // What is read last may say why, and is kept: whoever reads says when it is over.
                std::future::pending::<()>().await;
            };
            let reading = async {
                let ended = own.read(reader).await.err();
                own.is_over(ended.map_or_else(String::new, |error| error.to_string()));
            };
            tokio::select! {
                () = reading => {}
                () = writing => {}
                () = own.end.notified() => {}
            }
            own.is_over(String::new());
            drop(vouched);
        };
        (kept, running)
    }

    async fn read(&self, mut reader: ReadHalf<Box<dyn Stream>>) -> io::Result<()> {
        let mut buffer = vec![0; READ_BYTES];
        let mut lines = Lines::default();
        let mut breath = LAST_BREATH;
        loop {
            while self.state.lock().bytes >= MAX_KEPT_BYTES {
                self.room.notified().await;
            }
            let begun = Instant::now();
            let count = tokio::select! {
                read = reader.read(&mut buffer) => read?,
                error = self.breathes_its_last(breath) => return Err(error),
            };
            if let Some((at, _)) = &*self.broken.borrow() {
                // Only what the server is waited for counts, and not what a bridge is.
                breath = breath.saturating_sub((*at).max(begun).elapsed());
            }
            if count == 0 {
                return Ok(());
            }
            for line in lines.take(&buffer[..count]) {
                if let Some(answer) = self.take(line) {
                    // Where so much waits to be written, the server hears of the client without it.
                    self.frames.try_send(answer).ok();
                }
            }
        }
    }

    /// Returns when nothing can be written, and for so long nothing was read either.
    async fn breathes_its_last(&self, breath: Duration) -> io::Error {
        let mut broken = self.broken.subscribe();
        let found = broken.wait_for(Option::is_some).await;
        let why = found.ok().and_then(|broken| broken.clone());
        tokio::time::sleep(breath).await;
        io::Error::other(why.map_or_else(String::new, |(_, why)| why))
    }

    /// Takes a line; gives back what is to be answered at once, where no bridge is there to do it.
    fn take(&self, line: Vec<u8>) -> Option<Vec<u8>> {
        let mut state = self.state.lock();
        if state.alone_since.is_some()
            && let Some(answer) = pong(&line)
        {
            return Some(answer);
        }
        state.last += 1;
        let number = state.last;
        state.bytes += line.len() + LINE_BYTES;
        state.lines.push_back((number, line));
        drop(state);
        self.news.notify_waiters();
        None
    }

    fn is_over(&self, why: String) {
        let mut state = self.state.lock();
        state.closed.get_or_insert((why, SystemTime::now()));
        drop(state);
        self.news.notify_waiters();
    }

    /// A bridge is there; another one that was is so no more. Gives back its turn, how everything stands, and what the
    /// one before has noted.
    pub(crate) fn attach(&self, is_new: bool) -> (u64, Held, Vec<u8>) {
        let mut state = self.state.lock();
        state.turn += 1;
        state.alone_since = None;
        let held = Held {
            is_new,
            epoch: self.epoch,
            received: state.received,
            acknowledged: state.acknowledged,
            port: self.pair.port,
            from: self.pair.from,
            to: self.pair.to,
            closed_ms: state.closed.as_ref().map(|(_, at)| since_1970_ms(*at)),
        };
        let (turn, note) = (state.turn, state.note.clone());
        drop(state);
        self.news.notify_waiters();
        (turn, held, note)
    }

    /// Whether no other bridge has come since.
    pub(crate) fn is_turn_of(&self, turn: u64) -> bool {
        self.state.lock().turn == turn
    }

    /// A bridge is gone.
    pub(crate) fn detach(&self, turn: u64, now: Instant) {
        let mut state = self.state.lock();
        if state.turn == turn {
            state.alone_since = Some(now);
        }
    }

    /// Waits for what comes after this line.
    pub(crate) async fn news(&self, turn: u64, after: u64) -> News {
        loop {
            let mut notified = std::pin::pin!(self.news.notified());
            // Before it is looked: what comes meanwhile is not missed.
            notified.as_mut().enable();
            if let Some(news) = self.look(turn, after) {
                return news;
            }
            notified.await;
        }
    }

    fn look(&self, turn: u64, after: u64) -> Option<News> {
        let state = self.state.lock();
        if state.turn != turn {
            return Some(News::Superseded);
        }
        let first = state.lines.front().map(|(number, _)| *number);
        let at = first.map(|first| usize::try_from((after + 1).saturating_sub(first)));
        let next = at.and_then(|at| state.lines.get(at.unwrap_or(usize::MAX)));
        match next {
            Some((number, line)) => Some(News::Line(*number, line.clone())),
            None => state.closed.clone().map(|(why, _)| News::Closed(why)),
        }
    }

    /// Takes a frame; once, however often it comes. Returns when there is room for it.
    pub(crate) async fn frame(&self, turn: u64, number: u64, bytes: Vec<u8>) -> io::Result<()> {
        // Waiting comes first: with the number the frame itself must be in the queue.
        let Ok(place) = self.frames.reserve().await else {
            // The server is gone, which the bridge is told.
            return Ok(());
        };
        let mut state = self.state.lock();
        if state.turn != turn || number <= state.received {
            return Ok(());
        }
        if number != state.received + 1 {
            return Err(io::Error::other("a frame is missing"));
        }
        state.received = number;
        place.send(bytes);
        Ok(())
    }

    /// What came up to this line is dealt with.
    pub(crate) fn acknowledge(&self, turn: u64, number: u64, note: Vec<u8>) {
        let mut state = self.state.lock();
        if state.turn != turn {
            return;
        }
        if !note.is_empty() {
            state.note = note;
        }
        state.acknowledged = number.clamp(state.acknowledged, state.last.max(state.acknowledged));
        while let Some((first, line)) = state.lines.front()
            && *first <= state.acknowledged
        {
            state.bytes = state.bytes.saturating_sub(line.len() + LINE_BYTES);
            state.lines.pop_front();
        }
        drop(state);
        self.room.notify_one();
    }

    /// Says goodbye to the server.
    pub(crate) fn quit(&self, reason: &str, now: Instant) {
        self.state.lock().quit_at.get_or_insert(now);
        let line = format!("QUIT :{reason}\r\n");
        // A queue that is full is of a server that does not read.
        self.frames.try_send(line.into_bytes()).ok();
    }

    /// Ends it, when the server has had the time to hear the last words.
    pub(crate) async fn end(self: std::sync::Arc<Self>) {
        tokio::time::sleep(LAST_BREATH).await;
        self.end_now();
    }

    /// Whether a bridge is there.
    pub(crate) fn has_bridge(&self) -> bool {
        self.state.lock().alone_since.is_none()
    }

    /// Whether nobody has been there for so long.
    pub(crate) fn is_alone_for(&self, patience: Duration, now: Instant) -> bool {
        let since = self.state.lock().alone_since;
        since.is_some_and(|since| now.saturating_duration_since(since) >= patience)
    }

    /// Whether the server has had its time, or is gone.
    pub(crate) fn is_finished(&self, now: Instant) -> bool {
        let state = self.state.lock();
        let is_quit = |at: Instant| now.saturating_duration_since(at) >= LAST_BREATH;
        state
            .quit_at
            .is_some_and(|at| state.closed.is_some() || is_quit(at))
    }

    /// Whether it is over, and all of it was acknowledged.
    pub(crate) fn is_spent(&self) -> bool {
        let state = self.state.lock();
        state.closed.is_some() && state.lines.is_empty()
    }

    /// Whether it has been over for so long that nobody is waited for any more.
    pub(crate) fn is_stale(&self, now: SystemTime) -> bool {
        let state = self.state.lock();
        let closed = state.closed.as_ref();
        closed.is_some_and(|(_, at)| now.duration_since(*at).unwrap_or_default() >= KEPT_AFTER)
    }

    /// Ends it now. What came by it is still kept.
    pub(crate) fn end_now(&self) {
        self.end.notify_one();
    }
}

fn since_1970_ms(at: SystemTime) -> i64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

async fn write(
    mut writer: WriteHalf<Box<dyn Stream>>,
    mut frames: mpsc::Receiver<Vec<u8>>,
) -> io::Result<()> {
    while let Some(frame) = frames.recv().await {
        let written = async {
            writer.write_all(&frame).await?;
            writer.flush().await
        };
        timeout(WRITE_TIMEOUT, written)
            .await
            .map_err(|_| io::Error::other("the server takes nothing any more"))??;
    }
    Ok(())
}
