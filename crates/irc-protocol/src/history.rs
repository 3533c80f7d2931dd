//! Where something was said that a server keeps: its answer to `CHATHISTORY TARGETS` (draft/chathistory).
//!
//! ```text
//! > CHATHISTORY TARGETS timestamp=2026-01-02T03:04:05.678Z timestamp=2026-01-03T00:00:00.000Z 50
//! < BATCH +1 draft/chathistory-targets
//! < @batch=1 CHATHISTORY TARGETS #tea 2026-01-02T19:00:00.000Z
//! < @batch=1 CHATHISTORY TARGETS bob 2026-01-02T20:00:00.000Z
//! < BATCH -1
//! ```

use crate::{Line, channels::server_time_ms};

/// A channel, or somebody who is talked to alone, and when something was said there last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastSaid {
    /// The channel or the nick, as the server writes it.
    pub target: String,
    /// Milliseconds since the epoch.
    pub at_ms: i64,
}

impl LastSaid {
    /// Reads one line of the answer; `None` where it is no such line.
    #[must_use]
    pub fn of_line(line: &Line) -> Option<Self> {
        let is_one = line.command == "CHATHISTORY" && line.text(0).eq_ignore_ascii_case("TARGETS");
        let target = line.text(1).into_owned();
        let time = line.text(2);
        // Some write it as they read it.
        let time = time.strip_prefix("timestamp=").unwrap_or(&time);
        let at_ms = server_time_ms(time)?;
        (is_one && !target.is_empty()).then_some(Self { target, at_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(String, i64)> {
        let line = Line::parse(text.as_bytes()).expect("a line");
        LastSaid::of_line(&line).map(|last| (last.target, last.at_ms))
    }

    #[test]
    fn where_something_was_said_is_read() {
        for (text, wanted) in [
            (
                "@batch=1 :srv CHATHISTORY TARGETS bob 2026-01-02T03:04:05.678Z",
                ("bob", 1_767_323_045_678),
            ),
            (
                ":srv CHATHISTORY targets #tea :timestamp=2026-01-02T03:04:05Z",
                ("#tea", 1_767_323_045_000),
            ),
        ] {
            let (target, at_ms) = wanted;
            assert_eq!(read(text), Some((target.to_owned(), at_ms)), "{text}");
        }
    }

    #[test]
    fn what_says_nothing_of_that_is_none() {
        for text in [
            ":srv CHATHISTORY TARGETS",
            ":srv CHATHISTORY TARGETS bob",
            ":srv CHATHISTORY TARGETS bob yesterday",
            ":srv CHATHISTORY LATEST bob 2026-01-02T03:04:05.678Z",
            ":srv PRIVMSG TARGETS bob 2026-01-02T03:04:05.678Z",
            ":srv FAIL CHATHISTORY INVALID_PARAMS TARGETS :Unknown command",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
