//! People who come and go: `JOIN`, `PART`, `KICK`, `QUIT`, `NICK`.

use super::{
    Channels, Happening, Incoming,
    channel::Record,
    people::{self, Person},
    standing::Standing,
};
use crate::{Source, netsplit::netsplit};

impl Channels {
    pub(super) fn take_join(&mut self, incoming: &Incoming<'_>) -> Vec<Happening> {
        let Some(who) = self.who(incoming) else {
            return Vec::new();
        };
        let channels = incoming.text(0);
        let channels = channels.split(',').filter(|channel| !channel.is_empty());
        channels
            .map(|channel| self.join(incoming, channel, who.clone()))
            .collect()
    }

    fn join(&mut self, incoming: &Incoming<'_>, channel: &str, who: Source) -> Happening {
        let is_extended = incoming.line.params.len() >= 3;
        let account = match incoming.text(1) {
            account if is_extended => Some(account.into_owned()).filter(|account| account != "*"),
            _ => incoming.line.tags.get("account").map(str::to_owned),
        };
        let realname = is_extended.then(|| incoming.text(2).into_owned());
        let name = self.fold(channel);
        let is_me = incoming.is_me(&who.name);
        if is_me {
            self.open(&name, channel);
        }
        self.place(&name, &who.name, Standing::default(), || Person::new(&who));
        if is_extended {
            self.introduce(&who, account.as_deref(), realname.as_deref());
        } else {
            let folded = self.fold(&who.name);
            self.people.learn(&folded, &who, account.as_deref());
        }
        let channel = self.shown(channel);
        if is_me {
            return Happening::Entered { channel };
        }
        Happening::Joined {
            channel,
            who,
            account,
            realname,
            is_netjoin: incoming.batch == Some("netjoin"),
        }
    }

    /// The connection is in a channel, of which nothing is known yet.
    fn open(&mut self, name: &str, channel: &str) {
        self.forget(name);
        if self.channels.len() >= self.bounds.channels || !people::is_name(channel) {
            self.dropped += 1;
            return;
        }
        let record = Record {
            name: channel.to_owned(),
            ..Record::default()
        };
        self.channels.insert(name.into(), record);
    }

    pub(super) fn take_part(&mut self, incoming: &Incoming<'_>) -> Vec<Happening> {
        let Some(who) = self.who(incoming) else {
            return Vec::new();
        };
        let channels = incoming.text(0);
        let channels = channels.split(',').filter(|channel| !channel.is_empty());
        channels
            .map(|channel| self.part(incoming, channel, who.clone()))
            .collect()
    }

    fn part(&mut self, incoming: &Incoming<'_>, channel: &str, who: Source) -> Happening {
        let name = self.fold(channel);
        let channel = self.shown(channel);
        let reason = incoming.reason(1);
        if incoming.is_me(&who.name) {
            self.forget(&name);
            return Happening::Expelled {
                channel,
                by: None,
                reason,
                is_kick: false,
            };
        }
        self.displace(&name, &self.fold(&who.name));
        Happening::Parted {
            channel,
            who,
            reason,
        }
    }

    pub(super) fn take_kick(&mut self, incoming: &Incoming<'_>) -> Option<Happening> {
        let by = self.whole(incoming.source());
        let (channel, who) = (incoming.text(0), incoming.text(1));
        if channel.is_empty() || who.is_empty() {
            return None;
        }
        let name = self.fold(&channel);
        let channel = self.shown(&channel);
        let reason = incoming.reason(2);
        if incoming.is_me(&who) {
            self.forget(&name);
            return Some(Happening::Expelled {
                channel,
                by: Some(by),
                reason,
                is_kick: true,
            });
        }
        let folded = self.fold(&who);
        let known = self.people.get(&folded);
        let who = known.map_or_else(|| who.into_owned(), |person| person.nick.to_string());
        self.displace(&name, &folded);
        Some(Happening::Kicked {
            channel,
            who,
            by,
            reason,
        })
    }

    pub(super) fn take_quit(&mut self, incoming: &Incoming<'_>) -> Option<Happening> {
        let who = self.who(incoming)?;
        let channels = if incoming.is_me(&who.name) {
            self.forget_all()
        } else {
            self.vanish(&self.fold(&who.name))
        };
        let reason = incoming.line.param(0).unwrap_or_default().to_vec();
        let is_split = incoming.batch == Some("netsplit");
        let named = std::str::from_utf8(&reason).ok().and_then(netsplit);
        let named = named.map(|(near, far)| (near.to_owned(), far.to_owned()));
        let split = named.or_else(|| is_split.then(Default::default));
        Some(Happening::Quit {
            who,
            channels,
            reason,
            split,
        })
    }

    pub(super) fn take_nick(&mut self, incoming: &Incoming<'_>) -> Option<Happening> {
        let from = self.who(incoming)?;
        let to = incoming.text(0).into_owned();
        if to.is_empty() {
            return None;
        }
        let (before, after) = (self.fold(&from.name), self.fold(&to));
        let channels = self.whereabouts(&before);
        let channels = channels.into_iter().map(str::to_owned).collect();
        if !people::is_name(&to) {
            self.dropped += 1;
            self.vanish(&before);
        } else if before == after {
            if let Some(person) = self.people.get_mut(&after) {
                person.nick = to.as_str().into();
            }
        } else {
            self.rename(&before, &after, &to);
        }
        Some(Happening::Nick { from, to, channels })
    }
}
