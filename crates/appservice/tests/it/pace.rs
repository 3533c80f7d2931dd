//! How fast it goes: limits that are obeyed, waits that grow, what goes first, and what waits outside.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use bridgehead_appservice::{
    SendOptions, Urgency,
    prelude::*,
    registration::{Generated, RegistrationDraft},
};
use bridgehead_testkit::lab::{Fault, Lab, LabOptions, LabService, LabUser, RetryAfter};
use futures_util::future::try_join_all;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::harness::generate_changed;

fn pacer() -> Service {
    Service::new("pacer").bot("pacerbot").users("_pace_{name}")
}

/// A service, alice, and a room of hers with the service's own user in it.
async fn begin(lab: &Lab, service: Service) -> anyhow::Result<(LabService, LabUser, RoomId)> {
    let service = lab.mount(service).await?;
    lab.settle().await;
    let alice = lab.user("alice").await?;
    let room = alice.create_room("track").await?;
    alice.invite(&room, service.running().bot_id()).await?;
    service.running().bot().join(&room).await?;
    lab.settle().await;
    Ok((service, alice, room))
}

/// How many lines of the transcript have all of this.
async fn lines(lab: &Lab, parts: &[&str]) -> usize {
    let transcript = lab.transcript().await;
    let found = transcript
        .lines()
        .filter(|line| parts.iter().all(|part| line.contains(part)));
    found.count()
}

/// How long a ghost's send takes that is limited twice in this way.
async fn limited_twice(lab: Lab, after: RetryAfter) -> anyhow::Result<Duration> {
    let (service, alice, room) = begin(&lab, pacer()).await?;
    let ghost = service.running().ghosts().named("ann")?;
    ghost.send(&room, "warm").await?;
    lab.settle().await;
    let limited = Fault::of_calls().put("/send/").times(2);
    lab.faults().plan(limited.answer_429(after));
    let begun = lab.now_ms();
    ghost.send(&room, "hello").await?;
    let took = lab.now_ms() - begun;
    ensure!(lab.faults().unused().is_empty());
    // It was asked three times, under one id.
    ensure!(lines(&lab, &["PUT", "/send/", "hello"]).await == 3);
    ensure!(alice.texts(&room).await? == ["warm", "hello"]);
    Ok(Duration::from_millis(u64::try_from(took)?))
}

#[test]
fn a_limit_is_obeyed_however_it_says_when_to_come_again() -> anyhow::Result<()> {
    let seconds = Duration::from_secs;
    for (after, least, most) in [
        (RetryAfter::InBody(seconds(7)), seconds(14), seconds(17)),
        (RetryAfter::InHeader(seconds(11)), seconds(22), seconds(27)),
        // A second, then two.
        (RetryAfter::Unsaid, seconds(3), seconds(9)),
    ] {
        let took = Lab::run(async |lab| limited_twice(lab, after).await)?;
        ensure!((least..most).contains(&took), "{after:?}: {took:?}");
    }
    Ok(())
}

/// A registration that wants the service's ghosts limited as people are.
fn limited(service: &Service) -> anyhow::Result<Generated> {
    let wanted = |draft: &mut RegistrationDraft| draft.rate_limited = true;
    generate_changed(service, Some("http://pacer.lab"), wanted)
}

#[test]
fn a_hosts_own_limits_hold_up_nothing_but_time() -> anyhow::Result<()> {
    const GHOSTS: usize = 4;
    const EACH: usize = 40;
    let registration = limited(&pacer())?;
    let options = LabOptions::default().rate_limits();
    let options = options.registration(registration.text.expose());
    options.run(async |lab| {
        let (service, alice, room) = begin(&lab, pacer()).await?;
        let ghosts = service.running().ghosts();
        let begun = lab.now_ms();
        let talkers = (0..GHOSTS).map(|ghost| ghosts.named(&format!("g{ghost}")));
        let talkers = talkers.collect::<Result<Vec<_>, _>>()?;
        let sends = (0..EACH).flat_map(|n| {
            let room = &room;
            let talkers = talkers.iter().enumerate();
            talkers.map(move |(ghost, talker)| talker.send(room, format!("{ghost}: {n}")))
        });
        try_join_all(sends).await?;
        lab.settle().await;
        // The room has one order, though each ghost is limited for itself.
        let expected =
            (0..EACH).flat_map(|n| (0..GHOSTS).map(move |ghost| format!("{ghost}: {n}")));
        let expected: Vec<String> = expected.collect();
        let said = alice.texts(&room).await?;
        ensure!(said == expected, "{said:?}");
        let least_s = (EACH as i64 - 10) * 5;
        let took_s = (lab.now_ms() - begun) / 1000;
        let refused = lines(&lab, &["PUT", "/send/", ": 429"]).await;
        // 10 at once and then one each 5 s: the host does limit, and little time and asking is wasted on it.
        ensure!(
            (least_s..least_s * 3 / 2).contains(&took_s) && (1..GHOSTS * 4).contains(&refused),
            "{took_s} s where {least_s} s are needed, {refused} refusals"
        );
        Ok(())
    })
}

/// What somebody has said in a room, oldest first.
async fn said_by(alice: &LabUser, room: &RoomId, sender: &str) -> anyhow::Result<Vec<String>> {
    let events = alice.timeline(room).await?;
    let said = events
        .iter()
        .filter(|event| event.kind == "m.room.message" && event.sender.localpart() == sender);
    Ok(said
        .filter_map(|event| event.text("body").map(str::to_owned))
        .collect())
}

