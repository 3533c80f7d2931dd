//! One who is connected: by a socket, or a person in the server's memory.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use bridgehead_irc_protocol::{Line, Source};
use tokio::time::Instant;

use crate::{ear::Ear, sasl::Exchange, wire::Outlet};

/// Names a connection for as long as the server lives; no two have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ClientId(pub(crate) u64);

/// Where what is said to a client goes.
#[derive(Debug)]
pub(crate) enum Sink {
    /// To a socket's writer.
    Socket(Outlet),
    /// To the memory of a person without a socket.
    Ear(Arc<Ear>),
}

/// Who is at the other end of a new connection.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// Where it comes from.
    pub(crate) ip: String,
    /// Whether it uses TLS.
    pub(crate) is_secure: bool,
    /// SHA-256 of its certificate, in hex.
    pub(crate) fingerprint: Option<String>,
    /// What its ident server says.
    pub(crate) ident: Option<String>,
}

/// One who is connected.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) sink: Sink,
    pub(crate) peer: Peer,
    /// Empty until there is one.
    pub(crate) nick: String,
    pub(crate) user: String,
    pub(crate) host: String,
    pub(crate) realname: Vec<u8>,
    pub(crate) progress: Progress,
    pub(crate) caps: BTreeSet<String>,
    pub(crate) account: Option<String>,
    pub(crate) away: Option<Vec<u8>>,
    pub(crate) modes: BTreeSet<char>,
    /// Nicks that it watches, by their folded names.
    pub(crate) watched: BTreeMap<String, String>,
    /// A message of several lines that it has begun.
    pub(crate) incoming: Option<Incoming>,
    /// Whether it is on the far side of a netsplit.
    pub(crate) is_far: bool,
    pub(crate) signed_on_s: i64,
    pub(crate) spoke_s: i64,
    pub(crate) opened_at: Instant,
    pub(crate) heard_at: Instant,
    pub(crate) pinged_at: Option<Instant>,
    /// When its last lines came, where there is a limit.
    pub(crate) recent: VecDeque<Instant>,
    /// What it is told goes nowhere any more: it is about to be cut off.
    pub(crate) is_deaf: bool,
}

/// How far the registration is.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) password: Option<String>,
    pub(crate) has_user: bool,
    pub(crate) is_negotiating: bool,
    pub(crate) is_registered: bool,
    /// What a `PONG` has to say before the welcome, and whether it did.
    pub(crate) cookie: Option<(String, bool)>,
    /// Whether a gateway has told where it really comes from.
    pub(crate) is_gatewayed: bool,
    /// The version of `CAP LS`: 302 and above get values.
    pub(crate) cap_version: u32,
    pub(crate) exchange: Option<Exchange>,
}

/// A message of several lines on its way in (draft/multiline).
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) reference: String,
    pub(crate) opening: Line,
    pub(crate) command: Option<String>,
    pub(crate) parts: Vec<Part>,
}

/// One line of a message of several.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) text: Vec<u8>,
    /// Whether it goes on in the line before it.
    pub(crate) is_joined: bool,
}

impl Client {
    pub(crate) fn new(peer: Peer, sink: Sink, now: Instant, now_s: i64) -> Self {
        Self {
            sink,
            nick: String::new(),
            user: String::new(),
            host: peer.ip.clone(),
            peer,
            realname: Vec::new(),
            progress: Progress::default(),
            caps: BTreeSet::new(),
            account: None,
            away: None,
            modes: BTreeSet::new(),
            watched: BTreeMap::new(),
            incoming: None,
            is_far: false,
            signed_on_s: now_s,
            spoke_s: now_s,
            opened_at: now,
            heard_at: now,
            pinged_at: None,
            recent: VecDeque::new(),
            is_deaf: false,
        }
    }

    /// The nick, or `*` before there is one.
    pub(crate) fn name(&self) -> &str {
        if self.nick.is_empty() {
            "*"
        } else {
            &self.nick
        }
    }

    /// As others see it.
    pub(crate) fn source(&self) -> Source {
        Source {
            name: self.nick.clone(),
            user: Some(self.user.clone()),
            host: Some(self.host.clone()),
        }
    }

    pub(crate) fn has(&self, cap: &str) -> bool {
        self.caps.contains(cap)
    }

    pub(crate) fn is_oper(&self) -> bool {
        self.modes.contains(&'o')
    }

    pub(crate) fn is_registered(&self) -> bool {
        self.progress.is_registered
    }

    pub(crate) fn is_socket(&self) -> bool {
        matches!(self.sink, Sink::Socket(_))
    }
}
