//! Faults count as happened when they have changed something, and what they leave to be done again
//! is waited for.

use std::{sync::Arc, time::Duration};

use bridgehead_appservice::{Service, prelude::*};
use parking_lot::Mutex;
use serde_json::json;

use super::{
    super::{Fault, Lab, LabOptions, LabService, LabUser, RetryAfter},
    echo::{Echo, registration},
};
use crate::{TestServer, free_port};

type Log = Arc<Mutex<Vec<String>>>;

/// Logs what is said, and what kinds of events come; has a ghost nod at texts.
fn clerk(log: &Log) -> Service {
    let (texts, kinds) = (log.clone(), log.clone());
    Service::new("clerk")
        .bot("clerk")
        .users("_clerk_{name}")
        .aliases("#clerk_{topic}")
        .on(move |text: Text, room: Room, ghosts: Ghosts| {
            texts.lock().push(format!("text of {}", text.body.len()));
            async move { ghosts.named("nod")?.send(&room, "noted").await }
        })
        .on(move |event: Timeline| {
            if event.kind.starts_with("org.example.") {
                kinds.lock().push(event.kind.to_string());
            }
            async {}
        })
        .on_alias(|ask: AliasAsk| async move { RoomPlan::public().name(&ask["topic"]) })
}

struct Office {
    service: LabService,
    alice: LabUser,
    room: RoomId,
    log: Log,
}

async fn office(lab: &Lab) -> Office {
    let log = Log::default();
    let service = lab.mount(clerk(&log)).await.unwrap();
    let alice = lab.user("alice").await.unwrap();
    let room = alice.join("#clerk_desk:localhost").await.unwrap();
    // The ghost is in the room from now on.
    alice.say(&room, "1").await.unwrap();
    lab.settle().await;
    assert_eq!(std::mem::take(&mut *log.lock()), ["text of 1"]);
    Office {
        service,
        alice,
        room,
        log,
    }
}

/// How many lines of the transcript have all of this.
async fn lines(lab: &Lab, parts: &[&str]) -> usize {
    let transcript = lab.transcript().await;
    let found = transcript
        .lines()
        .filter(|line| parts.iter().all(|part| line.contains(part)));
    found.count()
}

#[test]
fn a_fault_waits_until_the_service_is_up() {
    Lab::run(async |lab| {
        let Office {
            service,
            alice,
            room,
            log,
        } = office(&lab).await;
        service.crash();
        lab.faults().lose_next_ack(&service);
        alice.say(&room, "two").await.unwrap();
        // The host comes to a closed door for a while.
        lab.pass(Duration::from_secs(60)).await;
        assert_eq!(lab.faults().unused().len(), 1);
        service.start().await.unwrap();
        lab.settle().await;
        assert!(lab.faults().unused().is_empty());
        assert_eq!(lines(&lab, &["answer lost"]).await, 1);
        assert_eq!(*log.lock(), ["text of 3"]);
    });
}

#[test]
fn a_fault_waits_until_the_host_is_up() {
    Lab::run(async |lab| {
        let Office {
            service,
            alice,
            room,
            ..
        } = office(&lab).await;
        lab.stop_host().await.unwrap();
        let send = Fault::of_calls().put("/send/").lose_answer();
        lab.faults().plan(send);
        let ghost = service.running().ghosts().named("nod").unwrap();
        let sending = {
            let room = room.clone();
            tokio::spawn(async move { ghost.send(&room, "late").await })
        };
        lab.pass(Duration::from_secs(30)).await;
        assert_eq!(lab.faults().unused().len(), 1);
        lab.start_host().await.unwrap();
        sending.await.unwrap().unwrap();
        lab.settle().await;
        assert!(lab.faults().unused().is_empty());
        // It arrived, though nobody heard so, and is there once.
        let texts = alice.texts(&room).await.unwrap();
        assert_eq!(texts.iter().filter(|text| *text == "late").count(), 1);
    });
}

#[test]
fn half_a_transaction_and_a_late_acknowledgement_are_survived() {
    Lab::run(async |lab| {
        let Office {
            service,
            alice,
            room,
            log,
        } = office(&lab).await;
        lab.faults().cut_next_transaction(&service);
        alice.say(&room, "two").await.unwrap();
        lab.settle().await;
        assert_eq!(lines(&lab, &["request cut", ": 400"]).await, 1);
        assert_eq!(*log.lock(), ["text of 3"]);

        // Longer than any host waits for an answer: it comes again with what was taken.
        let late = Duration::from_secs(600);
        lab.faults().delay_ack(&service, late);
        let begun = lab.now_ms();
        alice.say(&room, "three").await.unwrap();
        alice.say(&room, "four").await.unwrap();
        lab.settle().await;
        assert!(lab.now_ms() - begun < 600_000, "the host hung up");
        assert!(lab.faults().unused().is_empty());
        assert_eq!(*log.lock(), ["text of 3", "text of 5", "text of 4"]);
        let texts = alice.texts(&room).await.unwrap();
        assert_eq!(texts.iter().filter(|text| *text == "noted").count(), 4);

        // Shorter: nothing comes again.
        lab.faults().delay_ack(&service, Duration::from_secs(5));
        let before = lines(&lab, &["host → clerk"]).await;
        alice
            .send(&room, "org.example.a", &json!({}))
            .await
            .unwrap();
        lab.settle().await;
        assert_eq!(lines(&lab, &["host → clerk"]).await, before + 1);
        let last = log.lock().last().cloned();
        assert_eq!(last.as_deref(), Some("org.example.a"));
    });
}

