//! Formatted text between Matrix and other networks: pure data, no I/O, no clock.
//!
//! * [`Rich`] is a message's text as a small tree. It is read from Matrix HTML, from Markdown or from plain text, built
//!   with [`Builder`] from whatever marks a network has, and written as HTML, Markdown or plain text.
//!   [`Rich::lines`] lays it out as lines of styled pieces, and [`Encoder`] is what a network's own control codes
//!   are written with.
//! * [`compose`] cuts and joins texts to budgets, and says edits and replies in words for networks that have none.
//! * [`content`] builds and reads what stands in message events.
//!
//! Everything that comes from outside is bounded: the bytes that are read, the depth of the tree, the number of tags.
//!
//! ```
//! use bridgehead_appservice::format::Rich;
//!
//! let rich = Rich::from_matrix("hi", Some("<b>hi</b> <a href='https://matrix.to/#/@bob:example.org'>Bob</a>"));
//! assert_eq!(rich.to_plain(), "hi Bob");
//! assert_eq!(rich.to_markdown(), "**hi** [Bob](https://matrix.to/#/@bob:example.org)");
//! assert_eq!(rich.mentions().users[0].to_string(), "@bob:example.org");
//! ```

pub mod compose;
pub mod content;
mod cuts;
mod encode;
mod html;
mod inline;
mod layout;
mod markdown;
mod rich;
mod slice;
mod tidy;
mod uri;
mod words;

pub(crate) use self::tidy::one_line;
pub use self::{
    encode::{Encoder, Marked, Plain},
    inline::{Colour, Image, Inline, Mention, Mentions, Piece, Style, Target},
    layout::{Layout, Line, LineKind, Links},
    rich::{Block, Builder, Rich},
};

/// The most bytes of one text that are read; what follows is left out. No Matrix event can be larger.
pub const MAX_INPUT_BYTES: usize = 65_536;

/// How deep quotes and lists may stand in one another; what is deeper is lifted to this depth.
pub const MAX_DEPTH: usize = 24;

/// The text's beginning of at most `max` bytes, not cut inside a character.
fn head(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}
