//! What goes between keeper and bridge.
//!
//! Each message is a byte that says what it is, a number of eight bytes, a length of four, and so many bytes. The bridge
//! begins with `HELLO`, which says by which version it speaks; a keeper that does not know it says so and ends.

use std::{io, net::IpAddr};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::{dial::Server, ident::Pair, tls::Trust};

/// The version of all this.
pub const VERSION: u32 = 1;
/// The number of a `Drop` after which lines are still acknowledged.
pub const KEEP_LINES: u64 = 1;
/// Bytes of a message at most.
const MAX_BYTES: u32 = 8 << 20;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Bridge: a [`Hello`].
    Hello = 1,
    /// Bridge: what was told by `Bound` is known where it has to be.
    Go = 2,
    /// Bridge: bytes for the server, with their number.
    Frame = 3,
    /// Bridge: all lines up to this number are dealt with. The bytes are kept and given back with [`Held`], where there
    /// are any.
    Ack = 4,
    /// Bridge: the connection is to end. With the number 0 nobody wants what is kept of it; with [`KEEP_LINES`] that
    /// stays until it is acknowledged.
    Drop = 5,
    /// Keeper: a [`Bound`].
    Bound = 16,
    /// Keeper: a [`Held`].
    Held = 17,
    /// Keeper: what came with the last `Ack` that had something with it. Follows `Held`.
    Note = 18,
    /// Keeper: a line from the server, with its number.
    Line = 19,
    /// Keeper: the server's connection is over, and why. Nothing follows.
    Closed = 20,
    /// Keeper: there is no connection, and why. Nothing follows.
    Failed = 21,
    /// Keeper: the ids of what it holds, as a list.
    List = 22,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        const ALL: [Kind; 12] = [
            Kind::Hello,
            Kind::Go,
            Kind::Frame,
            Kind::Ack,
            Kind::Drop,
            Kind::Bound,
            Kind::Held,
            Kind::Note,
            Kind::Line,
            Kind::Closed,
            Kind::Failed,
            Kind::List,
        ];
        ALL.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What it is.
    pub kind: Kind,
    /// Its number, where it has one.
    pub number: u64,
    /// What is in it.
    pub bytes: Vec<u8>,
}

impl Message {
    /// One with bytes alone.
    #[must_use]
    pub fn new(kind: Kind, bytes: impl Into<Vec<u8>>) -> Self {
        Self::numbered(kind, 0, bytes)
    }

    /// One with a number.
    #[must_use]
    pub fn numbered(kind: Kind, number: u64, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self {
            kind,
            number,
            bytes,
        }
    }

    /// One that says this.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn json(kind: Kind, content: &impl Serialize) -> io::Result<Self> {
        Ok(Self::new(kind, serde_json::to_vec(content)?))
    }

    /// What it says.
    ///
    /// # Errors
    /// When it says something else.
    pub fn read_json<T: for<'a> Deserialize<'a>>(&self) -> io::Result<T> {
        Ok(serde_json::from_slice(&self.bytes)?)
    }

    /// Writes it. It is not flushed.
    ///
    /// # Errors
    /// When it cannot be written, or is too long.
    pub async fn write(&self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let length = u32::try_from(self.bytes.len()).ok();
        let length = length.filter(|length| *length <= MAX_BYTES);
        let length = length.ok_or_else(|| io::Error::other("a message is too long"))?;
        let mut head = vec![self.kind as u8];
        head.extend(self.number.to_be_bytes());
        head.extend(length.to_be_bytes());
        to.write_all(&head).await?;
        to.write_all(&self.bytes).await
    }

    /// Reads one; `None` where the other side is gone.
    ///
    /// # Errors
    /// When it makes no sense, or the connection breaks.
    pub async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Self>> {
        let kind = match from.read_u8().await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        };
        let kind = Kind::of(kind).ok_or_else(|| io::Error::other("an unknown message"))?;
        let number = from.read_u64().await?;
        let length = from.read_u32().await?;
        if length > MAX_BYTES {
            return Err(io::Error::other("a message is too long"));
        }
        let mut bytes = Vec::new();
        // Memory is taken as it comes, and not as it is promised.
        let read = from.take(u64::from(length)).read_to_end(&mut bytes).await?;
        if u32::try_from(read).ok() != Some(length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Some(Self {
            kind,
            number,
            bytes,
        }))
    }
}

/// How the bridge begins.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// By which version it speaks.
    pub version: u32,
    /// What it wants.
    pub wants: Wants,
}

/// What a bridge wants.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wants {
    /// A connection: the one that is held under this id, or a new one.
    Open(Box<Open>),
    /// The ids that begin so, of all that is held.
    List(String),
}

/// A connection that is wanted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Open {
    /// Names it for as long as it is held.
    pub id: String,
    /// Where to.
    pub server: Server,
    /// How it is encrypted, if it is.
    pub tls: Option<Trust>,
    /// From which address.
    pub from: Option<IpAddr>,
    /// The user name that is vouched for.
    #[serde(default)]
    pub user: Option<String>,
}

/// From where a connection is about to be made. It is made once the bridge says `Go`: the server may ask at once whose it
/// is.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Bound {
    /// The port of this machine.
    pub port: u16,
}

/// A connection that stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Whether it was made just now.
    pub is_new: bool,
    /// Names this connection and no other, ever.
    pub epoch: i64,
    /// The number of the last frame that the keeper has. All up to it are written, once.
    pub received: u64,
    /// The number of the last line that the bridge has acknowledged. Those behind it follow.
    pub acknowledged: u64,
    /// The port of this machine.
    pub port: u16,
    /// The address of this machine, where one was chosen.
    #[serde(default)]
    pub from: Option<IpAddr>,
    /// The server's port, where that is known.
    #[serde(default)]
    pub to: Option<u16>,
    /// When the connection ended, ms since the Unix epoch: nothing but the lines that are kept follows.
    #[serde(default)]
    pub closed_ms: Option<i64>,
}

impl Held {
    /// Where the connection begins and ends.
    #[must_use]
    pub fn pair(&self) -> Pair {
        Pair {
            from: self.from,
            port: self.port,
            to: self.to,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_are_read_as_they_were_written() {
        let (mut here, mut there) = tokio::io::duplex(7);
        let said = [
            Message::numbered(Kind::Frame, u64::MAX, b"PRIVMSG #a :x\r\n"),
            Message::new(Kind::Go, b""),
        ];
        let written = said.clone();
        tokio::spawn(async move {
            for message in written {
                message.write(&mut here).await.expect("room");
            }
        });
        for message in said {
            assert_eq!(Message::read(&mut there).await.expect("one"), Some(message));
        }
        assert_eq!(Message::read(&mut there).await.expect("the end"), None);
    }

    #[tokio::test]
    async fn half_a_message_is_none() {
        let mut whole = Vec::new();
        let message = Message::numbered(Kind::Frame, 7, b"PRIVMSG");
        message.write(&mut whole).await.expect("room");
        for end in 1..whole.len() {
            let read = Message::read(&mut &whole[..end]).await;
            assert!(read.is_err(), "{end}: {read:?}");
        }
        let length = whole.len();
        whole[9..13].copy_from_slice(&u32::MAX.to_be_bytes());
        assert!(Message::read(&mut &whole[..length]).await.is_err());
    }
}
