//! Lists of masks: bans, exceptions, invites, quiets (346–349, 367, 368, 728, 729), and how `MODE` changes them.

use std::collections::BTreeMap;

use super::{
    Channels, Happening, Incoming, ListEntry,
    bounds::{MAX_NAME_BYTES, cut},
    people::Name,
};
use crate::ModeChange;

/// Lists that come in at the same time; the oldest is given up for another.
const MAX_OPEN: usize = 16;

/// A list of which not all entries have come yet.
#[derive(Debug)]
struct Open {
    channel: Name,
    mode: char,
    entries: Vec<ListEntry>,
    is_cut: bool,
}

/// The lists of all channels.
#[derive(Debug, Default)]
pub(super) struct Lists {
    open: Vec<Open>,
    /// Those that were told whole.
    known: BTreeMap<(Name, char), Vec<ListEntry>>,
    /// Entries of those that are known.
    count: usize,
}

impl Lists {
    pub(super) fn get(&self, channel: &str, mode: char) -> Option<&[ListEntry]> {
        let found = self.known.get(&(channel.into(), mode));
        found.map(Vec::as_slice)
    }

    pub(super) fn forget(&mut self, channel: &str) {
        self.open.retain(|open| &*open.channel != channel);
        for (_, entries) in self.take_of(channel) {
            self.count -= entries.len();
        }
    }

    /// A channel has another name.
    pub(super) fn rename(&mut self, before: &str, after: &Name) {
        for open in &mut self.open {
            if &*open.channel == before {
                open.channel = after.clone();
            }
        }
        for (mode, entries) in self.take_of(before) {
            self.known.insert((after.clone(), mode), entries);
        }
    }

    fn take_of(&mut self, channel: &str) -> Vec<(char, Vec<ListEntry>)> {
        let name: Name = channel.into();
        let range = (name.clone(), '\0')..=(name, char::MAX);
        let keys: Vec<(Name, char)> = self
            .known
            .range(range)
            .map(|(key, _)| key.clone())
            .collect();
        let taken = keys.into_iter().filter_map(|key| {
            let entries = self.known.remove(&key)?;
            Some((key.1, entries))
        });
        taken.collect()
    }

    fn position(&self, channel: &str, mode: char) -> Option<usize> {
        self.open
            .iter()
            .position(|open| open.mode == mode && &*open.channel == channel)
    }

    /// The list that comes in; whether another was given up for it.
    fn open(&mut self, channel: &str, mode: char) -> (&mut Open, bool) {
        let found = self.position(channel, mode);
        let is_full = found.is_none() && self.open.len() >= MAX_OPEN;
        if is_full {
            self.open.remove(0);
        }
        let at = found.unwrap_or_else(|| {
            self.open.push(Open {
                channel: channel.into(),
                mode,
                entries: Vec::new(),
                is_cut: false,
            });
            self.open.len() - 1
        });
        (&mut self.open[at], is_full)
    }

    /// Keeps a list, unless that were too many; whether it is kept.
    fn keep(&mut self, key: (Name, char), entries: &[ListEntry], most: usize) -> bool {
        let before = self.known.remove(&key).map_or(0, |entries| entries.len());
        self.count -= before;
        let is_kept = self.count + entries.len() <= most;
        if is_kept {
            self.count += entries.len();
            self.known.insert(key, entries.to_vec());
        }
        is_kept
    }

    #[cfg(test)]
    pub(super) fn check(&self) {
        let count: usize = self.known.values().map(Vec::len).sum();
        assert_eq!(self.count, count);
        assert!(self.open.len() <= MAX_OPEN);
    }

    fn drop_known(&mut self, key: &(Name, char)) {
        let gone = self.known.remove(key);
        self.count -= gone.map_or(0, |entries| entries.len());
    }
}