#[test]
fn a_full_inbox_leaves_the_rest_with_the_host_and_nothing_is_lost() -> anyhow::Result<()> {
    const SAID: usize = 60;
    let (log, gate) = (
        Arc::new(Mutex::new(Vec::new())),
        Arc::new(Semaphore::new(0)),
    );
    let (heard, waits) = (log.clone(), gate.clone());
    let service = pacer()
        .limits(|limits| limits.inbox_high_water = 5)
        .on(move |text: Text| {
            let (log, gate) = (heard.clone(), waits.clone());
            async move {
                gate.acquire().await.expect("never closed").forget();
                log.lock().push(text.body);
            }
        });
    // Small transactions: what comes in one is taken as a whole.
    let options =
        LabOptions::default().setting("BRIDGEHEAD_APPSERVICES_MAX_TRANSACTION_EVENTS", "4");
    options.run(async |lab| {
        let (service, alice, room) = begin(&lab, service).await?;
        for n in 0..SAID {
            alice.say(&room, &n.to_string()).await?;
        }
        // Handlers may take five minutes; the host comes again and again for four.
        lab.pass(Duration::from_secs(240)).await;
        let refused = lines(&lab, &["host → pacer", ": 503"]).await;
        ensure!((4..60).contains(&refused), "{refused} refusals");
        let depth = service.running().inbox_depth();
        ensure!((5..5 + 4).contains(&depth), "{depth} wait inside");
        ensure!(log.lock().is_empty());
        gate.add_permits(SAID);
        lab.settle().await;
        let expected: Vec<String> = (0..SAID).map(|n| n.to_string()).collect();
        ensure!(*log.lock() == expected, "{:?}", log.lock());
        ensure!(service.running().parked(0, 1).await?.is_empty());
        Ok(())
    })
}

/// Calls of the service to the host since `before`, in the order of their ends.
async fn calls_since(lab: &Lab, before: usize) -> Vec<String> {
    let transcript = lab.transcript().await;
    let calls = transcript
        .lines()
        .filter(|line| line.contains("pacer → host"));
    calls.skip(before).map(str::to_owned).collect()
}

/// The first call whose line has this.
fn place(calls: &[String], what: &str) -> anyhow::Result<usize> {
    let found = calls.iter().position(|call| call.contains(what));
    found.with_context(|| format!("no {what} in {calls:#?}"))
}

#[test]
fn a_message_passes_profiles_and_history_of_other_rooms() -> anyhow::Result<()> {
    const OTHERS: usize = 30;
    const HISTORY: usize = 20;
    const ROOMS: usize = 3;
    let service = pacer().limits(|limits| limits.send_concurrency = 2);
    Lab::run(async |lab| {
        let (service, alice, room) = begin(&lab, service).await?;
        let running = service.running();
        let ghosts = running.ghosts();
        let speaker = ghosts.named("speaker")?;
        speaker.send(&room, "here").await?;
        let mut old = Vec::new();
        for _ in 0..ROOMS {
            old.push(running.bot().create_room(RoomPlan::public()).await?.id);
        }
        for id in &old {
            speaker.send(id, "here").await?;
        }
        let others = (0..OTHERS).map(|n| ghosts.named(&format!("n{n}")));
        let others = others.collect::<Result<Vec<_>, _>>()?;
        try_join_all(
            others
                .iter()
                .map(|ghost| ghost.set_profile(Some("Nobody"), None)),
        )
        .await?;
        lab.settle().await;
        let before = calls_since(&lab, 0).await.len();

        // Each call takes a second from now on.
        let slow = Fault::of_calls().delay_answer(Duration::from_secs(1));
        lab.faults().plan(slow.times(5000));
        let profiles = try_join_all(others.iter().enumerate().map(|(n, ghost)| async move {
            ghost.set_profile(Some(&format!("Number {n}")), None).await
        }));
        let history = try_join_all(old.iter().flat_map(|room| {
            let speaker = &speaker;
            (0..HISTORY).map(move |n| {
                let old = SendOptions::new()
                    .at(1_000_000 + n as i64)
                    .urgency(Urgency::Backfill);
                speaker.send_with(room, format!("history {n}"), old)
            })
        }));
        let message = async {
            lab.pass(Duration::from_millis(1500)).await;
            let begun = lab.now_ms();
            speaker.send(&room, "urgent").await?;
            Ok::<_, Error>(lab.now_ms() - begun)
        };
        let (_, _, waited) = tokio::try_join!(profiles, history, message)?;
        lab.faults().clear();
        lab.settle().await;
        // What is under way ends first, then it is its turn.
        ensure!(waited <= 3_000, "it waited {waited} ms");
        let calls = calls_since(&lab, before).await;
        let urgent = place(&calls, "urgent")?;
        ensure!(urgent < 15, "{urgent} calls went before: {calls:#?}");
        // Nothing else was lost for it, and history has its order.
        for room in &old {
            alice.join(room.as_str()).await?;
            let said = said_by(&alice, room, "_pace_speaker").await?;
            let expected = (0..HISTORY).map(|n| format!("history {n}"));
            let expected: Vec<String> =
                std::iter::once("here".to_owned()).chain(expected).collect();
            ensure!(said == expected, "{said:?}");
        }
        Ok(())
    })
}
