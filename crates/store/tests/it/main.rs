//! The store through its public door, on real files.

#![expect(
    clippy::unwrap_used,
    reason = "a failed step of a test's helper fails the test"
)]

mod commit;
mod deliveries;
mod devices;
mod inline;
mod keys;
mod log_tables;
mod media;
mod migrate;
mod operators;
mod plans;
mod readers;
mod users;

use std::path::PathBuf;

use bridgehead_store::{Error, Snapshot, Store, Tx, UserRow};
use tempfile::TempDir;

const SERVER: &str = "example.org";
const ALICE: &str = "@alice:example.org";
const BOB: &str = "@bob:example.org";
const ROOM: &str = "!room:example.org";

/// A store in a folder of its own.
struct Fixture {
    store: Store,
    folder: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let store = Store::open(&folder.path().join("store.db"), SERVER).unwrap();
        Self { store, folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("store.db")
    }

    /// Closes the store and opens its file again.
    async fn reopen(&mut self) {
        self.store.close().await;
        self.store = Store::open(&self.file(), SERVER).unwrap();
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, Error> + Send + 'static,
    ) -> T {
        self.store.write(work).await.unwrap()
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Snapshot<'_>) -> Result<T, Error> + Send + 'static,
    ) -> T {
        self.store.read(work).await.unwrap()
    }
}

fn user(user_id: &str) -> UserRow {
    UserRow {
        user_id: user_id.to_owned(),
        password_hash: None,
        appservice: None,
        is_guest: false,
        is_admin: false,
        deactivated: false,
        created_at: 1,
        profile: "{}".to_owned(),
    }
}
