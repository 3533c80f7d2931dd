//! Other settings while the network runs, and its end: when the configuration is read again.
//!
//! What has not changed goes on. What is about connections counts for those that are made from now on; the rest counts at
//! once, and what both sides are to have in common is asked for anew.

use std::sync::Arc;

use bridgehead_irc_protocol::Line;
use tokio::{sync::oneshot, task::JoinSet};

use super::{Directory, Handle, Hub, Input, Owner, deeds::Deed};
use crate::{
    clock::now,
    ids::Place,
    settings::{Mode, NetworkSettings},
};

/// Of whom the bridge speaks for from now on, why they leave a channel.
pub(super) const SPOKEN_FOR: &str = "Spoken for by the bridge";
/// What a connection says that ends because the configuration has it no more.
pub(super) const NOT_WANTED: &str = "Not bridged any more";

impl Handle {
    /// The network goes by the settings of this handle from now on; or somebody of Matrix may do more or less.
    pub(crate) async fn is_changed(&self, who_may: bool) {
        let settings = self.settings.clone();
        // A loop that has ended begins again with them.
        self.inputs
            .send(Input::Settings(settings, who_may))
            .await
            .ok();
    }

    /// Ends the network for good. Returns when nobody is connected any more and all that was heard is on its way.
    pub(crate) async fn end(&self) {
        let (reply, ended) = oneshot::channel();
        if self.inputs.send(Input::End(reply)).await.is_ok() {
            ended.await.ok();
        }
    }
}

impl Hub {
    /// Goes by other settings.
    pub(super) async fn take_settings(&mut self, settings: Arc<NetworkSettings>, who_may: bool) {
        let old = std::mem::replace(&mut self.settings, settings.clone());
        self.mention_rules = settings.messages.mention_rules();
        let limits = &settings.limits;
        self.bucket
            .change(limits.connects_per_minute, limits.connects_at_once);
        self.change_ways(&old);
        self.change_bot(&old);
        self.try_other_keys(&old);
        if who_may || seats(&old) != seats(&settings) {
            self.realign().await;
        }
        if old.sync != settings.sync || old.dynamic != settings.dynamic {
            self.ask_anew();
        }
    }

    /// There are other ways to the network: who waits because the old ones failed, tries these at once.
    fn change_ways(&mut self, old: &NetworkSettings) {
        let new = &self.settings;
        let is_same = old.servers == new.servers
            && (old.tls, old.tls_verify, &old.tls_ca) == (new.tls, new.tls_verify, &new.tls_ca)
            && old.password == new.password
            && old.bot.login == new.bot.login
            && old.webirc == new.webirc;
        if is_same {
            return;
        }
        self.next_server = 0;
        self.bucket.open();
        let waiting = self.clients.values_mut();
        for client in waiting.filter(|client| client.live.is_none() && client.barred.is_none()) {
            client.retry_at = None;
            client.failures = 0;
        }
    }

    /// The bridge's own connection has another nick, or there is one now, or none any more.
    fn change_bot(&mut self, old: &NetworkSettings) {
        let bot = self.settings.bot.clone();
        if bot.nick != old.bot.nick {
            self.note_former(&bot.nick);
            let live = self.client(&Owner::Bot).live.as_mut();
            if let Some(live) = live.filter(|live| live.is_ready) {
                live.upkeep(Line::new("NICK", [bot.nick.as_str()]));
            }
        }
        if old.bot.enabled && !bot.enabled {
            self.client(&Owner::Bot).wanted.clear();
            self.drop_link(&Owner::Bot, NOT_WANTED);
        }
    }

    /// Whoever was kept out of a channel that has another key now, tries it at once.
    fn try_other_keys(&mut self, old: &NetworkSettings) {
        let new = self.settings.clone();
        for client in self.clients.values_mut() {
            client
                .refused
                .retain(|channel, _| old.key_of(channel) == new.key_of(channel));
        }
    }

    /// Who is in which channel, and by whose connection, is found anew.
    async fn realign(&mut self) {
        let places = match self.remote.rooms().await {
            Ok(places) => places,
            Err(error) => {
                tracing::error!(network = self.name, %error, "who is to be where is not found anew");
                return;
            }
        };
        for place in places {
            if place.network == self.name {
                self.realign_channel(&place).await;
            }
        }
    }

    async fn realign_channel(&mut self, place: &Place) {
        let Some(channel) = place.as_channel() else {
            return;
        };
        let is_there = |hub: &Self, owner: &Owner| {
            let client = hub.clients.get(owner);
            let live = client.and_then(|client| client.live.as_ref());
            let stands = live.is_some_and(|live| live.standings.contains_key(channel));
            stands || client.is_some_and(|client| client.wanted.contains(channel))
        };
        let all: Vec<Owner> = self.clients.keys().cloned().collect();
        let there: Vec<Owner> = all
            .into_iter()
            .filter(|owner| is_there(self, owner))
            .collect();
        for owner in &there {
            if let Owner::Person(person) = owner
                && !self.has_connection(channel, person)
            {
                self.leave(owner, channel, Some(SPOKEN_FOR));
            }
        }
        self.watch(place).await;
        // Who comes in only now is not waited for until they speak.
        for (owner, client) in &mut self.clients {
            if client.wanted.contains(channel) && !there.contains(owner) {
                client.is_parked = false;
                client.spoke_at = now();
            }
        }
    }

