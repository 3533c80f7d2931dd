//! Which thread was spoken in last in each place, and which threads people on IRC know by their marks.

use std::collections::{HashMap, VecDeque};

use bridgehead_appservice::{bridge::RemoteId as _, id::EventId};

use crate::{ids::Place, text::to_irc::thread::mark};

/// Threads that are remembered; the oldest are forgotten first.
const MAX_THREADS: usize = 500;
/// Places whose last thread is remembered; then it is begun anew.
const MAX_PLACES: usize = 4096;

/// Threads as IRC sees them.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    last: HashMap<Place, Last>,
    known: VecDeque<(Place, EventId)>,
}

/// What was said last in a place.
#[derive(Debug)]
struct Last {
    root: Option<EventId>,
    /// The message that said it: tried again, it is said the same way.
    key: String,
    told: InThread,
}

/// What IRC knows of a message's thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InThread {
    /// What was said last was said in it as well.
    pub(crate) is_current: bool,
    /// Nobody there has heard of it.
    pub(crate) is_new: bool,
}

impl Threads {
    /// Somebody of Matrix says something, in a thread or in none.
    pub(crate) fn said(&mut self, place: &Place, root: Option<&EventId>, key: &str) -> InThread {
        let last = self.last.get(place);
        if let Some(last) = last.filter(|last| last.key == key) {
            return last.told;
        }
        let is_new = root.is_some_and(|root| {
            !self
                .known
                .iter()
                .any(|(at, known)| at == place && known == root)
        });
        let told = InThread {
            is_current: root.is_some() && last.is_some_and(|last| last.root.as_ref() == root),
            is_new,
        };
        if let Some(root) = root.filter(|_| is_new) {
            self.learn(place.clone(), root.clone());
        }
        self.note(place, root.cloned(), key.to_owned(), told);
        told
    }

    /// Somebody on IRC says something; with a mark that is known it belongs to a thread.
    pub(crate) fn heard(&mut self, place: &Place, marked: Option<&str>) -> Option<EventId> {
        let root = marked.and_then(|wanted| {
            let mut newest = self.known.iter().rev();
            let found = newest.find(|(at, root)| at == place && mark(root) == wanted);
            found.map(|(_, root)| root.clone())
        });
        let told = InThread {
            is_current: false,
            is_new: false,
        };
        self.note(place, root.clone(), String::new(), told);
        root
    }

    fn note(&mut self, place: &Place, root: Option<EventId>, key: String, told: InThread) {
        if self.last.len() >= MAX_PLACES && !self.last.contains_key(place) {
            self.last.clear();
        }
        self.last.insert(place.clone(), Last { root, key, told });
    }

    fn learn(&mut self, place: Place, root: EventId) {
        if self.known.len() >= MAX_THREADS {
            self.known.pop_front();
        }
        self.known.push_back((place, root));
    }

    /// The threads that are known, for the next run: places and first events.
    pub(crate) fn known(&self) -> Vec<(String, EventId)> {
        let known = self.known.iter();
        known
            .map(|(place, root)| (place.to_text(), root.clone()))
            .collect()
    }

    /// A place is bridged no more; whether something was known of it.
    pub(super) fn forget(&mut self, place: &Place) -> bool {
        let before = self.known.len();
        self.known.retain(|(at, _)| at != place);
        self.last.remove(place).is_some() || self.known.len() < before
    }

    /// Those of the last run.
    pub(super) fn restore(&mut self, known: Vec<(String, EventId)>) {
        for (place, root) in known {
            if let Some(place) = Place::from_text(&place) {
                self.learn(place, root);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bridgehead_irc_protocol::CaseMapping;

    use super::*;

    fn place(channel: &str) -> Place {
        Place::channel("net", channel, CaseMapping::Ascii)
    }

    fn told(is_current: bool, is_new: bool) -> InThread {
        InThread { is_current, is_new }
    }

    #[test]
    fn a_mark_is_needed_where_something_else_was_said_last() {
        let root = EventId::parse("$root").expect("an id");
        let (tea, mut threads) = (place("#tea"), Threads::default());
        assert_eq!(threads.said(&tea, None, "1"), told(false, false));
        assert_eq!(threads.said(&tea, Some(&root), "2"), told(false, true));
        // Tried again, it is the same.
        assert_eq!(threads.said(&tea, Some(&root), "2"), told(false, true));
        assert_eq!(threads.said(&tea, Some(&root), "3"), told(true, false));
        assert_eq!(threads.heard(&tea, None), None);
        assert_eq!(threads.said(&tea, Some(&root), "4"), told(false, false));
        // Other places are other talks.
        assert_eq!(threads.said(&place("#x"), None, "5"), told(false, false));
        assert_eq!(threads.said(&tea, Some(&root), "6"), told(true, false));
    }

    #[test]
    fn marks_lead_back_after_a_restart_as_well() {
        let root = EventId::parse("$root").expect("an id");
        let (tea, mut before) = (place("#tea"), Threads::default());
        before.said(&tea, Some(&root), "1");
        let mut threads = Threads::default();
        threads.restore(before.known());
        assert_eq!(threads.heard(&tea, Some(&mark(&root))), Some(root.clone()));
        assert_eq!(threads.said(&tea, Some(&root), "2"), told(true, false));
        assert_eq!(threads.heard(&place("#x"), Some(&mark(&root))), None);
        assert_eq!(threads.heard(&tea, Some("bcd")), None);
    }

    #[test]
    fn only_so_many_are_remembered() {
        let mut threads = Threads::default();
        for n in 0..MAX_THREADS + 10 {
            let root = EventId::parse(&format!("$event{n}")).expect("an id");
            threads.said(&place("#tea"), Some(&root), &n.to_string());
        }
        assert_eq!(threads.known().len(), MAX_THREADS);
    }
}
