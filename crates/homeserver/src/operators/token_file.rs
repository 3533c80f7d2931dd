//! `operator.token` in the data folder: whoever may read it has the machine, and with it the
//! operator `local`. The command line finds it there.

use std::{io, path::Path};

use bridgehead_store::{OperatorRow, Store};

use super::Act;
use crate::{
    http::auth::hash,
    private_file::{is_open_to_others, write_private},
    random::Random,
    secret::Secret,
};

/// The operator whose token the file holds.
pub(super) const LOCAL: &str = "local";
/// Characters of a token that somebody else has put there, at least: as many as ours have.
const MIN_LENGTH: usize = 32;
/// And at most.
const MAX_LENGTH: usize = 1_024;

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenFileError {
    /// It could not be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Others than its owner may read it.
    #[error("open to others")]
    Open,
    /// What it holds is no token.
    #[error("not a token")]
    Bad,
}

/// Reads the token, or makes one that only its owner can read.
pub(crate) fn read_or_make(path: &Path, random: &Random) -> Result<Secret, TokenFileError> {
    if !path.exists() {
        // Whole or not at all, as with the signing key.
        let unfinished = path.with_extension("unfinished");
        write_private(&unfinished, &format!("{}\n", random.token()))?;
        std::fs::rename(&unfinished, path)?;
    }
    if is_open_to_others(path)? {
        return Err(TokenFileError::Open);
    }
    let text = std::fs::read_to_string(path).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => TokenFileError::Bad,
        _ => TokenFileError::Io(error),
    })?;
    let token = text.trim_end();
    let is_token = (MIN_LENGTH..=MAX_LENGTH).contains(&token.len())
        && token.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_token {
        return Err(TokenFileError::Bad);
    }
    Ok(Secret::new(token.to_owned()))
}

/// Makes the file's token the one of the operator `local`, and ends the one it had before.
pub(crate) async fn put_in_force(
    store: &Store,
    token: &Secret,
    now_ms: i64,
) -> bridgehead_store::Result<()> {
    let token_hash = hash(token.expose());
    let known = store
        .read(move |s| s.operator_by_token(&token_hash))
        .await?;
    if known.is_some_and(|row| row.name == LOCAL && row.may_act) {
        return Ok(());
    }
    let act = Act {
        who: "server".to_owned(),
        action: "operator_add",
        service_id: None,
        reason: None,
        at_ms: now_ms,
    };
    let row = OperatorRow {
        name: LOCAL.to_owned(),
        may_act: true,
        created_at: now_ms,
        last_used_at: None,
    };
    store
        .write(move |tx| {
            tx.delete_operator(LOCAL)?;
            if !tx.insert_operator(&row, &token_hash)? {
                return Err(bridgehead_store::Error::Conflict { table: "operators" });
            }
            act.record(tx, Some(format!("{LOCAL}, role act, from operator.token")))
        })
        .await
}
