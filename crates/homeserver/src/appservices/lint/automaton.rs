//! Patterns as finite automata, and a search for an id that some of them match and others do not.
//!
//! The search walks the product of the automata breadth first, so that the id it finds is a
//! shortest one. All is bounded: the automata in bytes, the walk in states and in length.

use std::collections::HashSet;

use regex_automata::{
    Anchored,
    dfa::{Automaton as _, StartKind, dense},
    nfa::thompson,
    util::{primitives::StateID, start},
};
use smallvec::SmallVec;

use crate::appservices::registration::anchored;

/// An automaton that would be larger is not made.
const MAX_BYTES: usize = 4 << 20;
/// Memory while it is made.
const MAX_WORK_BYTES: usize = 16 << 20;
/// Combined states that one search looks at.
const MAX_STATES: usize = 50_000;
/// No id is longer (specification, appendices).
const MAX_ID_BYTES: usize = 255;

/// One pattern's automaton.
pub(super) struct Automaton(dense::DFA<Vec<u32>>);

impl Automaton {
    /// Of a pattern that matches from the id's start, not necessarily to its end. `None`: it has
    /// look-around or backreferences, or would be too large.
    pub(super) fn of(pattern: &str) -> Option<Self> {
        let config = dense::Config::new()
            .start_kind(StartKind::Anchored)
            .unicode_word_boundary(true)
            .dfa_size_limit(Some(MAX_BYTES))
            .determinize_size_limit(Some(MAX_WORK_BYTES));
        let automaton = dense::Builder::new()
            .configure(config)
            .thompson(thompson::Config::new().nfa_size_limit(Some(MAX_BYTES)))
            .build(&anchored(pattern))
            .ok()?;
        Some(Self(automaton))
    }

    fn start(&self) -> Option<StateID> {
        let start = start::Config::new().anchored(Anchored::Yes);
        self.0.start_state(&start).ok()
    }

    /// One byte on. Matches show one byte late; from then on the pattern has matched, whatever
    /// follows.
    fn step(&self, at: Place, byte: u8) -> Place {
        let Place::At(state) = at else { return at };
        let next = self.0.next_state(state, byte);
        if self.0.is_match_state(next) {
            Place::Matched
        } else if self.0.is_dead_state(next) || self.0.is_quit_state(next) {
            Place::Never
        } else {
            Place::At(next)
        }
    }

    /// Whether the pattern has matched if the id ends here.
    fn matches_at_end(&self, at: Place) -> bool {
        match at {
            Place::Matched => true,
            Place::Never => false,
            Place::At(state) => self.0.is_match_state(self.0.next_eoi_state(state)),
        }
    }
}

/// How far an automaton has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    At(StateID),
    /// It has matched, whatever follows.
    Matched,
    /// It will not match any more.
    Never,
}

/// An automaton, and whether the id is to be matched by it.
pub(super) struct Part<'a> {
    automaton: &'a Automaton,
    wanted: bool,
}

/// The id must match.
pub(super) fn must(automaton: &Automaton) -> Part<'_> {
    Part {
        automaton,
        wanted: true,
    }
}

/// The id must not match.
pub(super) fn must_not(automaton: &Automaton) -> Part<'_> {
    Part {
        automaton,
        wanted: false,
    }
}

/// What a search came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Search {
    /// Shortest ids first.
    Found(Vec<String>),
    /// There is none.
    Nothing,
    /// It would have taken too long to tell.
    GaveUp,
}

impl Search {
    /// The first id found.
    pub(super) fn first(self) -> Option<String> {
        match self {
            Self::Found(ids) => ids.into_iter().next(),
            Self::Nothing | Self::GaveUp => None,
        }
    }
}

type Places = SmallVec<[Place; 4]>;

struct Node {
    places: Places,
    before: usize,
    byte: u8,
    length: usize,
}

/// Up to `limit` ids that fit all parts. One of the parts must describe what an id is.
pub(super) fn search(parts: &[Part<'_>], limit: usize) -> Search {
    let starts: Option<Places> = parts
        .iter()
        .map(|part| part.automaton.start().map(Place::At))
        .collect();
    let Some(starts) = starts else {
        return Search::GaveUp;
    };
    let alphabet = alphabet(parts);
    let mut seen: HashSet<Places> = HashSet::from([starts.clone()]);
    let mut nodes = vec![Node {
        places: starts,
        before: 0,
        byte: 0,
        length: 0,
    }];
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(node) = nodes.get(at) {
        if node.length == MAX_ID_BYTES {
            break;
        }
        let (places, length) = (node.places.clone(), node.length + 1);
        for byte in &alphabet {
            let next = step(parts, &places, *byte);
            if hopeless(parts, &next) || !seen.insert(next.clone()) {
                continue;
            }
            let fits = fits(parts, &next);
            nodes.push(Node {
                places: next,
                before: at,
                byte: *byte,
                length,
            });
            if fits && let Some(id) = spell(&nodes, nodes.len() - 1) {
                found.push(id);
                if found.len() == limit {
                    return Search::Found(found);
                }
            }
        }
        if nodes.len() > MAX_STATES {
            return if found.is_empty() {
                Search::GaveUp
            } else {
                Search::Found(found)
            };
        }
        at += 1;
    }
    if found.is_empty() {
        Search::Nothing
    } else {
        Search::Found(found)
    }
}

fn step(parts: &[Part<'_>], places: &Places, byte: u8) -> Places {
    parts
        .iter()
        .zip(places)
        .map(|(part, place)| part.automaton.step(*place, byte))
        .collect()
}

fn hopeless(parts: &[Part<'_>], places: &Places) -> bool {
    parts.iter().zip(places).any(|(part, place)| match place {
        Place::Matched => !part.wanted,
        Place::Never => part.wanted,
        Place::At(_) => false,
    })
}

fn fits(parts: &[Part<'_>], places: &Places) -> bool {
    parts
        .iter()
        .zip(places)
        .all(|(part, place)| part.automaton.matches_at_end(*place) == part.wanted)
}

fn spell(nodes: &[Node], last: usize) -> Option<String> {
    let mut bytes = Vec::with_capacity(nodes[last].length);
    let mut at = last;
    while at != 0 {
        bytes.push(nodes[at].byte);
        at = nodes[at].before;
    }
    bytes.reverse();
    String::from_utf8(bytes).ok()
}

/// One byte for each class that some automaton tells apart, pleasant ones first.
fn alphabet(parts: &[Part<'_>]) -> Vec<u8> {
    let mut seen: HashSet<SmallVec<[u8; 4]>> = HashSet::new();
    let pleasant = (b'a'..=b'z').chain(b'0'..=b'9').chain(*b"_-.=/+");
    pleasant
        .chain(b'!'..=b'~')
        .chain(0..=u8::MAX)
        .filter(|byte| {
            seen.insert(
                parts
                    .iter()
                    .map(|part| part.automaton.0.byte_classes().get(*byte))
                    .collect(),
            )
        })
        .collect()
}
