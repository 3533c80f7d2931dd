//! Rooms, memberships and the room directory.

use std::sync::Arc;

use ruma::{OwnedEventId, OwnedRoomId, RoomVersionId};
use rusqlite::{OptionalExtension, Row};
use smallvec::SmallVec;

use crate::{AppserviceNid, Error, Result, Snapshot, StreamPosition, Tx};

/// A row of `rooms`.
#[derive(Debug, Clone)]
pub struct RoomRecord {
    /// The room.
    pub room_id: OwnedRoomId,
    /// Its version.
    pub version: RoomVersionId,
    /// Position of its newest event.
    pub last_pos: StreamPosition,
    /// Its newest event, the one forward end of its (local) graph.
    pub last_event: OwnedEventId,
    /// Depth of that event.
    pub depth: u64,
}

/// A user's current membership of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MembershipRow {
    /// The room.
    pub room_id: String,
    /// The user.
    pub user_id: String,
    /// `join`, `invite`, `knock`, `leave` or `ban`.
    pub membership: String,
    /// Position of the member event.
    pub pos: StreamPosition,
    /// The member event.
    pub event_id: String,
    /// The user asked not to be told of the room any more.
    pub forgotten: bool,
}

/// Which services are interested in a room as such, whoever speaks in it. Valid for one
/// generation of the registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoomInterest {
    /// The registry generation it was computed with.
    pub generation: u64,
    /// Services whose room or alias patterns match, sorted.
    pub named: SmallVec<[AppserviceNid; 4]>,
    /// How many of its joined users each service owns; no zero entries.
    pub joined: imbl::OrdMap<AppserviceNid, u32>,
}

impl Snapshot<'_> {
    /// The room's row.
    pub fn room_record(&self, room_id: &str) -> Result<Option<RoomRecord>> {
        let row = self
            .conn
            .prepare_cached(
                "SELECT room_id, version, last_pos, last_event, depth FROM rooms WHERE room_id = $1",
            )?
            .query_row([room_id], |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    row.get::<_, String>(1)?,
                    row.get::<_, i64>(2)?,
                    row.get::<_, String>(3)?,
                    row.get::<_, i64>(4)?,
                ))
            })
            .optional()?;
        row.map(|(id, version, last_pos, last_event, depth)| {
            let corrupt = || Error::corrupt("rooms", room_id);
            Ok(RoomRecord {
                room_id: id.try_into().map_err(|_| corrupt())?,
                version: version.as_str().try_into().map_err(|_| corrupt())?,
                last_pos: StreamPosition::from_sql(last_pos),
                last_event: last_event.try_into().map_err(|_| corrupt())?,
                depth: u64::try_from(depth).map_err(|_| corrupt())?,
            })
        })
        .transpose()
    }

    /// A user's membership of a room, if it ever had one.
    pub fn membership(&self, room_id: &str, user_id: &str) -> Result<Option<MembershipRow>> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT room_id, user_id, membership, pos, event_id, forgotten FROM memberships
                 WHERE room_id = $1 AND user_id = $2",
            )?
            .query_row((room_id, user_id), read_membership)
            .optional()?)
    }

    /// All rooms that a user has a membership of.
    pub fn memberships_of(&self, user_id: &str) -> Result<Vec<MembershipRow>> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT room_id, user_id, membership, pos, event_id, forgotten FROM memberships
                 WHERE user_id = $1 ORDER BY room_id",
            )?
            .query_map([user_id], read_membership)?
            .collect::<Result<_, _>>()?)
    }

    /// Rooms that a user is joined to.
    pub fn joined_rooms(&self, user_id: &str) -> Result<Vec<String>> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT room_id FROM memberships WHERE user_id = $1 AND membership = 'join' ORDER BY room_id",
            )?
            .query_map([user_id], |row| row.get(0))?
            .collect::<Result<_, _>>()?)
    }

    /// Users joined to a room that both share, other than the user itself.
    pub fn users_sharing_rooms(&self, user_id: &str) -> Result<Vec<String>> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT DISTINCT other.user_id FROM memberships AS mine
                 JOIN memberships AS other ON other.room_id = mine.room_id AND other.membership = 'join'
                 WHERE mine.user_id = $1 AND mine.membership = 'join' AND other.user_id <> $1
                 ORDER BY other.user_id",
            )?
            .query_map([user_id], |row| row.get(0))?
            .collect::<Result<_, _>>()?)
    }

    /// Rooms that both users are joined to, in order.
    pub fn mutual_rooms(&self, user_id: &str, other: &str) -> Result<Vec<String>> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT mine.room_id FROM memberships AS mine
                 JOIN memberships AS theirs ON theirs.room_id = mine.room_id
                 WHERE mine.user_id = $1 AND mine.membership = 'join'
                 AND theirs.user_id = $2 AND theirs.membership = 'join' ORDER BY mine.room_id",
            )?
            .query_map((user_id, other), |row| row.get(0))?
            .collect::<Result<_, _>>()?)
    }

    /// Rooms published in a directory; `network` is empty for the server's own.
    pub fn published_rooms(&self, network: &str) -> Result<Vec<String>> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT room_id FROM room_directory WHERE network = $1 ORDER BY room_id",
            )?
            .query_map([network], |row| row.get(0))?
            .collect::<Result<_, _>>()?)
    }

    /// Rooms published in any directory.
    pub fn rooms_published_anywhere(&self) -> Result<Vec<String>> {
        Ok(self
            .conn
            .prepare_cached("SELECT DISTINCT room_id FROM room_directory ORDER BY room_id")?
            .query_map([], |row| row.get(0))?
            .collect::<Result<_, _>>()?)
    }

    /// Whether a room is published.
    pub fn is_published(&self, network: &str, room_id: &str) -> Result<bool> {
        Ok(self
            .conn
            .prepare_cached("SELECT 1 FROM room_directory WHERE network = $1 AND room_id = $2")?
            .exists((network, room_id))?)
    }

    /// All room ids, in order; for checks and dumps.
    pub fn room_ids(&self) -> Result<Vec<String>> {
        Ok(self
            .conn
            .prepare_cached("SELECT room_id FROM rooms ORDER BY room_id")?
            .query_map([], |row| row.get(0))?
            .collect::<Result<_, _>>()?)
    }
}

