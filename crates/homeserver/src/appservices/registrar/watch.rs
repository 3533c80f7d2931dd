//! The start, and the watch over files and folders.

use std::{collections::HashSet, sync::Arc, time::Duration};

use bridgehead_admin_api::Severity;
use bridgehead_store::RegistrationRow;

use super::{
    Entry, Registrar, RegistrarError, Work,
    files::{Looked, Pace},
    force::{Change, resolve},
    lint_with, purge,
};
use crate::{
    app::App,
    appservices::{
        Registry,
        registration::{Registration, RegistrationError},
    },
    shutdown::Shutdown,
};

/// How soon a change is looked at again before it counts.
const SETTLE: Duration = Duration::from_millis(250);
/// New services that the linter looks at by itself after one change.
const MAX_DOUBTS: usize = 20;

/// Why the registrations could not be put in force at the start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BeginError {
    /// Files were refused; at the start that is told at once, for nothing runs yet.
    #[error("registrations refused")]
    Refused(Vec<RegistrationError>),
    /// Anything else.
    #[error(transparent)]
    Other(#[from] RegistrarError),
}

impl Registrar {
    /// Puts in force what is in the files and in the database, and starts what belongs to it:
    /// deliveries, the watch, and clearing up that an earlier life had begun.
    #[expect(
        clippy::redundant_closure_for_method_calls,
        reason = "the method alone is not general enough in the snapshot's lifetime"
    )]
    pub(crate) async fn begin(&self, app: &Arc<App>, end: Shutdown) -> Result<(), BeginError> {
        // A second begin of one server would be a bug; the first one's shutdown stays.
        self.end.set(end.clone()).ok();
        let mut work = self.work.lock().await;
        self.open_sealed(app, &mut work).await?;
        self.look(app, &mut work, Pace::Start).await?;
        let mut errors: Vec<_> = work
            .files
            .problems()
            .into_iter()
            .flat_map(|problem| problem.errors)
            .collect();
        let resolved = resolve(&work.api, work.files.wishes(), &app.server_name);
        errors.extend(resolved.refused.into_values().flatten());
        if !errors.is_empty() {
            return Err(BeginError::Refused(errors));
        }
        self.put_in_force(app, &mut work, Change::default()).await?;
        drop(work);
        let unfinished = app
            .store
            .read(|snapshot| snapshot.unfinished_purges())
            .await
            .map_err(RegistrarError::Store)?;
        let mut tasks = self.tasks.lock();
        for purge in unfinished {
            tasks.spawn(purge::run(app.clone(), purge, end.clone()));
        }
        tasks.spawn(watch(app.clone(), end));
        Ok(())
    }

    /// Registrations of the operator API; those that cannot be opened are remembered.
    #[expect(
        clippy::redundant_closure_for_method_calls,
        reason = "the method alone is not general enough in the snapshot's lifetime"
    )]
    async fn open_sealed(&self, app: &Arc<App>, work: &mut Work) -> Result<(), RegistrarError> {
        let rows: Vec<RegistrationRow> = app
            .store
            .read(|snapshot| snapshot.registrations())
            .await
            .map_err(RegistrarError::Store)?;
        for row in rows.iter().filter(|row| row.sealed.is_some()) {
            match Entry::open(row, &self.key) {
                Some(entry) => {
                    work.api.insert(row.id.clone(), entry);
                }
                None => {
                    tracing::error!(
                        appservice.id = %row.id,
                        "the sealed registration cannot be opened, so the service is not in force; \
                         restore secrets.key from the backup that belongs to the database, or add \
                         the registration again"
                    );
                    work.unopened.push(row.id.clone());
                }
            }
        }
        Ok(())
    }

    /// Looks at the files now, and puts in force what they say.
    pub(crate) async fn reload(&self, app: &Arc<App>) -> Result<(), RegistrarError> {
        let mut work = self.work.lock().await;
        self.look(app, &mut work, Pace::Now).await?;
        self.put_in_force(app, &mut work, Change::default()).await?;
        tracing::info!(
            services = app.registry().services().len(),
            "registrations read again"
        );
        Ok(())
    }

    /// Has the linter look at what is new since `before`.
    fn look_for_doubts(&self, app: &Arc<App>, before: &Registry) {
        let known: HashSet<_> = before
            .services()
            .iter()
            .map(|service| Arc::as_ptr(&service.registration))
            .collect();
        let changed: Vec<_> = app
            .registry()
            .services()
            .iter()
            .map(|service| service.registration.clone())
            .filter(|registration| !known.contains(&Arc::as_ptr(registration)))
            .take(MAX_DOUBTS)
            .collect();
        let Some(end) = self.end.get().cloned() else {
            return;
        };
        let app = app.clone();
        let mut tasks = self.tasks.lock();
        // Those that are done make room.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move {
            tokio::select! {
                () = tell_doubts(app, changed) => {}
                () = end.requested() => {}
            }
        });
    }

    async fn look(&self, app: &App, work: &mut Work, pace: Pace) -> Result<Looked, RegistrarError> {
        let looker = work.files.looker(pace);
        let scan = app
            .blocking
            .run(move || looker.look())
            .await
            .map_err(|error| {
                RegistrarError::Store(bridgehead_store::Error::Unavailable {
                    reason: error.to_string(),
                })
            })?;
        Ok(work.files.take_in(scan, pace))
    }

    /// One look of the watch; says whether to look again soon.
    async fn look_and_change(&self, app: &Arc<App>, pace: Pace) -> bool {
        let mut work = self.work.lock().await;
        let looked = match self.look(app, &mut work, pace).await {
            Ok(looked) => looked,
            Err(error) => {
                tracing::error!(%error, "looking at the registrations failed");
                return false;
            }
        };
        if !looked.changed && !work.unfinished {
            return looked.unsettled;
        }
        let before = app.registry();
        match self.put_in_force(app, &mut work, Change::default()).await {
            Ok(()) => {
                let services = app.registry().services().len();
                tracing::info!(services, "registrations have changed");
                self.look_for_doubts(app, &before);
            }
            Err(error) => {
                // Said once for each failure to come: while it lasts only the first is news.
                if !work.unfinished {
                    tracing::error!(%error, "changed registrations could not be put in force; it is tried again");
                }
                work.unfinished = true;
            }
        }
        looked.unsettled
    }
}

/// What is doubtful about a service that is new or changed, for the log: no operator waits for it.
async fn tell_doubts(app: Arc<App>, changed: Vec<Arc<Registration>>) {
    for registration in changed {
        let findings = match lint_with(&app, Some(registration)).await {
            Ok(findings) => findings,
            Err(error) => {
                tracing::warn!(%error, "the linter could not look at changed registrations");
                return;
            }
        };
        for finding in findings {
            if finding.severity < Severity::Note {
                tracing::warn!(
                    appservice.id = finding.service_id, cure = %finding.cure,
                    "{}", finding.message
                );
            }
        }
    }
}

/// Looks at files and folders until shutdown.
async fn watch(app: Arc<App>, end: Shutdown) {
    let interval = app.config.appservices.registration_poll;
    if interval.is_zero() {
        return;
    }
    let mut again = false;
    loop {
        let pause = if again {
            SETTLE.min(interval)
        } else {
            interval
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = end.requested() => return,
        }
        let pace = if again { Pace::Again } else { Pace::Watch };
        again = app.registrar.look_and_change(&app, pace).await;
    }
}
