//! What is kept at most: a server that says nonsense costs a bounded amount of memory.

use crate::Source;

/// What a [`Channels`](super::Channels) keeps at most. What is beyond it is told as a happening and not remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Channels.
    pub channels: usize,
    /// Members of one channel.
    pub members: usize,
    /// Members of all channels together; somebody in two channels counts twice.
    pub memberships: usize,
    /// Entries of one list of masks.
    pub list_entries: usize,
    /// Entries of all lists together, with those that are still coming in.
    pub all_list_entries: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            channels: 10_000,
            members: 100_000,
            memberships: 1_000_000,
            list_entries: 5_000,
            all_list_entries: 200_000,
        }
    }
}

/// Bytes of a nick, a channel's name or a mask that is kept. No server sends longer ones, for a line has 512.
pub(super) const MAX_NAME_BYTES: usize = 512;
/// Bytes that are kept of a topic; longer ones are cut.
pub(super) const MAX_TOPIC_BYTES: usize = 4096;
/// Modes of a channel that are kept.
pub(super) const MAX_MODES: usize = 64;

/// Whether it can be kept who did something.
pub(super) fn is_short(source: &Source) -> bool {
    let bytes = |part: &Option<String>| part.as_ref().map_or(0, String::len);
    source.name.len() + bytes(&source.user) + bytes(&source.host) <= MAX_NAME_BYTES
}

/// A text that is cut where it is longer than a name may be.
pub(super) fn cut(text: &str) -> Box<str> {
    text[..text.floor_char_boundary(MAX_NAME_BYTES)].into()
}
