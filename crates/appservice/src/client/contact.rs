//! How the service and the homeserver get along: when it last answered, and what it last said no to.

use parking_lot::Mutex;

use crate::Error;

/// What is known of the homeserver from the requests that were made anyway; see [`Client`](super::Client).
#[derive(Default)]
pub(crate) struct Contact(Mutex<State>);

#[derive(Clone, Default)]
struct State {
    answered_ms: Option<i64>,
    wrote_ms: Option<i64>,
    trouble: Option<String>,
}

impl Contact {
    /// Notes how a request has ended.
    pub(super) fn note<T>(&self, outcome: &Result<T, Error>, now_ms: i64) {
        let trouble = match outcome {
            Err(error) if is_trouble(error) => Some(error.to_string()),
            _ => None,
        };
        let mut state = self.0.lock();
        if trouble.is_none() {
            state.answered_ms = Some(now_ms);
        }
        state.trouble = trouble;
    }

    /// When it last did something, as opposed to telling: ms since the Unix epoch; `None`: not yet. A homeserver whose
    /// disk is full may still tell.
    pub(crate) fn wrote_ms(&self) -> Option<i64> {
        self.0.lock().wrote_ms
    }

    /// It has done something.
    pub(super) fn note_written(&self, now_ms: i64) {
        self.0.lock().wrote_ms = Some(now_ms);
    }

    /// When it last answered as it should, ms since the Unix epoch; `None`: not yet.
    pub(crate) fn answered_ms(&self) -> Option<i64> {
        self.0.lock().answered_ms
    }

    /// What is wrong, if the last request has shown that something is.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.0.lock().trouble.clone()
    }
}

/// Whether an error tells of the homeserver or the token, and not of what was asked. A limit is neither.
fn is_trouble(error: &Error) -> bool {
    match error {
        Error::Transport(_) | Error::Nonsense { .. } => true,
        Error::Refused { status, .. } => *status == 401 || *status >= 500,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::surroundings::TransportError;

    fn refused(status: u16) -> Error {
        Error::Refused {
            what: "GET /x".to_owned(),
            status,
            errcode: "M_X".to_owned(),
            message: String::new(),
            retry_after: None,
        }
    }

    #[test]
    fn what_was_asked_is_no_trouble_and_the_way_there_is() {
        let contact = Contact::default();
        assert_eq!((contact.answered_ms(), contact.trouble()), (None, None));
        contact.note::<()>(&Err(refused(401)), 1);
        assert_eq!(contact.answered_ms(), None);
        assert!(contact.trouble().is_some_and(|text| text.contains("401")));
        contact.note::<()>(&Err(refused(403)), 2);
        assert_eq!((contact.answered_ms(), contact.trouble()), (Some(2), None));
        contact.note::<()>(&Err(TransportError::Timeout(5).into()), 3);
        assert_eq!(contact.answered_ms(), Some(2));
        assert!(contact.trouble().is_some());
        contact.note(&Ok(()), 4);
        assert_eq!((contact.answered_ms(), contact.trouble()), (Some(4), None));
    }
}
