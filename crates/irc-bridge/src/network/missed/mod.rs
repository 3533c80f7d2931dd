//! What was said to people alone while they were not connected: fetched where the network keeps it (draft/chathistory).
//!
//! ```text
//! a person is connected, and logged in ─▶ where was something said since? ─▶ each talk, page by page ─▶ what was held
//! ```
//!
//! Networks keep talks for who is logged in: a nick alone may have been anybody's meanwhile, and so nothing is asked for
//! without a login. One thing is asked for at a time, in the turn of the connection's other questions. What people have
//! said themselves by other clients is not brought.
//!
//! - `known` how far talks are known, on disk
//! - `fetching` what is asked for next, and what of the answers is news; each answer is a `page`
//! - `bringing` takes it to the people, and what is said meanwhile behind it
//!
//! Beside it, `history` sees to channels.

mod bringing;
mod fetching;
mod known;
mod page;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use bridgehead_appservice::{
    format::Rich,
    id::UserId,
    store::{Store, StoreError},
};
use bridgehead_irc_protocol::{
    Line,
    channels::{Happening, server_time},
    session::Priority,
};

pub(super) use self::known::Known;
pub(crate) use self::known::TALKS_KNOWN;
use self::{
    fetching::{Fetching, MAX_TALKS, Question},
    known::AllKnown,
    page::Fetched,
};
use super::{
    Hub, Offers, Owner,
    client::Asked,
    deeds::Deed,
    speaking::{FUTURE_MS, now_ms},
};
use crate::{clock::now, ids::is_nick, link::drive::LineId};

/// How often it is written down how far talks are known, where nothing was said in them.
const NOTE_EVERY: Duration = Duration::from_secs(20);
/// So much later than the bridge's a server's clock may be.
const AHEAD_MS: i64 = 86_400_000;

/// What is known of what was said to people while they were not connected.
#[derive(Debug)]
pub(super) struct Missed {
    known: AllKnown,
    /// People who have been looked to since they are connected.
    looked: BTreeSet<UserId>,
    fetching: BTreeMap<UserId, Fetching>,
    noted_at: Instant,
}

impl Missed {
    /// With what is remembered.
    pub(super) async fn load(store: &Store, network: &str) -> Result<Self, StoreError> {
        Ok(Self {
            known: AllKnown::load(store, network).await?,
            looked: BTreeSet::new(),
            fetching: BTreeMap::new(),
            noted_at: now(),
        })
    }

    /// The lines that wait for what was said before them.
    pub(super) fn waiting_lines(&self) -> impl Iterator<Item = LineId> {
        self.fetching.values().flat_map(Fetching::waiting_lines)
    }

    /// What somebody's connection asks for, while it does.
    fn of(&mut self, owner: &Owner) -> Option<(UserId, &mut Fetching)> {
        let person = owner
            .person()
            .filter(|person| self.looked.contains(*person))?;
        Some((person.clone(), self.fetching.get_mut(person)?))
    }
}

impl Hub {
    /// A connection stands, or its login: what its person has missed is looked for, once.
    pub(super) fn look_for_missed(&mut self, owner: &Owner) {
        let live = self
            .clients
            .get(owner)
            .and_then(|client| client.live.as_ref());
        let (Some(person), Some(live)) = (owner.person(), live.filter(|live| live.is_ready)) else {
            return;
        };
        let facts = live.link.facts();
        let is_kept = facts.has_history && facts.account.is_some();
        if !is_kept || self.settings.messages.history == 0 {
            return;
        }
        if !self.missed.looked.insert(person.clone()) {
            return;
        }
        let Some(known) = self.missed.known.get(person) else {
            let begun = self.missed.known.begin(person, now_ms());
            self.note_known(person, begun);
            return;
        };
        // What a keeper has held has missed nothing, unless that was not fetched to its end.
        if facts.resumed.is_some() && !known.is_open {
            return;
        }
        let fetching = self.missed.fetching.entry(person.clone());
        let fetching = fetching.or_insert_with(|| Fetching::new(known.at_ms, now()));
        fetching.begin_again(now());
        let open = self.missed.known.open(person, true);
        self.note_known(person, open);
    }

    fn note_known(&mut self, person: &UserId, known: Option<Known>) {
        if let Some(known) = known {
            self.deed(Deed::Known(person.clone(), known));
        }
    }

