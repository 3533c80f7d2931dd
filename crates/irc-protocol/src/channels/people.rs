//! Who is seen, each once, in however many channels.

use std::{collections::BTreeMap, sync::Arc};

use super::bounds::{MAX_NAME_BYTES, cut};
use crate::Source;

/// A name in the network's lower case. Shared, for it stands in every channel.
pub(super) type Name = Arc<str>;

/// Somebody who is seen in a channel at least.
#[derive(Debug, Default)]
pub(super) struct Person {
    pub(super) nick: Box<str>,
    user: Option<Box<str>>,
    host: Option<Box<str>>,
    pub(super) account: Option<Box<str>>,
    pub(super) realname: Option<Box<str>>,
    pub(super) is_away: Option<bool>,
    /// The channels in which they are seen.
    pub(super) channels: Vec<Name>,
}

impl Person {
    pub(super) fn new(source: &Source) -> Self {
        let mut person = Self {
            nick: source.name.as_str().into(),
            ..Self::default()
        };
        person.learn(source);
        person
    }

    /// Takes user and host where the source has them.
    fn learn(&mut self, source: &Source) {
        learn(&mut self.user, source.user.as_deref());
        learn(&mut self.host, source.host.as_deref());
    }

    /// The same in no channel.
    pub(super) fn again(&self) -> Self {
        Self {
            nick: self.nick.clone(),
            user: self.user.clone(),
            host: self.host.clone(),
            account: self.account.clone(),
            realname: self.realname.clone(),
            is_away: self.is_away,
            channels: Vec::new(),
        }
    }

    pub(super) fn source(&self) -> Source {
        Source {
            name: self.nick.to_string(),
            user: self.user.as_deref().map(str::to_owned),
            host: self.host.as_deref().map(str::to_owned),
        }
    }
}

/// Nothing is allocated for what is known already: this runs for each line.
fn learn(known: &mut Option<Box<str>>, told: Option<&str>) {
    if let Some(told) = told
        && known.as_deref() != Some(told)
    {
        *known = Some(cut(told));
    }
}

/// Who is seen, by nick in lower case.
#[derive(Debug, Default)]
pub(super) struct People(BTreeMap<Name, Person>);

impl People {
    pub(super) fn get(&self, name: &str) -> Option<&Person> {
        self.0.get(name)
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Person> {
        self.0.get_mut(name)
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Name, &Person)> {
        self.0.iter()
    }

    /// The person's own name, if they are seen.
    pub(super) fn name(&self, name: &str) -> Option<Name> {
        self.0.get_key_value(name).map(|(name, _)| name.clone())
    }

    /// Takes what a line says of somebody who is seen.
    pub(super) fn learn(&mut self, name: &str, source: &Source, account: Option<&str>) {
        if let Some(person) = self.0.get_mut(name) {
            person.learn(source);
            learn(&mut person.account, account);
        }
    }

    /// Somebody is seen in a channel in which they were not seen before. Gives back their name.
    pub(super) fn admit(
        &mut self,
        name: &str,
        channel: Name,
        as_seen: impl FnOnce() -> Person,
    ) -> Name {
        let name = self.name(name).unwrap_or_else(|| name.into());
        let person = self.0.entry(name.clone()).or_insert_with(as_seen);
        person.channels.push(channel);
        name
    }

    /// Somebody is no longer seen in a channel; they are forgotten if it was the last one.
    pub(super) fn dismiss(&mut self, name: &str, channel: &str) {
        if let Some(person) = self.0.get_mut(name) {
            person.channels.retain(|known| &**known != channel);
            if person.channels.is_empty() {
                self.0.remove(name);
            }
        }
    }

    /// A channel has another name.
    pub(super) fn move_to<'a>(
        &mut self,
        members: impl Iterator<Item = &'a Name>,
        before: &str,
        after: &Name,
    ) {
        for member in members {
            let person = self.0.get_mut(member);
            let mut channels = person.into_iter().flat_map(|person| &mut person.channels);
            if let Some(channel) = channels.find(|channel| &***channel == before) {
                *channel = after.clone();
            }
        }
    }

    /// Forgets somebody, and gives back what was known.
    pub(super) fn remove(&mut self, name: &str) -> Option<Person> {
        self.0.remove(name)
    }

    /// Somebody is known under another name from now on; whoever had it is replaced.
    pub(super) fn insert(&mut self, name: Name, person: Person) {
        self.0.insert(name, person);
    }
}

/// Whether a name can be kept at all.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME_BYTES
}
