//! Matrix's HTML: read into blocks, and written from them.
//!
//! Reading has three steps. `guard` copies the tags that Matrix knows, closed in order and limited in number and depth,
//! because HTML parsers build trees as deep as their input is long, and repeat open marks for every paragraph. Then
//! ruma's parser and sanitizer make the tree, and `read` turns it into blocks.

mod guard;
mod read;
mod tags;
#[cfg(test)]
mod tests;
mod write;

pub(super) use self::{guard::Omit, read::read, write::write};
