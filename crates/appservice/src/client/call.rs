//! A request to be: what is asked, as whom, how urgently.

use ::http::Method;
use bridgehead_registration::Secret;
use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::id::UserId;

/// Everything but the unreserved characters of RFC 3986 is escaped in a path.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// One part of a path, escaped.
pub(crate) fn escape(part: &str) -> String {
    utf8_percent_encode(part, UNRESERVED).to_string()
}

/// How urgent a request is; where requests have to wait, more urgent ones go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Urgency {
    /// Messages, and what somebody waits for.
    Message,
    /// Joins, leaves, invitations.
    Membership,
    /// Names and pictures.
    Profile,
    /// History.
    Backfill,
}

/// A request to be.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// From `/_matrix` on, escaped, without a query.
    pub(crate) path: String,
    pub(crate) query: Vec<(&'static str, String)>,
    /// JSON, unless `content_type` says otherwise.
    pub(crate) body: Option<Bytes>,
    pub(crate) content_type: Option<String>,
    /// Who acts; `None` is the service's own user.
    pub(crate) user: Option<UserId>,
    pub(crate) token: Token,
    pub(crate) urgency: Urgency,
    /// It has waited for the homeserver's limits already.
    pub(crate) is_admitted: bool,
}

/// Which token a request shows.
#[derive(Clone, Debug, Default)]
pub(crate) enum Token {
    /// That of who acts: the service's, or the person's own.
    #[default]
    Actors,
    /// This one.
    Given(Secret),
    /// None.
    None,
}

impl Call {
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            query: Vec::new(),
            body: None,
            content_type: None,
            user: None,
            token: Token::Actors,
            urgency: Urgency::Message,
            is_admitted: false,
        }
    }

    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub(crate) fn post(path: impl Into<String>, body: &Value) -> Self {
        Self::new(Method::POST, path).json(body)
    }

    pub(crate) fn put(path: impl Into<String>, body: &Value) -> Self {
        Self::new(Method::PUT, path).json(body)
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.text(body.to_string())
    }

    /// With a body that is JSON already.
    pub(crate) fn text(mut self, body: String) -> Self {
        self.body = Some(Bytes::from(body));
        self
    }

    pub(crate) fn bytes(mut self, bytes: Bytes, content_type: &str) -> Self {
        self.body = Some(bytes);
        self.content_type = Some(content_type.to_owned());
        self
    }

    pub(crate) fn token(mut self, token: Token) -> Self {
        self.token = token;
        self
    }

    pub(crate) fn by(mut self, user: Option<&UserId>) -> Self {
        self.user = user.cloned();
        self
    }

    pub(crate) fn query(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.query.push((key, value.into()));
        self
    }

    pub(crate) fn urgency(mut self, urgency: Urgency) -> Self {
        self.urgency = urgency;
        self
    }

    /// Whether it is made as one of the user's devices (MSC4326).
    pub(super) fn names_device(&self) -> bool {
        self.query.iter().any(|(key, _)| *key == "device_id")
    }

    /// What it is called in errors: method and path, without the query.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}
