//! Every example is run against the real homeserver: its service in the lab, the logger as the program that it is.

use std::{path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context as _, ensure};
use bridgehead_appservice::{
    Secret,
    id::{RoomId, UserId},
};
use bridgehead_testkit::{
    Process, TestServer, free_port,
    lab::{Lab, LabService, LabUser},
};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    process::Command,
};

use crate::harness::{PATIENCE, until};

#[path = "../../examples/clubs.rs"]
#[expect(dead_code, reason = "its main is another program's")]
mod clubs;
#[path = "../../examples/echo.rs"]
#[expect(dead_code, reason = "its main is another program's")]
mod echo;
#[path = "../../examples/search.rs"]
#[expect(dead_code, reason = "its main is another program's")]
mod search;
#[path = "../../examples/standup_bot.rs"]
#[expect(dead_code, reason = "its main is another program's")]
mod standup_bot;
#[path = "../../examples/webhook.rs"]
#[expect(dead_code, reason = "its main is another program's")]
mod webhook;

const SECRET: &str = "a secret of the caller's";

fn bot_of(lab: &Lab, localpart: &str) -> anyhow::Result<UserId> {
    Ok(UserId::new(localpart, lab.server_name())?)
}

/// A room of this person's that the service's bot has joined because it was invited.
async fn room_with(lab: &Lab, person: &LabUser, bot: &str) -> anyhow::Result<RoomId> {
    let bot = bot_of(lab, bot)?;
    let room = person.create_room("hall").await?;
    person.invite(&room, &bot).await?;
    lab.settle().await;
    let members = person.members(&room).await?;
    ensure!(
        members.get(&bot).map(String::as_str) == Some("join"),
        "the bot comes when it is invited: {members:?}"
    );
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

// ANCHOR: echo
#[test]
fn the_echo_answers_people_and_no_programs() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let service = lab.mount(echo::service()).await?;
        let alice = lab.user("alice").await?;
        let room = room_with(&lab, &alice, "echobot").await?;
        lab.faults().lose_next_ack(&service);
        alice.say(&room, "hello").await?;
        let notice = json!({ "msgtype": "m.notice", "body": "beep" });
        alice.send(&room, "m.room.message", &notice).await?;
        lab.settle().await;
        ensure!(lab.faults().unused().is_empty());
        let texts = alice.texts(&room).await?;
        ensure!(
            texts.iter().filter(|text| *text == "hello").count() == 2,
            "{texts:?}"
        );
        ensure!(
            texts.iter().filter(|text| *text == "beep").count() == 1,
            "{texts:?}"
        );
        let echo = bot_of(&lab, "_echo_alice")?;
        ensure!(alice.members(&room).await?.contains_key(&echo));
        Ok(())
    })
}
// ANCHOR_END: echo

#[test]
fn a_repeated_post_says_nothing_twice() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let service = webhook::service(Secret::new(SECRET.to_owned()));
        let service = lab.mount(service).await?;
        let alice = lab.user("alice").await?;
        let room = room_with(&lab, &alice, "webhookbot").await?;
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
        ensure!(said[0].sender == bot_of(&lab, "_hook__c_i")?);
        ensure!(
            said[0].content["formatted_body"] == "build 17 is <strong>green</strong>",
            "{}",
            said[0].content
        );
        Ok(())
    })
}

/// The bodies that a search finds.
async fn found(service: &LabService, words: &str) -> anyhow::Result<Vec<String>> {
    let words = words.replace(' ', "+").replace('"', "%22");
    let request = bearer(Request::get(format!("/search?q={words}")), SECRET);
    let (status, found) = ask(service, request, &Value::Null).await?;
    ensure!(status == StatusCode::OK, "{status} {found}");
    let found = found.as_array().context("a list")?;
    let bodies = found.iter().map(|one| one["body"].as_str());
    Ok(bodies.flatten().map(str::to_owned).collect())
}

