//! Local users: people, guests and ghosts, with their profiles.

use rusqlite::{OptionalExtension, Row};
use serde::Deserialize;

use crate::{Error, Result, Snapshot, Tx};

/// A local user. Not `Debug`, so that the password hash stays out of logs.
#[derive(Clone, PartialEq, Eq)]
pub struct UserRow {
    /// The full user id.
    pub user_id: String,
    /// The password's hash in PHC form; `None`: cannot log in by password.
    pub password_hash: Option<String>,
    /// The id of the application service that registered the user.
    pub appservice: Option<String>,
    /// Whether it is a guest account.
    pub is_guest: bool,
    /// Whether it may use the operator API.
    pub is_admin: bool,
    /// Whether the account was closed; its id is never given out again.
    pub deactivated: bool,
    /// When it was registered (ms).
    pub created_at: i64,
    /// The profile, a JSON object.
    pub profile: String,
}

/// What the user directory looks at in a profile.
#[derive(Deserialize)]
struct DirectoryProfile {
    displayname: Option<String>,
}

impl Snapshot<'_> {
    /// The user, deactivated or not.
    pub fn user(&self, user_id: &str) -> Result<Option<UserRow>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT user_id, password_hash, appservice, is_guest, is_admin, deactivated, \
             created_at, profile FROM users WHERE user_id = $1",
        )?;
        Ok(statement.query_row([user_id], read_user).optional()?)
    }

    /// For each of `user_ids`, in their order, whether the user exists (deactivated or not).
    pub fn user_exists(&self, user_ids: &[&str]) -> Result<Vec<bool>> {
        let mut statement = self
            .conn
            .prepare_cached("SELECT user_id FROM users WHERE user_id = $1")?;
        user_ids
            .iter()
            .map(|user_id| Ok(statement.exists([user_id])?))
            .collect()
    }

    /// The user's profile, a JSON object.
    pub fn profile(&self, user_id: &str) -> Result<Option<String>> {
        let mut statement = self
            .conn
            .prepare_cached("SELECT profile FROM users WHERE user_id = $1")?;
        Ok(statement
            .query_row([user_id], |row| row.get(0))
            .optional()?)
    }

    /// Up to `limit` users whose id or display name contains `term`, letter case ignored;
    /// deactivated ones left out. Reads all users: no index helps with "contains".
    pub fn users_search(&self, term: &str, limit: usize) -> Result<Vec<UserRow>> {
        self.users_search_where(term, limit, |_| Ok(true))
    }

    /// The same, of those users that are `wanted`.
    pub fn users_search_where(
        &self,
        term: &str,
        limit: usize,
        mut wanted: impl FnMut(&UserRow) -> Result<bool>,
    ) -> Result<Vec<UserRow>> {
        // Lower-cased here, because the engine's own function knows ASCII only.
        let term = term.to_lowercase();
        let mut found = Vec::new();
        let mut statement = self.conn.prepare_cached(
            "SELECT user_id, password_hash, appservice, is_guest, is_admin, deactivated, \
             created_at, profile FROM users WHERE deactivated = 0 ORDER BY user_id",
        )?;
        let mut rows = statement.query([])?;
        while found.len() < limit
            && let Some(row) = rows.next()?
        {
            let user = read_user(row)?;
            if matches_term(&user, &term)? && wanted(&user)? {
                found.push(user);
            }
        }
        Ok(found)
    }

    /// How many local users there are, deactivated ones left out.
    pub fn user_count(&self) -> Result<i64> {
        let mut statement = self
            .conn
            .prepare_cached("SELECT COUNT(*) FROM users WHERE deactivated = 0")?;
        Ok(statement.query_row([], |row| row.get(0))?)
    }
}

impl Tx<'_> {
    /// Adds the user. `false`, and nothing changed, if the id is taken.
    pub fn insert_user(&mut self, user: &UserRow) -> Result<bool> {
        let inserted = self
            .conn
            .prepare_cached(
                "INSERT INTO users (user_id, password_hash, appservice, is_guest, is_admin, \
                 deactivated, created_at, profile) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
                 ON CONFLICT (user_id) DO NOTHING",
            )?
            .execute((
                &user.user_id,
                &user.password_hash,
                &user.appservice,
                i64::from(user.is_guest),
                i64::from(user.is_admin),
                i64::from(user.deactivated),
                user.created_at,
                &user.profile,
            ))?;
        Ok(inserted == 1)
    }

    /// Sets or (with `None`) removes the password. `false`: no such user.
    pub fn set_password_hash(&mut self, user_id: &str, hash: Option<&str>) -> Result<bool> {
        let changed = self
            .conn
            .prepare_cached("UPDATE users SET password_hash = $1 WHERE user_id = $2")?
            .execute((hash, user_id))?;
        Ok(changed == 1)
    }

    /// Makes the user an operator, or not. `false`: no such user.
    pub fn set_admin(&mut self, user_id: &str, is_admin: bool) -> Result<bool> {
        let changed = self
            .conn
            .prepare_cached("UPDATE users SET is_admin = $1 WHERE user_id = $2")?
            .execute((i64::from(is_admin), user_id))?;
        Ok(changed == 1)
    }

    /// Closes the account: no password, no devices, no tokens. `false`: no such user.
    pub fn deactivate_user(&mut self, user_id: &str) -> Result<bool> {
        self.delete_all_devices(user_id, None)?;
        for sql in [
            // Devices are gone, but a service's user may hold tokens without a device row.
            "DELETE FROM access_tokens WHERE user_id = $1",
            "DELETE FROM refresh_tokens WHERE user_id = $1",
            "DELETE FROM openid_tokens WHERE user_id = $1",
        ] {
            self.conn.prepare_cached(sql)?.execute([user_id])?;
        }
        let changed = self
            .conn
            .prepare_cached(
                "UPDATE users SET deactivated = 1, password_hash = NULL WHERE user_id = $1",
            )?
            .execute([user_id])?;
        Ok(changed == 1)
    }

    /// Replaces the profile (a JSON object). `false`: no such user.
    pub fn set_profile(&mut self, user_id: &str, profile: &str) -> Result<bool> {
        let changed = self
            .conn
            .prepare_cached("UPDATE users SET profile = $1 WHERE user_id = $2")?
            .execute((profile, user_id))?;
        Ok(changed == 1)
    }
}

fn matches_term(user: &UserRow, lowercase_term: &str) -> Result<bool> {
    if user.user_id.to_lowercase().contains(lowercase_term) {
        return Ok(true);
    }
    let profile: DirectoryProfile =
        serde_json::from_str(&user.profile).map_err(|_| Error::corrupt("users", &user.user_id))?;
    Ok(profile
        .displayname
        .is_some_and(|name| name.to_lowercase().contains(lowercase_term)))
}

fn read_user(row: &Row<'_>) -> rusqlite::Result<UserRow> {
    Ok(UserRow {
        user_id: row.get(0)?,
        password_hash: row.get(1)?,
        appservice: row.get(2)?,
        is_guest: row.get(3)?,
        is_admin: row.get(4)?,
        deactivated: row.get(5)?,
        created_at: row.get(6)?,
        profile: row.get(7)?,
    })
}
