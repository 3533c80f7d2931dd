//! Every example does what it says, whatever the homeserver.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use bridgehead_appservice::{
    Event, Secret,
    id::{RoomId, UserId},
};
use bridgehead_testkit::lab::{Lab, LabService, LabUser};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use serde_json::{Value, json};

use super::{Play, comes_to};

#[path = "../../../examples/clubs.rs"]
#[expect(dead_code, reason = "its main is another program's")]
mod clubs;
#[path = "../../../examples/echo.rs"]
#[expect(dead_code, reason = "its main is another program's")]
mod echo;
#[path = "../../../examples/search.rs"]
#[expect(dead_code, reason = "its main is another program's")]
mod search;
#[path = "../../../examples/standup_bot.rs"]
#[expect(dead_code, reason = "its main is another program's")]
mod standup_bot;
#[path = "../../../examples/webhook.rs"]
#[expect(dead_code, reason = "its main is another program's")]
mod webhook;

const SECRET: &str = "a secret of the caller's";

scenarios! {
    the_echo_answers: echo::service();
    a_repeated_post_says_nothing_twice: webhook::service(secret());
    the_search_finds_what_was_said_where_it_never_was: search::service(secret());
    the_standup_bot_knows_commands_votes_and_who_is_silent: standup_bot::service();
    a_club_greets_everybody_once_and_other_rooms_are_no_clubs: clubs::service();
}

fn secret() -> Secret {
    Secret::new(SECRET.to_owned())
}

/// A room of this person's that the service's bot has joined because it was invited.
async fn room_with(service: &LabService, person: &LabUser) -> anyhow::Result<RoomId> {
    let bot = service.running().bot_id().clone();
    let room = person.create_room("hall").await?;
    person.invite(&room, &bot).await?;
    let comes = |event: &Event| {
        event.state_key.as_deref() == Some(bot.as_str()) && event.text("membership") == Some("join")
    };
    person
        .wait_for(&room, "the bot, which comes when it is invited", comes)
        .await?;
    Ok(room)
}

/// Asks one of the service's own routes; gives back status and answer (`Null` when it is no JSON).
async fn ask(
    service: &LabService,
    request: http::request::Builder,
    body: &Value,
) -> anyhow::Result<(StatusCode, Value)> {
    let body = match body {
        Value::Null => Bytes::new(),
        body => Bytes::from(body.to_string()),
    };
    let request = request
        .header(header::CONTENT_TYPE, "application/json")
        .body(body)?;
    let answer = service.running().call(request).await;
    let json = serde_json::from_slice(answer.body()).unwrap_or_default();
    Ok((answer.status(), json))
}

fn bearer(request: http::request::Builder, secret: &str) -> http::request::Builder {
    request.header(header::AUTHORIZATION, format!("Bearer {secret}"))
}

async fn the_echo_answers(play: Play) -> anyhow::Result<()> {
    echo_answers(play.lab).await
}

// ANCHOR: echo
#[test]
fn the_echo_answers_people_and_no_programs() -> anyhow::Result<()> {
    Lab::run(echo_answers)
}

async fn echo_answers(lab: Lab) -> anyhow::Result<()> {
    let service = lab.mount(echo::service()).await?;
    let alice = lab.user("alice").await?;
    let room = room_with(&service, &alice).await?;
    lab.faults().lose_next_ack(&service);
    alice.say(&room, "hello").await?;
    let notice = json!({ "msgtype": "m.notice", "body": "beep" });
    alice.send(&room, "m.room.message", &notice).await?;
    alice.say(&room, "bye").await?;
    let ghosts = service.running().ghosts();
    let ghost = ghosts.named(alice.id().localpart())?;
    let last = |event: &Event| event.sender == *ghost.id() && event.content["body"] == "bye";
    alice.wait_for(&room, "the last echo", last).await?;
    lab.settle().await;
    ensure!(lab.faults().unused().is_empty());
    let mut texts = alice.texts(&room).await?;
    texts.sort();
    ensure!(
        texts == ["beep", "bye", "bye", "hello", "hello"],
        "{texts:?}"
    );
    Ok(())
}
// ANCHOR_END: echo

