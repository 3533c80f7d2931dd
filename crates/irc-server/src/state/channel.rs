//! One channel: who is in it, and how it is set.

use std::collections::{BTreeMap, BTreeSet};

use bridgehead_irc_protocol::{CaseMapping, Isupport, Source, mask::Mask};

use super::ClientId;

/// One channel.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) name: String,
    pub(crate) created_s: i64,
    pub(crate) topic: Option<Topic>,
    /// Everybody in it, and the modes of their standing.
    pub(crate) members: BTreeMap<ClientId, BTreeSet<char>>,
    pub(crate) flags: BTreeSet<char>,
    /// Settings with a parameter: the key, the limit.
    pub(crate) settings: BTreeMap<char, String>,
    pub(crate) lists: BTreeMap<char, Vec<Entry>>,
    pub(crate) invited: BTreeSet<ClientId>,
}

/// What a channel is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// The text.
    pub text: Vec<u8>,
    /// Who set it: `nick!user@host`.
    pub by: String,
    /// When, in seconds since 1970.
    pub at_s: i64,
}

/// An entry of a list of masks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The mask, made whole.
    pub mask: String,
    /// Who set it: `nick!user@host`.
    pub by: String,
    /// When, in seconds since 1970.
    pub at_s: i64,
}

impl Channel {
    pub(crate) fn new(name: &str, default_flags: &str, now_s: i64) -> Self {
        Self {
            name: name.to_owned(),
            created_s: now_s,
            topic: None,
            members: BTreeMap::new(),
            flags: default_flags.chars().collect(),
            settings: BTreeMap::new(),
            lists: BTreeMap::new(),
            invited: BTreeSet::new(),
        }
    }

    /// How high a member stands: 0 for the highest, `None` for those without a standing.
    pub(crate) fn rank(&self, id: ClientId, isupport: &Isupport) -> Option<usize> {
        let standing = self.members.get(&id)?;
        standing
            .iter()
            .filter_map(|mode| isupport.rank(*mode))
            .min()
    }

    /// Whether a member stands as high as a mode at least.
    pub(crate) fn stands(&self, id: ClientId, mode: char, isupport: &Isupport) -> bool {
        match (self.rank(id, isupport), isupport.rank(mode)) {
            (Some(rank), Some(wanted)) => rank <= wanted,
            // Where the mode is unknown the next that is known above it decides: operators.
            (Some(rank), None) => isupport.rank('o').is_some_and(|wanted| rank <= wanted),
            (None, _) => false,
        }
    }

    /// The prefixes of a member: all of them, or the highest.
    pub(crate) fn prefixes(&self, id: ClientId, isupport: &Isupport, all: bool) -> String {
        let Some(standing) = self.members.get(&id) else {
            return String::new();
        };
        let held = isupport.prefixes().iter();
        let held = held.filter(|(mode, _)| standing.contains(mode));
        let count = if all { usize::MAX } else { 1 };
        held.take(count).map(|(_, prefix)| prefix).collect()
    }

    /// Whether a list means somebody.
    pub(crate) fn lists(&self, mode: char, who: &Source, case_mapping: CaseMapping) -> bool {
        let entries = self.lists.get(&mode).map(Vec::as_slice).unwrap_or_default();
        entries
            .iter()
            .any(|entry| Mask::parse(&entry.mask).matches(who, case_mapping))
    }

    /// Whether an entry of the list of bans with this prefix means somebody.
    pub(crate) fn mutes(&self, prefix: &str, who: &Source, case_mapping: CaseMapping) -> bool {
        let entries = self.lists.get(&'b').map(Vec::as_slice).unwrap_or_default();
        entries.iter().any(|entry| {
            let mask = entry.mask.strip_prefix(prefix);
            mask.is_some_and(|mask| Mask::parse(mask).matches(who, case_mapping))
        })
    }

    /// The modes as 324 has them, with the key where it may be seen.
    pub(crate) fn modes(&self, shows_key: bool) -> Vec<String> {
        let mut modes: String = std::iter::once('+')
            .chain(self.flags.iter().copied())
            .collect();
        let mut params = Vec::new();
        for (mode, value) in &self.settings {
            modes.push(*mode);
            let is_hidden = *mode == 'k' && !shows_key;
            params.push(if is_hidden { "*" } else { value }.to_owned());
        }
        std::iter::once(modes).chain(params).collect()
    }
}
