//! What was said while nobody listened: fetched where the network keeps it (draft/chathistory), marked as missing where
//! not.
//!
//! ```text
//! in a channel again ─▶ history kept? ─yes─▶ ask AFTER the last that was heard ─▶ pages ─▶ what was held meanwhile
//!                                      └no─▶ a notice with both times, if it was long, and others are there
//! ```
//!
//! What a server plays by itself to who comes in (such as InspIRCd's channel mode `H`) is taken the same way: only what
//! is younger than the last that was heard, and what both sides have is known by its id.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use bridgehead_appservice::format::Rich;
use bridgehead_irc_protocol::{
    Line,
    channels::{Happening, Said, server_time, server_time_ms},
    session::Priority,
};

use super::{Hub, client::Asked, deeds::Deed, memory::Heard, speaking::now_ms};
use crate::{clock::now, link::drive::LineId};

/// What is said in a channel while its history comes waits; so much of it, and for so long.
const MAX_HELD: usize = 1000;
const MAX_WAIT: Duration = Duration::from_secs(20);
/// How often it is noted that the network is connected to.
const ALIVE_EVERY_MS: i64 = 5_000;

/// Whether a batch repeats what was.
pub(super) fn is_history(kind: &str) -> bool {
    kind.ends_with("chathistory") || kind == "znc.in/playback"
}

/// Nicks of the bridge's clients, present and past, that are known.
const MAX_FORMER: usize = 100_000;

/// What is known of what was said while nobody listened.
#[derive(Default)]
pub(super) struct History {
    /// How far channels were heard.
    pub(super) heard: Heard,
    /// By folded channel: how far it was heard before the observer came in last; what is older is not brought again.
    recalled: BTreeMap<String, i64>,
    /// Since when nobody listens, of channels that were listened to.
    unheard: BTreeMap<String, i64>,
    /// Since when nobody has listened, of channels that are told so if somebody else is there: that is known soon.
    gaps: BTreeMap<String, i64>,
    /// Channels whose history is being fetched.
    catching_up: BTreeMap<String, CatchingUp>,
    /// Nicks that the bridge's clients have, or had, as they are written and folded: what a history has of them came from
    /// Matrix.
    former: BTreeMap<String, String>,
    /// When the connection ended that is being seen off, where that is long ago.
    pub(super) over_ms: Option<i64>,
}

impl History {
    /// With what the last run has heard.
    pub(super) fn new(heard: Heard) -> Self {
        let channels = heard.channels.keys();
        Self {
            unheard: channels
                .map(|channel| (channel.clone(), heard.alive_ms))
                .collect(),
            heard,
            ..Self::default()
        }
    }
}

impl History {
    /// Nothing of a channel was missed.
    pub(super) fn note_complete(&mut self, channel: &str) {
        self.unheard.remove(channel);
    }

    /// A channel is called otherwise: what was heard in it goes on. How far that was, where it was heard.
    pub(super) fn move_heard(&mut self, from: &str, to: &str) -> Option<i64> {
        if let Some(since_ms) = self.unheard.remove(from) {
            self.unheard.insert(to.to_owned(), since_ms);
        }
        let at_ms = self.heard.channels.remove(from)?;
        self.heard.hear(to, at_ms);
        Some(at_ms)
    }

    /// Whether what was said in a channel before is being fetched.
    pub(super) fn is_catching_up(&self, channel: &str) -> bool {
        self.catching_up.contains_key(channel)
    }

    /// The lines that wait for the history of their channel.
    pub(super) fn waiting_lines(&self) -> impl Iterator<Item = LineId> {
        self.catching_up.values().flat_map(|it| {
            let held = it.held.iter().filter_map(|(_, line)| *line);
            it.entry.into_iter().chain(held)
        })
    }
}

/// A channel whose history is being fetched.
struct CatchingUp {
    /// What was said since.
    held: Vec<(Said, Option<LineId>)>,
    /// Messages that may still be asked for.
    left: usize,
    until: Instant,
    /// Since when nobody has listened.
    unheard_since_ms: i64,
    /// The line that has told of the entry: a run that begins before all of the history is here asks for it again.
    entry: Option<LineId>,
}

impl Hub {
    /// One of the bridge's clients has this nick, or had it.
    pub(super) fn note_former(&mut self, nick: &str) {
        if self.history.former.len() < MAX_FORMER {
            let folded = self.directory.read().case_mapping().fold(nick);
            self.history.former.insert(folded, nick.to_owned());
        }
    }

    /// The network folds names in another way than was thought.
    pub(super) fn fold_former(&mut self) {
        let mapping = self.directory.read().case_mapping();
        let former = std::mem::take(&mut self.history.former).into_values();
        self.history.former = former.map(|nick| (mapping.fold(&nick), nick)).collect();
    }

