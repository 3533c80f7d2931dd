//! What a transaction says of devices (MSC3202): whose device lists a service has to ask for
//! again or may forget, and how many keys its own users' devices have left.
//!
//! The log says whom it may concern; whether they share an encrypted room is read from the same
//! snapshot for the whole batch, so the last word on each user is the true one.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bridgehead_store::{Result, Snapshot};
use serde_json::{Map, Value, json};

use crate::{
    appservices::{Appservice, Registry},
    rooms::format::Object,
    users::keys::one_time_key_counts,
};

/// Encrypted rooms of a user that are looked at; who is in more is taken to share one.
const MAX_ROOMS: usize = 500;

/// The news of one transaction.
#[derive(Debug, Default)]
pub(super) struct DeviceNews {
    changed: BTreeSet<String>,
    left: BTreeSet<String>,
    one_time: BTreeMap<String, Value>,
    fallback: BTreeMap<String, Value>,
    /// Whether the service has a user in the room; what was looked up for this batch.
    company: HashMap<String, bool>,
}

/// Why a user is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// Its devices changed.
    Changed,
    /// It came into an encrypted room with users of the service.
    Met,
    /// It or the service's users left one.
    Parted,
}

/// One entry to add, and the bytes it takes in the body.
#[derive(Debug)]
pub(super) enum Entry {
    Changed(String),
    Left(String),
    Counts {
        user_id: String,
        one_time: Value,
        fallback: Value,
    },
}

impl Entry {
    /// Each stands under two keys.
    pub(super) fn bytes(&self) -> usize {
        let bytes = match self {
            Self::Changed(user_id) | Self::Left(user_id) => user_id.len() + 3,
            Self::Counts {
                user_id,
                one_time,
                fallback,
            } => {
                let name = 2 * (user_id.len() + 4);
                name + one_time.to_string().len() + fallback.to_string().len()
            }
        };
        2 * bytes
    }
}

impl DeviceNews {
    pub(super) fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.left.is_empty() && self.one_time.is_empty()
    }

    /// What is to be said of a user for this cause, if anything.
    pub(super) fn of_user(
        &mut self,
        reader: &Reader<'_>,
        cause: Cause,
        user_id: &str,
    ) -> Result<Option<Entry>> {
        let known = match cause {
            Cause::Changed | Cause::Met => &self.changed,
            Cause::Parted => &self.left,
        };
        if known.contains(user_id) {
            return Ok(None);
        }
        let shares = cause == Cause::Changed && !self.left.contains(user_id)
            || reader.shares_encrypted_room(user_id, &mut self.company)?;
        Ok(match (cause, shares) {
            (Cause::Changed | Cause::Met, true) => Some(Entry::Changed(user_id.to_owned())),
            (Cause::Parted, false) => Some(Entry::Left(user_id.to_owned())),
            // The row that says the contrary comes later, or has been here.
            (Cause::Changed | Cause::Met, false) | (Cause::Parted, true) => None,
        })
    }

    /// The key counts of the user's devices, unless they are here already.
    pub(super) fn counts(&self, snapshot: &Snapshot<'_>, user_id: &str) -> Result<Option<Entry>> {
        if self.one_time.contains_key(user_id) {
            return Ok(None);
        }
        let (mut one_time, mut fallback) = (Map::new(), Map::new());
        for device in snapshot.device_keys(user_id, None)? {
            let id = device.device_id;
            let counts = one_time_key_counts(snapshot, user_id, &id)?;
            let unused = snapshot.unused_fallback_types(user_id, &id)?;
            one_time.insert(id.clone(), json!(counts));
            fallback.insert(id, json!(unused));
        }
        // Its devices are gone: there is nothing to count.
        Ok((!one_time.is_empty()).then(|| Entry::Counts {
            user_id: user_id.to_owned(),
            one_time: Value::Object(one_time),
            fallback: Value::Object(fallback),
        }))
    }

    pub(super) fn add(&mut self, entry: Entry) {
        match entry {
            Entry::Changed(user_id) => {
                self.left.remove(&user_id);
                self.changed.insert(user_id);
            }
            Entry::Left(user_id) => {
                self.changed.remove(&user_id);
                self.left.insert(user_id);
            }
            Entry::Counts {
                user_id,
                one_time,
                fallback,
            } => {
                self.one_time.insert(user_id.clone(), one_time);
                self.fallback.insert(user_id, fallback);
            }
        }
    }

    /// Writes it down, under the keys of the proposal and those it will have.
    pub(super) fn write(&self, body: &mut Object) {
        if !(self.changed.is_empty() && self.left.is_empty()) {
            let lists = json!({ "changed": self.changed, "left": self.left }).to_string();
            body.raw("device_lists", &lists);
            body.raw("org.matrix.msc3202.device_lists", &lists);
        }
        if !self.one_time.is_empty() {
            let one_time = json!(self.one_time).to_string();
            let fallback = json!(self.fallback).to_string();
            body.raw("device_one_time_keys_count", &one_time);
            body.raw("org.matrix.msc3202.device_one_time_keys_count", &one_time);
            body.raw("device_unused_fallback_key_types", &fallback);
            body.raw(
                "org.matrix.msc3202.device_unused_fallback_key_types",
                &fallback,
            );
        }
    }
}

/// What finding out about a user takes.
pub(super) struct Reader<'a> {
    pub(super) snapshot: &'a Snapshot<'a>,
    pub(super) service: &'a Appservice,
    pub(super) registry: &'a Registry,
}

impl Reader<'_> {
    fn shares_encrypted_room(
        &self,
        user_id: &str,
        company: &mut HashMap<String, bool>,
    ) -> Result<bool> {
        let rooms = self.snapshot.encrypted_rooms(user_id, MAX_ROOMS)?;
        if rooms.len() == MAX_ROOMS {
            return Ok(true);
        }
        for room_id in rooms {
            let has_own = match company.get(&room_id) {
                Some(known) => *known,
                None => {
                    let has_own = self.has_user_in(&room_id)?;
                    company.insert(room_id, has_own);
                    has_own
                }
            };
            if has_own {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn has_user_in(&self, room_id: &str) -> Result<bool> {
        let joined = self.snapshot.joined_users(room_id)?;
        let nid = self.service.nid;
        Ok(joined
            .iter()
            .any(|user_id| self.registry.nids_of_user(user_id).contains(&nid)))
    }
}
