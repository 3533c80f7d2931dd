//! What a service asks of the server through its websocket.

use serde_json::{Value, json};

use super::{Socket, own_status, started};

#[tokio::test]
async fn commands_are_answered_under_their_id() {
    let (server, peer, _, _) = started(&[]).await;
    let mut socket = Socket::open(&server, &peer).await;
    let first = socket.transaction().await;
    socket.acknowledge(&first).await;

    let pong = socket
        .ask("ping", json!({ "timestamp": 1_600_000_000_000_u64 }))
        .await;
    assert_eq!(pong["command"], "response");
    assert!(pong["data"]["timestamp"].as_i64() > Some(1_600_000_000_000));

    let status = json!({
        "state_event": "BAD_CREDENTIALS", "remote_id": "1", "remote_name": "alice on irc",
        "error": "irc-banned", "message": "You are banned", "ttl": 3600,
        "timestamp": 1_600_000_000, "source": "bridge", "info": { "a": 1 },
    });
    let answer = socket.ask("bridge_status", status).await;
    assert_eq!(
        (&answer["command"], &answer["data"]),
        (&json!("response"), &json!({}))
    );

    let checkpoint = json!({
        "event_id": "$a", "room_id": "!a:localhost", "step": "REMOTE", "status": "PERM_FAILURE",
        "timestamp": 1, "event_type": "m.room.message", "reported_by": "BRIDGE", "retry_num": 0,
        "info": "no such channel",
    });
    let answer = socket
        .ask("message_checkpoint", json!({ "checkpoints": [checkpoint] }))
        .await;
    assert_eq!(answer["command"], "response");

    let reported = &own_status(&server, &peer).await["reported"];
    assert_eq!(reported["logins"][0]["state_event"], "BAD_CREDENTIALS");
    assert_eq!(reported["logins"][0]["message"], "You are banned");
    assert_eq!(reported["checkpoints"][0]["info"], "no such channel");
}

#[tokio::test]
async fn what_is_not_understood_is_answered_with_an_error() {
    let (server, peer, _, _) = started(&[]).await;
    let mut socket = Socket::open(&server, &peer).await;
    let first = socket.transaction().await;
    socket.acknowledge(&first).await;
    for (command, data, code) in [
        (
            "start_sync",
            json!({ "user_id": "@a:localhost" }),
            "M_UNRECOGNIZED",
        ),
        ("bridge_status", json!({ "state_event": 1 }), "M_BAD_JSON"),
        ("bridge_status", Value::Null, "M_BAD_JSON"),
        ("message_checkpoint", json!([]), "M_BAD_JSON"),
        (
            "message_checkpoint",
            json!({ "checkpoints": [1] }),
            "M_BAD_JSON",
        ),
    ] {
        let answer = socket.ask(command, data).await;
        assert_eq!(answer["command"], "error", "{answer}");
        assert_eq!(answer["data"]["code"], code, "{answer}");
        assert!(answer["data"]["message"].is_string());
    }
    // Without an id no answer is wanted.
    socket.send(json!({ "command": "nothing" })).await;
    // Answers to nothing are of no interest.
    for command in ["response", "error"] {
        socket
            .send(json!({ "id": 9_999, "command": command, "data": {} }))
            .await;
    }
    assert_eq!(socket.ask("ping", json!({})).await["command"], "response");
}
