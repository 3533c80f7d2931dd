//! What is made and sent once, though nobody heard that it was: on our homeserver, and on Synapse.

use std::time::Duration;

use bridgehead_appservice::prelude::*;
use bridgehead_testkit::{
    SERVER_NAME, Synapse, free_port,
    lab::{Fault, Lab, LabOptions, LabUser, registration_for},
};
use http::{Method, StatusCode};
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Makes a room for each message, and says which.
fn maker() -> Service {
    Service::new("maker")
        .bot("makerbot")
        .users("_maker_{name}")
        .limits(|limits| limits.first_retry = Duration::from_millis(50))
        .on(|_: Text, room: Room| async move {
            let made = room.bot().create_room(RoomPlan::private()).await?;
            room.bot().send(&room, format!("made {}", made.id)).await?;
            Ok::<_, HandlerError>(())
        })
}

/// Waits until so many rooms were told of, and nothing is left to do.
async fn told(
    lab: &Lab,
    alice: &LabUser,
    hall: &RoomId,
    count: usize,
) -> anyhow::Result<Vec<String>> {
    for _ in 0..1200 {
        let said = alice.timeline(hall).await?;
        let told = said.iter().filter_map(|event| event.text("body"));
        let told = told.filter(|body| body.starts_with("made !"));
        let told: Vec<String> = told.map(str::to_owned).collect();
        if told.len() >= count {
            lab.settle().await;
            return Ok(told);
        }
        lab.pass(Duration::from_millis(100)).await;
    }
    anyhow::bail!("waited in vain for {count} rooms")
}

async fn play(lab: Lab) -> anyhow::Result<()> {
    let service = lab.mount(maker()).await?;
    // The service's own user is there once it has registered.
    lab.settle().await;
    let alice = lab.user("alice").await?;
    let hall = alice.create_room("hall").await?;
    alice.invite(&hall, service.running().bot_id()).await?;
    service.running().bot().join(&hall).await?;
    lab.settle().await;
    let making = |method| Fault::of_calls().on(method, "/createRoom");

    // It is asked again, or found.
    lab.faults().plan(making(Method::PUT).lose_answer());
    alice.say(&hall, "one").await?;
    told(&lab, &alice, &hall, 1).await?;
    anyhow::ensure!(lab.faults().unused().is_empty(), "answers were lost");
    let rooms = service.running().bot().rooms().await?.len();
    anyhow::ensure!(rooms == 2, "{rooms} rooms, and not the hall and another");

    // One that knows no transaction ids here: the room tells.
    let page = making(Method::PUT).answer_status(StatusCode::NOT_FOUND);
    lab.faults().plan(page);
    lab.faults().plan(making(Method::POST).lose_answer());
    alice.say(&hall, "two").await?;
    let told = told(&lab, &alice, &hall, 2).await?;
    anyhow::ensure!(lab.faults().unused().is_empty(), "an answer was lost");
    let rooms = service.running().bot().rooms().await?.len();
    anyhow::ensure!(rooms == 3, "{rooms} rooms, and not one for each message");
    anyhow::ensure!(told[0] != told[1], "{told:?}");
    Ok(())
}

/// The answer to a send is lost, and the homeserver restarts before it is tried again.
async fn lose_and_restart(
    lab: Lab,
    restart: impl AsyncFnOnce(&Lab) -> anyhow::Result<()>,
) -> anyhow::Result<usize> {
    let service = lab.mount(maker()).await?;
    lab.settle().await;
    let alice = lab.user("alice").await?;
    let hall = alice
        .create_room_with(&json!({ "preset": "public_chat" }))
        .await?;
    let ghost = service.running().ghosts().named("ann")?;
    ghost.send(&hall, "first").await?;
    let send = || Fault::of_calls().put("/send/");
    lab.faults().plan(send().lose_answer());
    lab.faults().plan(send().lose_request().times(10_000));
    let restarted = async {
        while lab.faults().unused().len() > 1 {
            lab.pass(Duration::from_millis(5)).await;
        }
        restart(&lab).await?;
        lab.faults().clear();
        anyhow::Ok(())
    };
    let (sent, restarted) = tokio::join!(ghost.send(&hall, "once"), restarted);
    restarted?;
    let event = sent?;
    lab.settle().await;
    let said = alice.timeline(&hall).await?;
    anyhow::ensure!(said.iter().any(|said| said.id == event));
    Ok(said
        .iter()
        .filter(|event| event.text("body") == Some("once"))
        .count())
}

#[test]
fn a_send_is_there_once_after_a_restart_of_our_homeserver() -> anyhow::Result<()> {
    let count =
        Lab::run(async |lab| lose_and_restart(lab, async |lab| lab.restart_host().await).await)?;
    anyhow::ensure!(count == 1, "it is there {count} times");
    Ok(())
}

#[test]
fn a_send_is_there_once_after_a_restart_of_synapse() -> anyhow::Result<()> {
    let (_at, text, mut synapse) = start_synapse()?;
    let count = LabOptions::default()
        .against(&synapse.base_url(), SERVER_NAME)
        .registration(&text)
        .run(async |lab| {
            lose_and_restart(lab, async |_: &Lab| {
                synapse.terminate().await?;
                synapse.restart().await
            })
            .await
        })?;
    anyhow::ensure!(count == 1, "it is there {count} times");
    Ok(())
}

/// A Synapse that knows the service, and the text of its registration; first what both need.
fn start_synapse() -> anyhow::Result<((Runtime, TempDir), String, Synapse)> {
    let folder = TempDir::new()?;
    let url = format!("http://127.0.0.1:{}", free_port()?);
    let text = registration_for(&maker(), &url, SERVER_NAME, 1)?;
    let file = folder.path().join("maker.yaml");
    std::fs::write(&file, &text)?;
    let runtime = Runtime::new()?;
    let synapse = runtime.block_on(Synapse::start(&[file]))?;
    Ok(((runtime, folder), text, synapse))
}

#[test]
fn rooms_are_made_once_on_our_homeserver() -> anyhow::Result<()> {
    Lab::run(play)
}

#[test]
fn rooms_are_made_once_on_synapse() -> anyhow::Result<()> {
    let (_at, text, synapse) = start_synapse()?;
    LabOptions::default()
        .against(&synapse.base_url(), SERVER_NAME)
        .registration(&text)
        .run(play)
}
