//! Why a user of a lab did not get what it asked the homeserver for.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde::Deserialize;

/// Why a call of a [`super::LabUser`] failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The homeserver said no.
    #[error("{what} was answered {} {errcode}: {message}", status.as_u16())]
    Refused {
        /// Method and path.
        what: String,
        /// The status.
        status: StatusCode,
        /// The `errcode`; empty when the answer is none of Matrix's.
        errcode: String,
        /// Its text, or the start of an answer that is none of Matrix's.
        message: String,
    },
    /// No answer came: the homeserver is stopped, or away.
    #[error("{what}: {why}")]
    NoAnswer {
        /// Method and path.
        what: String,
        /// What happened instead.
        why: String,
    },
    /// The answer is not what it should be.
    #[error("{what} was answered with nonsense: {why}")]
    Nonsense {
        /// Method and path.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// What was waited for did not come.
    #[error("waited in vain for {what}")]
    Waited {
        /// What was waited for, and what was there instead.
        what: String,
    },
}

impl CallError {
    /// The homeserver's `errcode`, where it said no.
    pub fn errcode(&self) -> Option<&str> {
        match self {
            Self::Refused { errcode, .. } => Some(errcode),
            Self::NoAnswer { .. } | Self::Nonsense { .. } | Self::Waited { .. } => None,
        }
    }

    /// The status of the answer, where the homeserver said no.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            Self::NoAnswer { .. } | Self::Nonsense { .. } | Self::Waited { .. } => None,
        }
    }

    pub(super) fn refused(what: String, answer: &Response<Bytes>) -> Self {
        #[derive(Deserialize)]
        struct Body {
            errcode: String,
            #[serde(default)]
            error: String,
        }
        let status = answer.status();
        match serde_json::from_slice::<Body>(answer.body()) {
            Ok(body) => Self::Refused {
                what,
                status,
                errcode: body.errcode,
                message: body.error,
            },
            Err(_) => Self::Refused {
                what,
                status,
                errcode: String::new(),
                message: String::from_utf8_lossy(answer.body())
                    .chars()
                    .take(200)
                    .collect(),
            },
        }
    }
}
