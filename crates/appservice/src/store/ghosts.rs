//! The service's own users that the homeserver knows, and what their profiles were last set to.

use rusqlite::{OptionalExtension as _, params};

use super::{Result, Unit};

impl Unit<'_> {
    /// Whether the homeserver has this user of ours, as far as we know.
    pub(crate) fn is_registered(&self, user: &str) -> Result<bool> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT 1 FROM ghosts WHERE user_id = ?1")?;
        Ok(statement.exists([user])?)
    }

    /// The homeserver has this user of ours.
    pub(crate) fn insert_ghost(&self, user: &str, now_ms: i64) -> Result<()> {
        self.connection
            .prepare_cached(
                "INSERT OR IGNORE INTO ghosts (user_id, registered_ms) VALUES (?1, ?2)",
            )?
            .execute(params![user, now_ms])?;
        Ok(())
    }

    /// The homeserver does not have this user of ours after all; nor its profile.
    pub(crate) fn forget_ghost(&self, user: &str) -> Result<()> {
        self.connection
            .prepare_cached("DELETE FROM ghosts WHERE user_id = ?1")?
            .execute([user])?;
        Ok(())
    }

    /// What a ghost's name and picture were last set to.
    pub(crate) fn ghost_profile(&self, user: &str) -> Result<GhostProfile> {
        let mut statement = self.connection.prepare_cached(
            "SELECT displayname, displayname_told, avatar_url, avatar_told FROM ghosts WHERE user_id = ?1",
        )?;
        let row = statement.query_row([user], |row| {
            Ok(GhostProfile {
                name: (row.get(0)?, row.get(1)?),
                avatar: (row.get(2)?, row.get(3)?),
            })
        });
        Ok(row.optional()?.unwrap_or_default())
    }

    /// A ghost's name was set, and so many rooms were told.
    pub(crate) fn set_ghost_name(&self, user: &str, name: &str, told: i64) -> Result<()> {
        self.connection
            .prepare_cached(
                "UPDATE ghosts SET displayname = ?2, displayname_told = ?3 WHERE user_id = ?1",
            )?
            .execute(params![user, name, told])?;
        Ok(())
    }

    /// A ghost's picture was set, and so many rooms were told.
    pub(crate) fn set_ghost_avatar(&self, user: &str, avatar: &str, told: i64) -> Result<()> {
        self.connection
            .prepare_cached(
                "UPDATE ghosts SET avatar_url = ?2, avatar_told = ?3 WHERE user_id = ?1",
            )?
            .execute(params![user, avatar, told])?;
        Ok(())
    }
}

/// What a ghost's name and picture were last set to, each with which rooms were told.
#[derive(Clone, Debug, Default)]
pub(crate) struct GhostProfile {
    pub(crate) name: (Option<String>, i64),
    pub(crate) avatar: (Option<String>, i64),
}
