//! The listed files and folders, looked at again and again.
//!
//! A change counts when two looks agree on it, so that a file that is being written or replaced
//! is not taken for what it will not be. What cannot be read any more (a folder on a disk that
//! went away) is not taken for removed.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use zeroize::Zeroizing;

use super::{
    Problem,
    entry::{Digest, Entry, digest_of},
};
use crate::appservices::registration::{RegistrationError, expand, read_bounded};

/// A file changed this short before it was read may change again without its stamp showing it.
const RACY: Duration = Duration::from_secs(3);
/// Each so manyth look reads all files, whatever their stamps say.
const FULL_LOOK: u64 = 30;
/// Looks that have to miss a file before it counts as removed.
const LOOKS_TO_REMOVE: u8 = 2;

/// How sure a look has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// The server starts: what is seen counts, and what is wrong is the starter's to tell.
    Start,
    /// Somebody asks for it: what is seen counts.
    Now,
    /// What is seen twice counts.
    Watch,
    /// As `Watch`, shortly after a look: too short to believe that a file is gone.
    Again,
}

impl Pace {
    /// Whether what is seen once counts.
    fn is_sure(self) -> bool {
        matches!(self, Self::Start | Self::Now)
    }
}

fn tell(pace: Pace, errors: &[RegistrationError]) {
    if pace == Pace::Start {
        return;
    }
    for error in errors {
        tracing::error!(%error, "registration refused; what was in force stays");
    }
}

/// What a look came to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Looked {
    /// Something else is to be in force.
    pub(super) changed: bool,
    /// Something has changed that may change further: look again soon.
    pub(super) unsettled: bool,
}

/// What tells one version of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
    inode: u64,
    device: u64,
}

/// The files, as they were last seen.
pub(super) struct Files {
    paths: Vec<PathBuf>,
    states: BTreeMap<PathBuf, FileState>,
    /// Folders and files that could not be looked at.
    unreadable: Vec<RegistrationError>,
    looks: u64,
}

#[derive(Default)]
struct FileState {
    /// Place in the order of the configuration and, in a folder, of names.
    place: usize,
    /// The path of the configuration that it was found by.
    root: PathBuf,
    stamp: Option<Stamp>,
    racy: bool,
    /// Of the content that was last dealt with.
    digest: Option<Digest>,
    /// Of another content, seen once.
    unsettled: Option<Digest>,
    missing: u8,
    /// What it says now, if that is a registration.
    wanted: Option<Entry>,
    /// What is in force from it.
    good: Option<Entry>,
    /// What is wrong with its content.
    errors: Vec<RegistrationError>,
    /// Why what it says is not in force.
    refused: Vec<RegistrationError>,
}

/// What one look at the disk has seen.
pub(super) struct Scan {
    /// In order, with the configured path that led there.
    files: Vec<(PathBuf, PathBuf, Seen)>,
    folders: HashSet<PathBuf>,
    unreadable: Vec<RegistrationError>,
}

enum Seen {
    /// The stamp is the one it had.
    Same,
    Content {
        stamp: Option<Stamp>,
        racy: bool,
        bytes: Zeroizing<Vec<u8>>,
    },
    /// It is there and cannot be read.
    Unreadable(RegistrationError),
    Missing(RegistrationError),
}

/// What a look needs, to be taken to a thread that may wait for the disk.
pub(super) struct Looker {
    paths: Vec<PathBuf>,
    /// Files that need not be read while their stamp stays.
    stamps: HashMap<PathBuf, Stamp>,
}

impl Looker {
    /// Looks at the disk.
    pub(super) fn look(&self) -> Scan {
        let mut scan = Scan {
            files: Vec::new(),
            folders: HashSet::new(),
            unreadable: Vec::new(),
        };
        let mut seen = HashSet::new();
        for root in &self.paths {
            let is_folder = root.is_dir();
            match expand(root) {
                Ok(files) => {
                    if is_folder {
                        scan.folders.insert(root.clone());
                    }
                    for file in files {
                        let identity = fs::canonicalize(&file).unwrap_or_else(|_| file.clone());
                        if seen.insert(identity) {
                            let what = self.look_at(&file);
                            scan.files.push((file, root.clone(), what));
                        }
                    }
                }
                Err(error) => scan.unreadable.push(error),
            }
        }
        scan
    }

    fn look_at(&self, file: &Path) -> Seen {
        let stamp = fs::metadata(file).ok().map(|metadata| stamp_of(&metadata));
        if stamp.is_some() && self.stamps.get(file) == stamp.as_ref() {
            return Seen::Same;
        }
        let at = SystemTime::now();
        match read_bounded(file) {
            Ok(bytes) => Seen::Content {
                racy: stamp
                    .and_then(|stamp| stamp.modified)
                    .is_none_or(|modified| at.duration_since(modified).is_ok_and(|age| age < RACY)),
                stamp,
                bytes,
            },
            Err(error) if !fs::exists(file).unwrap_or(true) => Seen::Missing(error),
            Err(error) => Seen::Unreadable(error),
        }
    }
}

