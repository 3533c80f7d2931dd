//! Who may ask, and by which paths.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bridgehead_appservice::prelude::*;
use bytes::Bytes;
use http::{Method, Request};
use serde_json::{Value, json};

use crate::rig::{Log, Rig, message, recorder};

/// Every path, with the method that is right.
const PATHS: [(&str, &str); 11] = [
    ("PUT", "/_matrix/app/v1/transactions/1"),
    ("PUT", "/transactions/1"),
    ("GET", "/_matrix/app/v1/users/@_x_a:localhost"),
    ("GET", "/users/@_x_a:localhost"),
    ("GET", "/_matrix/app/v1/rooms/%23x_a:localhost"),
    ("GET", "/rooms/%23x_a:localhost"),
    ("POST", "/_matrix/app/v1/ping"),
    ("POST", "/_matrix/app/unstable/fi.mau.msc2659/ping"),
    (
        "GET",
        "/_matrix/app/v1/thirdparty/user?userid=@_x_a:localhost",
    ),
    ("GET", "/_matrix/app/v1/thirdparty/protocol/irc"),
    (
        "GET",
        "/_matrix/app/unstable/thirdparty/location/irc?channel=x",
    ),
];

fn service(asked: &Arc<AtomicUsize>, log: &Log) -> Service {
    let (aliases, users) = (asked.clone(), asked.clone());
    recorder(log)
        .users("_x_{name}")
        .aliases("#x_{name}")
        .on_alias(move |_: AliasAsk| {
            aliases.fetch_add(1, Ordering::Relaxed);
            async { None::<RoomPlan> }
        })
        .on_user(move |_: UserAsk| {
            users.fetch_add(1, Ordering::Relaxed);
            async { None::<GhostPlan> }
        })
}

#[tokio::test]
async fn without_the_token_nothing_is_done() -> anyhow::Result<()> {
    let (asked, log) = (Arc::default(), Log::default());
    let rig = Rig::start(service(&asked, &log)).await?;
    let good = rig.generated.registration.hs_token.expose().to_owned();
    let as_token = rig.generated.registration.as_token.expose().to_owned();
    let headers = [
        (None, 401, "M_MISSING_TOKEN"),
        (Some("Bearer ".to_owned()), 403, "M_FORBIDDEN"),
        (Some("Bearer wrong".to_owned()), 403, "M_FORBIDDEN"),
        (Some(format!("Bearer {as_token}")), 403, "M_FORBIDDEN"),
        (Some(format!("Bearer {good}x")), 403, "M_FORBIDDEN"),
        (Some(format!("Basic {good}")), 401, "M_MISSING_TOKEN"),
        (Some(good.clone()), 401, "M_MISSING_TOKEN"),
    ];
    let body = json!({ "events": [message("$a")] }).to_string();
    for (method, path) in PATHS {
        for (header, status, errcode) in &headers {
            // The header is what counts, whatever is in the query.
            let with_query = match header {
                Some(_) if !path.contains('?') => format!("{path}?access_token={good}"),
                _ => path.to_owned(),
            };
            let mut request = Request::builder().method(method).uri(&with_query);
            if let Some(header) = header {
                request = request.header("authorization", header);
            }
            let response = rig
                .running
                .call(request.body(Bytes::from(body.clone()))?)
                .await;
            let answer: Value = serde_json::from_slice(response.body())?;
            assert_eq!(
                response.status().as_u16(),
                *status,
                "{method} {path} {answer}"
            );
            assert_eq!(answer["errcode"], *errcode, "{method} {path}");
            assert!(!answer.to_string().contains(&good));
        }
    }
    rig.settled().await?;
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    assert!(log.lock().is_empty());
    Ok(())
}

#[tokio::test]
async fn the_token_may_be_in_the_header_or_the_query_on_all_paths() -> anyhow::Result<()> {
    let (asked, log) = (Arc::default(), Log::default());
    let rig = Rig::start(service(&asked, &log)).await?;
    let token = rig.generated.registration.hs_token.expose();
    for (index, path) in ["/_matrix/app/v1/transactions", "/transactions"]
        .iter()
        .enumerate()
    {
        let body = |id: &str| Bytes::from(json!({ "events": [message(id)] }).to_string());
        let event = format!("$query{index}");
        let request = Request::put(format!("{path}/q{index}?access_token={token}"));
        let response = rig.running.call(request.body(body(&event))?).await;
        assert_eq!(
            (response.status().as_u16(), &response.body()[..]),
            (200, &b"{}"[..])
        );
        let (status, answer) = rig
            .ask(
                Method::PUT,
                &format!("{path}/h{index}"),
                body(&format!("$header{index}")),
            )
            .await;
        assert_eq!((status, answer), (200, json!({})));
    }
    rig.settled().await?;
    assert_eq!(*log.lock(), ["$query0", "$header0", "$query1", "$header1"]);
    Ok(())
}

