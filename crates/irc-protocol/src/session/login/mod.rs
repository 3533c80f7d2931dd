//! The login before the welcome (IRCv3 sasl), as an exchange of texts.
//!
//! Neighbours: [`scram`] computes the proofs of RFC 5802.

mod scram;

use std::{collections::VecDeque, time::Instant};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use self::scram::Scram;
use super::settings::{Sasl, Settings};

/// Bytes of base64 in one `AUTHENTICATE` (IRCv3 sasl).
const CHUNK_BYTES: usize = 400;
/// Bytes of base64 of one message of the server that are taken.
const MAX_MESSAGE_BYTES: usize = 16 << 10;

/// A way to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mechanism {
    Plain,
    External,
    ScramSha256,
}

impl Mechanism {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::External => "EXTERNAL",
            Self::ScramSha256 => "SCRAM-SHA-256",
        }
    }
}

/// Where the login stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// None is wanted, or it was not begun.
    Idle,
    /// The server is to answer; since when nothing has come.
    Waiting(Instant),
    /// Logged in.
    Done,
    /// Refused: the server's words.
    Failed(String),
}

/// The login.
pub(super) struct Login {
    sasl: Option<Sasl>,
    is_tls: bool,
    seed: u64,
    /// Exchanges that were begun.
    count: u32,
    /// Ways that were not tried yet, the best first.
    ways: VecDeque<Mechanism>,
    current: Option<Exchange>,
    /// What the server takes, as it says in 908 or beside the capability.
    offered: Option<Vec<String>>,
    /// Whether the password was told to the server, or proven, in the exchange that is under way.
    has_told: bool,
    standing: Standing,
}

/// One way that is under way.
enum Exchange {
    Plain,
    External,
    Scram(Scram),
    /// The client's part is said: the server only has to decide.
    Said,
}

/// What a message of the server leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// `AUTHENTICATE` with each of these.
    Send(Vec<String>),
    /// `AUTHENTICATE *`: the exchange cannot go on.
    Abort,
    /// More is to come.
    Nothing,
}

