//! What has passed between host and services, written down for the transcript.

use bridgehead_appservice::surroundings::TransportError;
use bytes::Bytes;
use http::{Method, Request, Response};
use parking_lot::Mutex;
use serde_json::Value;

use super::faults::{Act, Side};

/// Bytes of bodies kept; what passes later is counted only.
const MAX_BYTES: usize = 64 << 20;
/// Requests kept.
const MAX_ENTRIES: usize = 100_000;

/// One request, and what became of it.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) side: Side,
    pub(super) service: String,
    pub(super) method: Method,
    /// As it stood in the request, escapes and all, without the query, which may hold tokens.
    pub(super) path: String,
    /// Whom a service acted as.
    pub(super) acting_as: Option<String>,
    pub(super) body: Bytes,
    /// The status and what of the answer is worth telling, or why there was none.
    pub(super) outcome: Result<(u16, Value), String>,
    pub(super) fault: Option<String>,
}

impl Entry {
    fn new(side: Side, service: &str, request: &Request<Bytes>) -> Self {
        let query = request.uri().query().unwrap_or_default();
        let mut query = url::form_urlencoded::parse(query.as_bytes());
        let acting_as = query.find(|(key, _)| key == "user_id");
        Self {
            side,
            service: service.to_owned(),
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            acting_as: acting_as.map(|(_, user)| user.into_owned()),
            body: request.body().clone(),
            outcome: Err("given up".to_owned()),
            fault: None,
        }
    }
}

/// A request under way; written down when it ends, be it that it is dropped.
pub(super) struct Note<'a> {
    journal: &'a Journal,
    entry: Option<Entry>,
}

impl Note<'_> {
    pub(super) fn end(mut self, answer: &Result<Response<Bytes>, TransportError>) {
        if let Some(entry) = &mut self.entry {
            entry.outcome = match answer {
                Ok(answer) => Ok((answer.status().as_u16(), telling(answer.body()))),
                Err(error) => Err(error.to_string()),
            };
        }
    }
}

impl Drop for Note<'_> {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take() {
            self.journal.add(entry);
        }
    }
}

/// Ids and errors of an answer; never tokens.
fn telling(body: &[u8]) -> Value {
    let Ok(Value::Object(answer)) = serde_json::from_slice(body) else {
        return Value::Null;
    };
    let told = [
        "event_id",
        "room_id",
        "content_uri",
        "errcode",
        "replacement_room",
    ];
    let mut answer = answer;
    told.into_iter()
        .find_map(|key| answer.remove(key))
        .unwrap_or(Value::Null)
}

/// All of it, in the order in which requests ended.
#[derive(Default)]
pub(super) struct Journal(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    entries: Vec<Entry>,
    bytes: usize,
    dropped: usize,
}

impl Journal {
    pub(super) fn begin(
        &self,
        side: Side,
        service: &str,
        request: &Request<Bytes>,
        act: Option<&Act>,
    ) -> Note<'_> {
        let entry = Entry {
            fault: act.map(ToString::to_string),
            ..Entry::new(side, service, request)
        };
        Note {
            journal: self,
            entry: Some(entry),
        }
    }

    fn add(&self, entry: Entry) {
        let mut kept = self.0.lock();
        let bytes = kept.bytes + entry.body.len();
        if bytes > MAX_BYTES || kept.entries.len() >= MAX_ENTRIES {
            kept.dropped += 1;
            return;
        }
        kept.bytes = bytes;
        kept.entries.push(entry);
    }

    /// What was kept, and how much was not.
    pub(super) fn entries(&self) -> (Vec<Entry>, usize) {
        let kept = self.0.lock();
        (kept.entries.clone(), kept.dropped)
    }
}
