//! Room aliases.

use rusqlite::OptionalExtension;

use crate::{AppserviceNid, LogKind, Result, Snapshot, Tx};

/// A local alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AliasRow {
    /// The alias, `#local:server`.
    pub alias: String,
    /// The room it points at.
    pub room_id: String,
    /// The user that made it.
    pub creator: String,
}

impl Snapshot<'_> {
    /// What an alias points at.
    pub fn alias(&self, alias: &str) -> Result<Option<AliasRow>> {
        Ok(self
            .conn
            .prepare_cached("SELECT alias, room_id, creator FROM aliases WHERE alias = $1")?
            .query_row([alias], |row| {
                Ok(AliasRow {
                    alias: row.get(0)?,
                    room_id: row.get(1)?,
                    creator: row.get(2)?,
                })
            })
            .optional()?)
    }

    /// The local aliases of a room.
    pub fn aliases_of(&self, room_id: &str) -> Result<Vec<String>> {
        Ok(self
            .conn
            .prepare_cached("SELECT alias FROM aliases WHERE room_id = $1 ORDER BY alias")?
            .query_map([room_id], |row| row.get(0))?
            .collect::<Result<_, _>>()?)
    }
}

impl Tx<'_> {
    /// Adds an alias; false when it exists. The room's cached interest is dropped, for it may
    /// depend on the alias.
    pub fn insert_alias(&mut self, alias: &str, room_id: &str, creator: &str) -> Result<bool> {
        let added = self
            .conn
            .prepare_cached(
                "INSERT INTO aliases (alias, room_id, creator) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            )?
            .execute((alias, room_id, creator))?;
        if added == 1 {
            self.aliases_changed(room_id)?;
        }
        Ok(added == 1)
    }

    /// Deletes an alias; false when there was none.
    pub fn delete_alias(&mut self, alias: &str) -> Result<bool> {
        let Some(row) = self.alias(alias)? else {
            return Ok(false);
        };
        self.conn
            .prepare_cached("DELETE FROM aliases WHERE alias = $1")?
            .execute([alias])?;
        self.aliases_changed(&row.room_id)?;
        Ok(true)
    }

    /// Points all aliases of one room at another.
    pub fn move_aliases(&mut self, from_room: &str, to_room: &str) -> Result<()> {
        let moved = self
            .conn
            .prepare_cached("UPDATE aliases SET room_id = $1 WHERE room_id = $2")?
            .execute((to_room, from_room))?;
        if moved > 0 {
            self.aliases_changed(from_room)?;
            self.aliases_changed(to_room)?;
        }
        Ok(())
    }

    fn aliases_changed(&mut self, room_id: &str) -> Result<()> {
        const NOBODY: &[AppserviceNid] = &[];
        self.append_log(LogKind::Aliases, Some(room_id), None, NOBODY)?;
        if let Some(view) = self.room_view(room_id)? {
            self.set_room_view(view, None);
        }
        Ok(())
    }
}
