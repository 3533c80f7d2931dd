//! Synapse as a real process: what holds against our own server alone may be no more than its habit.
//!
//! `cargo xtask test` installs Synapse and tells where by [`SYNAPSE_VAR`]. Each test has one of its own, with SQLite
//! in a temporary folder, and speaks to it as to our own server: the same server name, the same open registration,
//! the same shared secret, no rate limits, no federation.
//!
//! A start takes 1.1 seconds on an idle machine, twice that beside a build: 0.9 to read Synapse's modules, which no
//! setting changes, and 0.2 to create the database, which a restart does not need. What would cost more is left out:
//! the signing key is part of the settings, where making one is another process of a second, and passwords are
//! hashed with the fewest rounds, so that a registration takes 15 milliseconds and not some hundreds.
//!
//! What a test must not expect of it, by its own design on SQLite: that transaction ids go on after a restart (they
//! begin anew when none is waiting), that a repeated transaction has the same bytes (ages differ), and that a kill
//! loses nothing (what waits behind a transaction under way is kept in memory only).

use crate::client::Client;
use crate::process::{Log, Process, free_port};
use crate::server::{REGISTRATION_SHARED_SECRET, SERVER_NAME, wait_until_it_answers};
use anyhow::{Context as _, bail};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use tempfile::TempDir;
use tokio::process::Command;

/// The environment variable with the path of a Python that has Synapse.
pub const SYNAPSE_VAR: &str = "BRIDGEHEAD_TEST_SYNAPSE";

/// The same for all: nobody else ever meets these servers, so nobody has to be kept from their key.
const SIGNING_KEY: &str = "ed25519 a_test bm9ib2R5IGVsc2UgbWVldHMgdGhlc2Ugc2VydmVycyE";
/// The fewest that bcrypt knows.
const BCRYPT_ROUNDS: u32 = 4;

/// What a test wants otherwise than usual.
#[derive(Clone, Debug, Default)]
pub struct SynapseOptions {
    /// Settings of `homeserver.yaml`, each in place of the usual one of the same name.
    pub settings: Map<String, Value>,
    /// The least level of Python's logging that it prints; none: `INFO`, which tells each request.
    pub log_level: Option<String>,
}

impl SynapseOptions {
    /// Settings of `homeserver.yaml`, each in place of the usual one of the same name.
    pub fn with_settings(settings: &[(&str, Value)]) -> Self {
        let settings = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()));
        Self {
            settings: settings.collect(),
            ..Self::default()
        }
    }
}

/// How it is started, the same each time.
struct Launch {
    python: PathBuf,
    folder: TempDir,
    port: u16,
}

/// A Synapse on a port of its own, with its data in a temporary folder. Ends when it is dropped.
pub struct Synapse {
    launch: Launch,
    log: Log,
    process: Process,
}

impl Synapse {
    /// Starts it with these registration files and waits until it answers.
    ///
    /// # Errors
    ///
    /// When [`SYNAPSE_VAR`] is not set, or it cannot be started, ends, or does not answer in time.
    pub async fn start(registrations: &[PathBuf]) -> anyhow::Result<Self> {
        Self::start_with(registrations, SynapseOptions::default()).await
    }

    /// The same with other options.
    ///
    /// # Errors
    ///
    /// As [`Synapse::start`].
    pub async fn start_with(
        registrations: &[PathBuf],
        options: SynapseOptions,
    ) -> anyhow::Result<Self> {
        let python = std::env::var_os(SYNAPSE_VAR).with_context(|| {
            format!("{SYNAPSE_VAR} is not set: run `cargo xtask test`, which installs Synapse")
        })?;
        let launch = Launch {
            python: python.into(),
            folder: TempDir::with_prefix("synapse-data-")?,
            port: free_port()?,
        };
        launch.write_settings(registrations, options)?;
        let log = Log::new();
        let process = Process::spawn_with_log("synapse", launch.command(), log.clone())?;
        let mut synapse = Self {
            launch,
            log,
            process,
        };
        synapse.wait_until_ready().await?;
        Ok(synapse)
    }

