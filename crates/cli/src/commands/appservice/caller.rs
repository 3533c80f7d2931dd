//! What every verb needs: the client, how to look, and whether a script reads it.

use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path, process::ExitCode};

use anyhow::Context as _;
use bridgehead_admin_api::Client;
use serde::Serialize;

use super::Common;
use crate::{
    commands::print,
    output::{self, Look},
};

/// Who calls the server.
pub(in crate::commands) struct Caller {
    pub(in crate::commands) client: Client,
    pub(in crate::commands) look: Look,
    pub(in crate::commands) json: bool,
}

impl Caller {
    pub(in crate::commands) fn new(common: &Common) -> anyhow::Result<Self> {
        Ok(Self {
            client: common.connection.client()?,
            look: Look::of_stdout(),
            json: common.json,
        })
    }

    /// Prints the API's answer: as it is for scripts, in words for people.
    pub(in crate::commands) fn answer<T: Serialize>(
        &self,
        answer: &T,
        words: impl FnOnce(&T, Look) -> String,
    ) -> anyhow::Result<ExitCode> {
        let text = if self.json {
            output::json(answer)?
        } else {
            words(answer, self.look)
        };
        print(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Writes what is secret to a new file that only its owner may read.
pub(in crate::commands) fn write_private_answer(path: &Path, text: &str) -> anyhow::Result<()> {
    let opened = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    opened
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}
