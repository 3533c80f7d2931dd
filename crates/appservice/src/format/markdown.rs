//! Markdown: read into blocks, and written from them.

mod read;
mod write;

pub(super) use self::{read::read, write::write};
