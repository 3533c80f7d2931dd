//! What a bridge says of itself: the state of its logins, and what became of messages.
//!
//! Payloads are those of mautrix-go's `bridgev2/status`. They are told, not kept: only the last of
//! each is in memory, for whoever looks at the service.

use std::collections::{BTreeMap, VecDeque};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Logins of one bridge that are remembered.
const MAX_LOGINS: usize = 64;
/// Checkpoints that are remembered.
const MAX_CHECKPOINTS: usize = 32;
/// Checkpoints that one report may have.
const MAX_REPORTED: usize = 1_000;
/// Characters of an identifier, and of a sentence.
const MAX_NAME: usize = 255;
const MAX_TEXT: usize = 512;

/// What one service has reported.
#[derive(Default)]
pub(crate) struct Reports {
    logins: Mutex<BTreeMap<String, LoginStatus>>,
    checkpoints: Mutex<VecDeque<Checkpoint>>,
}

/// The state of one login of a bridge, or (without a `remote_id`) of the bridge itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LoginStatus {
    /// `CONNECTED`, `BAD_CREDENTIALS` and so on.
    state_event: String,
    /// Which login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    remote_id: Option<String>,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    remote_name: Option<String>,
    /// The Matrix user whose login it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
    /// What is wrong, for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// What is wrong, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// When it was reported, ms since the epoch.
    #[serde(default, skip_deserializing)]
    received_at_ms: i64,
}

/// How far a message has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    event_id: String,
    room_id: String,
    /// `BRIDGE`, `DECRYPTED`, `REMOTE` and so on.
    step: String,
    /// `SUCCESS`, `PERM_FAILURE` and so on.
    status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    info: Option<String>,
}

/// Everything remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Reported {
    /// By login.
    pub(crate) logins: Vec<LoginStatus>,
    /// Newest first.
    pub(crate) checkpoints: Vec<Checkpoint>,
}

impl Reports {
    /// Remembers a login's state; an error says what is wrong with the report.
    pub(crate) fn note_status(
        &self,
        service_id: &str,
        mut status: LoginStatus,
        now_ms: i64,
    ) -> Result<(), String> {
        let name = status.state_event.as_str();
        let letters = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(letters) {
            return Err("state_event must be a name in capital letters".to_owned());
        }
        for id in [&status.remote_id, &status.user_id].into_iter().flatten() {
            check_name("an identifier", id)?;
        }
        for text in [
            &mut status.remote_name,
            &mut status.error,
            &mut status.message,
        ] {
            shorten(text);
        }
        status.received_at_ms = now_ms;
        let login = status.remote_id.clone().unwrap_or_default();
        let mut logins = self.logins.lock();
        let before = logins.insert(login.clone(), status.clone());
        if before.is_none_or(|before| before.state_event != status.state_event) {
            tracing::info!(
                appservice.id = service_id,
                login,
                state = status.state_event,
                error = status.error.as_deref(),
                "a bridge reports its state"
            );
        }
        if logins.len() > MAX_LOGINS {
            let oldest = logins
                .iter()
                .min_by_key(|(_, status)| status.received_at_ms);
            if let Some(oldest) = oldest.map(|(login, _)| login.clone()) {
                logins.remove(&oldest);
            }
        }
        Ok(())
    }

    /// Remembers the last ones of some checkpoints; an error says what is wrong with the report.
    pub(crate) fn note_checkpoints(&self, reported: Vec<Value>) -> Result<(), String> {
        if reported.len() > MAX_REPORTED {
            return Err(format!("at most {MAX_REPORTED} checkpoints at a time"));
        }
        let mut checked = Vec::with_capacity(reported.len());
        for value in reported {
            let mut checkpoint: Checkpoint =
                serde_json::from_value(value).map_err(|error| error.to_string())?;
            for name in [
                &checkpoint.event_id,
                &checkpoint.room_id,
                &checkpoint.step,
                &checkpoint.status,
            ] {
                check_name("a checkpoint's field", name)?;
            }
            shorten(&mut checkpoint.info);
            checked.push(checkpoint);
        }
        let mut checkpoints = self.checkpoints.lock();
        for checkpoint in checked {
            checkpoints.push_front(checkpoint);
        }
        checkpoints.truncate(MAX_CHECKPOINTS);
        Ok(())
    }

