//! Every figure of the catalogue is moved by a service at work, and traces go from the homeserver through handlers to
//! what they ask.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use bridgehead_appservice::{
    Database, Running, Service, Setup, Websocket, WebsocketState,
    metrics::{
        Metrics,
        catalogue::{CATALOGUE, Kind, Metric, REMOTE_UP},
    },
    prelude::*,
    surroundings::{Surroundings, Transport, TransportError},
};
use bridgehead_testkit::TestServer;
use bytes::Bytes;
use futures_util::{FutureExt as _, future::BoxFuture};
use http::{Method, Request, Response};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    harness::{generate, until},
    rig::{Asked, FakeHost, Rig, agrees, reply},
};

/// A homeserver with every kind of trouble: one room whose sends fail in all ways before they go through, one that is
/// closed, and one that never answers well.
fn troubled() -> Arc<FakeHost> {
    let tries = AtomicUsize::new(0);
    FakeHost::new(move |asked: &Asked| {
        let is_send = asked.path.contains("/send/");
        if is_send && asked.path.contains("closed")
            || asked.path.contains("/join/") && asked.path.contains("locked")
        {
            return Ok(reply(403, r#"{"errcode":"M_FORBIDDEN","error":"no"}"#));
        }
        if asked.path.ends_with("/state") {
            return Ok(reply(200, "[]"));
        }
        if is_send && asked.path.contains("never") {
            return Ok(reply(502, "{}"));
        }
        if !is_send || !asked.path.contains("moody") {
            return Ok(agrees(asked));
        }
        match tries.fetch_add(1, Ordering::Relaxed) {
            0 => Ok(reply(
                429,
                r#"{"errcode":"M_LIMIT_EXCEEDED","error":"slow","retry_after_ms":20}"#,
            )),
            1 => Err(TransportError::Unreachable("gone".to_owned())),
            2 => Err(TransportError::Timeout(1)),
            3 => Ok(reply(503, "{}")),
            4 => Ok(reply(200, "<html>")),
            _ => Ok(agrees(asked)),
        }
    })
}

/// Speaks where it is told to, and fails in all ways.
fn actor(metrics: &Metrics) -> Service {
    Service::new("actor")
        .users("_actor_{name}")
        .metrics(metrics)
        .limits(|limits| {
            limits.attempts = 2;
            limits.inbox_high_water = 8;
            limits.first_retry = Duration::from_millis(1);
        })
        .on(
            |metrics: Metrics, text: Text, room: Room, ghosts: Ghosts| async move {
                metrics.set(&REMOTE_UP, &["stage"], 1.0);
                match text.body.as_str() {
                    "fail" => Err(HandlerError::new("no")),
                    "wait" => std::future::pending().await,
                    body => {
                        ghosts.named("ann")?.send(&room, body).await.ok();
                        Ok(())
                    }
                }
            },
        )
}

fn say(room: &str, event: &str, body: &str) -> Value {
    json!({
        "event_id": event,
        "room_id": format!("!{room}:localhost"),
        "sender": "@alice:localhost",
        "type": "m.room.message",
        "content": { "msgtype": "m.text", "body": body },
        "origin_server_ts": 1,
    })
}

/// Everything that can happen to transactions and events.
async fn happen(rig: &Rig) -> anyhow::Result<()> {
    let bad = rig.put("bad", "{").await;
    assert_eq!(bad, 400);
    let first = [
        say("moody", "$1", "hello"),
        say("closed", "$2", "hello"),
        say("other", "$3", "fail"),
    ];
    assert_eq!(rig.put_events("1", &first).await, 200);
    assert_eq!(rig.put_events("1", &first).await, 200, "a repeat");
    until("all is sent, given up, or set aside", || async {
        rig.running.hurry();
        rig.running.is_settled()
    })
    .await?;
    let typing =
        json!({ "type": "m.typing", "room_id": "!moody:localhost", "content": { "user_ids": [] } });
    let many = json!({ "ephemeral": vec![typing; 3000] });
    assert_eq!(rig.put("2", many.to_string()).await, 200);
    let stuck: Vec<Value> = (0..8)
        .map(|n| say("stuck", &format!("$s{n}"), "wait"))
        .collect();
    assert_eq!(rig.put_events("3", &stuck).await, 200);
    assert_eq!(
        rig.put_events("4", &[say("stuck", "$x", "wait")]).await,
        503,
        "full"
    );
    let ann = rig.running.ghosts().named("ann")?;
    ann.want(RoomId::parse("!locked:localhost")?, true).await?;
    let room = RoomId::parse("!never:localhost")?;
    tokio::spawn(async move { ann.send(&room, "into the void").await });
    Ok(())
}

/// A service that has a websocket to our real homeserver, counted with the other.
async fn socket(
    host: &mut Option<TestServer>,
    metrics: &Metrics,
    folder: &TempDir,
) -> anyhow::Result<(Running, bridgehead_appservice::WebsocketLink)> {
    let service = Service::new("socket").metrics(&metrics.for_service("socket"));
    let generated = generate(&service, Some("websocket"))?;
    let file = folder.path().join("socket.yaml");
    std::fs::write(&file, generated.text.expose())?;
    let server = host.insert(TestServer::start_with(&[file], &[]).await?);
    let running = service
        .start(Setup {
            registration: generated.registration,
            server_name: "localhost".to_owned(),
            homeserver: server.base_url(),
            database: Database::Memory,
            surroundings: Surroundings::default(),
        })
        .await?;
    let link = running.open_websocket(Websocket::default().to(&server.base_url()))?;
    assert_eq!(link.connected().await, WebsocketState::Connected);
    Ok((running, link))
}

/// The samples of one metric in a page: labels and value.
fn samples<'a>(page: &'a str, metric: &Metric) -> Vec<(&'a str, f64)> {
    let suffix = if matches!(metric.kind, Kind::Histogram(_)) {
        "_count"
    } else {
        ""
    };
    let name = format!("{}{suffix}{{", metric.name);
    let lines = page.lines().filter_map(|line| line.strip_prefix(&name));
    lines
        .filter_map(|line| {
            let (labels, value) = line.rsplit_once("} ")?;
            Some((labels, value.parse().ok()?))
        })
        .collect()
}

/// What of the catalogue nothing has moved; each known value of a label counts by itself.
fn unmoved(page: &str) -> Vec<String> {
    let mut unmoved = Vec::new();
    // This service is no bridge and follows no ban lists: `bridge/figures.rs` and `bridge/policies.rs` look at theirs.
    let others = ["appservice_bridge_", "appservice_policy_"];
    let own = |metric: &&&Metric| !others.iter().any(|other| metric.name.starts_with(other));
    for metric in CATALOGUE.iter().filter(own) {
        let moved: Vec<&str> = samples(page, metric)
            .into_iter()
            .filter(|(_, value)| *value > 0.0)
            .map(|(labels, _)| labels)
            .collect();
        let known = metric.labels.iter().find(|label| !label.values.is_empty());
        for value in known.map_or(&[""][..], |label| label.values) {
            let is_moved = moved
                .iter()
                .any(|labels| labels.contains(&format!("\"{value}\"")) || value.is_empty());
            if !is_moved {
                unmoved.push(format!("{} {value}", metric.name));
            }
        }
    }
    unmoved
}

#[tokio::test]
async fn every_figure_of_the_catalogue_is_moved() -> anyhow::Result<()> {
    let metrics = Metrics::new("actor");
    let rig = Rig::beside(actor(&metrics), troubled()).await?;
    happen(&rig).await?;
    let (mut host, folder) = (None, TempDir::new()?);
    let (_socket, link) = socket(&mut host, &metrics, &folder).await?;
    let missing = Mutex::new(Vec::new());
    let all_moved = until("every figure has moved", || async {
        let page = rig.running.figures().await.unwrap_or_default();
        *missing.lock() = unmoved(&page);
        missing.lock().is_empty()
    })
    .await;
    all_moved.with_context(|| format!("not moved: {:#?}", missing.lock()))?;
    link.stop().await;
    let page = rig.running.figures().await?;
    assert!(
        page.contains("appservice_websocket_connected{service=\"socket\"} 0"),
        "{page}"
    );
    Ok(())
}

/// A homeserver that notes the trace of what it is asked.
#[derive(Default)]
struct Ears(Mutex<Vec<(String, Option<String>)>>);

impl Transport for Ears {
    fn call(
        &self,
        request: Request<Bytes>,
        _: usize,
    ) -> BoxFuture<'_, Result<Response<Bytes>, TransportError>> {
        let trace = request.headers().get("traceparent");
        let trace = trace
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let path = request.uri().path().to_owned();
        self.0.lock().push((path.clone(), trace));
        let body = if path.contains("/send/") {
            r#"{"event_id":"$sent"}"#
        } else {
            r#"{"user_id":"@x:localhost"}"#
        };
        async move { Ok(reply(200, body)) }.boxed()
    }
}

