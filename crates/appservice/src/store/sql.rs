//! The author's own tables: statements in the unit of work that consumes an event.

use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::types::{ToSqlOutput, ValueRef};
use serde::{Serialize, de::DeserializeOwned};

use super::{Result, Store, StoreError, Unit, guard};

/// A value in a statement or a row.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// `NULL`
    Null,
    /// A whole number; what is true is 1.
    Integer(i64),
    /// A floating-point number.
    Real(f64),
    /// A text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

macro_rules! value_from {
    ($($from:ty => $make:expr),* $(,)?) => {$(
        impl From<$from> for Value {
            fn from(value: $from) -> Self {
                $make(value)
            }
        }
    )*};
}

value_from! {
    i64 => Self::Integer,
    i32 => |n| Self::Integer(i64::from(n)),
    u32 => |n| Self::Integer(i64::from(n)),
    bool => |is| Self::Integer(i64::from(is)),
    f64 => Self::Real,
    String => Self::Text,
    &str => |text: &str| Self::Text(text.to_owned()),
    &String => |text: &String| Self::Text(text.clone()),
    Vec<u8> => Self::Blob,
    &crate::id::UserId => |id: &crate::id::UserId| Self::Text(id.to_string()),
    &crate::id::RoomId => |id: &crate::id::RoomId| Self::Text(id.to_string()),
    &crate::id::EventId => |id: &crate::id::EventId| Self::Text(id.to_string()),
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Real(number) => ValueRef::Real(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// One row of an answer, its values in the order of the statement's columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Row(Vec<Value>);

impl Row {
    #[cfg(test)]
    pub(super) fn of(values: Vec<Value>) -> Self {
        Self(values)
    }

    /// The value of a column, counted from zero.
    #[must_use]
    pub fn get(&self, column: usize) -> Option<&Value> {
        self.0.get(column)
    }

    /// A text of a column.
    #[must_use]
    pub fn text(&self, column: usize) -> Option<&str> {
        match self.get(column)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A whole number of a column.
    #[must_use]
    pub fn integer(&self, column: usize) -> Option<i64> {
        match self.get(column)? {
            Value::Integer(number) => Some(*number),
            _ => None,
        }
    }
}

type Change = Box<dyn FnOnce(&Unit<'_>) -> Result<()> + Send>;

/// What a handler writes, together with the event's consumption: all of it, or nothing.
///
/// Take it as an argument of a handler. What is written is gathered and carried out in one unit of work when all
/// handlers of the event have succeeded; if one fails, nothing of it happens, and the event is handled again. One that
/// [rejects](crate::Verdict::Reject) the event takes back what it has written itself, and nothing of others. So what was committed was committed exactly once, whatever crashes. Reading sees what was committed before.
#[derive(Clone)]
pub struct Tx {
    store: Store,
    changes: Arc<Mutex<Vec<Change>>>,
}

impl Tx {
    pub(crate) fn new(store: Store) -> Self {
        Self {
            store,
            changes: Arc::default(),
        }
    }

    /// Takes out what was gathered.
    pub(crate) fn take(&self) -> Vec<Change> {
        std::mem::take(&mut *self.changes.lock())
    }

    /// How much was gathered so far.
    pub(crate) fn mark(&self) -> usize {
        self.changes.lock().len()
    }

    /// Drops what was gathered since.
    pub(crate) fn truncate(&self, mark: usize) {
        self.changes.lock().truncate(mark);
    }

    /// Adds a change of the kit's own.
    pub(crate) fn push(&self, change: impl FnOnce(&Unit<'_>) -> Result<()> + Send + 'static) {
        self.changes.lock().push(Box::new(change));
    }

    /// A statement that changes the author's own tables, with values for `?1`, `?2` and so on. Carried out with the
    /// event's consumption; one that fails then makes the event fail. It is one of many that are committed together:
    /// what would roll all of them back (`OR ROLLBACK`, `ROLLBACK`) is refused.
    pub fn execute<const N: usize>(&self, sql: &'static str, values: [Value; N]) {
        self.push(move |unit| {
            let mut statement = prepare(unit, sql)?;
            statement
                .execute(rusqlite::params_from_iter(values.iter()))
                .map(drop)
                .map_err(statement_error)
        });
    }

    /// Remembers a value under a name, with the event's consumption.
    ///
    /// # Errors
    /// When the value is no JSON.
    pub fn put(&self, key: &str, value: &impl Serialize) -> Result<()> {
        let key = key.to_owned();
        let text = to_json(value)?;
        self.push(move |unit| unit.put_kv("app", &key, &text));
        Ok(())
    }

    /// Reads rows, at most 10,000: what was committed before this event.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn query<const N: usize>(
        &self,
        sql: &'static str,
        values: [Value; N],
    ) -> Result<Vec<Row>> {
        self.store.query(sql, values).await
    }

    /// What was remembered under a name.
    ///
    /// # Errors
    /// When the database cannot be used, or the value is of another type.
    pub async fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        self.store.get(key).await
    }
}

/// Rows of an answer at most.
const MAX_ROWS: usize = 10_000;

impl Store {
    /// Carries out a statement on the author's own tables; gives back how many rows it changed.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn execute<const N: usize>(
        &self,
        sql: &'static str,
        values: [Value; N],
    ) -> Result<usize> {
        self.write(move |unit| {
            let mut statement = prepare(unit, sql)?;
            statement
                .execute(rusqlite::params_from_iter(values.iter()))
                .map_err(statement_error)
        })
        .await
    }

    /// Reads rows, at most 10,000.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn query<const N: usize>(
        &self,
        sql: &'static str,
        values: [Value; N],
    ) -> Result<Vec<Row>> {
        self.read(move |unit| {
            let mut statement = prepare(unit, sql)?;
            let columns = statement.column_count();
            let rows = statement
                .query_map(rusqlite::params_from_iter(values.iter()), |row| {
                    (0..columns)
                        .map(|column| value_of(row.get_ref(column)?))
                        .collect()
                })
                .map_err(statement_error)?;
            rows.take(MAX_ROWS)
                .map(|row| row.map(Row).map_err(statement_error))
                .collect()
        })
        .await
    }

    /// Remembers a value under a name.
    ///
    /// # Errors
    /// When the value is no JSON, or the database cannot be used.
    pub async fn put(&self, key: &str, value: &impl Serialize) -> Result<()> {
        let (key, text) = (key.to_owned(), to_json(value)?);
        self.write(move |unit| unit.put_kv("app", &key, &text))
            .await
    }

    /// Forgets what was remembered under a name.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn forget(&self, key: &str) -> Result<()> {
        let key = key.to_owned();
        self.write(move |unit| unit.forget_kv("app", &key)).await
    }

    /// What was remembered under a name.
    ///
    /// # Errors
    /// When the database cannot be used, or the value is of another type.
    pub async fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        let name = key.to_owned();
        let text = self.read(move |unit| unit.kv("app", &name)).await?;
        text.map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|error| StoreError::Statement(format!("the value of `{key}`: {error}")))
    }
}

