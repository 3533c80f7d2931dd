//! matrix-nio, a client library of others, through a whole session.

use crate::{BRIDGEHEAD, fixture, python};
use bridgehead_testkit::{Process, ServerProcess};
use serde_json::Value;
use std::time::Duration;
use tokio::process::Command;

/// The steps that the script reports, in its order.
const STEPS: [&str; 13] = [
    "register",
    "login",
    "create_room",
    "invite_is_seen",
    "join",
    "send",
    "message_is_seen",
    "redact",
    "redaction_is_seen",
    "upload",
    "download",
    "logout",
    "token_is_dead",
];

#[tokio::test]
async fn matrix_nio_gets_through_a_session() {
    let server = ServerProcess::start(BRIDGEHEAD, &[]).await.unwrap();
    let mut command = Command::new(python().unwrap());
    command.arg(fixture("nio_client.py")).arg(server.base_url());
    let script = Process::spawn("nio_client.py", command).unwrap();
    let is_last = |lines: &[String]| lines.iter().any(|line| is_report(line, "end"));
    script
        .wait_for_output("its last step", Duration::from_secs(90), is_last)
        .await
        .unwrap();

    let output = script.output();
    let done = STEPS.map(|step| output.iter().any(|line| is_report(line, step)));
    assert_eq!(done, [true; STEPS.len()], "of the steps {STEPS:?}");
}

/// Whether this line reports this step as done.
fn is_report(line: &str, step: &str) -> bool {
    serde_json::from_str::<Value>(line)
        .is_ok_and(|report| report["step"] == step && report["ok"] == true)
}
