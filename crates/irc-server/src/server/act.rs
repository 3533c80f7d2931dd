//! What services and operators do on other servers.

use crate::{Server, commands, sasl::Account};

impl Server {
    /// Adds an account that a password opens (SASL PLAIN, SCRAM-SHA-256).
    pub async fn account(&self, name: &str, password: &str) {
        self.add_account(name, Some(password), None).await;
    }

    /// Adds a certificate, SHA-256 in hex, to an account, which is made where it is not there (SASL EXTERNAL).
    pub async fn certificate(&self, name: &str, fingerprint: &str) {
        self.add_account(name, None, Some(fingerprint)).await;
    }

    async fn add_account(&self, name: &str, password: Option<&str>, fingerprint: Option<&str>) {
        let (name, password) = (name.to_owned(), password.map(str::to_owned));
        let fingerprint = fingerprint.map(str::to_ascii_lowercase);
        self.with(move |state| {
            let key = state.fold(&name);
            let account = state.accounts.entry(key).or_insert_with(|| Account {
                name,
                password: None,
                fingerprints: Vec::new(),
            });
            account.password = password.or(account.password.take());
            account.fingerprints.extend(fingerprint);
        })
        .await;
    }

    /// Sets modes of a channel as the server does, whoever may or may not: `set_modes("#tea", "+o bob")`.
    pub async fn set_modes(&self, channel: &str, modes: &str) {
        let channel = channel.to_owned();
        let mut words = modes.split_ascii_whitespace().map(str::to_owned);
        let modes = words.next().unwrap_or_default();
        let params: Vec<String> = words.collect();
        self.with(move |state| commands::set_as_server(state, &channel, &modes, &params))
            .await;
    }

    /// Logs somebody in, or out, as services do.
    pub async fn log_in(&self, nick: &str, account: Option<&str>) {
        let (nick, account) = (nick.to_owned(), account.map(str::to_owned));
        self.with(move |state| {
            if let Some(id) = state.holder(&nick) {
                commands::log_in(state, id, account.as_deref());
            }
        })
        .await;
    }

    /// Gives somebody another user name and host (IRCv3 chghost).
    pub async fn change_host(&self, nick: &str, user: &str, host: &str) {
        let [nick, user, host] = [nick, user, host].map(str::to_owned);
        self.with(move |state| {
            if let Some(id) = state.holder(&nick) {
                commands::change_host(state, id, &user, &host);
            }
        })
        .await;
    }

    /// Offers a capability from now on, `sasl=PLAIN` say, and tells those who want to know (`CAP NEW`).
    pub async fn add_cap(&self, cap: &str) {
        let cap = cap.to_owned();
        self.with(move |state| {
            state.dialect.add_cap(&cap);
            commands::announce_cap(state, "NEW", &cap);
        })
        .await;
    }

    /// Takes a capability back from everybody (`CAP DEL`).
    pub async fn remove_cap(&self, cap: &str) {
        let cap = cap.to_owned();
        self.with(move |state| {
            state.dialect.caps.retain(|(known, _)| *known != cap);
            commands::announce_cap(state, "DEL", &cap);
        })
        .await;
    }
}
