//! A small chat network.
//!
//! In the village people meet in places and talk. Whoever listens from outside reads the village's book, in which
//! all is written that ever happened, and says how far they have come; if they forget what they have read since they
//! last said so, they read it again. Whatever somebody says from outside stands in the book as well.

use std::{collections::BTreeSet, sync::Arc};

use bridgehead_appservice::id::UserId;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// One line of the book.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Line {
    Said {
        id: String,
        place: String,
        who: String,
        text: String,
        answers: Option<String>,
    },
    Changed {
        id: String,
        place: String,
        who: String,
        text: String,
    },
    TakenBack {
        id: String,
        place: String,
        who: String,
    },
    Nodded {
        id: String,
        place: String,
        who: String,
        how: String,
        on: bool,
    },
    Came {
        place: String,
        who: String,
    },
    Went {
        place: String,
        who: String,
    },
    Renamed {
        from: String,
        to: String,
    },
    Sign {
        place: String,
        who: String,
        text: String,
    },
    Closed {
        place: String,
        why: String,
    },
}

#[derive(Default)]
pub(super) struct State {
    pub(super) book: Vec<Line>,
    /// How far the bridge has come.
    pub(super) read: usize,
    pub(super) places: BTreeSet<String>,
    pub(super) secret: BTreeSet<String>,
    pub(super) watched: BTreeSet<String>,
    /// Who comes to a place as soon as somebody watches it.
    pub(super) curious: std::collections::BTreeMap<String, String>,
    pub(super) numbers: usize,
    /// Nothing that is sent gets through.
    pub(super) is_closed: bool,
    /// Words that nobody may say.
    pub(super) forbidden: BTreeSet<String>,
    /// What the bridge has said, and under which key: a repeat is the same line.
    pub(super) keys: std::collections::BTreeMap<String, Vec<String>>,
    pub(super) connections: usize,
    /// Nobody can be connected.
    pub(super) is_cut_off: bool,
    /// What went by without being written down.
    pub(super) signs: Vec<String>,
    /// Messages that never came to Matrix.
    pub(super) lost: Vec<String>,
    /// What of the bridge's own code panics.
    pub(super) broken: BTreeSet<String>,
    /// Who was asked after.
    pub(super) asked_after: Vec<String>,
    /// People of the village who are people of Matrix as well.
    pub(super) persons: std::collections::BTreeMap<String, UserId>,
}

/// The village; clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct Village {
    pub(super) state: Arc<Mutex<State>>,
    pub(super) news: Arc<Notify>,
}

impl Village {
    /// A village with these places.
    pub(crate) fn new(places: &[&str]) -> Self {
        let village = Self::default();
        let places = places.iter().map(|place| (*place).to_owned());
        village.state.lock().places.extend(places);
        village
    }

    fn write(&self, line: Line) {
        self.state.lock().book.push(line);
        self.news.notify_one();
    }

    fn number(&self) -> String {
        let mut state = self.state.lock();
        state.numbers += 1;
        format!("m{}", state.numbers)
    }

    /// Somebody of the village is this person of Matrix.
    pub(crate) fn know(&self, who: &str, person: &UserId) {
        let mut state = self.state.lock();
        state.persons.insert(who.to_owned(), person.clone());
    }

    /// Somebody of the village says something.
    pub(crate) fn say(&self, place: &str, who: &str, text: &str) -> String {
        self.answer(place, who, text, None)
    }

    /// Somebody of the village answers a message.
    pub(crate) fn answer(&self, place: &str, who: &str, text: &str, to: Option<&str>) -> String {
        let id = self.number();
        self.write(Line::Said {
            id: id.clone(),
            place: place.to_owned(),
            who: who.to_owned(),
            text: text.to_owned(),
            answers: to.map(str::to_owned),
        });
        id
    }

    pub(crate) fn change(&self, place: &str, who: &str, id: &str, text: &str) {
        self.write(Line::Changed {
            id: id.to_owned(),
            place: place.to_owned(),
            who: who.to_owned(),
            text: text.to_owned(),
        });
    }

    pub(crate) fn take_back(&self, place: &str, who: &str, id: &str) {
        self.write(Line::TakenBack {
            id: id.to_owned(),
            place: place.to_owned(),
            who: who.to_owned(),
        });
    }

    pub(crate) fn nod(&self, place: &str, who: &str, id: &str, on: bool) {
        self.write(Line::Nodded {
            id: id.to_owned(),
            place: place.to_owned(),
            who: who.to_owned(),
            how: "👍".to_owned(),
            on,
        });
    }

    pub(crate) fn come(&self, place: &str, who: &str) {
        self.write(Line::Came {
            place: place.to_owned(),
            who: who.to_owned(),
        });
    }

    /// Somebody comes to the place as soon as it is watched.
    pub(crate) fn draw(&self, place: &str, who: &str) {
        let mut state = self.state.lock();
        state.curious.insert(place.to_owned(), who.to_owned());
    }

    pub(crate) fn go(&self, place: &str, who: &str) {
        self.write(Line::Went {
            place: place.to_owned(),
            who: who.to_owned(),
        });
    }

