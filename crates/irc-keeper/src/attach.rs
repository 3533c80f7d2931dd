//! The bridge's side: a connection that a keeper holds, or makes.

use std::{io, path::Path, time::Duration};

use tokio::{
    io::AsyncWriteExt as _,
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::timeout,
};

use crate::{
    ident::Pair,
    wire::{Bound, Held, Hello, KEEP_LINES, Kind, Message, Open, VERSION, Wants},
};

/// How long a keeper may take for what it need not wait for.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it may take to make a connection: longer than it tries itself.
const MAKING: Duration = Duration::from_secs(200);

/// A connection that stands.
pub struct Attached {
    /// What the keeper holds.
    pub held: Held,
    /// What came with the last acknowledgement that had something with it.
    pub note: Vec<u8>,
    /// What the keeper says.
    pub lines: KeptLines,
    /// What it is told.
    pub frames: KeptFrames,
}

/// What the keeper says.
pub struct KeptLines(OwnedReadHalf);

/// What the keeper is told.
pub struct KeptFrames {
    writer: OwnedWriteHalf,
    written: u64,
}

/// What has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Came {
    /// A line, with its number.
    Line(u64, Vec<u8>),
    /// The server's connection is over; why, where that is known.
    Closed(String),
}

async fn connect(path: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(path).await.map_err(|error| {
        let path = path.display();
        io::Error::new(
            error.kind(),
            format!("there is no keeper at {path} ({error}): start `bridgehead-irc keeper --listen {path}`"),
        )
    })
}

async fn ask(stream: &mut UnixStream, wants: Wants) -> io::Result<()> {
    let hello = Hello {
        version: VERSION,
        wants,
    };
    Message::json(Kind::Hello, &hello)?.write(stream).await?;
    stream.flush().await
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the keeper has gone")
}

fn strange(message: &Message) -> io::Error {
    match message.kind {
        Kind::Failed => io::Error::other(String::from_utf8_lossy(&message.bytes).into_owned()),
        _ => io::Error::other("the keeper does not say what was asked"),
    }
}

/// The ids that begin so, of all that a keeper holds.
///
/// # Errors
/// When there is no keeper, or it says something else.
pub async fn list(path: &Path, begin: &str) -> io::Result<Vec<String>> {
    let asking = async {
        let mut stream = connect(path).await?;
        ask(&mut stream, Wants::List(begin.to_owned())).await?;
        let answer = Message::read(&mut stream).await?.ok_or_else(gone)?;
        match answer.kind {
            Kind::List => answer.read_json(),
            _ => Err(strange(&answer)),
        }
    };
    timeout(PATIENCE, asking).await?
}

/// Takes up a connection, or has it made. Before it is made, `bound` is told where it begins and ends.
///
/// # Errors
/// When there is no keeper, or no connection.
pub async fn open(path: &Path, open: Open, mut bound: impl FnMut(Pair)) -> io::Result<Attached> {
    let (from, to) = (open.from, Some(open.server.port));
    let opening = async {
        let mut stream = connect(path).await?;
        ask(&mut stream, Wants::Open(Box::new(open))).await?;
        loop {
            let message = Message::read(&mut stream).await?.ok_or_else(gone)?;
            match message.kind {
                Kind::Bound => {
                    let port = message.read_json::<Bound>()?.port;
                    bound(Pair { from, port, to });
                    Message::new(Kind::Go, b"").write(&mut stream).await?;
                    stream.flush().await?;
                }
                Kind::Held => {
                    let held: Held = message.read_json()?;
                    if !held.is_new {
                        bound(held.pair());
                    }
                    let note = Message::read(&mut stream).await?.ok_or_else(gone)?;
                    if note.kind != Kind::Note {
                        return Err(strange(&note));
                    }
                    let (reader, writer) = stream.into_split();
                    return Ok(Attached {
                        note: note.bytes,
                        lines: KeptLines(reader),
                        frames: KeptFrames {
                            writer,
                            written: held.received,
                        },
                        held,
                    });
                }
                _ => return Err(strange(&message)),
            }
        }
    };
    timeout(MAKING, opening).await?
}

impl KeptLines {
    /// Waits for what comes next.
    ///
    /// # Errors
    /// When the keeper is gone.
    pub async fn next(&mut self) -> io::Result<Came> {
        let message = Message::read(&mut self.0).await?.ok_or_else(gone)?;
        match message.kind {
            Kind::Line => Ok(Came::Line(message.number, message.bytes)),
            Kind::Closed => {
                let why = String::from_utf8_lossy(&message.bytes).into_owned();
                Ok(Came::Closed(why))
            }
            _ => Err(strange(&message)),
        }
    }
}

impl KeptFrames {
    /// The number of the frame that is written next.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        self.written + 1
    }

    /// Gives bytes to the keeper, which writes them once.
    ///
    /// # Errors
    /// When the keeper is gone.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.written += 1;
        let frame = Message::numbered(Kind::Frame, self.written, bytes);
        frame.write(&mut self.writer).await?;
        self.writer.flush().await
    }

    /// All lines up to this number are dealt with; what is noted is given back to whoever comes next.
    ///
    /// # Errors
    /// When the keeper is gone.
    pub async fn acknowledge(&mut self, number: u64, note: &[u8]) -> io::Result<()> {
        let ack = Message::numbered(Kind::Ack, number, note);
        ack.write(&mut self.writer).await?;
        self.writer.flush().await
    }

    /// Ends the connection, with all that is kept of it.
    ///
    /// # Errors
    /// When the keeper is gone.
    pub async fn drop_it(&mut self) -> io::Result<()> {
        self.end(0).await
    }

    /// Ends the connection. What has come by it is kept until it is acknowledged.
    ///
    /// # Errors
    /// When the keeper is gone.
    pub async fn leave(&mut self) -> io::Result<()> {
        self.end(KEEP_LINES).await
    }

    async fn end(&mut self, number: u64) -> io::Result<()> {
        let end = Message::numbered(Kind::Drop, number, b"");
        end.write(&mut self.writer).await?;
        self.writer.flush().await
    }
}
