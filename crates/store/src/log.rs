//! The one log: rows that say what happened, in commit order.

use rusqlite::Row;
use smallvec::SmallVec;

use crate::{AppserviceNid, InterestSetId, Snapshot, StreamPosition, error::Result};

/// What a log row is about; the row's details are in the table of that kind, under the same
/// position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogKind {
    /// A room event (`events`).
    Event,
    /// A read receipt (`receipts`).
    Receipt,
    /// Account data or push rules of a user (`account_data`).
    AccountData,
    /// A to-device message (`to_device`).
    ToDevice,
    /// A user's device list changed (`device_list_changes`).
    DeviceList,
    /// The aliases of a room changed, so cached interest in it is stale (`aliases`).
    Aliases,
    /// The user has come into an encrypted room with users of the services of the row.
    Met,
    /// The user shares an encrypted room less with users of the services of the row, or none now.
    Parted,
    /// One-time or fallback keys of the user's devices came or went.
    KeyCounts,
}

impl LogKind {
    fn to_sql(self) -> i64 {
        match self {
            Self::Event => 1,
            Self::Receipt => 2,
            Self::AccountData => 3,
            Self::ToDevice => 4,
            Self::DeviceList => 5,
            Self::Aliases => 6,
            Self::Met => 7,
            Self::Parted => 8,
            Self::KeyCounts => 9,
        }
    }

    fn from_sql(value: i64) -> Option<Self> {
        Some(match value {
            1 => Self::Event,
            2 => Self::Receipt,
            3 => Self::AccountData,
            4 => Self::ToDevice,
            5 => Self::DeviceList,
            6 => Self::Aliases,
            7 => Self::Met,
            8 => Self::Parted,
            9 => Self::KeyCounts,
            _ => return None,
        })
    }
}

/// One row of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Its place.
    pub pos: StreamPosition,
    /// What it is about.
    pub kind: LogKind,
    /// The room it happened in, if it did in one.
    pub room_id: Option<String>,
    /// The user it concerns: an event's target member, a receipt's or account data's owner, a
    /// to-device message's recipient.
    pub user_id: Option<String>,
    /// The application services it is for.
    pub interest: InterestSetId,
    /// When it was written, by the store's clock, in milliseconds since the Unix epoch; zero in
    /// rows that are older than this field.
    pub at_ms: i64,
}

/// A set of application services, sorted.
pub type InterestSet = SmallVec<[AppserviceNid; 4]>;

impl Snapshot<'_> {
    /// Up to `limit` log rows after `after`, in order.
    pub fn log_after(&self, after: StreamPosition, limit: usize) -> Result<Vec<LogEntry>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT pos, kind, room_id, user_id, interest, at_ms FROM log WHERE pos > $1 ORDER BY pos LIMIT $2",
        )?;
        let rows = statement.query_map((after.to_sql(), limit as i64), read_entry)?;
        rows.collect::<Result<Vec<_>, _>>()?
            .into_iter()
            .map(|entry| entry.ok_or_else(|| crate::Error::corrupt("log", "unknown kind")))
            .collect()
    }

    /// The newest position, or zero.
    pub fn last_position(&self) -> Result<StreamPosition> {
        let mut statement = self
            .conn
            .prepare_cached("SELECT COALESCE(MAX(pos), 0) FROM log")?;
        Ok(StreamPosition::from_sql(
            statement.query_row([], |row| row.get(0))?,
        ))
    }

    /// All interned sets.
    pub(crate) fn interest_sets(&self) -> Result<Vec<(InterestSetId, InterestSet)>> {
        let mut statement = self
            .conn
            .prepare_cached("SELECT set_id, members FROM interest_sets")?;
        let rows = statement
            .query_map([], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
            })?
            .collect::<Result<Vec<_>, _>>()?;
        rows.into_iter()
            .map(|(id, members)| {
                parse_members(&members)
                    .map(|set| (InterestSetId(id), set))
                    .ok_or_else(|| crate::Error::corrupt("interest_sets", id.to_string()))
            })
            .collect()
    }
}

impl crate::Tx<'_> {
    /// Appends a row to the log and returns its position. Everything told about under that
    /// position must be written in the same unit of work.
    pub fn append_log(
        &mut self,
        kind: LogKind,
        room_id: Option<&str>,
        user_id: Option<&str>,
        interest: &[AppserviceNid],
    ) -> Result<StreamPosition> {
        let interest = self.intern_interest(interest)?;
        let (pos, at_ms) = (self.batch.next_position, self.batch.at_ms);
        self.conn
            .prepare_cached(
                "INSERT INTO log (pos, kind, room_id, user_id, interest, at_ms)
                 VALUES ($1, $2, $3, $4, $5, $6)",
            )?
            .execute((
                pos.to_sql(),
                kind.to_sql(),
                room_id,
                user_id,
                interest.0,
                at_ms,
            ))?;
        self.batch.next_position = pos.next();
        self.batch.log.push(LogEntry {
            pos,
            kind,
            room_id: room_id.map(str::to_owned),
            user_id: user_id.map(str::to_owned),
            interest,
            at_ms,
        });
        Ok(pos)
    }

    fn intern_interest(&mut self, members: &[AppserviceNid]) -> Result<InterestSetId> {
        if members.is_empty() {
            return Ok(InterestSetId::EMPTY);
        }
        if let Some(id) = self.batch.shared.sets.lock().by_members.get(members) {
            return Ok(*id);
        }
        let text = members
            .iter()
            .map(|nid| nid.0.to_string())
            .collect::<Vec<_>>()
            .join(",");
        self.conn
            .prepare_cached("INSERT INTO interest_sets (members) VALUES ($1)")?
            .execute([&text])?;
        let id = InterestSetId(self.conn.last_insert_rowid());
        self.batch
            .shared
            .sets
            .lock()
            .insert(id, members.iter().copied().collect());
        self.batch.interned.push(id);
        Ok(id)
    }
}

fn read_entry(row: &Row<'_>) -> rusqlite::Result<Option<LogEntry>> {
    let Some(kind) = LogKind::from_sql(row.get(1)?) else {
        return Ok(None);
    };
    Ok(Some(LogEntry {
        pos: StreamPosition::from_sql(row.get(0)?),
        kind,
        room_id: row.get(2)?,
        user_id: row.get(3)?,
        interest: InterestSetId(row.get(4)?),
        at_ms: row.get(5)?,
    }))
}

fn parse_members(text: &str) -> Option<InterestSet> {
    text.split(',')
        .map(|part| part.parse().ok().map(AppserviceNid))
        .collect()
}
