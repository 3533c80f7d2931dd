//! Every key: its meaning, unit, default, and the type the server reads. Add a key here and nowhere else, then
//! regenerate `docs/config.md` and `bridgehead.example.toml` as the test `generated_files_are_current` says.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use ruma::{OwnedServerName, RoomVersionId};
use url::Url;

use super::{
    kinds::{
        Address, BaseUrl, Bool, Bytes, Count, DottedName, ExistingFile, FileOrFolder, Folder,
        HostPort, List, LogFilter, LogStyle, Name, OnOff, Optional, Rate, RoomVersion, SecretText,
        SignUpToken, Time,
    },
    schema::section,
};
use crate::secret::Secret;

section! {
    /// The server itself.
    "" Config {
        /// The server's name, the part after the colon in `@user:server`. It is part of every id and cannot be changed
        /// once the server has data.
        server_name: OwnedServerName = Name, "server_name", r#""localhost""#, flag "--server-name";
        /// Folder for the database, the media and the signing key. Created when missing.
        data_dir: PathBuf = Folder, "data_dir", r#""./bridgehead-data""#, flag "--data-dir";
        /// Addresses to listen on, each `address:port`. Port 0 takes any free port.
        listen: Vec<SocketAddr> = List { item: Address, at_least: 1 }, "listen", r#"["127.0.0.1:8008"]"#, flag "--listen";
        /// The URL under which clients reach this server, told to them by `/.well-known/matrix/client`.
        public_base_url: Option<Url> = Optional(BaseUrl), "public_base_url", "";
        /// Registration files of application services, and folders whose `.yaml` and `.yml` files are registrations.
        registrations: Vec<PathBuf> = List { item: FileOrFolder, at_least: 0 }, "registrations", "[]",
            flag "--registration", alias "app_service_config_files";
    }
    with {
        tls: Tls, accounts: Accounts, rooms: Rooms, limits: Limits, appservices: Appservices, presence: Presence,
        metrics: Metrics, log: Log,
    }
}

