//! The linter without a server: files alone and against each other. Which services are in force and
//! which users there are is not known here, so nothing is said about them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use bridgehead_admin_api::Finding;
use ruma::ServerName;

use super::{Linter, of_errors, of_warnings};
use crate::appservices::registration::{Loaded, Registration, RegistrationError, load};

/// What was found in one file.
#[derive(Clone, Debug)]
pub struct LintedFile {
    /// The file.
    pub file: PathBuf,
    /// Worst first; none is as it should be.
    pub findings: Vec<Finding>,
}

/// Looks at registration files, and at the files of folders, before they are given to the server of
/// this name. When one cannot be read as a registration, only what is wrong with such files is told.
#[must_use]
pub fn lint_files(server_name: &ServerName, paths: &[PathBuf]) -> Vec<LintedFile> {
    let mut files = Files::new(paths);
    match load(paths) {
        Ok(loaded) => look(server_name, loaded, &mut files),
        Err(errors) => files.add_errors(&errors),
    }
    files.finish()
}

fn look(server_name: &ServerName, loaded: Loaded, files: &mut Files) {
    let registrations: Vec<_> = loaded.registrations.into_iter().map(Arc::new).collect();
    for registration in &registrations {
        files.see(&registration.source.file);
    }
    let file_of = |id: &str| {
        let find = |one: &&Arc<Registration>| one.id == id;
        let found = registrations.iter().find(find);
        found.map(|one| one.source.file.as_path())
    };
    // What concerns all of them is told with the first.
    let first = registrations.first().map(|one| one.source.file.as_path());
    for finding in Linter::new(server_name, &registrations, None).findings() {
        let file = finding.service_id.as_deref().and_then(file_of).or(first);
        if let Some(file) = file {
            files.add(file, finding);
        }
    }
    for warning in loaded.warnings {
        let find = |one: &&Arc<Registration>| one.source.file == warning.file;
        let id = registrations.iter().find(find).map(|one| one.id.as_str());
        for finding in of_warnings(id.unwrap_or_default(), std::slice::from_ref(&warning)) {
            files.add(&warning.file, finding);
        }
    }
}

/// The files in the order in which they were named or found.
struct Files {
    order: Vec<PathBuf>,
    findings: BTreeMap<PathBuf, Vec<Finding>>,
}

impl Files {
    fn new(paths: &[PathBuf]) -> Self {
        let mut files = Self {
            order: Vec::new(),
            findings: BTreeMap::new(),
        };
        for path in paths.iter().filter(|path| !path.is_dir()) {
            files.see(path);
        }
        files
    }

    fn see(&mut self, file: &Path) {
        if !self.findings.contains_key(file) {
            self.order.push(file.to_owned());
            self.findings.insert(file.to_owned(), Vec::new());
        }
    }

    fn add(&mut self, file: &Path, finding: Finding) {
        self.see(file);
        if let Some(findings) = self.findings.get_mut(file) {
            findings.push(finding);
        }
    }

    fn add_errors(&mut self, errors: &[RegistrationError]) {
        for error in errors {
            for finding in of_errors(std::slice::from_ref(error)) {
                self.add(&error.file, finding);
            }
        }
    }

    fn finish(mut self) -> Vec<LintedFile> {
        let files = self.order.into_iter();
        files
            .map(|file| {
                let mut findings = self.findings.remove(&file).unwrap_or_default();
                findings.sort_by_key(|finding| finding.severity);
                LintedFile { file, findings }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use bridgehead_admin_api::{FindingKind, Severity};
    use ruma::server_name;

    use super::*;

    fn write(folder: &Path, id: &str, pattern: &str) -> PathBuf {
        let path = folder.join(format!("{id}.yaml"));
        let text = format!(
            "id: {id}\nurl: http://127.0.0.1:9000\nas_token: a-{id}\nhs_token: h-{id}\n\
             sender_localpart: {id}bot\nnamespaces:\n  users:\n  - regex: '{pattern}'\n    exclusive: true\n"
        );
        std::fs::write(&path, text).unwrap();
        path
    }

    fn kinds(linted: &LintedFile) -> Vec<(FindingKind, Severity)> {
        let findings = linted.findings.iter();
        findings.map(|one| (one.kind, one.severity)).collect()
    }

    #[test]
    fn files_are_held_against_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let paths = [
            write(folder.path(), "irc", "@irc_.*:example\\.org"),
            write(folder.path(), "other", "@irc_a.*:example\\.org"),
            write(folder.path(), "slack", "@slack(_.*|bot):example\\.org"),
        ];
        let linted = lint_files(server_name!("example.org"), &paths);
        let files: Vec<_> = linted.iter().map(|one| one.file.clone()).collect();
        assert_eq!(files, paths);
        let all: Vec<_> = linted.iter().flat_map(kinds).collect();
        let overlaps = all
            .iter()
            .filter(|(kind, _)| *kind == FindingKind::ExclusiveOverlap);
        assert_eq!(overlaps.count(), 1, "{linted:?}");
        assert!(linted[2].findings.is_empty(), "{linted:?}");
    }

    #[test]
    fn a_file_that_is_none_is_told_in_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let good = write(folder.path(), "irc", "@irc_.*:example\\.org");
        let bad = write(folder.path(), "bad", "bad_.*");
        let linted = lint_files(server_name!("example.org"), &[good, bad.clone()]);
        assert_eq!(
            kinds(&linted[1]),
            [(FindingKind::MissingSigil, Severity::Error)]
        );
        assert!(linted[0].findings.is_empty(), "{linted:?}");
        let of_folder = lint_files(server_name!("example.org"), &[folder.path().to_owned()]);
        assert_eq!(of_folder.len(), 1);
        assert_eq!(of_folder[0].file, bad);
    }
}
