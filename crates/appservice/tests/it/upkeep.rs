//! What a service remembers of the past is forgotten in time, in small bites.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bridgehead_appservice::{
    Database, Running, Service, Setup,
    prelude::*,
    surroundings::{Clock, Surroundings},
};
use serde_json::Value as Json;
use tokio::time::Instant;

use crate::{
    harness::generate,
    rig::{FakeHost, message},
};

/// Goes with tokio's time.
struct TestClock(Instant);

impl Clock for TestClock {
    fn now_ms(&self) -> i64 {
        self.0.elapsed().as_millis() as i64
    }
}

/// Rows of what was taken, what was sent, and transactions.
async fn counts(running: &Running) -> anyhow::Result<[Option<i64>; 3]> {
    let sql = "SELECT (SELECT count(*) FROM seen), (SELECT count(*) FROM outbox), (SELECT count(*) FROM transactions)";
    let rows = running.store().query(sql, []).await?;
    Ok([0, 1, 2].map(|column| rows[0].integer(column)))
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_and_sent_is_forgotten_after_the_declared_time() -> anyhow::Result<()> {
    let handled = Arc::new(AtomicUsize::new(0));
    let counted = handled.clone();
    let service = Service::new("parrot")
        .users("_parrot_{name}")
        .limits(|limits| limits.remember = Duration::from_secs(24 * 3600))
        .on(move |text: Text, room: Room, ghosts: Ghosts| {
            counted.fetch_add(1, Ordering::Relaxed);
            async move { ghosts.named("polly")?.send(&room, text.body).await }
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
                clock: Arc::new(TestClock(Instant::now())),
                transport: Some(FakeHost::friendly()),
                inline_store: true,
                ..Surroundings::default()
            },
        })
        .await?;
    let events: Vec<Json> = (0..1200)
        .map(|number| message(&format!("${number}")))
        .collect();
    let bring = async |txn_id: &str, events: &[Json]| {
        let path = format!("/_matrix/app/v1/transactions/{txn_id}");
        let request = http::Request::put(path)
            .header("authorization", format!("Bearer {token}"))
            .body(bytes::Bytes::from(
                serde_json::json!({ "events": events }).to_string(),
            ))
            .expect("a request");
        assert_eq!(running.call(request).await.status(), 200);
        while !running.is_settled() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        handled.load(Ordering::Relaxed)
    };
    assert_eq!(bring("1", &events).await, 1200);
    let remembered = [Some(1200), Some(1200), Some(1)];
    assert_eq!(counts(&running).await?, remembered);
    tokio::time::sleep(Duration::from_secs(23 * 3600)).await;
    assert_eq!(counts(&running).await?, remembered);
    tokio::time::sleep(Duration::from_secs(2 * 3600 + 60)).await;
    assert_eq!(counts(&running).await?, [Some(0), Some(0), Some(1)]);
    // A transaction that is brought again is known for good: nothing is handled.
    tokio::time::sleep(Duration::from_secs(48 * 3600)).await;
    assert_eq!(bring("1", &events).await, 1200);
    // Its events in another one are new by now; lately handled ones are not.
    assert_eq!(bring("2", &events[..2]).await, 1202);
    assert_eq!(bring("3", &events[..3]).await, 1203);
    Ok(())
}
