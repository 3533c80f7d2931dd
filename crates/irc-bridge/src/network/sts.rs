//! Servers that want encryption (IRCv3 sts): what they have said is done, and remembered for as long as they say.
//!
//! A server says so on a connection that is not encrypted, with a port: that connection ends before a password was said,
//! and the next ones go to that port. On one that is encrypted, and has proven who it is, it says for how long that is to
//! be so. Until then nobody connects to it without, whatever the configuration has.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use bridgehead_appservice::store::{Store, StoreError};
use serde::{Deserialize, Serialize};

use super::{Hub, Owner, client::Live, speaking::now_ms};
use crate::{link::dial::Server, settings::Verify};

/// How often it is looked whether the time is to be reckoned anew, for it begins when the last connection ends.
const TEND_EVERY: Duration = Duration::from_secs(60);
/// The longest time that counts: some servers name numbers that mean "for ever".
const MAX_DURATION_S: u64 = 10 * 365 * 24 * 3600;
/// Servers that are remembered of a network; a configuration names some.
const MAX_KEPT: usize = 64;

/// What a server has said on a connection that is encrypted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Policy {
    port: u16,
    duration_s: u64,
    /// Until when it holds, ms since the Unix epoch.
    until_ms: i64,
}

/// What the servers of a network have said, by name.
#[derive(Debug, Default)]
pub(super) struct Policies {
    /// In this run, on connections without encryption.
    wanted: HashMap<String, u16>,
    /// Beyond it.
    kept: BTreeMap<String, Policy>,
    tend_at: Option<Instant>,
}

fn key(network: &str) -> String {
    format!("sts/{network}")
}

impl Policies {
    /// What is remembered of a network's servers.
    pub(super) async fn load(store: &Store, network: &str) -> Result<Self, StoreError> {
        let kept = store.get(&key(network)).await?.unwrap_or_default();
        Ok(Self {
            kept,
            ..Self::default()
        })
    }

    /// The port at which a server has to be connected to with encryption.
    fn port(&self, host: &str, now_ms: i64) -> Option<u16> {
        let kept = self.kept.get(host);
        let kept = kept.filter(|policy| policy.until_ms > now_ms);
        kept.map(|policy| policy.port)
            .or_else(|| self.wanted.get(host).copied())
    }

    /// A server has said for how long it is to be encrypted; whether what is remembered is another now.
    fn take(&mut self, server: &Server, duration_s: u64, now_ms: i64) -> bool {
        self.kept.retain(|_, policy| policy.until_ms > now_ms);
        if duration_s == 0 {
            self.wanted.remove(&server.host);
            return self.kept.remove(&server.host).is_some();
        }
        let has_room = self.kept.len() < MAX_KEPT || self.kept.contains_key(&server.host);
        if !has_room {
            return false;
        }
        let mut policy = Policy {
            port: server.port,
            duration_s: duration_s.min(MAX_DURATION_S),
            until_ms: 0,
        };
        policy.renew(now_ms);
        self.kept.insert(server.host.clone(), policy);
        true
    }

    /// The connection to a server stands; whether its time was reckoned anew.
    fn renew(&mut self, host: &str, now_ms: i64) -> bool {
        let kept = self.kept.get_mut(host);
        kept.is_some_and(|policy| {
            let is_old = policy.left_ms(now_ms) < policy.duration_ms() / 10 * 9;
            if is_old {
                policy.renew(now_ms);
            }
            is_old
        })
    }
}

impl Policy {
    fn duration_ms(&self) -> i64 {
        i64::try_from(self.duration_s.saturating_mul(1000)).unwrap_or(i64::MAX)
    }

    fn left_ms(&self, now_ms: i64) -> i64 {
        self.until_ms.saturating_sub(now_ms)
    }

    fn renew(&mut self, now_ms: i64) {
        self.until_ms = now_ms.saturating_add(self.duration_ms());
    }
}

impl Hub {
    /// The port at which a server has to be connected to with encryption, where the configuration has none.
    pub(super) fn policy_for(&self, server: &Server) -> Option<u16> {
        let port = self.policies.port(&server.host, now_ms());
        port.filter(|_| !self.settings.tls)
    }

    /// The server of a connection, and the port that it is encrypted at, or would be.
    fn server_of(&self, live: &Live) -> Option<Server> {
        let servers = &self.settings.servers;
        let at = servers.get(live.server % servers.len().max(1))?;
        let mut server = Server::parse(at.as_str())?;
        server.port = self.policy_for(&server).unwrap_or(server.port);
        Some(server)
    }

