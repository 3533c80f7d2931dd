//! Registrations from disk: files and folders, and the check that no two of them clash.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::{Fault, Registration, RegistrationError, RegistrationWarning, parse};

/// A larger file is refused: no registration comes near.
pub const MAX_FILE_BYTES: u64 = 1 << 20;
/// A folder with more registrations is refused: it is more likely the wrong folder.
pub const MAX_FILES_PER_FOLDER: usize = 1_000;

/// What [`load`] read.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The registrations, in the order of the paths and, in a folder, of the file names.
    pub registrations: Vec<Registration>,
    /// What was odd about them.
    pub warnings: Vec<RegistrationWarning>,
}

/// Reads registrations from files and from folders (every `*.yaml` and `*.yml`, not below). A file that is reached
/// twice is read once.
///
/// # Errors
/// Everything that is wrong with any of them, clashes included; nothing is loaded then.
pub fn load(paths: &[PathBuf]) -> Result<Loaded, Vec<RegistrationError>> {
    let mut loaded = Loaded::default();
    let mut errors = Vec::new();
    for file in list_files(paths, &mut errors) {
        let result = read_bounded(&file).map_err(|error| vec![error]);
        match result.and_then(|content| parse(&file, &content)) {
            Ok((registration, warnings)) => {
                loaded.registrations.push(registration);
                loaded.warnings.extend(warnings);
            }
            Err(more) => errors.extend(more),
        }
    }
    errors.extend(find_conflicts(&loaded.registrations));
    if !errors.is_empty() {
        return Err(errors);
    }
    loaded.warnings.extend(find_overlaps(&loaded.registrations));
    Ok(loaded)
}

/// The registrations that cannot stand beside an earlier one: same `id` or same `as_token`.
#[must_use]
pub fn find_conflicts(registrations: &[Registration]) -> Vec<RegistrationError> {
    let mut ids = HashMap::new();
    let mut tokens = HashMap::new();
    let mut errors = Vec::new();
    for registration in registrations {
        let source = &registration.source;
        let same_token = tokens.insert(registration.as_token_hash, registration);
        if let Some(first) = ids.insert(registration.id.as_str(), registration) {
            // Equal tokens give equal derived ids; the id is then the consequence, not the fault.
            if same_token.is_none() || source.id_line != source.as_token_line {
                let reason = format!(
                    "the id `{}` is already used in {}",
                    registration.id,
                    place_of(first, |s| s.id_line)
                );
                let remedy = "Give each application service its own id, or list the file only once";
                errors.push(conflict(registration, source.id_line, reason, remedy));
            }
        }
        if let Some(first) = same_token {
            let reason = format!(
                "this `as_token` is already used in {}",
                place_of(first, |s| s.as_token_line)
            );
            let remedy = "Give each application service its own as_token";
            errors.push(conflict(registration, source.as_token_line, reason, remedy));
        }
    }
    errors
}

fn conflict(
    registration: &Registration,
    line: Option<u64>,
    reason: String,
    remedy: &str,
) -> RegistrationError {
    let file = registration.source.file.clone();
    RegistrationError {
        fault: Fault::Other,
        file,
        line,
        column: None,
        reason,
        remedy: remedy.to_owned(),
    }
}

fn place_of(registration: &Registration, line: impl Fn(&super::Source) -> Option<u64>) -> String {
    let file = registration.source.file.display();
    match line(&registration.source) {
        Some(line) => format!("{file}:{line}"),
        None => file.to_string(),
    }
}