#[cfg(unix)]
fn stamp_of(metadata: &fs::Metadata) -> Stamp {
    use std::os::unix::fs::MetadataExt as _;
    Stamp {
        modified: metadata.modified().ok(),
        bytes: metadata.len(),
        inode: metadata.ino(),
        device: metadata.dev(),
    }
}

#[cfg(not(unix))]
fn stamp_of(metadata: &fs::Metadata) -> Stamp {
    Stamp {
        modified: metadata.modified().ok(),
        bytes: metadata.len(),
        inode: 0,
        device: 0,
    }
}

impl Files {
    pub(super) fn new(paths: Vec<PathBuf>) -> Self {
        Self {
            paths,
            states: BTreeMap::new(),
            unreadable: Vec::new(),
            looks: 0,
        }
    }

    /// Prepares a look.
    pub(super) fn looker(&mut self, pace: Pace) -> Looker {
        self.looks += 1;
        let all = pace.is_sure() || self.looks.is_multiple_of(FULL_LOOK);
        let stamps = self
            .states
            .iter()
            .filter(|(_, state)| !all && !state.racy && state.unsettled.is_none())
            .filter_map(|(file, state)| Some((file.clone(), state.stamp?)))
            .collect();
        Looker {
            paths: self.paths.clone(),
            stamps,
        }
    }

    /// Takes in what was seen.
    pub(super) fn take_in(&mut self, scan: Scan, pace: Pace) -> Looked {
        let mut looked = Looked::default();
        let mut seen = HashSet::new();
        let mut missing = HashMap::new();
        for (place, (file, root, what)) in scan.files.into_iter().enumerate() {
            if let Seen::Missing(error) = what {
                if !self.states.contains_key(&file) {
                    self.note_missing(file.clone(), (root, place), error.clone(), pace);
                }
                missing.insert(file, error);
                continue;
            }
            seen.insert(file.clone());
            let state = self.states.entry(file.clone()).or_default();
            state.place = place;
            state.root = root;
            state.missing = 0;
            state.see(&file, what, pace, &mut looked);
        }
        for error in &scan.unreadable {
            if !self.unreadable.contains(error) {
                tell(pace, std::slice::from_ref(error));
            }
        }
        self.unreadable = scan.unreadable;
        self.miss((&seen, &missing), &scan.folders, pace, &mut looked);
        looked
    }

    /// A listed file that never was there.
    fn note_missing(
        &mut self,
        file: PathBuf,
        (root, place): (PathBuf, usize),
        error: RegistrationError,
        pace: Pace,
    ) {
        tell(pace, std::slice::from_ref(&error));
        let state = FileState {
            place,
            root,
            missing: LOOKS_TO_REMOVE,
            errors: vec![error],
            ..FileState::default()
        };
        self.states.insert(file, state);
    }

    /// Files that were not seen.
    fn miss(
        &mut self,
        (seen, missing): (&HashSet<PathBuf>, &HashMap<PathBuf, RegistrationError>),
        folders: &HashSet<PathBuf>,
        pace: Pace,
        looked: &mut Looked,
    ) {
        for (file, state) in &mut self.states {
            // A folder that cannot be listed says nothing about what is in it.
            let listed = state.root == *file || folders.contains(&state.root);
            if seen.contains(file) || !listed {
                continue;
            }
            let before = state.missing;
            state.missing = match pace {
                Pace::Start | Pace::Now => LOOKS_TO_REMOVE,
                Pace::Watch => state.missing.saturating_add(1),
                Pace::Again => state.missing,
            };
            if state.missing < LOOKS_TO_REMOVE || before >= LOOKS_TO_REMOVE {
                continue;
            }
            looked.changed = true;
            state.wanted = None;
            state.digest = None;
            state.stamp = None;
            // One that is listed by itself is missed; the next start would be refused.
            state.errors = missing.get(file).cloned().into_iter().collect();
        }
    }

    /// What each file wants to be in force, in order: first what it says, and what is in force
    /// from it, where that may stay if the first cannot be.
    pub(super) fn wishes(&self) -> Vec<Wish> {
        let mut files: Vec<_> = self.states.iter().collect();
        files.sort_by_key(|(_, state)| state.place);
        files
            .into_iter()
            .filter_map(|(file, state)| {
                let gone = state.missing >= LOOKS_TO_REMOVE;
                let good = state.good.clone().filter(|_| !gone);
                Some(Wish {
                    file: file.clone(),
                    entry: state.wanted.clone().or_else(|| good.clone())?,
                    good,
                })
            })
            .collect()
    }

