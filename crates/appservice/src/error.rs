//! What can go wrong between the service and the homeserver, and in handlers.

use std::{fmt, time::Duration};

use bridgehead_registration::{HIDDEN, Secret};

use crate::{
    id::{InvalidId, UserId},
    store::StoreError,
    surroundings::TransportError,
};

/// Why something that was asked of the homeserver was not done. Displays as a sentence for people, without secrets.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There was no answer.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The homeserver said no.
    #[error("the homeserver refused {what}: {status} {errcode}: {message}")]
    Refused {
        /// What was asked, such as `PUT /_matrix/client/v3/…`.
        what: String,
        /// The HTTP status.
        status: u16,
        /// The specification's code, such as `M_FORBIDDEN`; empty when the answer had none.
        errcode: String,
        /// The homeserver's own words, cut after 300 characters.
        message: String,
        /// When it may be asked again, where it said so.
        retry_after: Option<Duration>,
    },
    /// The homeserver answered, and the answer makes no sense.
    #[error("the homeserver's answer to {what} makes no sense: {why}")]
    Nonsense {
        /// What was asked.
        what: String,
        /// What is wrong with the answer.
        why: String,
    },
    /// The room's own rules forbid it; the homeserver was not asked.
    #[error("{0}")]
    Forbidden(String),
    /// A text is not the identifier it should be.
    #[error(transparent)]
    InvalidId(#[from] InvalidId),
    /// The service's database could not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It was tried for as long as it may be.
    #[error("given up after {attempts} attempts: {last}")]
    GivenUp {
        /// How often it was tried.
        attempts: u32,
        /// What the last attempt brought.
        last: String,
    },
    /// The service is being ended.
    #[error("the service is being ended")]
    Stopping,
    /// The access token that a person has given the service is no longer good: they have logged it out, or have another
    /// password. It is not used again; they are told, and may give another. The same can be done as somebody else.
    #[error("the access token that {0} has given is no longer good: they may give another")]
    PuppetLost(UserId),
    /// What was asked cannot be done with this homeserver or configuration; the text says what to do.
    #[error("{0}")]
    Unsupported(String),
}

impl Error {
    /// The same with this token hidden, should the homeserver have repeated it in its answer.
    pub(crate) fn without(mut self, token: &Secret) -> Self {
        if let Self::Refused {
            message, errcode, ..
        } = &mut self
        {
            for text in [message, errcode] {
                *text = text.replace(token.expose(), HIDDEN);
            }
        }
        self
    }

    /// The specification's code of a refusal.
    #[must_use]
    pub fn errcode(&self) -> Option<&str> {
        match self {
            Self::Refused { errcode, .. } if !errcode.is_empty() => Some(errcode),
            Self::PuppetLost(_) => Some("M_UNKNOWN_TOKEN"),
            _ => None,
        }
    }

    /// The HTTP status of a refusal.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether trying the same again later may help: no answer, a rate limit, a server's failure.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Transport(TransportError::TooLarge(_)) => false,
            Self::Transport(_) => true,
            // It waited for the upload already.
            Self::Refused { errcode, .. } if errcode == "M_NOT_YET_UPLOADED" => false,
            Self::Refused {
                status, errcode, ..
            } => {
                *status == 429 || *status == 408 || *status >= 500 || errcode == "M_LIMIT_EXCEEDED"
            }
            Self::Nonsense { .. } => true,
            Self::Forbidden(_)
            | Self::InvalidId(_)
            | Self::Store(_)
            | Self::GivenUp { .. }
            | Self::Stopping
            | Self::PuppetLost(_)
            | Self::Unsupported(_) => false,
        }
    }

    /// Whether waiting may help although nothing of what was asked changes: the trouble is the homeserver's, or is
    /// between it and the service. That is what [`is_transient`](Self::is_transient) tells of, and a 401: the
    /// homeserver does not know the service's `as_token` yet, or another one, which its operator mends. What was to be
    /// done is kept meanwhile, and its attempts do not count. The token of a person that is no longer good does not come
    /// back: [`Error::PuppetLost`] is none of these.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        self.is_transient() || self.status() == Some(401)
    }

    /// Whether it is a rate limit.
    #[must_use]
    pub fn is_rate_limit(&self) -> bool {
        self.status() == Some(429) || self.errcode() == Some("M_LIMIT_EXCEEDED")
    }
}

/// Why a handler failed: any error, told to the operator when the event is parked.
///
/// Made from every error with `?`, and from a text with [`HandlerError::new`].
pub struct HandlerError(Box<dyn std::error::Error + Send + Sync>);

impl HandlerError {
    /// From a sentence for people.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into().into())
    }

    /// The kit's own error in it, where it is one.
    #[must_use]
    pub fn as_error(&self) -> Option<&Error> {
        self.0.downcast_ref()
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for HandlerError {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outages_pass_and_answers_to_what_was_asked_do_not() {
        let refused = |status: u16, errcode: &str| Error::Refused {
            what: "GET /x".to_owned(),
            status,
            errcode: errcode.to_owned(),
            message: String::new(),
            retry_after: None,
        };
        let passes = [
            Error::Transport(TransportError::Timeout(5)),
            refused(502, ""),
            refused(429, "M_LIMIT_EXCEEDED"),
            refused(401, "M_UNKNOWN_TOKEN"),
        ];
        for error in passes {
            assert!(error.may_pass(), "{error}");
        }
        let stays = [
            refused(400, "M_BAD_JSON"),
            refused(403, "M_FORBIDDEN"),
            refused(404, "M_NOT_FOUND"),
            Error::PuppetLost(UserId::parse("@u:x").expect("an id")),
            Error::Forbidden("no".to_owned()),
            Error::Stopping,
        ];
        for error in stays {
            assert!(!error.may_pass(), "{error}");
        }
    }
}
