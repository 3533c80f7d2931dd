//! What services do, whatever the homeserver.

use std::{sync::Arc, time::Duration};

use anyhow::ensure;
use bridgehead_appservice::prelude::*;
use bridgehead_testkit::lab::{Fault, Lab, LabService, LabUser, RetryAfter};
use serde_json::json;

use super::Play;

scenarios! {
    a_room_is_made_on_demand: logger("lazy");
    an_alias_that_nobody_wants_is_not_there: logger("picky");
    a_lost_acknowledgement_is_no_second_handling: counter("counter");
    a_doubled_transaction_is_handled_once: counter("doubled");
    a_ghost_answers: echo("repeater");
    a_send_whose_answer_was_lost_is_there_once: echo("lost");
    a_rate_limit_is_waited_for: echo("limited");
    a_homeserver_that_fails_for_a_while_is_waited_for: echo("failing");
    a_crash_in_between_loses_nothing: echo("crashing");
    what_cannot_be_handled_is_parked: moody("moody");
    a_no_is_told_to_the_sender: strict("strict");
}

/// Notes what it hears, and makes rooms but `#<name>_secret`.
fn logger(name: &'static str) -> Service {
    Service::new(name)
        .bot(&format!("{name}bot"))
        .aliases(&format!("#{name}_{{topic}}"))
        .migrations(&[NOTES])
        .on(|event: Timeline, tx: Tx| async move {
            note(&tx, event.text("body").unwrap_or(&event.kind));
        })
        .on_alias(|ask: AliasAsk| async move {
            (&ask["topic"] != "secret").then(|| RoomPlan::public().name(&ask["topic"]))
        })
}

const NOTES: bridgehead_appservice::store::Migration = bridgehead_appservice::store::Migration {
    name: "notes",
    sql: "CREATE TABLE notes (number INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT NOT NULL)",
};

fn note(tx: &Tx, text: &str) {
    tx.execute("INSERT INTO notes (text) VALUES (?1)", [text.into()]);
}

/// Notes texts.
fn counter(name: &'static str) -> Service {
    Service::new(name)
        .bot(&format!("{name}bot"))
        .migrations(&[NOTES])
        .on(|text: Text, tx: Tx| async move { note(&tx, &text.body) })
}

/// A ghost of everybody's repeats what they say.
fn echo(name: &'static str) -> Service {
    Service::new(name)
        .bot(&format!("{name}bot"))
        .users(&format!("_{name}_{{name}}"))
        .on(|text: Text, room: Room, ghosts: Ghosts| async move {
            ghosts
                .named("one")?
                .send(&room, format!("echo of {}", text.body))
                .await
        })
}

/// Fails with what is bad.
fn moody(name: &'static str) -> Service {
    Service::new(name)
        .bot(&format!("{name}bot"))
        .migrations(&[NOTES])
        .limits(|limits| {
            limits.attempts = 3;
            limits.first_retry = Duration::from_millis(20);
        })
        .on(|text: Text, tx: Tx| async move {
            note(&tx, &text.body);
            if text.body == "bad" {
                Err(HandlerError::new("no"))
            } else {
                Ok(())
            }
        })
}

/// Rejects everything.
fn strict(name: &'static str) -> Service {
    Service::new(name)
        .bot(&format!("{name}bot"))
        .on(|_: Text| async { Verdict::Reject("the other side is closed".to_owned()) })
}

/// A room with alice and the service's own user.
async fn room_of(lab: &Lab, service: &LabService) -> anyhow::Result<(LabUser, RoomId)> {
    // The service's own user is there once it has registered.
    lab.settle().await;
    let alice = lab.user("alice").await?;
    let room = alice.create_room("lobby").await?;
    alice.invite(&room, service.running().bot_id()).await?;
    service.running().bot().join(&room).await?;
    Ok((alice, room))
}