    /// Everything remembered.
    pub(crate) fn reported(&self) -> Reported {
        Reported {
            logins: self.logins.lock().values().cloned().collect(),
            checkpoints: self.checkpoints.lock().iter().cloned().collect(),
        }
    }
}

fn check_name(what: &str, name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > MAX_NAME {
        return Err(format!("{what} must have 1 to {MAX_NAME} bytes"));
    }
    Ok(())
}

fn shorten(text: &mut Option<String>) {
    if let Some(text) = text
        && let Some((end, _)) = text.char_indices().nth(MAX_TEXT)
    {
        text.truncate(end);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{MAX_CHECKPOINTS, MAX_LOGINS, Reports};

    fn note(reports: &Reports, status: Value, now_ms: i64) -> Result<(), String> {
        let status = serde_json::from_value(status).map_err(|error| error.to_string())?;
        reports.note_status("irc", status, now_ms)
    }

    #[test]
    fn the_last_state_of_each_login_is_remembered() {
        let reports = Reports::default();
        note(&reports, json!({ "state_event": "RUNNING", "ttl": 60 }), 1).unwrap();
        for state in ["CONNECTING", "CONNECTED"] {
            let status =
                json!({ "state_event": state, "remote_id": "a", "message": "x".repeat(9_999) });
            note(&reports, status, 2).unwrap();
        }
        let logins = serde_json::to_value(reports.reported().logins).unwrap();
        assert_eq!(
            logins[0],
            json!({ "state_event": "RUNNING", "received_at_ms": 1 })
        );
        assert_eq!(logins[1]["state_event"], "CONNECTED");
        assert_eq!(logins[1]["message"].as_str().unwrap().len(), 512);
        for number in 0..200 {
            let status = json!({ "state_event": "CONNECTED", "remote_id": number.to_string() });
            note(&reports, status, 10 + number).unwrap();
        }
        assert_eq!(reports.reported().logins.len(), MAX_LOGINS);
    }

    #[test]
    fn reports_that_are_none_are_refused() {
        let reports = Reports::default();
        for status in [
            json!(1),
            json!({}),
            json!({ "state_event": 1 }),
            json!({ "state_event": "" }),
            json!({ "state_event": "<b>" }),
            json!({ "state_event": "CONNECTED", "remote_id": "x".repeat(300) }),
        ] {
            note(&reports, status.clone(), 1).expect_err(&status.to_string());
        }
        for checkpoint in [
            json!("x"),
            json!({ "event_id": "$a", "room_id": "!a", "step": "BRIDGE" }),
            json!({ "event_id": "", "room_id": "!a", "step": "BRIDGE", "status": "SUCCESS" }),
        ] {
            let shown = checkpoint.to_string();
            reports
                .note_checkpoints(vec![checkpoint])
                .expect_err(&shown);
        }
        reports
            .note_checkpoints(vec![Value::Null; 1_001])
            .unwrap_err();
        assert!(reports.reported().logins.is_empty() && reports.reported().checkpoints.is_empty());
    }

    #[test]
    fn the_newest_checkpoints_are_remembered() {
        let reports = Reports::default();
        let all = (0..100).map(|number| {
            json!({ "event_id": format!("${number}"), "room_id": "!a", "step": "REMOTE", "status": "SUCCESS", "timestamp": 1 })
        });
        reports.note_checkpoints(all.collect()).unwrap();
        let checkpoints = reports.reported().checkpoints;
        assert_eq!(checkpoints.len(), MAX_CHECKPOINTS);
        assert_eq!(checkpoints[0].event_id, "$99");
    }
}
