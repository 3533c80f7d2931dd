//! Who of Matrix may be in a channel and not speak there: they are told so, before what they say is refused.
//!
//! Whom a mask meets is seen in [`lists`](super::lists). Masks that were set before the bridge has come count as those
//! that are set while it is there: it asks for the lists, and looks again whenever one of its people comes in. Each is
//! told once that they may not speak, and once that they may again.

use std::collections::BTreeSet;

use bridgehead_appservice::{format::Rich, id::UserId};
use bridgehead_irc_protocol::{
    ModeChange, channels::ListEntry as Listed, isupport::ModeKind, mask::ListEntry,
};

use super::{Hub, Owner, deeds::Deed, standing::level_of};

/// Who was told of which channel; with more, it is begun anew.
const MAX_TOLD: usize = 10_000;

/// Who knows of which channel, folded, that they may not speak there.
#[derive(Debug, Default)]
pub(super) struct Quiets {
    told: BTreeSet<(String, UserId)>,
}

impl Quiets {
    /// Whether somebody has to be told that they may speak in a channel, or may not.
    fn note(&mut self, channel: &str, person: &UserId, is_quieted: bool) -> bool {
        let key = (channel.to_owned(), person.clone());
        if !is_quieted {
            return self.told.remove(&key);
        }
        if self.told.len() >= MAX_TOLD {
            self.told.clear();
        }
        self.told.insert(key)
    }
}

impl Hub {
    /// The letter of the list of quiets, where the server of a channel has one.
    pub(super) fn quiet_mode(&self, channel: &str) -> Option<char> {
        let isupport = self.watcher(channel)?.link.facts().isupport;
        (isupport.mode_kind('q') == ModeKind::List).then_some('q')
    }

    /// A channel's lists were told: whom they quiet is told, and who is quieted no more.
    pub(super) fn look_at_quiets(&mut self, channel: &str) {
        let folded = self.directory.read().case_mapping().fold(channel);
        for person in self.people_in(&folded) {
            self.look_at_quiet(channel, &person);
        }
    }

    /// Tells one of the people in a channel what its lists say of them, if they do not know.
    pub(super) fn look_at_quiet(&mut self, channel: &str, person: &UserId) {
        if !self.settings.sync.bans || !self.knows_quiets(channel) {
            return;
        }
        let mask = self.quiet_for(channel, person);
        let owner = Owner::Person(person.clone());
        let nick = self.directory.read().nick(&owner).map(str::to_owned);
        let standing = nick.and_then(|nick| self.standing(channel, &nick));
        // Who has a voice is quieted by nothing.
        let mask = mask.filter(|_| level_of(standing) <= 0);
        self.tell_quiet(channel, person, mask.as_deref());
    }

    /// Whether a channel's lists have been told whole.
    fn knows_quiets(&self, channel: &str) -> bool {
        let known = self
            .watcher(channel)
            .and_then(|live| live.view.channel(channel));
        let mut lists = ['b'].into_iter().chain(self.quiet_mode(channel));
        known.is_some_and(|known| lists.all(|mode| known.list(mode).is_some()))
    }

    /// The mask by which a channel quiets somebody, if one does and they are not excepted, as far as that is known.
    pub(super) fn quiet_for(&self, channel: &str, person: &UserId) -> Option<String> {
        if self.is_excepted(channel, person) {
            return None;
        }
        let seen = self.seen.get(person)?;
        let known = self.watcher(channel)?.view.channel(channel)?;
        let list = |mode: Option<char>| mode.and_then(|mode| known.list(mode)).unwrap_or_default();
        let meets = |entry: &Listed| self.meets(&ListEntry::parse(&entry.mask), seen);
        let muted = list(Some('b')).iter();
        let muted = muted.filter(|entry| ListEntry::parse(&entry.mask).is_quiet());
        let mut quiets = list(self.quiet_mode(channel)).iter().chain(muted);
        let met = quiets.find(|entry| meets(entry));
        met.map(|entry| entry.mask.clone())
    }

    /// A mask was put on the list of quiets, or taken from it.
    pub(super) fn quieted(&mut self, channel: &str, met: &[UserId], change: &ModeChange) {
        let mask = change.param.as_deref().filter(|_| change.is_set);
        for person in met {
            // Where it is taken away, another one may meet them as well.
            let other = match change.is_set {
                true => None,
                false => self.quiet_for(channel, person),
            };
            let mask = mask.filter(|_| !self.is_excepted(channel, person));
            self.tell_quiet(channel, person, mask.or(other.as_deref()));
        }
    }

    /// Who may stay in a channel and not speak is told so, and when they may again.
    fn tell_quiet(&mut self, channel: &str, person: &UserId, mask: Option<&str>) {
        let folded = self.directory.read().case_mapping().fold(channel);
        let client = self.clients.get(&Owner::Person(person.clone()));
        let is_wanted = client.is_some_and(|client| client.wanted.contains(&folded));
        if !is_wanted || !self.quiets.note(&folded, person, mask.is_some()) {
            return;
        }
        let words = match mask {
            Some(mask) => format!(
                "You may not speak in {channel} any more: it is quieted for {mask}. What you say there is not \
                 delivered."
            ),
            None => format!(
                "It is not quieted for you in {channel} any more: you may speak there again."
            ),
        };
        self.deed(Deed::Tell(person.clone(), Rich::plain(&words)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_told_once() {
        let ann = UserId::parse("@ann:example.org").expect("an id");
        let mut quiets = Quiets::default();
        assert!(!quiets.note("#a", &ann, false), "they could speak before");
        assert!(quiets.note("#a", &ann, true));
        assert!(!quiets.note("#a", &ann, true));
        assert!(quiets.note("#b", &ann, true));
        assert!(quiets.note("#a", &ann, false));
        assert!(quiets.note("#a", &ann, true));
        for n in 0..MAX_TOLD {
            quiets.note(&n.to_string(), &ann, true);
        }
        assert!(quiets.told.len() <= MAX_TOLD);
    }
}
