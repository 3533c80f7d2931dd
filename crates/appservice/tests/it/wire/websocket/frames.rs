//! What goes over it.

use std::sync::Arc;

use axum::{Router, extract::ws::Message, routing::get};
use bridgehead_appservice::{Service, WebsocketState, prelude::*};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::host::{Host, ask, connected, hear, say};
use crate::{
    harness::PATIENCE,
    rig::{Log, message, message_in, recorder},
};

#[tokio::test]
async fn it_says_who_it_is_and_acknowledges_what_is_on_disk() -> anyhow::Result<()> {
    let log = Log::default();
    let mut host = Host::start().await?;
    let (rig, link) = connected(recorder(&log), &host).await?;
    let (headers, mut socket) = host.opened().await?;
    let token = rig.generated.registration.as_token.expose();
    assert_eq!(headers["authorization"], format!("Bearer {token}"));
    assert_eq!(headers["x-mautrix-websocket-version"], "3");
    for (id, txn_id, events) in [
        (1, "a", json!([message("$a")])),
        (2, "a", json!([message("$a")])),
        (3, "b", json!([message("$b"), "nonsense"])),
    ] {
        // The third as proxies of before the commands sent it.
        let mut frame = json!({ "id": id, "status": "ok", "txn_id": txn_id, "events": events });
        if id < 3 {
            frame["command"] = json!("transaction");
        }
        say(&mut socket, frame).await?;
        let wanted = json!({ "id": id, "command": "response", "data": { "txn_id": txn_id } });
        assert_eq!(hear(&mut socket).await?, wanted);
    }
    rig.settled().await?;
    assert_eq!(*log.lock(), ["$a", "$b"]);
    assert_eq!(rig.running.parked(0, 10).await?.len(), 1);
    let closing = tokio::spawn(link.stop());
    let message = tokio::time::timeout(PATIENCE, socket.recv()).await?;
    assert!(matches!(message, Some(Ok(Message::Close(Some(frame)))) if frame.code == 1000));
    drop(socket);
    closing.await?;
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_taken_is_refused_and_comes_again() -> anyhow::Result<()> {
    let gate = Arc::new(Semaphore::new(0));
    let (log, waits) = (Log::default(), gate.clone());
    let sink = log.clone();
    let service = Service::new("gated")
        .limits(|limits| limits.inbox_high_water = 1)
        .on(move |event: Timeline| {
            let (log, gate) = (sink.clone(), waits.clone());
            async move {
                gate.acquire().await.expect("never closed").forget();
                log.lock().push(event.id.to_string());
            }
        });
    let mut host = Host::start().await?;
    let (rig, _link) = connected(service, &host).await?;
    let mut socket = host.socket().await?;
    let frame = |id: u64, event: &str| {
        let events = [message_in("!r:x", event)];
        json!({ "id": id, "command": "transaction", "txn_id": event, "events": events })
    };
    say(&mut socket, frame(1, "$a")).await?;
    assert_eq!(hear(&mut socket).await?["command"], "response");
    say(&mut socket, frame(2, "$b")).await?;
    let refused = hear(&mut socket).await?;
    assert_eq!(refused["command"], "error");
    assert_eq!(refused["data"]["code"], "M_LIMIT_EXCEEDED");
    gate.add_permits(10);
    rig.settled().await?;
    say(&mut socket, frame(3, "$b")).await?;
    assert_eq!(hear(&mut socket).await?["command"], "response");
    rig.settled().await?;
    assert_eq!(*log.lock(), ["$a", "$b"]);
    say(
        &mut socket,
        json!({ "id": 4, "command": "transaction", "events": [] }),
    )
    .await?;
    assert_eq!(hear(&mut socket).await?["data"]["code"], "M_BAD_JSON");
    Ok(())
}

#[tokio::test]
async fn questions_are_answered_by_the_same_routes() -> anyhow::Result<()> {
    let asked = Log::default();
    let sink = asked.clone();
    let page = || async { ([("x-kind", "page")], "<h1>no JSON</h1>") };
    let service = Service::new("asked")
        .aliases("#x_{name}")
        .on_alias(move |ask: AliasAsk| {
            sink.lock().push(ask.alias.to_string());
            async { None::<RoomPlan> }
        })
        .routes(Router::new().route("/page", get(page)));
    let mut host = Host::start().await?;
    let (rig, _link) = connected(service, &host).await?;
    let mut socket = host.socket().await?;
    let token = rig.generated.registration.hs_token.expose();
    let headers = json!({ "Authorization": [format!("Bearer {token}")] });
    let alias = |path: &str, escaped: bool, headers: &Value| {
        json!({
            "method": "GET", "path": path, "escaped_path": escaped, "query": "", "headers": headers,
        })
    };
    for (path, escaped) in [
        ("/_matrix/app/v1/rooms/%23x_a%3Alocalhost", true),
        ("/_matrix/app/v1/rooms/#x_a:localhost", false),
    ] {
        let answer = ask(&mut socket, "http_proxy", alias(path, escaped, &headers)).await?;
        assert_eq!(answer["command"], "response");
        assert_eq!(answer["data"]["status"], 404);
        assert_eq!(answer["data"]["body"]["errcode"], "M_NOT_FOUND");
    }
    assert_eq!(*asked.lock(), ["#x_a:localhost", "#x_a:localhost"]);
    let path = "/_matrix/app/v1/rooms/%23x_b:localhost";
    let answer = ask(&mut socket, "http_proxy", alias(path, true, &json!({}))).await?;
    assert_eq!(answer["data"]["status"], 401);
    let answer = ask(&mut socket, "http_proxy", alias("/page", true, &json!({}))).await?;
    assert_eq!(answer["data"]["status"], 200);
    assert_eq!(answer["data"]["headers"]["x-kind"], json!(["page"]));
    assert_eq!(answer["data"]["body"], "PGgxPm5vIEpTT048L2gxPg");
    let put = json!({
        "method": "PUT", "path": "/_matrix/app/v1/transactions/1", "escaped_path": true,
        "headers": headers, "body": { "events": [] },
    });
    let answer = ask(&mut socket, "http_proxy", put).await?;
    assert_eq!(
        (&answer["data"]["status"], &answer["data"]["body"]),
        (&json!(200), &json!({}))
    );
    let answer = ask(&mut socket, "ping", json!({ "timestamp": 1 })).await?;
    assert!(answer["data"]["timestamp"].is_i64(), "{answer}");
    Ok(())
}

#[tokio::test]
async fn a_question_that_takes_long_holds_nothing_up() -> anyhow::Result<()> {
    let gate = Arc::new(Semaphore::new(0));
    let waits = gate.clone();
    let service = recorder(&Log::default())
        .aliases("#x_{name}")
        .on_alias(move |_: AliasAsk| {
            let gate = waits.clone();
            async move {
                gate.acquire().await.expect("never closed").forget();
                None::<RoomPlan>
            }
        });
    let mut host = Host::start().await?;
    let (rig, _link) = connected(service, &host).await?;
    let mut socket = host.socket().await?;
    let token = rig.generated.registration.hs_token.expose();
    let question = json!({
        "method": "GET", "path": "/rooms/%23x_a:localhost", "escaped_path": true,
        "headers": { "Authorization": [format!("Bearer {token}")] },
    });
    for id in 1..=65 {
        say(
            &mut socket,
            json!({ "id": id, "command": "http_proxy", "data": question }),
        )
        .await?;
    }
    // One too many is refused, and transactions are taken.
    let refused = hear(&mut socket).await?;
    assert_eq!(
        (&refused["id"], &refused["command"]),
        (&json!(65), &json!("error"))
    );
    let frame =
        json!({ "id": 66, "command": "transaction", "txn_id": "1", "events": [message("$a")] });
    say(&mut socket, frame).await?;
    assert_eq!(hear(&mut socket).await?["id"], 66);
    gate.add_permits(64);
    for _ in 0..64 {
        assert_eq!(hear(&mut socket).await?["data"]["status"], 404);
    }
    Ok(())
}

#[tokio::test]
async fn odd_frames_are_answered_or_passed_over() -> anyhow::Result<()> {
    let mut host = Host::start().await?;
    let (_rig, link) = connected(recorder(&Log::default()), &host).await?;
    let mut socket = host.socket().await?;
    let deep = "[".repeat(100_000);
    for odd in [
        "",
        "no",
        "{",
        "[]",
        "null",
        "{\"id\":\"x\"}",
        "{\"command\":7}",
        &deep,
        "\u{0}",
    ] {
        socket.send(Message::Text(odd.to_owned().into())).await?;
    }
    for quiet in [
        json!({ "command": "response", "id": 9 }),
        json!({ "command": "error", "id": 9, "data": {} }),
        // Without an id no answer is wanted.
        json!({ "command": "ping" }),
        json!({ "command": "unheard_of" }),
    ] {
        say(&mut socket, quiet).await?;
    }
    let answer = ask(&mut socket, "unheard_of", json!(null)).await?;
    assert_eq!(answer["data"]["code"], "M_UNRECOGNIZED");
    for data in [
        json!(null),
        json!(7),
        json!({}),
        json!({ "method": "", "path": "/" }),
        json!({ "method": "G E T", "path": "/" }),
        json!({ "method": "GET", "path": "" }),
        json!({ "method": "GET", "path": "http://elsewhere/" }),
        json!({ "method": "GET", "path": "/\u{0} \n", "escaped_path": true }),
        json!({ "method": "GET", "path": "/", "headers": { "a b": ["x"] } }),
        json!({ "method": "GET", "path": "/", "headers": { "a": ["x\n"] } }),
    ] {
        let answer = ask(&mut socket, "http_proxy", data.clone()).await?;
        assert_eq!(answer["data"]["code"], "M_BAD_JSON", "{data}");
    }
    assert_eq!(link.state(), WebsocketState::Connected);
    Ok(())
}