#[test]
fn the_search_finds_what_was_said_where_it_never_was() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let service = search::service(Secret::new(SECRET.to_owned()));
        let service = lab.mount(service).await?;
        let alice = lab.user("alice").await?;
        let room = alice.create_room("kitchen").await?;
        lab.faults().double_next_transaction(&service);
        let first = alice.say(&room, "the coffee machine is broken").await?;
        let second = alice.say(&room, "no \"coffee\" today").await?;
        lab.settle().await;
        ensure!(lab.faults().unused().is_empty());
        ensure!(found(&service, "coffee").await?.len() == 2);
        ensure!(found(&service, "coffee machine").await? == ["the coffee machine is broken"]);
        ensure!(found(&service, "\"coffee AND").await?.is_empty());
        alice
            .edit(&room, &first, "the tea machine is broken")
            .await?;
        alice.redact(&room, &second).await?;
        lab.settle().await;
        ensure!(found(&service, "coffee").await?.is_empty());
        ensure!(found(&service, "tea").await? == ["the tea machine is broken"]);
        let members = alice.members(&room).await?;
        ensure!(members.len() == 1, "nobody of the service is there");
        let (status, _) = ask(&service, Request::get("/search?q=tea"), &Value::Null).await?;
        ensure!(status == StatusCode::UNAUTHORIZED);
        Ok(())
    })
}

#[test]
fn the_standup_bot_knows_commands_votes_and_who_is_silent() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let _service = lab.mount(standup_bot::service()).await?;
        let alice = lab.user("alice").await?;
        let (ben, cleo) = (lab.user("ben").await?, lab.user("cleo").await?);
        let room = room_with(&lab, &alice, "standup").await?;
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
        lab.settle().await;
        alice.say(&room, "!standup end").await?;
        let summary = "Stand-up:\n@ben:localhost: the cellar (1 votes)\n@alice:localhost: the roof (0 votes)\n\
                       @cleo:localhost has read it and said nothing";
        alice.hears(&room, summary).await?;
        cleo.typing(&room, Duration::from_secs(20)).await?;
        lab.settle().await;
        alice.say(&room, "!standup end").await?;
        let summary = alice.wait_for(&room, "the second summary", |event| {
            event
                .text("body")
                .is_some_and(|body| body.contains("@cleo:localhost is typing still"))
        });
        summary.await?;
        Ok(())
    })
}

/// An example as it was built with this test.
fn example(name: &str) -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let target = test
        .ancestors()
        .nth(2)
        .context("tests lie in target/…/deps")?;
    let path = target.join("examples").join(name);
    ensure!(path.is_file(), "{} was not built", path.display());
    Ok(path)
}

/// An example as a program beside the homeserver: registered by itself, and at work.
async fn program(
    name: &str,
    host: &TestServer,
    folder: &TempDir,
    env: &[(&str, &str)],
) -> anyhow::Result<Process> {
    let listen = format!("127.0.0.1:{}", free_port()?);
    let token = host.folder().join("data").join("operator.token");
    let variable = |key: &str| format!("{}_{key}", name.to_uppercase());
    let command = || -> anyhow::Result<Command> {
        let mut command = Command::new(example(name)?);
        command
            .current_dir(folder.path())
            .args([
                "--server-name",
                "localhost",
                "--homeserver",
                &host.base_url(),
            ])
            .env(variable("LISTEN_ADDRESS"), &listen)
            .env(variable("HOMESERVER_ADMIN_ADDRESS"), host.base_url())
            .env(variable("HOMESERVER_ADMIN_TOKEN_FILE"), &token)
            .env("NO_PROXY", "localhost,127.0.0.1")
            .envs(env.iter().copied())
            .stdin(Stdio::null());
        Ok(command)
    };
    let applied = command()?.args(["register", "--apply"]).output().await?;
    ensure!(
        applied.status.success(),
        "{}{}",
        String::from_utf8_lossy(&applied.stdout),
        String::from_utf8_lossy(&applied.stderr)
    );
    let process = Process::spawn(name, command()?)?;
    let works = |lines: &[String]| lines.iter().any(|line| line.contains("the service works"));
    process
        .wait_for_output("the service works", PATIENCE, works)
        .await?;
    Ok(process)
}

