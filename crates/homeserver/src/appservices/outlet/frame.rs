//! Frames of the websocket `fi.mau.as_sync`.
//!
//! The protocol is that of mautrix-go (its package `appservice` of 2025) and of heisenbridge 1.15, which reads `status` in every frame. Data is kept as raw
//! JSON: what is not looked at is not parsed.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use super::Ending;
use crate::appservices::delivery::transport::Failure;

/// The first frame: the connection is accepted.
pub(crate) const HELLO: &str = r#"{"status":"connected","command":"connect"}"#;

/// Largest frame that is sent; mautrix-go reads no larger one.
const MAX_FRAME: usize = 50_000_000;

/// Characters of a service's words that are kept.
const MAX_WORDS: usize = 512;

/// What a service has sent.
#[derive(Debug, Deserialize)]
pub(crate) struct Incoming {
    /// Zero or none: no answer is wanted.
    #[serde(default)]
    pub(crate) id: u64,
    /// What is wanted.
    pub(crate) command: String,
    /// With what.
    pub(crate) data: Option<Box<RawValue>>,
}

/// Why a frame cannot be made sense of.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BadFrame {
    /// Not JSON at all: whoever sends this speaks something else.
    NotJson,
    /// JSON that is no command.
    NoCommand(String),
}

/// A service's error: `{"code", "message"}`, or with the keys of a Matrix error.
#[derive(Debug, Default, Deserialize)]
struct ErrorData {
    #[serde(alias = "errcode")]
    code: Option<String>,
    #[serde(alias = "error")]
    message: Option<String>,
}

impl Incoming {
    /// Reads a frame's text.
    pub(crate) fn parse(text: &str) -> Result<Self, BadFrame> {
        serde_json::from_str(text).map_err(|error| {
            // Skipping a value needs no recursion, so this holds for any depth.
            if serde_json::from_str::<&RawValue>(text).is_err() {
                BadFrame::NotJson
            } else {
                BadFrame::NoCommand(error.to_string())
            }
        })
    }

    /// The data, `null` where there is none.
    pub(crate) fn data(self) -> Box<RawValue> {
        self.data.unwrap_or_else(|| RawValue::NULL.to_owned())
    }
}

/// A transaction's frame; `None`: it is larger than anybody would read.
pub(crate) fn transaction(id: u64, txn_id: u64, body: &Bytes) -> Option<String> {
    let head = format!(r#"{{"id":{id},"status":"ok","command":"transaction","txn_id":"{txn_id}""#);
    let frame = with_keys_of(head, body)?;
    (frame.len() <= MAX_FRAME).then_some(frame)
}

/// A JSON object of which `head` is the beginning, without its end, and all keys of `body` as
/// they are.
pub(crate) fn with_keys_of(mut head: String, body: &[u8]) -> Option<String> {
    let body = std::str::from_utf8(body).ok()?.trim_start();
    let keys = body.strip_prefix('{')?;
    if !keys.trim_start().starts_with('}') {
        head.push(',');
    }
    head.push_str(keys);
    Some(head)
}

/// A command's frame.
pub(crate) fn command(id: u64, command: &str, data: &RawValue) -> String {
    format!(
        r#"{{"id":{id},"status":"ok","command":"{command}","data":{}}}"#,
        data.get()
    )
}

/// The answer to a command of the service; `None` where it wants none.
pub(crate) fn response(
    id: u64,
    answer: &Result<serde_json::Value, CommandError>,
) -> Option<String> {
    if id == 0 {
        return None;
    }
    Some(match answer {
        Ok(data) => json!({ "id": id, "status": "ok", "command": "response", "data": data }),
        Err(error) => error.frame(id),
    })
    .map(|frame| frame.to_string())
}

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommandError {
    /// A Matrix errcode.
    pub(crate) code: &'static str,
    /// For people.
    pub(crate) message: String,
}

impl CommandError {
    /// The frame that tells it.
    pub(crate) fn frame(&self, id: u64) -> serde_json::Value {
        json!({
            "id": id,
            "status": "error",
            "command": "error",
            "data": { "code": self.code, "message": self.message },
        })
    }
}

/// A refusal in the service's words.
pub(crate) fn refusal(data: &RawValue) -> Failure {
    let text = data.get();
    let (code, message) = match serde_json::from_str::<ErrorData>(text) {
        Ok(ErrorData { code, message }) => (code, message),
        Err(_) => (None, serde_json::from_str::<String>(text).ok()),
    };
    let body = match (&code, message) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.clone(),
        (None, Some(message)) => message,
        (None, None) => text.to_owned(),
    };
    Failure::Refused {
        status: status_of(code.as_deref().unwrap_or_default()),
        body: body.chars().take(MAX_WORDS).collect(),
    }
}

