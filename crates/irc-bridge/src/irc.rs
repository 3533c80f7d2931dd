//! IRC as the kit's bridge sees it: every network in one.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bridgehead_appservice::{
    HandlerError, JoinRule,
    bridge::{
        Action, Begun, Held, Level, Member, MessageRef, Named, Network, Outgoing,
        Place as BridgePlace, Receipt, Remote, RoomInfo, SendError, Signal, Speaker, UserInfo,
    },
    format::Rich,
    id::UserId,
};
use parking_lot::Mutex;

use crate::{
    folding,
    ids::{Nick, Place, Target, msgid},
    link::dial::Way,
    network::{Command, Handle, Owner, Speech, Upkeep},
    networks::Networks,
    render::{Rendered, render},
    seal::Seal,
    settings::Settings,
};

/// All networks of the configuration.
pub struct Irc {
    networks: Networks,
    /// Who may link what, for an operator of the channel has just agreed.
    agreed: Mutex<BTreeSet<(UserId, Place)>>,
}

impl Irc {
    /// The networks of this configuration.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self::by(settings, &Way::Network)
    }

    /// The same by another way than the network.
    #[must_use]
    pub fn by(settings: &Settings, way: &Way) -> Self {
        Self {
            networks: Networks::new(settings, way),
            agreed: Mutex::default(),
        }
    }

    /// An operator of a channel has agreed that somebody links it.
    pub(crate) fn agree(&self, asker: &UserId, place: &Place) {
        self.agreed.lock().insert((asker.clone(), place.clone()));
    }

    /// The agreement is used up.
    pub(crate) fn disagree(&self, asker: &UserId, place: &Place) {
        self.agreed.lock().remove(&(asker.clone(), place.clone()));
    }

    /// A network, as it is now.
    pub(crate) fn network(&self, name: &str) -> Option<Handle> {
        self.networks.get(name)
    }

    /// All of them, and the settings that count.
    pub(crate) fn networks(&self) -> &Networks {
        &self.networks
    }

    fn of(&self, place: &Place) -> Result<Handle, SendError> {
        self.network(&place.network).ok_or_else(|| {
            let name = &place.network;
            SendError::reject(format!(
                "there is no network `{name}` in the configuration any more"
            ))
        })
    }

    /// Takes a message back where the network can; `false` where it has to be said in words.
    async fn unsay(&self, outgoing: &Outgoing<Self>) -> Result<bool, SendError> {
        let handle = self.of(&outgoing.room)?;
        let Action::Redact { target, reason } = &outgoing.action else {
            return Ok(false);
        };
        let ids: Vec<String> = target
            .ids
            .iter()
            .filter_map(|id| Some(msgid(id)?.to_owned()))
            .collect();
        if ids.is_empty() || !handle.directory.read().offers().redacts {
            return Ok(false);
        }
        for id in ids {
            let command = Command::Unsay {
                place: outgoing.room.clone(),
                id,
                reason: reason.clone(),
            };
            if let Err(why) = handle.command(&outgoing.speaker.user_id, command).await {
                tracing::info!(why, "a message cannot be taken back: that is said in words");
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn say(&self, outgoing: &Outgoing<Self>) -> Result<Receipt, SendError> {
        let handle = self.of(&outgoing.room)?;
        let mut is_first = true;
        loop {
            let Some(rendered) = render(outgoing, &handle).await? else {
                return Ok(Receipt::new());
            };
            let is_relayed = rendered.relayed_as.is_some();
            let unsaid = rendered.unsaid.clone();
            let outcome = self.give(outgoing, rendered).await;
            if let (Ok(_), Some(unsaid)) = (&outcome, &unsaid) {
                tell_unsaid(outgoing, unsaid).await;
            }
            // Where the network does not let the bridge speak for others it says it in its own name.
            let is_refused = matches!(&outcome, Err(SendError::Retry { .. })) && is_relayed;
            if !(is_refused && std::mem::take(&mut is_first)) {
                return outcome;
            }
        }
    }

    async fn give(
        &self,
        outgoing: &Outgoing<Self>,
        rendered: Rendered,
    ) -> Result<Receipt, SendError> {
        let handle = self.of(&outgoing.room)?;
        let Rendered {
            command,
            lines,
            tags,
            is_one,
            relayed_as,
            unsaid: _,
        } = rendered;
        let speech = Speech {
            key: outgoing.key.clone(),
            speaker: outgoing.speaker.user_id.clone(),
            name: own_name(&outgoing.speaker),
            place: outgoing.room.clone(),
            is_literal: false,
            command,
            lines,
            tags,
            is_one,
            relayed_as,
            claimed: Vec::new(),
            doubted: Vec::new(),
        };
        handle.say(speech).await
    }

    /// Matrix is ahead of IRC: it is followed, and nobody waits for it.
    async fn follow(&self, outgoing: &Outgoing<Self>) -> Result<Receipt, SendError> {
        let handle = self.of(&outgoing.room)?;
        let (place, person) = (outgoing.room.clone(), outgoing.speaker.user_id.clone());
        let upkeep = match &outgoing.action {
            Action::Join => Upkeep::Join {
                place,
                person,
                name: Some(own_name(&outgoing.speaker)),
            },
            Action::Leave { reason, by, is_ban } => Upkeep::Leave {
                place,
                person,
                reason: why_left((by.as_ref(), *is_ban), reason.as_deref()),
            },
            _ => return Err(SendError::unsupported("IRC knows no such thing")),
        };
        handle.upkeep(upkeep).await;
        Ok(Receipt::new())
    }

    /// Somebody changes something about a channel.
    async fn change(&self, outgoing: &Outgoing<Self>) -> Result<Receipt, SendError> {
        let handle = self.of(&outgoing.room)?;
        let Target::Channel(channel) = &outgoing.room.target else {
            return Err(SendError::unsupported("that is no channel"));
        };
        let channel = channel.clone();
        let command = match &outgoing.action {
            Action::Topic(topic) => Command::Topic {
                channel,
                topic: topic.clone(),
            },
            Action::Invite { user } => Command::Invite {
                channel,
                nick: user.nick.clone(),
            },
            Action::Remove {
                user,
                reason,
                is_ban,
            } => Command::Remove {
                channel,
                nick: user.nick.clone(),
                reason: reason.clone(),
                is_ban: *is_ban,
            },
            Action::Unban {
                whom: Member::User(user),
            } => Command::Unban {
                channel,
                nick: user.nick.clone(),
            },
            Action::JoinRule { before, now } => {
                let (before, now) = (before.as_ref(), Some(now));
                let is_public = |rule| rule == Some(&JoinRule::Public);
                if is_public(before) == is_public(now) {
                    return Ok(Receipt::new());
                }
                Command::Close {
                    channel,
                    is_closed: !is_public(now),
                }
            }
            Action::Power { changes, speech } => {
                let directory = handle.directory.read();
                let levels = changes.iter().filter_map(|change| {
                    let nick = match &change.whom {
                        Member::User(user) => user.nick.clone(),
                        Member::Person(person) => {
                            directory.nick(&Owner::Person(person.clone()))?.to_owned()
                        }
                    };
                    Some((nick, change.now))
                });
                let levels = levels.collect();
                Command::Power {
                    channel,
                    levels,
                    speech: *speech,
                }
            }
            // People of Matrix who may not come are kept out there.
            _ => return Ok(Receipt::new()),
        };
        is_seen(&handle, &outgoing.room)?;
        let person = &outgoing.speaker.user_id;
        match handle.command(person, command).await {
            Ok(_) => Ok(Receipt::new()),
            Err(words) => Err(SendError::reject(words)),
        }
    }
}

/// Tells a writer that not all of their message was said; those who have no room of their own with the bridge, where they
/// have written it.
async fn tell_unsaid(outgoing: &Outgoing<Irc>, (lines, why): &(usize, String)) {
    let (remote, who) = (outgoing.remote(), &outgoing.speaker.user_id);
    let to = &outgoing.speaker.name;
    let words = format!(
        "{lines} lines of your message were not said in {}: {why}. Write less at once, or ask who runs this bridge for \
         links (`media.public_url`).",
        outgoing.room.target_name()
    );
    let has_own_room = remote.level(who).is_ok_and(|level| level >= Level::User);
    let told = match has_own_room {
        true => remote.tell(who, &Rich::from_markdown(&words)).await,
        false => {
            let words = Rich::plain(&format!("{to}: {words}"));
            remote.notice(&outgoing.room, &words).await
        }
    };
    if let Err(error) = told {
        tracing::warn!(%error, lines, "somebody is not told that lines of theirs were not said");
    }
}

/// Ids of a message at most, with those of its corrections; then those of the oldest corrections are forgotten.
const MAX_IDS: usize = 64;

/// What a message is called on IRC after a correction, which is a line of its own there: by all of its ids, for each line
/// may be answered, reacted to and taken back. The first stays the first.
fn corrected(target: &MessageRef, mut said: Receipt) -> Receipt {
    let mut ids = target.ids.clone();
    ids.extend(
        said.ids
            .iter()
            .filter(|id| !target.ids.contains(id))
            .cloned(),
    );
    let surplus = ids.len().saturating_sub(MAX_IDS);
    if surplus > 0 {
        ids.drain(1..=surplus);
    }
    said.ids = ids;
    said
}

/// Why somebody leaves, as IRC is told: who was put out does not leave by themselves.
fn why_left((by, is_ban): (Option<&UserId>, bool), reason: Option<&str>) -> Option<String> {
    let Some(by) = by else {
        return reason.map(str::to_owned);
    };
    let done = match is_ban {
        true => "Banned",
        false => "Kicked",
    };
    let reason = reason.map_or(String::new(), |reason| format!(": {reason}"));
    Some(format!("{done} by {}{reason}", by.localpart()))
}

/// How long a change of a channel waits for the bridge to come into it.
const TO_COME_IN: Duration = Duration::from_secs(60);

/// Whether the bridge is in a channel: before that, nothing can be changed there.
fn is_seen(handle: &Handle, place: &Place) -> Result<(), SendError> {
    let directory = handle.directory.read();
    if directory.is_seen(place.target_name()) {
        return Ok(());
    }
    // What is said in the room waits with it, and others may be connected.
    Err(match directory.is_empty() {
        true => SendError::away("the network is not connected"),
        false => SendError::away_at_most("the bridge is not in the channel", TO_COME_IN),
    })
}

/// What somebody calls themselves: without their id, which tells them apart from others of the same name in Matrix. On
/// IRC their nick does that.
fn own_name(speaker: &Speaker) -> String {
    let mark = format!(" ({})", speaker.user_id);
    let name = speaker.name.strip_suffix(&mark);
    name.unwrap_or(&speaker.name).to_owned()
}

impl Network for Irc {
    type Room = Place;
    type User = Nick;

    const NAME: &'static str = "irc";
    const TITLE: &'static str = "IRC";
    const EDITS: bool = true;
    const REDACTIONS: bool = true;
    const REACTIONS: bool = true;
    const TOPICS: bool = true;
    const MEMBERSHIP: bool = true;
    const POWER: bool = true;
    const RULES: bool = true;
    const TYPING: bool = true;

    async fn run(&self, remote: Remote<Self>) -> Result<(), HandlerError> {
        let settings = self.networks.settings();
        let _ident = match settings.ident.listen {
            Some(address) => Some(self.networks.ident.serve(address).await?),
            None => None,
        };
        let seal = Arc::new(Seal::load(&settings.secrets, &remote.store()?).await?);
        self.networks.run(&remote, &seal).await
    }

    async fn send(&self, outgoing: Outgoing<Self>) -> Result<Receipt, SendError> {
        match &outgoing.action {
            Action::Message { .. } | Action::React { .. } | Action::Unreact { .. } => {
                self.say(&outgoing).await
            }
            Action::Edit { target, .. } => Ok(corrected(target, self.say(&outgoing).await?)),
            Action::Redact { .. } => match self.unsay(&outgoing).await? {
                true => Ok(Receipt::new()),
                false => self.say(&outgoing).await,
            },
            Action::Join | Action::Leave { .. } => self.follow(&outgoing).await,
            Action::Topic(_)
            | Action::Invite { .. }
            | Action::Remove { .. }
            | Action::Ban { .. }
            | Action::Unban { .. }
            | Action::JoinRule { .. }
            | Action::Power { .. } => self.change(&outgoing).await,
            _ => Err(SendError::unsupported("IRC knows no such thing")),
        }
    }

    fn hold(&self, place: &Place, what: Held) -> Duration {
        let handle = self.network(&place.network);
        handle.map_or(Duration::ZERO, |handle| folding::hold(&handle, place, what))
    }

    async fn begun(&self, remote: &Remote<Self>, _: &Place, key: &str) -> Begun {
        folding::begun(remote, key).await
    }

    async fn withdraw(&self, _: &Remote<Self>, place: &Place, key: &str) -> bool {
        match self.network(&place.network) {
            Some(handle) => handle.withdraw(key).await,
            None => false,
        }
    }

    async fn describe_user(&self, nick: &Nick) -> Result<Option<UserInfo>, HandlerError> {
        let Some(handle) = self.network(&nick.network) else {
            return Ok(None);
        };
        let directory = handle.directory.read();
        // One of the bridge's own people is not somebody else as well.
        if directory.owner(&nick.nick).is_some() {
            return Ok(None);
        }
        let written = directory.written_anywhere(&nick.nick);
        Ok(Some(UserInfo::named(written.unwrap_or(&nick.nick))))
    }

    async fn describe_room(&self, place: &Place) -> Result<Option<RoomInfo<Self>>, HandlerError> {
        let Some(handle) = self.network(&place.network) else {
            return Ok(None);
        };
        Ok(match &place.target {
            Target::Private { nick, person } => {
                let nick = Nick {
                    network: place.network.clone(),
                    nick: nick.clone(),
                };
                Some(RoomInfo::direct(person, nick))
            }
            Target::Channel(channel) => {
                let is_there = {
                    let directory = handle.directory.read();
                    let is_canonical = directory.case_mapping().fold(channel) == *channel;
                    is_canonical && directory.may_be_channel(channel)
                };
                let rules = handle.settings.rules_of(channel);
                rules.filter(|_| is_there).map(|rules| {
                    let title = handle.settings.title.clone();
                    let title = title.unwrap_or_else(|| place.network.clone());
                    // Whoever may come has the key, and says so: an alias is no way in.
                    let is_keyed = handle.is_keyed(channel);
                    let mut info = match is_keyed {
                        true => RoomInfo::private(channel),
                        false => RoomInfo::public(channel),
                    };
                    info = info.about(&format!("{channel} on {title}"));
                    if !rules.federate {
                        info = info.local();
                    }
                    if let Some(version) = &rules.room_version {
                        info = info.version(version);
                    }
                    match rules.published && !is_keyed {
                        true => info.listed(),
                        false => info,
                    }
                })
            }
        })
    }

    async fn may_link(
        &self,
        asker: &UserId,
        place: &Place,
        _: &RoomInfo<Self>,
    ) -> Result<bool, HandlerError> {
        if self.agreed.lock().contains(&(asker.clone(), place.clone())) {
            return Ok(true);
        }
        let (Some(handle), Some(channel)) = (self.network(&place.network), place.as_channel())
        else {
            return Ok(false);
        };
        let asked = Command::Operates(channel.to_owned());
        Ok(handle.command(asker, asked).await.is_ok())
    }

    async fn watch(&self, place: &Place, is_linked: bool) -> Result<(), HandlerError> {
        if let Some(handle) = self.network(&place.network) {
            let place = place.clone();
            let upkeep = match is_linked {
                true => Upkeep::Watch(place),
                false => Upkeep::Unwatch(place),
            };
            handle.upkeep(upkeep).await;
        }
        Ok(())
    }

    async fn levels_changed(&self) {
        for network in self.networks().all() {
            network.upkeep(Upkeep::Levels).await;
        }
    }

    async fn direct_room(
        &self,
        person: &UserId,
        user: &Nick,
    ) -> Result<Option<Place>, HandlerError> {
        let is_known = self.network(&user.network).is_some();
        Ok(is_known.then(|| Place::private(user, person)))
    }

    async fn has_account(&self, _: &UserId, _: &Place) -> bool {
        // Whom the bridge speaks for it says itself, for it may have to change its mind while a message waits.
        true
    }

    async fn person_of(&self, user: &Nick) -> Option<UserId> {
        let handle = self.network(&user.network)?;
        let directory = handle.directory.read();
        directory.owner(&user.nick)?.person().cloned()
    }

    async fn leave(&self) {
        let all = self.networks.all();
        futures_util::future::join_all(all.iter().map(Handle::leave)).await;
    }

    async fn signal(&self, signal: Signal<Self>) {
        if let Signal::Typing { room, people } = signal
            && let Some(handle) = self.network(&room.network)
            && handle.settings.messages.typing
        {
            handle.typing(room, people);
        }
    }

    fn place(&self, place: &Place) -> BridgePlace {
        let handle = self.network(&place.network);
        let title = handle.and_then(|handle| {
            let title = handle.settings.title.clone();
            let own = || handle.directory.read().title().map(str::to_owned);
            title.or_else(own)
        });
        BridgePlace {
            network: Some(Named {
                name: title,
                ..Named::new(&place.network)
            }),
            channel: Named::new(place.target_name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use bridgehead_appservice::id::{EventId, RoomId};

    use super::*;

    fn said(ids: Vec<String>) -> MessageRef {
        let room = RoomId::parse("!r:x").expect("an id");
        let event = EventId::parse("$e").expect("an id");
        let who = UserId::parse("@a:x").expect("an id");
        MessageRef::new(&room, &event, &who, ids)
    }

    fn receipt(ids: &[&str]) -> Receipt {
        let mut receipt = Receipt::new();
        receipt.ids = ids.iter().map(|id| (*id).to_owned()).collect();
        receipt
    }

    #[test]
    fn a_message_keeps_its_ids_when_it_is_corrected() {
        let ids = |target: &[&str], new: &[&str]| {
            let target = said(receipt(target).ids);
            corrected(&target, receipt(new)).ids
        };
        assert_eq!(ids(&["a", "b"], &["c"]), ["a", "b", "c"]);
        assert_eq!(ids(&["a"], &["a"]), ["a"]);
        assert_eq!(ids(&["a"], &[]), ["a"]);
        // A network without ids.
        assert_eq!(ids(&[], &[]), [""; 0]);
    }

    #[test]
    fn a_message_that_is_corrected_without_end_keeps_its_first_id_and_the_newest() {
        let mut target = said(vec!["first".to_owned()]);
        for number in 0..1000 {
            target.ids = corrected(&target, Receipt::id(format!("{number}"))).ids;
        }
        assert_eq!(target.ids.len(), MAX_IDS);
        assert_eq!(target.ids[0], "first");
        assert_eq!(target.ids.last().map(String::as_str), Some("999"));
    }
}