async fn notes(service: &LabService) -> anyhow::Result<Vec<String>> {
    let rows = service
        .running()
        .store()
        .query("SELECT text FROM notes ORDER BY number", [])
        .await?;
    Ok(rows
        .iter()
        .filter_map(|row| row.text(0).map(str::to_owned))
        .collect())
}

fn count(texts: &[String], wanted: &str) -> usize {
    texts.iter().filter(|text| *text == wanted).count()
}

async fn a_room_is_made_on_demand(Play { lab, service, .. }: Play) -> anyhow::Result<()> {
    let service = lab.mount(service).await?;
    lab.settle().await;
    let alice = lab.user("alice").await?;
    let room = alice
        .join(format!("#lazy_rust:{}", lab.server_name()))
        .await?;
    alice.say(&room, "hello").await?;
    wait_for_note(&lab, &service, "hello").await?;
    let notes = notes(&service).await?;
    ensure!(
        notes.first().map(String::as_str) == Some("m.room.create"),
        "{notes:?}"
    );
    ensure!(count(&notes, "hello") == 1, "{notes:?}");
    Ok(())
}

async fn an_alias_that_nobody_wants_is_not_there(
    Play { lab, service, .. }: Play,
) -> anyhow::Result<()> {
    let _service = lab.mount(service).await?;
    lab.settle().await;
    let alice = lab.user("alice").await?;
    let joined = alice
        .join(format!("#picky_secret:{}", lab.server_name()))
        .await;
    ensure!(joined.is_err(), "the room is there: {joined:?}");
    Ok(())
}

async fn a_lost_acknowledgement_is_no_second_handling(
    Play { lab, service, .. }: Play,
) -> anyhow::Result<()> {
    let service = lab.mount(service).await?;
    let (alice, room) = room_of(&lab, &service).await?;
    lab.settle().await;
    lab.faults().lose_next_ack(&service);
    alice.say(&room, "hi").await?;
    lab.settle().await;
    alice.say(&room, "and again").await?;
    wait_for_note(&lab, &service, "and again").await?;
    ensure!(lab.faults().unused().is_empty());
    ensure!(
        notes(&service).await? == ["hi", "and again"],
        "{:?}",
        notes(&service).await?
    );
    Ok(())
}

/// Homeservers differ in how soon they come back after a failure; ours says so, others are waited for.
async fn wait_for_note(lab: &Lab, service: &LabService, wanted: &str) -> anyhow::Result<()> {
    for _ in 0..60 {
        lab.settle().await;
        if count(&notes(service).await?, wanted) > 0 {
            return Ok(());
        }
        lab.pass(Duration::from_millis(500)).await;
    }
    anyhow::bail!("`{wanted}` was never noted: {:?}", notes(service).await?)
}

async fn a_doubled_transaction_is_handled_once(
    Play { lab, service, .. }: Play,
) -> anyhow::Result<()> {
    let service = lab.mount(service).await?;
    let (alice, room) = room_of(&lab, &service).await?;
    lab.settle().await;
    lab.faults().double_next_transaction(&service);
    alice.say(&room, "hi").await?;
    wait_for_note(&lab, &service, "hi").await?;
    lab.settle().await;
    ensure!(lab.faults().unused().is_empty());
    ensure!(notes(&service).await? == ["hi"]);
    Ok(())
}

async fn a_ghost_answers(Play { lab, service, .. }: Play) -> anyhow::Result<()> {
    let service = lab.mount(service).await?;
    let (alice, room) = room_of(&lab, &service).await?;
    alice.say(&room, "hi").await?;
    let answer = alice.hears(&room, "echo of hi").await?;
    ensure!(answer.sender.localpart() == "_repeater_one");
    lab.settle().await;
    ensure!(count(&alice.texts(&room).await?, "echo of hi") == 1);
    Ok(())
}

