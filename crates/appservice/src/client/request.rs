//! A request as it goes over the line, and its response.

use std::time::Duration;

use ::http::{HeaderValue, Request, Response, StatusCode, header};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use serde_json::Value;

use super::{Call, limiter::Class};
use crate::{
    error::Error,
    id::UserId,
    surroundings::{BodyStream, TransportError},
    trace::{self, Trace},
};
use bridgehead_registration::Secret;

/// Bytes of a refusal at most, where more was expected.
const MAX_REFUSAL_BYTES: usize = 64 << 10;

/// As whom a request goes.
pub(super) enum Identity<'a> {
    /// As the service, or as another user with its token.
    Service(&'a Secret, Option<&'a UserId>),
    /// As a person, with their own token.
    Person(&'a UserId, Secret),
    /// As whoever has this token.
    Holder(&'a Secret),
    Nobody,
}

impl Identity<'_> {
    /// The token that it shows.
    pub(super) fn token(&self) -> Option<&Secret> {
        match self {
            Identity::Service(token, _) | Identity::Holder(token) => Some(token),
            Identity::Person(_, token) => Some(token),
            Identity::Nobody => None,
        }
    }
}

/// Puts the request together.
pub(super) fn request(call: &Call, identity: &Identity<'_>) -> Result<Request<Bytes>, Error> {
    let mut uri = call.path.clone();
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(call.query.iter().map(|(key, value)| (*key, value.as_str())));
    if let Identity::Service(_, Some(user)) = identity {
        query.append_pair("user_id", user.as_str());
    }
    let query = query.finish();
    if !query.is_empty() {
        uri.push('?');
        uri.push_str(&query);
    }
    let no_request = |error: &dyn std::fmt::Display| {
        Error::Unsupported(format!("{} cannot be asked: {error}", call.name()))
    };
    let mut request = Request::builder().method(call.method.clone()).uri(uri);
    if let Some(token) = identity.token() {
        let token = format!("Bearer {}", token.expose());
        let mut token = HeaderValue::try_from(token).map_err(|error| no_request(&error))?;
        // What prints headers does not print this one.
        token.set_sensitive(true);
        request = request.header(header::AUTHORIZATION, token);
    }
    if let Some(trace) = Trace::current() {
        request = request.header(trace::HEADER, trace.as_str());
    }
    if call.body.is_some() {
        let content_type = call.content_type.as_deref().unwrap_or("application/json");
        request = request.header(header::CONTENT_TYPE, content_type);
    }
    request
        .body(call.body.clone().unwrap_or_default())
        .map_err(|error| no_request(&error))
}

/// A response, and its body where that comes piece by piece.
pub(super) type Answer = (Response<Bytes>, Option<BodyStream>);

/// Keeps the body of a success or a redirection for later, and reads that of a refusal.
pub(super) async fn split(response: Response<BodyStream>) -> Result<Answer, TransportError> {
    let (head, mut body) = response.into_parts();
    if head.status.is_success() || head.status.is_redirection() {
        return Ok((Response::from_parts(head, Bytes::new()), Some(body)));
    }
    let mut bytes = BytesMut::new();
    while let Some(piece) = body.next().await {
        let piece = piece?;
        if bytes.len() + piece.len() > MAX_REFUSAL_BYTES {
            break;
        }
        bytes.extend_from_slice(&piece);
    }
    Ok((Response::from_parts(head, bytes.freeze()), None))
}

/// Whether a response is the homeserver's, and not of a proxy before it which finds nobody there.
pub(super) fn is_of_homeserver(response: &Response<Bytes>) -> bool {
    match response.status() {
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            let body = serde_json::from_slice::<Value>(response.body());
            body.is_ok_and(|body| body.get("errcode").is_some_and(Value::is_string))
        }
        _ => true,
    }
}

/// The error that a response which is no success stands for.
pub(super) fn refusal(
    call: &Call,
    response: &Response<Bytes>,
    retry_after: Option<Duration>,
) -> Error {
    let body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
    let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default();
    let message = match text("error") {
        "" => {
            String::from_utf8_lossy(&response.body()[..response.body().len().min(300)]).into_owned()
        }
        message => message.chars().take(300).collect(),
    };
    Error::Refused {
        what: call.name(),
        status: response.status().as_u16(),
        errcode: text("errcode").chars().take(100).collect(),
        message,
        retry_after,
    }
}

/// Which of the homeserver's limits a request counts for.
pub(super) fn class_of(call: &Call) -> Class {
    let path = call.path.strip_prefix("/_matrix/").unwrap_or(&call.path);
    let mut parts = path
        .split('/')
        .filter(|part| !matches!(*part, "client" | "v1" | "v3"));
    match (parts.next(), parts.nth(1)) {
        (Some("rooms"), Some("send" | "state" | "redact")) => Class::Message,
        (Some("rooms"), Some("invite")) => Class::Invite,
        (Some("rooms"), Some("join")) | (Some("join"), _) => Class::Join,
        (Some("profile"), _) => Class::Profile,
        (Some("register"), _) => Class::Registration,
        (Some("media"), _) => Class::Media,
        _ => Class::Other,
    }
}
