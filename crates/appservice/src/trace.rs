//! The thread through a transaction: its trace context (W3C *Trace Context*), from the homeserver's request, or made
//! when it brings none, through the handlers to what they ask of the homeserver.
//!
//! It is stored with what it belongs to, so an event that is handled after a restart, and a send that goes out hours
//! later, still belong to the transaction that began it all. Within a task it is found without being passed on.

use std::{future::Future, sync::Arc};

use crate::surroundings::Randomness;

/// The header that carries it.
pub(crate) const HEADER: &str = "traceparent";

tokio::task_local! {
    static CURRENT: Trace;
}

/// A trace context: which trace it is, and our own place in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trace(Arc<str>);

impl Trace {
    /// The trace that a request's header names, or a new one; either way with a place of our own in it.
    pub(crate) fn of_request(headers: &http::HeaderMap, randomness: &dyn Randomness) -> Self {
        let told = headers.get(HEADER).and_then(|value| value.to_str().ok());
        let (id, flags) = match told.and_then(parts) {
            Some((id, flags)) => (id.to_owned(), flags.to_owned()),
            None => (randomness.hex(32), "01".to_owned()),
        };
        Self(format!("00-{id}-{}-{flags}", randomness.hex(16)).into())
    }

    /// What was stored.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        parts(text).map(|_| Self(text.into()))
    }

    /// The header's value.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The trace's id: 32 hexadecimal digits.
    pub(crate) fn id(&self) -> &str {
        self.0.get(3..35).unwrap_or_default()
    }

    /// The one that the calling task works for.
    pub(crate) fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// Runs a future for this trace; for none, where there is none.
    pub(crate) async fn around<F: Future>(trace: Option<Self>, future: F) -> F::Output {
        match trace {
            Some(trace) => CURRENT.scope(trace, future).await,
            None => future.await,
        }
    }
}

/// Trace id and flags of a header's value (*Trace Context*, 3.2).
fn parts(text: &str) -> Option<(&str, &str)> {
    let mut parts = text.trim().split('-');
    let (version, id, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |part: &str, digits: usize| {
        part.len() == digits
            && part
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_zero = |part: &str| part.bytes().all(|byte| byte == b'0');
    // Later versions may append more.
    let is_whole = version != "00" || parts.next().is_none();
    let is_valid = is_hex(version, 2)
        && version != "ff"
        && is_hex(id, 32)
        && !is_zero(id)
        && is_hex(parent, 16)
        && !is_zero(parent)
        && is_hex(flags, 2)
        && is_whole;
    is_valid.then_some((id, flags))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::surroundings::SeededRandomness;

    const TOLD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn of(header: &str) -> Trace {
        let mut headers = http::HeaderMap::new();
        headers.insert(HEADER, header.parse().unwrap());
        Trace::of_request(&headers, &SeededRandomness::new(1))
    }

    #[test]
    fn a_request_s_trace_goes_on_with_our_own_place() {
        let trace = of(TOLD);
        assert_eq!(trace.id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_ne!(trace.as_str(), TOLD);
        assert!(trace.as_str().ends_with("-01"), "{}", trace.as_str());
        assert_eq!(Trace::parse(trace.as_str()), Some(trace));
        let later = of("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-more");
        assert_eq!(later.id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert!(later.as_str().starts_with("00-") && later.as_str().ends_with("-00"));
    }

    #[test]
    fn nonsense_begins_a_trace_of_its_own() {
        for header in [
            "",
            "00",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            let trace = of(header);
            assert_ne!(trace.id(), "4bf92f3577b34da6a3ce929d0e0e4736", "{header}");
            assert_eq!(Trace::parse(trace.as_str()), Some(trace), "{header}");
        }
    }

    #[tokio::test]
    async fn a_task_knows_its_own() {
        assert_eq!(Trace::current(), None);
        let trace = of(TOLD);
        let seen = Trace::around(Some(trace.clone()), async { Trace::current() }).await;
        assert_eq!(seen, Some(trace));
        assert_eq!(Trace::around(None, async { Trace::current() }).await, None);
    }
}
