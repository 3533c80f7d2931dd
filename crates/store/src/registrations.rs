//! Registrations that change at run time: revisions, sealed texts, tokens on their way out, and
//! what is under way to clear up after a service that was removed.

use rusqlite::{OptionalExtension, Row};

use crate::{AppserviceNid, Result, Snapshot, Tx};

/// What is known of a registration. Not `Debug`: the sealed text stays out of logs.
#[derive(Clone, PartialEq, Eq)]
pub struct RegistrationRow {
    /// The service's id.
    pub id: String,
    /// Grows with every change in force.
    pub revision: u64,
    /// Its own user.
    pub sender: String,
    /// SHA-256 of the text in force; empty while the service is removed.
    pub digest: Vec<u8>,
    /// The encrypted text of one that came over the operator API.
    pub sealed: Option<Vec<u8>>,
    /// When it changed last (ms).
    pub changed_at: i64,
}

/// Tokens that are good for a while beside the new ones. Not `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct OldTokenRow {
    /// SHA-256 of the old `as_token`.
    pub as_token_hash: [u8; 32],
    /// Whose it is.
    pub service_id: String,
    /// The old `hs_token`, encrypted.
    pub hs_token: Vec<u8>,
    /// Until when both are good (ms).
    pub until_ms: i64,
}

/// Clearing up after a service, under way or done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PurgeRow {
    /// The service that was removed.
    pub service_id: String,
    /// Its own user.
    pub sender: String,
    /// When it was asked for (ms).
    pub started_at: i64,
    /// When it was done (ms).
    pub finished_at: Option<i64>,
    /// Users closed so far.
    pub ghosts: u64,
    /// Rooms left so far.
    pub memberships: u64,
    /// Aliases deleted so far.
    pub aliases: u64,
    /// Entries of the room directory deleted.
    pub directory_entries: u64,
    /// Entries of the log that nobody will deliver.
    pub queued: u64,
    /// Some of what went, a JSON list of strings.
    pub examples: String,
}

/// What a service has left behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Its users that are not closed.
    pub ghosts: u64,
    /// Their rooms (joined, invited, knocked).
    pub memberships: u64,
    /// Aliases that they made.
    pub aliases: u64,
    /// Entries of its networks in the room directory.
    pub directory_entries: u64,
    /// Some of each.
    pub examples: Vec<String>,
}

/// How many of each kind stand in [`Leftovers::examples`].
const EXAMPLES: usize = 5;

/// Users are read in steps of so many.
const COUNT_STEP: usize = 10_000;

