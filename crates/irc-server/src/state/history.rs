//! What was said, kept for those who ask later (draft/chathistory).

use std::collections::VecDeque;

use bridgehead_irc_protocol::Line;

use super::client::Part;

/// Something that was said, or that happened in a channel.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) msgid: String,
    pub(crate) at_ms: i64,
    /// With its source and all tags. Without a text where there are parts.
    pub(crate) line: Line,
    /// The lines of a message of several; empty for one of one line.
    pub(crate) parts: Vec<Part>,
}

impl Message {
    /// Whether it is no message but something that happened, which only those with draft/event-playback are told later.
    pub(crate) fn is_event(&self) -> bool {
        !matches!(&*self.line.command, "PRIVMSG" | "NOTICE")
    }
}

/// What was said in one channel, or between two people; the oldest first.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// The name of the channel as it was written.
    pub(crate) name: String,
    pub(crate) messages: VecDeque<Message>,
}

impl History {
    pub(crate) fn keep(&mut self, message: Message, limit: usize) {
        self.messages.push_back(message);
        while self.messages.len() > limit {
            self.messages.pop_front();
        }
    }

    pub(crate) fn last_ms(&self) -> i64 {
        self.messages.back().map_or(0, |message| message.at_ms)
    }
}
