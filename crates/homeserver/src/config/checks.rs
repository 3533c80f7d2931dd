//! What can only be judged by looking at several keys, or at the file that a key names.

use std::path::Path;

use super::{
    errors::{ConfigWarning, Origin},
    files,
    keys::Config,
    reader::Reader,
    value::{Refusal, quote},
};
use crate::secret::Secret;

/// Largest file with a secret.
const MAX_SECRET_BYTES: u64 = 4096;

/// Checks `config` as a whole and puts secrets from their files into their places.
pub(super) fn run(config: &mut Config, reader: &mut Reader) {
    check_tls(reader);
    check_backoff(config, reader);
    let accounts = &mut config.accounts;
    if let Some(secret) = settle_secret(
        "accounts.registration_shared_secret",
        "accounts.registration_shared_secret_file",
        accounts.registration_shared_secret_file.as_deref(),
        reader,
    ) {
        accounts.registration_shared_secret = Some(secret);
    }
    let metrics = &mut config.metrics;
    if let Some(token) = settle_secret(
        "metrics.token",
        "metrics.token_file",
        metrics.token_file.as_deref(),
        reader,
    ) {
        metrics.token = Some(token);
    }
}

/// Certificate and key make sense together only.
fn check_tls(reader: &mut Reader) {
    for (given, missing) in [
        ("tls.certificate", "tls.key"),
        ("tls.key", "tls.certificate"),
    ] {
        if let (Some(origin), None) = (reader.origin(given).cloned(), reader.origin(missing)) {
            let problem = format!("given without {missing}");
            reader.refuse(
                given,
                Refusal {
                    origin,
                    problem,
                    remedy: format!("give {missing} too, or neither"),
                },
            );
        }
    }
}

/// The first wait must not be longer than the longest.
fn check_backoff(config: &Config, reader: &mut Reader) {
    const MIN: &str = "appservices.backoff_min_ms";
    const MAX: &str = "appservices.backoff_max_ms";
    let appservices = &config.appservices;
    let judged = reader.is_sound(MIN) && reader.is_sound(MAX);
    if !judged || appservices.backoff_min <= appservices.backoff_max {
        return;
    }
    // Blame the key that was written; if both were, the lower bound.
    let (blamed, origin) = match (reader.origin(MIN), reader.origin(MAX)) {
        (Some(origin), _) => (MIN, origin.clone()),
        (None, Some(origin)) => (MAX, origin.clone()),
        (None, None) => (MIN, Origin::Default),
    };
    let problem = format!(
        "the first wait, {} ms, is longer than the longest, {} ms",
        appservices.backoff_min.as_millis(),
        appservices.backoff_max.as_millis()
    );
    reader.refuse(
        blamed,
        Refusal {
            origin,
            problem,
            remedy: format!("make {MIN} at most {MAX}"),
        },
    );
}

/// A secret may be written or be in a file; the higher layer wins, and one layer must not give both. Gives back the
/// one in the file, where that one counts.
fn settle_secret(
    text_key: &'static str,
    file_key: &'static str,
    file: Option<&Path>,
    reader: &mut Reader,
) -> Option<Secret> {
    let origin = reader.origin(file_key).cloned()?;
    let text_layer = reader.origin(text_key).map_or(0, Origin::layer);
    if text_layer > origin.layer() {
        return None;
    }
    let refusal = if text_layer == origin.layer() {
        Refusal {
            origin,
            problem: format!("given beside {text_key}"),
            remedy: "keep one of the two".to_owned(),
        }
    } else {
        match read_secret(file?) {
            Ok(secret) => return Some(secret),
            Err(problem) => Refusal {
                origin,
                problem,
                remedy: "put the secret, and nothing else, into the file".to_owned(),
            },
        }
    };
    reader.refuse(file_key, refusal);
    None
}

/// The secret in a file, without the newline that editors put at the end.
fn read_secret(path: &Path) -> Result<Secret, String> {
    let shown = quote(&path.display().to_string());
    let text = files::read_bounded(path, MAX_SECRET_BYTES)
        .map(Secret::from)
        .map_err(|error| format!("cannot read {shown}: {}", files::reason(&error)))?;
    let secret = text.expose().trim_end_matches(['\r', '\n']);
    if secret.trim().is_empty() {
        return Err(format!("{shown} is empty"));
    }
    Ok(Secret::from(secret.to_owned()))
}

/// Warns of secrets in a configuration file that everybody on the machine may read.
pub(super) fn warn_of_open_secrets(file: &Path, reader: &Reader) -> Option<ConfigWarning> {
    let written: Vec<&str> = [
        "accounts.registration_tokens",
        "accounts.registration_shared_secret",
        "metrics.token",
    ]
    .into_iter()
    .filter(|path| matches!(reader.origin(path), Some(Origin::File { .. })))
    .collect();
    let is_open = std::fs::metadata(file).is_ok_and(|metadata| files::is_world_readable(&metadata));
    (is_open && !written.is_empty()).then(|| ConfigWarning {
        origin: Origin::whole_file(file),
        text: format!(
            "everybody on this machine may read {}; run: chmod o-rwx {}",
            written.join(" and "),
            file.display()
        ),
    })
}
