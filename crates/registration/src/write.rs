//! A draft's way into its file: made the first time, brought up to date ever after.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    Change, Generated, Registration, RegistrationDraft, RegistrationError, create_file, parse,
    read_bounded, replace_file,
};

/// What became of a registration's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There was none; it has fresh tokens.
    Made,
    /// It says something else than before; the id and both tokens are the same.
    Updated,
    /// It said all this already and was not touched.
    Unchanged,
}

/// A registration in its file.
#[derive(Clone, Debug)]
pub struct Written {
    /// What the file says.
    pub registration: Registration,
    /// What became of the file.
    pub outcome: Outcome,
    /// What is other than before; empty for a new file.
    pub changes: Vec<Change>,
}

/// Why a registration was not written. The file is as before.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The draft is wrong, or the file that is there cannot be read.
    #[error("{}", lines(.0))]
    Refused(Vec<RegistrationError>),
    /// The file cannot be written.
    #[error("{}: cannot be written", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

fn lines(errors: &[RegistrationError]) -> String {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

impl RegistrationDraft {
    /// Makes the file with fresh tokens, or brings the one that is there up to this draft, its id and both tokens kept
    /// (see [`regenerate`](Self::regenerate)). A file that already says all this is not touched, so that its comments
    /// stay; a new one can be read by its owner alone. `fill` is as in [`generate`](Self::generate).
    ///
    /// # Errors
    /// Nothing is written then.
    pub fn write(
        &self,
        file: &Path,
        server_name: &str,
        mut fill: impl FnMut(&mut [u8]),
    ) -> Result<Written, WriteError> {
        let failed = |source| WriteError::Io {
            file: file.to_owned(),
            source,
        };
        if file.symlink_metadata().is_err() {
            let generated = self.generate(&mut fill).map_err(WriteError::Refused)?;
            match create_file(file, generated.text.expose()) {
                Ok(()) => return Ok(placed(file, generated, Outcome::Made)),
                // Somebody else was faster: theirs it is.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(error)),
            }
        }
        let content = read_bounded(file).map_err(|error| WriteError::Refused(vec![error]))?;
        let (before, _) = parse(file, &content).map_err(WriteError::Refused)?;
        let generated = self
            .regenerate(&before, server_name)
            .map_err(WriteError::Refused)?;
        if !generated.is_changed() {
            return Ok(placed(file, generated, Outcome::Unchanged));
        }
        replace_file(file, generated.text.expose()).map_err(failed)?;
        Ok(placed(file, generated, Outcome::Updated))
    }
}

fn placed(file: &Path, generated: Generated, outcome: Outcome) -> Written {
    let mut registration = generated.registration;
    file.clone_into(&mut registration.source.file);
    Written {
        registration,
        outcome,
        changes: generated.changes,
    }
}
