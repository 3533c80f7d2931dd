//! What a service may ask of us through its websocket.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::frame::{CommandError, Incoming};
use crate::{app::App, appservices::Appservice};

/// The websocket is open: a sign of life, and the end of a pause that the service made itself.
pub(crate) async fn connected(app: &Arc<App>, service: &Arc<Appservice>) {
    service.sign_of_life();
    service.say_online(app, "websocket").await;
}

/// Carries a command out.
pub(crate) async fn carry_out(
    app: &Arc<App>,
    service: &Arc<Appservice>,
    incoming: Incoming,
) -> Result<Value, CommandError> {
    match incoming.command.as_str() {
        "ping" => {
            service.sign_of_life();
            service.come_online(app, "ping").await;
            Ok(json!({ "timestamp": app.now_ms() }))
        }
        "bridge_status" => {
            let report = parse(&incoming.data())?;
            service
                .delivery
                .reports
                .note_status(&service.registration.id, report, app.now_ms())
                .map_err(bad)?;
            Ok(json!({}))
        }
        "message_checkpoint" => {
            let checkpoints: Checkpoints = parse(&incoming.data())?;
            service
                .delivery
                .reports
                .note_checkpoints(checkpoints.checkpoints)
                .map_err(bad)?;
            Ok(json!({}))
        }
        other => {
            let shown: String = other.chars().take(64).collect();
            Err(CommandError {
                code: "M_UNRECOGNIZED",
                message: format!("there is no command `{shown}` here"),
            })
        }
    }
}

#[derive(Deserialize)]
struct Checkpoints {
    checkpoints: Vec<Value>,
}

fn parse<T: serde::de::DeserializeOwned>(data: &RawValue) -> Result<T, CommandError> {
    serde_json::from_str(data.get()).map_err(|error| bad(error.to_string()))
}

fn bad(message: String) -> CommandError {
    CommandError {
        code: "M_BAD_JSON",
        message,
    }
}
