//! Who may know of whom: users who share rooms, and the user directory.

use std::collections::{BTreeSet, HashMap};

use bridgehead_store::{Result, Snapshot, StreamPosition, UserRow};
use ruma::UserId;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::App;

/// Whether both users are joined to some room.
pub(crate) async fn share_a_room(app: &App, one: &UserId, other: &UserId) -> Result<bool> {
    Ok(!mutual_rooms(app, one, other).await?.is_empty())
}

/// Rooms that both users are joined to, in order.
pub(crate) async fn mutual_rooms(app: &App, one: &UserId, other: &UserId) -> Result<Vec<String>> {
    let (one, other) = (one.to_string(), other.to_string());
    app.store.read(move |s| s.mutual_rooms(&one, &other)).await
}

/// Users whose id or display name contains the term, as far as the asker may know of them: they
/// share a room, or are in one that is open to everybody. The asker is not among them.
pub(crate) async fn search(
    app: &App,
    asker: &UserId,
    term: String,
    limit: usize,
) -> Result<Vec<Value>> {
    let asker = asker.to_string();
    app.store
        .read(move |s| {
            let mut known = Known {
                snapshot: s,
                own: s.joined_rooms(&asker)?.into_iter().collect(),
                open: HashMap::new(),
            };
            let users = s.users_search_where(&term, limit, |user| {
                Ok(user.user_id != asker && known.knows(&user.user_id)?)
            })?;
            Ok(users.iter().map(entry).collect())
        })
        .await
}

/// What one search has found out about rooms.
struct Known<'a> {
    snapshot: &'a Snapshot<'a>,
    /// The asker's rooms.
    own: BTreeSet<String>,
    /// Other rooms, and whether they are open to everybody.
    open: HashMap<String, bool>,
}

impl Known<'_> {
    fn knows(&mut self, user_id: &str) -> Result<bool> {
        for room_id in self.snapshot.joined_rooms(user_id)? {
            if self.own.contains(&room_id) || self.is_open(room_id)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn is_open(&mut self, room_id: String) -> Result<bool> {
        if let Some(open) = self.open.get(&room_id) {
            return Ok(*open);
        }
        let open = self.has(&room_id, "m.room.join_rules", "join_rule", "public")?
            || self.has(
                &room_id,
                "m.room.history_visibility",
                "history_visibility",
                "world_readable",
            )?;
        self.open.insert(room_id, open);
        Ok(open)
    }

    fn has(&self, room_id: &str, event_type: &str, key: &str, value: &str) -> Result<bool> {
        let newest = StreamPosition(u64::MAX >> 1);
        let event = self
            .snapshot
            .state_event_at(room_id, event_type, "", newest)?;
        Ok(event.is_some_and(|event| {
            serde_json::from_str::<Value>(&event.content).is_ok_and(|content| content[key] == value)
        }))
    }
}

fn entry(user: &UserRow) -> Value {
    #[derive(Default, Deserialize)]
    struct Profile {
        displayname: Option<String>,
        avatar_url: Option<String>,
    }
    let profile: Profile = serde_json::from_str(&user.profile).unwrap_or_default();
    let mut entry = json!({ "user_id": user.user_id });
    if let Some(name) = profile.displayname {
        entry["display_name"] = name.into();
    }
    if let Some(url) = profile.avatar_url {
        entry["avatar_url"] = url.into();
    }
    entry
}
