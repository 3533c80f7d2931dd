//! Registrations at run time: what is in force, where it comes from, and how it changes.
//!
//! ```text
//! files ──watch──▶ files ─┐
//!                         ├─▶ resolve ──▶ force ──▶ Registry (swapped), rows, delivery tasks
//! operators ──▶ change ───┘
//! ```
//!
//! - `files`: the listed files and folders, looked at again and again (`watch`);
//! - `change`: what operators do: add, replace, rotate, remove; `purge` clears up afterwards;
//! - `entry`: one registration, from a file or sealed in the database;
//! - `force`: puts a set of registrations in force, all at once.
//!
//! All changes go one after the other, under one lock. What is in force stays in force when a
//! change is refused.

mod change;
mod entry;
mod files;
mod force;
mod purge;
mod rotate;
#[cfg(test)]
mod tests;
mod watch;

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use arc_swap::ArcSwap;
use bridgehead_admin_api::{Finding, LintReport, RegistrationText, Source};
use bridgehead_store::AppserviceNid;
use parking_lot::Mutex;
use tokio::task::{JoinHandle, JoinSet};

pub(crate) use self::{change::Replacement, purge::How, watch::BeginError};
use self::{entry::Entry, files::Files};
use super::{
    Linter, lint,
    namespaces::CompileError,
    registration::{Registration, RegistrationError, RegistrationWarning, parse},
};
use crate::{app::App, sealing::SealingKey, shutdown::Shutdown};

/// Who changes something, and why.
#[derive(Debug, Clone)]
pub(crate) struct By {
    /// An operator's name, or `server`.
    pub(crate) who: String,
    /// The reason given.
    pub(crate) reason: Option<String>,
}

/// Why a change was refused; nothing has changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistrarError {
    /// There is no such service in force.
    #[error("no application service `{0}` is registered")]
    NotFound(String),
    /// The text is no registration, or one that cannot stand beside the others.
    #[error("{}", .0.iter().map(|finding| finding.message.as_str()).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<Finding>),
    /// Somebody else was first, or another place decides.
    #[error("{message}")]
    Conflict {
        /// What is the matter and what to do.
        message: String,
        /// The revision in force, where the matter is that it is another.
        revision: Option<u64>,
    },
    /// The registration's file cannot be changed from here.
    #[error("{0}")]
    NotWritable(String),
    /// The namespaces could not be compiled together.
    #[error(transparent)]
    Namespaces(#[from] CompileError),
    /// The database.
    #[error(transparent)]
    Store(#[from] bridgehead_store::Error),
}

/// Files that are not in force as they are.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    /// The file, or what stands for a registration of another origin.
    pub(crate) file: PathBuf,
    /// What is wrong with it.
    pub(crate) errors: Vec<RegistrationError>,
}

/// Changes what is registered, and knows where it comes from.
pub(crate) struct Registrar {
    key: SealingKey,
    work: tokio::sync::Mutex<Work>,
    known: ArcSwap<KnownAll>,
    /// Delivery tasks, by their service's number.
    deliveries: Mutex<HashMap<AppserviceNid, JoinHandle<()>>>,
    /// The watch, and what clears up.
    tasks: Mutex<JoinSet<()>>,
    end: OnceLock<Shutdown>,
}

/// What changes work on.
struct Work {
    files: Files,
    /// In force, from the operator API.
    api: BTreeMap<String, Entry>,
    /// Something could not be put in force for the database's sake; it is tried again.
    unfinished: bool,
    /// Services whose sealed registration cannot be opened.
    unopened: Vec<String>,
}

/// What everybody may see.
#[derive(Default)]
struct KnownAll {
    by_id: HashMap<String, Known>,
    problems: Vec<Problem>,
}

/// One registration in force.
#[derive(Clone)]
struct Known {
    revision: u64,
    source: Source,
    text: Arc<str>,
    /// Hashes of the old tokens that were good when it was put in force.
    old_tokens: Vec<[u8; 32]>,
}

impl Registrar {
    /// For registrations in these files and folders, and those in the database.
    pub(crate) fn new(key: SealingKey, paths: Vec<PathBuf>) -> Self {
        Self {
            key,
            work: tokio::sync::Mutex::new(Work {
                files: Files::new(paths),
                api: BTreeMap::new(),
                unfinished: false,
                unopened: Vec::new(),
            }),
            known: ArcSwap::default(),
            deliveries: Mutex::default(),
            tasks: Mutex::default(),
            end: OnceLock::new(),
        }
    }

