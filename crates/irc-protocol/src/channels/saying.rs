//! What is said, and what belongs to it: `PRIVMSG`, `NOTICE`, `TAGMSG`, `REDACT`.

use super::{Channels, Happening, Incoming, time::server_time_ms};
use crate::{Isupport, Source, ctcp::cut};

/// Where something was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a channel.
    Channel {
        /// Which.
        name: String,
        /// The lowest prefix of those who hear it, where not all do (STATUSMSG).
        status: Option<char>,
    },
    /// To this connection alone.
    Private,
    /// To somebody else (what this connection said itself, echoed), or to many (`$$*`).
    Other {
        /// To whom, as the line has it.
        target: String,
    },
}

/// What somebody does who may be writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typing {
    /// They write.
    Active,
    /// They have begun and stopped for now.
    Paused,
    /// They write no longer.
    Done,
}

/// How something was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A message.
    Text,
    /// A notice, which nothing may answer by itself.
    Notice,
    /// What somebody does (`/me`).
    Action,
    /// A question to the program (CTCP).
    Ctcp {
        /// What it asks for, in upper case.
        command: String,
        /// What follows.
        args: Vec<u8>,
    },
    /// A program's answer (CTCP in a notice).
    CtcpReply {
        /// What it answers, in upper case.
        command: String,
        /// The answer.
        args: Vec<u8>,
    },
}

/// Something that was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Where.
    pub place: Place,
    /// Who.
    pub who: Source,
    /// Whether it was this connection itself (echo-message, `znc.in/self-message`).
    pub is_own: bool,
    /// Whether it was a server.
    pub is_server: bool,
    /// How.
    pub kind: Kind,
    /// The words; of an action without the marks, of a CTCP what follows its command.
    pub text: Vec<u8>,
    /// The message's id (message-ids).
    pub msgid: Option<String>,
    /// When it was said, in milliseconds since the epoch (server-time).
    pub time_ms: Option<i64>,
    /// The account that they are logged in to, where it is said or was known before.
    pub account: Option<String>,
    /// The msgid of what it answers (`+reply`, `+draft/reply`).
    pub reply_to: Option<String>,
    /// What this connection called it (labeled-response).
    pub label: Option<String>,
    /// Who said it in another's name (draft/relaymsg).
    pub relayed_by: Option<String>,
    /// Whether it is said by a program (the tag `bot`).
    pub is_bot: bool,
}

impl Channels {
    pub(super) fn understand_said(&self, incoming: &Incoming<'_>) -> Vec<Happening> {
        match incoming.line.command.as_str() {
            "PRIVMSG" => Vec::from_iter(self.take_said(incoming, false)),
            "NOTICE" => Vec::from_iter(self.take_said(incoming, true)),
            "TAGMSG" => self.take_tags(incoming),
            "REDACT" => Vec::from_iter(self.take_redact(incoming)),
            _ => Vec::new(),
        }
    }

    fn take_said(&self, incoming: &Incoming<'_>, is_notice: bool) -> Option<Happening> {
        let text = incoming.line.param(1)?;
        let place = self.place_of(incoming);
        let source = incoming.source();
        let is_server = source.name.is_empty() || source.may_be_server();
        if is_server && !matches!(place, Place::Channel { .. }) {
            let (from, text) = (source.name, text.to_vec());
            return Some(Happening::ServerNotice { from, text });
        }
        let tag = |key: &str| incoming.line.tags.get(key).map(str::to_owned);
        let either = |one: &str, other: &str| tag(one).or_else(|| tag(other));
        let (kind, text) = kind_of(text, is_notice);
        Some(Happening::Said(Box::new(Said {
            place,
            is_own: incoming.is_me(&source.name),
            is_server,
            kind,
            text,
            msgid: tag("msgid"),
            time_ms: incoming.line.tags.get("time").and_then(server_time_ms),
            account: self.account(incoming),
            reply_to: either("+reply", "+draft/reply"),
            label: tag("label"),
            relayed_by: either("draft/relaymsg", "relaymsg"),
            is_bot: either("bot", "draft/bot").is_some(),
            who: self.teller(incoming),
        })))
    }

