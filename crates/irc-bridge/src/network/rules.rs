//! Who may come into a channel: invited, with a key, or everybody; and who is let in after all. Who comes where nobody
//! has asked for them is in [`access`](super::access).

use bridgehead_appservice::{JoinRule, bridge::RoomChange, format::Rich, id::UserId};
use bridgehead_irc_protocol::{ModeChange, Source};

use super::{Hub, Owner, deeds::Deed};

/// A key's place in what a server tells to those who may not know it.
const HIDDEN_KEY: &str = "*";

impl Hub {
    /// Who may join a channel, and whether it may be found: of rooms that the bridge has made. Whoever has linked a room
    /// of their own decides that themselves.
    pub(super) fn rules(&mut self, channel: &str, by: Option<&Source>, changes: &[ModeChange]) {
        if !changes.iter().any(|change| "iksp".contains(change.mode)) {
            return;
        }
        self.keep_key_of(channel, changes);
        self.change_rules(channel, by);
    }

    /// The modes were told whole.
    pub(super) fn modes_are(&mut self, channel: &str, changes: &[ModeChange]) {
        self.keep_key_of(channel, changes);
        if !changes.iter().any(|change| change.mode == 'k') {
            let folded = self.directory.read().case_mapping().fold(channel);
            self.keep_key(&folded, None);
        }
        self.change_rules(channel, None);
    }

    fn change_rules(&mut self, channel: &str, by: Option<&Source>) {
        let Some(known) = self
            .watcher(channel)
            .and_then(|live| live.view.channel(channel))
        else {
            return;
        };
        let is_closed = known.has_mode('i') || known.has_mode('k');
        let is_hidden = known.has_mode('s') || known.has_mode('p') || is_closed;
        let place = self.channel(channel);
        let folded = place.target_name();
        let Some(dynamic) = self.settings.dynamic_rules(folded) else {
            return;
        };
        if self.settings.is_mapped(folded) {
            return;
        }
        let rule = match is_closed {
            true => JoinRule::Invite,
            false => JoinRule::Public,
        };
        let change = RoomChange::new()
            .joined_by(rule)
            .listed(dynamic.published && !is_hidden);
        let by = self.who_did(channel, by);
        self.deed(Deed::Change(place, by, change));
    }

    /// A key that is seen is kept: without it nobody comes back after a reconnect.
    fn keep_key_of(&mut self, channel: &str, changes: &[ModeChange]) {
        let folded = self.directory.read().case_mapping().fold(channel);
        let change = changes.iter().rfind(|change| change.mode == 'k');
        match change {
            Some(change) if !change.is_set => self.keep_key(&folded, None),
            Some(ModeChange {
                param: Some(key), ..
            }) if key != HIDDEN_KEY => {
                let key = key.clone();
                self.keep_key(&folded, Some(key));
            }
            _ => {}
        }
    }

    /// Keeps a channel's key, or forgets it.
    pub(super) fn keep_key(&mut self, folded: &str, key: Option<String>) {
        if self.keys.get(folded) == key.as_ref() {
            return;
        }
        match &key {
            Some(key) => self.keys.insert(folded.to_owned(), key.clone()),
            None => self.keys.remove(folded),
        };
        self.directory.write().set_keyed(folded, key.is_some());
        self.deed(Deed::Key(folded.to_owned(), key));
    }

    /// Something that has kept people out of a channel is not so any more: those who were refused are tried at once.
    pub(super) fn may_be_let_in(&mut self, channel: &str, changes: &[ModeChange]) {
        let opens = |change: &ModeChange| match change.is_set {
            true => "kleI".contains(change.mode),
            false => "iklbRrOz".contains(change.mode),
        };
        if changes.iter().any(opens) {
            let folded = self.directory.read().case_mapping().fold(channel);
            for client in self.clients.values_mut() {
                client.refused.remove(&folded);
            }
        }
    }

    /// The bridge is not let into a channel: those in the room are told, once for each reason.
    pub(super) fn is_shut_out(&mut self, channel: &str, words: &str) {
        let before = self.shut_out.insert(channel.to_owned(), words.to_owned());
        if before.as_deref() != Some(words) {
            let place = self.channel(channel);
            let words = format!(
                "The bridge is not let into {channel}, so nothing from there is heard here: {words}"
            );
            self.deed(Deed::Notice(place, Rich::plain(&words)));
        }
    }

    /// A person's name is another one now; who has chosen no nick goes by it on IRC.
    pub(super) async fn is_named(&mut self, person: &UserId, name: &str) {
        let owner = Owner::Person(person.clone());
        let Some(client) = self.clients.get_mut(&owner) else {
            return;
        };
        client.name = Some(name.to_owned());
        if !self.settings.people.follow_names {
            return;
        }
        let made = self.people.person(person, (&*self.settings, Some(name)));
        let Ok(made) = made.await else { return };
        let wanted = made.nicks.first().cloned();
        let now = self.directory.read().nick(&owner).map(str::to_owned);
        let (Some(wanted), Some(now)) = (wanted, now) else {
            return;
        };
        if wanted != now
            && let Some(live) = self.client(&owner).live.as_mut()
        {
            live.upkeep(bridgehead_irc_protocol::Line::new("NICK", [wanted]));
        }
    }
}