    /// Where the service's registration comes from.
    pub(crate) fn source(&self, id: &str) -> Option<Source> {
        let known = self.known.load();
        known.by_id.get(id).map(|known| known.source.clone())
    }

    /// The revision in force.
    pub(crate) fn revision(&self, id: &str) -> Option<u64> {
        self.known.load().by_id.get(id).map(|known| known.revision)
    }

    /// The registration in force, tokens hidden.
    pub(crate) fn text(&self, id: &str) -> Result<RegistrationText, RegistrarError> {
        let all = self.known.load();
        let known = all
            .by_id
            .get(id)
            .ok_or_else(|| RegistrarError::NotFound(id.to_owned()))?;
        Ok(RegistrationText {
            id: id.to_owned(),
            yaml: known.text.to_string(),
            revision: known.revision,
            source: known.source.clone(),
        })
    }

    /// Files that are refused; what they said before stays in force.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        self.known.load().problems.clone()
    }

    /// What is doubtful about a text, or without one about all registrations in force.
    pub(crate) async fn lint(
        &self,
        app: &Arc<App>,
        yaml: Option<&str>,
    ) -> Result<LintReport, RegistrarError> {
        let findings = match yaml {
            None => {
                let mut findings = self.refused();
                findings.extend(lint_with(app, None).await?);
                findings.sort_by_key(|finding| finding.severity);
                findings
            }
            Some(yaml) => match parse(&entry::api_file(), yaml.as_bytes()) {
                Err(errors) => lint::of_errors(&errors),
                Ok((registration, warnings)) => {
                    findings_of(app, Arc::new(registration), &warnings).await?
                }
            },
        };
        Ok(LintReport { findings })
    }

    /// What is wrong with files that are not in force as they are.
    fn refused(&self) -> Vec<Finding> {
        let problems = self.problems();
        let findings = problems.iter().flat_map(|problem| {
            lint::of_errors(&problem.errors)
                .into_iter()
                .map(|finding| Finding {
                    message: format!("{}: {}", problem.file.display(), finding.message),
                    ..finding
                })
        });
        findings.collect()
    }

    /// Ends the delivery tasks and everything else that was started here; the shutdown was asked
    /// for before.
    pub(crate) async fn stop(&self) {
        // Nothing new is started while this is held.
        let _work = self.work.lock().await;
        let deliveries: Vec<_> = self.deliveries.lock().drain().collect();
        for (_, task) in deliveries {
            // A task that panicked has been told of.
            task.await.ok();
        }
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        while tasks.join_next().await.is_some() {}
    }
}

/// Carries an act out to its end, also when whoever asked for it does not wait.
async fn carry_out<T: Send + 'static>(
    act: impl Future<Output = Result<T, RegistrarError>> + Send + 'static,
) -> Result<T, RegistrarError> {
    tokio::spawn(act).await.unwrap_or_else(|error| {
        Err(RegistrarError::Store(
            bridgehead_store::Error::Unavailable {
                reason: error.to_string(),
            },
        ))
    })
}

/// What is doubtful about a registration beside those in force, the reader's remarks included.
async fn findings_of(
    app: &Arc<App>,
    registration: Arc<Registration>,
    warnings: &[RegistrationWarning],
) -> Result<Vec<Finding>, RegistrarError> {
    let mut findings = lint_with(app, Some(registration.clone())).await?;
    findings.extend(lint::of_warnings(&registration.id, warnings));
    findings.sort_by_key(|finding| finding.severity);
    Ok(findings)
}

async fn lint_with(
    app: &Arc<App>,
    candidate: Option<Arc<Registration>>,
) -> Result<Vec<Finding>, RegistrarError> {
    let in_force: Vec<_> = app
        .registry()
        .services()
        .iter()
        .map(|service| service.registration.clone())
        .collect();
    let server_name = app.server_name.clone();
    let linter = app
        .store
        .read(move |snapshot| {
            let mut linter = Linter::new(&server_name, &in_force, candidate);
            snapshot.each_user(|user_id, made_by| linter.see_user(user_id, made_by))?;
            snapshot.each_alias(|alias, creator, made_by| {
                linter.see_alias(alias, creator, made_by);
            })?;
            Ok::<_, bridgehead_store::Error>(linter)
        })
        .await?;
    // Automata are made here: too long for a task that others wait for.
    app.blocking
        .run(move || linter.findings())
        .await
        .map_err(|error| {
            RegistrarError::Store(bridgehead_store::Error::Unavailable {
                reason: error.to_string(),
            })
        })
}
