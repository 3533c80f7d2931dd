//! Anything that is asked over HTTP: a homeserver, its operator API, this service itself.

use std::time::Duration;

use bridgehead_registration::Secret;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use serde_json::Value;

use crate::{
    client::HttpTransport,
    surroundings::{Transport as _, TransportError},
};

/// Bytes of an answer at most.
const MAX_BYTES: usize = 8 << 20;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Somebody who answers over HTTP, and what is shown to them.
pub(super) struct Api {
    transport: HttpTransport,
    token: Option<Secret>,
}

/// What they answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: http::HeaderMap,
    pub(super) bytes: Bytes,
    /// The body, `null` where it is no JSON.
    pub(super) body: Value,
}

impl Answer {
    /// The code of a refusal.
    pub(super) fn errcode(&self) -> &str {
        self.body
            .get("errcode")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// What a refusal says, for people.
    pub(super) fn told(&self) -> String {
        let text = |key| {
            self.body
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let words: Vec<&str> = [text("errcode"), text("error")]
            .into_iter()
            .filter(|word| !word.is_empty())
            .collect();
        let told = super::terminal::clean(&words.join(": "), 300);
        if told.is_empty() {
            self.status.to_string()
        } else {
            format!("{}: {told}", self.status.as_u16())
        }
    }
}

impl Api {
    /// `base` is the address before the path.
    ///
    /// # Errors
    /// A sentence, when it is no address.
    pub(super) fn new(base: &str, token: Option<&Secret>) -> Result<Self, String> {
        Ok(Self {
            transport: HttpTransport::new(base)?,
            token: token.cloned(),
        })
    }

    pub(super) async fn get(&self, path: &str) -> Result<Answer, TransportError> {
        self.ask(Method::GET, path, None).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Answer, TransportError> {
        self.ask(Method::POST, path, Some(body)).await
    }

    /// Asks once, within [`PATIENCE`].
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, TransportError> {
        let bytes = body.map(|body| Bytes::from(body.to_string()));
        self.send(method, path, "application/json", bytes).await
    }

    /// The same with a body of any type.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        kind: &'static str,
        body: Option<Bytes>,
    ) -> Result<Answer, TransportError> {
        let broken = |error: http::Error| TransportError::Broken(error.to_string());
        let mut request = Request::builder().method(method).uri(path);
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        if let Some(token) = &self.token {
            let mut token = HeaderValue::try_from(format!("Bearer {}", token.expose()))
                .map_err(|error| broken(error.into()))?;
            token.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, token);
        }
        let request = request.body(body.unwrap_or_default()).map_err(broken)?;
        let asked = self.transport.call(request, MAX_BYTES);
        let response = match tokio::time::timeout(PATIENCE, asked).await {
            Ok(response) => response?,
            Err(_) => return Err(TransportError::Timeout(PATIENCE.as_millis() as u64)),
        };
        let (parts, bytes) = response.into_parts();
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
            bytes,
        })
    }
}