impl Snapshot<'_> {
    /// Everything known of registrations, those of removed services included, in the order of ids.
    pub fn registrations(&self) -> Result<Vec<RegistrationRow>> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT id, revision, sender, digest, sealed, changed_at FROM registrations ORDER BY id",
            )?
            .query_map([], read_registration)?
            .collect::<Result<_, _>>()?)
    }

    /// One of them.
    pub fn registration(&self, id: &str) -> Result<Option<RegistrationRow>> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT id, revision, sender, digest, sealed, changed_at FROM registrations WHERE id = $1",
            )?
            .query_row([id], read_registration)
            .optional()?)
    }

    /// Old tokens that are good at `now_ms`.
    pub fn old_tokens(&self, now_ms: i64) -> Result<Vec<OldTokenRow>> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT as_token_hash, service_id, hs_token, until_ms FROM old_tokens \
                 WHERE until_ms > $1 ORDER BY until_ms",
            )?
            .query_map([now_ms], |row| {
                Ok(OldTokenRow {
                    as_token_hash: row.get(0)?,
                    service_id: row.get(1)?,
                    hs_token: row.get(2)?,
                    until_ms: row.get(3)?,
                })
            })?
            .collect::<Result<_, _>>()?)
    }

    /// Calls `see` with each local user that is not closed and the service that made it.
    pub fn each_user(&self, mut see: impl FnMut(&str, Option<&str>)) -> Result<()> {
        let mut statement = self.conn.prepare_cached(
            "SELECT user_id, appservice FROM users WHERE deactivated = 0 ORDER BY user_id",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            see(
                row.get_ref(0)?.as_str().unwrap_or_default(),
                row.get_ref(1)?.as_str().ok(),
            );
        }
        Ok(())
    }

    /// Calls `see` with each local alias, its maker, and the service that made the maker.
    pub fn each_alias(&self, mut see: impl FnMut(&str, &str, Option<&str>)) -> Result<()> {
        let mut statement = self.conn.prepare_cached(
            "SELECT a.alias, a.creator, u.appservice FROM aliases AS a \
             LEFT JOIN users AS u ON u.user_id = a.creator ORDER BY a.alias",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            see(
                row.get_ref(0)?.as_str().unwrap_or_default(),
                row.get_ref(1)?.as_str().unwrap_or_default(),
                row.get_ref(2)?.as_str().ok(),
            );
        }
        Ok(())
    }

    /// Users of the service after `after` that are not closed, in order.
    pub fn users_of_service(
        &self,
        service_id: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<String>> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT user_id FROM users WHERE appservice = $1 AND user_id > $2 \
                 AND deactivated = 0 ORDER BY user_id LIMIT $3",
            )?
            .query_map((service_id, after, limit as i64), |row| row.get(0))?
            .collect::<Result<_, _>>()?)
    }

    /// Aliases that the user has made.
    pub fn aliases_made_by(&self, user_id: &str) -> Result<Vec<String>> {
        Ok(self
            .conn
            .prepare_cached("SELECT alias FROM aliases WHERE creator = $1 ORDER BY alias")?
            .query_map([user_id], |row| row.get(0))?
            .collect::<Result<_, _>>()?)
    }

    /// What the service has left behind; `sender` is its own user, which may have no account.
    pub fn leftovers(&self, service_id: &str, sender: &str) -> Result<Leftovers> {
        let mut found = Leftovers::default();
        let mut examples = [const { Vec::new() }; 3];
        let mut after = String::new();
        self.add_leftovers_of(sender, &mut found, &mut examples)?;
        loop {
            let users = self.users_of_service(service_id, &after, COUNT_STEP)?;
            let Some(last) = users.last() else { break };
            after.clone_from(last);
            found.ghosts += users.len() as u64;
            for user in &users {
                push_example(&mut examples[0], user);
                if user != sender {
                    self.add_leftovers_of(user, &mut found, &mut examples)?;
                }
            }
        }
        let (from, to) = networks_of(service_id);
        let entries: Vec<String> = self
            .conn
            .prepare_cached(
                "SELECT room_id FROM room_directory WHERE network >= $1 AND network < $2",
            )?
            .query_map((&from, &to), |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        found.directory_entries = entries.len() as u64;
        for room in &entries {
            push_example(&mut examples[2], room);
        }
        found.examples = examples.concat();
        Ok(found)
    }

    fn add_leftovers_of(
        &self,
        user_id: &str,
        found: &mut Leftovers,
        examples: &mut [Vec<String>; 3],
    ) -> Result<()> {
        let rooms: i64 = self
            .conn
            .prepare_cached(
                "SELECT COUNT(*) FROM memberships WHERE user_id = $1 \
                 AND membership IN ('join', 'invite', 'knock')",
            )?
            .query_row([user_id], |row| row.get(0))?;
        found.memberships += u64::try_from(rooms).unwrap_or(0);
        let aliases = self.aliases_made_by(user_id)?;
        found.aliases += aliases.len() as u64;
        for alias in &aliases {
            push_example(&mut examples[1], alias);
        }
        Ok(())
    }

    /// The clearing-up after a service, under way or done.
    pub fn purge(&self, service_id: &str) -> Result<Option<PurgeRow>> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT service_id, sender, started_at, finished_at, ghosts, memberships, aliases, \
                 directory_entries, queued, examples FROM purges WHERE service_id = $1",
            )?
            .query_row([service_id], read_purge)
            .optional()?)
    }

    /// Those that are not done.
    pub fn unfinished_purges(&self) -> Result<Vec<PurgeRow>> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT service_id, sender, started_at, finished_at, ghosts, memberships, aliases, \
                 directory_entries, queued, examples FROM purges WHERE finished_at IS NULL \
                 ORDER BY service_id",
            )?
            .query_map([], read_purge)?
            .collect::<Result<_, _>>()?)
    }
}

