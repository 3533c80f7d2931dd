//! How a network stands at the moment, for those who watch it. Nothing secret: no keys of channels, no passwords.

use std::{collections::BTreeMap, time::Instant};

use serde::Serialize;

use super::{Hub, Owner, client::Client, deeds, figures::Levels};
use crate::clock::now;

/// What a client of the network is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// Connected and registered.
    Up,
    /// On the way.
    Connecting,
    /// It wants to be connected, and may not yet.
    Waiting,
    /// Not connected until its person speaks again.
    Parked,
    /// It has no reason to be connected.
    Idle,
}

impl State {
    pub(super) const ALL: [Self; 5] = [
        Self::Up,
        Self::Connecting,
        Self::Waiting,
        Self::Parked,
        Self::Idle,
    ];

    /// As figures have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Connecting => "connecting",
            Self::Waiting => "waiting",
            Self::Parked => "parked",
            Self::Idle => "idle",
        }
    }

    fn of(client: &Client) -> Self {
        match &client.live {
            Some(live) if live.is_ready => Self::Up,
            Some(_) => Self::Connecting,
            None if client.wants_connection() => Self::Waiting,
            None if client.is_parked => Self::Parked,
            None => Self::Idle,
        }
    }
}

/// A network.
#[derive(Debug, Serialize)]
pub(crate) struct Look {
    /// Its name in ids and commands.
    pub(crate) network: String,
    /// What it calls itself.
    pub(crate) title: Option<String>,
    /// The servers of the configuration.
    pub(crate) servers: Vec<String>,
    /// Messages that wait to be said, or for the proof that they were.
    pub(crate) messages_waiting: usize,
    /// What was heard and is not yet stored for Matrix.
    pub(crate) deeds_waiting: usize,
    /// People who have gone in a netsplit and may come back.
    pub(crate) away_in_netsplit: usize,
    /// The bridge's own connection first.
    pub(crate) clients: Vec<ClientLook>,
}

/// A client of a network.
#[derive(Debug, Serialize)]
pub(crate) struct ClientLook {
    /// Whose it is: `bridge`, or a user of Matrix.
    pub(crate) owner: String,
    pub(crate) state: State,
    pub(crate) nick: Option<String>,
    /// The account that it is logged in to.
    pub(crate) account: Option<String>,
    /// Where it is.
    pub(crate) channels: Vec<String>,
    /// Where it is to be, and is not.
    pub(crate) missing: Vec<String>,
    /// Channels that do not let it in, and why.
    pub(crate) refused: BTreeMap<String, String>,
    /// How long the server took to answer last, ms.
    pub(crate) lag_ms: Option<u64>,
    /// Since the connection was begun.
    pub(crate) connected_for_s: Option<u64>,
    /// Until it may be tried again.
    pub(crate) next_attempt_in_s: Option<u64>,
    /// Attempts in a row that have failed.
    pub(crate) failures: u32,
    /// Why, or what else was refused last.
    pub(crate) last_error: Option<String>,
    /// Messages of this client's that wait.
    pub(crate) messages_waiting: usize,
    /// Since its person said something last.
    pub(crate) silent_for_s: u64,
}

impl Hub {
    /// How the network stands.
    pub(super) fn look(&self) -> Look {
        let now = now();
        let servers = self.settings.servers.iter();
        Look {
            network: self.name.clone(),
            title: self.directory.read().title().map(str::to_owned),
            servers: servers.map(|server| server.as_str().to_owned()).collect(),
            messages_waiting: self.messages_waiting(),
            deeds_waiting: self.deeds_waiting(),
            away_in_netsplit: self.split.len(),
            // Owners are in this order.
            clients: self
                .clients
                .values()
                .map(|client| self.look_at(client, now))
                .collect(),
        }
    }

    fn look_at(&self, client: &Client, now: Instant) -> ClientLook {
        let live = client.live.as_ref();
        let facts = live.map(|live| live.link.facts());
        let ready = live.filter(|live| live.is_ready);
        let (channels, missing): (Vec<_>, Vec<_>) = client
            .wanted
            .iter()
            .cloned()
            .partition(|channel| client.is_in(channel));
        let refused = client.refused.iter();
        ClientLook {
            owner: match &client.owner {
                Owner::Bot => "bridge".to_owned(),
                Owner::Person(person) => person.to_string(),
            },
            state: State::of(client),
            nick: self.directory.read().nick(&client.owner).map(str::to_owned),
            account: facts.as_ref().and_then(|facts| facts.account.clone()),
            channels,
            missing,
            refused: refused
                .map(|(channel, (_, why))| (channel.clone(), why.clone()))
                .collect(),
            lag_ms: facts.and_then(|facts| facts.lag_ms),
            connected_for_s: ready.map(|live| seconds(now, live.begun_at)),
            next_attempt_in_s: client
                .retry_at
                .filter(|at| live.is_none() && *at > now)
                .map(|at| seconds(at, now)),
            failures: client.failures,
            last_error: client.last_error.clone(),
            messages_waiting: client.pendings.len(),
            silent_for_s: seconds(now, client.spoke_at),
        }
    }

    /// Brings the figures up to date.
    pub(super) fn count_levels(&self) {
        let mut clients = [0; State::ALL.len()];
        for client in self.clients.values() {
            let state = State::of(client);
            let at = State::ALL.iter().position(|known| *known == state);
            if let Some(count) = at.and_then(|at| clients.get_mut(at)) {
                *count += 1;
            }
        }
        let bot = self.clients.get(&Owner::Bot);
        let live = bot.and_then(|bot| bot.live.as_ref());
        self.figures.set(Levels {
            clients,
            to_irc: self.messages_waiting(),
            to_matrix: self.deeds_waiting(),
            away: self.split.len(),
            channels: live.map_or(0, |live| live.standings.len()),
            kept: match self.is_kept() {
                true => self.links.len(),
                false => 0,
            },
            lag_ms: live.and_then(|live| live.link.facts().lag_ms),
        });
    }

    fn messages_waiting(&self) -> usize {
        let clients = self.clients.values();
        clients.map(|client| client.pendings.len()).sum()
    }

    fn deeds_waiting(&self) -> usize {
        deeds::MAX_DEEDS.saturating_sub(self.deeds.capacity())
    }
}

fn seconds(later: Instant, earlier: Instant) -> u64 {
    later.saturating_duration_since(earlier).as_secs()
}
