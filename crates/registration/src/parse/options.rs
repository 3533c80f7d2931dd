//! What a service opts into, our own block, and the keys that nobody here knows.

use super::{Reader, present};
use crate::{
    BridgeheadOptions, Features, UnknownKey, UnknownValue,
    yaml::{Entry, Value},
};

/// Our own block.
const OWN_BLOCK: &str = "io.bridgehead";
/// The top-level keys that are read.
const KNOWN_KEYS: [&str; 15] = [
    "id",
    "url",
    "as_token",
    "hs_token",
    "sender_localpart",
    "namespaces",
    "rate_limited",
    "protocols",
    "ip_range_whitelist",
    "receive_ephemeral",
    "de.sorunome.msc2409.push_ephemeral",
    "push_ephemeral",
    "org.matrix.msc3202",
    "io.element.msc4190",
    OWN_BLOCK,
];

impl Reader {
    pub(super) fn features(&mut self, entries: &[Entry]) -> Features {
        let mut on = |key| self.flag(entries, key).unwrap_or(false);
        // Both spellings are read even if the first says yes, so that a fault in either is reported.
        let unstable = [
            on("de.sorunome.msc2409.push_ephemeral"),
            on("push_ephemeral"),
        ];
        Features {
            receive_ephemeral: on("receive_ephemeral"),
            push_ephemeral_unstable: unstable.contains(&true),
            msc3202: on("org.matrix.msc3202"),
            msc4190: on("io.element.msc4190"),
        }
    }

    pub(super) fn bridgehead(&mut self, entries: &[Entry]) -> BridgeheadOptions {
        let Some(entry) = present(entries, OWN_BLOCK) else {
            return BridgeheadOptions::default();
        };
        let Value::Map(own) = &entry.node.value else {
            self.wrong_type(OWN_BLOCK, "a mapping", &entry.node);
            return BridgeheadOptions::default();
        };
        for unknown in own
            .iter()
            .filter(|entry| !BridgeheadOptions::KEYS.contains(&entry.key.as_str()))
        {
            self.warn(
                unknown.at,
                format!("`{OWN_BLOCK}` knows no key `{}`; ignored", unknown.key),
            );
        }
        let [legacy_query_token, lazy_alias_auto_invite, relax_user_query] =
            BridgeheadOptions::KEYS.map(|key| self.flag(own, key));
        BridgeheadOptions {
            legacy_query_token,
            lazy_alias_auto_invite,
            relax_user_query,
        }
    }
}

/// What is carried along.
pub(super) fn unknown(entries: &[Entry]) -> Vec<UnknownKey> {
    entries
        .iter()
        .filter(|entry| !KNOWN_KEYS.contains(&entry.key.as_str()))
        .map(|entry| UnknownKey::new(entry.key.clone(), UnknownValue::from(&entry.node)))
        .collect()
}
