//! From a file's bytes to a checked [`Registration`]: all faults of one file are reported together.

mod options;

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use self::options::unknown;
use super::{
    AsUrl, Fault, Namespace, NamespaceKind, Registration, RegistrationError, RegistrationWarning,
    Secret, Source, pattern,
    yaml::{self, Entry, Node, Position, Value},
};

/// A user id has at most 255 bytes, sigil and server name included.
const MAX_LOCALPART_BYTES: usize = 250;
const START_OVER: &str = "Compare it with a file made by `bridgehead registration new`";

/// Reads one registration. `file` is named in messages; nothing is read from disk.
///
/// # Errors
/// Everything that is wrong with this registration.
pub fn parse(
    file: &Path,
    content: &[u8],
) -> Result<(Registration, Vec<RegistrationWarning>), Vec<RegistrationError>> {
    let mut reader = Reader {
        file: file.to_owned(),
        errors: Vec::new(),
        warnings: Vec::new(),
    };
    match reader.read(content) {
        Some(registration) if reader.errors.is_empty() => Ok((registration, reader.warnings)),
        _ => Err(reader.errors),
    }
}

/// Collects what is wrong and what is odd while the parts are read.
struct Reader {
    file: PathBuf,
    errors: Vec<RegistrationError>,
    warnings: Vec<RegistrationWarning>,
}

type At = Option<Position>;

impl Reader {
    fn error(&mut self, at: At, reason: impl Into<String>, remedy: impl Into<String>) {
        self.errors.push(RegistrationError {
            fault: Fault::Other,
            file: self.file.clone(),
            line: at.map(|at| at.line),
            column: at.map(|at| at.column),
            reason: reason.into(),
            remedy: remedy.into(),
        });
    }

    fn warn(&mut self, at: At, reason: impl Into<String>) {
        let line = at.map(|at| at.line);
        self.warnings.push(RegistrationWarning {
            file: self.file.clone(),
            line,
            reason: reason.into(),
        });
    }

    fn wrong_type(&mut self, key: &str, wanted: &str, node: &Node) {
        let found = node.value.describe();
        self.error(
            node.at,
            format!("`{key}` must be {wanted}, but is {found}"),
            START_OVER,
        );
    }

    fn read(&mut self, content: &[u8]) -> Option<Registration> {
        let text = self.text(content)?;
        let root = match yaml::read(text) {
            Ok(root) => root,
            Err(error) => {
                self.error(
                    error.at,
                    format!("this is not valid YAML: {}", error.reason),
                    START_OVER,
                );
                return None;
            }
        };
        let Value::Map(entries) = &root.value else {
            let found = root.value.describe();
            self.error(
                root.at,
                format!("a registration is a mapping of keys to values, but this is {found}"),
                START_OVER,
            );
            return None;
        };
        self.registration(entries)
    }

