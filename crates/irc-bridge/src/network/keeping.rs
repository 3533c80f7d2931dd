//! Connections that go on though the bridge was restarted: a keeper holds them.
//!
//! ```text
//! all are taken up ─▶ who hears each channel is found ─▶ those hear what came ─▶ the others do ─▶ who has no reason
//!                                                                                   to be somewhere leaves
//! ```
//!
//! Until it is known who hears, nobody takes what came meanwhile: whoever heard a channel before may turn out to be gone
//! from it, and then the one that stands by has heard the rest. Nobody connects anew before all of that is taken. Of a
//! channel that was heard for all before nothing was missed: no history is asked for, and no gap is told.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use bridgehead_appservice::{
    id::UserId,
    store::{Store, StoreError},
};
use bridgehead_irc_keeper::attach;
use bridgehead_irc_protocol::{Line, session::Priority};

use super::{
    Hub, Owner,
    client::Asked,
    deeds::Deed,
    letting_go::{LATER, LettingGo},
    observe::Heard,
};
use crate::{
    clock::now,
    link::{
        dial::Kept,
        drive::{Facts, Order},
    },
};

/// How long it is waited for connections to be taken up.
const TAKEN_UP_WITHIN: Duration = Duration::from_secs(10);
/// How long those that hear for all may take with what came meanwhile until the others begin.
const HEARD_WITHIN: Duration = Duration::from_secs(20);
/// How long all of that may take. What is taken up later has ended in this run.
const TAKEN_WITHIN: Duration = Duration::from_secs(60);
/// What the bridge's own is called by the keeper; no user id is that.
const BOT: &str = "bot";

/// Connections that the keeper holds, on their way back.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// They are being taken up.
    awaited: BTreeSet<Owner>,
    /// They are taken up, and have not begun with what came meanwhile.
    waiting: BTreeSet<Owner>,
    /// They take what came meanwhile.
    behind: BTreeSet<Owner>,
    /// Since when they are being taken up.
    since: Option<Instant>,
    /// When the last run was there last, ms since the Unix epoch.
    away_since_ms: i64,
    /// Who has heard each channel for all before, by folded channel. They hear it again at first: what they have
    /// heard and nobody has dealt with comes once more by their connection.
    observers: BTreeMap<String, Owner>,
    /// What was noted of that last.
    noted: BTreeMap<String, String>,
    /// By folded channel, what was heard by those who are through and there no more.
    pub(super) left: BTreeMap<String, Heard>,
    /// Of which lines the keeper may let go.
    pub(super) letting_go: LettingGo,
}

/// Under this name it is remembered who hears each channel.
fn ears_key(network: &str) -> String {
    format!("ears/{network}")
}

/// Remembers who hears each channel.
pub(super) async fn note_ears(
    store: &Store,
    network: &str,
    ears: &BTreeMap<String, String>,
) -> Result<(), StoreError> {
    store.put(&ears_key(network), ears).await
}

fn name_of(owner: &Owner) -> &str {
    owner.person().map_or(BOT, UserId::as_str)
}

fn owner_of(name: &str) -> Option<Owner> {
    match name {
        BOT => Some(Owner::Bot),
        person => Some(Owner::Person(UserId::parse(person).ok()?)),
    }
}

impl Held {
    /// Whether somebody's connection has not taken yet all that came meanwhile.
    pub(super) fn is_behind(&self, owner: &Owner) -> bool {
        self.waiting.contains(owner) || self.behind.contains(owner)
    }

    /// Since when the bridge was away, as long as not all of what came meanwhile was taken.
    pub(super) fn away_since_ms(&self) -> Option<i64> {
        let is_away = self.is_any_behind() && !self.is_late(TAKEN_WITHIN, now());
        is_away.then_some(self.away_since_ms)
    }

    /// Whether some connection has not taken yet all that came meanwhile.
    pub(super) fn is_any_behind(&self) -> bool {
        !self.waiting.is_empty() || !self.behind.is_empty()
    }

    /// Whether nobody is to connect anew yet: what such a one hears is later than what came meanwhile by the others.
    pub(super) fn comes_first(&self, now: Instant) -> bool {
        let is_any = !self.awaited.is_empty() || self.is_any_behind();
        is_any && !self.is_late(HEARD_WITHIN, now)
    }

    fn is_late(&self, patience: Duration, now: Instant) -> bool {
        self.since.is_none_or(|since| since + patience <= now)
    }
}

