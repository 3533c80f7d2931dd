//! What a session is told before it begins.

use std::{fmt, time::Duration};

/// What a session is told before it begins. Passwords are never printed.
#[derive(Clone, Default)]
pub struct Settings {
    /// The nick that is wanted, then others to try. Made-up ones follow them.
    pub nicks: Vec<String>,
    /// The user name; an ident server may overrule it.
    pub user: String,
    /// The real name.
    pub realname: String,
    /// The server's password (`PASS`).
    pub password: Option<String>,
    /// Who the user really is, for a server that trusts this gateway.
    pub webirc: Option<WebIrc>,
    /// The account to log in to before anybody sees the client.
    pub sasl: Option<Sasl>,
    /// Whether the session ends without the login. Otherwise a failed one is an event, and the session goes on.
    pub sasl_required: bool,
    /// The login by a message, for servers that have no SASL.
    pub nickserv: Option<NickServ>,
    /// Capabilities that are never requested.
    pub refused_caps: Vec<String>,
    /// Modes that the client sets on itself once it is welcome, such as `+ix-w`.
    pub user_modes: Option<String>,
    /// Whether the connection is encrypted.
    pub is_tls: bool,
    /// How fast lines may go out.
    pub pace: Pace,
    /// What silence means.
    pub keepalive: KeepAlive,
    /// What made-up nicks and nonces are derived from. It must be random and secret.
    pub seed: u64,
}

/// The longest wait that is taken at its word.
const MAX_WAIT: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl Settings {
    /// The same with waits that no clock runs over at.
    pub(super) fn bounded(mut self) -> Self {
        let KeepAlive {
            ping_after,
            dead_after,
            registration,
        } = &mut self.keepalive;
        let wait = self.nickserv.as_mut().map(|service| &mut service.wait);
        for wait in [ping_after, dead_after, registration]
            .into_iter()
            .chain(wait)
        {
            *wait = MAX_WAIT.min(*wait);
        }
        self
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("nicks", &self.nicks)
            .field("user", &self.user)
            .field("webirc", &self.webirc)
            .field("sasl", &self.sasl)
            .field("nickserv", &self.nickserv)
            .field("is_tls", &self.is_tls)
            .finish_non_exhaustive()
    }
}

/// Who the user of a gateway really is (`WEBIRC`).
#[derive(Clone)]
pub struct WebIrc {
    /// What the server knows the gateway by.
    pub password: String,
    /// The gateway's name.
    pub gateway: String,
    /// The user's host name; the address where there is none.
    pub hostname: String,
    /// The user's address.
    pub ip: String,
}

impl fmt::Debug for WebIrc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebIrc")
            .field("gateway", &self.gateway)
            .field("hostname", &self.hostname)
            .field("ip", &self.ip)
            .finish_non_exhaustive()
    }
}

/// How to log in before the welcome (IRCv3 sasl).
#[derive(Clone)]
pub enum Sasl {
    /// The password itself (RFC 4616). A server that names SCRAM-SHA-256 among its ways, or takes it alone, is given a proof
    /// of it instead; where it has none for the account, the password itself again. What is not ASCII is told where that
    /// is taken: services may have normalized it.
    Plain {
        /// The account.
        account: String,
        /// Its password.
        password: String,
    },
    /// The certificate of the TLS connection.
    External {
        /// The account, where the certificate alone does not say it.
        account: Option<String>,
    },
    /// A proof of the password (RFC 7677). A server that has only PLAIN is given that where the connection is
    /// encrypted. The password must be one that `SASLprep` leaves as it is, as all ASCII is.
    ScramSha256 {
        /// The account.
        account: String,
        /// Its password.
        password: String,
    },
}

impl fmt::Debug for Sasl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, account) = match self {
            Self::Plain { account, .. } => ("Plain", Some(account)),
            Self::External { account } => ("External", account.as_ref()),
            Self::ScramSha256 { account, .. } => ("ScramSha256", Some(account)),
        };
        f.debug_struct(name)
            .field("account", &account)
            .finish_non_exhaustive()
    }
}

/// How to log in by a message to a service.
#[derive(Clone)]
pub struct NickServ {
    /// The service's nick, such as `NickServ`.
    pub service: String,
    /// What it is told; `{account}` and `{password}` are filled in.
    pub command: String,
    /// The account.
    pub account: String,
    /// Its password.
    pub password: String,
    /// How long its answer is waited for.
    pub wait: Duration,
}

impl NickServ {
    /// `NickServ` is told to `IDENTIFY`, and has ten seconds to answer.
    #[must_use]
    pub fn new(account: &str, password: &str) -> Self {
        Self {
            service: "NickServ".to_owned(),
            command: "IDENTIFY {account} {password}".to_owned(),
            account: account.to_owned(),
            password: password.to_owned(),
            wait: Duration::from_secs(10),
        }
    }

    pub(super) fn text(&self) -> String {
        // In one pass, for an account may look like a placeholder.
        let mut text = String::new();
        let mut rest = self.command.as_str();
        while let Some(at) = rest.find('{') {
            text.push_str(&rest[..at]);
            rest = &rest[at..];
            let filled = [("{account}", &self.account), ("{password}", &self.password)];
            match filled.iter().find(|(mark, _)| rest.starts_with(mark)) {
                Some((mark, value)) => {
                    text.push_str(value);
                    rest = &rest[mark.len()..];
                }
                None => {
                    text.push('{');
                    rest = &rest[1..];
                }
            }
        }
        text.push_str(rest);
        text
    }
}

impl fmt::Debug for NickServ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NickServ")
            .field("service", &self.service)
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

/// How fast lines may go out: each costs time, and so much of it may be owed that a burst passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Lines that may go out at once after a silence.
    pub burst_lines: u32,
    /// Milliseconds that a line costs; 0 for no limit.
    pub line_ms: u32,
    /// Milliseconds that a hundred bytes cost beside it.
    pub hundred_bytes_ms: u32,
}

impl Default for Pace {
    /// What servers bear that punish floods as RFC 1459, 8.10 says.
    fn default() -> Self {
        Self {
            burst_lines: 5,
            line_ms: 1_000,
            hundred_bytes_ms: 200,
        }
    }
}

/// What silence means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// How long the server may be silent before it is asked for a sign of life.
    pub ping_after: Duration,
    /// How long it may be silent, or leave a `PING` unanswered, before the connection counts as dead.
    pub dead_after: Duration,
    /// How long the registration may take.
    pub registration: Duration,
}

impl Default for KeepAlive {
    fn default() -> Self {
        Self {
            ping_after: Duration::from_secs(90),
            dead_after: Duration::from_secs(180),
            registration: Duration::from_secs(60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_printed() {
        let settings = Settings {
            password: Some("geheim1".to_owned()),
            webirc: Some(WebIrc {
                password: "geheim2".to_owned(),
                gateway: "gate".to_owned(),
                hostname: "host".to_owned(),
                ip: "::1".to_owned(),
            }),
            sasl: Some(Sasl::Plain {
                account: "anna".to_owned(),
                password: "geheim3".to_owned(),
            }),
            nickserv: Some(NickServ::new("anna", "geheim4")),
            seed: 71_077_345,
            ..Settings::default()
        };
        let printed = format!("{settings:?}");
        assert!(!printed.contains("geheim"), "{printed}");
        assert!(!printed.contains("71077345"), "{printed}");
        assert!(printed.contains("anna"), "{printed}");
    }

    #[test]
    fn a_command_is_filled_in_once() {
        let service = NickServ::new("{password}", "a{b");
        assert_eq!(service.text(), "IDENTIFY {password} a{b");
    }
}
