//! A request as it goes over the line, and its response.

use ::http::{Request, Response, header};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;

use super::Call;
use crate::{
    error::Error,
    id::UserId,
    surroundings::{BodyStream, TransportError},
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
    let mut request = Request::builder().method(call.method.clone()).uri(uri);
    let token = match identity {
        Identity::Service(token, _) | Identity::Holder(token) => Some(*token),
        Identity::Person(_, token) => Some(token),
        Identity::Nobody => None,
    };
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.expose()));
    }
    if call.body.is_some() {
        let content_type = call.content_type.as_deref().unwrap_or("application/json");
        request = request.header(header::CONTENT_TYPE, content_type);
    }
    request
        .body(call.body.clone().unwrap_or_default())
        .map_err(|error| Error::Unsupported(format!("{} cannot be asked: {error}", call.name())))
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