#[test]
fn a_limit_that_names_no_wait_is_waited_for() {
    Lab::run(async |lab| {
        let Office { alice, room, .. } = office(&lab).await;
        let limited = Fault::of_calls().put("/send/").times(3);
        lab.faults().plan(limited.answer_429(RetryAfter::Unsaid));
        let begun = lab.now_ms();
        alice.say(&room, "two").await.unwrap();
        alice
            .wait_for(&room, "the nod", |event| {
                event.text("body") == Some("noted") && event.sent_at_ms >= begun
            })
            .await
            .unwrap();
        lab.settle().await;
        assert!(lab.faults().unused().is_empty());
        let texts = alice.texts(&room).await.unwrap();
        assert_eq!(texts.iter().filter(|text| *text == "noted").count(), 2);
        let waited = lab.now_ms() - begun;
        // 1, 2 and 4 s, and not for ever.
        assert!((7_000..60_000).contains(&waited), "{waited} ms");
    });
}

#[test]
fn the_largest_events_and_types_that_nobody_knows_arrive() {
    Lab::run(async |lab| {
        let Office {
            service,
            alice,
            room,
            log,
        } = office(&lab).await;
        let length = largest(&alice, &room).await;
        lab.faults().lose_next_ack(&service);
        for number in 0..3 {
            alice.say(&room, &"x".repeat(length)).await.unwrap();
            let kind = format!("org.example.kind{number}");
            let odd = json!({ "body": null, "msgtype": [], "m.relates_to": 7 });
            alice.send(&room, &kind, &odd).await.unwrap();
        }
        lab.settle().await;
        let text = format!("text of {length}");
        let expected: Vec<String> = (0..3)
            .flat_map(|number| [text.clone(), format!("org.example.kind{number}")])
            .collect();
        let heard = log.lock().clone();
        assert_eq!(heard[heard.len() - 6..], expected);
        assert!(lab.faults().unused().is_empty());
        assert!(service.running().parked(0, 10).await.unwrap().is_empty());
    });
}

/// The length of the longest text that makes no event of more than 64 KiB, found by asking.
async fn largest(alice: &LabUser, room: &RoomId) -> usize {
    let (mut good, mut bad) = (1, 65_536);
    while bad - good > 1 {
        let middle = (good + bad) / 2;
        match alice.say(room, &"x".repeat(middle)).await {
            Ok(_) => good = middle,
            Err(error) => {
                assert_eq!(error.errcode(), Some("M_TOO_LARGE"));
                bad = middle;
            }
        }
    }
    assert!(good > 64_000, "{good}");
    good
}

/// Another homeserver is not asked whether it has something left: that it has follows from what it
/// could not bring.
#[test]
fn against_another_homeserver_a_lost_acknowledgement_is_settled_with_its_repeat() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let text = registration(&format!("http://127.0.0.1:{}", free_port().unwrap()));
    let server = runtime.block_on(async {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("echo.yaml");
        std::fs::write(&file, &text).unwrap();
        // As long as Synapse waits before it comes again.
        let settings = [("BRIDGEHEAD_APPSERVICES_BACKOFF_MIN_MS", "2000")];
        TestServer::start_in(folder, vec![file], &settings)
            .await
            .unwrap()
    });
    let options = LabOptions::default().against(&server.base_url(), "localhost");
    options.run(async |lab| {
        let place = lab.place(&text).await.unwrap();
        let echo = Echo::new(&place);
        place.serve(echo.clone()).await.unwrap();
        let alice = lab.user("alice").await.unwrap();
        let room = alice.create_room("lobby").await.unwrap();
        let bot = UserId::new("echo", lab.server_name()).unwrap();
        alice.invite(&room, &bot).await.unwrap();
        let joins = |event: &Event| {
            event.state_key.as_deref() == Some(bot.as_str())
                && event.content["membership"] == "join"
        };
        alice.wait_for(&room, "the echo", joins).await.unwrap();
        lab.settle().await;
        lab.faults().lose_next_ack(&place);
        alice.say(&room, "hi").await.unwrap();
        alice.hears(&room, "echo: hi").await.unwrap();
        lab.settle().await;
        let arrived = echo.transactions();
        let again = |txn: &&String| arrived.iter().filter(|other| other == txn).count() == 2;
        assert_eq!(arrived.iter().filter(again).count(), 2, "{arrived:?}");
    });
    runtime.block_on(server.stop());
}
