//! How a message looks on the other side: IRC's lines as Matrix content and Matrix content as IRC's lines.
//!
//! Pure functions: who is in a channel, what was said before and how old it is come in as arguments. Nothing here sends,
//! stores, asks or knows a connection.
//!
//! ```text
//! IRC text ──▶ to_matrix ──▶ Content
//! Content + what is around it ──▶ to_irc ──▶ Said ──▶ Plan: lines of the right length, or a page
//! ```
//!
//! What comes from outside stays text: no control character of a Matrix user reaches IRC, and no IRC text is read as
//! HTML or Markdown.
//!
//! ```
//! use bridgehead_irc::text::{
//!     to_irc::{Around, Limits, Plan, Style, to_irc},
//!     to_matrix::{Heard, MentionRules, People, Voice, to_matrix},
//! };
//!
//! let heard = Heard { text: "a \x02bold\x02 word", is_notice: false, voice: Voice::Own };
//! let people = People { lookup: &|_| None, rules: &MentionRules::default() };
//! let content = to_matrix(&heard, &people).remove(0);
//! assert_eq!(content.to_json()["formatted_body"], "a <strong>bold</strong> word");
//!
//! let around = Around {
//!     style: Style::Marks,
//!     nick_of: &|_| None,
//!     link_of: &|_| None,
//!     speaker: None,
//!     reply: None,
//!     thread: None,
//! };
//! let said = to_irc(&content, &around).expect("there is something to say");
//! assert_eq!(said.plan(&Limits::new(400)), Plan::Lines(vec!["a *bold* word".to_owned()]));
//! ```

pub mod names;
pub mod to_irc;
pub mod to_matrix;

#[cfg(test)]
mod round_trip;
