//! The database's versions: our own tables, and the author's beside them.

use rusqlite::{Connection, OptionalExtension as _};

use super::{Location, Migration, Result, StoreError, guard};

/// Our own steps, in order. Released ones are never changed.
const STEPS: &[&str] = &[include_str!("../../migrations/0001_init.sql")];

/// Marks the file as this crate's: other programs' databases are left alone.
const APPLICATION_ID: i64 = 0x4272_4153;

/// Looks whether the database is ours, and changes nothing in it.
pub(super) fn check(connection: &Connection, location: &Location) -> Result<()> {
    let unreadable = |error| in_use(error, location);
    let owner: i64 = connection
        .pragma_query_value(None, "application_id", |row| row.get(0))
        .map_err(unreadable)?;
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(unreadable)?;
    if owner == APPLICATION_ID || (owner == 0 && tables == 0) {
        return Ok(());
    }
    Err(StoreError::Unavailable(format!(
        "{} is another program's database: name another file",
        path_of(location).display()
    )))
}

/// Brings the database, which was checked, to the newest version.
pub(super) fn migrate(
    connection: &mut Connection,
    location: &Location,
    authors: &[Migration],
) -> Result<()> {
    let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    let transaction = connection
        .transaction_with_behavior(rusqlite::TransactionBehavior::Exclusive)
        .map_err(|error| in_use(error, location))?;
    let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > known {
        return Err(StoreError::TooNew {
            path: path_of(location),
            found,
            known,
        });
    }
    let done = usize::try_from(found).unwrap_or(0);
    for step in &STEPS[done..] {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    authors_tables(&transaction, authors)?;
    transaction.commit()?;
    Ok(())
}

/// Whether a table has foreign keys that are looked at no earlier than at the commit.
pub(super) fn defers(connection: &Connection) -> Result<bool> {
    let found = connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE sql LIKE '%DEFERRABLE%INITIALLY%DEFERRED%')",
        [],
        |row| row.get(0),
    );
    Ok(found?)
}

/// Runs the author's steps that have not been run; what was run must not have changed since.
fn authors_tables(connection: &Connection, steps: &[Migration]) -> Result<()> {
    for step in steps {
        guard::check_migration(step.sql).map_err(|error| {
            StoreError::Statement(format!("migration `{}`: {error}", step.name))
        })?;
        let stored: Option<String> = connection
            .query_row(
                "SELECT value FROM kv WHERE scope = 'migration' AND key = ?1",
                [step.name],
                |row| row.get(0),
            )
            .optional()?;
        match stored {
            Some(sql) if sql == step.sql => {}
            Some(_) => {
                return Err(StoreError::Statement(format!(
                    "the migration `{}` was changed after it had been run: undo that, and add another one",
                    step.name
                )));
            }
            None => {
                connection.execute_batch(step.sql).map_err(|error| {
                    StoreError::Statement(format!("migration `{}`: {error}", step.name))
                })?;
                connection.execute(
                    "INSERT INTO kv (scope, key, value) VALUES ('migration', ?1, ?2)",
                    [step.name, step.sql],
                )?;
            }
        }
    }
    Ok(())
}

fn in_use(error: rusqlite::Error, location: &Location) -> StoreError {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
            StoreError::InUse(path_of(location))
        }
        _ => StoreError::Unavailable(format!("{}: {error}", path_of(location).display())),
    }
}

fn path_of(location: &Location) -> std::path::PathBuf {
    match location {
        Location::File(path) => path.clone(),
        Location::Memory => ":memory:".into(),
    }
}