#[tokio::test]
async fn what_is_not_there_is_said_in_the_protocols_words() -> anyhow::Result<()> {
    let rig = Rig::start(service(&Arc::default(), &Log::default())).await?;
    for (method, path, status, errcode) in [
        (
            Method::GET,
            "/_matrix/app/v1/nothing",
            404,
            "M_UNRECOGNIZED",
        ),
        (Method::GET, "/", 404, "M_UNRECOGNIZED"),
        (
            Method::POST,
            "/_matrix/app/v1/transactions/1",
            405,
            "M_UNRECOGNIZED",
        ),
        (Method::GET, "/_matrix/app/v1/ping", 405, "M_UNRECOGNIZED"),
        (
            Method::GET,
            "/_matrix/app/v1/users/nobody",
            404,
            "M_NOT_FOUND",
        ),
        (
            Method::GET,
            "/_matrix/app/v1/users/@_x_a:elsewhere",
            404,
            "M_NOT_FOUND",
        ),
        (
            Method::GET,
            "/_matrix/app/v1/rooms/%23x_a:elsewhere",
            404,
            "M_NOT_FOUND",
        ),
        (
            Method::GET,
            "/_matrix/app/v1/rooms/%FF%FE",
            400,
            "M_INVALID_PARAM",
        ),
        (
            Method::GET,
            "/_matrix/app/v1/users/%FF",
            400,
            "M_INVALID_PARAM",
        ),
        (
            Method::PUT,
            "/_matrix/app/v1/transactions/%C3%28",
            400,
            "M_INVALID_PARAM",
        ),
        (
            Method::GET,
            "/_matrix/app/v1/thirdparty/protocol/%FF",
            400,
            "M_INVALID_PARAM",
        ),
    ] {
        let (told, answer) = rig.ask(method, path, r#"{"events":[]}"#).await;
        assert_eq!(
            (told, answer["errcode"].as_str()),
            (status, Some(errcode)),
            "{path}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn escapes_in_paths_are_resolved_once() -> anyhow::Result<()> {
    let asked = Log::default();
    let (aliases, users, log) = (asked.clone(), asked.clone(), Log::default());
    let service = recorder(&log)
        .users("_x_{name}")
        .aliases("#x_{name}")
        .on_alias(move |ask: AliasAsk| {
            aliases.lock().push(ask.alias.to_string());
            async { None::<RoomPlan> }
        })
        .on_user(move |ask: UserAsk| {
            users
                .lock()
                .push(format!("{} {}", ask.user_id, &ask["name"]));
            async { None::<GhostPlan> }
        });
    let rig = Rig::start(service).await?;
    for path in [
        "/_matrix/app/v1/rooms/%23x_caf%C3%A9%2Fbar%2525:localhost",
        "/rooms/%23x_a%3Alocalhost",
        "/users/%40_x_a%3Alocalhost",
        "/_matrix/app/v1/users/@_x_b%2Fc:localhost",
    ] {
        assert_eq!(rig.get(path).await.0, 404, "{path}");
    }
    assert_eq!(
        *asked.lock(),
        [
            "#x_café/bar%25:localhost",
            "#x_a:localhost",
            "@_x_a:localhost a",
            "@_x_b/c:localhost b/c",
        ]
    );
    // Ids of transactions may be anything: what differs after its escapes are resolved is another one.
    for txn_id in ["a%2Fb", "a%20b", "a%25b", "%F0%9F%A6%80", "..", "a%252Fb"] {
        let events = [message(&format!("${txn_id}"))];
        assert_eq!(rig.put_events(txn_id, &events).await, 200, "{txn_id}");
    }
    let long = "x".repeat(1025);
    assert_eq!(rig.put_events(&long, &[message("$long")]).await, 400);
    rig.settled().await?;
    assert_eq!(log.lock().len(), 6);
    Ok(())
}
