//! Whether those whom people of Matrix talk to alone are there (IRCv3 monitor): the server is asked to say when they come
//! and go.
//!
//! One connection asks for all people: the bridge's own, or the oldest where it has none. A server watches so many and no
//! more, so those come first who were talked to last.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Instant,
};

use bridgehead_appservice::bridge::{Cause, Rejected, RemotePresence, SendError};
use bridgehead_irc_protocol::{Line, Source, numerics::Explanation};

use super::{Hub, Owner};
use crate::ids::{Place, Target};

/// Partners that are remembered; servers watch some dozens to some hundreds.
const MAX_PARTNERS: usize = 500;
/// Of what a server watches, what is left to the connection itself: the nick that it wants.
const RESERVED: usize = 1;
/// Bytes of nicks in one line.
const LIST_BYTES: usize = 380;

/// Whom people talk to alone, and who of them is there.
#[derive(Debug, Default)]
pub(super) struct Monitor {
    /// Folded nicks, who was talked to last first.
    partners: VecDeque<String>,
    /// The connection that watches.
    by: Option<(Owner, Instant)>,
    /// Whom it watches, and whether they are there, once the server has said so.
    watched: BTreeMap<String, Option<bool>>,
    /// Whether the server may have to be asked for others.
    is_stale: bool,
}

impl Monitor {
    /// Somebody talks to this nick now.
    pub(super) fn talks(&mut self, nick: &str) {
        if self.partners.front().is_some_and(|first| first == nick) {
            return;
        }
        self.partners.retain(|partner| partner != nick);
        self.partners.push_front(nick.to_owned());
        self.partners.truncate(MAX_PARTNERS);
        self.is_stale = true;
    }

    /// There is a talk with this nick; since when is not known.
    pub(super) fn has_talked(&mut self, nick: &str) {
        let is_known = self.partners.iter().any(|partner| partner == nick);
        if !is_known && self.partners.len() < MAX_PARTNERS {
            self.partners.push_back(nick.to_owned());
            self.is_stale = true;
        }
    }

    /// Nobody talks to this nick any more.
    pub(super) fn ended(&mut self, nick: &str) {
        self.partners.retain(|partner| partner != nick);
        self.is_stale = true;
    }

    /// A partner goes by another nick.
    pub(super) fn renamed(&mut self, from: &str, to: &str) {
        if from == to {
            return;
        }
        self.partners.retain(|partner| partner != to);
        for partner in self.partners.iter_mut().filter(|partner| *partner == from) {
            to.clone_into(partner);
            self.is_stale = true;
        }
    }

    pub(super) fn is_watched(&self, nick: &str) -> bool {
        self.watched.contains_key(nick)
    }

    /// Whether the server has said that nobody has this nick.
    fn is_absent(&self, nick: &str) -> bool {
        self.watched.get(nick) == Some(&Some(false))
    }

    /// This connection watches from now on; what another was told counts no more. Whether it is another one.
    fn watches(&mut self, by: Option<(Owner, Instant)>) -> bool {
        let is_other = self.by != by;
        if is_other {
            self.by = by;
            self.watched.clear();
            self.is_stale = true;
        }
        is_other
    }

    /// Whom the server is to watch no more, and whom from now on, so that it watches so many.
    fn plan(&mut self, most: usize) -> (Vec<String>, Vec<String>) {
        let wanted: BTreeSet<&String> = self.partners.iter().take(most).collect();
        let gone = self.watched.keys().filter(|nick| !wanted.contains(nick));
        let gone: Vec<String> = gone.cloned().collect();
        let new = wanted
            .into_iter()
            .filter(|nick| !self.watched.contains_key(*nick));
        let new: Vec<String> = new.cloned().collect();
        for nick in &gone {
            self.watched.remove(nick);
        }
        self.watched
            .extend(new.iter().map(|nick| (nick.clone(), None)));
        self.is_stale = false;
        (gone, new)
    }

    /// The server says whether somebody is there; whether that is news.
    fn hears(&mut self, nick: &str, is_there: bool) -> bool {
        let known = self.watched.get_mut(nick);
        known.is_some_and(|known| known.replace(is_there) != Some(is_there))
    }
}

impl Hub {
    /// Has the server watch those who are talked to.
    pub(super) fn tend_monitor(&mut self) {
        let by = self.who_watches();
        let is_other = self.monitor.watches(by);
        if !self.monitor.is_stale {
            return;
        }
        let owner = self.monitor.by.as_ref().map(|(owner, _)| owner);
        let client = owner.and_then(|owner| self.clients.get_mut(owner));
        let Some(live) = client.and_then(|client| client.live.as_mut()) else {
            return;
        };
        let facts = live.link.facts();
        let most = facts.isupport.monitors().unwrap_or(0);
        if is_other && facts.resumed.is_some() && most > 0 {
            // Of whom it watches already a server says nothing.
            live.question(Line::new("MONITOR", ["C"]));
            if facts.wanted != facts.source.name {
                live.question(Line::new("MONITOR", ["+", &facts.wanted]));
            }
        }
        let (gone, new) = self.monitor.plan(most.saturating_sub(RESERVED));
        for (sign, nicks) in [("-", gone), ("+", new)] {
            for list in lists(&nicks) {
                live.question(Line::new("MONITOR", [sign, &list]));
            }
        }
    }

