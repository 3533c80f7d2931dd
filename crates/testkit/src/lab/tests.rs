//! The lab with a service of a few lines, in the process and over HTTP.

mod echo;
mod faults;
mod kit;

use std::time::Duration;

use bridgehead_appservice::id::UserId;
use http::{Method, StatusCode};
use serde_json::json;

use self::echo::{Echo, registration};
use super::{Fault, Lab, LabOptions, LabUser, Mounted, RetryAfter};
use crate::{TestServer, free_port};

/// A room of alice's with the echo in it.
struct Lobby {
    alice: LabUser,
    room: bridgehead_appservice::id::RoomId,
    place: Mounted,
    echo: std::sync::Arc<Echo>,
}

async fn lobby(lab: &Lab) -> Lobby {
    let place = lab.place(&registration("http://echo")).await.unwrap();
    let echo = Echo::new(&place);
    place.serve(echo.clone()).await.unwrap();
    let alice = lab.user("alice").await.unwrap();
    let room = alice.create_room("lobby").await.unwrap();
    let bot = UserId::new("echo", lab.server_name()).unwrap();
    alice.invite(&room, &bot).await.unwrap();
    lab.settle().await;
    Lobby {
        alice,
        room,
        place,
        echo,
    }
}

#[test]
fn people_do_what_people_do() {
    Lab::run(async |lab| {
        let (alice, bob) = (
            lab.user("alice").await.unwrap(),
            lab.user("bob").await.unwrap(),
        );
        let room = alice.create_room("lobby").await.unwrap();
        alice.set_alias(&room, "#lobby:localhost").await.unwrap();
        assert_eq!(bob.join("#lobby:localhost").await.unwrap(), room);
        let said = bob.say(&room, "hello").await.unwrap();
        alice.react(&room, &said, "👍").await.unwrap();
        bob.edit(&room, &said, "hello all").await.unwrap();
        alice.reply(&room, &said, "hello bob").await.unwrap();
        alice.read(&room, &said).await.unwrap();
        bob.typing(&room, Duration::from_secs(5)).await.unwrap();
        bob.typing(&room, Duration::ZERO).await.unwrap();
        assert_eq!(
            alice.texts(&room).await.unwrap(),
            ["hello", "* hello all", "hello bob"]
        );

        alice.set_power(&room, bob.id(), 50).await.unwrap();
        let levels = alice.power_levels(&room).await.unwrap();
        assert_eq!(levels["users"]["@bob:localhost"], 50);
        let picture = bob.upload("image/png", &b"not quite"[..]).await.unwrap();
        bob.set_avatar(&picture).await.unwrap();
        bob.set_display_name("Bob").await.unwrap();
        let down = alice.download(&picture).await.unwrap();
        assert_eq!(
            (&down.bytes[..], &*down.content_type),
            (&b"not quite"[..], "image/png")
        );
        assert_eq!(alice.profile(bob.id()).await.unwrap()["displayname"], "Bob");

        alice.redact(&room, &said).await.unwrap();
        alice.kick(&room, bob.id()).await.unwrap();
        bob.join(&room).await.unwrap();
        bob.leave(&room).await.unwrap();
        alice.ban(&room, bob.id()).await.unwrap();
        assert_eq!(alice.members(&room).await.unwrap()[bob.id()], "ban");
        alice.unban(&room, bob.id()).await.unwrap();
        alice.invite(&room, bob.id()).await.unwrap();
        assert_eq!(
            bob.invitations().await.unwrap(),
            std::slice::from_ref(&room)
        );
        let newer = alice.upgrade_room(&room, "11").await.unwrap();
        assert_ne!(newer, room);
        lab.settle().await;
    });
}