impl Hub {
    pub(super) fn is_kept(&self) -> bool {
        self.keeper.is_some()
    }

    /// What the keeper calls somebody's connection.
    pub(super) fn kept(&self, owner: &Owner) -> Option<Kept> {
        let path = self.keeper.clone()?;
        let id = format!("{}/{}", self.name, name_of(owner));
        let turn = self.clients.get(owner).map(|client| client.turn.clone());
        let turn = turn.unwrap_or_default();
        Some(Kept { path, id, turn })
    }

    /// Asks the keeper what it holds, and takes it up.
    pub(super) async fn find_held(&mut self, store: &Store) -> Result<(), StoreError> {
        let Some(path) = self.keeper.clone() else {
            return Ok(());
        };
        let begin = format!("{}/", self.name);
        let ids = match attach::list(&path, &begin).await {
            Ok(ids) => ids,
            Err(error) => {
                tracing::error!(network = self.name, %error, "nothing is kept, and nobody connects until there is a keeper");
                return Ok(());
            }
        };
        let owners = ids.iter();
        let owners = owners.filter_map(|id| owner_of(id.strip_prefix(&begin)?));
        self.held.awaited = owners.collect();
        self.held.away_since_ms = self.history.heard.alive_ms;
        let noted: Option<BTreeMap<String, String>> = store.get(&ears_key(&self.name)).await?;
        self.held.noted = noted.unwrap_or_default();
        let observers = self.held.noted.iter();
        let observers =
            observers.filter_map(|(channel, name)| Some((channel.clone(), owner_of(name)?)));
        self.held.observers = observers
            .filter(|(_, owner)| self.held.awaited.contains(owner))
            .collect();
        self.held.since = Some(now());
        // What they have said before is heard by the bridge's own first, and is theirs.
        for owner in &self.held.awaited {
            if let Some(seen) = owner.person().and_then(|person| self.seen.get(person)) {
                let nick = &seen.source.name;
                self.directory.write().named(owner, nick, now());
            }
        }
        tracing::info!(
            network = self.name,
            kept = self.held.awaited.len(),
            "the keeper holds connections"
        );
        for owner in self.held.awaited.clone() {
            self.begin_link(&owner).await;
        }
        Ok(())
    }

    /// Lets those go on that were taken up: first those that hear for all. Where one of them turns out to be lost, one of
    /// the others takes its place before it has begun.
    pub(super) fn let_held_go_on(&mut self, now: Instant) {
        let clients = &self.clients;
        let live = |owner: &Owner| clients.get(owner).and_then(|client| client.live.as_ref());
        let held = &mut self.held;
        held.awaited
            .retain(|owner| live(owner).is_some_and(|live| !live.is_ready));
        held.waiting.retain(|owner| live(owner).is_some());
        held.behind.retain(|owner| live(owner).is_some());
        if !held.is_any_behind() {
            held.left.clear();
        }
        if !held.awaited.is_empty() && !held.is_late(TAKEN_UP_WITHIN, now) {
            return;
        }
        for channel in std::mem::take(&mut self.held.observers).into_keys() {
            self.elect(&channel);
        }
        if self.held.waiting.is_empty() {
            return;
        }
        self.tell_ears();
        let waiting = std::mem::take(&mut self.held.waiting);
        let (first, others): (BTreeSet<Owner>, BTreeSet<Owner>) = waiting
            .into_iter()
            .partition(|owner| *owner == Owner::Bot || self.is_hearing(owner));
        let is_heard = first.is_empty() && self.held.behind.is_empty();
        let (next, waiting) = match is_heard || self.held.is_late(HEARD_WITHIN, now) {
            true => (&first | &others, BTreeSet::new()),
            false => (first, others),
        };
        self.held.waiting = waiting;
        for owner in next {
            self.let_go_on(owner);
        }
    }

    fn let_go_on(&mut self, owner: Owner) {
        if let Some(live) = self.client(&owner).live.as_mut() {
            // One that takes no orders is about to end.
            let _ = live.link.order(Order::GoOn);
            // What the server answers comes behind all that it has said before.
            let mut asks = live.asks.values();
            if !asks.any(|asked| matches!(asked, Asked::Present)) {
                let line = Line::new("PING", ["present"]);
                live.ask(line, Priority::Urgent, Asked::Present);
            }
        }
        self.held.behind.insert(owner);
    }

