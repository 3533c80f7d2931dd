//! Texts within budgets, and what networks cannot say said in words.
//!
//! * [`split`] and [`split_with`] cut a text into what a network takes at once, for instance IRC's lines;
//!   [`split_events`] cuts it into what fits into events. Each [`Part`] knows which bytes of [`Rich::text`] it carries,
//!   and a [`PartMap`] keeps that, so that [`edit_parts`] changes those parts of a message that an edit touches.
//! * [`merge`] makes one message of lines that somebody wrote quickly one after another.
//! * [`truncate`] shortens a text and says so.
//! * [`edit_as_text`], [`reply_as_text`] and [`quote_of`] are for networks without edits and replies.
//!
//! [`Rich`]: super::Rich
//! [`Rich::text`]: super::Rich::text

mod edit;
mod events;
mod merge;
mod parts;
mod reply;
mod split;
#[cfg(test)]
mod tests;
mod truncate;

pub use self::{
    edit::{EditStyle, edit_as_text},
    events::{EVENT_TEXT_BYTES, event_bytes, split_by, split_events},
    merge::{Heard, Merged, Pace, merge},
    parts::{Part, PartChange, PartMap, edit_parts},
    reply::{ReplyStyle, quote_of, reply_as_text, without_ping},
    split::{split, split_with},
    truncate::truncate,
};

/// What fits into one part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The most bytes, in UTF-8 and with all marks. Less than 64 is taken for 64.
    pub max_bytes: usize,
    /// The most lines. None is taken for one.
    pub max_lines: usize,
}

impl Budget {
    /// One line of so many bytes, as on IRC.
    #[must_use]
    pub const fn line(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            max_lines: 1,
        }
    }

    /// So many bytes in any number of lines.
    #[must_use]
    pub const fn bytes(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            max_lines: usize::MAX,
        }
    }

    fn max_bytes(self) -> usize {
        self.max_bytes.max(64)
    }

    fn max_lines(self) -> usize {
        self.max_lines.max(1)
    }
}