    fn text<'a>(&mut self, content: &'a [u8]) -> Option<&'a str> {
        let content = content
            .strip_prefix("\u{feff}".as_bytes())
            .unwrap_or(content);
        match std::str::from_utf8(content) {
            Ok(text) => Some(text),
            Err(error) => {
                let newlines = content[..error.valid_up_to()]
                    .iter()
                    .filter(|byte| **byte == b'\n')
                    .count();
                let line = u64::try_from(newlines)
                    .unwrap_or(u64::MAX)
                    .saturating_add(1);
                self.error(
                    Some(Position { line, column: 1 }),
                    "this is not UTF-8 text",
                    "Save the file as UTF-8",
                );
                None
            }
        }
    }

    fn registration(&mut self, entries: &[Entry]) -> Option<Registration> {
        let as_token = self.token(entries, "as_token");
        let hs_token = self.token(entries, "hs_token");
        let sender_localpart = self.sender_localpart(entries);
        let id = self.id(entries, as_token.as_ref());
        let url = self.url(entries);
        let [users, aliases, rooms] = self.namespaces(entries);
        let rate_limited = self.flag(entries, "rate_limited").unwrap_or(true);
        let protocols = self.strings(entries, "protocols");
        let features = self.features(entries);
        let ip_range_whitelist = self.strings(entries, "ip_range_whitelist");
        let bridgehead = self.bridgehead(entries);
        let unknown = unknown(entries);

        let as_token = as_token?;
        let as_token_at = place(entries, "as_token");
        let source = Source {
            file: self.file.clone(),
            id_line: place(entries, "id").or(as_token_at).map(|at| at.line),
            as_token_line: as_token_at.map(|at| at.line),
        };
        Some(Registration {
            id: id?,
            url,
            as_token_hash: Sha256::digest(as_token.expose().as_bytes()).into(),
            as_token,
            hs_token: hs_token?,
            sender_localpart: sender_localpart?,
            users,
            aliases,
            rooms,
            rate_limited,
            protocols,
            features,
            ip_range_whitelist,
            bridgehead,
            unknown,
            source,
        })
    }

    fn token(&mut self, entries: &[Entry], key: &str) -> Option<Secret> {
        let remedy = format!(
            "Set `{key}` to a long random string, the same that the application service uses"
        );
        let Some(entry) = present(entries, key) else {
            self.error(place(entries, key), format!("`{key}` is missing"), remedy);
            return None;
        };
        let text = self.scalar(key, &entry.node)?;
        if text.is_empty() {
            self.error(entry.node.at, format!("`{key}` is empty"), remedy);
            return None;
        }
        if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            self.error(
                entry.node.at,
                format!("`{key}` holds a character that an HTTP header cannot carry"),
                "Use letters, digits and ASCII punctuation",
            );
            return None;
        }
        Some(Secret::new(text.to_string()))
    }

    fn sender_localpart(&mut self, entries: &[Entry]) -> Option<String> {
        const KEY: &str = "sender_localpart";
        const REMEDY: &str =
            "Write only the part between `@` and `:`, such as `ircbot` for @ircbot:example.org";
        let Some(entry) = present(entries, KEY) else {
            self.error(place(entries, KEY), format!("`{KEY}` is missing"), REMEDY);
            return None;
        };
        let text = self.scalar(KEY, &entry.node)?;
        let reason = if text.is_empty() {
            "is empty"
        } else if text.len() > MAX_LOCALPART_BYTES {
            "is too long for a user id"
        } else if !text
            .bytes()
            .all(|byte| (b'!'..=b'~').contains(&byte) && byte != b':')
        {
            "holds a character that a user id cannot have"
        } else {
            return Some(text.to_string());
        };
        self.error(entry.node.at, format!("`{KEY}` {reason}"), REMEDY);
        None
    }

    fn id(&mut self, entries: &[Entry], as_token: Option<&Secret>) -> Option<String> {
        let Some(entry) = present(entries, "id") else {
            let id = derived_id(as_token?);
            self.warn(
                place(entries, "id"),
                format!("`id` is missing; this service is called `{id}`, after its as_token"),
            );
            return Some(id);
        };
        let text = self.scalar("id", &entry.node)?;
        if text.is_empty() {
            self.error(
                entry.node.at,
                "`id` is empty",
                "Give the application service a name of its own",
            );
            return None;
        }
        if text.contains('|') || text.chars().any(char::is_control) {
            self.error(
                entry.node.at,
                "`id` holds a `|` or a control character",
                "Choose an id without it: `|` joins ids with network names",
            );
            return None;
        }
        Some(text.to_string())
    }

    fn url(&mut self, entries: &[Entry]) -> Option<AsUrl> {
        let Some(entry) = find(entries, "url") else {
            self.warn(
                None,
                "`url` is missing and taken as null: nothing will be sent to this service",
            );
            return None;
        };
        if matches!(entry.node.value, Value::Null) {
            return None;
        }
        let url = AsUrl::of(self.scalar("url", &entry.node)?);
        match &url {
            None | Some(AsUrl::Http(_)) => {}
            Some(AsUrl::Unix(_)) => self.warn(
                entry.node.at,
                "`url` is a unix socket, which this server does not call: nothing is sent to this service",
            ),
            Some(AsUrl::Websocket(_)) => self.warn(
                entry.node.at,
                "`url` is no http or https address, such as http://localhost:9000: nothing is sent to this service",
            ),
        }
        url
    }

    fn namespaces(&mut self, entries: &[Entry]) -> [Vec<Namespace>; 3] {
        let empty = [Vec::new(), Vec::new(), Vec::new()];
        let Some(entry) = present(entries, "namespaces") else {
            return empty;
        };
        let Value::Map(lists) = &entry.node.value else {
            self.wrong_type(
                "namespaces",
                "a mapping with `users`, `aliases` and `rooms`",
                &entry.node,
            );
            return empty;
        };
        for unknown in lists.iter().filter(|entry| {
            !NamespaceKind::ALL
                .iter()
                .any(|kind| kind.key() == entry.key)
        }) {
            self.warn(
                unknown.at,
                format!(
                    "`namespaces` knows `users`, `aliases` and `rooms`, but no `{}`; ignored",
                    unknown.key
                ),
            );
        }
        NamespaceKind::ALL.map(|kind| self.namespace_list(lists, kind))
    }

    fn namespace_list(&mut self, lists: &[Entry], kind: NamespaceKind) -> Vec<Namespace> {
        let Some(entry) = present(lists, kind.key()) else {
            return Vec::new();
        };
        let name = format!("namespaces.{}", kind.key());
        let Value::List(items) = &entry.node.value else {
            self.wrong_type(&name, "a list", &entry.node);
            return Vec::new();
        };
        items
            .iter()
            .filter_map(|item| self.namespace(item, &name, kind))
            .collect()
    }

    fn namespace(&mut self, item: &Node, name: &str, kind: NamespaceKind) -> Option<Namespace> {
        let Value::Map(entries) = &item.value else {
            self.wrong_type(
                &format!("an entry of {name}"),
                "a mapping with `regex` and `exclusive`",
                item,
            );
            return None;
        };
        let exclusive = self.flag(entries, "exclusive");
        let Some(entry) = present(entries, "regex") else {
            let remedy = format!("Add a pattern such as `regex: '{}irc_.*'`", kind.sigil());
            self.error(
                item.at,
                format!("an entry of `{name}` has no `regex`"),
                remedy,
            );
            return None;
        };
        let regex = self.scalar("regex", &entry.node)?.to_string();
        self.check_pattern(&regex, entry.node.at, kind)?;
        if exclusive.is_none() {
            self.warn(
                item.at,
                format!("the pattern `{regex}` does not say `exclusive`; taken as false"),
            );
        }
        Some(Namespace {
            regex,
            exclusive: exclusive.unwrap_or(false),
        })
    }

    fn check_pattern(&mut self, regex: &str, at: At, kind: NamespaceKind) -> Option<()> {
        if let Err(reason) = pattern::compile(regex) {
            let what = format!("the pattern `{regex}` is not a valid regular expression: {reason}");
            self.error(
                at,
                what,
                "Mend the pattern; in YAML, put it in single quotes",
            );
            return None;
        }
        if pattern::can_match_sigil(regex, kind) {
            return Some(());
        }
        let (sigil, key) = (kind.sigil(), kind.key());
        let remedy = match pattern::mended(regex, kind) {
            Some(mended) => format!("Write `{mended}`"),
            None => format!("Begin the pattern with `{sigil}`"),
        };
        let what = format!(
            "the pattern `{regex}` can never match: `{key}` patterns are matched from the start of the id, which is `{sigil}`"
        );
        self.error(at, what, remedy);
        if let Some(error) = self.errors.last_mut() {
            error.fault = Fault::MissingSigil;
        }
        None
    }

    fn flag(&mut self, entries: &[Entry], key: &str) -> Option<bool> {
        let entry = present(entries, key)?;
        let value = match &entry.node.value {
            Value::Scalar(text) => boolean(text),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        };
        if value.is_none() {
            self.wrong_type(key, "true or false", &entry.node);
        }
        value
    }

    fn strings(&mut self, entries: &[Entry], key: &str) -> Vec<String> {
        let Some(entry) = present(entries, key) else {
            return Vec::new();
        };
        let Value::List(items) = &entry.node.value else {
            self.wrong_type(key, "a list of strings", &entry.node);
            return Vec::new();
        };
        let name = format!("an entry of {key}");
        items
            .iter()
            .filter_map(|item| self.scalar(&name, item))
            .map(|text| text.to_string())
            .collect()
    }

    fn scalar<'a>(&mut self, key: &str, node: &'a Node) -> Option<&'a Zeroizing<String>> {
        if let Value::Scalar(text) = &node.value {
            return Some(text);
        }
        self.wrong_type(key, "a string", node);
        None
    }
}

/// The nodes of `as_token` and `hs_token`, if both are there.
pub(super) fn tokens_of(root: &Node) -> Option<(&Node, &Node)> {
    let Value::Map(entries) = &root.value else {
        return None;
    };
    let as_token = &present(entries, "as_token")?.node;
    Some((as_token, &present(entries, "hs_token")?.node))
}

fn find<'a>(entries: &'a [Entry], key: &str) -> Option<&'a Entry> {
    entries.iter().find(|entry| entry.key == key)
}

/// As [`find`], but an explicit null counts as absent.
fn present<'a>(entries: &'a [Entry], key: &str) -> Option<&'a Entry> {
    find(entries, key).filter(|entry| !matches!(entry.node.value, Value::Null))
}

fn place(entries: &[Entry], key: &str) -> At {
    find(entries, key).and_then(|entry| entry.at)
}

/// Booleans as YAML 1.1 has them: generators and people still write `yes`.
fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "y" => Some(true),
        "false" | "no" | "off" | "n" => Some(false),
        _ => None,
    }
}

/// Stable as long as the token is, and tells nothing of it.
fn derived_id(as_token: &Secret) -> String {
    let digest = Sha256::digest(as_token.expose().as_bytes());
    let hex: String = digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("as-{hex}")
}
