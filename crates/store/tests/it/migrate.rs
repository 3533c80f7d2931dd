//! Which files are accepted, and what a fresh one says of itself.

use bridgehead_store::{Error, Store};
use rusqlite::Connection;

use crate::{Fixture, SERVER};

/// A closed store's file, with `sql` applied to it.
async fn altered(sql: &str) -> Fixture {
    let fixture = Fixture::new();
    fixture.store.close().await;
    Connection::open(fixture.file())
        .unwrap()
        .execute_batch(sql)
        .unwrap();
    fixture
}

fn meta(fixture: &Fixture, key: &str) -> String {
    Connection::open(fixture.file())
        .unwrap()
        .query_row("SELECT value FROM meta WHERE key = $1", [key], |row| {
            row.get(0)
        })
        .unwrap()
}

#[tokio::test]
async fn a_fresh_file_says_what_it_is() {
    let mut fixture = Fixture::new();
    assert_eq!(meta(&fixture, "schema_version"), "2");
    assert_eq!(meta(&fixture, "oldest_compatible"), "2");
    assert_eq!(meta(&fixture, "server_name"), SERVER);
    let instance = meta(&fixture, "instance");
    assert_eq!(instance.len(), 16);
    assert!(instance.bytes().all(|byte| byte.is_ascii_hexdigit()));

    fixture.reopen().await;
    assert_eq!(meta(&fixture, "instance"), instance);
    assert_ne!(meta(&Fixture::new(), "instance"), instance);
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let fixture = altered(
        "UPDATE meta SET value = '999' WHERE key IN ('schema_version', 'oldest_compatible')",
    )
    .await;
    let error = Store::open(&fixture.file(), SERVER).err().unwrap();
    assert!(
        matches!(
            error,
            Error::SchemaTooNew {
                found: 999,
                supported: 2
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_newer_but_compatible_schema_is_opened_and_left_as_it_is() {
    let fixture = altered("UPDATE meta SET value = '999' WHERE key = 'schema_version'").await;
    let store = Store::open(&fixture.file(), SERVER).unwrap();
    store.close().await;
    assert_eq!(meta(&fixture, "schema_version"), "999");
}

#[tokio::test]
async fn another_servers_file_is_refused() {
    let fixture = altered("").await;
    let error = Store::open(&fixture.file(), "other.example").err().unwrap();
    let Error::WrongServer { found, configured } = error else {
        panic!("{error}")
    };
    assert_eq!(
        (found.as_str(), configured.as_str()),
        (SERVER, "other.example")
    );
}

#[tokio::test]
async fn another_programs_file_is_refused_and_left_as_it_is() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("other.db");
    Connection::open(&file)
        .unwrap()
        .execute_batch("CREATE TABLE recipes (name TEXT)")
        .unwrap();
    let error = Store::open(&file, SERVER).err().unwrap();
    assert!(
        matches!(error, Error::Corrupt { table: "meta", .. }),
        "{error}"
    );
    let tables: i64 = Connection::open(&file)
        .unwrap()
        .query_row("SELECT COUNT(*) FROM sqlite_schema", [], |row| row.get(0))
        .unwrap();
    assert_eq!(tables, 1);
}
