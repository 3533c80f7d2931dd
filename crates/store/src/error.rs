//! What can go wrong in the store, by what the caller can do about it.

/// A failed store operation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database cannot be used now (locked, shut down, broken disk). Nothing was changed; the
    /// caller may try again later.
    #[error("the store is unavailable: {reason}")]
    Unavailable {
        /// What the engine said; for the log, never for a client.
        reason: String,
    },
    /// There is no room left to write. Nothing was changed; the caller may try again when somebody
    /// has made room. Reading goes on.
    #[error("the disk is full: {reason}")]
    Full {
        /// What the engine said; for the log, never for a client.
        reason: String,
    },
    /// Another writer was first. Nothing was changed; the caller may try again at once.
    #[error("conflicting write to {table}")]
    Conflict {
        /// The table whose constraint refused the row.
        table: &'static str,
    },
    /// A stored value cannot be understood. Trying again will not help.
    #[error("corrupt row in {table} ({id})")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The row's key.
        id: String,
    },
    /// The database was written by a version of the server that this one cannot read.
    #[error(
        "it has schema {found}, this version reads up to {supported}; start it with a newer version"
    )]
    SchemaTooNew {
        /// The database's schema version.
        found: i64,
        /// The newest schema this version reads.
        supported: i64,
    },
    /// The database belongs to another server name; event signatures and ids would not fit.
    #[error(
        "it belongs to the server `{found}`, but the configured server_name is `{configured}`; \
         set server_name to `{found}`, or name another data_dir"
    )]
    WrongServer {
        /// The name stored in the database.
        found: String,
        /// The configured name.
        configured: String,
    },
}

/// A store result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let reason = error.to_string();
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::Full { reason },
            _ => Self::Unavailable { reason },
        }
    }
}

impl Error {
    /// What each of several callers is told of one failure that none of them caused.
    pub(crate) fn for_all(&self) -> Self {
        let reason = self.to_string();
        match self {
            Self::Full { .. } => Self::Full { reason },
            _ => Self::Unavailable { reason },
        }
    }

    /// A value of `table` that cannot be understood.
    pub fn corrupt(table: &'static str, id: impl Into<String>) -> Self {
        Self::Corrupt {
            table,
            id: id.into(),
        }
    }
}
