//! New tokens for a service, while the old ones are good for a while.

use std::{io, path::Path, sync::Arc, time::Duration};

use bridgehead_admin_api::{Rotated, Source};
use bridgehead_store::OldTokenRow;
use zeroize::Zeroizing;

use super::{
    By, Entry, Registrar, RegistrarError, Work, carry_out,
    change::{invalid, not_found},
    entry::{digest_of, has_derived_id, old_token_purpose},
    force::{Change, Extra, act},
};
use crate::{
    app::App,
    appservices::registration::{Registration, read_bounded, replace_file, with_tokens},
    http::auth,
    secret::Secret,
};

/// Old tokens are not good for longer.
pub(crate) const MAX_OVERLAP: Duration = Duration::from_secs(30 * 24 * 3600);

/// New tokens, in clear until they are told.
struct Fresh {
    as_token: Zeroizing<String>,
    hs_token: Zeroizing<String>,
}

impl Registrar {
    /// Gives a service new tokens. The old ones are good for `overlap` (at most
    /// [`MAX_OVERLAP`]). Of a registration that is a file, the two values in it are replaced.
    ///
    /// # Errors
    /// [`RegistrarError::NotWritable`] when the file cannot be changed.
    pub(crate) async fn rotate(
        &self,
        app: &Arc<App>,
        id: &str,
        overlap: Duration,
        by: &By,
    ) -> Result<Rotated, RegistrarError> {
        let (app, id, by) = (app.clone(), id.to_owned(), by.clone());
        carry_out(async move { app.registrar.rotate_now(&app, &id, overlap, &by).await }).await
    }

    async fn rotate_now(
        &self,
        app: &Arc<App>,
        id: &str,
        overlap: Duration,
        by: &By,
    ) -> Result<Rotated, RegistrarError> {
        let mut work = self.work.lock().await;
        let known = self.known_of(id).ok_or_else(|| not_found(id))?;
        let fresh = Fresh {
            as_token: Zeroizing::new(app.random.token()),
            hs_token: Zeroizing::new(app.random.token()),
        };
        let overlap = overlap.min(MAX_OVERLAP);
        let until_ms = (!overlap.is_zero()).then(|| {
            let overlap = i64::try_from(overlap.as_millis()).unwrap_or(i64::MAX);
            app.now_ms().saturating_add(overlap)
        });
        match &known.source {
            Source::Api => {
                self.rotate_sealed(app, &mut work, id, &fresh, until_ms, by)
                    .await?;
            }
            Source::File { .. } => {
                self.rotate_in_file(app, &mut work, id, &fresh, until_ms, by)
                    .await?;
            }
        }
        tracing::info!(appservice.id = %id, by = %by.who, "tokens rotated");
        Ok(Rotated {
            id: id.to_owned(),
            as_token: fresh.as_token.to_string(),
            hs_token: fresh.hs_token.to_string(),
            revision: self.revision(id).unwrap_or(known.revision),
            overlap_until_ms: until_ms,
        })
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one act with all that it needs; it has one caller"
    )]
    async fn rotate_sealed(
        &self,
        app: &Arc<App>,
        work: &mut Work,
        id: &str,
        fresh: &Fresh,
        until_ms: Option<i64>,
        by: &By,
    ) -> Result<(), RegistrarError> {
        let before = work.api.get(id).cloned().ok_or_else(|| not_found(id))?;
        let hash = auth::hash(&fresh.as_token);
        let hs_token = Secret::new(fresh.hs_token.to_string());
        let after = before.with_tokens(hash, hs_token, &self.key);
        work.api.insert(id.to_owned(), after);
        let old = until_ms.map(|until_ms| self.old_token(&before.registration, until_ms));
        let change = rotation(app, id, old, by);
        let changed = self.put_in_force(app, work, change).await;
        if changed.is_err() {
            work.api.insert(id.to_owned(), before);
        }
        changed
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one act with all that it needs; it has one caller"
    )]
    async fn rotate_in_file(
        &self,
        app: &Arc<App>,
        work: &mut Work,
        id: &str,
        fresh: &Fresh,
        until_ms: Option<i64>,
        by: &By,
    ) -> Result<(), RegistrarError> {
        let registry = app.registry();
        let registration = registry
            .services()
            .iter()
            .map(|service| service.registration.clone())
            .find(|registration| registration.id == id)
            .ok_or_else(|| not_found(id))?;
        let file = registration.source.file.clone();
        let changed = new_content(&registration, fresh)?;
        let entry = Entry::of_file(&file, changed.as_bytes()).map_err(invalid)?;
        let old = until_ms.map(|until_ms| self.old_token(&registration, until_ms));
        // The old tokens are kept before the file has the new ones: a crash in between leaves
        // tokens of which both are known.
        if let Some(old) = old.clone() {
            app.store.write(move |tx| tx.insert_old_token(&old)).await?;
        }
        let target = file.clone();
        let writing = app.blocking.io(move || replace_file(&target, &changed));
        if let Err(error) = writing.await {
            let id = id.to_owned();
            app.store.write(move |tx| tx.delete_old_tokens(&id)).await?;
            return Err(not_writable(&file, &error));
        }
        work.files.expect(&file, entry);
        work.unfinished = true;
        self.put_in_force(app, work, rotation(app, id, old, by))
            .await
    }

    fn old_token(&self, registration: &Registration, until_ms: i64) -> OldTokenRow {
        let id = &registration.id;
        let plain = registration.hs_token.expose().as_bytes();
        OldTokenRow {
            as_token_hash: registration.as_token_hash,
            service_id: id.clone(),
            hs_token: self.key.seal(&old_token_purpose(id), plain),
            until_ms,
        }
    }
}