impl Login {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            sasl: settings.sasl.clone(),
            is_tls: settings.is_tls,
            seed: settings.seed,
            count: 0,
            ways: VecDeque::new(),
            current: None,
            offered: None,
            has_told: false,
            standing: Standing::Idle,
        }
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.sasl.is_some()
    }

    /// A session before this one has logged in, or has gone on without.
    pub(super) fn is_over(&mut self) {
        self.standing = Standing::Done;
    }

    pub(super) fn standing(&self) -> &Standing {
        &self.standing
    }

    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.standing, Standing::Waiting(_))
    }

    /// Begins: the first line to send, or nothing where the server has no way that is known.
    pub(super) fn begin(&mut self, offered: Option<&str>, now: Instant) -> Option<String> {
        self.offered = offered
            .filter(|list| !list.is_empty())
            .map(|list| list.split(',').map(str::to_ascii_uppercase).collect());
        self.ways = match (&self.sasl, self.is_tls) {
            (None, _) => return None,
            (Some(Sasl::External { .. }), _) => [Mechanism::External].into(),
            (Some(sasl @ Sasl::Plain { .. }), _) if self.is_proof_better(sasl) => {
                [Mechanism::ScramSha256, Mechanism::Plain].into()
            }
            (Some(Sasl::Plain { .. }), _) => [Mechanism::Plain, Mechanism::ScramSha256].into(),
            (Some(Sasl::ScramSha256 { .. }), true) => {
                [Mechanism::ScramSha256, Mechanism::Plain].into()
            }
            (Some(Sasl::ScramSha256 { .. }), false) => [Mechanism::ScramSha256].into(),
        };
        self.current = None;
        self.next_way(now)
    }

    /// Whether a password is rather proven than told. What is not ASCII, services may have normalized before they stored
    /// it (SASLprep): its proof would be a wrong one.
    fn is_proof_better(&self, sasl: &Sasl) -> bool {
        let (account, password) = credentials(sasl);
        let is_offered = |name: &String| name == Mechanism::ScramSha256.name();
        let mut offered = self.offered.iter().flatten();
        offered.any(is_offered) && account.is_ascii() && password.is_ascii()
    }

    fn next_way(&mut self, now: Instant) -> Option<String> {
        while let Some(way) = self.ways.pop_front() {
            let is_offered = |names: &Vec<String>| names.iter().any(|name| name == way.name());
            if self.offered.as_ref().is_none_or(is_offered) {
                self.current = Some(self.exchange(way));
                self.standing = Standing::Waiting(now);
                return Some(way.name().to_owned());
            }
        }
        let offered = self.offered.as_deref().unwrap_or_default().join(", ");
        self.fail(format!("the server takes other ways to log in: {offered}"));
        None
    }

    fn exchange(&mut self, way: Mechanism) -> Exchange {
        self.count += 1;
        self.has_told = false;
        match (way, &self.sasl) {
            (Mechanism::ScramSha256, Some(sasl)) => {
                let (account, password) = credentials(sasl);
                Exchange::Scram(Scram::new(account, password, self.seed, self.count))
            }
            (Mechanism::External, _) => Exchange::External,
            _ => Exchange::Plain,
        }
    }

    /// What has failed may be tried again: services have come or gone.
    pub(super) fn forgive(&mut self) {
        if matches!(self.standing, Standing::Failed(_)) {
            self.standing = Standing::Idle;
        }
    }

    pub(super) fn fail(&mut self, text: String) {
        self.current = None;
        self.standing = Standing::Failed(text);
    }

    /// Takes the parameter of an `AUTHENTICATE` that was put together of its chunks.
    pub(super) fn take(&mut self, message: &str, now: Instant) -> Reply {
        if !self.is_waiting() {
            return Reply::Nothing;
        }
        self.standing = Standing::Waiting(now);
        let message = if message == "+" { "" } else { message };
        let Ok(message) = STANDARD.decode(message) else {
            return Reply::Abort;
        };
        let Some(answer) = self.answer(&message) else {
            self.current = Some(Exchange::Said);
            return Reply::Abort;
        };
        Reply::Send(chunks(&answer))
    }

    fn answer(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let sasl = self.sasl.as_ref()?;
        let (answer, next) = match self.current.take()? {
            Exchange::Plain => {
                let (account, password) = credentials(sasl);
                let answer = format!("{account}\0{account}\0{password}");
                (answer.into_bytes(), Exchange::Said)
            }
            Exchange::External => (credentials(sasl).0.as_bytes().to_vec(), Exchange::Said),
            Exchange::Scram(mut scram) => (scram.answer(message)?, Exchange::Scram(scram)),
            Exchange::Said => return None,
        };
        self.has_told = match &next {
            Exchange::Scram(scram) => scram.has_proven(),
            _ => true,
        };
        self.current = Some(next);
        Some(answer)
    }

    /// Takes 908: what the server takes.
    pub(super) fn take_mechanisms(&mut self, list: &str) {
        self.offered = Some(list.split(',').map(str::to_ascii_uppercase).collect());
    }

    /// Takes 903 or 907.
    pub(super) fn succeed(&mut self) {
        if !self.is_waiting() {
            return;
        }
        match self.current.take() {
            // Who does not prove to know the password is not the server that knows it (RFC 5802, 5).
            Some(Exchange::Scram(scram)) if !scram.is_proven() => {
                self.fail("the server has not proven that it knows the password".to_owned());
            }
            _ => self.standing = Standing::Done,
        }
    }

    /// Takes 902, 904, 905 or 906: the next line to send, where there is another way.
    pub(super) fn refuse(&mut self, text: &str, now: Instant) -> Option<String> {
        if !self.is_waiting() {
            return None;
        }
        // A wrong password stays wrong: another way is tried only where this one has not come as far. Services that have
        // stored a password as they did before they knew of proofs refuse the account's name already.
        if !self.has_told && !self.ways.is_empty() {
            return self.next_way(now);
        }
        self.fail(text.to_owned());
        None
    }
}