impl Tx<'_> {
    /// Writes down what is in force; gives back the revision, which grows when the digest differs
    /// from what was in force. Its number and time in `row` are not looked at.
    pub fn put_registration(&mut self, row: &RegistrationRow, now_ms: i64) -> Result<u64> {
        let known = self.registration(&row.id)?;
        let revision = match &known {
            Some(known) if known.digest == row.digest => known.revision,
            Some(known) => known.revision + 1,
            None => 1,
        };
        let same = known.is_some_and(|known| {
            (known.digest, known.sealed, known.sender)
                == (row.digest.clone(), row.sealed.clone(), row.sender.clone())
        });
        if !same {
            self.conn
                .prepare_cached(
                    "INSERT INTO registrations (id, revision, sender, digest, sealed, changed_at) \
                     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO UPDATE SET \
                     revision = excluded.revision, sender = excluded.sender, \
                     digest = excluded.digest, sealed = excluded.sealed, \
                     changed_at = excluded.changed_at",
                )?
                .execute((
                    &row.id,
                    revision as i64,
                    &row.sender,
                    &row.digest,
                    &row.sealed,
                    now_ms,
                ))?;
        }
        Ok(revision)
    }

    /// The service is not in force any more. Its revision is remembered, so that one that comes
    /// back under its id does not repeat numbers. `false`: it was not in force.
    pub fn remove_registration(&mut self, id: &str, now_ms: i64) -> Result<bool> {
        let removed = self
            .conn
            .prepare_cached(
                "UPDATE registrations SET revision = revision + 1, digest = x'', sealed = NULL, \
                 changed_at = $1 WHERE id = $2 AND digest <> x''",
            )?
            .execute((now_ms, id))?;
        self.conn
            .prepare_cached("DELETE FROM old_tokens WHERE service_id = $1")?
            .execute([id])?;
        Ok(removed == 1)
    }

    /// Keeps a token good for a while.
    pub fn insert_old_token(&mut self, token: &OldTokenRow) -> Result<()> {
        self.conn
            .prepare_cached(
                "INSERT INTO old_tokens (as_token_hash, service_id, hs_token, until_ms) \
                 VALUES ($1, $2, $3, $4) ON CONFLICT (as_token_hash) DO UPDATE SET \
                 service_id = excluded.service_id, hs_token = excluded.hs_token, \
                 until_ms = excluded.until_ms",
            )?
            .execute((
                token.as_token_hash,
                &token.service_id,
                &token.hs_token,
                token.until_ms,
            ))?;
        Ok(())
    }

    /// Ends the service's old tokens at once.
    pub fn delete_old_tokens(&mut self, service_id: &str) -> Result<()> {
        self.conn
            .prepare_cached("DELETE FROM old_tokens WHERE service_id = $1")?
            .execute([service_id])?;
        Ok(())
    }

    /// Forgets tokens that have run their time.
    pub fn prune_old_tokens(&mut self, now_ms: i64) -> Result<usize> {
        Ok(self
            .conn
            .prepare_cached("DELETE FROM old_tokens WHERE until_ms <= $1")?
            .execute([now_ms])?)
    }

    /// Begins to clear up after a service: directory entries and queue go at once.
    pub fn begin_purge(&mut self, purge: &PurgeRow) -> Result<()> {
        let (from, to) = networks_of(&purge.service_id);
        let entries = self
            .conn
            .prepare_cached("DELETE FROM room_directory WHERE network >= $1 AND network < $2")?
            .execute((&from, &to))? as u64;
        self.drop_queue(&purge.service_id)?;
        self.conn
            .prepare_cached(
                "INSERT INTO purges (service_id, sender, started_at, finished_at, ghosts, \
                 memberships, aliases, directory_entries, queued, examples) \
                 VALUES ($1, $2, $3, NULL, 0, 0, 0, $4, $5, $6) ON CONFLICT (service_id) DO UPDATE \
                 SET sender = excluded.sender, started_at = excluded.started_at, \
                 finished_at = NULL, ghosts = 0, memberships = 0, aliases = 0, \
                 directory_entries = excluded.directory_entries, queued = excluded.queued, \
                 examples = excluded.examples",
            )?
            .execute((
                &purge.service_id,
                &purge.sender,
                purge.started_at,
                entries as i64,
                purge.queued as i64,
                &purge.examples,
            ))?;
        Ok(())
    }

    /// Everything that waits for the service goes, and what an operator had ordered for it.
    pub fn drop_queue(&mut self, service_id: &str) -> Result<()> {
        let nid: Option<i64> = self
            .conn
            .prepare_cached("SELECT nid FROM appservices WHERE id = $1")?
            .query_row([service_id], |row| row.get(0))
            .optional()?;
        let Some(nid) = nid.map(AppserviceNid) else {
            return Ok(());
        };
        self.skip_to_end(nid)?;
        for sql in [
            "DELETE FROM as_skips WHERE nid = $1",
            "DELETE FROM as_replays WHERE nid = $1",
            "DELETE FROM as_pauses WHERE nid = $1",
            "UPDATE appservices SET failed_at = NULL, drain_from = NULL, drain_upto = NULL, \
             drain_by = NULL, skip_after = NULL WHERE nid = $1",
        ] {
            self.conn.prepare_cached(sql)?.execute([nid.0])?;
        }
        Ok(())
    }

    /// Adds to what was cleared up so far.
    pub fn advance_purge(
        &mut self,
        service_id: &str,
        ghosts: u64,
        memberships: u64,
        aliases: u64,
    ) -> Result<()> {
        self.conn
            .prepare_cached(
                "UPDATE purges SET ghosts = ghosts + $1, memberships = memberships + $2, \
                 aliases = aliases + $3 WHERE service_id = $4",
            )?
            .execute((
                ghosts as i64,
                memberships as i64,
                aliases as i64,
                service_id,
            ))?;
        Ok(())
    }

    /// The clearing-up is done.
    pub fn finish_purge(&mut self, service_id: &str, now_ms: i64) -> Result<()> {
        self.conn
            .prepare_cached("UPDATE purges SET finished_at = $1 WHERE service_id = $2")?
            .execute((now_ms, service_id))?;
        Ok(())
    }

    /// Removes all messages that wait for the user's devices; returns how many.
    pub fn delete_all_to_device(&mut self, user_id: &str) -> Result<usize> {
        Ok(self
            .conn
            .prepare_cached("DELETE FROM to_device WHERE user_id = $1")?
            .execute([user_id])?)
    }
}

