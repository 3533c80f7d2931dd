//! Tokens: places in the server's order, as clients hold them.
//!
//! `s123_4_5_120` is what `/sync` and `/events` hand out: the [`StreamPosition`], then how much the
//! client has seen of what lives in memory only (typing, presence), then the last to-device
//! message it was given. Places in one room's history are `rooms::read`'s, which reads these too.

use std::{fmt, str::FromStr};

use bridgehead_store::{Store, StreamPosition};

use crate::http::error::ApiError;

/// How far a client has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct SyncToken {
    /// Everything in the log up to here was told.
    pub(crate) position: StreamPosition,
    /// Version of the typing news told last.
    pub(crate) typing: u64,
    /// Version of the presence news told last.
    pub(crate) presence: u64,
    /// To-device messages up to here were handed over; they come in pages, so they may lag.
    pub(crate) to_device: StreamPosition,
}

impl fmt::Display for SyncToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "s{}_{}_{}_{}",
            self.position, self.typing, self.presence, self.to_device
        )
    }
}

impl FromStr for SyncToken {
    type Err = ApiError;

    fn from_str(text: &str) -> Result<Self, ApiError> {
        let parts: Option<Vec<u64>> = text
            .strip_prefix('s')
            .map(|rest| rest.split('_').map(number).collect())
            .unwrap_or_default();
        match parts.as_deref() {
            Some(&[position, typing, presence, to_device]) => Ok(Self {
                position: StreamPosition(position),
                typing,
                presence,
                to_device: StreamPosition(to_device),
            }),
            _ => Err(unknown(text)),
        }
    }
}

impl SyncToken {
    /// The same at another position.
    pub(crate) fn at(self, position: StreamPosition) -> Self {
        Self { position, ..self }
    }

    /// Refuses a token that this database cannot have handed out.
    pub(crate) async fn check(self, store: &Store) -> Result<Self, ApiError> {
        if self.is_within(*store.position().borrow()) {
            return Ok(self);
        }
        // Snapshots see a commit a moment before it is announced, and tokens are made of what they see.
        let last = store.read(|snapshot| snapshot.last_position()).await?;
        match self.is_within(last) {
            true => Ok(self),
            false => Err(unknown(&self.to_string())),
        }
    }

    fn is_within(self, last: StreamPosition) -> bool {
        self.position <= last && self.to_device <= last
    }
}

/// Digits only, and no larger than a position can be.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok()?;
    (digits && i64::try_from(number).is_ok()).then_some(number)
}

fn unknown(text: &str) -> ApiError {
    let shown: String = text.chars().take(64).collect();
    ApiError::invalid_param(format!(
        "`{shown}` is not a token of this server; start again without one"
    ))
}

#[cfg(test)]
mod tests {
    use bridgehead_store::StreamPosition;

    use super::SyncToken;
    use crate::rooms::read::parse_token;

    #[test]
    fn a_token_reads_back_as_it_was_written() {
        let token = SyncToken {
            position: StreamPosition(7),
            typing: 1,
            presence: 2,
            to_device: StreamPosition(5),
        };
        assert_eq!(token.to_string(), "s7_1_2_5");
        assert_eq!("s7_1_2_5".parse::<SyncToken>().unwrap(), token);
        assert_eq!(parse_token("s7_1_2_5").unwrap(), StreamPosition(7));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "s",
            "7",
            "s7",
            "s7_1_2",
            "s7_1_2_5_6",
            "s-7_1_2_5",
            "s+7_1_2_5",
            "sx_1_2_5",
            "t",
            "t7",
            "t1_2",
            "s99999999999999999999_1_2_3",
            "s7_1_2_5 ",
            "é",
        ] {
            assert!(text.parse::<SyncToken>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_token_from_the_future_is_another_databases() {
        let token: SyncToken = "s7_0_0_0".parse().unwrap();
        assert!(token.is_within(StreamPosition(7)));
        assert!(!token.is_within(StreamPosition(6)));
    }
}