impl Tx<'_> {
    /// Adds a room. Its `last_*` columns follow with the first event.
    pub fn insert_room(&mut self, room_id: &str, version: &RoomVersionId) -> Result<()> {
        self.conn
            .prepare_cached(
                "INSERT INTO rooms (room_id, version, last_pos, last_event, depth) VALUES ($1, $2, 0, '', 0)",
            )?
            .execute((room_id, version.as_str()))?;
        Ok(())
    }

    /// Records that the user does not want to hear of the room any more.
    pub fn forget_room(&mut self, room_id: &str, user_id: &str) -> Result<()> {
        self.conn
            .prepare_cached(
                "UPDATE memberships SET forgotten = 1 WHERE room_id = $1 AND user_id = $2",
            )?
            .execute((room_id, user_id))?;
        Ok(())
    }

    /// Publishes a room in a directory, or takes it out.
    pub fn set_published(&mut self, network: &str, room_id: &str, published: bool) -> Result<()> {
        let sql = if published {
            "INSERT INTO room_directory (network, room_id) VALUES ($1, $2) ON CONFLICT DO NOTHING"
        } else {
            "DELETE FROM room_directory WHERE network = $1 AND room_id = $2"
        };
        self.conn.prepare_cached(sql)?.execute((network, room_id))?;
        Ok(())
    }

    /// Keeps the interest computed for a room with its cached view.
    pub fn set_room_interest(&mut self, room_id: &str, interest: Arc<RoomInterest>) -> Result<()> {
        if let Some(view) = self.room_view(room_id)? {
            self.set_room_view(view, Some(interest));
        }
        Ok(())
    }
}

pub(crate) fn read_membership(row: &Row<'_>) -> rusqlite::Result<MembershipRow> {
    Ok(MembershipRow {
        room_id: row.get(0)?,
        user_id: row.get(1)?,
        membership: row.get(2)?,
        pos: StreamPosition::from_sql(row.get(3)?),
        event_id: row.get(4)?,
        forgotten: row.get(5)?,
    })
}