#[test]
fn a_refusal_says_what_was_asked_and_why_not() {
    Lab::run(async |lab| {
        let (alice, bob) = (
            lab.user("alice").await.unwrap(),
            lab.user("bob").await.unwrap(),
        );
        let room = alice.create_room("lobby").await.unwrap();
        let error = bob.say(&room, "let me in").await.unwrap_err();
        assert_eq!(error.status(), Some(StatusCode::FORBIDDEN));
        assert_eq!(error.errcode(), Some("M_FORBIDDEN"));
        let text = error.to_string();
        assert!(text.starts_with("PUT /_matrix/client/v3/rooms/"), "{text}");
        assert!(text.contains("was answered 403 M_FORBIDDEN: "), "{text}");
        lab.stop_host().await.unwrap();
        let error = alice.say(&room, "anybody there?").await.unwrap_err();
        assert!(error.to_string().contains("it is stopped"), "{error}");
    });
}

#[test]
fn all_that_happened_is_told_in_stable_names() {
    Lab::run(async |lab| {
        let Lobby { alice, room, .. } = lobby(&lab).await;
        alice.say(&room, "hi").await.unwrap();
        lab.settle().await;
        insta::assert_snapshot!(lab.transcript().await, @r#"
        room lobby
          $1 alice m.room.create {"room_version":"11"}
          $2 alice m.room.member alice join
          $3 alice m.room.power_levels users {"alice":100} of {"ban":50,"events":{"m.room.avatar":50,"m.room.canonical_alias":50,"m.room.encryption":100,"m.room.history_visibility":100,"m.room.name":…
          $4 alice m.room.join_rules {"join_rule":"public"}
          $5 alice m.room.history_visibility {"history_visibility":"shared"}
          $6 alice m.room.guest_access {"guest_access":"forbidden"}
          $7 alice m.room.name {"name":"lobby"}
          $8 alice m.room.member echo invite
          $9 echo m.room.member echo join
          $10 alice m.room.message "hi"
          $11 echo m.room.message "echo: hi"
        seam
          host → echo: PUT transactions/T1: 200
            lobby: $8 alice m.room.member echo invite
          echo → host: POST join/lobby: 200 lobby
          host → echo: PUT transactions/T2: 200
            lobby: $9 echo m.room.member echo join
          host → echo: PUT transactions/T3: 200
            lobby: $10 alice m.room.message "hi"
          echo → host: PUT rooms/lobby/send/m.room.message/T1 {"body":"echo: hi","msgtype":"m.text"}: 200 $11
          host → echo: PUT transactions/T4: 200
            lobby: $11 echo m.room.message "echo: hi"
        "#);
    });
}

#[test]
fn a_seed_repeats_everything() {
    let run = |seed| {
        LabOptions::default().seed(seed).run(async |lab| {
            let Lobby {
                alice, room, place, ..
            } = lobby(&lab).await;
            lab.faults().lose_next_ack(&place);
            let said = alice.say(&room, "hi").await.unwrap();
            lab.settle().await;
            (room, said, lab.now_ms(), lab.transcript().await)
        })
    };
    let (first, other) = (run(3), run(4));
    assert_eq!(first, run(3));
    assert_ne!(first.0, other.0);
}

#[test]
fn each_fault_comes_to_pass_once() {
    Lab::run(async |lab| {
        let Lobby {
            alice,
            room,
            place,
            echo,
        } = lobby(&lab).await;
        let (faults, before) = (lab.faults(), echo.transactions().len());
        faults.lose_next_ack(&place);
        faults.double_next_transaction(&place);
        faults.delay_ack(&place, Duration::from_secs(90));
        faults.cut_next_transaction(&place);
        faults.answer_429_next(RetryAfter::InBody(Duration::from_secs(1)));
        faults.answer_429_next(RetryAfter::InHeader(Duration::from_secs(2)));
        faults.answer_5xx_next(2);
        faults.cut_body_next();
        faults.plan(Fault::of_calls().put("/send/").lose_answer());
        faults.plan(
            Fault::of_calls()
                .on(Method::DELETE, "/nothing")
                .lose_request(),
        );
        alice.say(&room, "one").await.unwrap();
        lab.settle().await;
        alice.say(&room, "two").await.unwrap();
        lab.settle().await;

        // Repeats have the id of the first, so the echo answered each once; and so did its own
        // repeats, so the host stored each answer once.
        let mut texts = alice.texts(&room).await.unwrap();
        texts.sort();
        assert_eq!(texts, ["echo: one", "echo: two", "one", "two"]);
        let since = &echo.transactions()[before..];
        assert!(since.len() >= 6, "{since:?}");
        let unused = ["1 × DELETE …/nothing… from any service: request lost"];
        assert_eq!(faults.unused(), unused);
        faults.clear();
        assert!(faults.unused().is_empty());
    });
}

#[test]
fn an_hour_without_the_service_and_a_restart_of_the_host_lose_nothing() {
    Lab::run(async |lab| {
        let Lobby {
            alice, room, place, ..
        } = lobby(&lab).await;
        place.take_down();
        alice.say(&room, "missed").await.unwrap();
        let before = lab.now_ms();
        // With nobody there nothing is under way.
        lab.settle().await;
        lab.pass(Duration::from_secs(3600)).await;
        assert!(lab.now_ms() >= before + 3_600_000);
        lab.restart_host().await.unwrap();

        place.serve(Echo::new(&place)).await.unwrap();
        alice.hears(&room, "echo: missed").await.unwrap();
        lab.settle().await;
        assert_eq!(
            alice.texts(&room).await.unwrap(),
            ["missed", "echo: missed"]
        );
    });
}

#[test]
fn a_life_that_was_ended_reaches_nobody() {
    Lab::run(async |lab| {
        let Lobby {
            alice,
            room,
            place,
            echo,
        } = lobby(&lab).await;
        place.take_down();
        assert!(!place.is_up());
        let body = json!({ "msgtype": "m.text", "body": "from the grave" });
        let error = echo.send(&room, "1", &body).await.unwrap_err();
        assert!(error.contains("was taken down"), "{error}");
        assert!(alice.texts(&room).await.unwrap().is_empty());
    });
}

#[test]
fn a_place_needs_a_registration_that_nobody_else_has() {
    Lab::run(async |lab| {
        lab.place(&registration("http://echo")).await.unwrap();
        let again = lab.place(&registration("http://echo")).await;
        let error = again.err().unwrap().to_string();
        assert!(error.contains("is mounted already"), "{error}");
        let error = lab.place("id: nothing").await.err().unwrap().to_string();
        assert!(error.contains("no registration"), "{error}");
    });
}

/// The same test on a homeserver over HTTP: ours, and at the end of the workspace's checks another
/// one.
#[test]
fn the_same_test_runs_against_a_homeserver_over_http() {
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
        TestServer::start_in(folder, vec![file], &[]).await.unwrap()
    });
    Lab::against(&server.base_url(), "localhost", async |lab| {
        let place = lab.place(&text).await.unwrap();
        let echo = Echo::new(&place);
        place.serve(echo.clone()).await.unwrap();
        let alice = lab.user("alice").await.unwrap();
        let room = alice.create_room("lobby").await.unwrap();
        let bot = UserId::new("echo", lab.server_name()).unwrap();
        alice.invite(&room, &bot).await.unwrap();
        let joins = |event: &bridgehead_appservice::Event| {
            event.state_key.as_deref() == Some(bot.as_str())
                && event.content["membership"] == "join"
        };
        alice.wait_for(&room, "the echo", joins).await.unwrap();
        lab.faults().lose_next_ack(&place);
        alice.say(&room, "hi").await.unwrap();
        alice.hears(&room, "echo: hi").await.unwrap();
        lab.settle().await;
        assert!(lab.faults().unused().is_empty());
        assert_eq!(alice.texts(&room).await.unwrap(), ["hi", "echo: hi"]);
        let transcript = lab.transcript().await;
        assert!(
            transcript.contains(" alice m.room.message \"hi\""),
            "{transcript}"
        );
    });
    runtime.block_on(server.stop());
}
