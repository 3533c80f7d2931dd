//! `doctor`: everything between the service and its homeserver is tried, and what fails is told with the file and the
//! key to change.
//!
//! Whatever is made for it (a ghost, a room with an alias) is taken away again, as far as the homeserver lets it. If the
//! service does not run, its place is taken for a moment, so that the homeserver can be asked to call.

mod finding;
mod homeserver;
mod namespaces;
mod policies;
mod service;

use std::time::Duration;

use bridgehead_registration::Registration;

pub use self::finding::Finding;
use self::finding::Report;
use super::{Failure, Result, api::Api, cli, site::Site};
use crate::{Service, config::Config};

/// How long each examination of the author's own may take.
const OWN_WITHIN: Duration = Duration::from_secs(120);

/// What is examined.
struct Patient<'a, C> {
    site: &'a Site<C>,
    service: &'a Service,
    registration: Registration,
    /// The homeserver, as the service.
    homeserver: Api,
    /// The homeserver, as anybody.
    anybody: Api,
}

/// Whether the homeserver knows the service.
enum Known {
    Yes,
    No,
    /// It does, and has another name than the service believes.
    OfAnotherName,
}

/// Examines, tells, and fails if something is wrong.
pub(super) async fn examine<C: Config>(
    site: &Site<C>,
    service: &Service,
    asked: &cli::Doctor,
) -> Result<()> {
    let mut report = Report::default();
    let file = site.config_file.display();
    for warning in &site.warnings {
        report.note("configuration", warning.to_string());
    }
    report.good("configuration", format!("{file} is right"));
    let registration = site.read_registration()?;
    match registration {
        None => report.bad(
            "registration",
            format!("there is no {}", site.registration_file().display()),
            "run `register`, and let the homeserver read what it makes",
        ),
        Some(registration) => {
            let address = site.keys().homeserver.address.as_str();
            let patient = Patient {
                homeserver: Api::new(address, Some(&registration.as_token))
                    .map_err(Failure::setup)?,
                anybody: Api::new(address, None).map_err(Failure::setup)?,
                site,
                service,
                registration,
            };
            patient.examine(&mut report).await?;
        }
    }
    for examine in &service.examinations {
        match tokio::time::timeout(OWN_WITHIN, examine()).await {
            Ok(findings) => findings.into_iter().for_each(|finding| report.add(finding)),
            Err(_) => report.bad(
                "the service's own",
                "it takes too long to examine",
                "look at the log, and try again",
            ),
        }
    }
    report.tell(asked.json)?;
    if report.is_good() {
        Ok(())
    } else {
        Err(Failure::Told)
    }
}

impl<C: Config> Patient<'_, C> {
    async fn examine(&self, report: &mut Report) -> Result<()> {
        if !self.versions(report).await {
            return self.own_registration(report);
        }
        let known = self.token(report).await;
        if matches!(known, Known::OfAnotherName) {
            // Before the registration: brought up to date it would have the wrong name as well.
            report.skipped("everything else", "all of it goes by the homeserver's name");
            return Ok(());
        }
        self.own_registration(report)?;
        self.in_force(report).await?;
        if matches!(known, Known::No) {
            report.skipped(
                "everything else",
                "the homeserver does not know the service",
            );
            return Ok(());
        }
        self.way_back(report).await;
        self.capabilities(report).await;
        self.users(report).await;
        self.aliases(report).await;
        self.media(report).await;
        self.policies(report).await;
        Ok(())
    }

    /// The file against the declaration.
    fn own_registration(&self, report: &mut Report) -> Result<()> {
        let file = self.site.registration_file().display();
        if is_open_to_all(self.site.registration_file()) {
            report.bad(
                "registration",
                format!("everybody on this machine may read the tokens in {file}"),
                format!("run: chmod o-rwx {file}"),
            );
        }
        let draft = self.site.draft(self.service)?;
        let generated = draft.regenerate(&self.registration, self.site.server_name());
        match generated {
            Ok(generated) if generated.is_changed() => {
                for change in generated.changes.iter().filter(|change| change.is_edit()) {
                    report.bad(
                        "registration",
                        format!("{file} is not what the service declares: {change}"),
                        "run `register`, and let the homeserver read it",
                    );
                }
            }
            Ok(_) => report.good(
                "registration",
                format!("{file} is what the service declares"),
            ),
            Err(errors) => {
                for error in errors {
                    report.bad("registration", error.to_string(), "mend the declaration");
                }
            }
        }
        Ok(())
    }

    /// `file:line` of a key of the registration.
    fn place(&self, key: &str) -> String {
        let source = &self.registration.source;
        let line = match key {
            "as_token" => source.as_token_line,
            "id" => source.id_line,
            _ => None,
        };
        match line {
            Some(line) => format!("{}:{line} `{key}`", source.file.display()),
            None => format!("{} `{key}`", source.file.display()),
        }
    }

    /// A key of the configuration, with its file.
    fn key(&self, key: &str) -> String {
        format!("{}: {key}", self.site.config_file.display())
    }
}

/// Whether everybody on the machine may read a file.
#[cfg(unix)]
fn is_open_to_all(file: &std::path::Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(file).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

#[cfg(not(unix))]
fn is_open_to_all(_: &std::path::Path) -> bool {
    false
}
