//! Which nick to try next, and how to get the wanted one back. Nothing in here takes a nick from anybody.

use std::time::{Duration, Instant};

/// How often the wanted nick is tried again.
const EVERY: Duration = Duration::from_secs(300);
/// Made-up nicks that are tried.
const MADE_UP: u64 = 12;
/// Bytes of a nick that every server takes (RFC 1459, 1.2).
const SAFE_BYTES: usize = 9;
/// After so many renamings by others the wanted nick is let go: somebody means it.
const MAX_RENAMINGS: u32 = 3;

/// The nicks of one session.
#[derive(Debug)]
pub(super) struct Nicks {
    ladder: Vec<String>,
    at: usize,
    wanted: String,
    renamings: u32,
    is_given_up: bool,
    /// The last try that was not answered.
    trying: Option<String>,
    next_try_at: Option<Instant>,
}

impl Nicks {
    pub(super) fn new(nicks: &[String], seed: u64) -> Self {
        let mut ladder: Vec<String> = Vec::new();
        let base = ascii(nicks.first().map_or("", String::as_str));
        let given = nicks.iter().filter(|nick| is_writable(nick)).cloned();
        for nick in given.chain(made_up(&base, seed)) {
            if !ladder.contains(&nick) {
                ladder.push(nick);
            }
        }
        Self {
            wanted: ladder[0].clone(),
            ladder,
            at: 0,
            renamings: 0,
            is_given_up: false,
            trying: None,
            next_try_at: None,
        }
    }

    /// The nick to register with now.
    pub(super) fn current(&self) -> &str {
        &self.ladder[self.at]
    }

    /// The next one; none where all were tried.
    pub(super) fn advance(&mut self) -> Option<&str> {
        if self.at + 1 == self.ladder.len() {
            return None;
        }
        self.at += 1;
        Some(self.current())
    }

    pub(super) fn wanted(&self) -> &str {
        &self.wanted
    }

    /// The client has this nick by its own wish.
    pub(super) fn take_wish(&mut self, nick: &str) {
        nick.clone_into(&mut self.wanted);
        self.is_given_up = false;
        self.renamings = 0;
        self.trying = None;
    }

    /// How often others have renamed the client in a row.
    pub(super) fn renamings(&self) -> u32 {
        self.renamings
    }

    /// Whether a try was not answered yet.
    pub(super) fn is_trying_at_all(&self) -> bool {
        self.trying.is_some()
    }

    /// Goes on for another, which may have tried to get the wanted nick.
    pub(super) fn go_on(&mut self, wanted: &str, renamings: u32, is_trying: bool) {
        self.take_wish(wanted);
        self.renamings = renamings;
        self.is_given_up = renamings >= MAX_RENAMINGS;
        self.trying = is_trying.then(|| wanted.to_owned());
    }

    /// Looks again at a later time.
    pub(super) fn look_later(&mut self, now: Instant) {
        self.next_try_at = Some(now + EVERY);
    }

    /// The client has the wanted nick again.
    pub(super) fn regained(&mut self) {
        self.trying = None;
        self.next_try_at = None;
    }

    /// Somebody else has renamed the client.
    pub(super) fn take_renaming(&mut self, now: Instant) {
        self.renamings += 1;
        self.trying = None;
        self.next_try_at = Some(now + EVERY);
        if self.renamings >= MAX_RENAMINGS {
            self.is_given_up = true;
        }
    }

    /// Begins to wait for the wanted nick; a try that was never answered is over.
    pub(super) fn watch(&mut self, now: Instant) {
        self.trying = None;
        self.next_try_at = Some(now + EVERY);
    }

    /// Whether the wanted nick may be tried, by who has this one.
    pub(super) fn may_try(&self, nick: &str, limit_bytes: usize) -> bool {
        let is_possible = !self.is_given_up && self.wanted.len() <= limit_bytes;
        is_possible && nick != self.wanted && self.trying.is_none()
    }

    /// The nick to try now. It counts as tried.
    pub(super) fn try_now(&mut self, now: Instant) -> String {
        self.next_try_at = Some(now + EVERY);
        self.trying = Some(self.wanted.clone());
        self.wanted.clone()
    }