    /// What has become of the wishes.
    pub(super) fn settle(
        &mut self,
        in_force: &HashMap<PathBuf, Entry>,
        mut refused: HashMap<PathBuf, Vec<RegistrationError>>,
    ) {
        for (file, state) in &mut self.states {
            state.good = in_force.get(file).cloned();
            let refusal = refused.remove(file).unwrap_or_default();
            for error in &refusal {
                if !state.refused.contains(error) {
                    tracing::error!(%error, "registration refused; what was in force stays");
                }
            }
            state.refused = refusal;
        }
        let roots = &self.paths;
        self.states.retain(|file, state| {
            state.missing < LOOKS_TO_REMOVE || state.good.is_some() || roots.contains(file)
        });
    }

    /// What is wrong with the files.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let files = self.states.iter().map(|(file, state)| Problem {
            file: file.clone(),
            errors: [state.errors.as_slice(), &state.refused].concat(),
        });
        let unreadable = self.unreadable.iter().map(|error| Problem {
            file: error.file.clone(),
            errors: vec![error.clone()],
        });
        files
            .chain(unreadable)
            .filter(|problem| !problem.errors.is_empty())
            .collect()
    }

    /// The file's content was changed by the server itself: what it says now counts.
    pub(super) fn expect(&mut self, file: &Path, entry: Entry) {
        if let Some(state) = self.states.get_mut(file) {
            state.digest = Some(entry.digest);
            state.wanted = Some(entry);
            state.unsettled = None;
            state.stamp = None;
        }
    }
}

/// What a file wants.
pub(super) struct Wish {
    pub(super) file: PathBuf,
    pub(super) entry: Entry,
    pub(super) good: Option<Entry>,
}

impl Wish {
    /// What is in force from the file is what it wants.
    pub(super) fn is_settled(&self) -> bool {
        self.good
            .as_ref()
            .is_some_and(|good| good.digest == self.entry.digest)
    }
}

impl FileState {
    fn see(&mut self, file: &Path, what: Seen, pace: Pace, looked: &mut Looked) {
        let (stamp, racy, bytes) = match what {
            Seen::Same | Seen::Missing(_) => return,
            Seen::Unreadable(error) => {
                if self.errors != [error.clone()] {
                    tell(pace, std::slice::from_ref(&error));
                }
                self.errors = vec![error];
                self.stamp = None;
                self.digest = None;
                return;
            }
            Seen::Content { stamp, racy, bytes } => (stamp, racy, bytes),
        };
        self.stamp = stamp;
        self.racy = racy;
        let digest = digest_of(&bytes);
        if self.digest == Some(digest) {
            self.unsettled = None;
            return;
        }
        if !pace.is_sure() && self.unsettled != Some(digest) {
            self.unsettled = Some(digest);
            looked.unsettled = true;
            return;
        }
        self.unsettled = None;
        self.digest = Some(digest);
        self.read(file, &bytes, pace);
        looked.changed = true;
    }

