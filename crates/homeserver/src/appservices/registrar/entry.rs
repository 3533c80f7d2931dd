//! One registration with what belongs to it: its digest, its text without tokens, and for one of
//! the operator API its sealed form.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use bridgehead_admin_api::Source;
use bridgehead_store::RegistrationRow;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize as _, Zeroizing};

use crate::{
    appservices::registration::{
        HIDDEN, Registration, RegistrationError, RegistrationWarning, masked, parse,
    },
    sealing::SealingKey,
    secret::Secret,
};

/// SHA-256 of what a registration says.
pub(super) type Digest = [u8; 32];

/// A registration that is in force, or may be.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) registration: Arc<Registration>,
    pub(super) warnings: Vec<RegistrationWarning>,
    pub(super) digest: Digest,
    /// The text, tokens hidden.
    pub(super) text: Arc<str>,
    /// Of one that came over the operator API: what the database keeps.
    pub(super) sealed: Option<Arc<[u8]>>,
}

/// What is sealed. The `as_token` is only ever compared, so its hash will do.
#[derive(Serialize, Deserialize)]
struct Sealed {
    id: String,
    yaml: String,
    as_token_hash: [u8; 32],
    hs_token: String,
}

/// What stands for the file of a registration that has none.
pub(super) fn api_file() -> PathBuf {
    PathBuf::from("operator API")
}

fn purpose(id: &str) -> String {
    format!("registration {id}")
}

/// What the old token of a service is sealed for.
pub(super) fn old_token_purpose(id: &str) -> String {
    format!("old hs_token {id}")
}

pub(super) fn digest_of(content: &[u8]) -> Digest {
    Sha256::digest(content).into()
}

impl Entry {
    /// From a file's content.
    pub(super) fn of_file(file: &Path, content: &[u8]) -> Result<Self, Vec<RegistrationError>> {
        let (registration, warnings) = parse(file, content)?;
        // The reader has found it to be text.
        let text = String::from_utf8_lossy(content);
        let tokens = [
            registration.as_token.expose(),
            registration.hs_token.expose(),
        ];
        Ok(Self {
            text: masked(&text, tokens).into(),
            digest: digest_of(content),
            registration: Arc::new(registration),
            warnings,
            sealed: None,
        })
    }

    /// From a text of the operator API. Tokens that are hidden in it are taken from `before`.
    pub(super) fn of_api(
        yaml: &str,
        before: Option<&Self>,
        key: &SealingKey,
    ) -> Result<Self, Vec<RegistrationError>> {
        let (mut registration, warnings) = parse(&api_file(), yaml.as_bytes())?;
        let shown = [
            registration.as_token.expose(),
            registration.hs_token.expose(),
        ];
        let text = masked(yaml, shown);
        if let Some(before) = before.map(|before| &before.registration) {
            if registration.as_token.expose() == HIDDEN {
                registration.as_token_hash = before.as_token_hash;
            }
            if registration.hs_token.expose() == HIDDEN {
                registration.hs_token = before.hs_token.clone();
            }
            if has_derived_id(&registration) {
                registration.id.clone_from(&before.id);
            }
        }
        // From here on the hash is all there is of it.
        registration.as_token = Secret::new(HIDDEN.to_owned());
        Ok(Self::sealed(registration, warnings, text, key))
    }

    /// The same registration with other tokens.
    pub(super) fn with_tokens(
        &self,
        as_token_hash: [u8; 32],
        hs_token: Secret,
        key: &SealingKey,
    ) -> Self {
        let registration = Registration {
            as_token_hash,
            hs_token,
            ..(*self.registration).clone()
        };
        Self::sealed(
            registration,
            self.warnings.clone(),
            self.text.to_string(),
            key,
        )
    }

    fn sealed(
        registration: Registration,
        warnings: Vec<RegistrationWarning>,
        text: String,
        key: &SealingKey,
    ) -> Self {
        let mut content = Sealed {
            id: registration.id.clone(),
            yaml: text.clone(),
            as_token_hash: registration.as_token_hash,
            hs_token: registration.hs_token.expose().to_owned(),
        };
        let json = Zeroizing::new(
            serde_json::to_vec(&content).expect("strings and bytes can be written as JSON"),
        );
        content.hs_token.zeroize();
        Self {
            digest: digest_of(&json),
            sealed: Some(key.seal(&purpose(&registration.id), &json).into()),
            registration: Arc::new(registration),
            warnings,
            text: text.into(),
        }
    }

    /// What the database has sealed; `None` when it cannot be opened or read.
    pub(super) fn open(row: &RegistrationRow, key: &SealingKey) -> Option<Self> {
        let sealed = row.sealed.as_deref()?;
        let json = key.open(&purpose(&row.id), sealed)?;
        let content: Sealed = serde_json::from_slice(&json).ok()?;
        let (mut registration, warnings) = parse(&api_file(), content.yaml.as_bytes()).ok()?;
        registration.id = content.id;
        registration.as_token_hash = content.as_token_hash;
        registration.hs_token = Secret::new(content.hs_token);
        Some(Self {
            registration: Arc::new(registration),
            warnings,
            digest: digest_of(&json),
            text: content.yaml.into(),
            sealed: Some(sealed.into()),
        })
    }

    pub(super) fn id(&self) -> &str {
        &self.registration.id
    }

    pub(super) fn source(&self) -> Source {
        if self.sealed.is_some() {
            Source::Api
        } else {
            Source::File {
                path: self.registration.source.file.display().to_string(),
            }
        }
    }
}

/// Whether the text names no id, so that it was made from the token.
pub(super) fn has_derived_id(registration: &Registration) -> bool {
    let source = &registration.source;
    source.id_line.is_none() || source.id_line == source.as_token_line
}
