//! When and from where devices last called. Requests only note it in memory; housekeeping writes
//! it down, once a minute for each device at most.

use std::{collections::HashMap, net::IpAddr};

use bridgehead_store::TokenOwner;
use parking_lot::Mutex;

use crate::http::address::ClientAddress;

/// Devices noted between two rounds of housekeeping; more than that are not noted in this round.
const CAPACITY: usize = 20_000;

/// A device's last call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Whose device it is.
    pub(crate) user_id: String,
    /// The device.
    pub(crate) device_id: String,
    /// Where it called from.
    pub(crate) ip: Option<IpAddr>,
    /// When (ms).
    pub(crate) at_ms: i64,
}

/// Calls not written down yet, by the token they were made with.
#[derive(Default)]
pub(crate) struct LastSeen {
    seen: Mutex<HashMap<[u8; 32], Seen>>,
}

impl LastSeen {
    /// The token was used now.
    pub(crate) fn note(
        &self,
        token_hash: &[u8; 32],
        owner: &TokenOwner,
        address: ClientAddress,
        now_ms: i64,
    ) {
        let mut seen = self.seen.lock();
        if let Some(known) = seen.get_mut(token_hash) {
            known.at_ms = now_ms;
            known.ip = address.0;
        } else if seen.len() < CAPACITY {
            let first = Seen {
                user_id: owner.user_id.clone(),
                device_id: owner.device_id.clone(),
                ip: address.0,
                at_ms: now_ms,
            };
            seen.insert(*token_hash, first);
        }
    }

    /// The calls of a user's devices that are not written down yet.
    pub(crate) fn of_user(&self, user_id: &str) -> Vec<Seen> {
        let seen = self.seen.lock();
        seen.values()
            .filter(|seen| seen.user_id == user_id)
            .cloned()
            .collect()
    }

    /// Takes all, to write them down.
    pub(crate) fn take(&self) -> Vec<Seen> {
        self.seen.lock().drain().map(|(_, seen)| seen).collect()
    }
}
