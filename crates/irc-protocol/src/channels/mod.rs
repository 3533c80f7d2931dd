//! What an onlooker knows of channels and people.
//!
//! One [`Channels`] is fed with all lines of one connection, in their order. It says what each line means
//! ([`Happening`]), and keeps what is to be known at any time: members and what they may do, topic, modes, lists. It sends
//! nothing: what has to be asked for again it names ([`needs_names`](Channels::needs_names)). It decodes no texts and
//! answers nothing.
//!
//! ```text
//! Line ──▶ Channels ──▶ Happening …     what is new
//!             └───────▶ Channel, Member  what is so
//! ```
//!
//! Names are the same as the network folds them. People are kept once however many channels they are in, and forgotten
//! when they are seen in none. What history repeats (the batch `chathistory`) is told and changes nothing.
//!
//! - `happening` what a line means
//! - `channel`, `people`, `standing`, `lists` what is kept
//! - `keeping` who is where, and by which names
//! - `entering`, `names`, `describing`, `persons`, `saying`, `telling` how lines are understood
//! - `time` instants as servers write them
//! - `bounds` what is kept at most

mod bounds;
mod channel;
mod describing;
mod entering;
mod happening;
mod keeping;
mod lists;
mod names;
mod people;
mod persons;
mod saying;
mod standing;
mod telling;
#[cfg(test)]
mod tests;
mod time;

use std::{borrow::Cow, collections::BTreeMap};

pub use self::{
    bounds::Bounds,
    channel::{Channel, ListEntry, Member, Topic},
    happening::{Happening, ReplyKind},
    names::WHOX_FIELDS,
    saying::{Kind, Place, Said, Typing},
    time::{server_time, server_time_ms},
};
use self::{
    channel::Record,
    lists::Lists,
    people::{Name, People, Person},
};
use crate::{CaseMapping, Isupport, Line, Source};

/// What an onlooker knows of channels and people, from the lines of one connection.
#[derive(Debug, Default)]
pub struct Channels {
    bounds: Bounds,
    case_mapping: CaseMapping,
    /// The modes of `PREFIX`, from the highest down.
    ranks: Vec<char>,
    shows_all_prefixes: bool,
    people: People,
    channels: BTreeMap<Name, Record>,
    /// Members of all channels together.
    memberships: usize,
    lists: Lists,
    /// A channel and its topic (332), until it is known whether a 333 says who set it.
    topic_told: Option<(String, Vec<u8>)>,
    dropped: u64,
}

/// A line, and what it has to be understood with.
struct Incoming<'a> {
    line: &'a Line,
    me: &'a str,
    isupport: &'a Isupport,
    batch: Option<&'a str>,
}

impl<'a> Incoming<'a> {
    fn text(&self, at: usize) -> Cow<'a, str> {
        self.line.text(at)
    }

    /// A text that may be missing, or empty, which is the same.
    fn reason(&self, at: usize) -> Option<Vec<u8>> {
        let reason = self.line.param(at).filter(|reason| !reason.is_empty());
        reason.map(<[u8]>::to_vec)
    }

    fn source(&self) -> Source {
        self.line.source.clone().unwrap_or_default()
    }

    fn is_me(&self, nick: &str) -> bool {
        self.isupport.case_mapping().is_same(self.me, nick)
    }

    /// Whether it repeats what was, instead of telling what is.
    fn is_history(&self) -> bool {
        self.batch
            .is_some_and(|kind| kind.ends_with("chathistory") || kind == "znc.in/playback")
    }
}

impl Channels {
    /// Of a connection that is in no channel yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with other bounds.
    #[must_use]
    pub fn bounded(bounds: Bounds) -> Self {
        Self {
            bounds,
            ..Self::default()
        }
    }

    /// Whether names show all prefixes of a member (multi-prefix, `NAMESX`): to be said once that is agreed upon, for each
    /// connection anew. Unless it is said, it is found out when a member with two is shown; until then what is below the
    /// highest counts as not known.
    pub fn set_shows_all_prefixes(&mut self, shows_all: bool) {
        self.shows_all_prefixes = shows_all;
    }

    /// Takes a line that is in no batch. `me` is the connection's own nick.
    pub fn take(&mut self, line: &Line, me: &str, isupport: &Isupport) -> Vec<Happening> {
        self.take_in(line, me, isupport, None)
    }

    /// Takes a line of a batch: `netsplit` and `netjoin` say why people quit and come, and `chathistory` that it was before.
    /// Of batches in each other, the outer one is to be said.
    pub fn take_in(
        &mut self,
        line: &Line,
        me: &str,
        isupport: &Isupport,
        batch: Option<&str>,
    ) -> Vec<Happening> {
        self.follow(isupport);
        let incoming = Incoming {
            line,
            me,
            isupport,
            batch,
        };
        let mut happenings = Vec::from_iter(self.topic_without_setter(&incoming));
        happenings.extend(if incoming.is_history() {
            self.understand_said(&incoming)
        } else {
            self.learn_source(&incoming);
            self.understand(&incoming)
        });
        happenings
    }