    fn read(&mut self, file: &Path, bytes: &[u8], pace: Pace) {
        match Entry::of_file(file, bytes) {
            Ok(entry) => {
                if pace != Pace::Start {
                    for warning in &entry.warnings {
                        tracing::warn!(%warning, "registration");
                    }
                }
                self.wanted = Some(entry);
                self.errors.clear();
            }
            Err(errors) => {
                tell(pace, &errors);
                self.wanted = None;
                self.errors = errors;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(id: &str) -> String {
        format!("id: {id}\nurl: null\nas_token: as_{id}\nhs_token: hs\nsender_localpart: {id}\n")
    }

    /// A look; and if something is to change, all wishes come true.
    fn look(files: &mut Files, pace: Pace) -> Looked {
        let scan = files.looker(pace).look();
        let looked = files.take_in(scan, pace);
        if looked.changed {
            let wishes = files.wishes();
            let in_force = wishes
                .into_iter()
                .map(|wish| (wish.file, wish.entry))
                .collect();
            files.settle(&in_force, HashMap::new());
        }
        looked
    }

    fn in_force(files: &Files) -> Vec<String> {
        files
            .wishes()
            .iter()
            .filter_map(|wish| Some(wish.good.as_ref()?.id().to_owned()))
            .collect()
    }

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(folder.path().join(name), content).unwrap();
        }
        folder
    }

    #[test]
    fn a_change_counts_when_two_looks_agree() {
        let folder = folder(&[("a.yaml", &text("a"))]);
        let mut files = Files::new(vec![folder.path().to_owned()]);
        assert!(look(&mut files, Pace::Now).changed);
        assert_eq!(in_force(&files), ["a"]);
        assert_eq!(look(&mut files, Pace::Watch), Looked::default());

        let new = folder.path().join("b.yaml");
        fs::write(&new, &text("b")[..20]).unwrap();
        let looked = look(&mut files, Pace::Watch);
        assert_eq!((looked.changed, looked.unsettled), (false, true));
        // Written further meanwhile.
        fs::write(&new, text("b")).unwrap();
        let looked = look(&mut files, Pace::Again);
        assert_eq!((looked.changed, looked.unsettled), (false, true));
        assert!(look(&mut files, Pace::Again).changed);
        assert_eq!(in_force(&files), ["a", "b"]);
        assert!(files.problems().is_empty());
    }

    #[test]
    fn a_file_that_cannot_be_read_keeps_what_was_in_force() {
        let folder = folder(&[("a.yaml", &text("a"))]);
        let file = folder.path().join("a.yaml");
        let mut files = Files::new(vec![folder.path().to_owned()]);
        look(&mut files, Pace::Now);
        fs::write(&file, "][").unwrap();
        look(&mut files, Pace::Now);
        assert_eq!(in_force(&files), ["a"]);
        let problems = files.problems();
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].errors[0].line, Some(1));
        // Mended with another id.
        fs::write(&file, text("b")).unwrap();
        look(&mut files, Pace::Now);
        assert_eq!(in_force(&files), ["b"]);
        assert!(files.problems().is_empty());
    }

    #[test]
    fn a_file_is_gone_when_two_looks_miss_it() {
        let folder = folder(&[("a.yaml", &text("a")), ("b.yaml", &text("b"))]);
        let file = folder.path().join("a.yaml");
        let mut files = Files::new(vec![folder.path().to_owned()]);
        look(&mut files, Pace::Now);
        fs::remove_file(&file).unwrap();
        assert!(!look(&mut files, Pace::Watch).changed);
        assert!(!look(&mut files, Pace::Again).changed);
        // It was only being replaced.
        fs::write(&file, text("a")).unwrap();
        assert!(!look(&mut files, Pace::Watch).changed);
        fs::remove_file(&file).unwrap();
        assert!(!look(&mut files, Pace::Watch).changed);
        assert_eq!(in_force(&files), ["a", "b"]);
        assert!(look(&mut files, Pace::Watch).changed);
        assert_eq!(in_force(&files), ["b"]);
        // And it may come back.
        fs::write(&file, text("a")).unwrap();
        look(&mut files, Pace::Now);
        assert_eq!(in_force(&files), ["a", "b"]);
    }

    #[test]
    fn a_folder_that_went_away_removes_nothing() {
        let outer = folder(&[]);
        let inner = outer.path().join("registrations");
        fs::create_dir(&inner).unwrap();
        fs::write(inner.join("a.yaml"), text("a")).unwrap();
        let mut files = Files::new(vec![inner.clone()]);
        look(&mut files, Pace::Now);
        let away = outer.path().join("away");
        fs::rename(&inner, &away).unwrap();
        for _ in 0..3 {
            assert!(!look(&mut files, Pace::Watch).changed);
        }
        assert_eq!(in_force(&files), ["a"]);
        fs::rename(&away, &inner).unwrap();
        look(&mut files, Pace::Watch);
        assert_eq!(in_force(&files), ["a"]);
    }

    #[test]
    fn a_listed_file_that_goes_is_removed_and_named() {
        let folder = folder(&[("a.yaml", &text("a"))]);
        let file = folder.path().join("a.yaml");
        let mut files = Files::new(vec![file.clone()]);
        look(&mut files, Pace::Now);
        fs::remove_file(&file).unwrap();
        assert!(look(&mut files, Pace::Now).changed);
        assert!(in_force(&files).is_empty());
        assert_eq!(files.problems().len(), 1);
        assert!(!look(&mut files, Pace::Watch).changed, "it is gone once");
        fs::write(&file, text("a")).unwrap();
        look(&mut files, Pace::Now);
        assert_eq!(in_force(&files), ["a"]);
    }

    #[cfg(unix)]
    #[test]
    fn replaced_by_rename_and_reached_by_link() {
        let folder = folder(&[("one", &text("a"))]);
        let link = folder.path().join("a.yaml");
        std::os::unix::fs::symlink(folder.path().join("one"), &link).unwrap();
        let mut files = Files::new(vec![link, folder.path().to_owned()]);
        look(&mut files, Pace::Now);
        assert_eq!(in_force(&files), ["a"], "the same file is taken once");
        // Same size, same time: only the inode differs.
        let other = folder.path().join("two");
        let modified = fs::metadata(folder.path().join("one")).unwrap().modified();
        fs::write(&other, text("b")).unwrap();
        let opened = fs::File::options().append(true).open(&other).unwrap();
        opened.set_modified(modified.unwrap()).unwrap();
        fs::rename(&other, folder.path().join("one")).unwrap();
        assert!(look(&mut files, Pace::Watch).unsettled);
        assert!(look(&mut files, Pace::Watch).changed);
        assert_eq!(in_force(&files), ["b"]);
    }
}