/// The status that a service would have answered with over HTTP.
fn status_of(code: &str) -> u16 {
    match code {
        "M_TOO_LARGE" => 413,
        "M_BAD_JSON" | "M_NOT_JSON" | "M_INVALID_PARAM" | "M_MISSING_PARAM" => 400,
        "M_MISSING_TOKEN" | "M_UNKNOWN_TOKEN" => 401,
        "M_FORBIDDEN" => 403,
        "M_LIMIT_EXCEEDED" => 429,
        _ => 500,
    }
}

/// Close code and reason, which are told before the connection ends.
pub(crate) fn close(why: Ending) -> (u16, String) {
    let (code, status) = match why {
        Ending::Replaced => (4001, "conn_replaced"),
        Ending::NotAcknowledged => (4002, "transactions_not_acknowledged"),
        Ending::ServerStops => (1012, "server_shutting_down"),
    };
    (code, close_reason(status))
}

/// A close reason as services read it.
pub(crate) fn close_reason(status: &str) -> String {
    json!({ "command": "disconnect", "status": status }).to_string()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::{Value, json, value::RawValue};

    use super::{BadFrame, Incoming, refusal, transaction};
    use crate::appservices::delivery::transport::Failure;

    #[test]
    fn a_transaction_keeps_its_keys_as_they_are() {
        let body = Bytes::from_static(br#"{"events":[{"a":1.0e2}],"x":{}}"#);
        assert_eq!(
            transaction(3, 9, &body).unwrap(),
            r#"{"id":3,"status":"ok","command":"transaction","txn_id":"9","events":[{"a":1.0e2}],"x":{}}"#
        );
        let empty = transaction(1, 2, &Bytes::from_static(b" { } ")).unwrap();
        let parsed: Value = serde_json::from_str(&empty).unwrap();
        assert_eq!(parsed["txn_id"], json!("2"));
        assert_eq!(transaction(1, 2, &Bytes::from_static(b"[]")), None);
        assert_eq!(
            transaction(1, 2, &Bytes::from(vec![b'{'; 60_000_000])),
            None
        );
    }

    #[test]
    fn frames_are_commands_or_told_apart() {
        let frame =
            Incoming::parse(r#"{"command":"ping","id":4,"data":{"timestamp":1},"more":[]}"#);
        let frame = frame.unwrap();
        assert_eq!((frame.id, frame.command.as_str()), (4, "ping"));
        assert_eq!(frame.data().get(), r#"{"timestamp":1}"#);
        let deep = format!(
            r#"{{"command":"x","data":{}{}}}"#,
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        assert_eq!(Incoming::parse(&deep).unwrap().command, "x");
        for text in ["", "no", "{", "{}}", "\u{0}"] {
            assert_eq!(
                Incoming::parse(text).unwrap_err(),
                BadFrame::NotJson,
                "{text}"
            );
        }
        for text in [
            "1",
            "[]",
            "{}",
            r#"{"command":1}"#,
            r#"{"command":"x","id":"y"}"#,
        ] {
            let bad = Incoming::parse(text).unwrap_err();
            assert!(matches!(bad, BadFrame::NoCommand(_)), "{text}");
        }
    }

    #[test]
    fn refusals_have_a_status_and_a_bounded_text() {
        let refused = |data: Value| {
            let data = RawValue::from_string(data.to_string()).unwrap();
            let Failure::Refused { status, body } = refusal(&data) else {
                panic!("no refusal");
            };
            (status, body)
        };
        assert_eq!(
            refused(json!({ "code": "M_TOO_LARGE", "message": "big" })),
            (413, "M_TOO_LARGE: big".to_owned())
        );
        assert_eq!(
            refused(json!({ "errcode": "M_BAD_JSON", "error": "what?" })),
            (400, "M_BAD_JSON: what?".to_owned())
        );
        assert_eq!(refused(json!("no")), (500, "no".to_owned()));
        assert_eq!(refused(json!([1])), (500, "[1]".to_owned()));
        assert_eq!(refused(json!("x".repeat(5_000))).1.len(), 512);
    }
}