    fn understand(&mut self, incoming: &Incoming<'_>) -> Vec<Happening> {
        if let Some(numeric) = incoming.line.numeric() {
            return self.understand_numeric(numeric, incoming);
        }
        match incoming.line.command.as_str() {
            "JOIN" => self.take_join(incoming),
            "PART" => self.take_part(incoming),
            "KICK" => Vec::from_iter(self.take_kick(incoming)),
            "QUIT" => Vec::from_iter(self.take_quit(incoming)),
            "NICK" => Vec::from_iter(self.take_nick(incoming)),
            "TOPIC" => Vec::from_iter(self.take_topic(incoming)),
            "MODE" => Vec::from_iter(self.take_mode(incoming)),
            "RENAME" => Vec::from_iter(self.take_rename(incoming)),
            "AWAY" => Vec::from_iter(self.take_away(incoming)),
            "ACCOUNT" => Vec::from_iter(self.take_account(incoming)),
            "CHGHOST" => Vec::from_iter(self.take_host(incoming)),
            "SETNAME" => Vec::from_iter(self.take_realname(incoming)),
            "INVITE" => Vec::from_iter(self.take_invite(incoming)),
            "FAIL" | "WARN" | "NOTE" => Vec::from_iter(telling::reply(incoming)),
            _ => self.understand_said(incoming),
        }
    }

    fn understand_numeric(&mut self, numeric: u16, incoming: &Incoming<'_>) -> Vec<Happening> {
        Vec::from_iter(match numeric {
            315 => self.take_end_of_who(incoming),
            324 => self.take_modes_told(incoming),
            328 => self.take_url(incoming),
            329 => self.take_created(incoming),
            331 => self.take_no_topic(incoming),
            332 => self.take_topic_told(incoming),
            333 => self.take_topic_setter(incoming),
            352 => self.take_who(incoming),
            353 => self.take_names(incoming),
            354 => self.take_whox(incoming),
            366 => self.take_end_of_names(incoming),
            346..=349 | 367 | 368 | 728 | 729 => self.take_list(numeric, incoming),
            730 | 731 => return telling::watched(numeric, incoming),
            710 => self.take_knock(incoming),
            _ => telling::numeric(numeric, incoming),
        })
    }

    /// Somebody's user, host and account, from any line of theirs.
    fn learn_source(&mut self, incoming: &Incoming<'_>) {
        if let Some(source) = &incoming.line.source {
            let account = incoming.line.tags.get("account");
            let name = self.fold(&source.name);
            self.people.learn(&name, source, account);
        }
    }

    /// A channel that the connection is in.
    #[must_use]
    pub fn channel(&self, name: &str) -> Option<Channel<'_>> {
        let record = self.channels.get(self.fold(name).as_str())?;
        Some(self.view(record))
    }

    /// The channels that the connection is in, in the order of their names.
    pub fn joined(&self) -> impl Iterator<Item = Channel<'_>> {
        self.channels.values().map(|record| self.view(record))
    }

    fn view<'a>(&'a self, record: &'a Record) -> Channel<'a> {
        Channel {
            channels: self,
            record,
        }
    }

    /// The channels in which somebody is seen.
    #[must_use]
    pub fn whereabouts(&self, nick: &str) -> Vec<&str> {
        let person = self.people.get(&self.fold(nick));
        let channels = person.map_or(&[][..], |person| &person.channels);
        let records = channels.iter().filter_map(|name| self.channels.get(name));
        records.map(|record| record.name.as_str()).collect()
    }

    /// The highest mode of `PREFIX` that somebody is known to hold in a channel.
    #[must_use]
    pub fn standing(&self, channel: &str, nick: &str) -> Option<char> {
        let record = self.channels.get(self.fold(channel).as_str())?;
        let standing = record.members.get(self.fold(nick).as_str())?;
        standing.highest(&self.ranks)
    }

    /// The channels whose names have to be asked for again: a member lost a mode, and what is below it was never shown.
    /// They stay here until the names have come.
    #[must_use]
    pub fn needs_names(&self) -> Vec<String> {
        let records = self.channels.values();
        let doubtful = records.filter(|record| !record.doubtful.is_empty());
        doubtful.map(|record| record.name.clone()).collect()
    }

    /// How many names, masks and channels were not kept because there are bounds.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The connection is gone, and with it all that is known.
    pub fn clear(&mut self) {
        *self = Self {
            bounds: self.bounds,
            dropped: self.dropped,
            ..Self::default()
        };
    }

    fn fold(&self, name: &str) -> String {
        self.case_mapping.fold(name)
    }

    /// A channel's name as when it was entered.
    fn shown(&self, channel: &str) -> String {
        let record = self.channels.get(self.fold(channel).as_str());
        record.map_or_else(|| channel.to_owned(), |record| record.name.clone())
    }

    /// Who it is, with user and host from before where the line does not say them.
    fn whole(&self, source: Source) -> Source {
        if source.user.is_some() && source.host.is_some() {
            return source;
        }
        let person = self.people.get(&self.fold(&source.name));
        let known = person.map(Person::source).unwrap_or_default();
        Source {
            name: source.name,
            user: source.user.or(known.user),
            host: source.host.or(known.host),
        }
    }

    /// Whom a line is from; `None` where it is from nobody that has a name.
    fn who(&self, incoming: &Incoming<'_>) -> Option<Source> {
        let source = incoming.source();
        (!source.name.is_empty()).then(|| self.whole(source))
    }
}