    /// Who says it. What is known now need not be so when history was made.
    fn teller(&self, incoming: &Incoming<'_>) -> Source {
        let source = incoming.source();
        if incoming.is_history() {
            source
        } else {
            self.whole(source)
        }
    }

    fn account(&self, incoming: &Incoming<'_>) -> Option<String> {
        if let Some(account) = incoming.line.tags.get("account") {
            return Some(account.to_owned());
        }
        if incoming.is_history() {
            return None;
        }
        let person = self.people.get(&self.fold(incoming.line.from_name()))?;
        person.account.as_deref().map(str::to_owned)
    }

    fn place_of(&self, incoming: &Incoming<'_>) -> Place {
        let target = incoming.text(0);
        let isupport = incoming.isupport;
        let (status, name) = match isupport.target(&target) {
            (None, name) if !isupport.is_channel(name) => several_prefixes(isupport, name),
            found => found,
        };
        if isupport.is_channel(name) {
            let name = self.shown(name);
            Place::Channel { name, status }
        } else if incoming.is_me(&target) {
            Place::Private
        } else {
            let target = target.into_owned();
            Place::Other { target }
        }
    }

    fn take_tags(&self, incoming: &Incoming<'_>) -> Vec<Happening> {
        let tags = &incoming.line.tags;
        let Some(who) = incoming.line.source.as_ref().map(|_| self.teller(incoming)) else {
            return Vec::new();
        };
        let place = self.place_of(incoming);
        let to = tags.get("+reply").or_else(|| tags.get("+draft/reply"));
        let mut happenings = Vec::new();
        for (key, value) in tags.iter() {
            let happening = match (key, to) {
                ("+draft/react" | "+react" | "+draft/unreact" | "+unreact", Some(to)) => {
                    (!value.is_empty()).then(|| Happening::Reacted {
                        place: place.clone(),
                        who: who.clone(),
                        to: to.to_owned(),
                        reaction: value.to_owned(),
                        is_undone: key.ends_with("unreact"),
                    })
                }
                ("+typing" | "+draft/typing", _) => typing(value).map(|state| Happening::Typing {
                    place: place.clone(),
                    who: who.clone(),
                    state,
                }),
                _ => None,
            };
            happenings.extend(happening);
        }
        happenings
    }

    /// `REDACT target msgid :reason`
    fn take_redact(&self, incoming: &Incoming<'_>) -> Option<Happening> {
        let target = incoming.text(1).into_owned();
        (!target.is_empty()).then(|| Happening::Redacted {
            place: self.place_of(incoming),
            who: self.teller(incoming),
            target,
            reason: incoming.reason(2),
        })
    }
}

/// Reads `@+#chan`: those with the lowest of the prefixes hear it, and all above.
fn several_prefixes<'a>(isupport: &Isupport, target: &'a str) -> (Option<char>, &'a str) {
    let statuses = isupport.get("STATUSMSG").unwrap_or_default();
    let name = target.trim_start_matches(|c| statuses.contains(c));
    let prefixes = target[..target.len() - name.len()].chars();
    let lowest = prefixes.max_by_key(|prefix| isupport.rank(isupport.mode_of(*prefix)?));
    (lowest, name)
}

fn typing(state: &str) -> Option<Typing> {
    match state {
        "active" => Some(Typing::Active),
        "paused" => Some(Typing::Paused),
        "done" => Some(Typing::Done),
        _ => None,
    }
}

/// How it is said, and the words alone.
fn kind_of(text: &[u8], is_notice: bool) -> (Kind, Vec<u8>) {
    let Some((command, args)) = cut(text) else {
        let kind = if is_notice { Kind::Notice } else { Kind::Text };
        return (kind, text.to_vec());
    };
    let args = args.to_vec();
    let kind = match (command.as_str(), is_notice) {
        ("ACTION", false) => Kind::Action,
        (_, false) => Kind::Ctcp {
            command,
            args: args.clone(),
        },
        (_, true) => Kind::CtcpReply {
            command,
            args: args.clone(),
        },
    };
    (kind, args)
}
