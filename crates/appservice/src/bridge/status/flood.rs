//! Notices of failures: one at once, and what comes within a minute of it together.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;

use super::{Telling, again::AGAIN, shown};
use crate::{
    Content, Error, Event,
    bridge::{Network, Rejected, live::Live, management},
    format::{Rich, content::Kind},
    id::{RoomId, UserId},
};

/// Failures within this time of a notice are told together, at its end.
const QUIET: Duration = Duration::from_secs(60);

/// Failures of a room since its last notice.
struct Flood {
    more: u32,
    last: String,
}

/// Rooms that were told of failures a short time ago.
#[derive(Default)]
pub(crate) struct Floods(Mutex<HashMap<RoomId, Flood>>);

impl Floods {
    /// Counts a failure; whether it is to be told at once.
    fn count(&self, room: &RoomId, reason: &str) -> bool {
        let mut floods = self.0.lock();
        if let Some(flood) = floods.get_mut(room) {
            flood.more += 1;
            reason.clone_into(&mut flood.last);
            return false;
        }
        let flood = Flood {
            more: 0,
            last: String::new(),
        };
        floods.insert(room.clone(), flood);
        true
    }

    /// What came together since the last notice; with nothing, the room is quiet.
    fn take(&self, room: &RoomId) -> Option<(u32, String)> {
        let mut floods = self.0.lock();
        let flood = floods.get_mut(room)?;
        if flood.more == 0 {
            floods.remove(room);
            return None;
        }
        let taken = (flood.more, std::mem::take(&mut flood.last));
        flood.more = 0;
        Some(taken)
    }
}

/// Tells of a failure in the room, now or together with others.
pub(super) async fn notice<N: Network>(
    telling: &Telling<'_, N>,
    event: &Event,
    no: &Rejected,
) -> Result<(), Error> {
    let floods = &telling.live.floods;
    if !floods.count(&event.room_id, &no.reason) {
        return Ok(());
    }
    let (what, which) = match event.is_state() {
        true => ("What you changed in this room", "this notice"),
        false => ("Your message", "it"),
    };
    let how = match no.cause.may_pass() {
        true => format!(" React to {which} with {AGAIN} to try again."),
        false => String::new(),
    };
    let text = format!(
        "{what} did not reach {}: {}.{how}",
        N::TITLE,
        sentence(&no.reason)
    );
    let content = Content::message(Kind::Notice, &Rich::plain(&text))
        .in_reply_to(&event.id, Some(&event.sender));
    let key = telling.key(event, "notice");
    telling
        .enqueue("m.room.message", key, content.into_json())
        .await?;
    let (live, room) = (Arc::downgrade(telling.live), event.room_id.clone());
    let agent = telling.portal.agent(telling.core);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(QUIET).await;
            let Some(live) = live.upgrade() else { return };
            match tell_together(&live, &room, &agent).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(network = N::NAME, %error, "failures were not told");
                    return;
                }
            }
        }
    });
    Ok(())
}

fn sentence(reason: &str) -> String {
    shown(reason.trim().trim_end_matches('.'))
}

/// Tells of all failures since the last notice; whether there were any.
async fn tell_together<N: Network>(
    live: &Live<N>,
    room: &RoomId,
    agent: &UserId,
) -> Result<bool, Error> {
    let core = live.core()?;
    let Some((more, last)) = live.floods.take(room) else {
        return Ok(false);
    };
    let text = format!(
        "{more} more {} did not reach {}, the last because: {}.",
        if more == 1 { "message" } else { "messages" },
        N::TITLE,
        sentence(&last)
    );
    let content = Content::message(Kind::Notice, &Rich::plain(&text));
    if core.removed_by(agent, room).await?.is_some() {
        return Ok(false);
    }
    let outgoing = management::notice(room, agent, core.effect_key(None), content);
    core.outbox.enqueue(&outgoing).await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(name: &str) -> RoomId {
        RoomId::parse(&format!("!{name}:x")).expect("an id")
    }

    #[test]
    fn a_flood_is_one_notice_and_one_more() {
        let floods = Floods::default();
        assert!(floods.count(&room("a"), "first"));
        assert!(floods.count(&room("b"), "another room"));
        for n in 0..100 {
            assert!(!floods.count(&room("a"), &format!("no {n}")));
        }
        assert_eq!(floods.take(&room("a")), Some((100, "no 99".to_owned())));
        // It stays quiet until a whole while has passed without a failure.
        assert!(!floods.count(&room("a"), "late"));
        assert_eq!(floods.take(&room("a")), Some((1, "late".to_owned())));
        assert_eq!(floods.take(&room("a")), None);
        assert!(floods.count(&room("a"), "new"));
    }
}
