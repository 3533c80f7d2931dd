//! Logging in (IRCv3 sasl-3.1): accounts, and the exchanges of PLAIN, EXTERNAL and SCRAM-SHA-256.
//!
//! Bytes in, bytes or a verdict out; what clients are told of it is in `commands/authenticate`.

mod scram;

pub(crate) use self::scram::Scram;

/// An account.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) name: String,
    /// `None` where a certificate alone opens it.
    pub(crate) password: Option<String>,
    /// SHA-256 of the certificates that open it, in hex.
    pub(crate) fingerprints: Vec<String>,
}

/// An exchange that has begun.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) mechanism: Mechanism,
    /// What came of a message that is sent in several pieces, in Base64.
    pub(crate) pieces: String,
}

/// How somebody logs in.
#[derive(Debug)]
pub(crate) enum Mechanism {
    Plain,
    External,
    Scram(Scram),
}

impl Mechanism {
    /// The mechanism of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name.to_ascii_uppercase().as_str() {
            "PLAIN" => Some(Self::Plain),
            "EXTERNAL" => Some(Self::External),
            "SCRAM-SHA-256" => Some(Self::Scram(Scram::default())),
            _ => None,
        }
    }
}

/// What follows a message of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The server says this, and waits.
    Say(Vec<u8>),
    /// They are logged in to this account.
    Done(String),
    /// They are not.
    Refused,
}

/// Reads PLAIN's message: who to act as, the account, the password (RFC 4616).
pub(crate) fn plain(message: &[u8]) -> Option<(String, String)> {
    let mut fields = message.split(|byte| *byte == 0);
    let (acting, account, password) = (fields.next()?, fields.next()?, fields.next()?);
    let is_other = !acting.is_empty() && acting != account;
    if is_other || fields.next().is_some() {
        return None;
    }
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    Some((text(account)?, text(password)?))
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn plain_names_an_account_and_its_password() {
        let read = |message: &str| plain(message.as_bytes());
        let expected = Some(("ann".to_owned(), "secret".to_owned()));
        assert_eq!(read("\0ann\0secret"), expected);
        assert_eq!(read("ann\0ann\0secret"), expected);
        assert_eq!(read("bob\0ann\0secret"), None);
        assert_eq!(read("ann\0secret"), None);
    }
}