fn credentials(sasl: &Sasl) -> (&str, &str) {
    match sasl {
        Sasl::Plain { account, password } | Sasl::ScramSha256 { account, password } => {
            (account, password)
        }
        Sasl::External { account } => (account.as_deref().unwrap_or_default(), ""),
    }
}

/// Base64 in pieces; a last piece that is full is followed by an empty one.
fn chunks(message: &[u8]) -> Vec<String> {
    let encoded = STANDARD.encode(message);
    let pieces = encoded.as_bytes().chunks(CHUNK_BYTES);
    let mut chunks: Vec<String> = pieces
        .map(|piece| String::from_utf8_lossy(piece).into_owned())
        .collect();
    if encoded.len().is_multiple_of(CHUNK_BYTES) {
        chunks.push("+".to_owned());
    }
    chunks
}

/// Puts a message together of the server's chunks.
#[derive(Default)]
pub(super) struct Gathered(String);

impl Gathered {
    /// Takes a chunk; the message where it was the last one.
    pub(super) fn take(&mut self, chunk: &str) -> Option<String> {
        if chunk != "+" && self.0.len() + chunk.len() <= MAX_MESSAGE_BYTES {
            self.0.push_str(chunk);
        }
        (chunk.len() < CHUNK_BYTES).then(|| std::mem::take(&mut self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(password: &str) -> Login {
        Login::new(&Settings {
            sasl: Some(Sasl::Plain {
                account: "anna".to_owned(),
                password: password.to_owned(),
            }),
            ..Settings::default()
        })
    }

    #[test]
    fn a_long_answer_goes_in_pieces() {
        for (bytes, sizes) in [
            (0, vec![1]),
            (3, vec![4]),
            (299, vec![400, 1]),
            (300, vec![400, 1]),
            (301, vec![400, 4]),
            (600, vec![400, 400, 1]),
        ] {
            let found: Vec<_> = chunks(&vec![0; bytes]).iter().map(String::len).collect();
            assert_eq!(found, sizes, "{bytes}");
        }
        let mut gathered = Gathered::default();
        assert_eq!(gathered.take(&"A".repeat(400)), None);
        assert_eq!(gathered.take("+").map(|text| text.len()), Some(400));
        for _ in 0..1_000 {
            gathered.take(&"A".repeat(400));
        }
        assert!(
            gathered
                .take("+")
                .is_some_and(|text| text.len() <= MAX_MESSAGE_BYTES)
        );
    }

    #[test]
    fn a_password_is_said_once() {
        let now = Instant::now();
        let mut login = plain("pass");
        assert_eq!(login.begin(None, now).as_deref(), Some("PLAIN"));
        let said = Reply::Send(vec![STANDARD.encode("anna\0anna\0pass")]);
        assert_eq!(login.take("+", now), said);
        assert_eq!(login.take("+", now), Reply::Abort);
        login.refuse("wrong", now);
        assert_eq!(*login.standing(), Standing::Failed("wrong".to_owned()));
    }

    #[test]
    fn another_way_is_tried_where_the_server_does_not_take_the_first() {
        let now = Instant::now();
        let mut login = plain("pass");
        login.begin(None, now);
        login.take_mechanisms("EXTERNAL,SCRAM-SHA-256");
        let next = login.refuse("no such way", now);
        assert_eq!(next.as_deref(), Some("SCRAM-SHA-256"));
        let mut login = plain("pass");
        assert_eq!(login.begin(Some("EXTERNAL"), now), None);
        assert!(matches!(login.standing(), Standing::Failed(_)));
    }
}
