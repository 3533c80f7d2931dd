//! Connections that go on though the bridge was restarted: a keeper holds them.
//!
//! The bridge's own is taken up first, so that it hears channels as it did before; then those of people. What came
//! meanwhile follows each. Nothing was missed: no history is asked for, and no gap is told.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use bridgehead_appservice::{
    id::UserId,
    store::{Store, StoreError},
};
use bridgehead_irc_keeper::attach;
use bridgehead_irc_protocol::Line;

use super::{Hub, Owner, deeds::Deed};
use crate::{
    clock::now,
    link::{
        dial::Kept,
        drive::{Done, Facts},
    },
};

/// How long people's connections wait for the bridge's own.
const BOT_FIRST: Duration = Duration::from_secs(10);
/// What the bridge's own is called by the keeper; no user id is that.
const BOT: &str = "bot";

/// Whose connections the keeper holds, and nobody has taken up again.
#[derive(Debug, Default)]
pub(super) struct Held {
    owners: BTreeSet<Owner>,
    /// Until when the bridge's own is waited for.
    until: Option<Instant>,
    /// Who has heard each channel for all before, by folded channel. They hear it again at first: what they have
    /// heard and nobody has dealt with comes once more by their connection.
    observers: BTreeMap<String, Owner>,
    /// What was noted of that last.
    noted: BTreeMap<String, String>,
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
    /// Whether somebody's connection heard a channel for all before.
    pub(super) fn is_observer(&self, owner: &Owner) -> bool {
        self.observers.values().any(|observer| observer == owner)
    }

    pub(super) fn has(&self, owner: &Owner) -> bool {
        self.owners.contains(owner)
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

    /// Asks the keeper what it holds, and takes up the bridge's own.
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
        self.held.owners = owners.collect();
        let noted: Option<BTreeMap<String, String>> = store.get(&ears_key(&self.name)).await?;
        self.held.noted = noted.unwrap_or_default();
        let observers = self.held.noted.iter();
        let observers =
            observers.filter_map(|(channel, name)| Some((channel.clone(), owner_of(name)?)));
        self.held.observers = observers
            .filter(|(_, owner)| self.held.owners.contains(owner))
            .collect();
        self.held.until = Some(now() + BOT_FIRST);
        // What they have said before is heard by the bridge's own first, and is theirs.
        for owner in &self.held.owners {
            if let Some(seen) = owner.person().and_then(|person| self.seen.get(person)) {
                let nick = &seen.source.name;
                self.directory.write().named(owner, nick, now());
            }
        }
        tracing::info!(
            network = self.name,
            kept = self.held.owners.len(),
            "the keeper holds connections"
        );
        if self.settings.bot.enabled && self.held.owners.remove(&Owner::Bot) {
            self.begin_link(&Owner::Bot).await;
        }
        Ok(())
    }

    /// Takes up people's connections, once the bridge's own hears what they hear.
    pub(super) async fn take_up_held(&mut self, now: Instant) {
        let is_late = self.held.until.is_none_or(|until| until <= now);
        if is_late {
            for channel in std::mem::take(&mut self.held.observers).into_keys() {
                self.elect(&channel);
            }
        }
        let bot = self.clients.get(&Owner::Bot);
        let waits = bot.is_some_and(|bot| bot.live.is_some()) && !self.is_ready(&Owner::Bot);
        if self.held.owners.is_empty() || (waits && !is_late) {
            return;
        }
        for owner in std::mem::take(&mut self.held.owners) {
            if self.client(&owner).live.is_none() {
                self.begin_link(&owner).await;
            }
        }
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

    /// Notes who hears each channel, behind all that was heard until then.
    pub(super) fn note_ears(&mut self) {
        if !self.is_kept() || !self.held.observers.is_empty() {
            return;
        }
        let ears = self.observers();
        let ears = ears.map(|(channel, owner)| (channel.clone(), name_of(owner).to_owned()));
        let ears: BTreeMap<String, String> = ears.collect();
        if ears != self.held.noted {
            self.held.noted.clone_from(&ears);
            self.deed(Deed::Ears(self.name.clone(), ears));
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
        if resumed.closed_ms.is_some() && *owner != Owner::Bot && !self.held.is_observer(owner) {
            // What was said in its channels another one has heard, and told.
            return;
        }
        for channel in &resumed.channels {
            let folded = self.directory.read().case_mapping().fold(channel);
            // All that was said meanwhile was kept.
            self.history.note_complete(&folded);
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

    /// All up to a line was told: once it is done, the line need not be kept.
    pub(super) fn note_dealt_with(&mut self, owner: &Owner, done: Done) {
        // What waits for a history would be lost with this run, and so would what is not told yet.
        let is_told = !self.history.is_catching_up() && !self.missed.holds();
        if is_told && !self.owes_refusals(owner) {
            self.deed(Deed::Done(done));
        }
    }
}
