//! Why a server ended a connection or refused one.
//!
//! No standard says how: servers put a sentence into `ERROR`, a refusal's numeric or a `KILL`. What to do next hangs on it,
//! though: who is throttled comes again later, who is banned does not, and a server that shuts down harms nobody's standing.
//! The sentences are recognized by words that stay the same over the versions of each server; an operator may have changed
//! them all the same, so [`Ending::Other`] is an answer to be ready for.

mod words;

use std::time::Duration;

/// The longest wait that is believed.
const MAX_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It came too soon after others; the wait where it is said.
    Throttled {
        /// How long to wait.
        retry_after: Option<Duration>,
    },
    /// Too many connections from this address, or of this kind. Waiting helps only when one of them ends.
    ConnectionLimit,
    /// The server holds no more connections, from anybody.
    Overload,
    /// A ban.
    Banned {
        /// Whom it means.
        scope: Scope,
        /// The reason as the server tells it.
        reason: String,
    },
    /// An operator or services ended it by hand.
    Killed {
        /// By whom and why, as the server tells it.
        reason: String,
    },
    /// Somebody else has the nick: two servers found it twice, or its owner took it back.
    NickTaken,
    /// The server heard nothing for too long.
    PingTimeout,
    /// More was sent than the server takes.
    Flood,
    /// More was to be read than was read (SendQ).
    ReadTooSlowly,
    /// It was ended as asked.
    Quit,
    /// The server ends, or starts again.
    ShutDown,
    /// The server's password is missing or wrong.
    PasswordRequired,
    /// One has to log in with SASL, from this address or from any.
    SaslRequired,
    /// The connection has to be encrypted.
    TlsRequired,
    /// Registration was not done in time, or could not be.
    RegistrationFailed,
    /// The server has no place for connections of this kind.
    NotAuthorized,
    /// The connection broke.
    Lost,
    /// Something else; the server's words.
    Other(String),
}

/// Whom a ban means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// One person by nick, user name, host or real name (K-, G- and X-lines). Where many share a host it may still mean all
    /// of them: the server does not say.
    Person,
    /// An address, and all who come from it (D- and Z-lines, lists of addresses with a bad name).
    Address,
}

impl Ending {
    /// Reads the text of an `ERROR`.
    #[must_use]
    pub fn of_error(text: &str) -> Self {
        let reason = reason(text);
        let folded = reason.to_lowercase();
        if is_quit(&folded) {
            return Self::Quit;
        }
        if folded.starts_with("killed") || folded.starts_with("local kill") {
            return Self::killed(reason);
        }
        words::recognize(&folded, reason).unwrap_or_else(|| Self::Other(reason.to_owned()))
    }

    /// Reads the text of a `KILL` that means oneself.
    #[must_use]
    pub fn of_kill(text: &str) -> Self {
        Self::killed(text)
    }

    fn killed(reason: &str) -> Self {
        if words::is_nick_taken(&reason.to_lowercase()) {
            return Self::NickTaken;
        }
        Self::Killed {
            reason: reason.to_owned(),
        }
    }

    /// Reads a numeric that refuses a connection (463–466); `None` where it is another.
    #[must_use]
    pub fn of_numeric(numeric: u16, text: &str) -> Option<Self> {
        let said = || words::recognize(&text.to_lowercase(), text);
        match numeric {
            463 => Some(said().unwrap_or(Self::NotAuthorized)),
            464 => Some(Self::PasswordRequired),
            465 | 466 => Some(said().unwrap_or_else(|| Self::Banned {
                scope: Scope::Person,
                reason: text.to_owned(),
            })),
            _ => None,
        }
    }
}

/// The reason within `Closing Link: nick[user@host] (reason)` and its kin, or the whole text.
fn reason(text: &str) -> &str {
    const START: &str = "closing link:";
    let text = text.trim();
    let rest = match text.split_at_checked(START.len()) {
        Some((start, rest)) if start.eq_ignore_ascii_case(START) => rest.trim(),
        _ => return text,
    };
    // InspIRCd: `(user@host) [reason]`. All others: something without spaces, or `nick by server`, and `(reason)`.
    let (open, close) = if rest.starts_with('(') {
        (" [", ']')
    } else {
        (" (", ')')
    };
    let Some(start) = rest.find(open) else {
        return rest;
    };
    let inner = &rest[start + open.len()..];
    let end = inner.rfind(close).unwrap_or(inner.len());
    &inner[..end]
}

/// Whether it is what the client itself said, or what the server says when it said nothing. Those texts are people's own:
/// nothing else is to be read out of them.
fn is_quit(folded: &str) -> bool {
    let bare = ["quit", "client quit", "client exited", "exited", "leaving"];
    folded.starts_with("quit:") || folded.starts_with('"') || bare.contains(&folded)
}

/// How long to wait, where a text says it: `Please wait 30 seconds`.
fn wait(folded: &str) -> Option<Duration> {
    let mut words = folded.split(|c: char| !c.is_ascii_alphanumeric());
    let mut number: Option<u64> = None;
    words.find_map(|word| {
        let unit = match word {
            _ if word.starts_with("sec") => Some(1),
            _ if word.starts_with("min") => Some(60),
            _ if word.starts_with("hour") => Some(3600),
            _ => None,
        };
        if let (Some(count), Some(seconds)) = (number, unit) {
            return Some(Duration::from_secs(count.saturating_mul(seconds)).min(MAX_WAIT));
        }
        number = word.parse().ok();
        None
    })
}

#[cfg(test)]
mod tests;
