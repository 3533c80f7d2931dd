//! What is said on IRC, as it comes to Matrix: whose it is, what it answers, which thread it belongs to.

use std::time::{Duration, Instant, SystemTime};

use bridgehead_appservice::{
    Content,
    bridge::{RemoteMessage, RemotePresence},
    id::UserId,
};
use bridgehead_irc_protocol::{
    Line, Source,
    channels::{Kind, Place as Where, Said},
    ctcp, encoding,
    session::Priority,
};

use super::{Directory, Hub, Owner, deeds::Deed};
use crate::{
    Irc,
    clock::now,
    ids::{Nick, Place, own_message_id, part_id},
    link::drive::Order,
    text::{
        to_irc::thread::marked,
        to_matrix::{self, Voice},
    },
};

/// Programs' questions that are answered at once after a quiet time, and the time in which one more may be.
const ANSWERS_AT_ONCE: u32 = 4;
const ANSWER_EVERY: Duration = Duration::from_secs(5);
/// A server's clock may be so far ahead; what it says was said later is taken to be said now.
pub(super) const FUTURE_MS: i64 = 60_000;

/// How many questions of programs may still be answered (CTCP): others must not make the bridge flood.
#[derive(Debug)]
pub(super) struct Patience {
    left: u32,
    since: Instant,
}

impl Patience {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            left: ANSWERS_AT_ONCE,
            since: now,
        }
    }

    /// Whether one more is answered.
    fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.since).as_secs() / ANSWER_EVERY.as_secs();
        if passed > 0 {
            let more = u32::try_from(passed).unwrap_or(u32::MAX);
            self.left = self.left.saturating_add(more).min(ANSWERS_AT_ONCE);
            self.since = now;
        }
        let has_left = self.left > 0;
        self.left = self.left.saturating_sub(1);
        has_left
    }
}

impl Hub {
    /// Something was said where the observer hears it.
    pub(super) fn said(&mut self, said: &Said) {
        let Some(place) = self.place_of(&said.place) else {
            if said.place == Where::Private {
                self.told_bot(said);
            }
            return;
        };
        let Some(channel) = place.as_channel().map(str::to_owned) else {
            return;
        };
        if let Some(own) = self.whose(said) {
            let text = wire_text(said);
            let msgid = said.msgid.as_deref();
            let client = self.client(&own);
            client.overheard((&channel, &text), msgid, now());
            client.settle();
            return;
        }
        if said.is_own || said.is_server || !self.is_bridged(&channel) {
            return;
        }
        self.note_seen_to_be(&said.who);
        self.bring(place, said);
    }

    /// Which of the bridge's clients has said it; under another's name too (draft/relaymsg).
    pub(super) fn whose(&self, said: &Said) -> Option<Owner> {
        let by = said.relayed_by.as_deref().unwrap_or(&said.who.name);
        self.own(by)
    }

    pub(super) fn bring(&mut self, place: Place, said: &Said) {
        for message in self.messages(place, said) {
            self.deed(Deed::Message(message));
        }
    }

    /// Who speaks before it was told who is there, from outside, or just before they go, is called as they write
    /// themselves.
    fn is_written_so(&self, place: &Place, nick: &str) {
        let mut directory = self.directory.write();
        let written = place.as_channel();
        let written = written.and_then(|channel| directory.written(channel, nick));
        if written != Some(nick) {
            directory.met(nick);
        }
    }

    /// What was said, as messages of Matrix.
    pub(super) fn messages(&mut self, place: Place, said: &Said) -> Vec<RemoteMessage<Irc>> {
        // Whom the server names is nobody on IRC: who has named them is, and the message says for whom it is.
        let by = said.relayed_by.as_deref().unwrap_or(&said.who.name);
        self.is_written_so(&place, by);
        let nick = self.nick(by);
        let id = said.msgid.clone().unwrap_or_else(|| match self.line {
            // Whichever run takes the line, it is the same message.
            Some(line) => own_message_id(line.epoch.cast_unsigned(), line.number),
            None => {
                self.heard += 1;
                own_message_id(self.run, self.heard)
            }
        });
        let bytes = wire_text(said);
        let encoding = self.settings.encoding_of(place.as_channel());
        let (words, _) = encoding::decode(&bytes, Some(encoding));
        let mut words = words.as_ref();
        let mark = marked(words);
        let root = self
            .threads
            .lock()
            .heard(&place, mark.map(|(mark, _)| mark));
        if let (Some(_), Some((_, rest))) = (&root, mark) {
            words = rest;
        }
        // Nearly always one; the parts of a text that is too long for an event have ids of their own.
        let mut messages = Vec::new();
        for (at, content) in self.contents(said, words, &place).into_iter().enumerate() {
            let id = match at {
                0 => id.clone(),
                _ => part_id(at, &id),
            };
            let content = match &root {
                Some(root) => content.in_thread(root, root),
                None => content,
            };
            let mut message = RemoteMessage::new(id, place.clone(), nick.clone(), content);
            message.ts_ms = said.time_ms.filter(|time| *time <= now_ms() + FUTURE_MS);
            if let (Some(channel), Some(at_ms)) = (place.as_channel(), message.ts_ms) {
                self.history.heard.hear(channel, at_ms);
            }
            message.reply_to = said.reply_to.clone();
            messages.push(message);
        }
        messages
    }