/// The names between which a service's networks stand: `<id>|…`.
fn networks_of(service_id: &str) -> (String, String) {
    // `}` follows `|`.
    (format!("{service_id}|"), format!("{service_id}}}"))
}

fn push_example(examples: &mut Vec<String>, text: &str) {
    if examples.len() < EXAMPLES {
        examples.push(text.to_owned());
    }
}

fn read_registration(row: &Row<'_>) -> rusqlite::Result<RegistrationRow> {
    Ok(RegistrationRow {
        id: row.get(0)?,
        revision: count(row, 1)?,
        sender: row.get(2)?,
        digest: row.get(3)?,
        sealed: row.get(4)?,
        changed_at: row.get(5)?,
    })
}

fn read_purge(row: &Row<'_>) -> rusqlite::Result<PurgeRow> {
    Ok(PurgeRow {
        service_id: row.get(0)?,
        sender: row.get(1)?,
        started_at: row.get(2)?,
        finished_at: row.get(3)?,
        ghosts: count(row, 4)?,
        memberships: count(row, 5)?,
        aliases: count(row, 6)?,
        directory_entries: count(row, 7)?,
        queued: count(row, 8)?,
        examples: row.get(9)?,
    })
}

fn count(row: &Row<'_>, index: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(index)?).unwrap_or(0))
}
