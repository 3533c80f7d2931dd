//! What a server is like: as new or as old as wanted.
//!
//! A preset gives a server that is known ([`Dialect::ngircd`], [`Dialect::inspircd`] …) as far as clients can tell; every field may be altered
//! before the server starts. Nothing in here acts: the rest of the crate asks.

mod presets;
mod quirks;
mod tokens;

pub use self::quirks::{Quirks, Refusals};

use std::{sync::Arc, time::Duration};

use bridgehead_irc_protocol::{CaseMapping, Isupport};

use crate::Clock;

/// What a server is like.
#[derive(Clone, Debug)]
pub struct Dialect {
    /// The server's name; it holds a dot.
    pub server_name: String,
    /// The network's name (`NETWORK`).
    pub network: String,
    /// What the server says that it is (004, `VERSION`).
    pub version: String,
    /// The port of 127.0.0.1 to listen on; 0 for any.
    pub port: u16,
    /// Capabilities on offer, each with its value where it has one (IRCv3 capability-negotiation).
    pub caps: Vec<(String, Option<String>)>,
    /// How case is folded.
    pub case_mapping: CaseMapping,
    /// What channels begin with.
    pub channel_types: String,
    /// Members' standings, highest first: mode and prefix.
    pub prefixes: Vec<(char, char)>,
    /// Modes of channels: lists, settings, settings with a parameter when set, flags; as `CHANMODES` has them.
    pub channel_modes: [String; 4],
    /// Flags that a channel has from its beginning.
    pub default_flags: String,
    /// Modes of users.
    pub user_modes: String,
    /// Prefixes that may stand before a channel as a target (`STATUSMSG`).
    pub status_prefixes: String,
    /// What stands before a mask in the list of bans that mutes and does not ban: `m:` or `~m:`.
    pub mute_prefix: Option<String>,
    /// Further tokens of 005, such as `WHOX`.
    pub tokens: Vec<String>,
    /// Limits.
    pub limits: Limits,
    /// What happens to lines that are too long.
    pub long_lines: LongLines,
    /// Whether lines that are not UTF-8 are refused (`UTF8ONLY`).
    pub is_utf8_only: bool,
    /// Whether a `NOTICE` that cannot be delivered is answered.
    pub answers_notices: bool,
    /// Whether netsplits come as batches to those who know them (IRCv3 netsplit).
    pub batches_splits: bool,
    /// Mechanisms of SASL, such as `PLAIN`.
    pub mechanisms: Vec<String>,
    /// The password that connections need (`PASS`).
    pub password: Option<String>,
    /// Whether nobody is let in who has not logged in (SASL).
    pub wants_account: bool,
    /// The password of gateways (`WEBIRC`).
    pub webirc_password: Option<String>,
    /// The password that makes an operator (`OPER`).
    pub oper_password: Option<String>,
    /// The port of 127.0.0.1 where an ident server is asked about each connection (RFC 1413).
    pub ident_port: Option<u16>,
    /// How connections with TLS are accepted, on a port of their own.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// How fast a connection may say things.
    pub flood: Option<Flood>,
    /// How fast connections may come.
    pub throttle: Option<Throttle>,
    /// How connections are kept alive.
    pub pings: Pings,
    /// Lines of the message of the day; none for 422.
    pub motd: Vec<String>,
    /// Small ways in which it is like no other.
    pub quirks: Quirks,
    /// What the time is.
    pub clock: Clock,
}

/// How much there may be of things.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a nick.
    pub nick_bytes: usize,
    /// Bytes of a user name, with the `~`.
    pub user_bytes: usize,
    /// Bytes of a channel's name.
    pub channel_bytes: usize,
    /// Bytes of a topic.
    pub topic_bytes: usize,
    /// Bytes of the reason of a kick, an away message, a real name.
    pub text_bytes: usize,
    /// Bytes of a line without its tags, with its end.
    pub line_bytes: usize,
    /// Channels that one person may be in.
    pub channels_each: usize,
    /// Entries of one list of a channel.
    pub list_entries: usize,
    /// Modes with a parameter in one `MODE`.
    pub modes_at_once: usize,
    /// Targets of one message.
    pub targets: usize,
    /// Nicks that one person may watch; `None` where there is no `MONITOR`.
    pub monitors: Option<usize>,
    /// People at once, of all kinds.
    pub people: usize,
    /// Channels at once.
    pub channels: usize,
    /// Messages that are kept of each channel and each talk of two.
    pub history: usize,
    /// Bytes that wait for a connection which does not read; what is beyond closes it (SendQ).
    pub send_queue_bytes: usize,
    /// Lines that the log keeps; the oldest go first.
    pub log_lines: usize,
}

/// What happens to lines that are too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LongLines {
    /// They are cut without a word, inside a character too.
    Cut,
    /// They are cut without a word, but never inside a character.
    CutAtCharacter,
    /// They are refused when they come (417), and cut at a character when they go.
    Refuse,
}

/// How fast a connection may say things: beyond that it is closed with `Excess Flood`.
#[derive(Clone, Copy, Debug)]
pub struct Flood {
    /// Lines at most.
    pub lines: usize,
    /// In this time.
    pub within: Duration,
}

/// How fast connections may come: beyond that they are refused.
#[derive(Clone, Debug)]
pub struct Throttle {
    /// Connections at most.
    pub connections: usize,
    /// In this time.
    pub within: Duration,
    /// What those that are refused are told in `ERROR`.
    pub text: String,
}

/// How connections are kept alive.
#[derive(Clone, Copy, Debug)]
pub struct Pings {
    /// A connection that was silent for so long is sent a `PING`.
    pub every: Duration,
    /// One that does not answer in this time is closed with `Ping timeout`.
    pub timeout: Duration,
    /// One that is not registered in this time is closed.
    pub registration: Duration,
}

impl Dialect {
    /// Whether a capability is on offer.
    #[must_use]
    pub fn offers(&self, cap: &str) -> bool {
        self.caps.iter().any(|(known, _)| known == cap)
    }

    /// The same without a capability.
    #[must_use]
    pub fn without(mut self, cap: &str) -> Self {
        self.caps.retain(|(known, _)| known != cap);
        self
    }

    /// The same with a capability, with its value if it has one: `sasl=PLAIN`.
    #[must_use]
    pub fn with(mut self, cap: &str) -> Self {
        self.add_cap(cap);
        self
    }

    pub(crate) fn add_cap(&mut self, cap: &str) {
        let (name, value) = match cap.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (cap, None),
        };
        self.caps.retain(|(known, _)| known != name);
        self.caps.push((name.to_owned(), value));
    }

    /// A capability's value.
    #[must_use]
    pub fn cap_value(&self, cap: &str) -> Option<&str> {
        let found = self.caps.iter().find(|(known, _)| known == cap);
        found.and_then(|(_, value)| value.as_deref())
    }

    /// Whether lines may begin with tags.
    #[must_use]
    pub fn has_tags(&self) -> bool {
        self.offers("message-tags")
    }

    /// What clients read out of 005, where the server says it.
    #[must_use]
    pub fn isupport(&self) -> Isupport {
        let mut isupport = Isupport::default();
        for line in self.token_lines("*") {
            isupport.take(&line);
        }
        isupport
    }
}
