//! Whose devices and keys a reader must ask for again (client-server API, "Tracking the device
//! list for a user").

use std::collections::BTreeSet;

use bridgehead_room::Membership;
use bridgehead_store::{MembershipRow, Result, StreamPosition};

use super::{look::Look, response::DeviceLists};
use crate::rooms::membership_of;

/// What changed since the last time; nothing on the first sync, where a client knows nobody.
pub(crate) fn read(look: &Look<'_>, changed_rooms: &[MembershipRow]) -> Result<DeviceLists> {
    let Some(since) = look.since else {
        return Ok(DeviceLists::default());
    };
    let mut changed: BTreeSet<String> = BTreeSet::new();
    for user_id in look
        .snapshot
        .device_list_changes(since.position, look.upto)?
    {
        if user_id == look.user_id() || look.snapshot.share_room(look.user_id(), &user_id)? {
            changed.insert(user_id);
        }
    }
    let mut met = BTreeSet::new();
    let mut parted = BTreeSet::new();
    for row in changed_rooms {
        if let Some(encrypted_at) = look.snapshot.encrypted_at(&row.room_id)? {
            compare_members(look, row, encrypted_at, &mut met, &mut parted)?;
        }
    }
    met.remove(look.user_id());
    parted.remove(look.user_id());
    let mut left = Vec::new();
    for user_id in parted {
        if !look
            .snapshot
            .share_encrypted_room(look.user_id(), &user_id)?
        {
            met.remove(&user_id);
            changed.remove(&user_id);
            left.push(user_id);
        }
    }
    changed.extend(met);
    Ok(DeviceLists {
        changed: changed.into_iter().collect(),
        left,
    })
}

/// Who came into or went out of the reader's company in one encrypted room.
fn compare_members(
    look: &Look<'_>,
    row: &MembershipRow,
    encrypted_at: StreamPosition,
    met: &mut BTreeSet<String>,
    parted: &mut BTreeSet<String>,
) -> Result<()> {
    let since = look.since_position();
    let room_id = row.room_id.as_str();
    let before = look
        .snapshot
        .membership_at(room_id, look.user_id(), since)?
        .and_then(|event| membership_of(&event));
    let was_in = before == Some(Membership::Join);
    let is_in = row.membership == "join";
    match (was_in, is_in) {
        (false, false) => {}
        (false, true) => met.extend(look.snapshot.joined_users(room_id)?),
        (true, false) => parted.extend(look.snapshot.joined_users(room_id)?),
        (true, true) if encrypted_at > since => met.extend(look.snapshot.joined_users(room_id)?),
        (true, true) => {
            for event in look.snapshot.state_changes(room_id, since, look.upto)? {
                let (Some(user_id), "m.room.member") =
                    (event.state_key.clone(), &*event.event_type)
                else {
                    continue;
                };
                let before = event
                    .prev_content
                    .as_deref()
                    .and_then(Membership::from_content_text);
                match (before, membership_of(&event)) {
                    // A new name is no new acquaintance.
                    (Some(Membership::Join), Some(Membership::Join)) => {}
                    (_, Some(Membership::Join)) => _ = met.insert(user_id),
                    _ => _ = parted.insert(user_id),
                }
            }
        }
    }
    Ok(())
}
