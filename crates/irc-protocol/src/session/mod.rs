//! A client's session, as a state machine: bytes and instants come in, bytes and events go out.
//!
//! ```text
//!  Registering ── 001 ──▶ Settling ── 376/422, login over ──▶ Ready ── quit ──▶ Quitting
//!       └──────────────────┴───── ERROR, silence, refusal ─────┴─────────────────┴──▶ Ended
//! ```
//!
//! Nothing in here opens a socket, reads a clock or knows what a channel looks like. The caller hands over what it reads
//! ([`Session::receive`]), writes what it is given ([`Session::poll_output`]), calls [`Session::tick`] no later than
//! [`Session::wake_at`] says, tells when the server has closed ([`Session::closed`]), and after each of these takes all
//! events ([`Session::poll_event`]).
//!
//! ```
//! use std::time::Instant;
//!
//! use bridgehead_irc_protocol::session::{Event, Session, Settings};
//!
//! let now = Instant::now();
//! let nicks = vec!["anna".to_owned()];
//! let mut session = Session::new(Settings { nicks, ..Settings::default() }, now);
//! assert_eq!(session.poll_output(now).as_deref(), Some(&b"CAP LS :302\r\n"[..]));
//! session.receive(b":srv 001 anna :Welcome\r\n:srv 376 anna :End of the MOTD\r\n", now);
//! let events: Vec<Event> = std::iter::from_fn(|| session.poll_event()).collect();
//! assert!(events.contains(&Event::Ready));
//! ```
//!
//! What is said or asked ends exactly once: said, answered or refused; or the session ends before. Every queue in here,
//! and every wait, has a bound.
//!
//! - [`settings`] what a session is told before it begins; [`event`] what it is asked for, and what it tells
//! - `registration` from the first line to the one that says that all is ready; `negotiation`, `identify`, `caps`,
//!   `login` and `nicks` its parts
//! - `hear` what a line means; `batches` lines that belong together
//! - `speak` what the caller wants said; `outgoing` the queue; `write` what goes out, and when; `flights` what is not
//!   proven yet
//! - `restore` a session that goes on where another was
//! - `life` signs of life, and what the clock brings

mod batches;
mod caps;
pub mod event;
mod flights;
mod hear;
mod identify;
mod life;
mod login;
mod negotiation;
mod nicks;
mod outgoing;
mod registration;
mod restore;
pub mod settings;
mod speak;
mod write;

#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    fmt,
    time::{Duration, Instant},
};

use self::{
    batches::Batches,
    caps::Caps,
    flights::{Flights, Who},
    life::Life,
    login::Login,
    nicks::Nicks,
    outgoing::Outgoing,
    registration::Registration,
};
pub use self::{
    event::{
        Ask, Batch, Ended, Event, Full, Heard, Multiline, Priority, Proof, Say, SayCommand,
        SendError,
    },
    settings::{KeepAlive, NickServ, Pace, Sasl, Settings, WebIrc},
};
pub use self::{
    flights::{is_refusal, is_refused},
    restore::Snapshot,
};
use crate::{Isupport, Line, LineBuffer, Source};

/// Bytes that are cut into lines at a time.
const PIECE_BYTES: usize = 16 << 10;
/// Bytes of a host where the server does not say it (`HOSTLEN`): the longest name that any shows.
const HOST_BYTES: usize = 63;
/// Bytes of a user name where the server does not say it (`USERLEN`).
const USER_BYTES: usize = 10;

/// A client's session.
pub struct Session {
    settings: Settings,
    stage: Stage,
    registration: Registration,
    life: Life,
    incoming: LineBuffer,
    events: VecDeque<Event>,
    out: Outgoing,
    flights: Flights,
    batches: Batches,
    caps: Caps,
    login: Login,
    nicks: Nicks,
    me: Source,
    account: Option<String>,
    isupport: Isupport,
}

/// How far the session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The server has not welcomed the client.
    Registering,
    /// Welcome; since when. The server is still telling about itself.
    Settling(Instant),
    Ready,
    /// `QUIT` is said; until when the server may close.
    Quitting(Instant),
    Ended,
}

impl fmt::Debug for Session {
    /// Without what waits to be sent: there are passwords in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("me", &self.me)
            .field("stage", &self.stage)
            .field("queued", &self.queued())
            .finish_non_exhaustive()
    }
}

impl Session {
    /// Begins: the first lines wait to be sent.
    #[must_use]
    pub fn new(settings: Settings, now: Instant) -> Self {
        let settings = settings.bounded();
        let nicks = Nicks::new(&settings.nicks, settings.seed);
        let login = Login::new(&settings);
        let mut session = Self {
            stage: Stage::Registering,
            registration: Registration::default(),
            life: Life::new(now),
            incoming: LineBuffer::new(),
            events: VecDeque::new(),
            out: Outgoing::new(settings.pace),
            flights: Flights::default(),
            batches: Batches::default(),
            caps: Caps::new(&settings.refused_caps, login.is_wanted()),
            login,
            me: Source::named(nicks.current()),
            nicks,
            account: None,
            isupport: Isupport::default(),
            settings,
        };
        session.begin();
        session
    }

