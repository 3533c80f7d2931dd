//! Everything that the server knows, owned by one task.
//!
//! Files of this folder hold what is known and how it is told; what commands do with it is in `commands`.
//!
//! - `client`, `channel`, `history`, `knobs` what is known of each
//! - `deliver` how a line becomes what one client gets: tags, labels, batches
//! - `tell` who is told
//! - `enter`, `leave`, `split` how clients come and go

pub(crate) mod channel;
pub(crate) mod client;
mod deliver;
mod enter;
pub(crate) mod history;
pub(crate) mod knobs;
mod leave;
mod split;
mod tell;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use bridgehead_irc_protocol::{Isupport, Line};
use tokio::time::Instant;

pub use self::enter::NoPerson;
use self::{
    channel::Channel,
    client::{Client, ClientId, Sink},
    deliver::Answering,
    history::History,
    knobs::Knobs,
};
use crate::{Dialect, sasl::Account};

/// Those who left, kept for `WHOWAS`.
const MAX_GONE: usize = 200;
/// Channels and talks whose history is kept.
const MAX_HISTORIES: usize = 1_000;

/// A line that somebody sent.
#[derive(Clone, Debug)]
pub struct Logged {
    /// Which connection it came over: 1 for the first that was opened; people in memory have numbers far beyond.
    pub connection: u64,
    /// The nick at that time; `*` before there was one.
    pub nick: String,
    /// The line, as it came.
    pub line: Line,
}

/// Somebody who left.
#[derive(Clone, Debug)]
pub(crate) struct Gone {
    pub(crate) nick: String,
    pub(crate) user: String,
    pub(crate) host: String,
    pub(crate) realname: Vec<u8>,
    pub(crate) at_s: i64,
}

/// Everything that the server knows.
pub(crate) struct State {
    pub(crate) dialect: Dialect,
    pub(crate) isupport: Isupport,
    pub(crate) clients: BTreeMap<ClientId, Client>,
    /// Everybody who has a nick, by its folded form.
    nicks: HashMap<String, ClientId>,
    /// By their folded names.
    pub(crate) channels: BTreeMap<String, Channel>,
    histories: BTreeMap<String, History>,
    pub(crate) accounts: HashMap<String, Account>,
    pub(crate) gone: VecDeque<Gone>,
    pub(crate) log: VecDeque<Logged>,
    pub(crate) knobs: Knobs,
    pub(crate) is_split: bool,
    pub(crate) started_s: i64,
    /// When the last connections came, where there is a limit.
    recent: VecDeque<Instant>,
    answering: Option<Answering>,
    /// Those who are closed as soon as the command at hand is done, and why.
    doomed: Vec<(ClientId, String)>,
    last_id: u64,
}

impl Drop for State {
    /// Nobody waits for what cannot come any more.
    fn drop(&mut self) {
        for client in self.clients.values() {
            if let Sink::Ear(ear) = &client.sink {
                ear.close();
            }
        }
    }
}

impl State {
    pub(crate) fn new(dialect: Dialect) -> Self {
        Self {
            isupport: dialect.isupport(),
            started_s: dialect.clock.now_s(),
            dialect,
            clients: BTreeMap::new(),
            nicks: HashMap::new(),
            channels: BTreeMap::new(),
            histories: BTreeMap::new(),
            accounts: HashMap::new(),
            gone: VecDeque::new(),
            log: VecDeque::new(),
            knobs: Knobs::default(),
            is_split: false,
            recent: VecDeque::new(),
            answering: None,
            doomed: Vec::new(),
            last_id: 0,
        }
    }

    /// The next number that nothing else has.
    pub(crate) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub(crate) fn now_s(&self) -> i64 {
        self.dialect.clock.now_s()
    }

    pub(crate) fn fold(&self, name: &str) -> String {
        self.dialect.case_mapping.fold(name)
    }

    pub(crate) fn client(&self, id: ClientId) -> Option<&Client> {
        self.clients.get(&id)
    }

