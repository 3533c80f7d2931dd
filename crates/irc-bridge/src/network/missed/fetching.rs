//! What one person has missed, while it is fetched: what is asked for next, and what of the answers is news.
//!
//! ```text
//! where was something said? ─▶ a talk ─▶ its pages, one after another ─▶ the next talk … ─▶ over
//! ```
//!
//! What is said to them meanwhile by those whose talks are yet to come waits, for a while.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use bridgehead_irc_protocol::{
    Line,
    channels::{Place as Where, Said, server_time_ms},
    history::LastSaid,
};

use super::page::{self, Fetched};
use crate::link::drive::LineId;

/// Talks that are fetched when a person comes back.
pub(super) const MAX_TALKS: usize = 50;
/// Questions for where something was said: channels are among the answers.
const MAX_LISTS: usize = 10;
/// Lines of one answer that are looked at; servers are asked for fewer.
const MAX_PAGE: usize = 200;
/// What is said meanwhile waits; so much of it, and for so long.
const MAX_HELD: usize = 1000;
const MAX_WAIT: Duration = Duration::from_secs(20);
/// Lines that are known to have been brought; more come again where the server gives them no ids.
const MAX_BROUGHT: usize = 10_000;

/// What one person has missed, while it is fetched.
#[derive(Debug)]
pub(super) struct Fetching {
    /// What was said until then was heard.
    since_ms: i64,
    /// When that was said which was heard last by now.
    newest_ms: i64,
    /// From when on, and how often yet, it is asked where something was said; `None` once it is known.
    listing: Option<(i64, usize)>,
    talks: VecDeque<Talk>,
    /// By folded nick: how far talks were fetched.
    reached: BTreeMap<String, i64>,
    /// Something was asked for, and the answer has not come.
    is_asked: bool,
    /// What has come of the answer so far: what others have said, and the ids of all of it.
    page: Vec<Said>,
    ids: BTreeSet<String>,
    /// What others say now.
    held: Vec<Held>,
    holds_until: Instant,
    brought: BTreeSet<String>,
}

/// Something that is said now, and waits.
#[derive(Debug)]
pub(super) struct Held {
    /// By whom, folded.
    folded: String,
    pub(super) said: Said,
    /// The line that has said it, where the keeper has it.
    pub(super) line: Option<LineId>,
}

/// A talk that is to be fetched.
#[derive(Debug)]
struct Talk {
    nick: String,
    folded: String,
    /// What was said before is fetched.
    from_ms: i64,
    /// Messages that may still be asked for.
    left: usize,
}

/// What is to be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Where something was said since then.
    Talks { since_ms: i64 },
    /// What was said in a talk behind that, and how much of it.
    Talk {
        nick: String,
        after_ms: i64,
        page: usize,
    },
}

impl Fetching {
    pub(super) fn new(since_ms: i64, now: Instant) -> Self {
        Self {
            since_ms,
            newest_ms: since_ms,
            listing: Some((since_ms, MAX_LISTS)),
            talks: VecDeque::new(),
            reached: BTreeMap::new(),
            is_asked: false,
            page: Vec::new(),
            ids: BTreeSet::new(),
            held: Vec::new(),
            holds_until: now + MAX_WAIT,
            brought: BTreeSet::new(),
        }
    }

    /// The connection is another one: what the last had no time for is asked for again.
    pub(super) fn begin_again(&mut self, now: Instant) {
        self.listing = Some((self.since_ms, MAX_LISTS));
        self.talks.clear();
        self.is_asked = false;
        self.forget_page();
        self.holds_until = now + MAX_WAIT;
    }

    /// What has come of an answer was the answer to another question.
    pub(super) fn forget_page(&mut self) {
        self.page.clear();
        self.ids.clear();
    }

    /// Up to when all is known, once nothing is left to ask for.
    pub(super) fn newest_ms(&self) -> i64 {
        self.newest_ms
    }

    /// Whether an answer is waited for.
    pub(super) fn is_asked(&self) -> bool {
        self.is_asked
    }

    /// What is asked for next, of so many messages at most; nothing, once all is fetched.
    pub(super) fn next(&mut self, page: usize) -> Option<Question> {
        let question = match (&self.listing, self.talks.front_mut()) {
            // Of one millisecond there may be several, of which not all were heard; those that were are known.
            (Some((from_ms, _)), _) => Question::Talks {
                since_ms: from_ms - 1,
            },
            (None, Some(talk)) => {
                let page = page.min(talk.left);
                talk.left -= page;
                Question::Talk {
                    nick: talk.nick.clone(),
                    after_ms: talk.from_ms - 1,
                    page,
                }
            }
            (None, None) => return None,
        };
        self.is_asked = true;
        Some(question)
    }