    /// The observer listens in a channel from now on.
    pub(super) fn catch_up(&mut self, channel: &str) {
        let folded = self.directory.read().case_mapping().fold(channel);
        let heard_ms = self.history.heard.channels.get(&folded).copied();
        self.history
            .recalled
            .insert(folded.clone(), heard_ms.unwrap_or_else(now_ms));
        let unheard_since_ms = self.history.unheard.remove(&folded);
        if heard_ms.is_none() {
            self.history.heard.hear(&folded, now_ms());
            self.deed(Deed::Heard(folded.clone(), now_ms()));
        }
        let (Some(_), Some(unheard_since_ms)) = (heard_ms, unheard_since_ms) else {
            return;
        };
        let left = self.settings.messages.history;
        let is_kept = self.directory.read().offers().history.is_some();
        if !is_kept || left == 0 {
            self.tell_gap(&folded, unheard_since_ms);
            return;
        }
        let catching = CatchingUp {
            held: Vec::new(),
            left,
            until: now() + MAX_WAIT,
            unheard_since_ms,
            entry: self.line,
        };
        self.history.catching_up.insert(folded.clone(), catching);
        self.forget_ears(&folded);
        self.ask_history(&folded);
    }

    /// Asks for what was said behind the last that was heard.
    fn ask_history(&mut self, channel: &str) {
        let page = self.directory.read().offers().history;
        let catching = self.history.catching_up.get_mut(channel);
        let (Some(page), Some(catching)) = (page, catching) else {
            return;
        };
        let page = page.min(catching.left);
        catching.left -= page;
        // Of one millisecond there may be several, of which not all were heard; those that were are known.
        let heard_ms = self.history.heard.channels.get(channel).copied();
        let after = server_time(heard_ms.unwrap_or_else(now_ms) - 1);
        let line = Line::new(
            "CHATHISTORY",
            [
                "AFTER",
                channel,
                &format!("timestamp={after}"),
                &page.to_string(),
            ],
        );
        let asked = Asked::History(channel.to_owned(), page);
        let observer = self.observer(channel).cloned();
        let client = observer.and_then(|owner| self.clients.get_mut(&owner));
        if let Some(live) = client.and_then(|client| client.live.as_mut()) {
            live.ask(line, Priority::Urgent, asked);
        }
    }

    /// A page of a channel's history has come.
    pub(super) fn has_history(&mut self, channel: &str, page: usize, lines: &[Line]) {
        // Joins and the like count for the server as well (draft/event-playback).
        let told = lines.iter().filter(|line| line.command != "BATCH");
        let last = lines.iter().filter_map(|line| line.tags.get("time"));
        if let Some(last_ms) = last.filter_map(server_time_ms).max() {
            self.history.heard.hear(channel, last_ms);
        }
        let left = self
            .history
            .catching_up
            .get(channel)
            .map_or(0, |catching| catching.left);
        let has_more = told.count() >= page;
        if has_more && left > 0 {
            self.ask_history(channel);
        } else {
            if has_more {
                let since_ms = self.history.heard.channels.get(channel).copied();
                self.tell_gap(channel, since_ms.unwrap_or_else(now_ms));
            }
            self.end_catching_up(channel);
        }
    }

    /// The network does not give a channel's history.
    pub(super) fn has_no_history(&mut self, channel: &str, why: &str) {
        tracing::info!(network = self.name, channel, why, "there is no history");
        if let Some(catching) = self.history.catching_up.get(channel) {
            self.tell_gap(channel, catching.unheard_since_ms);
        }
        self.end_catching_up(channel);
    }

    /// What was said meanwhile comes behind the history.
    fn end_catching_up(&mut self, channel: &str) {
        let Some(catching) = self.history.catching_up.remove(channel) else {
            return;
        };
        for (said, line) in catching.held {
            self.as_of(line, |hub| hub.said(&said));
        }
        self.members_are(channel);
    }

    /// Who has spoken before may not be there any more.
    fn members_are(&mut self, channel: &str) {
        if !self.settings.sync.to_matrix {
            return;
        }
        let nicks = self.directory.read().nicks_in(channel);
        if nicks.is_empty() {
            return;
        }
        let place = self.channel(channel);
        let others = nicks.iter().filter(|nick| self.own(nick).is_none());
        let mut members: Vec<_> = others.map(|nick| self.nick(nick)).collect();
        members.extend(self.absent(&place));
        self.deed(Deed::Members(place, members));
    }

    /// Something is said now; where the history of its channel comes first, it waits for that.
    pub(super) fn said_now(&mut self, said: Said) {
        let is_own = self.whose(&said).is_some();
        let place = self.place_of(&said.place).filter(|_| !is_own);
        let channel = place.as_ref().and_then(|place| place.as_channel());
        let line = self.line;
        match channel.and_then(|channel| self.history.catching_up.get_mut(channel)) {
            Some(catching) => catching.held.push((said, line)),
            None => self.said(&said),
        }
    }

