//! A netsplit, and its end: half of the people are gone for the other half, and come back.

use std::collections::{BTreeMap, BTreeSet};

use bridgehead_irc_protocol::Line;

use super::{State, client::ClientId};

/// The two servers between which the link breaks.
const NEAR: &str = "a.example";
const FAR: &str = "b.example";

impl State {
    /// Puts people on the far side. Each side sees the other quit with the names of both servers.
    pub(crate) fn split(&mut self, nicks: &[&str]) {
        let far: BTreeSet<ClientId> = nicks.iter().filter_map(|nick| self.holder(nick)).collect();
        let mut quits: BTreeMap<ClientId, Vec<Line>> = BTreeMap::new();
        let text = format!("{NEAR} {FAR}");
        let ids: Vec<ClientId> = self.clients.keys().copied().collect();
        for id in ids {
            let line = self.stamp(id, Line::new("QUIT", [&text]));
            let peers = self.peers(id).into_iter();
            for peer in peers.filter(|peer| far.contains(peer) != far.contains(&id)) {
                quits.entry(peer).or_default().push(line.clone());
            }
        }
        for id in far {
            if let Some(client) = self.client_mut(id) {
                client.is_far = true;
            }
        }
        self.is_split = true;
        self.send_split("netsplit", quits);
    }

    /// Ends the split: each side sees the other join again, with the standings that they had.
    pub(crate) fn rejoin(&mut self) {
        if !std::mem::take(&mut self.is_split) {
            return;
        }
        let mut joins: BTreeMap<ClientId, Vec<Line>> = BTreeMap::new();
        let keys: Vec<String> = self.channels.keys().cloned().collect();
        for key in keys {
            self.rejoin_channel(&key, &mut joins);
        }
        for client in self.clients.values_mut() {
            client.is_far = false;
        }
        self.send_split("netjoin", joins);
    }

    fn rejoin_channel(&mut self, key: &str, joins: &mut BTreeMap<ClientId, Vec<Line>>) {
        let Some(channel) = self.channels.get(key) else {
            return;
        };
        let members: Vec<ClientId> = channel.members.keys().copied().collect();
        let is_far = |state: &Self, id| state.client(id).is_some_and(|client| client.is_far);
        for id in &members {
            for viewer in &members {
                if is_far(self, *viewer) == is_far(self, *id) {
                    continue;
                }
                let lines = self.member_lines(*viewer, *id, key);
                joins.entry(*viewer).or_default().extend(lines);
            }
        }
    }

    fn send_split(&mut self, kind: &str, lines: BTreeMap<ClientId, Vec<Line>>) {
        for (viewer, lines) in lines {
            if self.dialect.batches_splits {
                self.send_batch(viewer, kind, &[NEAR, FAR], lines);
            } else {
                for line in lines {
                    self.send(viewer, line);
                }
            }
        }
    }
}