    /// Asks for the next thing, when it is this connection's turn.
    pub(super) fn ask_missed(&mut self, owner: &Owner) {
        let live = self
            .clients
            .get_mut(owner)
            .and_then(|client| client.live.as_mut());
        let live = live.filter(|live| live.is_ready && live.may_ask() > 0);
        let (Some(live), Some((person, fetching))) = (live, self.missed.of(owner)) else {
            return;
        };
        if fetching.is_asked() {
            return;
        }
        let page = Offers::of(&live.link.facts()).history;
        let question = page.and_then(|page| Some((fetching.next(page)?, page)));
        let Some((question, page)) = question else {
            self.has_all(owner, &person);
            return;
        };
        let (params, asked) = match question {
            Question::Talks { since_ms } => {
                let until_ms = now_ms().max(since_ms) + AHEAD_MS;
                let [since, until] =
                    [since_ms, until_ms].map(|ms| format!("timestamp={}", server_time(ms)));
                let params = ["TARGETS".to_owned(), since, until, page.to_string()];
                (params, Asked::Talks(page))
            }
            Question::Talk {
                nick,
                after_ms,
                page,
            } => {
                let after = format!("timestamp={}", server_time(after_ms));
                let params = ["AFTER".to_owned(), nick, after, page.to_string()];
                (params, Asked::Talk(page))
            }
        };
        let line = Line::new("CHATHISTORY", params);
        live.ask(line, Priority::Membership, asked);
    }

    /// The server has told where something was said.
    pub(super) fn has_talks(&mut self, owner: &Owner, page: usize, lines: &[Line]) {
        // It may have been turned off meanwhile.
        let messages = self.settings.messages.history.max(1);
        let live = self
            .clients
            .get(owner)
            .and_then(|client| client.live.as_ref());
        let Some(facts) = live.map(|live| live.link.facts()) else {
            return;
        };
        let mapping = self.directory.read().case_mapping();
        let talk_of = |target: &str| {
            let is_own = mapping.is_same(target, &facts.source.name);
            let is_talk = is_nick(target) && !facts.isupport.is_channel(target) && !is_own;
            is_talk.then(|| mapping.fold(target))
        };
        let Some((person, fetching)) = self.missed.of(owner) else {
            return;
        };
        let are_more = fetching.listed(lines, (page, messages), talk_of);
        let free = fetching.release(false);
        if are_more {
            let words = format!(
                "More people on {} have written to you while you were not connected than the {MAX_TALKS} whose words \
                 are fetched at once: what the others have said is missing here.",
                self.name
            );
            self.deed(Deed::Tell(person.clone(), Rich::plain(&words)));
        }
        self.bring_held(owner, &person, free);
    }

    /// A page of a talk has come.
    pub(super) fn has_talk(&mut self, owner: &Owner, page: usize, lines: &[Line]) {
        let Some((person, fetching)) = self.missed.of(owner) else {
            return;
        };
        let Fetched { news, held, cut } = fetching.fetched(lines, page);
        // The line that is taken now is the end of them all, and names none of them.
        let line = self.line.take();
        for said in news {
            self.bring_missed(&person, &said);
        }
        self.line = line;
        if let Some((nick, until_ms)) = cut {
            self.tell_missing(&person, &nick, until_ms);
        }
        self.bring_held(owner, &person, held);
    }

    /// The server does not give what was asked for.
    pub(super) fn has_no_talk(&mut self, owner: &Owner, why: &str) {
        let Some((person, fetching)) = self.missed.of(owner) else {
            return;
        };
        tracing::info!(network = self.name, %person, why, "what was said to a person alone cannot be fetched");
        let since_ms = fetching.newest_ms();
        if let Some((nick, held)) = fetching.give_up() {
            self.tell_missing(&person, &nick, since_ms);
            self.bring_held(owner, &person, held);
        }
    }

    fn tell_missing(&mut self, person: &UserId, nick: &str, since_ms: i64) {
        let since = server_time(since_ms)[..16].replace('T', " ");
        let words = format!(
            "{nick} on {} has written to you while you were not connected: what they said after {since} UTC is missing \
             here, at least in part.",
            self.name
        );
        self.deed(Deed::Tell(person.clone(), Rich::plain(&words)));
    }

    /// Nothing is left to ask for.
    fn has_all(&mut self, owner: &Owner, person: &UserId) {
        let Some(mut fetching) = self.missed.fetching.remove(person) else {
            return;
        };
        let held = fetching.release(true);
        self.bring_held(owner, person, held);
        self.missed
            .known
            .drift(person, believed(fetching.newest_ms()));
        let closed = self.missed.known.open(person, false);
        self.note_known(person, closed);
    }

    /// A line of what was has come to a person's connection.
    pub(super) fn hear_missed(&mut self, owner: &Owner, happening: &Happening) {
        if let (Happening::Said(said), Some((_, fetching))) = (happening, self.missed.of(owner)) {
            fetching.hear(said);
        }
    }

    /// What has come was the answer to another question.
    pub(super) fn hears_other_history(&mut self, owner: &Owner) {
        if let Some((_, fetching)) = self.missed.of(owner) {
            fetching.forget_page();
        }
    }
}

/// A time of a server, as far as it is believed: what was said in the future is not all that will be said until then.
fn believed(at_ms: i64) -> i64 {
    at_ms.min(now_ms() + FUTURE_MS)
}