    fn contents(&self, said: &Said, words: &str, place: &Place) -> Vec<Content> {
        let directory = self.directory.read();
        let lookup = |nick: &str| self.mention(&directory, place, nick);
        let is_bot = || {
            let messages = &self.settings.messages;
            messages.is_relay_bot(&said.who, directory.case_mapping())
        };
        let heard = to_matrix::Heard {
            text: words,
            is_notice: matches!(said.kind, Kind::Notice | Kind::CtcpReply { .. }),
            voice: match &said.relayed_by {
                Some(_) => Voice::Relayed(&said.who.name),
                None if is_bot() => Voice::Bot,
                None => Voice::Own,
            },
        };
        let people = to_matrix::People {
            lookup: &lookup,
            rules: &self.mention_rules,
        };
        to_matrix::to_matrix(&heard, &people)
    }

    /// Whom a word means: somebody of the channel, or a person of Matrix by their nick.
    fn mention(
        &self,
        directory: &Directory,
        place: &Place,
        word: &str,
    ) -> Option<(UserId, String)> {
        if let Some(Owner::Person(person)) = directory.owner(word) {
            return Some((person.clone(), word.to_owned()));
        }
        let channel = place.as_channel()?;
        let written = directory.written(channel, word)?;
        let nick = Nick::new(&self.name, word, directory.case_mapping());
        let ghost = self.remote.ghost_id(&nick).ok()?;
        Some((ghost, written.to_owned()))
    }

    /// Answers a program's question, of what may be told to anybody; whether it is one of those, answered or not.
    pub(super) fn answer_ctcp(&mut self, owner: &Owner, said: &Said) -> bool {
        if !matches!(said.kind, Kind::Ctcp { .. }) {
            return false;
        }
        let facts = ctcp::Facts {
            version: concat!("bridgehead-irc ", env!("CARGO_PKG_VERSION")),
            ..ctcp::Facts::default()
        };
        let text = wire_text(said);
        let Some(answer) = facts.answer("PRIVMSG", &String::from_utf8_lossy(&text)) else {
            return false;
        };
        if self.patience.take(now()) {
            let line = Line::new("NOTICE", [said.who.name.as_str(), answer.as_str()]);
            if let Some(live) = self.client(owner).live.as_mut() {
                let _ = live.link.order(Order::Send(line, Priority::Membership));
            }
        }
        true
    }

    /// Somebody is away, or back.
    pub(super) fn away(&mut self, who: &Source, reason: Option<&[u8]>) {
        let presence = match self.words(None, reason) {
            Some(reason) => RemotePresence::Away(Some(reason)),
            None => RemotePresence::Online,
        };
        self.tell_presence(&who.name, presence);
    }
}

/// What was said as it stood on the wire.
pub(super) fn wire_text(said: &Said) -> Vec<u8> {
    match &said.kind {
        Kind::Action => [b"\x01ACTION ".as_slice(), &said.text, b"\x01"].concat(),
        Kind::Ctcp { command, args } | Kind::CtcpReply { command, args } => {
            [b"\x01", command.as_bytes(), b" ", args.as_slice(), b"\x01"].concat()
        }
        Kind::Text | Kind::Notice => said.text.clone(),
    }
}

/// The present, ms since the Unix epoch, as servers write it.
pub(crate) fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |now| i64::try_from(now.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_answered_with_patience_that_ends() {
        let begin = Instant::now();
        let mut patience = Patience::new(begin);
        let answered = (0..100).filter(|_| patience.take(begin)).count();
        assert_eq!(answered, 4);
        assert!(!patience.take(begin + Duration::from_secs(4)));
        assert!(patience.take(begin + Duration::from_secs(11)));
        assert!(patience.take(begin + Duration::from_secs(11)));
        assert!(!patience.take(begin + Duration::from_secs(11)));
    }
}
