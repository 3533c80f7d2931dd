//! Transactions that come again, together, or too many; and homeservers that hang up.

use std::{sync::Arc, time::Duration};

use bridgehead_appservice::{Database, Service, prelude::*, surroundings::TransportError};
use futures_util::{FutureExt as _, future::join_all};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Semaphore;

use crate::{
    harness::until,
    rig::{FakeHost, Log, Rig, message, message_in, recorder},
};

#[tokio::test]
async fn a_repeated_transaction_is_a_no_op() -> anyhow::Result<()> {
    let log = Log::default();
    let rig = Rig::start(recorder(&log)).await?;
    let events = [message("$a"), message("$b")];
    for _ in 0..3 {
        assert_eq!(rig.put_events("1", &events).await, 200);
    }
    // The homeserver makes the body anew: the age is another one each time.
    let mut older = events.clone();
    older[0]["unsigned"] = json!({ "age": 1234 });
    older[1]["age"] = json!(99);
    assert_eq!(rig.put_events("1", &older).await, 200);
    rig.settled().await?;
    assert_eq!(*log.lock(), ["$a", "$b"]);
    Ok(())
}

#[tokio::test]
async fn a_transaction_that_comes_twice_at_once_is_handled_once() -> anyhow::Result<()> {
    let log = Log::default();
    let rig = Rig::start(recorder(&log)).await?;
    for number in 0..20 {
        let events = [message(&format!("${number}"))];
        let txn_id = number.to_string();
        let both = (0..4).map(|_| rig.put_events(&txn_id, &events));
        assert_eq!(join_all(both).await, [200; 4]);
    }
    rig.settled().await?;
    let wanted: Vec<String> = (0..20).map(|number| format!("${number}")).collect();
    assert_eq!(*log.lock(), wanted);
    Ok(())
}

#[tokio::test]
async fn an_id_that_is_used_again_by_another_life_of_the_homeserver_is_new() -> anyhow::Result<()> {
    let log = Log::default();
    let rig = Rig::start(recorder(&log)).await?;
    assert_eq!(rig.put_events("1", &[message("$a")]).await, 200);
    // The homeserver was reset and counts from the start again.
    assert_eq!(rig.put_events("1", &[message("$b")]).await, 200);
    // Restored from a backup, it brings events again that it has brought, in other transactions.
    assert_eq!(
        rig.put_events("2", &[message("$a"), message("$c")]).await,
        200
    );
    rig.settled().await?;
    assert_eq!(*log.lock(), ["$a", "$b", "$c"]);
    Ok(())
}

#[tokio::test]
async fn repeats_are_known_after_a_restart() -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let database = || Database::File(folder.path().join("service.db"));
    let log = Log::default();
    let rig = Rig::start_in(recorder(&log), FakeHost::friendly(), database()).await?;
    assert_eq!(rig.put_events("1", &[message("$a")]).await, 200);
    rig.settled().await?;
    rig.running.stop().await;
    let rig = Rig::start_in(recorder(&log), FakeHost::friendly(), database()).await?;
    assert_eq!(rig.put_events("1", &[message("$a")]).await, 200);
    assert_eq!(
        rig.put_events("9", &[message("$a"), message("$b")]).await,
        200
    );
    rig.settled().await?;
    assert_eq!(*log.lock(), ["$a", "$b"]);
    Ok(())
}

/// A service whose handler waits for a permit for each event.
fn gated(log: &Log, gate: &Arc<Semaphore>) -> Service {
    let (log, gate) = (log.clone(), gate.clone());
    Service::new("gated")
        .limits(|limits| limits.inbox_high_water = 3)
        .on(move |event: Timeline| {
            let (log, gate) = (log.clone(), gate.clone());
            async move {
                gate.acquire().await.expect("never closed").forget();
                log.lock().push(event.id.to_string());
            }
        })
}

#[tokio::test]
async fn a_full_inbox_says_come_back_later_and_recovers() -> anyhow::Result<()> {
    let (log, gate) = (Log::default(), Arc::new(Semaphore::new(0)));
    let rig = Rig::start(gated(&log, &gate)).await?;
    let events: Vec<Value> = (0..3)
        .map(|number| message_in(&format!("!{number}:x"), &format!("${number}")))
        .collect();
    assert_eq!(rig.put_events("1", &events).await, 200);
    let body = json!({ "events": [message("$late")] }).to_string();
    let path = "/_matrix/app/v1/transactions/2";
    let request = rig.request(http::Method::PUT, path, body);
    let response = rig.running.call(request).await;
    assert_eq!(response.status().as_u16(), 503);
    assert_eq!(response.headers()["retry-after"], "1");
    let answer: Value = serde_json::from_slice(response.body())?;
    assert_eq!(answer["errcode"], "M_LIMIT_EXCEEDED");
    gate.add_permits(100);
    until("there is room again", || async {
        rig.put_events("2", &[message("$late")]).await == 200
    })
    .await?;
    rig.settled().await?;
    let mut log = log.lock().clone();
    log.sort();
    assert_eq!(log, ["$0", "$1", "$2", "$late"]);
    Ok(())
}

#[tokio::test]
async fn the_inbox_is_bounded_before_the_service_can_work_and_after_a_restart() -> anyhow::Result<()>
{
    let folder = TempDir::new()?;
    let away = || FakeHost::new(|_| Err(TransportError::Unreachable("nobody".to_owned())));
    let database = || Database::File(folder.path().join("service.db"));
    let (log, gate) = (Log::default(), Arc::new(Semaphore::new(100)));
    let rig = Rig::start_in(gated(&log, &gate), away(), database()).await?;
    for number in 0..3 {
        let event = message(&format!("${number}"));
        assert_eq!(rig.put_events(&number.to_string(), &[event]).await, 200);
    }
    assert_eq!(rig.put_events("4", &[message("$late")]).await, 503);
    rig.running.stop().await;
    let rig = Rig::start_in(gated(&log, &gate), away(), database()).await?;
    assert_eq!(rig.put_events("4", &[message("$late")]).await, 503);
    rig.running.stop().await;
    assert!(log.lock().is_empty());
    let rig = Rig::start_in(gated(&log, &gate), FakeHost::friendly(), database()).await?;
    until("there is room again", || async {
        rig.put_events("4", &[message("$late")]).await == 200
    })
    .await?;
    rig.settled().await?;
    assert_eq!(*log.lock(), ["$0", "$1", "$2", "$late"]);
    Ok(())
}

#[tokio::test]
async fn who_hangs_up_in_the_middle_has_brought_it_all_the_same() -> anyhow::Result<()> {
    let log = Log::default();
    let rig = Rig::start(recorder(&log)).await?;
    rig.settled().await?;
    for number in 0..50 {
        let events = [message(&format!("${number}"))];
        let txn_id = number.to_string();
        // Begun, and given up while it is being stored.
        let mut call = Box::pin(rig.put_events(&txn_id, &events));
        assert!(call.as_mut().now_or_never().is_none());
        if number % 2 == 0 {
            tokio::time::timeout(Duration::from_micros(number * 20), call)
                .await
                .ok();
        } else {
            drop(call);
        }
        // It comes again, as homeservers do, and must not be taken for done if it is not.
        assert_eq!(rig.put_events(&txn_id, &events).await, 200);
    }
    rig.settled().await?;
    let wanted: Vec<String> = (0..50).map(|number| format!("${number}")).collect();
    until("all is handled", || async { log.lock().len() >= 50 }).await?;
    assert_eq!(*log.lock(), wanted);
    Ok(())
}