    /// The connection that watches for all.
    fn who_watches(&self) -> Option<(Owner, Instant)> {
        let ready = self.clients.values().filter_map(|client| {
            let live = client.live.as_ref().filter(|live| live.is_ready)?;
            let may = client.owner == Owner::Bot || !self.settings.bot.enabled;
            may.then_some((live.begun_at, &client.owner))
        });
        let (begun_at, owner) = ready.min()?;
        Some((owner.clone(), begun_at))
    }

    /// Takes 730 and 731: who is there, and who is not.
    pub(super) fn hear_monitor(&mut self, owner: &Owner, line: &Line) {
        let is_there = match line.numeric() {
            Some(730) => true,
            Some(731) => false,
            _ => return,
        };
        if self.monitor.by.as_ref().is_none_or(|(by, _)| by != owner) {
            return;
        }
        let mapping = self.directory.read().case_mapping();
        for mask in line.text(1).split(',') {
            let source = Source::parse(mask);
            if is_there {
                self.note_seen_to_be(&source);
            }
            let name = source.name;
            let folded = mapping.fold(&name);
            if !self.monitor.hears(&folded, is_there) {
                continue;
            }
            match is_there {
                // Of who is away the server tells that they are here as well.
                true if self.is_away(&folded) => {}
                true => self.tell_presence(&name, RemotePresence::Online),
                false => self.tell_presence(&name, RemotePresence::Offline),
            }
        }
    }

    /// What is to be told to who writes to somebody of whom the server has said that they are not there. Whoever is
    /// connected is told by their own server, which knows better in a netsplit.
    pub(super) fn nobody_there(&self, owner: &Owner, place: &Place) -> Option<SendError> {
        let Target::Private { nick, .. } = &place.target else {
            return None;
        };
        if self.is_ready(owner) || !self.monitor.is_absent(nick) {
            return None;
        }
        let refusal = Line::new("401", ["*", nick, "No such nick"]);
        let words = Explanation::of_line(&refusal)?.to_string();
        Some(SendError::Reject(Rejected::new(Cause::Network, words)))
    }
}

/// Nicks, as many in each list as fit in a line.
fn lists(nicks: &[String]) -> Vec<String> {
    let mut lists: Vec<String> = Vec::new();
    for nick in nicks {
        match lists.last_mut() {
            Some(list) if list.len() + nick.len() < LIST_BYTES => {
                list.push(',');
                list.push_str(nick);
            }
            _ => lists.push(nick.clone()),
        }
    }
    lists
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watching(nicks: &[&str], most: usize) -> Monitor {
        let mut monitor = Monitor::default();
        monitor.watches(Some((Owner::Bot, Instant::now())));
        for nick in nicks {
            monitor.talks(nick);
        }
        monitor.plan(most);
        monitor
    }

    #[test]
    fn who_was_talked_to_last_is_watched_first() {
        let mut monitor = watching(&["ann", "bob", "carol"], 2);
        assert!(monitor.is_watched("carol") && monitor.is_watched("bob"));
        assert!(!monitor.is_watched("ann") && !monitor.is_stale);
        monitor.talks("ann");
        let plan = monitor.plan(2);
        assert_eq!(plan, (vec!["bob".to_owned()], vec!["ann".to_owned()]));
        monitor.has_talked("dave");
        assert_eq!(monitor.plan(2), (vec![], vec![]));
    }

    #[test]
    fn who_is_there_counts_for_the_connection_that_was_told() {
        let mut monitor = watching(&["ann"], 10);
        assert!(!monitor.is_absent("ann"), "nobody has said so yet");
        assert!(monitor.hears("ann", false) && monitor.is_absent("ann"));
        assert!(!monitor.hears("ann", false), "that is no news");
        assert!(!monitor.hears("stranger", false));
        monitor.watches(Some((
            Owner::Bot,
            Instant::now() + std::time::Duration::from_secs(9),
        )));
        assert!(!monitor.is_absent("ann"));
        assert_eq!(monitor.plan(10), (vec![], vec!["ann".to_owned()]));
    }

    #[test]
    fn talks_end_and_go_on_under_other_nicks() {
        let mut monitor = watching(&["ann", "bob"], 10);
        monitor.renamed("ann", "anna");
        monitor.ended("bob");
        let (mut gone, new) = monitor.plan(10);
        gone.sort();
        assert_eq!(
            (gone, new),
            (vec!["ann".into(), "bob".into()], vec!["anna".into()])
        );
    }

    #[test]
    fn lists_fit_in_lines() {
        let nicks: Vec<String> = (0..200).map(|n| format!("somebody{n}")).collect();
        let lists = lists(&nicks);
        assert!(lists.iter().all(|list| list.len() <= LIST_BYTES));
        let all: Vec<&str> = lists.iter().flat_map(|list| list.split(',')).collect();
        assert_eq!(all, nicks);
    }
}
