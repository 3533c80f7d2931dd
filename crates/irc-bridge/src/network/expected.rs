//! Changes of modes that Matrix has asked for, from the asking until they are heard: they are no news there, and what is
//! known of a channel is older than they are.
//!
//! [`standing`](super::standing) and [`moderate`](super::moderate) ask for them.

use std::time::{Duration, Instant};

use bridgehead_irc_protocol::{ModeChange, channels::Member};

use super::{Hub, standing::level_of};
use crate::clock::now;

/// How long a change that was asked for may take to be heard.
const EXPECTED_FOR: Duration = Duration::from_secs(60);
/// How long it counts as if it were there already: servers are that far behind each other.
const ON_ITS_WAY_FOR: Duration = Duration::from_secs(10);
/// Changes that may be expected; then the oldest is not any more.
pub(super) const MAX_EXPECTED: usize = 512;

/// A change of modes that Matrix has asked for, and that is to be heard.
pub(super) struct Expected {
    channel: String,
    change: ModeChange,
    asked_at: Instant,
}

/// What somebody holds, with what they may hold as soon as all is heard that is on its way.
#[derive(Default)]
pub(super) struct Holding {
    /// What they are heard to hold.
    pub(super) held: Vec<char>,
    /// What they are about to be given.
    coming: Vec<char>,
    /// What is about to be taken from them.
    pub(super) going: Vec<char>,
}

impl Holding {
    pub(super) fn of(held: &[char], changes: impl Iterator<Item = ModeChange>) -> Self {
        let mut holding = Self {
            held: held.to_vec(),
            ..Self::default()
        };
        for change in changes {
            let (to, from) = match change.is_set {
                true => (&mut holding.coming, &mut holding.going),
                false => (&mut holding.going, &mut holding.coming),
            };
            from.retain(|mode| *mode != change.mode);
            to.push(change.mode);
        }
        holding
    }

    /// Whether they hold a mode now, or may.
    pub(super) fn may_hold(&self) -> impl Iterator<Item = char> {
        let held = self.held.iter().copied();
        let coming = self.coming.iter().copied();
        held.chain(coming.filter(|mode| !self.held.contains(mode)))
    }

    /// The level of the highest mode that they hold when all is heard.
    pub(super) fn level(&self) -> i64 {
        let stays = self.may_hold().filter(|mode| !self.going.contains(mode));
        stays.map(|mode| level_of(Some(mode))).max().unwrap_or(0)
    }
}

impl Hub {
    /// What a member holds, and what Matrix has asked for and was not heard yet.
    pub(super) fn holding(&self, channel: &str, member: &Member) -> Holding {
        let coming = self.on_their_way(channel, &member.source.name);
        Holding::of(&member.modes, coming.cloned())
    }

    /// The level of what somebody holds as soon as all is heard that Matrix has asked for.
    pub(super) fn level_soon(&self, channel: &str, nick: &str) -> i64 {
        let known = self
            .watcher(channel)
            .and_then(|live| live.view.channel(channel)?.member(nick));
        known.map_or(0, |member| self.holding(channel, &member).level())
    }

    /// Changes for somebody that Matrix has asked for just now, and that were not heard yet.
    pub(super) fn on_their_way(
        &self,
        channel: &str,
        nick: &str,
    ) -> impl Iterator<Item = &ModeChange> {
        let now = now();
        let mapping = self.directory.read().case_mapping();
        let expected = self.expected.iter().filter(move |expected| {
            let whom = expected.change.param.as_deref().unwrap_or_default();
            now.saturating_duration_since(expected.asked_at) < ON_ITS_WAY_FOR
                && mapping.is_same(&expected.channel, channel)
                && mapping.is_same(whom, nick)
        });
        expected.map(|expected| &expected.change)
    }

    /// Somebody comes into a channel anew: whatever was asked for them before has found nobody.
    pub(super) fn expect_nothing_for(&mut self, channel: &str, nick: &str) {
        let mapping = self.directory.read().case_mapping();
        self.expected.retain(|expected| {
            let whom = expected.change.param.as_deref().unwrap_or_default();
            !(mapping.is_same(&expected.channel, channel) && mapping.is_same(whom, nick))
        });
    }

    /// Notes that changes were asked for by Matrix: they are no news there.
    pub(super) fn expect(&mut self, channel: &str, changes: &[ModeChange]) {
        let channel = self.directory.read().case_mapping().fold(channel);
        let asked_at = now();
        for change in changes {
            let mut pending = self.expected.iter_mut().rev();
            let last = pending.find(|other| {
                let (own, other_change) = (&change.param, &other.change);
                other.channel == channel
                    && other_change.mode == change.mode
                    && other_change.param == *own
            });
            match last {
                // What is asked for twice is told once: the second changes nothing.
                Some(last) if last.change.is_set == change.is_set => last.asked_at = asked_at,
                _ => self.expected.push(Expected {
                    channel: channel.clone(),
                    change: change.clone(),
                    asked_at,
                }),
            }
        }
        let too_many = self.expected.len().saturating_sub(MAX_EXPECTED);
        self.expected.drain(..too_many);
    }

    /// Somebody else has done what Matrix has asked for: the server tells of that once.
    pub(super) fn expect_no_more(&mut self, channel: &str, change: &ModeChange) {
        let mapping = self.directory.read().case_mapping();
        self.expected.retain(|expected| {
            let (whom, other) = (&expected.change.param, &change.param);
            let whom = whom.as_deref().unwrap_or_default();
            !(mapping.is_same(&expected.channel, channel)
                && (expected.change.mode, expected.change.is_set) == (change.mode, change.is_set)
                && mapping.is_same(whom, other.as_deref().unwrap_or_default()))
        });
    }

    /// Whether Matrix has asked for this change. It is expected no more then, nor is what was asked for before it of the same
    /// mode of the same: that was heard by nobody.
    pub(super) fn take_expected(&mut self, channel: &str, change: &ModeChange) -> bool {
        let now = now();
        self.expected
            .retain(|expected| now.saturating_duration_since(expected.asked_at) < EXPECTED_FOR);
        let mapping = self.directory.read().case_mapping();
        let is_of_same = |expected: &Expected| {
            let whom = expected.change.param.as_deref().unwrap_or_default();
            mapping.is_same(&expected.channel, channel)
                && expected.change.mode == change.mode
                && mapping.is_same(whom, change.param.as_deref().unwrap_or_default())
        };
        let is_it =
            |expected: &Expected| expected.change.is_set == change.is_set && is_of_same(expected);
        let Some(found) = self.expected.iter().position(is_it) else {
            return false;
        };
        let mut at = 0;
        self.expected.retain(|expected| {
            at += 1;
            at > found + 1 || !is_of_same(expected)
        });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_its_way_counts() {
        let level = |held: &[char], changes: Vec<ModeChange>| {
            Holding::of(held, changes.into_iter()).level()
        };
        let (voiced, op) = (
            ModeChange::set('v', Some("ann")),
            ModeChange::unset('o', Some("ann")),
        );
        assert_eq!(level(&[], vec![voiced.clone()]), 1);
        assert_eq!(level(&['o'], vec![op.clone(), voiced]), 1);
        assert_eq!(level(&['o'], vec![op]), 0);
        assert_eq!(level(&['q', 'o'], Vec::new()), 95);
    }
}
