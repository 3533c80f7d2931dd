//! Exit codes: what a script learns without reading.

use std::fmt;

use bridgehead_admin_api::ClientError;

/// What `--help` says about them, under every command that speaks to a server.
pub(crate) const HELP: &str = "\
Exit codes:
  0  done; of doctor: healthy; of lint: no errors
  1  refused or failed; of doctor: not healthy; of lint: errors were found
  2  the command line or the configuration is wrong
  3  no server could be reached
  4  not allowed: no token, a wrong one, or one that may only read

Text has colours on a terminal, unless NO_COLOR is set.";

/// The command cannot be meant like that.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

/// There is no token to show.
#[derive(Debug)]
pub(crate) struct NoToken(pub(crate) String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for NoToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

impl std::error::Error for NoToken {}

/// The code for an error.
pub(crate) fn code_of(error: &anyhow::Error) -> u8 {
    match error.downcast_ref::<ClientError>() {
        Some(error) if error.is_not_allowed() => 4,
        // Whatever it is that answers there, it is not the server that was meant.
        Some(ClientError::Unreachable { .. } | ClientError::Unexpected { .. }) => 3,
        Some(ClientError::Refused { .. }) => 1,
        None if error.is::<Usage>() => 2,
        None if error.is::<NoToken>() => 4,
        None => 1,
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn each_kind_has_its_code_whatever_is_said_around_it() {
        let refused = |status| ClientError::Refused {
            status,
            errcode: "M_X".to_owned(),
            error: "no".to_owned(),
        };
        let unexpected = ClientError::Unexpected {
            server: "http://localhost/".to_owned(),
            reason: "HTML".to_owned(),
        };
        let cases = [
            (anyhow::Error::new(refused(409)), 1),
            (anyhow::Error::new(refused(401)), 4),
            (anyhow::Error::new(refused(403)), 4),
            (anyhow::Error::new(unexpected), 3),
            (anyhow::Error::new(Usage("no".to_owned())), 2),
            (anyhow::Error::new(NoToken("no".to_owned())), 4),
            (anyhow::anyhow!("no"), 1),
        ];
        for (error, code) in cases {
            let around = Err::<(), _>(error).context("around").unwrap_err();
            assert_eq!(code_of(&around), code, "{around:#}");
        }
    }
}
