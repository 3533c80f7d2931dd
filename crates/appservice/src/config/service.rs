//! The kit's own keys: where the homeserver is, where to listen, and every bound that an operator may move.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

use super::{Config, FilePath, HostPort, HttpUrl, ListenAddress, Refusals, SecretText, Size, Time};

macro_rules! section {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty = $default:expr;)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }
    };
}

section! {
    /// Configuration of the service.
    ServiceConfig {
        /// The registration: tokens and namespaces, the same file that the homeserver has. The first start
        /// writes `NAME-registration.yaml` here, by the name of the service.
        registration: FilePath = FilePath::new("registration.yaml");
        /// The database. Made when missing. The first start writes `NAME.db` here.
        database: FilePath = FilePath::new("service.db");
        /// The homeserver that the service belongs to.
        homeserver: HomeserverConfig = HomeserverConfig::default();
        /// Where the homeserver reaches the service.
        listen: ListenConfig = ListenConfig::default();
        /// Events from the homeserver on their way to the handlers.
        inbox: InboxConfig = InboxConfig::default();
        /// Events whose handler has failed.
        retries: RetryConfig = RetryConfig::default();
        /// Events and other calls on their way to the homeserver.
        outbox: OutboxConfig = OutboxConfig::default();
        /// What is written to standard error.
        log: LogConfig = LogConfig::default();
        /// Figures for Prometheus and statsd.
        metrics: MetricsConfig = MetricsConfig::default();
        /// What a supervisor may ask the service: at `listen.address`, and at `metrics.address` if that is set; with
        /// `listen.websocket` only there.
        health: HealthConfig = HealthConfig::default();
    }
}

section! {
    /// The homeserver that the service belongs to.
    HomeserverConfig {
        /// The part of user ids behind the colon. Cannot be changed once the service has rooms.
        #[schemars(extend("x-required" = true, "x-expected" = "a server name such as \"example.org\""))]
        #[schemars(example = "example.org".to_owned())]
        server_name: String = String::new();
        /// Where the homeserver's client-server API is.
        address: HttpUrl = local_homeserver();
        /// Where its operator API is, if it has one: then `register --apply` registers the service at once.
        #[schemars(example = "http://localhost:8008".to_owned())]
        admin_address: Option<HttpUrl> = None;
        /// Token for the operator API.
        admin_token: SecretText = SecretText::default();
    }
}

section! {
    /// Where the homeserver reaches the service.
    ListenConfig {
        /// Address and port, or `unix:` and the path of a socket. Port 0 takes any free port.
        address: ListenAddress = ListenAddress::Tcp(([127, 0, 0, 1], 9000).into());
        /// The URL under which the homeserver reaches this address, for the registration. If unset it is made from
        /// `address`.
        #[schemars(example = "http://bridge.internal:9000".to_owned())]
        public_address: Option<HttpUrl> = None;
        /// Certificate chain in PEM, to serve HTTPS; give `key` too. A renewed one is used within an hour, or at once
        /// after SIGHUP.
        certificate: Option<FilePath> = None;
        /// Private key of the certificate in PEM.
        key: Option<FilePath> = None;
        /// Fetch transactions over a websocket to the homeserver (`fi.mau.as_sync`), for services that cannot be
        /// reached. Then nothing listens here, and the pages of `health` are only at `metrics.address`.
        websocket: bool = false;
    }
}

section! {
    /// Events from the homeserver on their way to the handlers.
    InboxConfig {
        /// From so many waiting events on, transactions are answered with 503, and the homeserver brings them later.
        #[schemars(range(min = 100, max = 10_000_000))]
        high_water: u32 = 100_000;
        /// Rooms whose events are handled at the same time. Inside a room one event waits for the other.
        #[schemars(range(min = 1, max = 1024))]
        concurrency: u32 = 64;
        /// Largest body of a transaction.
        max_body: Size = Size::from_mebibytes(64);
    }
}

section! {
    /// Events whose handler has failed.
    RetryConfig {
        /// Wait after the first failure; doubles from one to the next.
        first_wait: Time = Time::from_secs(1);
        /// Longest wait.
        max_wait: Time = Time::from_secs(60);
        /// Attempts before an event is parked, and the next one of its room is handled.
        #[schemars(range(min = 1, max = 1000))]
        attempts: u32 = 10;
    }
}

section! {
    /// Events and other calls on their way to the homeserver.
    OutboxConfig {
        /// Rooms that are sent to at the same time.
        #[schemars(range(min = 1, max = 1024))]
        concurrency: u32 = 32;
        /// An event that could not be sent for so long is given up, and its sender told.
        give_up_after: Time = Time::from_secs(24 * 3600);
    }
}

section! {
    /// What is written to standard error.
    LogConfig {
        /// `error`, `warn`, `info`, `debug` or `trace`, or a filter such as `info,my_bridge=debug`.
        #[schemars(extend("x-expected" = "a level or a filter such as \"info,my_bridge=debug\""))]
        level: String = "info".to_owned();
        /// Lines for people, or JSON for machines.
        format: LogFormat = LogFormat::Text;
    }
}

section! {
    /// Figures for Prometheus and statsd.
    MetricsConfig {
        /// Path of the page for Prometheus.
        path: String = "/metrics".to_owned();
        /// Serve the page at an address of its own, where nobody needs a token.
        #[schemars(example = "127.0.0.1:9001".to_owned())]
        address: Option<ListenAddress> = None;
        /// Who shows this token (`Authorization: Bearer …`) gets the page at the service's own address as well. With
        /// neither `address` nor token there is no page.
        token: SecretText = SecretText::default();
        /// A statsd server to which the figures are sent.
        statsd: Option<HostPort> = None;
        /// Stands before every name there, with a dot behind it.
        statsd_prefix: String = String::new();
    }
}