    pub(super) fn next_try_at(&self) -> Option<Instant> {
        self.next_try_at.filter(|_| !self.is_given_up)
    }

    /// Whether a try for this nick is without an answer.
    pub(super) fn is_trying(&self, nick: &str) -> bool {
        self.trying
            .as_deref()
            .is_some_and(|trying| trying.eq_ignore_ascii_case(nick))
    }

    /// Takes the refusal of a try; one that the server will never take is not tried again.
    pub(super) fn take_refusal(&mut self, numeric: u16) {
        self.trying = None;
        self.is_given_up |= numeric == 432;
    }
}

/// Whether it can stand in a line as one word.
fn is_writable(nick: &str) -> bool {
    let is_bad = |c: char| c.is_whitespace() || c.is_control() || ",*?!@.:".contains(c);
    !nick.is_empty()
        && nick.len() <= 64
        && !nick.contains(is_bad)
        && !nick.starts_with(['#', '&', '$', '+', '~', '%'])
}

/// What every server takes of a nick (RFC 1459, 2.3.1).
fn ascii(nick: &str) -> String {
    let is_good = |c: &char| c.is_ascii_alphanumeric() || "[]\\`_^{|}-".contains(*c);
    let good: String = nick.chars().filter(is_good).collect();
    if good.is_empty() {
        "guest".to_owned()
    } else if good.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        format!("_{good}")
    } else {
        good
    }
}

/// Shorter ones, and ones with digits.
fn made_up(base: &str, seed: u64) -> impl Iterator<Item = String> {
    let cut = |bytes: usize| base[..base.len().min(bytes)].to_owned();
    let plain = [cut(SAFE_BYTES), format!("{}_", cut(SAFE_BYTES - 1))];
    let stem = cut(SAFE_BYTES - 3);
    let numbered = (0..MADE_UP).map(move |at| {
        let number = mix(seed.wrapping_add(at)) % 1_000;
        format!("{stem}{number:03}")
    });
    plain.into_iter().chain(numbered)
}

/// Spreads a number over all of its bits (SplitMix64).
fn mix(seed: u64) -> u64 {
    let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(nicks: &[&str], seed: u64) -> Vec<String> {
        let nicks: Vec<String> = nicks.iter().map(|&nick| nick.to_owned()).collect();
        let mut nicks = Nicks::new(&nicks, seed);
        let mut all = vec![nicks.current().to_owned()];
        while let Some(next) = nicks.advance() {
            all.push(next.to_owned());
        }
        all
    }

    #[test]
    fn the_wanted_ones_come_first_and_then_shorter_ones() {
        let tried = all(&["Annabella|Matrix", "two words", "anna"], 7);
        assert_eq!(
            tried[..4],
            ["Annabella|Matrix", "anna", "Annabella", "Annabell_"]
        );
        assert!(tried.len() > 10, "{tried:?}");
        assert_ne!(tried[4..], all(&["Annabella|Matrix", "anna"], 8)[4..]);
        assert_eq!(all(&[], 1)[0], "guest");
        assert_eq!(all(&["7up"], 1)[1], "_7up");
    }

    #[test]
    fn who_is_renamed_again_and_again_lets_go() {
        let now = Instant::now();
        let mut nicks = Nicks::new(&["anna".to_owned()], 1);
        assert!(nicks.may_try("Guest1", 30));
        assert!(!nicks.may_try("Guest1", 3));
        assert!(!nicks.may_try("anna", 30));
        nicks.try_now(now);
        assert!(!nicks.may_try("Guest1", 30), "one try at a time");
        for _ in 0..MAX_RENAMINGS {
            nicks.take_renaming(now);
        }
        assert!(!nicks.may_try("Guest1", 30));
        assert_eq!(nicks.next_try_at(), None);
        nicks.take_wish("bella");
        assert!(nicks.may_try("Guest1", 30));
    }

    proptest! {
        #[test]
        fn made_up_nicks_are_taken_everywhere(nick in "\\PC{0,20}", seed: u64) {
            for nick in made_up(&ascii(&nick), seed) {
                prop_assert!(nick.len() <= SAFE_BYTES);
                prop_assert_eq!(&ascii(&nick), &nick);
            }
        }
    }
}
