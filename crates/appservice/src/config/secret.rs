//! Secrets in a configuration: as text, or in a file of their own.

use std::{
    fs::{self, File},
    hash::{BuildHasher as _, RandomState},
    io::{self, Read as _},
    path::Path,
    sync::LazyLock,
};

use bridgehead_registration::Secret;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Largest file with a secret.
const MAX_BYTES: u64 = 64 << 10;
/// How the mark of a secret begins.
const MARK: &str = "(secret ";

/// A secret of a configuration, empty where none was given. The key `token` may be written, or the key `token_file`
/// names a file that holds it; so with the variables `…_TOKEN` and `…_TOKEN_FILE`.
///
/// Never printed. Serialised, which is what a comparison of two configurations does, it is a mark that is equal for
/// equal secrets as long as the process runs, and tells nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretText(Secret);

impl SecretText {
    /// Whether none was given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.expose().is_empty()
    }

    /// The secret, if one was given.
    #[must_use]
    pub fn get(&self) -> Option<&Secret> {
        Some(&self.0).filter(|_| !self.is_empty())
    }
}

impl Default for SecretText {
    fn default() -> Self {
        Self(Secret::new(String::new()))
    }
}

impl From<Secret> for SecretText {
    fn from(secret: Secret) -> Self {
        Self(secret)
    }
}

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// Drawn anew by each process, so a mark cannot be tried out elsewhere.
        static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        if self.is_empty() {
            return serializer.serialize_str("");
        }
        let hash = KEYS.hash_one(self.0.expose());
        serializer.collect_str(&format_args!("{MARK}{hash:016x})"))
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let secret = Secret::new(String::deserialize(deserializer)?);
        if secret.expose().starts_with(MARK) {
            return Err(de::Error::custom(
                "this is the mark of a secret, not the secret",
            ));
        }
        Ok(Self(secret))
    }
}

impl JsonSchema for SecretText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "x-kind": "secret", "writeOnly": true })
    }
}

/// Why a secret is not taken from a file: what is wrong, and what to do.
pub(super) type Refused = (String, String);

/// A secret from a file.
#[derive(Debug)]
pub(super) struct FromFile {
    pub(super) secret: Secret,
    /// What the operator should be told about the file.
    pub(super) warning: Option<String>,
}

/// The secret in a file, without white space around it. One that everybody may read is taken: containers are given
/// their secrets that way, in mounts where nobody can change that.
pub(super) fn read_file(path: &Path) -> Result<FromFile, Refused> {
    let shown = path.display();
    let unreadable = |error: &io::Error| {
        let problem = format!("cannot read {shown}: {}", reason(error));
        let remedy = "correct the path, or create the file and let the service read it";
        (problem, remedy.to_owned())
    };
    let metadata = fs::metadata(path).map_err(|error| unreadable(&error))?;
    if !metadata.is_file() {
        return Err((
            format!("{shown} is not a file"),
            "name the file itself".to_owned(),
        ));
    }
    let warning = is_world_readable(&metadata).then(|| {
        format!(
            "everybody on this machine may read the secret in {shown}; run: chmod o-rwx {shown}; of a secret mounted \
             into a container, set the mode where it is mounted (0400)"
        )
    });
    let text = read_bounded(path, MAX_BYTES)
        .map(Secret::new)
        .map_err(|error| unreadable(&error))?;
    match text.expose().trim() {
        "" => Err((
            format!("{shown} is empty"),
            "put the secret, and nothing else, into the file".to_owned(),
        )),
        secret => Ok(FromFile {
            secret: Secret::new(secret.to_owned()),
            warning,
        }),
    }
}

/// A whole text file of at most `max_bytes`.
pub(super) fn read_bounded(path: &Path, max_bytes: u64) -> io::Result<String> {
    let mut text = String::new();
    let length = File::open(path)?
        .take(max_bytes + 1)
        .read_to_string(&mut text)?;
    if u64::try_from(length).is_ok_and(|length| length > max_bytes) {
        return Err(io::Error::other(format!("larger than {max_bytes} bytes")));
    }
    Ok(text)
}

/// An I/O error in words that do not depend on the system.
pub(super) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or folder".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

/// Whether every account of the machine may read the file. A group is the operator's choice: mounted secrets come with
/// one.
#[cfg(unix)]
pub(super) fn is_world_readable(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    metadata.mode() & 0o004 != 0
}

/// Not knowable here.
#[cfg(not(unix))]
pub(super) fn is_world_readable(_: &fs::Metadata) -> bool {
    false
}
