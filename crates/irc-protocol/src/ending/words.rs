//! The words by which reasons are known.

use super::{Ending, Scope, wait};

/// Reads a reason; `folded` is the same in lower case. What is more certain stands before what is less: a ban's reason may
/// speak of anything, so only throttling, which is often done by a ban, and logging in stand before bans.
pub(super) fn recognize(folded: &str, reason: &str) -> Option<Ending> {
    let says = |words: &[&str]| words.iter().any(|word| folded.contains(word));
    let banned = |scope| Ending::Banned {
        scope,
        reason: reason.to_owned(),
    };
    let ending = if says(THROTTLED) {
        Ending::Throttled {
            retry_after: wait(folded),
        }
    } else if says(SASL) {
        Ending::SaslRequired
    } else if is_line(folded, &["d", "z", "gz"]) || says(BAD_ADDRESS) {
        banned(Scope::Address)
    } else if is_line(folded, &["k", "g", "x", "q", "r", "e"]) || says(BANNED) {
        banned(Scope::Person)
    } else if says(TOO_MANY) {
        Ending::ConnectionLimit
    } else if says(FULL) {
        Ending::Overload
    } else if is_nick_taken(folded) {
        Ending::NickTaken
    } else {
        return plain(&says);
    };
    Some(ending)
}

/// The endings that are known by one list of words each.
fn plain(says: &dyn Fn(&[&str]) -> bool) -> Option<Ending> {
    let all = [
        (SHUT_DOWN, Ending::ShutDown),
        (REGISTRATION, Ending::RegistrationFailed),
        (PING, Ending::PingTimeout),
        (UNREAD, Ending::ReadTooSlowly),
        (FLOOD, Ending::Flood),
        (PASSWORD, Ending::PasswordRequired),
        (TLS, Ending::TlsRequired),
        (NOT_AUTHORIZED, Ending::NotAuthorized),
        (LOST, Ending::Lost),
    ];
    let found = all.into_iter().find(|(words, _)| says(words));
    found.map(|(_, ending)| ending)
}

/// Whether a nick was lost to another.
pub(super) fn is_nick_taken(folded: &str) -> bool {
    NICK_TAKEN.iter().any(|word| folded.contains(word))
}

/// Whether it speaks of a line of these letters: `K-lined`, `Z:Lined`, `G-Line`, `kline`.
fn is_line(folded: &str, letters: &[&str]) -> bool {
    let is_between = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | ':'));
    folded.split(is_between).any(|word| {
        letters.iter().any(|letter| {
            let rest = word.strip_prefix(letter);
            let rest = rest.map(|rest| rest.strip_prefix(['-', ':']).unwrap_or(rest));
            let Some(rest) = rest.and_then(|rest| rest.strip_prefix("line")) else {
                return false;
            };
            let rest = rest.strip_prefix(['d', 's']).unwrap_or(rest);
            !rest.starts_with(|c: char| c.is_ascii_alphanumeric())
        })
    })
}

const THROTTLED: &[&str] = &[
    "throttl",
    "connect too fast",
    "reconnecting too fast",
    "connecting too fast",
    "connect too many times",
    "reconnect too quickly",
    "too many connection attempts",
];
const SASL: &[&str] = &[
    "sasl",
    "need to be logged in",
    "must be logged in",
    "need to be identified",
    "account is required",
    "account required",
    "must log in",
];
const BAD_ADDRESS: &[&str] = &[
    "dnsbl",
    "blacklist",
    "blocklist",
    "open proxy",
    "tor exit",
    "your ip is listed",
    "your ip has been banned",
];
const BANNED: &[&str] = &[
    "banned",
    "not welcome",
    "kill line active",
    // What Solanum says of an X-line, so that nobody learns what in the real name it was.
    "bad user info",
    "autokill",
    "akill",
];
const TOO_MANY: &[&str] = &[
    "too many connections",
    "too may connections",
    "too many host connections",
    "too many user connections",
    "too many local connections",
    "too many global connections",
    "too many unknown connections",
    "too many clients",
    "too many clones",
    "no more connections allowed",
    "connection class is full",
    "exceeded max number of clients",
    "maximum number of connections",
];
const FULL: &[&str] = &[
    "server is full",
    "server full",
    "all connections in use",
    "connection limit reached",
    "too busy",
];
const NICK_TAKEN: &[&str] = &[
    "nick collision",
    "nickname collision",
    "ghost command used",
    "recover command used",
    "regain command used",
    "release command used",
    "nickname regained",
    "nickname reclaimed",
    "overridden by other sign on",
];
const SHUT_DOWN: &[&str] = &[
    "shutdown",
    "shutting down",
    "shut down",
    "going down",
    "restarting",
    "server terminating",
    "server terminated",
    "server restart",
];
const REGISTRATION: &[&str] = &[
    "registration timeout",
    "registration timed out",
    "complete your registration",
    "not registered in time",
];
const PING: &[&str] = &["ping timeout", "ping time out", "ping timed out"];
const UNREAD: &[&str] = &["sendq", "send queue", "write buffer"];
const FLOOD: &[&str] = &[
    "excess flood",
    "recvq",
    "flood",
    "request too long",
    "too many commands",
];
const PASSWORD: &[&str] = &[
    "bad password",
    "invalid password",
    "wrong password",
    "incorrect password",
    "password incorrect",
    "password mismatch",
    "password required",
];
const TLS: &[&str] = &[
    "insecure connection",
    "must use tls",
    "must use ssl",
    "use ssl/tls",
    "use tls/ssl",
    "tls required",
    "ssl required",
    "only secure connections",
];
const NOT_AUTHORIZED: &[&str] = &[
    "unauthorized",
    "unauthorised",
    "not authorized",
    "not authorised",
    "no authorization",
    "no authorisation",
    "access denied",
    "denied access",
    "no suitable connect",
    "no auth block",
    "no i:line",
    "no i-line",
];
const LOST: &[&str] = &[
    "reset by peer",
    "read error",
    "write error",
    "broken pipe",
    "remote host closed",
    "client closed connection",
    "connection closed",
    "connection timed out",
    "socket closed",
    "eof from client",
];
