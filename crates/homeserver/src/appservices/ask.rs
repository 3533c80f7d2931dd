//! Asking a service something: over its url, or through the websocket that it has opened.
//!
//! Behind NAT there is no url to ask; the websocket's `http_proxy` carries the same request there
//! and the answer back. Neither waits behind a transaction.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use bytes::Bytes;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{json, value::RawValue};

use super::{
    Appservice,
    outlet::{SocketError, SocketLink},
    registration::AsUrl,
    wire::{Answer, Call, CallError},
};

/// A request, as it is forwarded through a websocket.
#[derive(Serialize)]
struct ProxyRequest<'a> {
    method: &'a str,
    path: String,
    /// The path's escapes are to be resolved by the service.
    escaped_path: bool,
    query: String,
    headers: BTreeMap<&'static str, [String; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a RawValue>,
}

/// What comes back.
#[derive(Deserialize)]
struct ProxyResponse {
    status: u16,
    body: Option<Box<RawValue>>,
}

impl Appservice {
    /// Whether it is one that answers questions, be it that it is away just now.
    pub(crate) fn answers_questions(&self) -> bool {
        if self.delivery.links().queries.is_some() {
            return true;
        }
        match self.delivery.outlet.socket() {
            Some(socket) => !socket.is_silent(),
            None => matches!(self.registration.url, Some(AsUrl::Websocket(_))),
        }
    }

    /// Asks. `None`: there is no way to it now.
    pub(crate) async fn ask(
        &self,
        call: &Call<'_>,
        within: Duration,
        now_ms: i64,
    ) -> Option<Result<Answer, CallError>> {
        if self.is_offline(now_ms) {
            return None;
        }
        let queries = self.delivery.links().queries.clone();
        let over_http = match queries {
            Some(wire) => Some(
                tokio::time::timeout(within, wire.call(call, now_ms))
                    .await
                    .unwrap_or(Err(CallError::Timeout(within))),
            ),
            None => None,
        };
        match (over_http, self.socket()) {
            (None | Some(Err(CallError::Connect(_))), Some(socket)) => {
                Some(self.through(&socket, call, within).await)
            }
            (over_http, _) => over_http,
        }
    }

    /// Pings it. `None`: there is no way to it now.
    pub(crate) async fn ping(
        &self,
        call: &Call<'_>,
        within: Duration,
        now_ms: i64,
    ) -> Option<Result<Answer, CallError>> {
        let answer = self.ask(call, within, now_ms).await?;
        let (Err(CallError::Broken(_)), Some(socket)) = (&answer, self.socket()) else {
            return Some(answer);
        };
        // A service that forwards nothing may know the websocket's own ping.
        let data = raw(&json!({ "timestamp": now_ms }));
        Some(match socket.ask("ping", data, within).await {
            Ok(_) => Ok(Answer {
                status: StatusCode::OK,
                body: Bytes::from_static(b"{}"),
            }),
            Err(_) => answer,
        })
    }

    /// The websocket that can be asked.
    fn socket(&self) -> Option<Arc<SocketLink>> {
        let socket = self.delivery.outlet.socket()?;
        (!socket.is_silent()).then_some(socket)
    }

    async fn through(
        &self,
        socket: &SocketLink,
        call: &Call<'_>,
        within: Duration,
    ) -> Result<Answer, CallError> {
        let request = self.forwarded(call)?;
        let answer = socket.ask("http_proxy", request, within).await;
        socket.note_proxying(!matches!(answer, Err(SocketError::Timeout(_))));
        answer_of(answer)
    }

    /// A request as the websocket carries it.
    fn forwarded(&self, call: &Call<'_>) -> Result<Box<RawValue>, CallError> {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let token = format!("Bearer {}", self.registration.hs_token.expose());
        let mut headers = BTreeMap::from([("Authorization", [token])]);
        let body = match &call.body {
            Some(body) => {
                headers.insert("Content-Type", ["application/json".to_owned()]);
                let body = serde_json::from_slice::<&RawValue>(body);
                Some(body.map_err(|error| CallError::Broken(error.to_string()))?)
            }
            None => None,
        };
        Ok(raw(&ProxyRequest {
            method: call.method.as_str(),
            path: format!("/_matrix/app/v1{}", call.path),
            escaped_path: true,
            query: query.extend_pairs(call.query).finish(),
            headers,
            body,
        }))
    }
}

fn raw(value: &impl Serialize) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).expect("no map here has keys that are not texts")
}

fn answer_of(answer: Result<Box<RawValue>, SocketError>) -> Result<Answer, CallError> {
    let data = answer.map_err(|error| match error {
        SocketError::Timeout(within) => CallError::Timeout(within),
        SocketError::Closed => CallError::Connect(error.to_string()),
        SocketError::Busy | SocketError::Refused(_) => CallError::Broken(error.to_string()),
    })?;
    let response: ProxyResponse = serde_json::from_str(data.get())
        .map_err(|error| CallError::Broken(format!("no answer to a forwarded request: {error}")))?;
    let status = StatusCode::from_u16(response.status)
        .map_err(|_| CallError::Broken(format!("{} is no status", response.status)))?;
    Ok(Answer {
        status,
        body: response
            .body
            .map(|body| bytes_of(&body))
            .unwrap_or_default(),
    })
}

/// JSON as it is; what is none comes as a text in base64.
fn bytes_of(body: &RawValue) -> Bytes {
    let text = serde_json::from_str::<&str>(body.get()).ok();
    text.and_then(|text| STANDARD_NO_PAD.decode(text).ok())
        .map_or_else(
            || Bytes::copy_from_slice(body.get().as_bytes()),
            Bytes::from,
        )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{json, value::to_raw_value};

    use super::answer_of;
    use crate::appservices::{outlet::SocketError, wire::CallError};

    #[test]
    fn answers_are_json_or_base64() {
        for (body, bytes) in [
            (json!({ "a": 1 }), r#"{"a":1}"#),
            (json!("PGgxPm5vPC9oMT4"), "<h1>no</h1>"),
            (json!("not base64!"), r#""not base64!""#),
            (json!(null), ""),
        ] {
            let data =
                to_raw_value(&json!({ "status": 404, "headers": {}, "body": body })).unwrap();
            let answer = answer_of(Ok(data)).unwrap();
            assert_eq!(
                (answer.status.as_u16(), &answer.body[..]),
                (404, bytes.as_bytes())
            );
        }
    }

    #[test]
    fn what_is_no_answer_is_told() {
        for data in [
            json!(1),
            json!({}),
            json!({ "status": 7 }),
            json!({ "status": "x" }),
        ] {
            let answer = answer_of(Ok(to_raw_value(&data).unwrap()));
            assert!(matches!(answer, Err(CallError::Broken(_))), "{data}");
        }
        let timeout = answer_of(Err(SocketError::Timeout(Duration::from_secs(1))));
        assert!(matches!(timeout, Err(CallError::Timeout(_))));
        assert!(matches!(
            answer_of(Err(SocketError::Closed)),
            Err(CallError::Connect(_))
        ));
    }
}