    /// The server has told where something was said, of so many places at most; others than talks are left out by who
    /// knows. Gives back whether there are more talks than are fetched.
    pub(super) fn listed(
        &mut self,
        lines: &[Line],
        (page, messages): (usize, usize),
        talk_of: impl Fn(&str) -> Option<String>,
    ) -> bool {
        self.is_asked = false;
        let Some((from_ms, left)) = self.listing.take() else {
            return false;
        };
        let all = lines.iter().filter_map(LastSaid::of_line);
        let all: Vec<LastSaid> = all.take(page).collect();
        for last in &all {
            let Some(folded) = talk_of(&last.target) else {
                continue;
            };
            if self.talks.iter().any(|talk| talk.folded == folded) {
                continue;
            }
            if self.talks.len() >= MAX_TALKS {
                return true;
            }
            let reached = self.reached.get(&folded).copied();
            self.talks.push_back(Talk {
                nick: last.target.clone(),
                from_ms: reached.unwrap_or(self.since_ms),
                folded,
                left: messages,
            });
        }
        let last_ms = all.iter().map(|last| last.at_ms).max();
        let goes_on = all.len() >= page && last_ms.is_some_and(|last_ms| last_ms > from_ms);
        if goes_on && left > 1 {
            self.listing = last_ms.map(|last_ms| (last_ms, left - 1));
        }
        goes_on && left <= 1
    }

    /// A line of what was has come.
    pub(super) fn hear(&mut self, said: &Said) {
        let is_talk = matches!(said.place, Where::Private | Where::Other { .. });
        if !self.is_asked || !is_talk {
            return;
        }
        if self.ids.len() < MAX_PAGE {
            self.ids.extend(said.msgid.clone());
        }
        let is_others = said.place == Where::Private && !said.is_own && !said.is_server;
        if is_others && self.page.len() < MAX_PAGE {
            self.page.push(said.clone());
        }
    }

    /// A page of a talk is complete.
    pub(super) fn fetched(&mut self, lines: &[Line], page: usize) -> Fetched {
        self.is_asked = false;
        let said = std::mem::take(&mut self.page);
        let ids = std::mem::take(&mut self.ids);
        let Some(talk) = self.talks.front_mut() else {
            return Fetched::default();
        };
        let from_ms = talk.from_ms;
        let times = lines.iter().filter_map(|line| line.tags.get("time"));
        let times = times.filter_map(server_time_ms);
        let times = times.chain(said.iter().filter_map(|said| said.time_ms));
        talk.from_ms = times.fold(from_ms, i64::max);
        self.reached.insert(talk.folded.clone(), talk.from_ms);
        self.newest_ms = self.newest_ms.max(talk.from_ms);
        let has_more = page::count(lines, ids) >= page;
        let is_over = !has_more || talk.left == 0;
        let cut = (is_over && has_more).then(|| (talk.nick.clone(), talk.from_ms));
        let mut news = said;
        let since_ms = self.since_ms;
        news.retain(|said| page::is_younger(said, since_ms) && self.note_told(said));
        let held = match is_over {
            true => self.leave_talk(),
            false => Vec::new(),
        };
        Fetched { news, held, cut }
    }

    /// What was asked for cannot be had. Where that is a talk, gives back with whom, and what has waited for it.
    pub(super) fn give_up(&mut self) -> Option<(String, Vec<Held>)> {
        self.is_asked = false;
        self.forget_page();
        if self.listing.take().is_some() {
            return None;
        }
        let nick = self.talks.front()?.nick.clone();
        Some((nick, self.leave_talk()))
    }

    fn leave_talk(&mut self) -> Vec<Held> {
        self.talks.pop_front();
        self.release(false)
    }

    /// Takes what somebody says now, if it waits for what they have said before.
    pub(super) fn hold(
        &mut self,
        folded: &str,
        (said, line): (&Said, Option<LineId>),
        now: Instant,
    ) -> bool {
        let may_wait = now < self.holds_until || self.holds();
        let waits = self.is_awaited(folded) && may_wait && self.held.len() < MAX_HELD;
        if waits {
            self.held.push(Held {
                folded: folded.to_owned(),
                said: said.clone(),
                line,
            });
        }
        waits
    }

    /// Whether something that somebody has said before may be yet to come.
    fn is_awaited(&self, folded: &str) -> bool {
        self.listing.is_some() || self.talks.iter().any(|talk| talk.folded == folded)
    }

    /// What waits for nothing any more, and has not come by the history: of those whose talks are fetched, or of all.
    pub(super) fn release(&mut self, is_all: bool) -> Vec<Held> {
        let all = std::mem::take(&mut self.held).into_iter();
        let (held, mut free): (Vec<_>, Vec<_>) =
            all.partition(|held| !is_all && self.is_awaited(&held.folded));
        self.held = held;
        free.retain(|held| self.note_told(&held.said));
        free
    }

    fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// The lines that wait.
    pub(super) fn waiting_lines(&self) -> impl Iterator<Item = LineId> {
        self.held.iter().filter_map(|held| held.line)
    }

    /// Whether it has waited for too long.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        self.holds() && (self.holds_until <= now || self.held.len() >= MAX_HELD)
    }

    /// Something that was said now is brought.
    pub(super) fn brings(&mut self, said: &Said) {
        self.note_told(said);
        self.newest_ms = said
            .time_ms
            .map_or(self.newest_ms, |at_ms| at_ms.max(self.newest_ms));
    }

    /// Whether something was not brought before, as far as is known; it is from now on.
    fn note_told(&mut self, said: &Said) -> bool {
        let key = page::key(said);
        if self.brought.len() >= MAX_BROUGHT {
            return !self.brought.contains(&key);
        }
        self.brought.insert(key)
    }
}
