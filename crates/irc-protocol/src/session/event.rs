//! What a session is asked for, and what it tells.

use std::sync::Arc;

use crate::{Line, Tags, line::LineError};

/// A text for somebody. How it ends is told once: [`Event::Said`], [`Event::Refused`], or [`Event::Ended`] for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Say {
    /// The caller's name for it; one for each say and ask.
    pub id: u64,
    /// A channel, a nick, or a channel behind a prefix (`STATUSMSG`).
    pub target: String,
    /// How it is said.
    pub command: SayCommand,
    /// The lines, cut already so that each fits ([`Session::payload_bytes`](super::Session::payload_bytes)). Line
    /// breaks and NULs within become spaces, and empty lines are left out where they cannot be said.
    pub lines: Vec<Vec<u8>>,
    /// Client tags (`+draft/reply` and the like); left out where the server takes none.
    pub tags: Vec<(String, String)>,
    /// Whether the lines are one message (draft/multiline). They go one by one where that was not agreed.
    pub as_multiline: bool,
}

/// How something is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SayCommand {
    /// To be answered.
    Privmsg,
    /// Not to be answered by programs.
    Notice,
    /// Nothing but tags (message-tags).
    Tagmsg,
}

impl SayCommand {
    /// As on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Privmsg => "PRIVMSG",
            Self::Notice => "NOTICE",
            Self::Tagmsg => "TAGMSG",
        }
    }
}

/// A command whose outcome is wanted: [`Event::Answered`], [`Event::Refused`], or [`Event::Ended`] for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The caller's name for it; one for each say and ask.
    pub id: u64,
    /// The command.
    pub line: Line,
    /// What it may overtake.
    pub priority: Priority,
}

/// What goes out first. What has waited for ten seconds is passed over four times in a row at most. Answers to `PING` and
/// the registration come before all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// What somebody waits for at this moment.
    Urgent,
    /// Kicks and modes.
    Moderation,
    /// Texts.
    Said,
    /// Joins, and what nobody waits for.
    Membership,
}

/// Too much waits already, or the session has ended; nothing was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too much waits to be sent already")]
pub struct Full;

/// Why a line was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Try later.
    #[error(transparent)]
    Full(#[from] Full),
    /// It would be read as another line, or as several.
    #[error("no line of IRC: {0}")]
    Line(#[from] LineError),
}

/// What has happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The registration is over, the login done or given up: what waits goes out.
    Ready,
    /// The own nick has changed; comes right after the line that says so.
    Nick {
        /// The old one.
        from: String,
        /// The new one.
        to: String,
    },
    /// The account that the client is logged in to now.
    Account(Option<String>),
    /// The login has failed, and the session goes on without.
    LoginFailed {
        /// The server's words.
        text: String,
    },
    /// What was agreed with the server has changed.
    Caps,
    /// A line that is not the session's own business.
    Line(Heard),
    /// A text of several lines (draft/multiline).
    Multiline {
        /// Tags and source of the batch, with command and target of its lines; the text is the first line's.
        first: Line,
        /// The lines, and whether each goes on where the one before ends.
        lines: Vec<(Vec<u8>, bool)>,
        /// The batch that this one is in.
        batch: Option<Arc<Batch>>,
        /// Whether this client's own nick says it.
        is_own: bool,
        /// The client's own nick when it came.
        me: Arc<str>,
    },
    /// The first of several lines was handed out by [`Session::poll_output`](super::Session::poll_output), and with it the
    /// first byte. What is one line is told as written alone.
    Begun {
        /// Of what.
        id: u64,
    },
    /// The last byte was handed out by [`Session::poll_output`](super::Session::poll_output).
    Written {
        /// Of what.
        id: u64,
    },
    /// The server has taken all of it.
    Said {
        /// Which.
        id: u64,
        /// How that is known.
        proof: Proof,
    },
    /// A command has done what it does.
    Answered {
        /// Which.
        id: u64,
        /// The first 1,000 of the lines that answer it, errors included. All of them come as [`Event::Line`] too, but a text
        /// of several lines: here it is one line with breaks in it, and it comes as [`Event::Multiline`].
        lines: Vec<Line>,
    },
    /// The server has refused a text or a command; what was not sent of it never will be.
    Refused {
        /// Which.
        id: u64,
        /// The numeric, where one says so.
        numeric: Option<u16>,
        /// The code, where a `FAIL` says so (standard-replies).
        fail: Option<String>,
        /// The server's words, or the session's own where it said nothing.
        text: String,
        /// The refusing line; the refused one where the server said nothing.
        line: Line,
    },
    /// The server wants encrypted connections from now on (IRCv3 sts). Without encryption the session is over with it.
    Sts {
        /// The port for encrypted connections; to be followed where the connection is not encrypted.
        port: Option<u16>,
        /// How long that is to be remembered, in seconds; counts only where the connection is encrypted.
        duration_s: Option<u64>,
    },
    /// Nothing follows. What was neither said nor refused has an unknown outcome if it was written, and was never sent
    /// if not.
    Ended {
        /// The reason.
        why: Ended,
    },
}

/// A line, and what it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// The line.
    pub line: Line,
    /// The batch that it came in.
    pub batch: Option<Arc<Batch>>,
    /// Whether it is from this client's own nick: its doing, or another client's of the same person.
    pub is_own: bool,
    /// The client's own nick when it came: a line about to change it bears the one before.
    pub me: Arc<str>,
    /// The ask that it answers, which [`Event::Answered`] tells as well.
    pub answers: Option<u64>,
}

/// Lines that belong together (IRCv3 batch).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The server's name for it, for as long as it is open.
    pub id: String,
    /// `netsplit`, `netjoin`, `chathistory`, `labeled-response` …
    pub kind: String,
    /// What its opening says beside.
    pub params: Vec<String>,
    /// The opening's tags.
    pub tags: Tags,
    /// The batch that this one is in.
    pub parent: Option<Arc<Batch>>,
}

/// How it is known that the server has taken a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It came back (echo-message).
    Echo {
        /// The ids of its lines, in their order, of those that have one.
        msgids: Vec<String>,
        /// The server's time of the first line, as the tag says it (server-time).
        time: Option<String>,
    },
    /// The server has answered something that was said later, and refused nothing before.
    Barrier,
}

/// Why a session is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The server's last words (`ERROR`), or that it closed the connection without any.
    Error(String),
    /// Nothing came for too long: which part of the session.
    Timeout(&'static str),
    /// The registration was refused: numeric, and the server's words.
    Registration(u16, String),
    /// The login that was required has failed.
    LoginRequired(String),
    /// As was asked for.
    Quit,
    /// The server wants encryption, at this port (IRCv3 sts); it has been given no password.
    TlsWanted(u16),
    /// Every nick that was tried is taken or refused.
    NicksTaken,
}

/// What one message of several lines may hold (draft/multiline).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Multiline {
    /// Bytes of all lines, with the breaks between them.
    pub max_bytes: usize,
    /// Lines.
    pub max_lines: usize,
}