impl Ears {
    fn of(&self, part: &str) -> Vec<Option<String>> {
        let heard = self.0.lock();
        let of_it = heard.iter().filter(|(path, _)| path.contains(part));
        of_it.map(|(_, trace)| trace.clone()).collect()
    }
}

#[tokio::test]
async fn a_trace_goes_from_the_transaction_to_what_its_handlers_ask() -> anyhow::Result<()> {
    let ears = Arc::new(Ears::default());
    let told = Arc::<Mutex<Vec<Delivery>>>::default();
    let tell = told.clone();
    let service = actor(&Metrics::new("actor")).on(move |delivery: Delivery, _: Text| {
        tell.lock().push(delivery);
        async {}
    });
    let generated = generate(&service, Some("http://127.0.0.1:1"))?;
    let token = generated.registration.hs_token.expose().to_owned();
    let running = service
        .start(Setup {
            registration: generated.registration,
            server_name: "localhost".to_owned(),
            homeserver: "http://127.0.0.1:1".to_owned(),
            database: Database::Memory,
            surroundings: Surroundings {
                transport: Some(ears.clone()),
                ..Surroundings::default()
            },
        })
        .await?;
    let id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let request = Request::builder()
        .method(Method::PUT)
        .uri("/_matrix/app/v1/transactions/1")
        .header("authorization", format!("Bearer {token}"))
        .header("traceparent", format!("00-{id}-00f067aa0ba902b7-01"))
        .body(Bytes::from(
            json!({ "events": [say("room", "$1", "hello")] }).to_string(),
        ))?;
    assert_eq!(running.call(request).await.status(), 200);
    until("the ghost has spoken", || async {
        !ears.of("/send/").is_empty() && running.is_settled()
    })
    .await?;
    for part in ["/join/", "/send/"] {
        let traces = ears.of(part);
        assert!(!traces.is_empty(), "{part}");
        for trace in traces {
            let trace = trace.context("a call without a trace")?;
            assert!(
                trace.contains(id) && !trace.contains("00f067aa0ba902b7"),
                "{part}: {trace}"
            );
        }
    }
    let delivery = told.lock().first().cloned();
    let traceparent = delivery.and_then(|delivery| delivery.traceparent);
    assert!(traceparent.is_some_and(|trace| trace.contains(id)));
    // What belongs to no transaction belongs to no trace.
    assert_eq!(
        ears.of("/register").first(),
        Some(&None),
        "the bot, at the start"
    );
    running.stop().await;
    Ok(())
}
