//! A person on the lab's homeserver: registers, calls, and remembers nothing but its token.
//!
//! - here: who it is, and how it calls;
//! - `rooms`: rooms, members, power; `says`: what it sends; `looks`: what it sees;
//! - `media`: uploads and downloads, its profile.

mod looks;
mod media;
mod rooms;
mod says;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bridgehead_appservice::{Secret, id::UserId};
use bytes::Bytes;
use http::{Method, Request, Response, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::{error::CallError, host::HostPort, rooms::KnownRooms};

pub use self::media::Download;

/// All but what RFC 3986 calls unreserved.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

const JSON: &str = "application/json";

/// One path segment, escaped.
fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// A person on the lab's homeserver. Clones are the same person on the same device.
#[derive(Clone)]
pub struct LabUser(Arc<Inner>);

struct Inner {
    name: String,
    user_id: UserId,
    token: Secret,
    port: Arc<HostPort>,
    rooms: KnownRooms,
    transactions: AtomicU64,
    patience: Duration,
}

/// What all users of a lab share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) port: Arc<HostPort>,
    pub(super) rooms: KnownRooms,
    /// How long a wait may take.
    pub(super) patience: Duration,
}

impl LabUser {
    /// Signs up, with the dummy stage alone.
    pub(super) async fn register(
        shared: &Shared,
        name: &str,
        localpart: &str,
    ) -> Result<Self, CallError> {
        const PATH: &str = "/_matrix/client/v3/register";
        let body = json!({
            "username": localpart, "password": "a password of the lab's",
            "auth": { "type": "m.login.dummy" },
        });
        let mut request = Request::post(PATH).header(header::CONTENT_TYPE, JSON);
        let registered = send(&shared.port, &mut request, Bytes::from(body.to_string())).await;
        let what = format!("POST {PATH}");
        let answer = checked(what.clone(), registered)?;
        let answer: Value = read(&what, &answer)?;
        Ok(Self(Arc::new(Inner {
            name: name.to_owned(),
            user_id: parse(&what, &answer, "user_id", UserId::parse)?,
            token: Secret::new(text(&what, &answer, "access_token")?.to_owned()),
            port: shared.port.clone(),
            rooms: shared.rooms.clone(),
            transactions: AtomicU64::new(0),
            patience: shared.patience,
        })))
    }

    /// The name that the lab was asked for; the localpart too on a homeserver of the lab's own.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The user id.
    pub fn id(&self) -> &UserId {
        &self.0.user_id
    }

    /// The access token, for calls that go another way.
    pub fn token(&self) -> &Secret {
        &self.0.token
    }

    /// Any request: `path` from `/_matrix` on, escaped, with its query if it has one; gives back
    /// the answer whatever its status.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn request(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Bytes,
    ) -> Result<Response<Bytes>, CallError> {
        let bearer = format!("Bearer {}", self.0.token.expose());
        let mut request = Request::builder()
            .method(method.clone())
            .uri(path)
            .header(header::AUTHORIZATION, bearer);
        if !content_type.is_empty() {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        let sent = send(&self.0.port, &mut request, body).await;
        sent.map_err(|why| CallError::NoAnswer {
            what: what(&method, path),
            why,
        })
    }

    /// A JSON request whose answer must be a success; `path` as in [`LabUser::request`]. With
    /// `Null` as the body none is sent.
    ///
    /// # Errors
    /// Status, errcode and message where the homeserver says no.
    pub async fn call(&self, method: Method, path: &str, body: &Value) -> Result<Value, CallError> {
        let what = what(&method, path);
        let (content_type, body) = match body {
            Value::Null => ("", Bytes::new()),
            body => (JSON, Bytes::from(body.to_string())),
        };
        let answer = self.request(method, path, content_type, body).await?;
        let answer = checked(what.clone(), Ok(answer))?;
        read(&what, &answer)
    }

    async fn get(&self, path: &str) -> Result<Value, CallError> {
        self.call(Method::GET, path, &Value::Null).await
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value, CallError> {
        self.call(Method::POST, path, body).await
    }

    async fn put(&self, path: &str, body: &Value) -> Result<Value, CallError> {
        self.call(Method::PUT, path, body).await
    }

    /// A transaction id that this device has not used.
    fn fresh_transaction(&self) -> String {
        let number = self.0.transactions.fetch_add(1, Ordering::Relaxed);
        format!("lab-{number}")
    }
}

/// Method and path, without the query.
fn what(method: &Method, path: &str) -> String {
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    format!("{method} {path}")
}

async fn send(
    port: &HostPort,
    request: &mut http::request::Builder,
    body: Bytes,
) -> Result<Response<Bytes>, String> {
    let request = std::mem::take(request).body(body);
    let request = request.map_err(|error| format!("this makes no request: {error}"))?;
    port.call(request).await.map_err(|error| error.to_string())
}

fn checked(
    what: String,
    answer: Result<Response<Bytes>, String>,
) -> Result<Response<Bytes>, CallError> {
    match answer {
        Ok(answer) if answer.status().is_success() => Ok(answer),
        Ok(answer) => Err(CallError::refused(what, &answer)),
        Err(why) => Err(CallError::NoAnswer { what, why }),
    }
}

fn read(what: &str, answer: &Response<Bytes>) -> Result<Value, CallError> {
    serde_json::from_slice(answer.body()).map_err(|error| CallError::Nonsense {
        what: what.to_owned(),
        why: error.to_string(),
    })
}

fn text<'a>(what: &str, answer: &'a Value, key: &str) -> Result<&'a str, CallError> {
    answer[key].as_str().ok_or_else(|| CallError::Nonsense {
        what: what.to_owned(),
        why: format!("there is no `{key}`"),
    })
}

fn parse<T, E: std::fmt::Display>(
    what: &str,
    answer: &Value,
    key: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, CallError> {
    parse(text(what, answer, key)?).map_err(|error| CallError::Nonsense {
        what: what.to_owned(),
        why: error.to_string(),
    })
}