impl Unit<'_> {
    /// Forgets the value of a name.
    pub(crate) fn forget_kv(&self, scope: &str, key: &str) -> Result<()> {
        self.connection
            .prepare_cached("DELETE FROM kv WHERE scope = ?1 AND key = ?2")?
            .execute([scope, key])?;
        Ok(())
    }

    /// Remembers a value under a name.
    pub(crate) fn put_kv(&self, scope: &str, key: &str, value: &str) -> Result<()> {
        self.connection
            .prepare_cached(
                "INSERT INTO kv (scope, key, value) VALUES (?1, ?2, ?3)
                 ON CONFLICT (scope, key) DO UPDATE SET value = excluded.value",
            )?
            .execute([scope, key, value])?;
        Ok(())
    }

    /// What was remembered under a name.
    pub(crate) fn kv(&self, scope: &str, key: &str) -> Result<Option<String>> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT value FROM kv WHERE scope = ?1 AND key = ?2")?;
        let mut rows = statement.query([scope, key])?;
        Ok(rows.next()?.map(|row| row.get(0)).transpose()?)
    }
}

/// An author's statement.
fn prepare<'a>(unit: &'a Unit<'_>, sql: &str) -> Result<rusqlite::CachedStatement<'a>> {
    guard::check(sql)?;
    unit.connection.prepare_cached(sql).map_err(statement_error)
}

fn value_of(value: ValueRef<'_>) -> rusqlite::Result<Value> {
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    })
}

fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| StoreError::Statement(error.to_string()))
}

fn statement_error(error: rusqlite::Error) -> StoreError {
    StoreError::Statement(error.to_string())
}