    pub(crate) fn client_mut(&mut self, id: ClientId) -> Option<&mut Client> {
        self.clients.get_mut(&id)
    }

    /// Who has a nick, registered or not, on either side of a split.
    pub(crate) fn holder(&self, nick: &str) -> Option<ClientId> {
        self.nicks.get(&self.fold(nick)).copied()
    }

    /// Who has a nick, as far as somebody can see.
    pub(crate) fn find(&self, viewer: ClientId, nick: &str) -> Option<ClientId> {
        let id = self.holder(nick)?;
        let is_registered = self.client(id).is_some_and(Client::is_registered);
        (is_registered && self.sees(viewer, id)).then_some(id)
    }

    /// Somebody as they are shown as the one who has set something.
    pub(crate) fn setter(&self, id: ClientId) -> String {
        let client = self.client(id);
        match self.dialect.quirks.setters_are_nicks {
            true => client.map(|client| client.nick.clone()).unwrap_or_default(),
            false => client
                .map(|client| client.source().to_string())
                .unwrap_or_default(),
        }
    }

    /// Whether no split stands between two.
    pub(crate) fn sees(&self, viewer: ClientId, other: ClientId) -> bool {
        let side = |id| self.client(id).is_some_and(|client| client.is_far);
        !self.is_split || side(viewer) == side(other)
    }

    /// Gives somebody a nick.
    pub(crate) fn name(&mut self, id: ClientId, nick: &str) {
        let folded = self.fold(nick);
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        let previous = std::mem::replace(&mut client.nick, nick.to_owned());
        self.nicks.remove(&self.fold(&previous));
        self.nicks.insert(folded, id);
    }

    pub(crate) fn channel(&self, name: &str) -> Option<&Channel> {
        self.channels.get(&self.fold(name))
    }

    pub(crate) fn channel_mut(&mut self, name: &str) -> Option<&mut Channel> {
        let folded = self.fold(name);
        self.channels.get_mut(&folded)
    }

    /// The folded names of the channels that somebody is in.
    pub(crate) fn channels_of(&self, id: ClientId) -> Vec<String> {
        let joined = self.channels.iter();
        let joined = joined.filter(|(_, channel)| channel.members.contains_key(&id));
        joined.map(|(key, _)| key.clone()).collect()
    }

    /// The members of a channel whom somebody can see.
    pub(crate) fn members(&self, viewer: ClientId, name: &str) -> Vec<ClientId> {
        let members = self.channel(name).map(|channel| &channel.members);
        let members = members.into_iter().flatten();
        members
            .map(|(id, _)| *id)
            .filter(|id| self.sees(viewer, *id))
            .collect()
    }

    /// Those who are in a channel with somebody, without them.
    pub(crate) fn peers(&self, id: ClientId) -> BTreeSet<ClientId> {
        let joined = self.channels.values();
        let joined = joined.filter(|channel| channel.members.contains_key(&id));
        joined
            .flat_map(|channel| channel.members.keys().copied())
            .filter(|peer| *peer != id && self.sees(id, *peer))
            .collect()
    }

    /// Those who watch a nick.
    pub(crate) fn watchers(&self, nick: &str) -> Vec<ClientId> {
        let folded = self.fold(nick);
        let watching = self.clients.iter();
        let watching = watching.filter(|(_, client)| client.watched.contains_key(&folded));
        watching.map(|(id, _)| *id).collect()
    }

    pub(crate) fn histories(&self) -> impl Iterator<Item = (&String, &History)> {
        self.histories.iter()
    }

    pub(crate) fn history(&self, key: &str) -> Option<&History> {
        self.histories.get(key)
    }

    pub(crate) fn history_mut(&mut self, key: &str) -> Option<&mut History> {
        self.histories.get_mut(key)
    }

    /// Under what somebody finds the history of a channel, or of their talk with somebody.
    pub(crate) fn history_key(&self, of: ClientId, target: &str) -> String {
        if self.isupport.is_channel(target) {
            return self.fold(target);
        }
        if self.dialect.quirks.talks_are_of_accounts {
            // Nothing is kept for who has no account.
            let account = self.account_of(of).unwrap_or_default();
            return self.talk_key(&account, target);
        }
        let own = self.client(of).map(|client| self.fold(&client.nick));
        let mut both = [own.unwrap_or_default(), self.fold(target)];
        both.sort();
        both.join(" ")
    }

