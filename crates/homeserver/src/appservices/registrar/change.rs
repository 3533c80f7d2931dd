//! What operators do to registrations of the operator API: add, replace, remove.

use std::sync::Arc;

use bridgehead_admin_api::{Registered, RemovalReport, Source};
use bridgehead_store::{PurgeRow, RegistrationRow};

use super::{
    By, Entry, Known, Registrar, RegistrarError, Work, carry_out, findings_of,
    force::{Change, act, sender_of},
    lint, purge,
};
use crate::{
    app::App,
    appservices::registration::{
        Fault, HIDDEN, Registration, RegistrationError, find_conflicts, parse,
    },
};

/// A new text for a service.
pub(crate) struct Replacement<'a> {
    /// The text; tokens that read `***` stay as they are.
    pub(crate) yaml: &'a str,
    /// The revision that it is based on.
    pub(crate) revision: u64,
    /// Change nothing.
    pub(crate) dry_run: bool,
}

impl Registrar {
    /// Registers a service; the text is kept sealed in the database.
    ///
    /// # Errors
    /// [`RegistrarError::Invalid`], or [`RegistrarError::Conflict`] when the id is in use.
    pub(crate) async fn add(
        &self,
        app: &Arc<App>,
        yaml: &str,
        dry_run: bool,
        by: &By,
    ) -> Result<Registered, RegistrarError> {
        let (app, yaml, by) = (app.clone(), yaml.to_owned(), by.clone());
        carry_out(async move { app.registrar.add_now(&app, &yaml, dry_run, &by).await }).await
    }

    async fn add_now(
        &self,
        app: &Arc<App>,
        yaml: &str,
        dry_run: bool,
        by: &By,
    ) -> Result<Registered, RegistrarError> {
        refuse_hidden(yaml)?;
        let entry = Entry::of_api(yaml, None, &self.key).map_err(invalid)?;
        let id = entry.id().to_owned();
        let mut work = self.work.lock().await;
        if let Some(known) = self.known_of(&id) {
            return Err(taken(&id, &known));
        }
        let (name, key) = (id.clone(), id.clone());
        let (purge, stored): (Option<PurgeRow>, Option<RegistrationRow>) = app
            .store
            .read(move |snapshot| Ok((snapshot.purge(&name)?, snapshot.registration(&key)?)))
            .await
            .map_err(RegistrarError::Store)?;
        if purge.is_some_and(|purge| purge.finished_at.is_none()) {
            return Err(RegistrarError::Conflict {
                message: format!(
                    "what `{id}` had left behind is still being cleared up; wait until that is done"
                ),
                revision: None,
            });
        }
        check_beside_others(app, &entry)?;
        let findings = findings_of(app, entry.registration.clone(), &entry.warnings).await?;
        if dry_run {
            let revision = stored.map_or(1, |row| {
                row.revision + u64::from(row.digest != entry.digest)
            });
            return Ok(Registered {
                id,
                revision,
                findings,
            });
        }
        work.api.insert(id.clone(), entry);
        let row = act(by, "add", &id, None, app.now_ms());
        let change = Change {
            on: Some(id.clone()),
            extra: Some(Box::new(move |tx| tx.insert_audit(&row))),
            ..Change::default()
        };
        if let Err(error) = self.put_in_force(app, &mut work, change).await {
            work.api.remove(&id);
            return Err(error);
        }
        tracing::info!(appservice.id = %id, by = %by.who, "application service added");
        Ok(Registered {
            revision: self.revision(&id).unwrap_or(1),
            id,
            findings,
        })
    }

    /// Replaces a service's text, if nobody else has in the meantime.
    ///
    /// # Errors
    /// [`RegistrarError::Conflict`] when another revision is in force, or when the registration is
    /// a file.
    pub(crate) async fn replace(
        &self,
        app: &Arc<App>,
        id: &str,
        replacement: Replacement<'_>,
        by: &By,
    ) -> Result<Registered, RegistrarError> {
        let (app, id, by) = (app.clone(), id.to_owned(), by.clone());
        let yaml = replacement.yaml.to_owned();
        let (revision, dry_run) = (replacement.revision, replacement.dry_run);
        carry_out(async move {
            let replacement = Replacement {
                yaml: &yaml,
                revision,
                dry_run,
            };
            let registrar = &app.registrar;
            registrar.replace_now(&app, &id, replacement, &by).await
        })
        .await
    }

    async fn replace_now(
        &self,
        app: &Arc<App>,
        id: &str,
        replacement: Replacement<'_>,
        by: &By,
    ) -> Result<Registered, RegistrarError> {
        let mut work = self.work.lock().await;
        let known = self.known_of(id).ok_or_else(|| not_found(id))?;
        let before = api_entry(&work, id, &known, "change")?;
        if known.revision != replacement.revision {
            return Err(RegistrarError::Conflict {
                message: format!(
                    "the change is based on revision {}, but {} is in force; look at it and change that",
                    replacement.revision, known.revision
                ),
                revision: Some(known.revision),
            });
        }
        let entry = Entry::of_api(replacement.yaml, Some(&before), &self.key).map_err(invalid)?;
        if entry.id() != id {
            return Err(invalid(vec![error(
                &entry.registration,
                format!("the text is that of `{}`, not of `{id}`", entry.id()),
                "Keep the id; a service with another id is another service",
            )]));
        }
        check_beside_others(app, &entry)?;
        let findings = findings_of(app, entry.registration.clone(), &entry.warnings).await?;
        let changed = entry.digest != before.digest;
        if replacement.dry_run {
            return Ok(Registered {
                id: id.to_owned(),
                revision: known.revision + u64::from(changed),
                findings,
            });
        }
        work.api.insert(id.to_owned(), entry);
        let row = act(by, "change", id, None, app.now_ms());
        let change = Change {
            on: Some(id.to_owned()),
            extra: Some(Box::new(move |tx| tx.insert_audit(&row))),
            ..Change::default()
        };
        if let Err(error) = self.put_in_force(app, &mut work, change).await {
            work.api.insert(id.to_owned(), before);
            return Err(error);
        }
        tracing::info!(appservice.id = %id, by = %by.who, "registration changed");
        Ok(Registered {
            id: id.to_owned(),
            revision: self.revision(id).unwrap_or(known.revision),
            findings,
        })
    }