    /// A server wants encryption.
    pub(super) async fn hear_sts(
        &mut self,
        owner: &Owner,
        port: Option<u16>,
        duration_s: Option<u64>,
    ) {
        let live = self
            .clients
            .get(owner)
            .and_then(|client| client.live.as_ref());
        let Some(server) = live.and_then(|live| self.server_of(live)) else {
            return;
        };
        if let Some(port) = port {
            self.encrypt(server.host, port);
        } else if let Some(duration_s) = duration_s {
            let is_proven = self.settings.tls_verify == Verify::Full || !self.settings.tls;
            // Whoever takes any certificate cannot know who has said so.
            if is_proven && self.policies.take(&server, duration_s, now_ms()) {
                self.write_policies_down().await;
            }
        }
    }

    /// It is done from now on. The connection that was told so ends by itself.
    fn encrypt(&mut self, host: String, port: u16) {
        tracing::warn!(
            network = self.name,
            host,
            port,
            "the server wants encryption: it is connected to with it from now on; set `tls` and this port"
        );
        self.policies.wanted.insert(host, port);
    }

    /// While a connection stands the time does not run.
    pub(super) async fn tend_policies(&mut self, now: Instant) {
        if self.policies.kept.is_empty() || self.policies.tend_at.is_some_and(|at| at > now) {
            return;
        }
        self.policies.tend_at = Some(now + TEND_EVERY);
        let ready = self.clients.values().filter_map(|client| {
            let live = client.live.as_ref().filter(|live| live.is_ready)?;
            self.server_of(live)
        });
        let ready: Vec<String> = ready.map(|server| server.host).collect();
        let now_ms = now_ms();
        let renewed = ready
            .iter()
            .filter(|host| self.policies.renew(host, now_ms))
            .count();
        if renewed > 0 {
            self.write_policies_down().await;
        }
    }

    async fn write_policies_down(&self) {
        let written = match self.remote.store() {
            Ok(store) => {
                let written = store.put(&key(&self.name), &self.policies.kept).await;
                written.map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = written {
            tracing::error!(
                network = self.name,
                error,
                "that a server wants encryption is not remembered beyond this run"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn server() -> Server {
        Server::parse("irc.example:6697").expect("a server")
    }

    #[test]
    fn what_a_server_has_said_holds_for_as_long_as_it_said() {
        let mut policies = Policies::default();
        assert_eq!(policies.port("irc.example", 0), None);
        assert!(policies.take(&server(), 60, 1_000));
        assert_eq!(policies.port("irc.example", 60_999), Some(6697));
        assert_eq!(policies.port("irc.example", 61_000), None);
        assert_eq!(policies.port("other.example", 2_000), None);
    }

    #[test]
    fn while_a_connection_stands_the_time_does_not_run() {
        let mut policies = Policies::default();
        policies.take(&server(), 100, 0);
        assert!(!policies.renew("irc.example", 9_000), "it is hardly older");
        assert!(policies.renew("irc.example", 20_000));
        assert_eq!(policies.port("irc.example", 119_000), Some(6697));
        assert!(!policies.renew("other.example", 20_000));
    }

    #[test]
    fn a_server_takes_back_what_it_has_said() {
        let mut policies = Policies::default();
        policies.wanted.insert("irc.example".to_owned(), 6697);
        assert_eq!(policies.port("irc.example", 0), Some(6697));
        policies.take(&server(), 60, 0);
        assert!(policies.take(&server(), 0, 1));
        assert_eq!(policies.port("irc.example", 2), None);
        assert!(
            !policies.take(&server(), 0, 3),
            "there is nothing to take back"
        );
    }

    proptest! {
        #[test]
        fn no_number_breaks_it(duration_s: u64, now_ms in 0..=i64::MAX, later_ms in 0..=i64::MAX) {
            let mut policies = Policies::default();
            policies.take(&server(), duration_s, now_ms);
            policies.renew("irc.example", later_ms);
            let written = serde_json::to_string(&policies.kept).expect("it is written");
            let read: BTreeMap<String, Policy> = serde_json::from_str(&written).expect("and read");
            prop_assert_eq!(&read, &policies.kept);
            prop_assert!(policies.kept.values().all(|policy| policy.until_ms >= 0));
        }
    }
}