    /// All under which something is kept that somebody says to a channel or to somebody.
    pub(crate) fn history_keys(&self, from: ClientId, target: &str) -> BTreeSet<String> {
        let is_channel = self.isupport.is_channel(target);
        if is_channel || !self.dialect.quirks.talks_are_of_accounts {
            return BTreeSet::from([self.history_key(from, target)]);
        }
        let nick = self.client(from).map_or("", Client::name);
        let own = self.account_of(from);
        let own = own.map(|account| self.talk_key(&account, target));
        let theirs = match self.holder(target) {
            Some(holder) => self.account_of(holder),
            None => self.resting_account(target),
        };
        let theirs = theirs.map(|account| self.talk_key(&account, nick));
        own.into_iter().chain(theirs).collect()
    }

    /// The account of this name, folded, where what is said to it is kept though nobody has that nick.
    pub(crate) fn resting_account(&self, nick: &str) -> Option<String> {
        let folded = self.fold(nick);
        let is_kept = self.dialect.quirks.talks_are_of_accounts
            && self.dialect.offers("draft/chathistory")
            && self.holder(nick).is_none()
            && self.accounts.contains_key(&folded);
        is_kept.then_some(folded)
    }

    fn account_of(&self, id: ClientId) -> Option<String> {
        let account = self.client(id)?.account.as_deref()?;
        Some(self.fold(account))
    }

    /// Nothing that is a nick or a channel holds a `!` behind its first character.
    fn talk_key(&self, account: &str, nick: &str) -> String {
        format!("{account}!{}", self.fold(nick))
    }

    /// With whom a history is a talk of somebody's.
    pub(crate) fn partner(&self, of: ClientId, key: &str) -> Option<String> {
        if self.isupport.is_channel(key) {
            return None;
        }
        if self.dialect.quirks.talks_are_of_accounts {
            let (account, nick) = key.split_once('!')?;
            let is_theirs = self.account_of(of).as_deref() == Some(account);
            return is_theirs.then(|| nick.to_owned());
        }
        let (one, other) = key.split_once(' ')?;
        let own = self.fold(&self.client(of)?.nick);
        match (one == own, other == own) {
            (true, _) => Some(other.to_owned()),
            (_, true) => Some(one.to_owned()),
            _ => None,
        }
    }

    pub(crate) fn rename_history(&mut self, from: &str, to: &str, name: &str) {
        if let Some(mut history) = self.histories.remove(from) {
            name.clone_into(&mut history.name);
            self.histories.insert(to.to_owned(), history);
        }
    }

    fn keep(&mut self, key: String, name: &str, message: history::Message) {
        let limit = self.dialect.limits.history;
        if !self.histories.contains_key(&key) && self.histories.len() >= MAX_HISTORIES {
            return;
        }
        let history = self.histories.entry(key).or_default();
        name.clone_into(&mut history.name);
        history.keep(message, limit);
    }

    pub(crate) fn write_log(&mut self, id: ClientId, line: &Line) {
        if self.log.len() >= self.dialect.limits.log_lines {
            self.log.pop_front();
        }
        let nick = self.client(id).map_or("*", Client::name).to_owned();
        self.log.push_back(Logged {
            connection: id.0,
            nick,
            line: line.clone(),
        });
    }

    fn remember_gone(&mut self, id: ClientId) {
        let at_s = self.now_s();
        let Some(client) = self
            .clients
            .get(&id)
            .filter(|client| client.is_registered())
        else {
            return;
        };
        self.gone.push_front(Gone {
            nick: client.nick.clone(),
            user: client.user.clone(),
            host: client.host.clone(),
            realname: client.realname.clone(),
            at_s,
        });
        self.gone.truncate(MAX_GONE);
    }
}
