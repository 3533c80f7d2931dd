//! Registrations of application services: the files that tell a homeserver which services there are, in Synapse's
//! format. One home for both sides: the server and the kit for services read and write the same type.
//!
//! - [`load`] reads files and folders, [`parse`] one text. The reader is lenient where files in the wild are sloppy and
//!   the meaning is clear (a warning says so), and refuses, with file, line and remedy, where a service would silently
//!   not work.
//! - [`RegistrationDraft`] is what an author decides. [`RegistrationDraft::write`] makes the file with fresh tokens, or
//!   brings an old one up to date with its id and tokens kept, and says what changed.
//! - [`NamespaceTemplate`] makes a namespace's pattern and its ids of one string.
//! - [`Registration::to_yaml`] writes a registration anew, and [`with_tokens`] other tokens into a text; keys that nobody
//!   here knows survive both.
//! - [`find_conflicts`] and [`find_overlaps`] hold several registrations against each other.
//!
//! Which ids a service gets is the server's business; [`anchored`] and [`compile`] say how a pattern is matched.
//!
//! ```
//! use bridgehead_registration::{NamespaceTemplate, Outcome, RegistrationDraft};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let file = folder.path().join("registration.yaml");
//! # let random = |bytes: &mut [u8]| rand::Rng::fill_bytes(&mut rand::rng(), bytes);
//! let ghosts = NamespaceTemplate::users("_irc_{network}_{nick}")?.at("example.org")?;
//! let mut draft = RegistrationDraft {
//!     id: "irc".to_owned(),
//!     url: Some("http://localhost:9000".to_owned()),
//!     sender_localpart: "ircbot".to_owned(),
//!     users: vec![ghosts.namespace(true)],
//!     ..RegistrationDraft::default()
//! };
//! let made = draft.write(&file, "example.org", random)?;
//! assert_eq!(made.outcome, Outcome::Made);
//!
//! // Later, the service wants more: same id, same tokens.
//! draft.protocols.push("irc".to_owned());
//! let updated = draft.write(&file, "example.org", random)?;
//! assert_eq!(updated.changes[0].to_string(), "+ protocols: irc");
//! assert_eq!(updated.registration.as_token, made.registration.as_token);
//!
//! let ann = ghosts.build(&[("network", "libera"), ("nick", "Ann")])?;
//! assert_eq!(ann, "@_irc_libera__ann:example.org");
//! # Ok(())
//! # }
//! ```

mod diff;
mod draft;
mod file;
mod load;
mod namespace;
mod parse;
mod pattern;
mod render;
mod secret;
mod template;
#[cfg(test)]
mod tests;
mod tokens;
mod unknown;
mod write;
mod yaml;

use std::{
    fmt,
    path::{Path, PathBuf},
};

use url::Url;

pub use diff::Change;
pub use draft::{Generated, RegistrationDraft};
pub use file::{create_file, replace_file};
pub use load::{
    Loaded, MAX_FILE_BYTES, MAX_FILES_PER_FOLDER, expand, find_conflicts, find_overlaps, load,
    read_bounded,
};
pub use namespace::BotLayout;
pub use parse::parse;
pub use pattern::{Backtracking, PatternMatcher, anchored, compile};
pub use secret::Secret;
pub use template::{
    BoundTemplate, BuildError, Fields, NamespaceTemplate, TemplateError, TemplateFault,
};
pub use tokens::{HIDDEN, masked, with_tokens};
pub use unknown::{UnknownKey, UnknownValue};
pub use write::{Outcome, WriteError, Written};

/// One application service, as its registration describes it. Checked: every pattern compiles.
#[derive(Clone, Debug)]
pub struct Registration {
    /// Unique on this server and never changed; derived from `as_token` when the file has none.
    pub id: String,
    /// Where the service listens; `None` means that nothing is ever sent to it.
    pub url: Option<AsUrl>,
    /// What the service shows us; `***` in a text that was kept without it.
    pub as_token: Secret,
    /// SHA-256 of it: all that comparing needs.
    pub as_token_hash: [u8; 32],
    /// What we show the service.
    pub hs_token: Secret,
    /// Localpart of the service's own user, the sender.
    pub sender_localpart: String,
    /// User ids that the service owns or watches, in the file's order.
    pub users: Vec<Namespace>,
    /// Room aliases that the service owns or watches, in the file's order.
    pub aliases: Vec<Namespace>,
    /// Room ids that the service watches, in the file's order.
    pub rooms: Vec<Namespace>,
    /// Whether the service's ghosts are rate limited; its sender never is.
    pub rate_limited: bool,
    /// Third-party protocols that the service answers for.
    pub protocols: Vec<String>,
    /// Optional behaviour that the service asks for.
    pub features: Features,
    /// Networks (CIDR) that may use `as_token`; empty means everywhere.
    pub ip_range_whitelist: Vec<String>,
    /// The file's own `io.bridgehead` block.
    pub bridgehead: BridgeheadOptions,
    /// Top-level keys that this crate does not know, in the file's order.
    pub unknown: Vec<UnknownKey>,
    /// Where the registration was read from.
    pub source: Source,
}

