//! The ping, both ways.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bridgehead_appservice::{Listen, prelude::*, surroundings::TransportError};
use futures_util::FutureExt as _;
use parking_lot::Mutex;
use tower::ServiceExt as _;

use crate::{
    harness::until,
    rig::{FakeHost, Log, Rig, agrees, anywhere, recorder, reply},
};

/// A homeserver that calls the service back when it is asked to ping, if it is told to.
struct Caller {
    host: Arc<FakeHost>,
    /// The way back, and the token to show.
    back: Arc<Mutex<Option<(axum::Router, String)>>>,
}

impl Caller {
    fn new(status: u16, calls: bool) -> Self {
        let back: Arc<Mutex<Option<(axum::Router, String)>>> = Arc::default();
        let way = back.clone();
        let host = FakeHost::new(move |asked| {
            if !asked.path.ends_with("/ping") {
                return Ok(agrees(asked));
            }
            if calls && let Some((router, token)) = way.lock().clone() {
                let request = http::Request::post("/_matrix/app/v1/ping")
                    .header("authorization", format!("Bearer {token}"))
                    .body(axum::body::Body::from(asked.body.to_string()))
                    .expect("a request");
                let answer = router.oneshot(request).now_or_never().expect("at once");
                assert_eq!(answer.expect("an answer").status().as_u16(), 200);
            }
            let error = r#"{"errcode":"M_CONNECTION_FAILED","error":"as last time"}"#;
            let body = if status == 200 {
                r#"{"duration_ms":7}"#
            } else {
                error
            };
            Ok(reply(status, body))
        });
        Self { host, back }
    }

    async fn start(&self) -> anyhow::Result<Rig> {
        let rig = Rig::beside(recorder(&Log::default()), self.host.clone()).await?;
        let token = rig.generated.registration.hs_token.expose().to_owned();
        *self.back.lock() = Some((rig.running.router(), token));
        Ok(rig)
    }
}

#[tokio::test]
async fn a_ping_is_known_by_its_transaction_id() -> anyhow::Result<()> {
    for (status, calls, wanted) in [
        (200, true, Ok(())),
        // Whoever was called, it was not this process.
        (200, false, Err("not this process")),
        // The homeserver did call, and tells of its failure from before.
        (502, true, Ok(())),
        (502, false, Err("M_CONNECTION_FAILED")),
    ] {
        let caller = Caller::new(status, calls);
        let rig = caller.start().await?;
        let pinged = rig.running.ping().await;
        match wanted {
            Ok(()) => assert!(pinged.is_ok(), "{status} {calls}: {pinged:?}"),
            Err(said) => {
                let error = pinged.expect_err(said).to_string();
                assert!(error.contains(said), "{error}");
            }
        }
        assert_eq!(caller.host.asked_of("/ping").len(), 1);
        caller.back.lock().take();
    }
    Ok(())
}

#[tokio::test]
async fn the_homeserver_is_pinged_when_listening_begins_and_when_it_is_back() -> anyhow::Result<()>
{
    let away = Arc::new(AtomicBool::new(false));
    let is_away = away.clone();
    let caller = Caller::new(200, true);
    let inner = caller.host.clone();
    let outer = FakeHost::new(move |asked| {
        if is_away.load(Ordering::Relaxed) {
            return Err(TransportError::Unreachable("nobody".to_owned()));
        }
        inner.answer(asked)
    });
    let rig = Rig::beside(recorder(&Log::default()), outer.clone()).await?;
    let token = rig.generated.registration.hs_token.expose().to_owned();
    *caller.back.lock() = Some((rig.running.router(), token));
    rig.settled().await?;
    assert!(outer.asked_of("/ping").is_empty());
    let _listening = rig.running.listen(Listen::tcp(anywhere())).await?;
    let pinged = |times: usize| {
        let outer = outer.clone();
        move || {
            let outer = outer.clone();
            async move { outer.asked_of("/ping").len() == times }
        }
    };
    until("it is pinged at the beginning", pinged(1)).await?;
    let room = RoomId::parse("!there:localhost")?;
    rig.running.bot().join(&room).await?;
    away.store(true, Ordering::Relaxed);
    // What is tried while it is away shows that it is.
    let running = &rig.running;
    let other = RoomId::parse("!other:localhost")?;
    let bot = running.bot();
    let (joined, ()) = tokio::join!(bot.join(&other), async {
        let tried = || async { outer.asked_of("other").len() >= 2 };
        until("the join is tried", tried).await.expect("it is");
        away.store(false, Ordering::Relaxed);
    });
    joined?;
    until("it is pinged when it is back", pinged(2)).await?;
    caller.back.lock().take();
    Ok(())
}

#[tokio::test]
async fn who_is_not_reached_is_told_so_until_the_homeserver_comes() -> anyhow::Result<()> {
    let host = FakeHost::new(|asked| {
        let is_ping = asked.path.ends_with("/ping");
        let failed = r#"{"errcode":"M_CONNECTION_FAILED","error":"refused"}"#;
        Ok(if is_ping {
            reply(502, failed)
        } else {
            agrees(asked)
        })
    });
    let rig = Rig::beside(recorder(&Log::default()), host).await?;
    rig.settled().await?;
    assert!(rig.running.health().await.is_ready());
    let _listening = rig.running.listen(Listen::tcp(anywhere())).await?;
    until("it is told", || async {
        let health = rig.running.health().await;
        assert!(health.is_ready(), "only who is ready may be reached");
        let told = health.unreached;
        told.is_some_and(|why| {
            why.contains("M_CONNECTION_FAILED") && why.contains("public_address")
        })
    })
    .await?;
    // What comes with the right token comes from the homeserver, whatever it said.
    assert_eq!(rig.put_events("1", &[]).await, 200);
    until("all is well", || async {
        rig.running.health().await.unreached.is_none()
    })
    .await
}

#[tokio::test]
async fn a_homeserver_that_reaches_nobody_yet_is_asked_again() -> anyhow::Result<()> {
    let fails = Arc::new(AtomicBool::new(true));
    let failing = fails.clone();
    let caller = Caller::new(200, true);
    let inner = caller.host.clone();
    let outer = FakeHost::new(move |asked| {
        if asked.path.ends_with("/ping") && failing.swap(false, Ordering::Relaxed) {
            return Ok(reply(
                502,
                r#"{"errcode":"M_CONNECTION_FAILED","error":"no"}"#,
            ));
        }
        inner.answer(asked)
    });
    let rig = Rig::beside(recorder(&Log::default()), outer.clone()).await?;
    let token = rig.generated.registration.hs_token.expose().to_owned();
    *caller.back.lock() = Some((rig.running.router(), token));
    let _listening = rig.running.listen(Listen::tcp(anywhere())).await?;
    until("it is pinged again", || async {
        outer.asked_of("/ping").len() == 2
    })
    .await?;
    let ids: Vec<_> = outer
        .asked_of("/ping")
        .iter()
        .map(|ping| ping.body.clone())
        .collect();
    assert_ne!(ids[0]["transaction_id"], ids[1]["transaction_id"]);
    caller.back.lock().take();
    Ok(())
}
