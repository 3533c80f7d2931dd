//! Kinds of values that are paths or secrets, and reading small files with care.
//!
//! The text of a secret never reaches an error: these kinds describe what they found by its type alone.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use super::{
    kinds::Kind,
    value::{Given, Raw, Refusal, quote},
};
use crate::{private_file::Readers, secret::Secret};

/// The path of a value, counted from the right folder; `None` when the value is not a path.
fn resolve(given: &Given) -> Option<PathBuf> {
    let path = match &given.raw {
        Raw::Path(path) => path.as_path(),
        raw => Path::new(raw.text()?),
    };
    (!path.as_os_str().is_empty()).then(|| given.origin.resolve(path))
}

/// A folder, which need not exist yet.
pub(super) struct Folder;

impl Kind for Folder {
    type Value = PathBuf;

    fn expected(&self) -> String {
        "a folder".to_owned()
    }

    fn example(&self) -> String {
        r#""/var/lib/bridgehead""#.to_owned()
    }

    fn read(&self, given: &Given) -> Result<PathBuf, Vec<Refusal>> {
        let path = resolve(given).ok_or_else(|| self.mismatch(given))?;
        if path.exists() && !path.is_dir() {
            let problem = format!("{} is not a folder", quote(&path.display().to_string()));
            return Err(vec![
                given.refuse(problem, "name a folder, or one that can be created"),
            ]);
        }
        Ok(path)
    }
}

/// A file or folder of registrations, which must exist.
pub(super) struct FileOrFolder;

impl Kind for FileOrFolder {
    type Value = PathBuf;

    fn expected(&self) -> String {
        "a file or folder that exists".to_owned()
    }

    fn example(&self) -> String {
        r#""/etc/bridgehead/appservices""#.to_owned()
    }

    fn read(&self, given: &Given) -> Result<PathBuf, Vec<Refusal>> {
        let path = resolve(given).ok_or_else(|| self.mismatch(given))?;
        match fs::metadata(&path) {
            Ok(_) => Ok(path),
            Err(error) => Err(vec![unusable(given, &path, &error)]),
        }
    }
}

/// A file that must exist; one with a secret must not be readable by everybody.
pub(super) struct ExistingFile {
    pub(super) secret: bool,
    /// For the reference, as TOML.
    pub(super) example: &'static str,
}

impl Kind for ExistingFile {
    type Value = PathBuf;

    fn expected(&self) -> String {
        "a file that exists".to_owned()
    }

    fn example(&self) -> String {
        self.example.to_owned()
    }

    fn read(&self, given: &Given) -> Result<PathBuf, Vec<Refusal>> {
        let path = resolve(given).ok_or_else(|| self.mismatch(given))?;
        let shown = quote(&path.display().to_string());
        match fs::metadata(&path) {
            Err(error) => Err(vec![unusable(given, &path, &error)]),
            Ok(found) if !found.is_file() => {
                Err(vec![given.refuse(
                    format!("{shown} is not a file"),
                    "name the file itself",
                )])
            }
            Ok(found) if self.secret && is_world_readable(&found) => Err(vec![given.refuse(
                format!("everybody on this machine may read the secret in {shown}"),
                format!("run: chmod o-rwx {}", path.display()),
            )]),
            Ok(_) => Ok(path),
        }
    }
}

fn unusable(given: &Given, path: &Path, error: &io::Error) -> Refusal {
    let problem = format!(
        "cannot use {}: {}",
        quote(&path.display().to_string()),
        reason(error)
    );
    given.refuse(
        problem,
        "correct the path, or create the file and let the server read it",
    )
}

/// An I/O error in words that do not depend on the system.
pub(super) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or folder".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

/// Whether every account of the machine may read (or write) the file. A group is the operator's choice: certificates
/// and mounted secrets come with one.
pub(super) fn is_world_readable(metadata: &fs::Metadata) -> bool {
    Readers::of(metadata) == Readers::Everybody
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

/// A secret that is not empty.
pub(super) struct SecretText;

impl Kind for SecretText {
    type Value = Secret;

    fn expected(&self) -> String {
        "a secret text that is not empty".to_owned()
    }

    fn example(&self) -> String {
        r#""a long random text""#.to_owned()
    }

    fn read(&self, given: &Given) -> Result<Secret, Vec<Refusal>> {
        let text = given.raw.text().filter(|text| !text.trim().is_empty());
        text.map(|text| Secret::from(text.to_owned()))
            .ok_or_else(|| self.mismatch(given))
    }

    fn mismatch(&self, given: &Given) -> Vec<Refusal> {
        secret_mismatch(self, given)
    }
}

/// A token for signing up, as the specification allows: 1 to 64 of `A-Za-z0-9._~-`.
pub(super) struct SignUpToken;

impl Kind for SignUpToken {
    type Value = Secret;

    fn expected(&self) -> String {
        "a text of 1 to 64 letters, digits and ._~-".to_owned()
    }

    fn example(&self) -> String {
        r#""welcome-2026""#.to_owned()
    }

    fn read(&self, given: &Given) -> Result<Secret, Vec<Refusal>> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
        let token = given
            .raw
            .text()
            .filter(|text| (1..=64).contains(&text.len()) && text.bytes().all(allowed));
        token
            .map(|text| Secret::from(text.to_owned()))
            .ok_or_else(|| self.mismatch(given))
    }

    fn mismatch(&self, given: &Given) -> Vec<Refusal> {
        secret_mismatch(self, given)
    }
}

fn secret_mismatch(kind: &impl Kind, given: &Given) -> Vec<Refusal> {
    let found = match given.raw.text() {
        Some("") => "an empty text",
        Some(_) => "a text with something else in it",
        None => given.raw.describe_type(),
    };
    let problem = format!("expected {}, found {found}", kind.expected());
    vec![given.refuse(
        problem,
        format!("write e.g. {}", given.spell(&kind.example())),
    )]
}