#[tokio::test]
async fn the_logger_is_a_program_of_fifteen_lines() -> anyhow::Result<()> {
    let source = include_str!("../../examples/logger.rs");
    let lines = source.lines().filter(|line| !line.trim().is_empty());
    ensure!(lines.count() <= 15);
    let (host, folder) = (TestServer::start().await?, TempDir::new()?);
    let logger = program("logger", &host, &folder, &[]).await?;
    let alice = host.user("alice").await?;
    let room = alice.join("#logged_rust:localhost").await?;
    alice.send_text(&room, "1", "is this written down?").await?;
    let logged = |lines: &[String]| {
        let mut lines = lines.iter();
        lines.any(|line| line.starts_with("@alice:localhost ") && line.contains("written down?"))
    };
    logger
        .wait_for_output("what alice said", PATIENCE, logged)
        .await
}

#[test]
fn a_club_greets_everybody_once_and_other_rooms_are_no_clubs() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let service = lab.mount(clubs::service()).await?;
        let alice = lab.user("alice").await?;
        let club = alice.join("#club_chess:localhost").await?;
        alice.hears(&club, "alice, welcome to chess.").await?;
        let bob = lab.user("bob").await?;
        bob.join(&club).await?;
        bob.hears(&club, "bob, welcome to chess.").await?;
        // Nobody is greeted twice, whatever happens between.
        bob.leave(&club).await?;
        lab.restart(&service).await?;
        bob.join(&club).await?;
        lab.settle().await;
        let texts = bob.texts(&club).await?;
        let greeted = texts.iter().filter(|text| text.starts_with("bob, "));
        ensure!(greeted.count() == 1, "{texts:?}");
        // A room that only says of itself that it is a club is none.
        let trap = bob.create_room("trap").await?;
        bob.invite(&trap, &bot_of(&lab, "host")?).await?;
        service.running().bot().join(&trap).await?;
        let words = json!({ "text": "welcome to the trap" });
        bob.set_state(&trap, "org.example.club", "", &words).await?;
        bob.invite(&trap, alice.id()).await?;
        alice.join(&trap).await?;
        lab.settle().await;
        ensure!(alice.texts(&trap).await?.is_empty());
        Ok(())
    })
}

#[tokio::test]
async fn the_pond_and_its_bridge_are_programs() -> anyhow::Result<()> {
    let (host, folder) = (TestServer::start().await?, TempDir::new()?);
    let address = format!("127.0.0.1:{}", free_port()?);
    let mut command = Command::new(example("pond_server")?);
    command.arg(&address);
    let pond = Process::spawn("pond_server", command)?;
    let is_there = |lines: &[String]| lines.iter().any(|line| line.contains("the Pond is at"));
    pond.wait_for_output("the Pond", PATIENCE, is_there).await?;
    let _bridge = program("pond", &host, &folder, &[("POND_SERVER", &address)]).await?;
    let alice = host.user("alice").await?;
    let room = alice.join("#pond_lobby:localhost").await?;

    let (read, mut write) = TcpStream::connect(&address).await?.into_split();
    write.write_all(b"SINCE 0\n").await?;
    alice.send_text(&room, "1", "hello from the shore").await?;
    let mut lines = BufReader::new(read).lines();
    for said in [
        " lobby * there is water again",
        " lobby alice hello from the shore",
    ] {
        let heard = tokio::time::timeout(PATIENCE, lines.next_line()).await??;
        let heard = heard.context("the Pond goes on")?;
        ensure!(heard.ends_with(said), "{heard}");
    }
    write
        .write_all(b"SAY 1 lobby Bob hello from the water\n")
        .await?;
    until("the ghost has said it", || async {
        let path = format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=50");
        let Ok((_, page)) = alice.get(&path).await else {
            return false;
        };
        let events = page["chunk"].as_array().cloned().unwrap_or_default();
        events.iter().any(|event| {
            event["sender"] == "@_pond__bob:localhost"
                && event["content"]["body"] == "hello from the water"
        })
    })
    .await
}