async fn a_repeated_post_says_nothing_twice(Play { lab, service, .. }: Play) -> anyhow::Result<()> {
    let service = lab.mount(service).await?;
    let alice = lab.user("alice").await?;
    let room = room_with(&service, &alice).await?;
    let url = format!("/hook/{}", room.as_str().replace('!', "%21"));
    let post = json!({ "id": "build-17", "from": "CI", "text": "build 17 is **green**" });
    let (status, _) = ask(&service, Request::post(&url), &post).await?;
    ensure!(status == StatusCode::UNAUTHORIZED);
    let wrong = bearer(Request::post(&url), "another secret");
    ensure!(ask(&service, wrong, &post).await?.0 == StatusCode::UNAUTHORIZED);
    let (status, first) = ask(&service, bearer(Request::post(&url), SECRET), &post).await?;
    ensure!(status == StatusCode::OK, "{status} {first}");
    lab.restart(&service).await?;
    let again = ask(&service, bearer(Request::post(&url), SECRET), &post).await?;
    ensure!(again == (status, first), "the same answer for the same id");
    let nowhere = bearer(Request::post("/hook/nowhere"), SECRET);
    ensure!(ask(&service, nowhere, &post).await?.0 == StatusCode::BAD_REQUEST);
    lab.settle().await;
    let said = alice.timeline(&room).await?;
    let said: Vec<_> = said
        .iter()
        .filter(|event| event.kind == "m.room.message")
        .collect();
    ensure!(said.len() == 1, "{said:?}");
    ensure!(said[0].sender == UserId::new("_hook__c_i", lab.server_name())?);
    ensure!(
        said[0].content["formatted_body"] == "build 17 is <strong>green</strong>",
        "{}",
        said[0].content
    );
    Ok(())
}

/// The bodies that a search finds.
async fn found(service: &LabService, words: &str) -> anyhow::Result<Vec<String>> {
    let words = words.replace(' ', "+").replace('"', "%22");
    let request = bearer(Request::get(format!("/search?q={words}")), SECRET);
    let (status, found) = ask(service, request, &Value::Null).await?;
    ensure!(status == StatusCode::OK, "{status} {found}");
    let found = found.as_array().context("a list")?;
    let bodies = found.iter().map(|one| one["body"].as_str());
    let mut bodies: Vec<String> = bodies.flatten().map(str::to_owned).collect();
    bodies.sort();
    Ok(bodies)
}

async fn the_search_finds_what_was_said_where_it_never_was(
    Play { lab, service, .. }: Play,
) -> anyhow::Result<()> {
    let service = lab.mount(service).await?;
    let alice = lab.user("alice").await?;
    let room = alice.create_room("kitchen").await?;
    lab.faults().double_next_transaction(&service);
    let machine = "the coffee machine is broken";
    let first = alice.say(&room, machine).await?;
    let second = alice.say(&room, "no \"coffee\" today").await?;
    let both = ["no \"coffee\" today", machine].map(str::to_owned);
    // It is told of all rooms there are, in which others may talk all the time: there is no settling.
    comes_to(&lab, &both.to_vec(), async || {
        found(&service, "coffee").await
    })
    .await?;
    ensure!(lab.faults().unused().is_empty());
    ensure!(found(&service, "coffee machine").await? == [machine]);
    ensure!(found(&service, "\"coffee AND").await?.is_empty());
    alice
        .edit(&room, &first, "the tea machine is broken")
        .await?;
    alice.redact(&room, &second).await?;
    comes_to(&lab, &Vec::new(), async || found(&service, "coffee").await).await?;
    ensure!(found(&service, "tea").await? == ["the tea machine is broken"]);
    let members = alice.members(&room).await?;
    ensure!(members.len() == 1, "nobody of the service is there");
    let (status, _) = ask(&service, Request::get("/search?q=tea"), &Value::Null).await?;
    ensure!(status == StatusCode::UNAUTHORIZED);
    Ok(())
}

