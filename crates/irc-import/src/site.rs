//! The files that are made: configuration, registration, database. What is there is kept; a trial makes all of it in a
//! folder that is gone afterwards.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use bridgehead_appservice::{
    Database,
    config::{self, Whole},
    registration::{self, Registration},
};
use bridgehead_irc::{Settings, import::Import};

use crate::{Failure, Report, Result, draft::Draft};

/// Names of the files, as the program looks for them.
pub(crate) const CONFIG: &str = "irc.toml";
pub(crate) const REGISTRATION: &str = "irc-registration.yaml";
pub(crate) const DATABASE: &str = "irc.db";

/// Where the files are.
pub(crate) struct Site {
    /// Where they will be.
    folder: PathBuf,
    /// Where they are made in a trial.
    trial: Option<tempfile::TempDir>,
}

/// The other bridge's registration.
pub(crate) struct Registered {
    text: String,
    pub(crate) registration: Registration,
}

/// Reads a registration.
pub(crate) fn registered(file: &Path) -> Result<Registered> {
    let text = registration::read_bounded(file).map_err(Failure::new)?;
    let parsed = registration::parse(file, &text);
    let (registration, _) = parsed.map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Failure::new(lines.join("\n"))
    })?;
    let text =
        String::from_utf8(text.to_vec()).map_err(|error| Failure::at(file.display(), error))?;
    Ok(Registered { text, registration })
}

impl Site {
    pub(crate) fn new(folder: &Path, is_trial: bool) -> Result<Self> {
        let at = |error| Failure::at(folder.display(), error);
        if !folder.is_dir() {
            return Err(Failure::at(
                folder.display(),
                "there is no such folder: make it, or name another with --into",
            ));
        }
        let site = Self {
            folder: folder.to_owned(),
            trial: match is_trial {
                true => Some(tempfile::tempdir().map_err(at)?),
                false => None,
            },
        };
        if is_trial {
            site.copy()?;
        }
        Ok(site)
    }

    /// What a trial begins with is what is there.
    fn copy(&self) -> Result<()> {
        let database = Database::File(self.folder.join(DATABASE));
        if self.folder.join(DATABASE).exists() {
            database.check_free().map_err(Failure::new)?;
        }
        let wal = format!("{DATABASE}-wal");
        let key = format!("{DATABASE}.key");
        for name in [CONFIG, REGISTRATION, DATABASE, &wal, &key] {
            let file = self.folder.join(name);
            match std::fs::copy(&file, self.work().join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Failure::at(file.display(), error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Where the files are made.
    fn work(&self) -> &Path {
        self.trial
            .as_ref()
            .map_or(&self.folder, |trial| trial.path())
    }

    /// Writes configuration and registration, where there are none, and opens the database.
    pub(crate) async fn open(
        &self,
        (draft, from): (&Draft, &str),
        registered: &Registered,
        report: &mut Report,
    ) -> Result<(Arc<Settings>, Import)> {
        for (name, text) in &draft.files {
            self.write(name, text, report)?;
        }
        self.write(CONFIG, &draft.text(from), report)?;
        self.write(REGISTRATION, &registered.text, report)?;
        self.same_registration(registered)?;
        let file = self.work().join(CONFIG);
        let loaded = config::load::<Whole<Settings>>(Some(&file), [], "IRC");
        let whole = loaded.map_err(Failure::new)?.config;
        let database = Database::File(self.work().join(DATABASE));
        let name = &whole.service.homeserver.server_name;
        let import = Import::open(&whole.own, name, &database).await?;
        Ok((Arc::new(whole.own), import))
    }

    fn write(&self, name: &str, text: &str, report: &mut Report) -> Result<()> {
        let shown = self.folder.join(name);
        match registration::create_file(&self.work().join(name), text) {
            Ok(()) => {
                let verb = if self.trial.is_some() {
                    "would be"
                } else {
                    "is"
                };
                report.told(format!("{} {verb} written.", shown.display()));
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                report.told(format!("{} is there, and is kept.", shown.display()));
                Ok(())
            }
            Err(error) => Err(Failure::at(shown.display(), error)),
        }
    }

    /// With other tokens than the other bridge's, its ghosts could not be used.
    fn same_registration(&self, registered: &Registered) -> Result<()> {
        let file = self.work().join(REGISTRATION);
        let kept = self::registered(&file)?.registration;
        match kept.as_token_hash == registered.registration.as_token_hash {
            true => Ok(()),
            false => Err(Failure::at(
                self.folder.join(REGISTRATION).display(),
                "that is another registration than the one given: remove it, or name another folder with --into",
            )),
        }
    }

    /// What is left to do.
    pub(crate) fn steps(&self, report: &mut Report, after: &[&str]) {
        if self.trial.is_some() {
            report.step(
                "This was a trial: nothing was written. Run it again without --dry-run.".to_owned(),
            );
            return;
        }
        let folder = self.folder.display();
        report.step(format!(
            "Read {folder}/{CONFIG}, above all what stands at its end."
        ));
        for step in after {
            report.step((*step).to_owned());
        }
        report.step(format!(
            "In {folder}: `bridgehead-irc doctor`, and when it is content, `bridgehead-irc`. The homeserver goes on with \
             the registration that it has."
        ));
    }
}
