//! Markdown: read into blocks, and written from them.

mod read;
#[cfg(test)]
mod tests;
mod write;

pub(super) use self::{read::read, write::write};