    /// Takes what has come from the server, in any pieces.
    pub fn receive(&mut self, bytes: &[u8], now: Instant) {
        for piece in bytes.chunks(PIECE_BYTES) {
            self.incoming.push(piece);
            while let Some(line) = self.incoming.next_line() {
                // What is no line at all is passed over; servers know no way to be told so.
                let Ok(line) = Line::parse(line) else {
                    continue;
                };
                if self.is_ended() {
                    return;
                }
                self.hear(&line, now);
                self.settle(now);
                self.tell_outcomes();
            }
        }
    }

    /// The server has closed the connection.
    pub fn closed(&mut self) {
        match self.stage {
            Stage::Quitting(_) => self.end(Ended::Quit),
            _ => self.hear_error("the connection was closed".to_owned()),
        }
    }

    /// What has happened, in its order. [`Event::Ended`] is the last.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The nick that the client has, or asks for.
    #[must_use]
    pub fn nick(&self) -> &str {
        &self.me.name
    }

    /// The nick that it would rather have, where that is another one.
    #[must_use]
    pub fn wanted(&self) -> &str {
        self.nicks.wanted()
    }

    /// The client as others see it; user and host as far as the server has told them.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.me
    }

    /// What the server says of itself.
    #[must_use]
    pub fn isupport(&self) -> &Isupport {
        &self.isupport
    }

    /// Whether a capability was agreed.
    #[must_use]
    pub fn has_cap(&self, name: &str) -> bool {
        self.caps.has(name)
    }

    /// The value of a capability that the server offers, agreed or not.
    #[must_use]
    pub fn cap_value(&self, name: &str) -> Option<&str> {
        self.caps.value(name)
    }

    /// The account that the client is logged in to.
    #[must_use]
    pub fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }

    /// Whether what is said goes out.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.stage == Stage::Ready
    }

    /// How long the server took for the last answer to a `PING`.
    #[must_use]
    pub fn lag(&self) -> Option<Duration> {
        self.life.lag
    }

    /// What one message of several lines may hold, where that was agreed.
    #[must_use]
    pub fn multiline(&self) -> Option<Multiline> {
        self.caps.multiline()
    }

    /// Lines that wait to be sent.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.out.lines()
    }

    /// Bytes of text that fit in one line, so that nobody gets it cut. What the server puts before it is reckoned as
    /// it is, and at its longest where it is not known.
    #[must_use]
    pub fn payload_bytes(&self, command: &str, target: &str) -> usize {
        let limit = |key: &str| {
            let value = self.isupport.get(key);
            value.and_then(|value| value.parse::<usize>().ok())
        };
        let user = self.me.user.as_ref().map_or_else(
            || {
                let wanted = self.settings.user.len() + 1;
                limit("USERLEN").unwrap_or(USER_BYTES).max(wanted)
            },
            String::len,
        );
        let host = self
            .me
            .host
            .as_ref()
            .map_or_else(|| limit("HOSTLEN").unwrap_or(HOST_BYTES), String::len);
        // ":" nick "!" user "@" host " " command " " target " :" … CR LF
        let around = self.me.name.len() + user + host + command.len() + target.len() + 9;
        self.isupport.line_bytes().saturating_sub(around)
    }

    fn is_ended(&self) -> bool {
        self.stage == Stage::Ended
    }

    fn who(&self) -> Who {
        Who {
            nick: self.me.name.clone(),
            case: self.isupport.case_mapping(),
        }
    }

    fn is_me(&self, name: &str) -> bool {
        let case = self.isupport.case_mapping();
        !name.is_empty() && case.is_same(&self.me.name, name)
    }

    fn emit(&mut self, event: Event) {
        self.events.push_back(event);
    }

    /// Tells what became of what is in flight, and takes back the rest of what was refused.
    fn tell_outcomes(&mut self) {
        for id in std::mem::take(&mut self.flights.dropped) {
            let parts = self.out.remove(|of| of.is(id));
            self.flights.drop_parts(id, parts);
        }
        if !self.is_ended() {
            self.events.extend(self.flights.events.drain(..));
        }
    }

    fn end(&mut self, why: Ended) {
        if self.is_ended() {
            return;
        }
        self.tell_outcomes();
        self.stage = Stage::Ended;
        self.out.clear();
        self.flights.clear();
        self.batches = Batches::default();
        self.emit(Event::Ended { why });
    }
}
