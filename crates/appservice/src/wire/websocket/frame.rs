//! Frames of `fi.mau.as_sync`: texts with one JSON object each.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::{json, value::RawValue};

use crate::wire::answer::Refusal;

/// What a path may not have, when it comes with its escapes resolved.
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// What the homeserver has sent. A transaction's other keys are read with its body.
#[derive(Debug, Deserialize)]
pub(super) struct Incoming {
    /// Zero or none: no answer is wanted.
    #[serde(default)]
    pub(super) id: u64,
    /// Empty for a transaction of older proxies.
    #[serde(default)]
    pub(super) command: String,
    pub(super) txn_id: Option<String>,
    pub(super) data: Option<Box<RawValue>>,
}

/// A request that the homeserver makes through the websocket.
#[derive(Debug, Deserialize)]
pub(super) struct Forwarded {
    method: String,
    path: String,
    /// Whether the path has its escapes yet.
    #[serde(default)]
    escaped_path: bool,
    #[serde(default)]
    query: String,
    #[serde(default)]
    headers: BTreeMap<String, Vec<String>>,
    body: Option<Box<RawValue>>,
}

/// A no through the websocket.
#[derive(Debug, Serialize)]
pub(super) struct ErrorData {
    code: &'static str,
    message: String,
}

impl ErrorData {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

impl From<Refusal> for ErrorData {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.errcode, refusal.error)
    }
}

/// The frame that answers a command.
pub(super) fn answer(id: u64, answer: &Result<Box<RawValue>, ErrorData>) -> String {
    match answer {
        Ok(data) => {
            format!(
                r#"{{"id":{id},"command":"response","data":{}}}"#,
                data.get()
            )
        }
        Err(error) => json!({ "id": id, "command": "error", "data": error }).to_string(),
    }
}

impl Forwarded {
    /// The request as it would have come over HTTP.
    pub(super) fn request(self) -> Result<Request<Bytes>, ErrorData> {
        let bad = |what: &str| ErrorData::new("M_BAD_JSON", format!("the request's {what}"));
        let method =
            Method::from_bytes(self.method.as_bytes()).map_err(|_| bad("method is none"))?;
        let mut uri = if self.escaped_path {
            self.path
        } else {
            utf8_percent_encode(&self.path, PATH).to_string()
        };
        if !uri.starts_with('/') {
            return Err(bad("path does not begin with a slash"));
        }
        if !self.query.is_empty() {
            uri.push('?');
            uri.push_str(&self.query);
        }
        let mut request = Request::builder().method(method).uri(uri);
        for (name, values) in &self.headers {
            let name =
                HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad("headers are none"))?;
            for value in values {
                let value = HeaderValue::from_str(value).map_err(|_| bad("headers are none"))?;
                request = request.header(name.clone(), value);
            }
        }
        let body = self.body.as_deref().map(bytes_of).unwrap_or_default();
        request.body(body).map_err(|_| bad("path is none"))
    }
}

/// JSON as it is; what is none comes as a text in base64.
fn bytes_of(body: &RawValue) -> Bytes {
    let text = serde_json::from_str::<&str>(body.get()).ok();
    let decoded = text.and_then(|text| STANDARD_NO_PAD.decode(text.trim_end_matches('=')).ok());
    decoded.map_or_else(
        || Bytes::copy_from_slice(body.get().as_bytes()),
        Bytes::from,
    )
}

/// The response to a forwarded request, as the websocket carries it.
pub(super) fn response(response: &Response<Bytes>) -> Result<Box<RawValue>, ErrorData> {
    let body = match serde_json::from_slice::<&RawValue>(response.body()) {
        Ok(json) => json.to_owned(),
        Err(_) => raw(&STANDARD_NO_PAD.encode(response.body()))?,
    };
    raw(&ResponseData {
        status: response.status().as_u16(),
        headers: headers_of(response.headers()),
        body: &body,
    })
}

#[derive(Serialize)]
struct ResponseData<'a> {
    status: u16,
    headers: BTreeMap<&'a str, Vec<String>>,
    body: &'a RawValue,
}

fn headers_of(headers: &HeaderMap) -> BTreeMap<&str, Vec<String>> {
    let mut all: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        all.entry(name.as_str()).or_default().push(value);
    }
    all
}

/// A value as raw JSON.
pub(super) fn raw(value: &impl Serialize) -> Result<Box<RawValue>, ErrorData> {
    serde_json::value::to_raw_value(value)
        .map_err(|error| ErrorData::new("M_UNKNOWN", error.to_string()))
}