async fn a_send_whose_answer_was_lost_is_there_once(
    Play { lab, service, .. }: Play,
) -> anyhow::Result<()> {
    let service = lab.mount(service).await?;
    let (alice, room) = room_of(&lab, &service).await?;
    lab.settle().await;
    lab.faults()
        .plan(Fault::of_calls().put("/send/").lose_answer().times(2));
    alice.say(&room, "hi").await?;
    alice.hears(&room, "echo of hi").await?;
    lab.settle().await;
    ensure!(lab.faults().unused().is_empty());
    ensure!(count(&alice.texts(&room).await?, "echo of hi") == 1);
    Ok(())
}

async fn a_rate_limit_is_waited_for(Play { lab, service, .. }: Play) -> anyhow::Result<()> {
    let service = lab.mount(service).await?;
    let (alice, room) = room_of(&lab, &service).await?;
    lab.settle().await;
    lab.faults()
        .answer_429_next(RetryAfter::InBody(Duration::from_millis(300)));
    let begun = lab.now_ms();
    alice.say(&room, "hi").await?;
    alice.hears(&room, "echo of hi").await?;
    let waited = lab.now_ms() - begun;
    ensure!(waited >= 300, "{waited} ms");
    lab.settle().await;
    ensure!(lab.faults().unused().is_empty());
    ensure!(count(&alice.texts(&room).await?, "echo of hi") == 1);
    Ok(())
}

async fn a_homeserver_that_fails_for_a_while_is_waited_for(
    Play { lab, service, .. }: Play,
) -> anyhow::Result<()> {
    let service = lab.mount(service).await?;
    let (alice, room) = room_of(&lab, &service).await?;
    lab.settle().await;
    lab.faults().answer_5xx_next(3);
    alice.say(&room, "hi").await?;
    alice.hears(&room, "echo of hi").await?;
    lab.settle().await;
    ensure!(lab.faults().unused().is_empty());
    ensure!(count(&alice.texts(&room).await?, "echo of hi") == 1);
    Ok(())
}

async fn a_crash_in_between_loses_nothing(Play { lab, service, .. }: Play) -> anyhow::Result<()> {
    let service = lab.mount(service).await?;
    let (alice, room) = room_of(&lab, &service).await?;
    lab.settle().await;
    // The echo is on its way when the service dies; its answer never arrives.
    lab.faults()
        .plan(Fault::of_calls().put("/send/").lose_answer());
    alice.say(&room, "hi").await?;
    alice.hears(&room, "echo of hi").await?;
    lab.restart(&service).await?;
    lab.settle().await;
    ensure!(
        count(&alice.texts(&room).await?, "echo of hi") == 1,
        "{:?}",
        alice.texts(&room).await?
    );
    alice.say(&room, "still there?").await?;
    alice.hears(&room, "echo of still there?").await?;
    Ok(())
}

async fn what_cannot_be_handled_is_parked(Play { lab, service, .. }: Play) -> anyhow::Result<()> {
    let service = lab.mount(service).await?;
    let (alice, room) = room_of(&lab, &service).await?;
    alice.say(&room, "good").await?;
    alice.say(&room, "bad").await?;
    alice.say(&room, "also good").await?;
    wait_for_note(&lab, &service, "also good").await?;
    lab.settle().await;
    ensure!(
        notes(&service).await? == ["good", "also good"],
        "{:?}",
        notes(&service).await?
    );
    let parked = service.running().parked(0, 10).await?;
    ensure!(
        parked.len() == 1 && parked[0].attempts == 3 && &*parked[0].error == "no",
        "{parked:?}"
    );
    ensure!(service.running().drop_parked(parked[0].number).await?);
    Ok(())
}

async fn a_no_is_told_to_the_sender(Play { lab, service, .. }: Play) -> anyhow::Result<()> {
    let service = lab.mount(service).await?;
    let (alice, room) = room_of(&lab, &service).await?;
    let said = alice.say(&room, "hello?").await?;
    let status = alice
        .wait_for(&room, "a status", |event| {
            event.kind == "com.beeper.message_send_status"
        })
        .await?;
    ensure!(status.content["m.relates_to"]["event_id"] == json!(said));
    ensure!(status.content["message"] == "the other side is closed");
    let _: Arc<_> = service.running();
    Ok(())
}