/// What two services both claim for themselves, as far as it can be told from the text.
#[must_use]
pub fn find_overlaps(registrations: &[Registration]) -> Vec<RegistrationWarning> {
    let mut claims: HashMap<(&str, &str), &Registration> = HashMap::new();
    let mut warnings = Vec::new();
    for registration in registrations {
        let patterns = [
            ("users", &registration.users),
            ("aliases", &registration.aliases),
        ];
        let exclusive = patterns.iter().flat_map(|(key, list)| {
            list.iter()
                .filter(|namespace| namespace.exclusive)
                .map(move |namespace| (*key, namespace.regex.as_str()))
        });
        let sender = ("sender_localpart", registration.sender_localpart.as_str());
        for claim in exclusive.chain([sender]) {
            let Some(first) = claims
                .insert(claim, registration)
                .filter(|first| first.id != registration.id)
            else {
                continue;
            };
            let (key, text) = claim;
            warnings.push(RegistrationWarning {
                file: registration.source.file.clone(),
                line: None,
                reason: format!(
                    "`{}` and `{}` both claim the {key} `{text}` for themselves",
                    first.id, registration.id
                ),
            });
        }
    }
    warnings
}

fn list_files(paths: &[PathBuf], errors: &mut Vec<RegistrationError>) -> Vec<PathBuf> {
    let mut seen = HashSet::new();
    let mut files = Vec::new();
    for path in paths {
        match expand(path) {
            Ok(more) => files.extend(more.into_iter().filter(|file| seen.insert(identity(file)))),
            Err(error) => errors.push(error),
        }
    }
    files
}

fn identity(file: &Path) -> PathBuf {
    fs::canonicalize(file).unwrap_or_else(|_| file.to_owned())
}

/// The registration files that a path of the configuration stands for.
pub fn expand(path: &Path) -> Result<Vec<PathBuf>, RegistrationError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(|error| unreadable(path, &error))? {
        let file = entry.map_err(|error| unreadable(path, &error))?.path();
        if !is_registration_name(&file) || file.is_dir() {
            continue;
        }
        if files.len() == MAX_FILES_PER_FOLDER {
            let reason = format!("the folder holds more than {MAX_FILES_PER_FOLDER} registrations");
            return Err(file_error(
                path,
                reason,
                "Name the folder that holds only registrations",
            ));
        }
        files.push(file);
    }
    files.sort();
    Ok(files)
}

/// `*.yaml` and `*.yml`; editors' hidden copies are left alone.
fn is_registration_name(file: &Path) -> bool {
    let hidden = file
        .file_name()
        .is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    !hidden
        && file
            .extension()
            .is_some_and(|extension| extension == "yaml" || extension == "yml")
}

/// A file's content, if it is a file of a bearable size.
pub fn read_bounded(file: &Path) -> Result<Zeroizing<Vec<u8>>, RegistrationError> {
    // Opening a pipe or a device would wait or never end.
    let metadata = fs::metadata(file).map_err(|error| unreadable(file, &error))?;
    if !metadata.is_file() {
        return Err(file_error(
            file,
            "this is not a regular file".to_owned(),
            "Name a registration file or a folder",
        ));
    }
    let mut content = Zeroizing::new(Vec::new());
    File::open(file)
        .and_then(|opened| opened.take(MAX_FILE_BYTES + 1).read_to_end(&mut content))
        .map_err(|error| unreadable(file, &error))?;
    if content.len() as u64 > MAX_FILE_BYTES {
        let reason = format!("the file is larger than {MAX_FILE_BYTES} bytes");
        return Err(file_error(
            file,
            reason,
            "Check that this is a registration",
        ));
    }
    Ok(content)
}

fn unreadable(path: &Path, error: &io::Error) -> RegistrationError {
    let remedy = match error.kind() {
        io::ErrorKind::NotFound => "Check the path; relative ones start at the working directory",
        io::ErrorKind::PermissionDenied => "Let the user that this runs as read it",
        _ => "Check the file and its disk",
    };
    file_error(path, format!("cannot be read: {error}"), remedy)
}

fn file_error(path: &Path, reason: String, remedy: &str) -> RegistrationError {
    RegistrationError {
        fault: Fault::Other,
        file: path.to_owned(),
        line: None,
        column: None,
        reason,
        remedy: remedy.to_owned(),
    }
}
