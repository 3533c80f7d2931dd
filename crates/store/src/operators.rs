//! Operators: who may use the operator API, by the hash of a token.

use rusqlite::{OptionalExtension, Row};

use crate::{Error, Result, Snapshot, Tx};

/// An operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorRow {
    /// The name, which is unique.
    pub name: String,
    /// Whether they may change things, or only look.
    pub may_act: bool,
    /// When the token was made (ms).
    pub created_at: i64,
    /// When it was last used, about (ms).
    pub last_used_at: Option<i64>,
}

impl Snapshot<'_> {
    /// The operator with the token that hashes to this.
    pub fn operator_by_token(&self, token_hash: &[u8; 32]) -> Result<Option<OperatorRow>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT name, role, created_at, last_used_at FROM operators WHERE token_hash = $1",
        )?;
        read_one(
            statement
                .query_row([token_hash.as_slice()], read_raw)
                .optional()?,
        )
    }

    /// The operator with this name.
    pub fn operator(&self, name: &str) -> Result<Option<OperatorRow>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT name, role, created_at, last_used_at FROM operators WHERE name = $1",
        )?;
        read_one(statement.query_row([name], read_raw).optional()?)
    }

    /// Up to `limit` operators, by name.
    pub fn operators(&self, limit: usize) -> Result<Vec<OperatorRow>> {
        self.conn
            .prepare_cached(
                "SELECT name, role, created_at, last_used_at FROM operators ORDER BY name \
                 LIMIT $1",
            )?
            .query_map([i64::try_from(limit).unwrap_or(i64::MAX)], read_raw)?
            .map(|raw| read_role(raw?))
            .collect()
    }
}

impl Tx<'_> {
    /// Adds an operator. `false`, and nothing changed, if the name is taken.
    pub fn insert_operator(&mut self, row: &OperatorRow, token_hash: &[u8; 32]) -> Result<bool> {
        let inserted = self
            .conn
            .prepare_cached(
                "INSERT INTO operators (name, token_hash, role, created_at, last_used_at) \
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
            )?
            .execute((
                &row.name,
                token_hash.as_slice(),
                role(row.may_act),
                row.created_at,
                row.last_used_at,
            ))?;
        Ok(inserted == 1)
    }

    /// Removes an operator, whose token ends with it. `false` if there is none.
    pub fn delete_operator(&mut self, name: &str) -> Result<bool> {
        let deleted = self
            .conn
            .prepare_cached("DELETE FROM operators WHERE name = $1")?
            .execute([name])?;
        Ok(deleted == 1)
    }

    /// The operator's token was used at that time.
    pub fn touch_operator(&mut self, name: &str, at_ms: i64) -> Result<()> {
        self.conn
            .prepare_cached(
                "UPDATE operators SET last_used_at = $1 \
                 WHERE name = $2 AND COALESCE(last_used_at, 0) < $1",
            )?
            .execute((at_ms, name))?;
        Ok(())
    }
}

/// Name, role, created, last used.
type Raw = (String, String, i64, Option<i64>);

fn read_raw(row: &Row<'_>) -> rusqlite::Result<Raw> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
}

fn read_one(raw: Option<Raw>) -> Result<Option<OperatorRow>> {
    raw.map(read_role).transpose()
}

fn read_role((name, role, created_at, last_used_at): Raw) -> Result<OperatorRow> {
    let may_act = match role.as_str() {
        "act" => true,
        "read" => false,
        _ => return Err(Error::corrupt("operators", name)),
    };
    Ok(OperatorRow {
        name,
        may_act,
        created_at,
        last_used_at,
    })
}

fn role(may_act: bool) -> &'static str {
    if may_act { "act" } else { "read" }
}
