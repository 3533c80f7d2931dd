//! Extractors that answer with Matrix errors: path parameters, query, JSON body.

use axum::extract::{
    FromRequest, FromRequestParts, Path, Query, Request, rejection::PathRejection,
};
use bytes::Bytes;
use http::{StatusCode, request::Parts};
use ruma::{CanonicalJsonObject, CanonicalJsonValue};
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// Path parameters, percent-decoded and parsed.
pub(crate) struct Params<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(params)) => Ok(Self(params)),
            Err(PathRejection::FailedToDeserializePathParams(error)) => Err(
                ApiError::invalid_param(format!("Bad path: {}", error.body_text())),
            ),
            Err(error) => Err(ApiError::internal(&error)),
        }
    }
}

/// Query parameters; unknown ones are ignored.
pub(crate) struct QueryParams<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for QueryParams<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Query::<T>::from_request_parts(parts, state)
            .await
            .map(|Query(query)| Self(query))
            .map_err(|error| ApiError::invalid_param(format!("Bad query: {}", error.body_text())))
    }
}

/// A JSON body of any declared content type (clients of every age forget to declare it); an
/// empty body counts as `{}`.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = body_bytes(request, state).await?;
        parse_json(&bytes).map(Self)
    }
}

/// An event's content: a JSON object that keeps to canonical JSON's number rules.
pub(crate) struct ContentBody(pub(crate) CanonicalJsonObject);

impl<S: Send + Sync> FromRequest<S> for ContentBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = body_bytes(request, state).await?;
        parse_content(&bytes).map(Self)
    }
}

/// Reads the whole body, up to the configured limit.
pub(crate) async fn body_bytes<S: Send + Sync>(
    request: Request,
    state: &S,
) -> Result<Bytes, ApiError> {
    Bytes::from_request(request, state).await.map_err(|error| {
        if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
            ApiError::too_large("The body is larger than this server takes")
        } else {
            ApiError::not_json("The body could not be read to its end")
        }
    })
}

/// Parses a body; errors name the field.
pub(crate) fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let bytes = if bytes.iter().all(u8::is_ascii_whitespace) {
        b"{}".as_slice()
    } else {
        bytes
    };
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        if inner.to_string().starts_with("number out of range") {
            // serde_json counts it as bad syntax; it is JSON all the same.
            ApiError::bad_json(format!("Bad value of `{path}`: {inner}"))
        } else if inner.is_syntax() || inner.is_eof() {
            ApiError::not_json(format!("The body is not JSON: {inner}"))
        } else if path == "." {
            ApiError::bad_json(format!("Bad body: {inner}"))
        } else {
            ApiError::bad_json(format!("Bad value of `{path}`: {inner}"))
        }
    })?;
    deserializer
        .end()
        .map_err(|error| ApiError::not_json(format!("The body is not JSON: {error}")))?;
    Ok(value)
}

/// Parses an event's content.
pub(crate) fn parse_content(bytes: &[u8]) -> Result<CanonicalJsonObject, ApiError> {
    let value: serde_json::Value = parse_json(bytes)?;
    canonical_object(value)
}

/// A JSON value as an object that may stand in an event.
pub(crate) fn canonical_object(value: serde_json::Value) -> Result<CanonicalJsonObject, ApiError> {
    match CanonicalJsonValue::try_from(value) {
        Ok(CanonicalJsonValue::Object(object)) => Ok(object),
        Ok(_) => Err(ApiError::bad_json("The content must be a JSON object")),
        Err(error) => Err(ApiError::bad_json(format!(
            "Not canonical JSON: {error}; numbers must be integers between -2^53+1 and 2^53-1"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, any, prop_assert, proptest};
    use serde_json::Value;

    use super::{parse_content, parse_json};

    /// Bytes that are nearly JSON: parsers fail in more interesting places than on noise.
    const NEARLY: &str = r#"[\[\]{}:,\\"0-9eE+. \n\-truefalsn\u{0}-\u{10}é]{0,60}"#;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn bytes_never_panic(bytes in any::<Vec<u8>>()) {
            parse_json::<Value>(&bytes).ok();
            parse_content(&bytes).ok();
        }

        #[test]
        fn near_json_is_taken_exactly_when_it_is_json(text in NEARLY) {
            let is_json = serde_json::from_str::<Value>(&text).is_ok();
            let is_blank = text.bytes().all(|byte| byte.is_ascii_whitespace());
            let parsed = parse_json::<Value>(text.as_bytes());
            prop_assert!(parsed.is_ok() == (is_json || is_blank));
            if let Ok(content) = parse_content(text.as_bytes()) {
                let again = serde_json::to_vec(&content).expect("content is JSON");
                prop_assert!(parse_content(&again).is_ok_and(|same| same == content));
            }
        }
    }
}