    /// Whoever takes too long with a history does not hold up what is said now; and it is noted that the network is
    /// there.
    pub(super) fn tend_history(&mut self, now: Instant) {
        let over = self.history.catching_up.iter();
        let over =
            over.filter(|(_, catching)| catching.until <= now || catching.held.len() >= MAX_HELD);
        let over: Vec<String> = over.map(|(channel, _)| channel.clone()).collect();
        for channel in over {
            self.has_no_history(&channel, "it takes too long");
        }
        let is_there = self.clients.keys().any(|owner| self.is_ready(owner));
        let now_ms = now_ms();
        if is_there && now_ms - self.history.heard.alive_ms >= ALIVE_EVERY_MS {
            self.history.heard.alive_ms = now_ms;
            self.deed(Deed::Alive(now_ms));
        }
    }

    /// Nobody listens any more in these channels.
    pub(super) fn note_deaf(&mut self, channels: impl IntoIterator<Item = String>) {
        // What was lost while the bridge was away was lost when its connection ended, or at some time since.
        let over_ms = self.history.over_ms.or(self.held.away_since_ms());
        let over_ms = over_ms.unwrap_or_else(now_ms);
        for channel in channels {
            // What was held comes again with the history next time.
            self.history.catching_up.remove(&channel);
            let since_ms = self.history.gaps.remove(&channel).unwrap_or(over_ms);
            self.history.unheard.entry(channel).or_insert(since_ms);
        }
    }

    /// A channel is bridged no more.
    pub(super) fn forget_heard(&mut self, channel: &str) {
        self.history.catching_up.remove(channel);
        self.history.recalled.remove(channel);
        self.history.unheard.remove(channel);
        self.history.gaps.remove(channel);
        if self.history.heard.channels.remove(channel).is_some() {
            self.deed(Deed::Unheard(channel.to_owned()));
        }
    }

    /// A server repeats what was.
    pub(super) fn recall(&mut self, happening: Happening) {
        match happening {
            Happening::Said(said) => self.recall_said(&said),
            Happening::Reacted { .. } | Happening::Redacted { .. } => self.observe(happening),
            _ => {}
        }
    }

    fn recall_said(&mut self, said: &Said) {
        let Some(place) = self.place_of(&said.place) else {
            return;
        };
        let (Some(channel), Some(at_ms)) = (place.as_channel(), said.time_ms) else {
            return;
        };
        let heard_ms = self
            .history
            .recalled
            .get(channel)
            .copied()
            .unwrap_or(i64::MAX);
        let is_new = match said.msgid {
            // The kit knows what it has.
            Some(_) => at_ms >= heard_ms,
            None => at_ms > heard_ms,
        };
        let by = said.relayed_by.as_deref().unwrap_or(&said.who.name);
        let folded = self.directory.read().case_mapping().fold(by);
        let is_own =
            said.is_own || self.whose(said).is_some() || self.history.former.contains_key(&folded);
        if is_new && !is_own && !said.is_server {
            self.bring(place, said);
        }
    }

    /// The bridge ends in order: until now it has listened.
    pub(super) fn note_end(&mut self) {
        if self.clients.keys().any(|owner| self.is_ready(owner)) {
            self.history.heard.alive_ms = now_ms();
            self.deed(Deed::Alive(now_ms()));
        }
    }

    /// Something may be missing in a channel's room: it is said there, if somebody was there who could have spoken.
    fn tell_gap(&mut self, channel: &str, since_ms: i64) {
        let gap_ms = i64::try_from(self.settings.messages.gap.get().as_millis());
        if now_ms() - since_ms < gap_ms.unwrap_or(i64::MAX) {
            return;
        }
        self.history.gaps.insert(channel.to_owned(), since_ms);
        if self.directory.read().is_seen(channel) {
            self.tell_gap_to_others(channel);
        }
    }

    /// It is known who is in a channel.
    pub(super) fn tell_gap_to_others(&mut self, channel: &str) {
        let folded = self.directory.read().case_mapping().fold(channel);
        let Some(since_ms) = self.history.gaps.remove(&folded) else {
            return;
        };
        let nicks = self.directory.read().nicks_in(&folded);
        if nicks.iter().all(|nick| self.own(nick).is_some()) {
            return;
        }
        let second = |ms: i64| server_time(ms)[..19].replace('T', " ");
        let words = format!(
            "The bridge was not in {channel} from {} to {} UTC: what was said there meanwhile is missing here.",
            second(since_ms),
            second(now_ms())
        );
        let place = self.channel(channel);
        self.deed(Deed::Notice(place, Rich::plain(&words)));
    }
}