    /// A connection has come into a channel. Where that is long ago, it waits again: others may hear the channel, and what it
    /// takes while they do it cannot tell where they turn out to be lost.
    pub(super) fn wait_again(&mut self, owner: &Owner) {
        if self.held.behind.remove(owner) {
            self.held.waiting.insert(owner.clone());
        }
    }

    /// All that came by a connection while the bridge was away was taken.
    pub(super) fn note_present(&mut self, owner: &Owner) {
        self.held.behind.remove(owner);
        if let Some(live) = &self.client(owner).live {
            // One that takes no orders is about to end.
            let _ = live.link.order(Order::Present);
        }
        let live = self.client(owner).live.as_ref();
        let there = live.map(|live| live.standings.keys().cloned().collect());
        let there: Vec<String> = there.unwrap_or_default();
        for channel in there {
            // The bridge's own may stand by from now on.
            self.elect(&channel);
        }
        self.leave_unwanted(owner);
    }

    /// Who is to hear a channel for all because they did so before the restart; `Some(None)` where they are not there yet.
    pub(super) fn heard_before(
        &mut self,
        channel: &str,
        candidates: &[Owner],
    ) -> Option<Option<Owner>> {
        let observer = self.held.observers.get(channel)?;
        if !candidates.contains(observer) {
            return Some(None);
        }
        // Once; whoever is better takes over afterwards.
        Some(self.held.observers.remove(channel))
    }

    /// Notes who hears each channel. Where another one does so than before, not until all that the former has told is let
    /// go of: a run that begins before hears that by the former, under the names that it was told under.
    pub(super) fn note_ears(&mut self, now: Instant) {
        if !self.is_kept() || !self.held.observers.is_empty() {
            return;
        }
        let noted = &self.held.noted;
        let over = noted
            .keys()
            .filter(|channel| !self.is_heard_at_all(channel));
        let over: Vec<String> = over.cloned().collect();
        let others = self.observers().filter(|(channel, owner, (since, told))| {
            let is_gone = || told.is_none_or(|line| self.held.letting_go.is_gone(line));
            match noted.get(*channel) {
                _ if self.history.is_catching_up(channel) => false,
                None => true,
                Some(former) if former == name_of(owner) => false,
                Some(_) => now.saturating_duration_since(*since) >= LATER && is_gone(),
            }
        });
        let others = others.map(|(channel, owner, _)| (channel.clone(), name_of(owner).to_owned()));
        let others: Vec<(String, String)> = others.collect();
        if over.is_empty() && others.is_empty() {
            return;
        }
        let noted = &mut self.held.noted;
        noted.retain(|channel, _| !over.contains(channel));
        noted.extend(others);
        let noted = noted.clone();
        self.deed(Deed::Ears(self.name.clone(), noted));
    }

    /// What was said in a channel before it was entered is being fetched: whoever goes on in it after a kill has not heard all
    /// of it, until it is.
    pub(super) fn forget_ears(&mut self, channel: &str) {
        if self.held.noted.remove(channel).is_some() {
            let noted = self.held.noted.clone();
            self.deed(Deed::Ears(self.name.clone(), noted));
        }
    }

    /// The bridge ends: all connections stay with the keeper.
    pub(super) fn let_be(&mut self) {
        self.is_leaving = true;
        self.links.clear();
        for client in self.clients.values_mut() {
            client.live = None;
        }
    }

    /// A connection goes on: it is in its channels already.
    pub(super) fn goes_on(&mut self, owner: &Owner, facts: &Facts) {
        let Some(resumed) = &facts.resumed else {
            return;
        };
        self.ask_after_before(owner, facts);
        self.held.waiting.insert(owner.clone());
        if let Some(live) = self.client(owner).live.as_mut() {
            live.observes = true;
        }
        for channel in &resumed.channels {
            let folded = self.directory.read().case_mapping().fold(channel);
            if self.held.noted.contains_key(&folded) {
                // Somebody has heard it for all, and what this one has let go of the keeper has of that one.
                self.history.note_complete(&folded);
            }
            let line = Line {
                source: Some(facts.source.clone()),
                ..Line::new("JOIN", [channel])
            };
            self.hear_line(owner, &line, (None, &facts.source.name));
            let live = self.client(owner).live.as_mut();
            if let Some(live) = live.filter(|_| *owner == Owner::Bot) {
                live.question(Line::new("TOPIC", [channel]));
            }
        }
    }

    /// A connection is over: nothing more is awaited of it.
    pub(super) fn note_over(&mut self, owner: &Owner) {
        self.held.waiting.remove(owner);
        self.held.behind.remove(owner);
    }
}
