//! Accounts that people have on a network: what their connections log in with. And the keys of channels. All of them are
//! sealed before they are stored.

use std::{collections::BTreeMap, fmt, sync::Arc};

use bridgehead_appservice::{
    Secret,
    id::UserId,
    store::{Migration, Row, Store, StoreError, Value},
};

use crate::seal::Seal;

/// The table of accounts.
pub(crate) const ACCOUNTS: Migration = Migration {
    name: "accounts",
    sql: "CREATE TABLE accounts (
        network TEXT NOT NULL,
        user_id TEXT NOT NULL,
        account TEXT,
        password BLOB,
        certificate BLOB,
        PRIMARY KEY (network, user_id)
    ) WITHOUT ROWID;
    CREATE TABLE channel_keys (
        network TEXT NOT NULL,
        channel TEXT NOT NULL,
        key BLOB NOT NULL,
        PRIMARY KEY (network, channel)
    ) WITHOUT ROWID;",
};

/// The accounts of one network.
#[derive(Clone)]
pub(crate) struct Accounts {
    store: Store,
    network: String,
    seal: Arc<Seal>,
}

/// What somebody logs in with.
#[derive(Clone, Default)]
pub(crate) struct Account {
    /// Its name and password.
    pub(crate) password: Option<(String, Secret)>,
    /// A certificate and its key (PEM).
    pub(crate) certificate: Option<Secret>,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

impl Account {
    /// What the network knows it by, where that is known.
    pub(crate) fn name(&self) -> Option<&str> {
        self.password.as_ref().map(|(name, _)| name.as_str())
    }
}

impl Accounts {
    pub(crate) fn new(store: Store, network: &str, seal: Arc<Seal>) -> Self {
        Self {
            store,
            network: network.to_owned(),
            seal,
        }
    }

    /// What somebody logs in with; nothing, where they have stored nothing. What cannot be opened is as if it were not
    /// there, and the log says so.
    pub(crate) async fn of(&self, user: &UserId) -> Result<Account, StoreError> {
        let sql = "SELECT account, password, certificate FROM accounts WHERE network = ?1 AND user_id = ?2";
        let rows = self
            .store
            .query(sql, [(&self.network).into(), user.into()])
            .await?;
        let Some(row) = rows.first() else {
            return Ok(Account::default());
        };
        let password = self.opened(row, 1, &self.whose("password", user));
        Ok(Account {
            password: row.text(0).map(str::to_owned).zip(password),
            certificate: self.opened(row, 2, &self.whose("certificate", user)),
        })
    }

    fn opened(&self, row: &Row, column: usize, whose: &str) -> Option<Secret> {
        let Some(Value::Blob(sealed)) = row.get(column) else {
            return None;
        };
        let opened = self.seal.open(whose, sealed);
        if opened.is_none() {
            tracing::warn!(
                whose,
                "a stored secret was sealed with another key: it is of no use any more"
            );
        }
        opened
    }

    /// Whose a secret is: sealed for one network, one person and one use.
    fn whose(&self, what: &str, user: &UserId) -> String {
        format!("{what} {} {user}", self.network)
    }

    /// Stores a password, in the place of the one before.
    pub(crate) async fn store_password(
        &self,
        user: &UserId,
        (account, password): (&str, &Secret),
    ) -> Result<(), StoreError> {
        let sealed = self.seal.close(&self.whose("password", user), password);
        let sql = "INSERT INTO accounts (network, user_id, account, password) VALUES (?1, ?2, ?3, ?4)
            ON CONFLICT (network, user_id) DO UPDATE SET account = excluded.account, password = excluded.password";
        let values = [
            (&self.network).into(),
            user.into(),
            account.into(),
            Value::Blob(sealed),
        ];
        self.store.execute(sql, values).await.map(drop)
    }

    /// Stores a certificate with its key, in the place of the one before.
    pub(crate) async fn store_certificate(
        &self,
        user: &UserId,
        pem: &Secret,
    ) -> Result<(), StoreError> {
        let sealed = self.seal.close(&self.whose("certificate", user), pem);
        let sql = "INSERT INTO accounts (network, user_id, certificate) VALUES (?1, ?2, ?3)
            ON CONFLICT (network, user_id) DO UPDATE SET certificate = excluded.certificate";
        let values = [(&self.network).into(), user.into(), Value::Blob(sealed)];
        self.store.execute(sql, values).await.map(drop)
    }

    /// Keys of channels, by folded channel.
    pub(crate) async fn keys(&self) -> Result<BTreeMap<String, String>, StoreError> {
        let sql = "SELECT channel, key FROM channel_keys WHERE network = ?1";
        let rows = self.store.query(sql, [(&self.network).into()]).await?;
        let keys = rows.iter().filter_map(|row| {
            let channel = row.text(0)?.to_owned();
            let key = self.opened(row, 1, &self.key_of(&channel))?;
            Some((channel, key.expose().to_owned()))
        });
        Ok(keys.collect())
    }

    /// Stores the key of a channel, in the place of the one before.
    pub(crate) async fn store_key(&self, channel: &str, key: &Secret) -> Result<(), StoreError> {
        let sealed = self.seal.close(&self.key_of(channel), key);
        let sql = "INSERT INTO channel_keys (network, channel, key) VALUES (?1, ?2, ?3)
            ON CONFLICT (network, channel) DO UPDATE SET key = excluded.key";
        let values = [(&self.network).into(), channel.into(), Value::Blob(sealed)];
        self.store.execute(sql, values).await.map(drop)
    }

    /// Forgets the key of a channel.
    pub(crate) async fn forget_key(&self, channel: &str) -> Result<(), StoreError> {
        let sql = "DELETE FROM channel_keys WHERE network = ?1 AND channel = ?2";
        let values = [(&self.network).into(), channel.into()];
        self.store.execute(sql, values).await.map(drop)
    }

    fn key_of(&self, channel: &str) -> String {
        format!("key {} {channel}", self.network)
    }

    /// Forgets somebody's password; whether there was one.
    pub(crate) async fn forget_password(&self, user: &UserId) -> Result<bool, StoreError> {
        let sql = "UPDATE accounts SET account = NULL, password = NULL
            WHERE network = ?1 AND user_id = ?2 AND password IS NOT NULL";
        let values = [(&self.network).into(), user.into()];
        Ok(self.store.execute(sql, values).await? > 0)
    }

    /// Forgets somebody's certificate; whether there was one.
    pub(crate) async fn forget_certificate(&self, user: &UserId) -> Result<bool, StoreError> {
        let sql = "UPDATE accounts SET certificate = NULL
            WHERE network = ?1 AND user_id = ?2 AND certificate IS NOT NULL";
        let values = [(&self.network).into(), user.into()];
        Ok(self.store.execute(sql, values).await? > 0)
    }
}