/// Which list a numeric is of, and whether it ends it.
fn list_of(numeric: u16, incoming: &Incoming<'_>) -> (char, bool) {
    let isupport = incoming.isupport;
    let mode = match numeric {
        346 | 347 => isupport.invite_except_mode().unwrap_or('I'),
        348 | 349 => isupport.except_mode().unwrap_or('e'),
        728 | 729 => incoming.text(2).chars().next().unwrap_or('q'),
        _ => 'b',
    };
    (mode, matches!(numeric, 347 | 349 | 368 | 729))
}

impl Channels {
    /// `367 me #chan mask [setter [1700000000]]`, `368 me #chan :End`; 728 and 729 have the mode before the mask.
    pub(super) fn take_list(&mut self, numeric: u16, incoming: &Incoming<'_>) -> Option<Happening> {
        let channel = incoming.text(1);
        if channel.is_empty() || channel.len() > MAX_NAME_BYTES {
            return None;
        }
        let (mode, is_end) = list_of(numeric, incoming);
        if is_end {
            return Some(self.close_list(&channel, mode));
        }
        let at = if numeric == 728 { 3 } else { 2 };
        let setter = incoming.text(at + 1);
        let entry = ListEntry {
            mask: incoming.text(at).into_owned(),
            by: (!setter.is_empty()).then(|| setter.into_owned()),
            set_at_s: incoming.text(at + 2).parse().ok(),
        };
        self.enlist(&channel, mode, entry);
        None
    }

    fn enlist(&mut self, channel: &str, mode: char, entry: ListEntry) {
        let channel = self.fold(channel);
        let most = self.bounds.list_entries;
        let (open, is_full) = self.lists.open(&channel, mode);
        let by_bytes = entry.by.as_ref().map_or(0, String::len);
        let is_kept =
            open.entries.len() < most && entry.mask.len() + by_bytes <= MAX_NAME_BYTES * 2;
        if is_kept {
            open.entries.push(entry);
        } else {
            open.is_cut = true;
        }
        self.dropped += u64::from(is_full) + u64::from(!is_kept);
    }

    fn close_list(&mut self, channel: &str, mode: char) -> Happening {
        let name = self.fold(channel);
        let open = self.lists.position(&name, mode);
        let open = open.map(|at| self.lists.open.remove(at));
        let (entries, is_cut) =
            open.map_or_else(Default::default, |open| (open.entries, open.is_cut));
        if let Some((name, _)) = self.channels.get_key_value(name.as_str()) {
            let key = (name.clone(), mode);
            let is_kept = if is_cut {
                self.lists.drop_known(&key);
                true
            } else {
                let most = self.bounds.all_list_entries;
                self.lists.keep(key, &entries, most)
            };
            self.dropped += u64::from(!is_kept);
        }
        Happening::ListIs {
            channel: self.shown(channel),
            mode,
            entries,
            is_cut,
        }
    }

    /// A mask is put on a list that is known whole, or taken from it.
    pub(super) fn change_list(&mut self, channel: &str, change: &ModeChange, by: &str) {
        let mask = change.param.as_deref().unwrap_or_default();
        let key = (Name::from(channel), change.mode);
        let Some(entries) = self.lists.known.get_mut(&key) else {
            return;
        };
        self.lists.count -= entries.len();
        entries.retain(|entry| !self.case_mapping.is_same(&entry.mask, mask));
        if change.is_set {
            entries.push(entry(change, by));
        }
        self.lists.count += entries.len();
        let is_too_much = entries.len() > self.bounds.list_entries
            || self.lists.count > self.bounds.all_list_entries
            || mask.len() > MAX_NAME_BYTES;
        if is_too_much {
            // A list that lacks a mask must not pass for the whole: its masks would be taken for lifted.
            self.lists.drop_known(&key);
            self.dropped += 1;
        }
    }
}

fn entry(change: &ModeChange, by: &str) -> ListEntry {
    ListEntry {
        mask: change.param.clone().unwrap_or_default(),
        by: (!by.is_empty()).then(|| cut(by).into()),
        set_at_s: None,
    }
}