    /// Where it answers HTTP, without a slash at the end; the same after a restart.
    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.launch.port)
    }

    /// The folder with its settings, database and media.
    pub fn data_dir(&self) -> &Path {
        self.launch.folder.path()
    }

    /// The running process: to freeze it, to read its output or its memory.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// A client without an access token.
    pub fn client(&self) -> Client {
        Client::new(&self.base_url())
    }

    /// Registers a user with a password that nobody needs again.
    ///
    /// # Errors
    ///
    /// When the server refuses: the name is taken, or belongs to an application service.
    pub async fn user(&self, localpart: &str) -> anyhow::Result<Client> {
        self.client()
            .register(localpart, &format!("the password of {localpart}"))
            .await
    }

    /// Kills it without any chance to say goodbye.
    ///
    /// # Errors
    ///
    /// When it cannot be killed.
    pub async fn kill9(&mut self) -> anyhow::Result<()> {
        self.process.kill9().await.map(drop)
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Errors
    ///
    /// When it does not.
    pub async fn terminate(&mut self) -> anyhow::Result<ExitStatus> {
        self.process.terminate().await
    }

    /// Starts it again, after [`Synapse::kill9`] or [`Synapse::terminate`], with the same port and data.
    ///
    /// # Errors
    ///
    /// As [`Synapse::start`], or when it is still running.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        if self.process.ended()?.is_none() {
            bail!("Synapse is still running");
        }
        let command = self.launch.command();
        self.process = Process::spawn_with_log("synapse", command, self.log.clone())?;
        self.wait_until_ready().await
    }

    async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let client = self.client();
        wait_until_it_answers(&mut self.process, &client).await
    }
}

impl Launch {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.python);
        command
            .args(["-m", "synapse.app.homeserver", "--config-path"])
            .arg(self.settings_file())
            .current_dir(self.folder.path());
        command
    }

    fn settings_file(&self) -> PathBuf {
        self.folder.path().join("homeserver.yaml")
    }

    /// Writes the two files that Synapse reads. JSON is YAML too.
    fn write_settings(
        &self,
        registrations: &[PathBuf],
        options: SynapseOptions,
    ) -> anyhow::Result<()> {
        let level = options.log_level.as_deref().unwrap_or("INFO");
        let log_file = self.folder.path().join("log.yaml");
        std::fs::write(&log_file, logging(level).to_string())?;
        let mut settings = Map::new();
        for layer in [unlimited_rates(), self.settings(registrations, &log_file)] {
            settings.extend(layer.as_object().cloned().unwrap_or_default());
        }
        settings.extend(options.settings);
        let text = format!("{:#}\n", Value::Object(settings));
        std::fs::write(self.settings_file(), text).context("write homeserver.yaml")
    }

    fn settings(&self, registrations: &[PathBuf], log_file: &Path) -> Value {
        let folder = self.folder.path();
        let listener = json!({
            "type": "http",
            "port": self.port,
            "bind_addresses": ["127.0.0.1"],
            "resources": [{ "names": ["client", "openid"], "compress": false }],
        });
        json!({
            "server_name": SERVER_NAME,
            "listeners": [listener],
            "database": {
                "name": "sqlite3",
                "args": { "database": folder.join("homeserver.db") },
            },
            "media_store_path": folder.join("media"),
            "log_config": log_file,
            "app_service_config_files": registrations,
            "signing_key": SIGNING_KEY,
            "trusted_key_servers": [],
            "suppress_key_server_warning": true,
            "federation_domain_whitelist": [],
            "report_stats": false,
            "enable_metrics": false,
            "enable_registration": true,
            "enable_registration_without_verification": true,
            "registration_shared_secret": REGISTRATION_SHARED_SECRET,
            "macaroon_secret_key": "a-macaroon-secret-of-the-tests",
            "form_secret": "a-form-secret-of-the-tests",
            "bcrypt_rounds": BCRYPT_ROUNDS,
            "presence": { "enabled": true },
            // By default Synapse lists no room publicly, and does not say so to who creates one that should be.
            "room_list_publication_rules": [{ "action": "allow" }],
        })
    }
}

fn logging(level: &str) -> Value {
    json!({
        "version": 1,
        "formatters": { "line": { "format": "%(asctime)s %(levelname)s %(name)s %(message)s" } },
        "handlers": { "stderr": { "class": "logging.StreamHandler", "formatter": "line" } },
        "root": { "level": level, "handlers": ["stderr"] },
        "disable_existing_loggers": false,
    })
}

/// All limits that a client can meet, raised so far that no test meets them; there is no way to turn them off.
fn unlimited_rates() -> Value {
    let unlimited = json!({ "per_second": 1_000_000, "burst_count": 1_000_000 });
    json!({
        "rc_message": unlimited,
        "rc_registration": unlimited,
        "rc_registration_token_validity": unlimited,
        "rc_login": { "address": unlimited, "account": unlimited, "failed_attempts": unlimited },
        "rc_admin_redaction": unlimited,
        "rc_joins": { "local": unlimited, "remote": unlimited },
        "rc_joins_per_room": unlimited,
        "rc_key_requests": unlimited,
        "rc_3pid_validation": unlimited,
        "rc_invites": {
            "per_room": unlimited,
            "per_user": unlimited,
            "per_issuer": unlimited,
        },
        "rc_third_party_invite": unlimited,
        "rc_media_create": unlimited,
        "rc_presence": { "per_user": unlimited },
        "rc_delayed_event_mgmt": unlimited,
        "rc_room_creation": unlimited,
        "rc_reports": unlimited,
        "rc_user_directory": unlimited,
        "rc_profile": unlimited,
        "max_pending_media_uploads": 1_000_000,
    })
}
