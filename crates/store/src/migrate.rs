//! Brings a database file to this version's schema, and refuses files that are not ours to write.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use crate::{Error, Result};

/// One step from the schema before it to `number`. A merged one is never edited.
struct Migration {
    number: i64,
    /// The oldest schema number a version may know and still work with the result.
    oldest_compatible: i64,
    sql: &'static str,
}

const MIGRATIONS: &[Migration] = &[
    Migration {
        number: 1,
        oldest_compatible: 1,
        sql: include_str!("../migrations/0001_init.sql"),
    },
    Migration {
        number: 2,
        // An older version would send on past a pause, a skip or a service that was given up.
        oldest_compatible: 2,
        sql: include_str!("../migrations/0002_operate.sql"),
    },
];

/// The newest schema this version knows.
const NEWEST: i64 = MIGRATIONS[MIGRATIONS.len() - 1].number;

/// Makes the schema, or brings it up to date; all of it or nothing.
pub(crate) fn migrate(conn: &mut Connection, server_name: &str) -> Result<()> {
    // Immediate: of two processes starting at once, the second waits and finds the work done.
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = if is_empty(&tx)? {
        0
    } else {
        check_owner(&tx, server_name)?
    };
    for migration in MIGRATIONS
        .iter()
        .filter(|migration| migration.number > found)
    {
        tx.execute_batch(migration.sql)?;
        set_meta(&tx, "schema_version", &migration.number.to_string())?;
        set_meta(
            &tx,
            "oldest_compatible",
            &migration.oldest_compatible.to_string(),
        )?;
    }
    if found == 0 {
        set_meta(&tx, "server_name", server_name)?;
        let instance: String =
            tx.query_row("SELECT lower(hex(randomblob(8)))", [], |row| row.get(0))?;
        set_meta(&tx, "instance", &instance)?;
    }
    tx.commit()?;
    Ok(())
}

/// Returns the file's schema version if this version may work with it under this name.
fn check_owner(conn: &Connection, server_name: &str) -> Result<i64> {
    if !has_table(conn, "meta")? {
        return Err(Error::corrupt(
            "meta",
            "the file is another program's database",
        ));
    }
    let version = meta_number(conn, "schema_version")?;
    if meta_number(conn, "oldest_compatible")? > NEWEST {
        return Err(Error::SchemaTooNew {
            found: version,
            supported: NEWEST,
        });
    }
    let name = meta(conn, "server_name")?.ok_or_else(|| Error::corrupt("meta", "server_name"))?;
    if name != server_name {
        return Err(Error::WrongServer {
            found: name,
            configured: server_name.to_owned(),
        });
    }
    Ok(version)
}

fn is_empty(conn: &Connection) -> Result<bool> {
    let tables: i64 = conn.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(tables == 0)
}

fn has_table(conn: &Connection, name: &str) -> Result<bool> {
    let found: i64 = conn.query_row(
        "SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table' AND name = $1",
        [name],
        |row| row.get(0),
    )?;
    Ok(found == 1)
}

fn meta(conn: &Connection, key: &str) -> Result<Option<String>> {
    Ok(conn
        .query_row("SELECT value FROM meta WHERE key = $1", [key], |row| {
            row.get(0)
        })
        .optional()?)
}

fn meta_number(conn: &Connection, key: &str) -> Result<i64> {
    meta(conn, key)?
        .and_then(|value| value.parse().ok())
        .ok_or_else(|| Error::corrupt("meta", key))
}

fn set_meta(conn: &Connection, key: &str, value: &str) -> Result<()> {
    conn.execute(
        "INSERT INTO meta (key, value) VALUES ($1, $2) \
         ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (key, value),
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each migration's text must hash to. A merged migration is never edited: databases
    /// that ran the old text would silently differ. Add a new one instead.
    const CHECKSUMS: &[(i64, u64)] = &[(1, 0xe0cf_3a90_85a4_aa70), (2, 0xf6da_10d5_d12f_d583)];

    /// FNV-1a: it guards against edits by mistake, not on purpose.
    fn checksum(text: &str) -> u64 {
        text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }

    #[test]
    fn migrations_are_not_edited() {
        let actual: Vec<_> = MIGRATIONS
            .iter()
            .map(|m| (m.number, checksum(m.sql)))
            .collect();
        assert_eq!(actual, CHECKSUMS);
    }

    #[test]
    fn migrations_are_numbered_without_gaps() {
        let numbers: Vec<_> = MIGRATIONS.iter().map(|m| m.number).collect();
        assert_eq!(numbers, (1..=NEWEST).collect::<Vec<_>>());
        assert!(
            MIGRATIONS
                .iter()
                .all(|m| (1..=m.number).contains(&m.oldest_compatible))
        );
    }
}
