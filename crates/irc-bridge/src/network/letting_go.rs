//! Up to which of its lines the keeper may let go of each connection.
//!
//! What a line has said is dealt with once it is on disk. Until then it waits somewhere in this process: for the history
//! of its channel or of a talk, for another connection that has heard it too and tells it, for the sender of what it
//! refuses. So a connection is let go of up to the first of its lines that waits.
//!
//! A line of a channel comes by two connections, under two names. A run that begins after a kill hears it by both, and knows
//! that it is one. Where the keeper had it of one alone, and not of the one that told it, it would be news. So who stands
//! by is let go of first, and who hears for all a while later.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{Hub, Owner, deeds::Deed};
use crate::{
    clock::now,
    link::drive::{Done, LineId},
};

/// How much later who hears for all is let go of than who stands by: as much as two servers are behind each other at most,
/// commonly.
pub(super) const LATER: Duration = Duration::from_secs(1);

/// By connection, in the keeper's words: what is told and not let go of.
#[derive(Debug, Default)]
pub(super) struct LettingGo(BTreeMap<i64, Told>);

#[derive(Debug)]
struct Told {
    owner: Owner,
    /// All up to here was told; nothing, where that is not known yet.
    done: Option<Done>,
    /// Up to here it may be let go of at that time; at once, where nothing of it was told for others.
    next: Option<(u64, Instant)>,
    /// Up to here the keeper was told so.
    gone: u64,
}

impl LettingGo {
    /// Whether a line is let go of.
    pub(super) fn is_gone(&self, line: LineId) -> bool {
        let told = self.0.get(&line.epoch);
        told.is_none_or(|told| told.gone >= line.number)
    }

    fn of(&mut self, owner: &Owner, epoch: i64) -> &mut Told {
        self.0.entry(epoch).or_insert_with(|| Told {
            owner: owner.clone(),
            done: None,
            next: None,
            gone: 0,
        })
    }
}

impl Told {
    /// Up to where it may be let go of by now, as far as it is its own affair.
    fn ripe(&mut self, now: Instant) -> Option<u64> {
        let done = self.done.as_ref()?.number();
        match self.next {
            None => Some(done),
            Some((_, at)) if now < at => None,
            Some((number, _)) => {
                // What was told since is later.
                self.next = (number < done).then_some((done, now + LATER));
                Some(number.min(done))
            }
        }
    }
}

impl Hub {
    /// A line is told for others: whoever stands by has heard it as well, or is about to.
    pub(super) fn note_told_for_others(&mut self, owner: &Owner) {
        let Some(line) = self.line.filter(|_| self.is_paired(owner)) else {
            return;
        };
        let told = self.held.letting_go.of(owner, line.epoch);
        told.next.get_or_insert((line.number, now() + LATER));
    }

    /// All up to a line was told.
    pub(super) fn note_dealt_with(&mut self, owner: &Owner, done: Done) {
        let epoch = done.epoch();
        let told = self.held.letting_go.of(owner, epoch);
        told.done = Some(done);
        if told.next.is_none() {
            self.let_go(epoch, now());
        }
    }

    /// Lets go of what may be let go of by now.
    pub(super) fn tend_lines(&mut self, now: Instant) {
        let all = &mut self.held.letting_go.0;
        // A connection whose keeper is gone says no more up to where it has told.
        all.retain(|_, told| told.done.is_some() || told.next.is_some_and(|(_, at)| now < at));
        let epochs: Vec<i64> = all.keys().copied().collect();
        for epoch in epochs {
            self.let_go(epoch, now);
        }
    }

    /// The network ends, and no other run takes up what is told: all of it is let go of now.
    pub(super) fn let_all_go(&mut self) {
        for told in self.held.letting_go.0.values_mut() {
            told.next = None;
        }
        self.tend_lines(now());
    }

    fn let_go(&mut self, epoch: i64, now: Instant) {
        let Some(told) = self.held.letting_go.0.get_mut(&epoch) else {
            return;
        };
        let (Some(number), Some(done)) = (told.ripe(now), told.done.clone()) else {
            return;
        };
        let owner = told.owner.clone();
        let waiting = self.first_waiting(&owner, epoch, now).unwrap_or(u64::MAX);
        let number = number.min(waiting.saturating_sub(1));
        let Some(told) = self.held.letting_go.0.get_mut(&epoch) else {
            return;
        };
        let is_news = number > told.gone;
        told.gone = number.max(told.gone);
        if told.gone >= done.number() && told.next.is_none() {
            self.held.letting_go.0.remove(&epoch);
        }
        if is_news {
            self.deed(Deed::Done(done.up_to(number)));
        }
    }

    /// The first line of a connection that waits in this process.
    fn first_waiting(&self, owner: &Owner, epoch: i64, now: Instant) -> Option<u64> {
        let lines = self.history.waiting_lines();
        let lines = lines.chain(self.missed.waiting_lines());
        let lines = lines.chain(self.refusal_lines(owner, now));
        let live = self
            .clients
            .get(owner)
            .and_then(|client| client.live.as_ref());
        // Most stand by nowhere: each of their lines comes here.
        let overheard = live.filter(|live| live.observes);
        let overheard = overheard.map(|_| self.overheard_lines(owner, now));
        let lines = lines.chain(overheard.into_iter().flatten());
        let own = lines.filter(|line| line.epoch == epoch);
        own.map(|line| line.number).min()
    }
}
