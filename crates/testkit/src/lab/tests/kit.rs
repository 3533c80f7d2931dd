//! Services made with the kit: handled once whatever goes wrong.

use std::{sync::Arc, time::Duration};

use bridgehead_appservice::prelude::*;
use parking_lot::Mutex;

use super::super::{Fault, Lab, LabOptions, RetryAfter};

/// Logs every message of rooms whose alias somebody asked for.
fn logger(log: &Arc<Mutex<Vec<String>>>) -> Service {
    let log = log.clone();
    Service::new("logger")
        .bot("logging")
        .aliases("#logged_{topic}")
        .on(move |text: Text| {
            log.lock().push(text.body.clone());
            async {}
        })
        .on_alias(|ask: AliasAsk| async move { RoomPlan::public().name(&ask["topic"]) })
}

/// A ghost that says again what it hears.
fn echo() -> Service {
    Service::new("echo")
        .bot("echobot")
        .users("_echo_{name}")
        .aliases("#echo_{topic}")
        .on(|text: Text, room: Room, ghosts: Ghosts| async move {
            let ghost = ghosts.named(text.sender_local())?;
            ghost.send(&room, text.body).await
        })
        .on_alias(|ask: AliasAsk| async move { RoomPlan::public().name(&ask["topic"]) })
}

#[test]
fn a_room_made_on_demand_is_logged_once_though_an_acknowledgement_is_lost() {
    let log = Arc::default();
    Lab::run(async |lab| {
        let service = lab.mount(logger(&log)).await.unwrap();
        let alice = lab.user("alice").await.unwrap();
        let room = alice.join("#logged_rust:localhost").await.unwrap();
        lab.settle().await;
        lab.faults().lose_next_ack(&service);
        alice.say(&room, "hi").await.unwrap();
        lab.settle().await;
        assert_eq!(*log.lock(), ["hi"]);
        assert!(lab.faults().unused().is_empty());

        lab.restart(&service).await.unwrap();
        lab.restart_host().await.unwrap();
        alice.say(&room, "again").await.unwrap();
        lab.settle().await;
        assert_eq!(*log.lock(), ["hi", "again"]);
        service.stop().await.unwrap();
        assert!(!service.is_up());
        service.start().await.unwrap();
        alice.say(&room, "at last").await.unwrap();
        lab.settle().await;
        assert_eq!(*log.lock(), ["hi", "again", "at last"]);
    });
}

#[test]
fn a_ghost_answers_once_whatever_becomes_of_its_calls() {
    for seed in 1..4 {
        LabOptions::default().seed(seed).run(async |lab| {
            lab.mount(echo()).await.unwrap();
            let alice = lab.user("alice").await.unwrap();
            let room = alice.join("#echo_room:localhost").await.unwrap();
            lab.settle().await;
            let faults = lab.faults();
            faults.answer_429_next(RetryAfter::InBody(Duration::from_secs(3)));
            faults.answer_5xx_next(2);
            faults.plan(Fault::of_calls().put("/send/").lose_answer());
            faults.plan(Fault::of_calls().put("/send/").cut_answer());
            alice.say(&room, "hello").await.unwrap();
            lab.settle().await;
            assert!(faults.unused().is_empty(), "{:?}", faults.unused());
            let transcript = lab.transcript().await;
            let texts = alice.texts(&room).await.unwrap();
            assert_eq!(texts, ["hello", "hello"], "{transcript}");
        });
    }
}

#[test]
fn a_service_that_dies_in_the_middle_goes_on_where_it_was() {
    Lab::run(async |lab| {
        let service = lab.mount(echo()).await.unwrap();
        let alice = lab.user("alice").await.unwrap();
        let room = alice.join("#echo_room:localhost").await.unwrap();
        lab.settle().await;
        // The host has done what the service never hears of.
        let slow = Fault::of_calls().delay_answer(Duration::from_millis(6));
        lab.faults().plan(slow.times(1_000));
        for number in 0..10 {
            alice.say(&room, &number.to_string()).await.unwrap();
            lab.pass(Duration::from_millis(3 * number)).await;
            lab.restart(&service).await.unwrap();
        }
        lab.settle().await;
        let transcript = lab.transcript().await;
        assert!(
            transcript.contains(": given up (answer 6ms late)"),
            "{transcript}"
        );
        let mut texts = alice.texts(&room).await.unwrap();
        texts.sort();
        let twice: Vec<_> = (0..10)
            .flat_map(|n| [n.to_string(), n.to_string()])
            .collect();
        assert_eq!(texts, twice, "{transcript}");
    });
}

#[test]
fn a_seed_repeats_a_run_with_faults_and_crashes() {
    let run = |seed| {
        LabOptions::default().seed(seed).run(async |lab| {
            let echo = lab.mount(echo()).await.unwrap();
            lab.mount(logger(&Arc::default())).await.unwrap();
            let (alice, bob) = (
                lab.user("alice").await.unwrap(),
                lab.user("bob").await.unwrap(),
            );
            let room = alice.join("#echo_room:localhost").await.unwrap();
            let logged = bob.join("#logged_rust:localhost").await.unwrap();
            lab.faults().answer_5xx_next(3);
            for number in 0..5 {
                alice.say(&room, &format!("a{number}")).await.unwrap();
                bob.say(&logged, &format!("b{number}")).await.unwrap();
                lab.pass(Duration::from_millis(number * 7)).await;
                lab.restart(&echo).await.unwrap();
            }
            lab.settle().await;
            (lab.now_ms(), lab.transcript().await)
        })
    };
    let first = run(11);
    assert_eq!(first, run(11));
    println!("{}", first.1);
}
