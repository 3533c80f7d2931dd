//! Tests of texts within budgets.

mod edits;
mod merges;
mod properties;
mod splits;

use crate::{
    format::{Encoder, Mention, Rich, Style},
    id::UserId,
};

/// Marks as IRC has them: bold, italic and underline are switched, colours are set and taken back.
struct Irc;

impl Encoder for Irc {
    fn change(&self, from: &Style, to: &Style, out: &mut String) {
        let marks = [
            (from.bold != to.bold, "\u{2}"),
            (from.italic != to.italic, "\u{1d}"),
            (from.underline != to.underline, "\u{1f}"),
        ];
        out.extend(
            marks
                .iter()
                .filter(|(changes, _)| *changes)
                .map(|(_, code)| *code),
        );
        if from.fg != to.fg {
            out.push_str(if to.fg.is_some() { "\u{3}04" } else { "\u{3}" });
        }
    }

    fn mention(&self, mention: &Mention, _: &Style, out: &mut String) {
        out.push_str(&mention.name.to_lowercase());
    }
}

fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

fn rich(html: &str) -> Rich {
    Rich::from_matrix("", Some(html))
}

/// The text without any white space.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect()
}