    /// Removes a service, and with `purge` what it has left behind. The same call for a service
    /// that is being cleared up tells how far that has come.
    ///
    /// # Errors
    /// [`RegistrarError::Conflict`] when the registration is a file.
    pub(crate) async fn remove(
        &self,
        app: &Arc<App>,
        id: &str,
        how: purge::How,
        by: &By,
    ) -> Result<RemovalReport, RegistrarError> {
        let (app, id, by) = (app.clone(), id.to_owned(), by.clone());
        carry_out(async move { app.registrar.remove_now(&app, &id, how, &by).await }).await
    }

    async fn remove_now(
        &self,
        app: &Arc<App>,
        id: &str,
        how: purge::How,
        by: &By,
    ) -> Result<RemovalReport, RegistrarError> {
        let mut work = self.work.lock().await;
        let Some(known) = self.known_of(id) else {
            drop(work);
            return purge::of_absent(self, app, id, how, by).await;
        };
        let report = purge::foresee(app, id, how.purge).await?;
        if how.dry_run {
            return Ok(report);
        }
        let before = api_entry(&work, id, &known, "delete")?;
        work.api.remove(id);
        let now_ms = app.now_ms();
        let detail = how.purge.then(|| "purge".to_owned());
        let row = act(by, "remove", id, detail, now_ms);
        let purge = how
            .purge
            .then(|| purge::row_of(&report, &before, app, now_ms));
        let stored = purge.clone();
        let change = Change {
            on: Some(id.to_owned()),
            gone: Some(id.to_owned()),
            extra: Some(Box::new(move |tx| {
                tx.insert_audit(&row)?;
                match &stored {
                    Some(purge) => tx.begin_purge(purge),
                    None => Ok(()),
                }
            })),
        };
        if let Err(error) = self.put_in_force(app, &mut work, change).await {
            work.api.insert(id.to_owned(), before);
            return Err(error);
        }
        drop(work);
        tracing::info!(appservice.id = %id, by = %by.who, purge = how.purge, "application service removed");
        match purge {
            Some(purge) => purge::start(self, app, purge).await,
            None => Ok(RemovalReport {
                dry_run: false,
                finished: true,
                ..report
            }),
        }
    }

    pub(super) fn known_of(&self, id: &str) -> Option<Known> {
        self.known.load().by_id.get(id).cloned()
    }
}

pub(super) fn not_found(id: &str) -> RegistrarError {
    RegistrarError::NotFound(id.to_owned())
}

fn taken(id: &str, known: &Known) -> RegistrarError {
    let place = match &known.source {
        Source::File { path } => format!("by the file {path}"),
        Source::Api => "over the operator API".to_owned(),
    };
    RegistrarError::Conflict {
        message: format!(
            "`{id}` is registered already, {place}; change that one, or choose another id"
        ),
        revision: Some(known.revision),
    }
}

/// The entry of a registration that did not come as a file.
fn api_entry(work: &Work, id: &str, known: &Known, verb: &str) -> Result<Entry, RegistrarError> {
    if let Source::File { path } = &known.source {
        return Err(RegistrarError::Conflict {
            message: format!(
                "the registration of `{id}` is the file {path}; {verb} that file, and it takes effect at once"
            ),
            revision: Some(known.revision),
        });
    }
    work.api.get(id).cloned().ok_or_else(|| not_found(id))
}

pub(super) fn invalid(errors: Vec<RegistrationError>) -> RegistrarError {
    RegistrarError::Invalid(lint::of_errors(&errors))
}

fn error(registration: &Registration, reason: String, remedy: &str) -> RegistrationError {
    RegistrationError {
        fault: Fault::Other,
        file: registration.source.file.clone(),
        line: None,
        column: None,
        reason,
        remedy: remedy.to_owned(),
    }
}

/// A new service has no tokens yet that could stay as they are.
fn refuse_hidden(yaml: &str) -> Result<(), RegistrarError> {
    let file = super::entry::api_file();
    let (registration, _) = parse(&file, yaml.as_bytes()).map_err(invalid)?;
    let hidden =
        registration.as_token.expose() == HIDDEN || registration.hs_token.expose() == HIDDEN;
    if !hidden {
        return Ok(());
    }
    Err(invalid(vec![error(
        &registration,
        format!("a token reads `{HIDDEN}`, which stands for one that is kept, but there is none"),
        "Write the service's own tokens",
    )]))
}

/// Ids and tokens are unique, and the sender is a user id.
fn check_beside_others(app: &App, entry: &Entry) -> Result<(), RegistrarError> {
    sender_of(&entry.registration, &app.server_name).map_err(|error| invalid(vec![error]))?;
    let registry = app.registry();
    let others = registry
        .services()
        .iter()
        .filter(|other| other.registration.id != entry.id());
    for other in others {
        let errors =
            find_conflicts(&[(*other.registration).clone(), (*entry.registration).clone()]);
        if !errors.is_empty() {
            return Err(invalid(errors));
        }
    }
    Ok(())
}
