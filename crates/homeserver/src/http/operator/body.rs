//! Bodies of the operator API: a JSON object, and nothing that is only read as one.

use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::http::{
    error::ApiError,
    extract::{body_bytes, parse_json},
};

/// A JSON object of any declared content type; an empty body counts as `{}`.
pub(super) struct ObjectBody<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for ObjectBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = body_bytes(request, state).await?;
        let begins = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
        // The reader would take an array for the object's fields in their order.
        if begins == Some(&b'[') {
            parse_json::<Value>(&bytes)?;
            return Err(ApiError::bad_json("The body must be a JSON object"));
        }
        parse_json(&bytes).map(Self)
    }
}