section! {
    /// Serve HTTPS instead of HTTP on every listening address. Give both keys or neither.
    "tls" Tls {
        /// Certificate chain in PEM, the server's own certificate first.
        certificate: Option<PathBuf> = Optional(ExistingFile { secret: false, example: r#""/etc/bridgehead/cert.pem""# }), "tls.certificate", "";
        /// Private key of the certificate in PEM. Refused when everybody on the machine may read it.
        key: Option<PathBuf> = Optional(ExistingFile { secret: true, example: r#""/etc/bridgehead/key.pem""# }), "tls.key", "";
    }
}

impl Tls {
    /// Certificate and key, when HTTPS is wanted.
    pub fn files(&self) -> Option<(&Path, &Path)> {
        self.certificate.as_deref().zip(self.key.as_deref())
    }
}

section! {
    /// Who may sign up.
    "accounts" Accounts {
        /// Anybody may create an account, without a token.
        open_registration: bool = Bool, "accounts.open_registration", "false", flag "--open-registration";
        /// Tokens with which people may sign up while `open_registration` is off. Letters, digits and `._~-`, at most 64.
        registration_tokens: Vec<Secret> = List { item: SignUpToken, at_least: 0 }, "accounts.registration_tokens", "[]";
        /// Secret with which scripts may create accounts through `/_synapse/admin/v1/register`.
        registration_shared_secret: Option<Secret> = Optional(SecretText), "accounts.registration_shared_secret", "",
            flag "--registration-shared-secret";
        /// File that holds the shared secret, instead of the key above. Refused when everybody on the machine may read it.
        registration_shared_secret_file: Option<PathBuf> = Optional(ExistingFile { secret: true, example: r#""/etc/bridgehead/shared-secret""# }),
            "accounts.registration_shared_secret_file", "";
        /// Visitors may use the server as guests, without an account.
        allow_guests: bool = Bool, "accounts.allow_guests", "false";
    }
}

section! {
    /// New rooms.
    "rooms" Rooms {
        /// Version of new rooms for which the client names none: 6 to 12.
        default_version: RoomVersionId = RoomVersion, "rooms.default_version", r#""11""#;
    }
}

section! {
    /// Sizes, waits and rates that clients are held to.
    "limits" Limits {
        /// Largest JSON body of a request, in bytes.
        max_body_bytes: u64 = Bytes { min: 64 << 10, max: 1 << 30 }, "limits.max_body_bytes", r#""2 MiB""#;
        /// Largest file that may be uploaded, in bytes.
        max_upload_bytes: u64 = Bytes { min: 1, max: 1 << 40 }, "limits.max_upload_bytes", r#""50 MiB""#;
        /// Largest image that is decoded to make a thumbnail, in pixels (width times height).
        max_image_pixels: u32 = Count { min: 1, max: 1_000_000_000 }, "limits.max_image_pixels", "32000000";
        /// Disk space for thumbnails, in bytes. The least recently used ones go first.
        max_thumbnail_cache_bytes: u64 = Bytes { min: 0, max: 1 << 50 }, "limits.max_thumbnail_cache_bytes", r#""1 GiB""#;
        /// Serve media on the paths from before authenticated media (`/_matrix/media/…/download` and `…/thumbnail`) to
        /// everybody who knows the id. Older clients and bridges need it; `false` answers 404 there.
        unauthenticated_media: bool = Bool, "limits.unauthenticated_media", "true";
        /// Longest wait that a client may ask of `/sync`, in milliseconds.
        sync_timeout_max: Duration = Time { min_ms: 0, max_ms: 3_600_000 }, "limits.sync_timeout_max_ms", r#""60s""#;
        /// Longest time that a request may take, in milliseconds. The wait of `/sync` comes on top.
        request_timeout: Duration = Time { min_ms: 1000, max_ms: 3_600_000 }, "limits.request_timeout_ms", r#""60s""#;
        /// Whether the rates below are enforced.
        rate_limits: bool = OnOff, "limits.rate_limits", r#""on""#, flag "--rate-limits";
        /// Events, invites, kicks and bans that a user may send, per second, over a longer time.
        messages_per_second: f64 = Rate, "limits.messages_per_second", "0.2";
        /// Events, invites, kicks and bans that a user may send at once.
        messages_burst: u32 = Count { min: 1, max: 1_000_000 }, "limits.messages_burst", "10";
        /// Logins from one address and to one account, per second, over a longer time.
        logins_per_second: f64 = Rate, "limits.logins_per_second", "0.003";
        /// Logins from one address and to one account at once.
        logins_burst: u32 = Count { min: 1, max: 1_000_000 }, "limits.logins_burst", "5";
        /// Accounts created from one address, per second, over a longer time.
        registrations_per_second: f64 = Rate, "limits.registrations_per_second", "0.17";
        /// Accounts created from one address at once.
        registrations_burst: u32 = Count { min: 1, max: 1_000_000 }, "limits.registrations_burst", "3";
        /// Rooms that a user may join or make, per second, over a longer time.
        joins_per_second: f64 = Rate, "limits.joins_per_second", "0.1";
        /// Rooms that a user may join or make at once.
        joins_burst: u32 = Count { min: 1, max: 1_000_000 }, "limits.joins_burst", "10";
    }
}

/// What a rate limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RateCategory {
    /// Events sent, per user.
    Messages,
    /// Logins, per address and per account.
    Logins,
    /// Accounts created, per address.
    Registrations,
    /// Rooms joined, per user.
    Joins,
}

/// A token bucket: `burst` at once, refilled by `per_second`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateLimit {
    /// Refill per second; more than zero.
    pub per_second: f64,
    /// Size of the bucket; at least one.
    pub burst: u32,
}

impl Limits {
    /// The rate for a category; `None` when rates are not enforced.
    pub fn rate_limit(&self, category: RateCategory) -> Option<RateLimit> {
        let (per_second, burst) = match category {
            RateCategory::Messages => (self.messages_per_second, self.messages_burst),
            RateCategory::Logins => (self.logins_per_second, self.logins_burst),
            RateCategory::Registrations => {
                (self.registrations_per_second, self.registrations_burst)
            }
            RateCategory::Joins => (self.joins_per_second, self.joins_burst),
        };
        self.rate_limits.then_some(RateLimit { per_second, burst })
    }
}

section! {
    /// How this server speaks to application services.
    "appservices" Appservices {
        /// How long the question whether a user exists may take, in milliseconds.
        user_query_timeout: Duration = Time { min_ms: 1, max_ms: 600_000 }, "appservices.user_query_timeout_ms", r#""10s""#;
        /// How long the question whether a room alias exists may take, in milliseconds.
        alias_query_timeout: Duration = Time { min_ms: 1, max_ms: 600_000 }, "appservices.alias_query_timeout_ms", r#""10s""#;
        /// How long connecting may take, in milliseconds.
        connect_timeout: Duration = Time { min_ms: 1, max_ms: 600_000 }, "appservices.connect_timeout_ms", r#""5s""#;
        /// How long a transaction or another request may take until it is answered, in milliseconds.
        request_timeout: Duration = Time { min_ms: 1, max_ms: 3_600_000 }, "appservices.request_timeout_ms", r#""60s""#;
        /// Wait before the first retry after a failure, in milliseconds. It doubles with each further failure.
        backoff_min: Duration = Time { min_ms: 1, max_ms: 3_600_000 }, "appservices.backoff_min_ms", r#""1s""#;
        /// Longest wait between retries, in milliseconds. A request of the service itself ends the wait at once.
        backoff_max: Duration = Time { min_ms: 1, max_ms: 86_400_000 }, "appservices.backoff_max_ms", r#""30s""#;
        /// Most events in one transaction.
        max_transaction_events: u32 = Count { min: 1, max: 10_000 }, "appservices.max_transaction_events", "100";
        /// Largest transaction body, in bytes. A single event that is larger is sent alone.
        max_transaction_bytes: u64 = Bytes { min: 128 << 10, max: 1 << 30 }, "appservices.max_transaction_bytes", r#""1 MiB""#;
        /// When somebody joins an alias that its service has just created, the service's user invites them if the room is not public.
        lazy_alias_auto_invite: bool = Bool, "appservices.lazy_alias_auto_invite", "true";
        /// Inviting an unknown user of an exclusive namespace fails with 404 when the service says that there is no such user.
        refuse_unknown_ghost_invite: bool = Bool, "appservices.refuse_unknown_ghost_invite", "true";
        /// How long a service's "no such user or alias" is remembered, in milliseconds. 0 remembers nothing.
        negative_cache: Duration = Time { min_ms: 0, max_ms: 86_400_000 }, "appservices.negative_cache_ms", r#""5s""#;
        /// How often a service that only knows the paths from before `/_matrix/app/v1` is asked again by the new ones, in milliseconds.
        legacy_reprobe: Duration = Time { min_ms: 1000, max_ms: 604_800_000 }, "appservices.legacy_reprobe_ms", r#""1h""#;
        /// How often a websocket that a service has opened is asked for a sign of life, in milliseconds. One of which nothing was heard for twice as long is closed.
        websocket_ping: Duration = Time { min_ms: 10, max_ms: 3_600_000 }, "appservices.websocket_ping_ms", r#""30s""#;
        /// How often registration files and folders are looked at for changes, in milliseconds. A change counts when two
        /// looks agree. 0 never looks; SIGHUP does.
        registration_poll: Duration = Time { min_ms: 0, max_ms: 3_600_000 }, "appservices.registration_poll_ms", r#""1s""#;
    }
}

section! {
    /// Who is online.
    "presence" Presence {
        /// Tell users who is online. It is kept in memory only.
        enabled: bool = Bool, "presence.enabled", "true";
    }
}

section! {
    /// Figures about the server at work. `docs/metrics.md` lists them.
    "metrics" Metrics {
        /// Serve them to Prometheus at `/metrics`.
        enabled: bool = Bool, "metrics.enabled", "true";
        /// Serve `/metrics` to everybody who can connect, without a token. For servers that only listen on loopback.
        open: bool = Bool, "metrics.open", "false";
        /// Token with which `/metrics` may be read, as `Authorization: Bearer …`. An operator's token is good there too.
        token: Option<Secret> = Optional(SecretText), "metrics.token", "";
        /// File that holds the token, instead of the key above. Refused when everybody on the machine may read it.
        token_file: Option<PathBuf> = Optional(ExistingFile { secret: true, example: r#""/etc/bridgehead/metrics-token""# }),
            "metrics.token_file", "";
        /// A statsd server, `host:port`, to which the figures are sent over UDP as well.
        statsd: Option<String> = Optional(HostPort), "metrics.statsd", "";
        /// Start of the names sent to statsd. It is followed by a dot; empty for none.
        statsd_prefix: String = DottedName, "metrics.statsd_prefix", r#""""#;
    }
}

section! {
    /// The server's log, written to standard error.
    "log" Log {
        /// `text` for people, `json` for machines, one object per line.
        format: LogFormat = LogStyle, "log.format", r#""text""#;
        /// What is logged: a level, or levels by module, as in `RUST_LOG`.
        filter: String = LogFilter, "log.filter", r#""info""#;
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}