    /// What channels are like is told anew, and both sides are brought in line by it.
    fn ask_anew(&mut self) {
        let channels: Vec<String> = self.ears.keys().cloned().collect();
        for channel in channels {
            let observer = self.observer(&channel).cloned();
            let live = observer.and_then(|observer| self.client(&observer).live.as_mut());
            if let Some(live) = live {
                for command in ["MODE", "NAMES", "TOPIC"] {
                    live.question(Line::new(command, [channel.as_str()]));
                }
            }
            self.ask_for_lists(&channel);
        }
    }

    /// The network is to end: everybody leaves it.
    pub(super) fn begin_to_end(&mut self, reply: oneshot::Sender<()>) {
        let owners: Vec<Owner> = self.clients.keys().cloned().collect();
        for owner in owners {
            self.drop_link(&owner, NOT_WANTED);
        }
        (self.is_leaving, self.ending) = (true, Some(reply));
    }

    /// Nobody is connected any more: once Matrix has what was heard until then, the bridge may end.
    pub(super) fn conclude_leaving(&mut self, reply: oneshot::Sender<()>) {
        if let Err(full) = self.deeds.try_send(Deed::Last(reply))
            && let Deed::Last(reply) = full.into_inner()
        {
            // Later, when there is room.
            self.left = Some(reply);
        }
    }

    /// Whether the network has ended.
    pub(super) fn is_over(&self) -> bool {
        self.ending.is_some() && self.clients.values().all(|client| client.live.is_none())
    }

    /// Brings to Matrix what was heard before the end.
    pub(super) async fn conclude(mut self, mut deeds: JoinSet<()>) {
        let reply = self.ending.take();
        self.let_all_go();
        self.figures.end();
        *self.directory.write() = Directory::default();
        // There are no more of them.
        drop(self);
        while deeds.join_next().await.is_some() {}
        if let Some(reply) = reply {
            reply.send(()).ok();
        }
    }

    /// What is remembered of a channel that is bridged no more is forgotten: how far it was heard, its threads, and, where
    /// the configuration maps it to no other room, its key and whom Matrix keeps out.
    pub(super) async fn forget_channel(&mut self, channel: &str) {
        self.forget_heard(channel);
        self.forget_threads(channel).await;
        if self.settings.is_mapped(channel) {
            return;
        }
        self.keep_key(channel, None);
        let masks = self.masks.keys().filter(|(at, _)| at == channel);
        let nicks: Vec<String> = masks.map(|(_, nick)| nick.clone()).collect();
        for nick in nicks {
            self.forget_mask(channel, &nick);
        }
    }

    async fn forget_threads(&mut self, channel: &str) {
        let place = self.channel(channel);
        let known = {
            let mut threads = self.threads.lock();
            if !threads.forget(&place) {
                return;
            }
            threads.known()
        };
        let stored = async {
            Ok::<_, bridgehead_appservice::Error>(
                self.remote
                    .store()?
                    .put(&super::handle::threads_key(&self.name), &known)
                    .await?,
            )
        };
        if let Err(error) = stored.await {
            tracing::error!(%error, "that threads are over is not noted");
        }
    }

    /// Forgets what a run that has ended too early has left of channels that are bridged no more. `linked` are those that
    /// are, folded.
    pub(super) async fn forget_unlinked(&mut self, linked: &[String]) {
        let heard = self.history.heard.channels.keys();
        let masks = self.masks.keys().map(|(channel, _)| channel);
        let known = heard.chain(self.keys.keys()).chain(masks);
        let mut left: Vec<String> = known
            .filter(|channel| !linked.contains(*channel))
            .cloned()
            .collect();
        left.sort();
        left.dedup();
        for channel in left {
            self.forget_channel(&channel).await;
        }
    }
}

/// What decides whose connection is in which channel.
#[derive(PartialEq, Eq)]
struct Seats<'a> {
    has_bot: bool,
    to_irc: bool,
    dynamic: Mode,
    /// Modes of channels that have their own.
    own: Vec<(&'a str, Mode)>,
}

fn seats(settings: &NetworkSettings) -> Seats<'_> {
    let channels = settings.channels.iter();
    let own = channels.filter_map(|(name, channel)| Some((name.as_str(), channel.mode?)));
    Seats {
        has_bot: settings.bot.enabled,
        to_irc: settings.sync.to_irc,
        dynamic: settings.dynamic.mode,
        own: own.collect(),
    }
}
