//! What is wrong with the server on request.

use std::{collections::BTreeSet, time::Duration};

use bridgehead_irc_protocol::Line;
use tokio::time::Instant;

/// What is wrong with the server; nothing at first.
#[derive(Debug, Default)]
pub(crate) struct Knobs {
    /// Capabilities that are never granted.
    pub(crate) naks: BTreeSet<String>,
    /// Whether `CAP` is an unknown command.
    pub(crate) has_no_cap: bool,
    /// Nothing is read or said before this.
    pub(crate) silent_until: Option<Instant>,
    /// How late sockets are told things.
    pub(crate) lag: Duration,
    /// Folded names: what is said to them goes nowhere.
    pub(crate) swallowed: BTreeSet<String>,
    /// Commands that are neither obeyed nor answered.
    pub(crate) ignored: BTreeSet<String>,
    /// What connections are told, and closed.
    pub(crate) refuses: Option<String>,
    pub(crate) cut_offs: Vec<CutOff>,
    /// What commands are answered with instead of being obeyed.
    pub(crate) answers: Vec<(String, Line)>,
}

/// When a connection is to be cut off.
#[derive(Clone, Debug)]
pub(crate) struct CutOff {
    /// Whose, folded.
    pub(crate) nick: String,
    /// Which lines count; all where there is none.
    pub(crate) command: Option<String>,
    /// How many are still to come.
    pub(crate) lines: usize,
    /// Whether the last one is still obeyed.
    pub(crate) is_obeyed: bool,
}

/// What becomes of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Obeyed,
    /// It is obeyed, but its sender learns nothing more.
    Last,
    /// It is lost, and its sender learns nothing more.
    Lost,
}

impl Knobs {
    /// Counts a line of somebody.
    pub(crate) fn count(&mut self, nick: &str, command: &str) -> Fate {
        let counts = |cut: &CutOff| {
            cut.nick == nick
                && cut
                    .command
                    .as_deref()
                    .is_none_or(|wanted| wanted == command)
        };
        let Some(at) = self.cut_offs.iter().position(counts) else {
            return Fate::Obeyed;
        };
        let cut = &mut self.cut_offs[at];
        cut.lines = cut.lines.saturating_sub(1);
        if cut.lines > 0 {
            return Fate::Obeyed;
        }
        match self.cut_offs.remove(at).is_obeyed {
            true => Fate::Last,
            false => Fate::Lost,
        }
    }
}