/// What a rotation writes beside the registration. Without an overlap all old tokens end now.
fn rotation(app: &App, id: &str, old: Option<OldTokenRow>, by: &By) -> Change {
    let detail = match &old {
        Some(old) => format!("the old tokens are good until {} ms", old.until_ms),
        None => "the old tokens are not good any more".to_owned(),
    };
    let row = act(by, "rotate", id, Some(detail), app.now_ms());
    let name = id.to_owned();
    let extra: Extra = Box::new(move |tx| {
        match &old {
            Some(old) => tx.insert_old_token(old)?,
            None => tx.delete_old_tokens(&name)?,
        }
        tx.insert_audit(&row)
    });
    Change {
        on: Some(id.to_owned()),
        gone: None,
        extra: Some(extra),
    }
}

/// The file's text with new tokens and nothing else changed.
fn new_content(
    registration: &Registration,
    fresh: &Fresh,
) -> Result<Zeroizing<String>, RegistrarError> {
    let file = &registration.source.file;
    if has_derived_id(registration) {
        return Err(RegistrarError::NotWritable(format!(
            "{} names no id, so the service is called after its token; write `id: {}` into it first",
            file.display(),
            registration.id
        )));
    }
    let content = read_bounded(file).map_err(|error| invalid(vec![error]))?;
    let in_force = Entry::of_file(file, &content).ok().filter(|entry| {
        entry.registration.as_token_hash == registration.as_token_hash
            && entry.registration.hs_token == registration.hs_token
            && entry.registration.id == registration.id
    });
    let Some(entry) = in_force else {
        return Err(RegistrarError::Conflict {
            message: format!(
                "{} says something else than what is in force; mend it or wait until it takes effect",
                file.display()
            ),
            revision: None,
        });
    };
    debug_assert_eq!(entry.digest, digest_of(&content));
    std::str::from_utf8(&content)
        .ok()
        .and_then(|text| with_tokens(text, &fresh.as_token, &fresh.hs_token))
        .map(Zeroizing::new)
        .ok_or_else(|| {
            RegistrarError::NotWritable(format!(
                "the tokens of {} cannot be replaced one by one (are they behind an anchor?); change them by hand",
                file.display()
            ))
        })
}

fn not_writable(file: &Path, error: &io::Error) -> RegistrarError {
    RegistrarError::NotWritable(format!(
        "{} could not be replaced: {error}; let the server's user write it and its folder, or change both tokens by hand",
        file.display()
    ))
}
