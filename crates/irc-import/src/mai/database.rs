//! matrix-appservice-irc's database: read page by page, as of one moment, in a transaction that cannot write.

use std::{str::FromStr as _, time::Duration};

use tokio_postgres::{
    Client, Config, IsolationLevel, NoTls, Row, Transaction,
    config::{Host, SslMode},
};

use crate::{Failure, Result};

/// How long a connection may take to stand.
const CONNECT: Duration = Duration::from_secs(20);
/// How long a statement may take.
const STATEMENT_MS: u32 = 300_000;
/// Rows that are read in one go.
const PAGE: i32 = 500;

/// A column that is read, of a table that may be missing in databases of older versions.
const NEEDED: [(&str, &str); 5] = [
    ("rooms", "origin"),
    ("admin_rooms", "user_id"),
    ("pm_rooms", "virtual_user_id"),
    ("matrix_users", "user_id"),
    ("client_config", "password"),
];

/// A connection to the database.
pub(crate) struct Old(Client);

/// Its tables, at one moment.
pub(crate) struct Tables<'a>(Transaction<'a>);

impl Old {
    pub(crate) async fn connect(address: &str) -> Result<Self> {
        let place = "the database";
        let config = Config::from_str(address).map_err(|error| {
            Failure::at(
                place,
                format!("{error}; write it as postgres://user:password@host/name"),
            )
        })?;
        let mut config = encrypted_or_near(config)?;
        config
            .connect_timeout(CONNECT)
            .application_name("bridgehead-irc import")
            .ssl_mode(SslMode::Disable);
        let (client, connection) = config
            .connect(NoTls)
            .await
            .map_err(|error| Failure::at(place, said(&error)))?;
        // Ends with the client; what goes wrong is told by what is asked.
        tokio::spawn(async move {
            connection.await.ok();
        });
        Ok(Self(client))
    }

    pub(crate) async fn read(&mut self) -> Result<Tables<'_>> {
        let begun = self
            .0
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .await;
        let tables = Tables(begun.map_err(failed)?);
        let limit = format!("SET LOCAL statement_timeout = {STATEMENT_MS}");
        tables.0.batch_execute(&limit).await.map_err(failed)?;
        for (table, column) in NEEDED {
            if !tables.has(table, column).await? {
                return Err(Failure::new(format!(
                    "the database has no table {table} with {column}: it is none of matrix-appservice-irc's, or one that \
                     it has never started on"
                )));
            }
        }
        Ok(tables)
    }
}

/// This program's connections to PostgreSQL are not encrypted: it says so, before a password goes over a network.
fn encrypted_or_near(config: Config) -> Result<Config> {
    let is_near = |host: &Host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost"
                || name
                    .parse()
                    .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
        }
    };
    let is_far = !config.get_hosts().iter().all(is_near)
        || config.get_hostaddrs().iter().any(|ip| !ip.is_loopback());
    let advice = "this program's connections to PostgreSQL are not encrypted: run it on the database's machine, or lead \
                  there by `ssh -L 5433:localhost:5432 …` and give localhost:5433";
    match config.get_ssl_mode() {
        SslMode::Disable => Ok(config),
        SslMode::Prefer if !is_far => Ok(config),
        SslMode::Prefer => Err(Failure::new(format!(
            "{advice}; where the network between is trusted, sslmode=disable says so"
        ))),
        _ => Err(Failure::new(format!(
            "sslmode asks for encryption, and {advice}"
        ))),
    }
}

/// What PostgreSQL says, which the error alone hides.
fn said(error: &tokio_postgres::Error) -> String {
    let database = error.as_db_error().map(ToString::to_string);
    let source = || std::error::Error::source(error).map(ToString::to_string);
    match database.or_else(source) {
        Some(detail) => format!("{error}: {detail}"),
        None => error.to_string(),
    }
}

fn failed(error: tokio_postgres::Error) -> Failure {
    Failure::at("the database", said(&error))
}

impl Tables<'_> {
    /// Whether there is a table with this column.
    pub(crate) async fn has(&self, table: &str, column: &str) -> Result<bool> {
        let sql = "SELECT 1 FROM pg_attribute WHERE attrelid = to_regclass($1) AND attname = $2 AND NOT attisdropped";
        let found = self.0.query(sql, &[&table, &column]).await;
        Ok(!found.map_err(failed)?.is_empty())
    }

    /// The rows of a query, page by page, each given to `take`.
    pub(crate) async fn each(
        &self,
        sql: &str,
        mut take: impl AsyncFnMut(&Row) -> Result<()>,
    ) -> Result<()> {
        let portal = self.0.bind(sql, &[]).await.map_err(failed)?;
        loop {
            let page = self.0.query_portal(&portal, PAGE).await.map_err(failed)?;
            for row in &page {
                take(row).await?;
            }
            if page.len() < PAGE.unsigned_abs() as usize {
                return Ok(());
            }
        }
    }

    /// How many rows a table has; 0 where there is none.
    pub(crate) async fn count(&self, table: &'static str, column: &str) -> Result<i64> {
        if !self.has(table, column).await? {
            return Ok(0);
        }
        let sql = format!("SELECT count({column}) FROM {table}");
        let rows = self.0.query(&sql, &[]).await.map_err(failed)?;
        Ok(rows.first().map_or(0, |row| row.get(0)))
    }
}

/// A column of text; `None` where it is NULL.
pub(crate) fn text(row: &Row, column: usize) -> Option<String> {
    row.try_get::<_, Option<String>>(column).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_goes_unencrypted_over_a_network_that_nobody_has_called_trusted() {
        let said = |address: &str| {
            let config = Config::from_str(address).expect("an address");
            encrypted_or_near(config)
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default()
        };
        for near in [
            "postgres://irc@localhost/irc",
            "postgres://irc@127.0.0.1:5433/irc",
            "postgres://irc@%2Frun%2Fpostgresql/irc",
            "host=/run/postgresql user=irc",
            "postgres://irc@db.example.org/irc?sslmode=disable",
        ] {
            assert_eq!(said(near), "", "{near}");
        }
        let far = said("postgres://irc@db.example.org/irc");
        assert!(far.contains("sslmode=disable"), "{far}");
        let asked = said("postgres://irc@localhost/irc?sslmode=require");
        assert!(asked.contains("sslmode asks for encryption"), "{asked}");
    }
}
