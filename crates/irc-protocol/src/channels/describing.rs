//! What a channel is like: topic (`TOPIC`, 331–333), modes (`MODE`, 324), its age, address and name.

use super::{Channels, Happening, Incoming, bounds::cut, channel::Record, people};
use crate::{ModeChange, Source, isupport::ModeKind};

impl Channels {
    fn record(&mut self, channel: &str) -> Option<&mut Record> {
        let name = self.fold(channel);
        self.channels.get_mut(name.as_str())
    }

    pub(super) fn take_topic(&mut self, incoming: &Incoming<'_>) -> Option<Happening> {
        let channel = incoming.text(0);
        let topic = incoming.line.param(1)?.to_vec();
        let by = self.who(incoming);
        if let Some(record) = self.record(&channel) {
            record.set_topic(&topic, by.clone(), None);
        }
        Some(Happening::Topic {
            channel: self.shown(&channel),
            by,
            topic,
            set_at_s: None,
        })
    }

    /// `331 me #chan :No topic is set`
    pub(super) fn take_no_topic(&mut self, incoming: &Incoming<'_>) -> Option<Happening> {
        let channel = incoming.text(1);
        if let Some(record) = self.record(&channel) {
            record.set_topic(b"", None, None);
        }
        Some(topic(self.shown(&channel), Vec::new()))
    }

    /// `332 me #chan :topic`. It is told together with the 333 that follows on most servers.
    pub(super) fn take_topic_told(&mut self, incoming: &Incoming<'_>) -> Option<Happening> {
        let channel = incoming.text(1);
        let text = incoming.line.param(2)?.to_vec();
        if let Some(record) = self.record(&channel) {
            record.set_topic(&text, None, None);
        }
        self.topic_told = Some((self.shown(&channel), text));
        None
    }

    /// `333 me #chan setter 1700000000`
    pub(super) fn take_topic_setter(&mut self, incoming: &Incoming<'_>) -> Option<Happening> {
        let (channel, setter) = (incoming.text(1), incoming.text(2));
        let by = (!setter.is_empty()).then(|| Source::parse(&setter));
        let set_at_s = incoming.text(3).parse().ok();
        if let Some(record) = self.record(&channel)
            && let Some(topic) = record.topic.take()
        {
            record.set_topic(&topic.text, by.clone(), set_at_s);
        }
        let (channel, topic) = self.topic_told.take()?;
        Some(Happening::Topic {
            channel,
            by,
            topic,
            set_at_s,
        })
    }

    /// A topic that was told, once a line comes that does not say who set it.
    pub(super) fn topic_without_setter(&mut self, incoming: &Incoming<'_>) -> Option<Happening> {
        let (channel, _) = self.topic_told.as_ref()?;
        let is_setter = incoming.line.numeric() == Some(333)
            && self.case_mapping.is_same(channel, &incoming.text(1));
        if is_setter {
            return None;
        }
        let (channel, text) = self.topic_told.take()?;
        Some(topic(channel, text))
    }

    pub(super) fn take_mode(&mut self, incoming: &Incoming<'_>) -> Option<Happening> {
        let channel = incoming.text(0);
        if !incoming.isupport.is_channel(&channel) {
            return None;
        }
        let changes = changes(incoming, 1);
        for change in &changes {
            self.change(incoming, &channel, change);
        }
        let by = self.who(incoming);
        (!changes.is_empty()).then(|| Happening::Modes {
            channel: self.shown(&channel),
            by,
            changes,
        })
    }

    fn change(&mut self, incoming: &Incoming<'_>, channel: &str, change: &ModeChange) {
        let name = self.fold(channel);
        let param = change.param.as_deref().unwrap_or_default();
        match incoming.isupport.mode_kind(change.mode) {
            ModeKind::List => {
                let by = incoming.source().to_string();
                self.change_list(&name, change, &by);
            }
            ModeKind::Member => {
                let who = self.fold(param);
                if let Some(record) = self.channels.get_mut(name.as_str()) {
                    record.set_standing(&who, change, &self.ranks);
                }
            }
            ModeKind::Setting | ModeKind::SettingWhenSet | ModeKind::Flag => {
                if let Some(record) = self.channels.get_mut(name.as_str()) {
                    record.set_mode(change);
                }
            }
        }
    }

    /// `324 me #chan +ntk key`
    pub(super) fn take_modes_told(&mut self, incoming: &Incoming<'_>) -> Option<Happening> {
        let channel = incoming.text(1);
        let changes = changes(incoming, 2);
        if let Some(record) = self.record(&channel) {
            record.set_modes(incoming.isupport, &changes);
        }
        let channel = self.shown(&channel);
        (!channel.is_empty()).then_some(Happening::ModesAre { channel, changes })
    }

    /// `329 me #chan 1700000000`
    pub(super) fn take_created(&mut self, incoming: &Incoming<'_>) -> Option<Happening> {
        let channel = incoming.text(1);
        let at_s = incoming.text(2).parse().ok()?;
        if let Some(record) = self.record(&channel) {
            record.created_at_s = Some(at_s);
        }
        Some(Happening::Created {
            channel: self.shown(&channel),
            at_s,
        })
    }

    /// `328 me #chan :https://…`
    pub(super) fn take_url(&mut self, incoming: &Incoming<'_>) -> Option<Happening> {
        let channel = incoming.text(1);
        let url = incoming.text(2).into_owned();
        if let Some(record) = self.record(&channel) {
            record.url = Some(cut(&url));
        }
        Some(Happening::Url {
            channel: self.shown(&channel),
            url,
        })
    }

    /// `RENAME #from #to :reason`
    pub(super) fn take_rename(&mut self, incoming: &Incoming<'_>) -> Option<Happening> {
        let (from, to) = (incoming.text(0), incoming.text(1).into_owned());
        if from.is_empty() || to.is_empty() {
            return None;
        }
        let shown = self.shown(&from);
        self.rename_channel(&self.fold(&from), &to);
        Some(Happening::Renamed {
            from: shown,
            to,
            by: self.whole(incoming.source()),
            reason: incoming.reason(2),
        })
    }

    fn rename_channel(&mut self, before: &str, to: &str) {
        let after = self.fold(to);
        if !self.channels.contains_key(before) {
            return;
        }
        if !people::is_name(to) {
            self.dropped += 1;
            return self.forget(before);
        }
        if before != after {
            self.forget(&after);
        }
        let Some(mut record) = self.channels.remove(before) else {
            return;
        };
        record.name = to.to_owned();
        let name: people::Name = after.into();
        self.people.move_to(record.members.keys(), before, &name);
        self.lists.rename(before, &name);
        self.channels.insert(name, record);
    }
}

fn topic(channel: String, topic: Vec<u8>) -> Happening {
    Happening::Topic {
        channel,
        by: None,
        topic,
        set_at_s: None,
    }
}

fn changes(incoming: &Incoming<'_>, at: usize) -> Vec<ModeChange> {
    let params = incoming.line.params.iter().skip(at + 1);
    let params: Vec<String> = params
        .map(|param| String::from_utf8_lossy(param).into_owned())
        .collect();
    ModeChange::parse(incoming.isupport, &incoming.text(at), &params)
}
