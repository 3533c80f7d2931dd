//! What a member of a channel may do: the modes of `PREFIX` that they hold, as far as they are known.
//!
//! A server without multi-prefix shows only the highest one. What lies below it is then not known, and comes to light
//! when the highest is taken away: the channel's names have to be asked for again.

/// The modes that a member holds, and those of which it is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    held: Letters,
    unknown: Letters,
    /// Whether they still have to be shown by the names that are coming in.
    pub(super) is_awaited: bool,
}

impl Standing {
    /// What names show of a member. `ranks` are the modes from the highest down; where `is_whole`, all that are held are shown.
    pub(super) fn shown(shown: &[char], ranks: &[char], is_whole: bool) -> Self {
        let mut standing = Self::default();
        for mode in shown {
            standing.held.insert(*mode);
        }
        let highest = ranks.iter().position(|mode| standing.held.contains(*mode));
        if let (Some(highest), false) = (highest, is_whole) {
            for mode in &ranks[highest + 1..] {
                if !standing.held.contains(*mode) {
                    standing.unknown.insert(*mode);
                }
            }
        }
        standing
    }

    /// The same, with what was known before of the modes that are not shown, if the highest is still that one.
    pub(super) fn with_known(mut self, before: Self, ranks: &[char]) -> Self {
        if self.unknown == Letters::default() || self.highest(ranks) != before.highest(ranks) {
            return self;
        }
        for mode in ranks {
            if self.unknown.contains(*mode) && !before.unknown.contains(*mode) {
                self.set(*mode, before.held.contains(*mode));
            }
        }
        self
    }

    /// A mode is given or taken.
    pub(super) fn set(&mut self, mode: char, is_set: bool) {
        self.unknown.remove(mode);
        if is_set {
            self.held.insert(mode);
        } else {
            self.held.remove(mode);
        }
    }

    /// The highest mode that is known to be held.
    pub(super) fn highest(self, ranks: &[char]) -> Option<char> {
        self.modes(ranks).next()
    }

    /// The modes that are known to be held, from the highest down.
    pub(super) fn modes(self, ranks: &[char]) -> impl Iterator<Item = char> {
        ranks
            .iter()
            .copied()
            .filter(move |mode| self.held.contains(*mode))
    }

    /// Whether the highest mode that is held may be another than the one that is known.
    pub(super) fn is_doubtful(self, ranks: &[char]) -> bool {
        let mut above = ranks.iter().take_while(|mode| !self.held.contains(**mode));
        above.any(|mode| self.unknown.contains(*mode))
    }
}

/// A set of letters. Members are many, and each has two of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Letters(u64);

impl Letters {
    /// The letter's bit; none for what is no letter, which no server uses as a mode.
    fn bit(letter: char) -> u64 {
        match letter {
            'a'..='z' => 1 << (u32::from(letter) - u32::from('a')),
            'A'..='Z' => 1 << (u32::from(letter) - u32::from('A') + 26),
            _ => 0,
        }
    }

    fn contains(self, letter: char) -> bool {
        self.0 & Self::bit(letter) != 0
    }

    fn insert(&mut self, letter: char) {
        self.0 |= Self::bit(letter);
    }

    fn remove(&mut self, letter: char) {
        self.0 &= !Self::bit(letter);
    }
}

#[cfg(test)]
mod tests {
    use super::Standing;

    const RANKS: [char; 5] = ['q', 'a', 'o', 'h', 'v'];

    fn modes(standing: Standing) -> String {
        standing.modes(&RANKS).collect()
    }

    #[test]
    fn one_of_several_modes_is_taken() {
        let mut standing = Standing::shown(&['o', 'v'], &RANKS, true);
        assert_eq!(standing.highest(&RANKS), Some('o'));
        standing.set('o', false);
        assert_eq!(modes(standing), "v");
        assert!(!standing.is_doubtful(&RANKS));
        standing.set('q', true);
        assert_eq!(modes(standing), "qv");
    }

    #[test]
    fn what_is_below_the_only_one_shown_is_in_doubt_once_that_is_taken() {
        let mut standing = Standing::shown(&['o'], &RANKS, false);
        assert!(!standing.is_doubtful(&RANKS));
        standing.set('o', false);
        assert_eq!(standing.highest(&RANKS), None);
        assert!(standing.is_doubtful(&RANKS));
        standing.set('v', true);
        assert!(standing.is_doubtful(&RANKS), "they may be a half operator");
        standing.set('h', false);
        assert!(!standing.is_doubtful(&RANKS));
    }

    #[test]
    fn the_lowest_hides_nothing() {
        let mut standing = Standing::shown(&['v'], &RANKS, false);
        standing.set('v', false);
        assert!(!standing.is_doubtful(&RANKS));
    }

    #[test]
    fn what_was_known_stays_known() {
        let mut before = Standing::shown(&['v'], &RANKS, false);
        before.set('o', true);
        before.set('h', false);
        let again = Standing::shown(&['o'], &RANKS, false).with_known(before, &RANKS);
        assert_eq!(modes(again), "ov");
        let other = Standing::shown(&['h'], &RANKS, false).with_known(before, &RANKS);
        assert_eq!(modes(other), "h");
    }
}
