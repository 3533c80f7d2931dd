//! What goes between the network's loop and a link: orders one way, what has happened the other.

use std::sync::Arc;

use bridgehead_irc_protocol::{
    Isupport, Line, Source,
    session::{Ask, Event, Priority, Say},
};
use tokio::sync::{mpsc, oneshot};

use super::claims::Claim;

/// Names a connection for as long as the process runs.
pub type LinkId = u64;

/// What a link is told to do.
#[derive(Debug)]
pub enum Order {
    /// Says something; where it has a claim, that is stored before the server gets it.
    Say(Say, Option<Claim>),
    /// Gives a command whose outcome is wanted; a claim as with what is said.
    Ask(Ask, Option<Claim>),
    /// Tells, as the answer to this, when the server has looked at all that was written before.
    Sound(u64),
    /// Gives a command.
    Send(Line, Priority),
    /// Takes back what was not written yet.
    Cancel(u64),
    /// Takes back all of this, if nothing of it was written yet; tells whether that is so.
    Withdraw(Vec<u64>, oneshot::Sender<bool>),
    /// What is said in channels is told.
    Observe,
    /// What is said in channels is not told any more, unless the connection has come into more channels by now than this:
    /// of each that it comes into it tells until it is known that others do.
    Overlook(u64),
    /// Takes what came while nobody was there. A connection that the keeper has held reads nothing before it is told to, and
    /// nothing behind each channel that it comes into.
    GoOn,
    /// All that came while nobody was there was taken: nobody has to tell it to go on any more.
    Present,
    /// Leaves the network.
    Quit(String),
    /// All lines up to this number are dealt with.
    Done(u64),
}

impl Order {
    /// What the session calls it.
    pub(super) fn id(&self) -> Option<u64> {
        match self {
            Self::Say(say, _) => Some(say.id),
            Self::Ask(ask, _) => Some(ask.id),
            Self::Sound(id) => Some(*id),
            Self::Send(..)
            | Self::Cancel(_)
            | Self::Withdraw(..)
            | Self::Observe
            | Self::Overlook(_)
            | Self::GoOn
            | Self::Present
            | Self::Quit(_)
            | Self::Done(_) => None,
        }
    }
}

/// What a link tells.
#[derive(Debug)]
pub enum Told {
    /// Something has happened; with the number of the line that told it, where the keeper has it.
    Event(Box<Event>, Option<LineId>),
    /// All that came up to this line was told.
    UpTo(Done),
    /// There is no connection, or no more: nothing follows. What the session says of its end came before.
    Closed(Option<String>),
}

/// Names a line for ever, in whichever run of the bridge it is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineId {
    /// The connection.
    pub epoch: i64,
    /// The line.
    pub number: u64,
}

/// To be told when all lines up to one are dealt with: then they need not be kept any more.
#[derive(Clone, Debug)]
pub struct Done {
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) line: LineId,
}

impl Done {
    /// The connection.
    #[must_use]
    pub fn epoch(&self) -> i64 {
        self.line.epoch
    }

    /// The last of the lines.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.line.number
    }

    /// The same up to an earlier line.
    #[must_use]
    pub fn up_to(&self, number: u64) -> Self {
        let mut done = self.clone();
        done.line.number = number;
        done
    }

    /// They are.
    pub fn tell(&self) {
        // One that is told later says this as well.
        self.orders.try_send(Order::Done(self.line.number)).ok();
    }
}

/// A connection that the keeper has held.
#[derive(Clone, Debug, Default)]
pub struct Resumed {
    /// The channels that it is in.
    pub channels: Vec<String>,
    /// When it has ended, ms since the Unix epoch: what came until then is all that comes.
    pub closed_ms: Option<i64>,
}

/// What is known of a connection.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Its nick, and how others see it.
    pub source: Source,
    /// The nick that it wants.
    pub wanted: String,
    /// What the server says of itself.
    pub isupport: Arc<Isupport>,
    /// The account that it is logged in to.
    pub account: Option<String>,
    /// Whether several lines can be one message.
    pub multiline: Option<(usize, usize)>,
    /// How long the server takes to answer, ms.
    pub lag_ms: Option<u64>,
    /// Whether messages carry ids and other tags.
    pub has_ids: bool,
    /// Whether all modes of members are shown (multi-prefix).
    pub shows_all_prefixes: bool,
    /// Whether messages can be taken back (draft/message-redaction).
    pub redacts: bool,
    /// The characters of which one has to stand in the names of those who are spoken for (draft/relaymsg), where that
    /// can be done.
    pub relays: Option<String>,
    /// Whether what was said before can be asked for (draft/chathistory).
    pub has_history: bool,
    /// What the keeper calls the connection, and the last of the lines for it that it had when it was taken up.
    pub kept: Option<(i64, u64)>,
    /// The keeper has held it.
    pub resumed: Option<Resumed>,
}
