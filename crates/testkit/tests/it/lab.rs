//! The same test of a service made with the kit: the homeserver in the process, ours over HTTP, and
//! Synapse.

#![expect(
    clippy::unwrap_used,
    reason = "a failed step of a test's helper fails the test"
)]

use std::{path::PathBuf, sync::Arc, time::Duration};

use bridgehead_appservice::prelude::*;
use bridgehead_testkit::{
    SERVER_NAME, Synapse, TestServer, free_port,
    lab::{Fault, Lab, LabOptions, RetryAfter, registration_for},
};
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

type Log = Arc<Mutex<Vec<String>>>;

/// Logs what is said in rooms that it makes when somebody asks for them, and has a ghost say it
/// again.
fn parrot(log: &Log) -> Service {
    let log = log.clone();
    Service::new("parrot")
        .bot("parrotbot")
        .users("_parrot_{name}")
        .aliases("#parrot_{topic}")
        .on(move |text: Text, room: Room, ghosts: Ghosts| {
            log.lock().push(text.body.clone());
            async move {
                let ghost = ghosts.named("polly")?;
                ghost.send(&room, format!("{}!", text.body)).await
            }
        })
        .on_alias(|ask: AliasAsk| async move { RoomPlan::public().name(&ask["topic"]) })
}

/// The test.
async fn is_heard_and_answered_once(lab: Lab) {
    let log = Log::default();
    let service = lab.mount(parrot(&log)).await.unwrap();
    let alice = lab.user("alice").await.unwrap();
    let alias = format!("#parrot_rust:{}", lab.server_name());
    let room = alice.join(&alias).await.unwrap();
    alice.say(&room, "one").await.unwrap();
    alice.hears(&room, "one!").await.unwrap();
    lab.settle().await;

    let faults = lab.faults();
    faults.lose_next_ack(&service);
    faults.answer_429_next(RetryAfter::InBody(Duration::from_millis(50)));
    faults.plan(Fault::of_calls().put("/send/").lose_answer());
    alice.say(&room, "two").await.unwrap();
    alice.hears(&room, "two!").await.unwrap();
    lab.settle().await;
    assert!(faults.unused().is_empty(), "{:?}", faults.unused());

    lab.restart(&service).await.unwrap();
    alice.say(&room, "three").await.unwrap();
    alice.hears(&room, "three!").await.unwrap();
    lab.settle().await;
    let mut texts = alice.texts(&room).await.unwrap();
    texts.sort();
    let transcript = lab.transcript().await;
    let once = ["one", "one!", "three", "three!", "two", "two!"];
    assert_eq!(texts, once, "{transcript}");
    assert_eq!(*log.lock(), ["one", "two", "three"], "{transcript}");
    service.stop().await.unwrap();
}

#[test]
fn in_the_process() {
    Lab::run(is_heard_and_answered_once);
}

#[test]
fn over_http() {
    let (folder, files, options) = registered();
    let runtime = runtime();
    let starting = TestServer::start_in(folder, files, &[]);
    let server = runtime.block_on(starting).unwrap();
    let options = options.against(&server.base_url(), SERVER_NAME);
    options.run(is_heard_and_answered_once);
    runtime.block_on(server.stop());
}

#[test]
fn on_synapse() {
    let (_folder, files, options) = registered();
    let runtime = runtime();
    let synapse = runtime.block_on(Synapse::start(&files)).unwrap();
    let options = options.against(&synapse.base_url(), SERVER_NAME);
    options.run(is_heard_and_answered_once);
}

/// The parrot's registration, in a file for a homeserver and in a lab's options.
fn registered() -> (TempDir, Vec<PathBuf>, LabOptions) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("parrot.yaml");
    let url = format!("http://127.0.0.1:{}", free_port().unwrap());
    let text = registration_for(&parrot(&Log::default()), &url, SERVER_NAME, 1).unwrap();
    std::fs::write(&file, &text).unwrap();
    let options = LabOptions::default().registration(&text);
    (folder, vec![file], options)
}

/// Where the other homeserver lives, or is looked after, while the lab runs.
fn runtime() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}
