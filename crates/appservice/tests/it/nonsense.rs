//! Homeservers whose answers make no sense: typed errors, no panic, and the service goes on.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bridgehead_appservice::{Database, prelude::*, surroundings::TransportError};
use futures_util::FutureExt as _;
use proptest::prelude::*;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinSet,
};

use crate::{
    harness::{generate, until},
    rig::{FakeHost, Log, Rig, agrees, message, recorder, reply, setup},
};

#[tokio::test]
async fn each_kind_of_nonsense_has_its_error() -> anyhow::Result<()> {
    type Check = fn(&Error) -> bool;
    let nonsense: Check = |error| matches!(error, Error::Nonsense { .. });
    let page = "<html><body>It works!</body></html>";
    let long = "x".repeat(100_000);
    let cases: [(u16, &str, Check); 12] = [
        (200, page, nonsense),
        (200, "", nonsense),
        (200, "null", nonsense),
        (200, "7", nonsense),
        (200, "\"yes\"", nonsense),
        (200, "{\"duration_ms\":", nonsense),
        (502, page, |error| {
            error.status() == Some(502) && error.errcode().is_none()
        }),
        (302, "", |error| error.status() == Some(302)),
        (418, &long, |error| {
            error.status() == Some(418) && error.to_string().len() < 600
        }),
        (403, r#"{"errcode":7,"error":["no"]}"#, |error| {
            error.status() == Some(403) && error.errcode().is_none()
        }),
        (
            429,
            r#"{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":"soon"}"#,
            |error| error.is_rate_limit() && error.is_transient(),
        ),
        (
            401,
            r#"{"errcode":"M_UNKNOWN_TOKEN","error":"unknown"}"#,
            |error| error.errcode() == Some("M_UNKNOWN_TOKEN") && !error.is_transient(),
        ),
    ];
    for (status, body, is_right) in cases {
        let text = body.to_owned();
        let host = FakeHost::new(move |asked| {
            let is_ping = asked.path.ends_with("/ping");
            Ok(if is_ping {
                reply(status, &text)
            } else {
                agrees(asked)
            })
        });
        let rig = Rig::beside(recorder(&Log::default()), host).await?;
        let error = rig.running.ping().await.expect_err("nonsense");
        assert!(is_right(&error), "{status} {body:.40}: {error:?}");
        let token = rig.generated.registration.as_token.expose();
        assert!(!format!("{error} {error:?}").contains(token));
    }
    Ok(())
}

/// Answers of any status and body.
fn any_answer() -> impl Strategy<Value = (u16, String)> {
    let body = prop_oneof![
        ".{0,30}",
        Just(String::new()),
        "[{\\[\"]{1,3}[a-z:,]{0,5}",
        Just(r#"{"room_id":7,"event_id":[],"user_id":{}}"#.to_owned()),
        Just(r#"{"room_id":"no id","event_id":"no id"}"#.to_owned()),
        Just(r#"{"errcode":"M_USER_IN_USE"}"#.to_owned()),
        Just(r#"{"errcode":"M_FORBIDDEN","error":null}"#.to_owned()),
        Just("[".repeat(5000)),
    ];
    let status = prop_oneof![Just(200_u16), Just(404), Just(403), Just(400), 200_u16..600];
    (status, body)
}

#[test]
fn no_answer_does_harm() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    proptest!(ProptestConfig::with_cases(128), |(answers in prop::collection::vec(any_answer(), 1..6))| {
        runtime.block_on(async {
            let is_good = Arc::new(AtomicBool::new(false));
            let good = is_good.clone();
            let next = std::sync::atomic::AtomicUsize::new(0);
            let host = FakeHost::new(move |asked| {
                if good.load(Ordering::Relaxed) {
                    return Ok(agrees(asked));
                }
                let (status, body) = &answers[next.fetch_add(1, Ordering::Relaxed) % answers.len()];
                Ok(reply(*status, body))
            });
            let log = Log::default();
            let service = recorder(&log).users("_x_{name}");
            let generated = generate(&service, None).expect("a registration");
            let mut setup = setup(&generated, host, Database::Memory);
            setup.surroundings.inline_store = true;
            let running = service.start(setup).await.expect("a service");
            let rig = Rig { running, generated };
            // What comes in is taken, whatever the homeserver answers.
            assert_eq!(rig.put_events("1", &[message("$a")]).await, 200);
            let room = RoomId::parse("!r:localhost").expect("an id");
            let bot = rig.running.bot();
            let ghost = rig.running.ghosts().named("bob").expect("a ghost");
            // They may succeed or fail, within a bounded time, and never panic.
            tokio::time::timeout(Duration::from_secs(3600), async {
                bot.join(&room).await.ok();
                ghost.join(&room).await.ok();
                rig.running.ping().await.ok();
            })
            .await
            .expect("all is bounded");
            // What is sent waits for a homeserver that is out of order, and is refused or sent in the end.
            let mut sending = pin!(bot.set_state(&room, "m.room.topic", "", serde_json::json!({})));
            let early = tokio::time::timeout(Duration::from_secs(600), &mut sending).await;
            is_good.store(true, Ordering::Relaxed);
            if early.is_err() {
                let sent = tokio::time::timeout(Duration::from_secs(3600), sending).await;
                sent.expect("an outcome soon after the homeserver makes sense").ok();
            }
            let deadline = tokio::time::Instant::now() + Duration::from_secs(3600);
            while log.lock().is_empty() && tokio::time::Instant::now() < deadline {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            assert_eq!(*log.lock(), ["$a"]);
        });
    });
}

#[tokio::test]
async fn a_service_beside_garbage_takes_what_comes() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            stream.read(&mut head).now_or_never();
            stream
                .write_all(b"\xff\xfe garbage \x00\r\n\r\n")
                .await
                .ok();
        }
    });
    let log = Log::default();
    let service = recorder(&log);
    let generated = generate(&service, None)?;
    let mut setup = setup(&generated, FakeHost::friendly(), Database::Memory);
    setup.surroundings.transport = None;
    setup.homeserver = format!("http://{address}");
    let running = service.start(setup).await?;
    let rig = Rig { running, generated };
    let error = rig.running.ping().await.expect_err("garbage");
    let is_transport = |error: &Error| {
        matches!(
            error,
            Error::Transport(TransportError::Broken(_) | TransportError::Unreachable(_))
        )
    };
    assert!(is_transport(&error), "{error:?}");
    assert_eq!(rig.put_events("1", &[message("$a")]).await, 200);
    until("it waits for a homeserver that answers", || async {
        rig.running.inbox_depth() == 1
    })
    .await?;
    assert!(log.lock().is_empty());
    Ok(())
}
