//! Who comes into and goes out of the company of a service's users in encrypted rooms
//! (application-service API with MSC3202, `device_lists`; client-server API, "Tracking the device
//! list for a user").
//!
//! Like interest, decided once, with the room as it was: a row of the log for each user met or
//! parted from, before the row of the event that did it. So a service hears of a newcomer's devices
//! no later than of the newcomer, and long lists are cut into transactions like anything else.

use std::collections::BTreeMap;

use bridgehead_room::{Event, Membership, RoomView};
use bridgehead_store::{AppserviceNid, LogKind, Result, RoomInterest, Tx};

use super::{Nids, Registry};

/// An event, and its room before and after it.
pub(crate) struct RoomChange<'a> {
    pub(crate) event: &'a Event,
    pub(crate) view: (&'a RoomView, &'a RoomView),
    pub(crate) interest: (&'a RoomInterest, &'a RoomInterest),
}

/// Writes down whom services that take part in encryption meet or part from by this event.
pub(crate) fn note(tx: &mut Tx<'_>, registry: &Registry, change: &RoomChange<'_>) -> Result<()> {
    let asking = registry.nids_of_encrypting();
    if asking.is_empty() || !is_encrypted(change.view.1) {
        return Ok(());
    }
    let news = match (&*change.event.event_type.to_string(), change.target()) {
        ("m.room.encryption", Some("")) if !is_encrypted(change.view.0) => {
            Some(encrypted(registry, change, &asking))
        }
        ("m.room.member", Some(target)) => moved(registry, change, target, &asking),
        _ => None,
    };
    let Some(news) = news else { return Ok(()) };
    for (user_id, mut told) in news.told {
        told.sort_unstable();
        tx.append_log(news.kind, None, Some(user_id), &told)?;
    }
    Ok(())
}

impl<'a> RoomChange<'a> {
    fn target(&self) -> Option<&'a str> {
        self.event.state_key.as_deref()
    }
}

fn is_encrypted(view: &RoomView) -> bool {
    view.state_event("m.room.encryption", "").is_some()
}

/// All who are in the room already meet.
fn encrypted<'a>(registry: &Registry, change: &RoomChange<'a>, asking: &Nids) -> News<'a> {
    let mut news = News::new(LogKind::Met);
    let room = change.interest.1;
    let present = asking.iter().filter(|nid| room.joined.contains_key(*nid));
    news.add_everybody(registry, change.view.1, &present.copied().collect());
    news
}

/// Somebody joined the room or left it.
fn moved<'a>(
    registry: &Registry,
    change: &RoomChange<'a>,
    target: &'a str,
    asking: &Nids,
) -> Option<News<'a>> {
    let joined = |view: &RoomView| view.members.get(target) == Some(&Membership::Join);
    let ((before, after), (was, is)) = (change.view, change.interest);
    // The room with the target in it, and without.
    let (kind, view, with, without) = match (joined(before), joined(after)) {
        (false, true) => (LogKind::Met, after, is, was),
        (true, false) => (LogKind::Parted, before, was, is),
        _ => return None,
    };
    let mut news = News::new(kind);
    let owners = registry.nids_of_user(target);
    // Who has no other user there meets or leaves everybody.
    let alone = asking.iter().filter(|nid| {
        let there = |room: &RoomInterest| room.joined.contains_key(*nid);
        owners.contains(nid) && there(with) && !there(without)
    });
    news.add_everybody(registry, view, &alone.copied().collect());
    for nid in asking {
        if !owners.contains(nid) && without.joined.contains_key(nid) {
            news.add(target, *nid);
        }
    }
    Some(news)
}

/// Services to tell, by the user whom they met or parted from.
struct News<'a> {
    kind: LogKind,
    told: BTreeMap<&'a str, Nids>,
}

impl<'a> News<'a> {
    fn new(kind: LogKind) -> Self {
        Self {
            kind,
            told: BTreeMap::new(),
        }
    }

    fn add(&mut self, user_id: &'a str, nid: AppserviceNid) {
        let told = self.told.entry(user_id).or_default();
        if !told.contains(&nid) {
            told.push(nid);
        }
    }

    /// Everybody joined, but for the services' own users.
    fn add_everybody(&mut self, registry: &Registry, view: &'a RoomView, nids: &Nids) {
        if nids.is_empty() {
            return;
        }
        for (user_id, membership) in &view.members {
            if *membership != Membership::Join {
                continue;
            }
            let owners = registry.nids_of_user(user_id);
            for nid in nids.iter().filter(|nid| !owners.contains(nid)) {
                self.add(user_id, *nid);
            }
        }
    }
}
