//! What somebody in the server's memory got.

use std::{collections::VecDeque, time::Duration};

use bridgehead_irc_protocol::Line;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Lines that are kept; the oldest go first.
const MAX_LINES: usize = 100_000;
/// How many of the last lines an error shows.
const SHOWN: usize = 12;

/// What somebody got, and how much of it was waited for.
#[derive(Debug, Default)]
pub(crate) struct Ear {
    heard: Mutex<Heard>,
    is_new: Notify,
}

#[derive(Debug, Default)]
struct Heard {
    lines: VecDeque<Line>,
    /// Lines that a wait has passed already.
    passed: usize,
    is_closed: bool,
}

/// What was waited for did not come.
#[derive(Debug, thiserror::Error)]
#[error("{nick} did not hear it within {waited:?}; the last that came: {last:#?}")]
pub struct NotHeard {
    /// Who waited.
    pub nick: String,
    /// For how long.
    pub waited: Duration,
    /// The last lines that came.
    pub last: Vec<Line>,
}

impl Ear {
    pub(crate) fn hear(&self, line: Line) {
        let mut heard = self.heard.lock();
        if heard.lines.len() == MAX_LINES {
            heard.lines.pop_front();
            heard.passed = heard.passed.saturating_sub(1);
        }
        heard.lines.push_back(line);
        drop(heard);
        self.is_new.notify_waiters();
    }

    pub(crate) fn close(&self) {
        self.heard.lock().is_closed = true;
        self.is_new.notify_waiters();
    }

    pub(crate) fn lines(&self) -> Vec<Line> {
        self.heard.lock().lines.iter().cloned().collect()
    }

    /// Passes over all that has come.
    pub(crate) fn pass(&self) {
        let mut heard = self.heard.lock();
        heard.passed = heard.lines.len();
    }

    /// The next line that is wanted, after those that waits have passed.
    pub(crate) async fn wait_for(
        &self,
        nick: &str,
        within: Duration,
        is_wanted: impl Fn(&Line) -> bool,
    ) -> Result<Line, NotHeard> {
        let wait = async {
            loop {
                let is_new = self.is_new.notified();
                tokio::pin!(is_new);
                is_new.as_mut().enable();
                let (found, is_closed) = self.find(&is_wanted);
                if found.is_some() || is_closed {
                    return found;
                }
                is_new.await;
            }
        };
        let found = tokio::time::timeout(within, wait).await;
        found
            .ok()
            .flatten()
            .ok_or_else(|| self.missed(nick, within))
    }

    fn find(&self, is_wanted: &impl Fn(&Line) -> bool) -> (Option<Line>, bool) {
        let mut heard = self.heard.lock();
        let ahead = heard.lines.iter().skip(heard.passed).position(is_wanted);
        let found = ahead.and_then(|ahead| {
            let at = heard.passed + ahead;
            heard.passed = at + 1;
            heard.lines.get(at).cloned()
        });
        (found, heard.is_closed)
    }

    fn missed(&self, nick: &str, waited: Duration) -> NotHeard {
        let heard = self.heard.lock();
        let skipped = heard.lines.len().saturating_sub(SHOWN);
        NotHeard {
            nick: nick.to_owned(),
            waited,
            last: heard.lines.iter().skip(skipped).cloned().collect(),
        }
    }
}