async fn the_standup_bot_knows_commands_votes_and_who_is_silent(
    Play { lab, service, .. }: Play,
) -> anyhow::Result<()> {
    let service = lab.mount(service).await?;
    let alice = lab.user("alice").await?;
    let (ben, cleo) = (lab.user("ben").await?, lab.user("cleo").await?);
    let room = room_with(&service, &alice).await?;
    for user in [&ben, &cleo] {
        alice.invite(&room, user.id()).await?;
        user.join(&room).await?;
    }
    alice.say(&room, "!standup start").await?;
    let call = alice.hears(&room, "Stand-up! Say `!standup done` and what you did.");
    let call = call.await?.id;
    let wrong = alice.say(&room, "!standup dance").await?;
    let told = alice.wait_for(&room, "the rejection", |event| {
        event.kind == "com.beeper.message_send_status"
    });
    let told = told.await?;
    ensure!(told.content["m.relates_to"]["event_id"] == json!(wrong));
    alice.say(&room, "!standup done nothing").await?;
    alice.say(&room, "!standup done the roof").await?;
    let report = ben.say(&room, "!standup done the cellar").await?;
    alice.react(&room, &report, "👍").await?;
    let doubt = cleo.react(&room, &report, "🤔").await?;
    cleo.redact(&room, &doubt).await?;
    cleo.read(&room, &call).await?;
    let reports = format!(
        "Stand-up:\n{}: the cellar (1 votes)\n{}: the roof (0 votes)\n{}",
        ben.id(),
        alice.id(),
        cleo.id()
    );
    let silent = format!("{reports} has read it and said nothing");
    summary(&lab, &alice, &room, &silent).await?;
    cleo.typing(&room, Duration::from_secs(20)).await?;
    summary(&lab, &alice, &room, &format!("{reports} is typing still")).await
}

/// Asks for the summary until it is this: when typing and receipts are told is the homeserver's affair.
async fn summary(lab: &Lab, alice: &LabUser, room: &RoomId, wanted: &str) -> anyhow::Result<()> {
    let mut asked = 0;
    comes_to(lab, &Some(wanted.to_owned()), async || {
        asked += 1;
        let question = alice.say(room, "!standup end").await?;
        let mut answer = None;
        let is_answer = |event: &Event| {
            event.sender != *alice.id()
                && event
                    .text("body")
                    .is_some_and(|body| body.starts_with("Stand-up:\n"))
        };
        comes_to(lab, &true, async || {
            let events = alice.timeline(room).await?;
            let events = events.into_iter().skip_while(|event| event.id != question);
            answer = events.filter(is_answer).last();
            Ok(answer.is_some())
        })
        .await?;
        ensure!(asked < 100, "asked {asked} times");
        Ok(answer.and_then(|event| event.text("body").map(str::to_owned)))
    })
    .await
}

async fn a_club_greets_everybody_once_and_other_rooms_are_no_clubs(
    Play { lab, service, .. }: Play,
) -> anyhow::Result<()> {
    let service = lab.mount(service).await?;
    lab.settle().await;
    let (alice, bob) = (lab.user("alice").await?, lab.user("bob").await?);
    let greeting = |user: &LabUser| format!("{}, welcome to chess.", user.id().localpart());
    let club = format!("#club_chess:{}", lab.server_name());
    let club = alice.join(&club).await?;
    alice.hears(&club, &greeting(&alice)).await?;
    bob.join(&club).await?;
    bob.hears(&club, &greeting(&bob)).await?;
    // Nobody is greeted twice, whatever happens between.
    bob.leave(&club).await?;
    lab.restart(&service).await?;
    bob.join(&club).await?;
    let cleo = lab.user("cleo").await?;
    cleo.join(&club).await?;
    bob.hears(&club, &greeting(&cleo)).await?;
    let texts = bob.texts(&club).await?;
    let greeted = texts.iter().filter(|text| **text == greeting(&bob));
    ensure!(greeted.count() == 1, "{texts:?}");
    // A room that only says of itself that it is a club is none.
    let trap = bob.create_room("trap").await?;
    bob.invite(&trap, service.running().bot_id()).await?;
    service.running().bot().join(&trap).await?;
    let words = json!({ "text": "welcome to the trap" });
    bob.set_state(&trap, "org.example.club", "", &words).await?;
    bob.invite(&trap, alice.id()).await?;
    alice.join(&trap).await?;
    let dora = lab.user("dora").await?;
    dora.join(&club).await?;
    dora.hears(&club, &greeting(&dora)).await?;
    lab.settle().await;
    ensure!(alice.texts(&trap).await?.is_empty());
    Ok(())
}
