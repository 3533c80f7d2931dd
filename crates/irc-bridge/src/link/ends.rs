//! The two ends of a connection: a socket of this process, or one that the keeper holds.

use std::{io, time::Duration};

use bridgehead_irc_keeper::{
    attach::{Attached, Came, KeptFrames, KeptLines},
    wire::Open,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf},
    sync::{OwnedMutexGuard, mpsc},
    time::timeout,
};

use super::{
    dial::{Dial, Stream, Way},
    note::Note,
    orders::Order,
};
use crate::ident::Vouched;

/// Bytes that are read at once.
const READ_BYTES: usize = 4096;
/// How long the others may take with what came last by a connection that is over. Longer, and it comes again.
const FAREWELL: Duration = Duration::from_secs(60);

/// A connection that stands.
pub(super) struct Ends {
    pub(super) reading: Reading,
    pub(super) pen: Pen,
    /// The keeper has held it, and this is what it was like.
    pub(super) resumed: Option<Resumed>,
    /// It is vouched for as long as this lives.
    pub(super) vouched: Option<Vouched>,
}

/// A connection that goes on.
pub(super) struct Resumed {
    pub(super) note: Note,
    /// The number of the last frame that was written.
    pub(super) written: u64,
    /// The number of the last line that was dealt with.
    pub(super) heard: u64,
    /// When it has ended, ms since the Unix epoch.
    pub(super) closed_ms: Option<i64>,
}

/// Where lines come from.
pub(super) enum Reading {
    Socket(ReadHalf<Box<dyn Stream>>),
    Keeper(KeptLines),
}

/// Where lines go to.
pub(super) enum Pen {
    Socket(WriteHalf<Box<dyn Stream>>),
    Keeper {
        frames: KeptFrames,
        epoch: i64,
        /// Nobody else has the connection.
        turn: OwnedMutexGuard<()>,
    },
}

/// Something was read.
#[derive(Debug)]
pub(super) enum Read {
    Bytes(Vec<u8>),
    /// A line, which the keeper calls by this number.
    Line(u64, Vec<u8>),
    Closed(String),
}

impl Ends {
    /// Makes a connection, or takes up the one that the keeper holds.
    pub(super) async fn find(dial: &Dial) -> io::Result<Self> {
        let (Some(keeper), Way::Network) = (&dial.keeper, &dial.way) else {
            let dialled = dial.dial().await?;
            let (reader, writer) = tokio::io::split(dialled.stream);
            return Ok(Self {
                reading: Reading::Socket(reader),
                pen: Pen::Socket(writer),
                resumed: None,
                vouched: dialled.vouched,
            });
        };
        let mut turn = Some(keeper.turn.clone().lock_owned().await);
        // What was held and never came as far as to be noted is of no use; the next one is new.
        for _ in 0..2 {
            let open = Open {
                id: keeper.id.clone(),
                server: dial.server.clone(),
                tls: dial.tls.clone(),
                from: dial.from,
                user: Some(dial.user.clone()),
            };
            let mut vouched = None;
            let bound = |pair| vouched = Some(dial.ident.vouch(pair, &dial.user));
            let attached = bridgehead_irc_keeper::attach::open(&keeper.path, open, bound).await?;
            if let Some(ends) = Self::of(attached, vouched, &mut turn).await? {
                return Ok(ends);
            }
        }
        Err(io::Error::other(
            "the keeper holds a connection that cannot go on",
        ))
    }

    async fn of(
        attached: Attached,
        vouched: Option<Vouched>,
        turn: &mut Option<OwnedMutexGuard<()>>,
    ) -> io::Result<Option<Self>> {
        let Attached {
            held,
            note,
            lines,
            mut frames,
        } = attached;
        let resumed = match (held.is_new, Note::read(&note)) {
            (true, _) => None,
            (false, Some(note)) => Some(Resumed {
                note,
                written: held.received,
                heard: held.acknowledged,
                closed_ms: held.closed_ms,
            }),
            (false, None) => {
                frames.drop_it().await?;
                return Ok(None);
            }
        };
        let Some(turn) = turn.take() else {
            return Ok(None);
        };
        let epoch = held.epoch;
        let pen = Pen::Keeper {
            frames,
            epoch,
            turn,
        };
        Ok(Some(Self {
            reading: Reading::Keeper(lines),
            pen,
            resumed,
            vouched,
        }))
    }
}

impl Reading {
    /// Reads until there is no more, or nobody wants it.
    pub(super) async fn read(self, found: mpsc::Sender<io::Result<Read>>) {
        match self {
            Self::Socket(stream) => read_socket(stream, found).await,
            Self::Keeper(lines) => read_keeper(lines, found).await,
        }
    }
}

async fn read_socket(mut stream: ReadHalf<Box<dyn Stream>>, found: mpsc::Sender<io::Result<Read>>) {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let read = match stream.read(&mut buffer).await {
            Ok(0) => return,
            Ok(count) => Ok(Read::Bytes(buffer[..count].to_vec())),
            Err(error) => Err(error),
        };
        let is_over = read.is_err();
        if found.send(read).await.is_err() || is_over {
            return;
        }
    }
}

async fn read_keeper(mut lines: KeptLines, found: mpsc::Sender<io::Result<Read>>) {
    loop {
        let read = lines.next().await.map(|came| match came {
            Came::Line(number, line) => Read::Line(number, line),
            Came::Closed(why) => Read::Closed(why),
        });
        let is_over = !matches!(read, Ok(Read::Line(..)));
        if found.send(read).await.is_err() || is_over {
            return;
        }
    }
}

impl Pen {
    /// What the keeper will call the next bytes that are written.
    pub(super) fn next_frame(&self) -> Option<(i64, u64)> {
        match self {
            Self::Socket(_) => None,
            Self::Keeper { frames, epoch, .. } => Some((*epoch, frames.next_number())),
        }
    }

    pub(super) fn epoch(&self) -> Option<i64> {
        self.next_frame().map(|(epoch, _)| epoch)
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Socket(stream) => stream.write_all(bytes).await,
            Self::Keeper { frames, .. } => frames.write(bytes).await,
        }
    }

    pub(super) async fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Socket(stream) => stream.flush().await,
            Self::Keeper { .. } => Ok(()),
        }
    }

    pub(super) async fn acknowledge(&mut self, number: u64, note: &[u8]) -> io::Result<()> {
        match self {
            Self::Socket(_) => Ok(()),
            Self::Keeper { frames, .. } => frames.acknowledge(number, note).await,
        }
    }

    /// The connection is over. What came by it is kept until all up to its last line is dealt with, whatever becomes of
    /// this process: until then no other takes its place.
    pub(super) fn part(self, orders: mpsc::Receiver<Order>, last: u64) {
        if let Self::Keeper { frames, turn, .. } = self {
            // It outlives the link, which ends when it is known that the connection is over.
            tokio::spawn(async move {
                // A keeper that is gone holds nothing.
                timeout(FAREWELL, part(frames, orders, last)).await.ok();
                drop(turn);
            });
        }
    }
}

async fn part(
    mut frames: KeptFrames,
    mut orders: mpsc::Receiver<Order>,
    last: u64,
) -> io::Result<()> {
    frames.leave().await?;
    while let Some(order) = orders.recv().await {
        match order {
            Order::Done(number) if number >= last => return frames.drop_it().await,
            Order::Done(number) => frames.acknowledge(number, b"").await?,
            _ => {}
        }
    }
    Ok(())
}