section! {
    /// What a supervisor may ask the service: at `listen.address`, and at `metrics.address` if that is set; with
    /// `listen.websocket` only there.
    HealthConfig {
        /// Answers 200 while the process works.
        live_path: String = "/live".to_owned();
        /// Answers 200 while the service is ready for transactions, and 503 with the reason while it is not.
        ready_path: String = "/ready".to_owned();
        /// It is not ready while an event has been waiting for longer.
        max_age: Time = Time::from_secs(600);
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

fn local_homeserver() -> HttpUrl {
    "http://localhost:8008"
        .parse()
        .expect("invariant: this is a URL")
}

impl ListenConfig {
    /// Certificate and key, when HTTPS is wanted.
    #[must_use]
    pub fn tls(&self) -> Option<(&FilePath, &FilePath)> {
        self.certificate.as_ref().zip(self.key.as_ref())
    }
}

impl Config for ServiceConfig {
    const LIVE: &'static [&'static str] = &["log.level", "metrics.token", "health.max_age"];

    fn check(&self, refusals: &mut Refusals<'_>) {
        self.check_homeserver(refusals);
        self.check_listen(refusals);
        self.check_bounds(refusals);
        self.check_paths(refusals);
        if EnvFilter::try_new(&self.log.level).is_err() || self.log.level.trim().is_empty() {
            refusals.refuse(
                "log.level",
                "neither a level nor a filter",
                "write e.g. \"info\" or \"info,my_bridge=debug\"",
            );
        }
    }
}

impl ServiceConfig {
    fn check_homeserver(&self, refusals: &mut Refusals<'_>) {
        let homeserver = &self.homeserver;
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-.:[]".contains(c);
        let name = &homeserver.server_name;
        if name.is_empty() || name.len() > 230 || !name.chars().all(is_name) {
            refusals.refuse(
                "homeserver.server_name",
                "not a server name",
                "write what stands behind the colon in your user id, e.g. \"example.org\"",
            );
        }
        if homeserver.admin_token.get().is_some() && homeserver.admin_address.is_none() {
            refusals.refuse(
                "homeserver.admin_token",
                "given without homeserver.admin_address",
                "give the address too, or neither",
            );
        }
    }

    fn check_listen(&self, refusals: &mut Refusals<'_>) {
        let listen = &self.listen;
        let both = "give certificate and key, or neither";
        match (&listen.certificate, &listen.key) {
            (Some(_), None) => {
                refusals.refuse("listen.certificate", "given without listen.key", both);
            }
            (None, Some(_)) => {
                refusals.refuse("listen.key", "given without listen.certificate", both);
            }
            (Some(_), Some(_)) if matches!(listen.address, ListenAddress::Unix(_)) => {
                refusals.refuse(
                    "listen.certificate",
                    "a unix socket is not encrypted",
                    "remove certificate and key, or listen at an address and port",
                );
            }
            _ => {}
        }
        if self.metrics.address.as_ref() == Some(&listen.address) && !listen.websocket {
            refusals.refuse(
                "metrics.address",
                "this is where the service itself listens",
                "use another port, or give metrics.token instead",
            );
        }
    }

    fn check_bounds(&self, refusals: &mut Refusals<'_>) {
        let retries = &self.retries;
        if retries.first_wait > retries.max_wait {
            refusals.refuse(
                "retries.first_wait",
                format!(
                    "the first wait, {}, is longer than the longest, {}",
                    retries.first_wait, retries.max_wait
                ),
                "make first_wait at most max_wait",
            );
        }
        let day = Time::from_secs(24 * 3600);
        for (key, time, min, max) in [
            (
                "retries.first_wait",
                retries.first_wait,
                Time::from_secs(0),
                day,
            ),
            (
                "retries.max_wait",
                retries.max_wait,
                Time::from_secs(0),
                day,
            ),
            (
                "outbox.give_up_after",
                self.outbox.give_up_after,
                Time::from_secs(10),
                Time::from_secs(366 * 24 * 3600),
            ),
            (
                "health.max_age",
                self.health.max_age,
                Time::from_secs(1),
                day,
            ),
        ] {
            if time < min || time > max {
                let remedy = format!("write a time from {min} to {max}");
                refusals.refuse(key, format!("{time} is out of range"), remedy);
            }
        }
        let (min, max) = (Size::from_bytes(1 << 16), Size::from_bytes(1 << 30));
        let body = self.inbox.max_body;
        if body < min || body > max {
            let remedy = format!("write a size from {min} to {max}");
            refusals.refuse("inbox.max_body", format!("{body} is out of range"), remedy);
        }
    }

    fn check_paths(&self, refusals: &mut Refusals<'_>) {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "/-_.~".contains(c);
        let paths = [
            ("metrics.path", &self.metrics.path),
            ("health.live_path", &self.health.live_path),
            ("health.ready_path", &self.health.ready_path),
        ];
        for (index, (key, path)) in paths.iter().enumerate() {
            let is_sound = path.starts_with('/') && path.len() > 1 && path.chars().all(is_plain);
            if !is_sound || path.starts_with("/_matrix/") {
                let remedy = "write a path such as \"/metrics\", not below /_matrix/";
                refusals.refuse(key, format!("{path:?} cannot be served"), remedy);
            }
            if let Some((other, _)) = paths[..index].iter().find(|(_, other)| other == path) {
                refusals.refuse(
                    key,
                    format!("the same path as {other}"),
                    "give each a path of its own",
                );
            }
        }
        let prefix = &self.metrics.statsd_prefix;
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if prefix.len() > 64 || !prefix.bytes().all(is_part) {
            let remedy = "write at most 64 letters, digits and ._-";
            refusals.refuse("metrics.statsd_prefix", "not a name", remedy);
        }
    }
}