    pub(crate) fn rename(&self, from: &str, to: &str) {
        self.write(Line::Renamed {
            from: from.to_owned(),
            to: to.to_owned(),
        });
    }

    pub(crate) fn put_up(&self, place: &str, who: &str, text: &str) {
        self.write(Line::Sign {
            place: place.to_owned(),
            who: who.to_owned(),
            text: text.to_owned(),
        });
    }

    pub(crate) fn close_place(&self, place: &str, why: &str) {
        self.write(Line::Closed {
            place: place.to_owned(),
            why: why.to_owned(),
        });
    }

    /// A place for those who are led there.
    pub(crate) fn hide(&self, place: &str) {
        self.state.lock().secret.insert(place.to_owned());
    }

    /// Nothing gets through from outside any more, or it does again.
    pub(crate) fn shut(&self, is_closed: bool) {
        self.state.lock().is_closed = is_closed;
    }

    /// Nobody may say this word.
    pub(crate) fn forbid(&self, word: &str) {
        self.state.lock().forbidden.insert(word.to_owned());
    }

    /// Everybody may say it again.
    pub(crate) fn permit(&self, word: &str) {
        self.state.lock().forbidden.remove(word);
    }

    /// The bridge reads the book from the beginning once more.
    pub(crate) fn forget_how_far(&self) {
        self.state.lock().read = 0;
        self.news.notify_one();
    }

    /// What was said in a place, as `who: text`; changes, nods and the like in brackets.
    pub(crate) fn heard(&self, place: &str) -> Vec<String> {
        let state = self.state.lock();
        let lines = state.book.iter().filter_map(|line| match line {
            Line::Said {
                place: p,
                who,
                text,
                answers,
                ..
            } if p == place => Some(match answers {
                Some(answered) => format!("{who} to {answered}: {text}"),
                None => format!("{who}: {text}"),
            }),
            Line::Changed {
                place: p,
                who,
                id,
                text,
            } if p == place => Some(format!("[{who} changes {id}: {text}]")),
            Line::TakenBack { place: p, who, id } if p == place => {
                Some(format!("[{who} takes back {id}]"))
            }
            Line::Nodded {
                place: p,
                who,
                id,
                how,
                on,
            } if p == place => Some(format!(
                "[{who} {} {how} at {id}]",
                if *on { "nods" } else { "stops" }
            )),
            Line::Sign {
                place: p,
                who,
                text,
            } if p == place => Some(format!("[{who} puts up: {text}]")),
            Line::Came { place: p, who } if p == place => Some(format!("[{who} comes]")),
            Line::Went { place: p, who } if p == place => Some(format!("[{who} goes]")),
            _ => None,
        });
        lines.collect()
    }

    /// Nobody can be connected any more, or they can again.
    pub(crate) fn cut_off(&self, is_cut_off: bool) {
        self.state.lock().is_cut_off = is_cut_off;
        self.news.notify_one();
    }

    /// This part of the bridge's own code panics from now on, or does no more.
    pub(crate) fn break_down(&self, what: &str, is_broken: bool) {
        let mut state = self.state.lock();
        match is_broken {
            true => state.broken.insert(what.to_owned()),
            false => state.broken.remove(what),
        };
        drop(state);
        self.news.notify_one();
    }

    /// Panics where this part is broken.
    pub(super) fn hold(&self, what: &str) {
        let is_broken = self.state.lock().broken.contains(what);
        assert!(!is_broken, "{what} is broken");
    }

    /// How often somebody was asked after.
    pub(crate) fn asked_after(&self, who: &str) -> usize {
        let state = self.state.lock();
        state.asked_after.iter().filter(|name| *name == who).count()
    }

    /// What went by without being written down.
    pub(crate) fn signs(&self) -> Vec<String> {
        self.state.lock().signs.clone()
    }

    /// Messages that never came to Matrix, and why.
    pub(crate) fn lost(&self) -> Vec<String> {
        self.state.lock().lost.clone()
    }

    /// Places that the bridge listens at.
    pub(crate) fn watched(&self) -> Vec<String> {
        self.state.lock().watched.iter().cloned().collect()
    }

    /// How often the bridge has connected.
    pub(crate) fn connections(&self) -> usize {
        self.state.lock().connections
    }

    /// The id of the message with this text.
    pub(crate) fn id_of(&self, wanted: &str) -> String {
        let state = self.state.lock();
        let found = state.book.iter().find_map(|line| match line {
            Line::Said { id, text, .. } if text == wanted => Some(id.clone()),
            _ => None,
        });
        found.unwrap_or_else(|| panic!("nobody has said `{wanted}`"))
    }

    /// The line that the bridge has not read yet.
    pub(super) fn next(&self) -> Option<Line> {
        let state = self.state.lock();
        state.book.get(state.read).cloned()
    }

    /// The bridge has read a line.
    pub(super) fn done(&self, line: &Line) {
        let mut state = self.state.lock();
        if state.book.get(state.read) == Some(line) {
            state.read += 1;
        }
    }

    /// Whether the bridge has read all.
    pub(crate) fn is_read(&self) -> bool {
        let state = self.state.lock();
        state.read == state.book.len()
    }
}
