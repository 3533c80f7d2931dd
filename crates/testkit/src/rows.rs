//! Counts what is in a database, from outside.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

/// How many rows each table of a server's database has; the server may be running.
///
/// # Errors
///
/// When the file cannot be read.
pub fn table_rows(database: &Path) -> anyhow::Result<BTreeMap<String, u64>> {
    let file = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let tables = file
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?
        .query_map([], |row| row.get::<_, String>(0))?
        .collect::<Result<Vec<_>, _>>()?;
    let mut rows = BTreeMap::new();
    for table in tables {
        let count = format!("SELECT COUNT(*) FROM \"{table}\"");
        let count: i64 = file.query_row(&count, [], |row| row.get(0))?;
        rows.insert(table, u64::try_from(count)?);
    }
    Ok(rows)
}