/// Opt-ins of a registration, with the names and the unstable names that generators write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// `receive_ephemeral`: typing, receipts and presence in transactions.
    pub receive_ephemeral: bool,
    /// `de.sorunome.msc2409.push_ephemeral` (or bare `push_ephemeral`): the same under the unstable body key.
    pub push_ephemeral_unstable: bool,
    /// `org.matrix.msc3202`: device lists, one-time-key counts and fallback-key types in transactions.
    pub msc3202: bool,
    /// `io.element.msc4190`: device management without login.
    pub msc4190: bool,
}

/// The optional `io.bridgehead` block. `None` leaves the choice to the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BridgeheadOptions {
    /// Send `hs_token` as a query parameter too, for services that predate the header.
    pub legacy_query_token: Option<bool>,
    /// Let a user who asked for an unknown alias into the room that the service made for it.
    pub lazy_alias_auto_invite: Option<bool>,
    /// Take a user query's yes as enough, even if the service did not register the user.
    pub relax_user_query: Option<bool>,
}

impl BridgeheadOptions {
    /// The keys in the block.
    pub(crate) const KEYS: [&str; 3] = [
        "legacy_query_token",
        "lazy_alias_auto_invite",
        "relax_user_query",
    ];

    /// The choices, in the order of [`Self::KEYS`].
    pub(crate) fn choices(self) -> [Option<bool>; 3] {
        [
            self.legacy_query_token,
            self.lazy_alias_auto_invite,
            self.relax_user_query,
        ]
    }

    /// These choices, and those of `other` where there is none.
    #[must_use]
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            legacy_query_token: self.legacy_query_token.or(other.legacy_query_token),
            lazy_alias_auto_invite: self.lazy_alias_auto_invite.or(other.lazy_alias_auto_invite),
            relax_user_query: self.relax_user_query.or(other.relax_user_query),
        }
    }
}

/// One entry of a namespace list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// The pattern as written; it matches from the id's start, case-sensitively, not necessarily to the end.
    pub regex: String,
    /// Whether nobody but the service may create what matches.
    pub exclusive: bool,
}

/// Which list a pattern stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NamespaceKind {
    /// `namespaces.users`
    Users,
    /// `namespaces.aliases`
    Aliases,
    /// `namespaces.rooms`
    Rooms,
}

impl NamespaceKind {
    /// Every kind, in the order of the file.
    pub const ALL: [Self; 3] = [Self::Users, Self::Aliases, Self::Rooms];

    /// The key under `namespaces`.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Aliases => "aliases",
            Self::Rooms => "rooms",
        }
    }

    /// The character that every id of this kind starts with.
    #[must_use]
    pub fn sigil(self) -> char {
        match self {
            Self::Users => '@',
            Self::Aliases => '#',
            Self::Rooms => '!',
        }
    }
}

/// Where a service can be reached. Trailing slashes are dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AsUrl {
    /// `http` or `https`, with a host and maybe a path.
    Http(String),
    /// `unix:` and a socket path: nothing is sent there either.
    Unix(String),
    /// Anything else, such as `websocket`: the service comes for its transactions itself.
    Websocket(String),
}

impl AsUrl {
    /// What a registration's `url` means; `None` for an empty one or `null`.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let text = text
            .trim_start()
            .trim_end_matches(|c: char| c == '/' || c.is_whitespace());
        if text.is_empty() || text == "null" {
            return None;
        }
        if text.starts_with("unix:") {
            return Some(Self::Unix(text.to_owned()));
        }
        let is_http = Url::parse(text)
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        Some(if is_http {
            Self::Http(text.to_owned())
        } else {
            Self::Websocket(text.to_owned())
        })
    }

    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Http(text) | Self::Unix(text) | Self::Websocket(text) => text,
        }
    }
}

/// The file, and the lines that a clash with another registration is reported at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// The file's path, or a name for a text that came another way.
    pub file: PathBuf,
    /// Line of `id`, or of `as_token` where the id is derived from it.
    pub id_line: Option<u64>,
    /// Line of `as_token`.
    pub as_token_line: Option<u64>,
}

/// Kinds of mistakes that somebody tells apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// A pattern that can match no id, for lack of the sigil at its start.
    MissingSigil,
    /// Any other.
    #[default]
    Other,
}

/// Why a registration is refused. Displays as `file:line: reason. remedy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationError {
    /// What kind of mistake it is.
    pub fault: Fault,
    /// The file at fault.
    pub file: PathBuf,
    /// The line at fault, counted from 1.
    pub line: Option<u64>,
    /// The column at fault, counted from 1.
    pub column: Option<u64>,
    /// What is wrong, without a full stop.
    pub reason: String,
    /// What to do about it, without a full stop.
    pub remedy: String,
}

impl fmt::Display for RegistrationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_place(f, &self.file, self.line)?;
        write!(f, "{}. {}.", self.reason, self.remedy)
    }
}

impl std::error::Error for RegistrationError {}

/// Something that works but is probably not meant. Displays as `file:line: reason`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationWarning {
    /// The file in question.
    pub file: PathBuf,
    /// The line in question, counted from 1.
    pub line: Option<u64>,
    /// What was found and how it is understood.
    pub reason: String,
}

impl fmt::Display for RegistrationWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_place(f, &self.file, self.line)?;
        write!(f, "{}.", self.reason)
    }
}

fn write_place(f: &mut fmt::Formatter<'_>, file: &Path, line: Option<u64>) -> fmt::Result {
    write!(f, "{}:", file.display())?;
    if let Some(line) = line {
        write!(f, "{line}:")?;
    }
    f.write_str(" ")
}
