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

pub mod names;
pub mod to_irc;
pub mod to_matrix;

#[cfg(test)]
mod round_trip;
