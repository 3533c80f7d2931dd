//! Lazy provisioning: unknown users and aliases are asked of the services that own them.

use bridgehead_testkit::{Client, TestServer};
use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    peer::{Asked, Peer, QUICK, Reply, server_for, server_with, yes},
    support::refused,
};

const GHOST: &str = "@irc_ghost:localhost";
const ALIAS: &str = "#irc_tea:localhost";

fn no() -> Reply {
    Reply::Json(404, json!({ "errcode": "M_NOT_FOUND", "error": "no" }))
}

/// Questions about users and aliases, without transactions.
fn questions(peer: &Peer) -> Vec<Asked> {
    let mut asked = peer.asked();
    asked.retain(|asked| asked.method == "GET");
    asked
}

/// Registers the ghost that is asked about, and says yes to everything.
fn make_ghosts(peer: &Peer, server: &TestServer) {
    let bot = peer.client(server);
    peer.answer(move |asked| {
        let bot = bot.clone();
        async move {
            if asked.path.contains("/users/") {
                bot.register_ghost("irc_ghost").await.unwrap();
            }
            yes()
        }
    });
}

/// Makes a room with the alias that is asked about and these further wishes, and says yes to
/// everything.
fn make_rooms(peer: &Peer, server: &TestServer, wishes: Value) {
    let bot = peer.client(server);
    peer.answer(move |asked| {
        let (bot, mut body) = (bot.clone(), wishes.clone());
        async move {
            if asked.path.contains("/rooms/") {
                body["room_alias_name"] = json!("irc_tea");
                bot.create_room(&body).await.unwrap();
            }
            yes()
        }
    });
}

async fn started(settings: &[(&str, &str)]) -> (Peer, TestServer, Client) {
    let peer = Peer::start("irc").await;
    let mut all = QUICK.to_vec();
    all.extend(settings);
    let server = server_for(&peer, &all).await;
    let alice = server.user("alice").await.unwrap();
    (peer, server, alice)
}

async fn invite(alice: &Client, user_id: &str) -> (StatusCode, String) {
    let room = alice.create_room(&json!({})).await.unwrap();
    let path = format!("/rooms/{room}/invite");
    refused(
        alice,
        Method::POST,
        &path,
        Some(json!({ "user_id": user_id })),
    )
    .await
}

async fn join_refused(client: &Client) -> (StatusCode, String) {
    refused(
        client,
        Method::POST,
        &format!("/join/{ALIAS}"),
        Some(json!({})),
    )
    .await
}

fn not_found() -> (StatusCode, String) {
    (StatusCode::NOT_FOUND, "M_NOT_FOUND".to_owned())
}

#[tokio::test]
async fn an_invite_asks_and_the_service_registers_the_ghost_meanwhile() {
    let (peer, server, alice) = started(&[]).await;
    make_ghosts(&peer, &server);
    let room = alice.create_room(&json!({})).await.unwrap();
    alice.invite(&room, GHOST).await.unwrap();
    let asked = questions(&peer);
    assert_eq!(asked.len(), 1);
    assert_eq!(
        asked[0].path,
        "/_matrix/app/v1/users/%40irc_ghost%3Alocalhost"
    );
    // It exists by now, so nobody is asked again.
    let room = alice.create_room(&json!({})).await.unwrap();
    alice.invite(&room, GHOST).await.unwrap();
    assert_eq!(questions(&peer).len(), 1);
}

#[tokio::test]
async fn a_new_rooms_invites_ask() {
    let (peer, server, alice) = started(&[]).await;
    make_ghosts(&peer, &server);
    let room = alice
        .create_room(&json!({ "invite": [GHOST] }))
        .await
        .unwrap();
    let member = alice.state(&room, "m.room.member", GHOST).await.unwrap();
    assert_eq!(member["membership"], "invite");
    assert_eq!(questions(&peer).len(), 1);
}

#[tokio::test]
async fn an_exclusive_no_refuses_the_invite_unless_the_setting_says_otherwise() {
    let (peer, _server, alice) = started(&[]).await;
    peer.reply(|_| no());
    assert_eq!(invite(&alice, GHOST).await, not_found());
    let body = json!({ "invite": [GHOST] });
    let answer = refused(&alice, Method::POST, "/createRoom", Some(body)).await;
    assert_eq!(answer, not_found());

    let relaxed = (
        "BRIDGEHEAD_APPSERVICES_REFUSE_UNKNOWN_GHOST_INVITE",
        "false",
    );
    let (peer, _server, alice) = started(&[relaxed]).await;
    peer.reply(|_| no());
    let room = alice.create_room(&json!({})).await.unwrap();
    alice.invite(&room, GHOST).await.unwrap();
}

#[tokio::test]
async fn a_no_of_a_shared_namespace_does_not_refuse() {
    let peer = Peer::start("irc").await;
    let mut registration = peer.registration();
    registration["namespaces"]["users"][0]["exclusive"] = json!(false);
    let server = server_with(&[registration], QUICK).await;
    peer.reply(|_| no());
    let alice = server.user("alice").await.unwrap();
    let room = alice.create_room(&json!({})).await.unwrap();
    alice.invite(&room, GHOST).await.unwrap();
    assert_eq!(questions(&peer).len(), 1);
}

#[tokio::test]
async fn a_services_own_user_is_never_asked_about() {
    let (peer, _server, alice) = started(&[]).await;
    peer.reply(|_| no());
    let room = alice.create_room(&json!({})).await.unwrap();
    alice.invite(&room, "@irc-bot:localhost").await.unwrap();
    assert!(questions(&peer).is_empty());
}

#[tokio::test]
async fn users_and_aliases_that_no_service_owns_ask_nobody() {
    let (peer, _server, alice) = started(&[]).await;
    let answer = refused(
        &alice,
        Method::POST,
        "/join/#other:localhost",
        Some(json!({})),
    )
    .await;
    assert_eq!(answer, not_found());
    assert!(questions(&peer).is_empty());
}

#[tokio::test]
async fn twenty_joins_of_one_missing_alias_ask_once() {
    let (peer, server, alice) = started(&[]).await;
    make_rooms(&peer, &server, json!({ "preset": "public_chat" }));
    let joins = join_all((0..20).map(|_| alice.join(ALIAS))).await;
    let rooms: Vec<_> = joins.into_iter().map(Result::unwrap).collect();
    assert!(rooms.iter().all(|room| *room == rooms[0]));
    assert_eq!(questions(&peer).len(), 1);
    assert_eq!(
        questions(&peer)[0].path,
        "/_matrix/app/v1/rooms/%23irc_tea%3Alocalhost"
    );
}

#[tokio::test]
async fn a_no_is_remembered_until_the_name_is_made() {
    let long = ("BRIDGEHEAD_APPSERVICES_NEGATIVE_CACHE_MS", "3600000");
    let (peer, server, alice) = started(&[long]).await;
    peer.reply(|_| no());
    assert_eq!(join_refused(&alice).await, not_found());
    assert_eq!(join_refused(&alice).await, not_found());
    assert_eq!(questions(&peer).len(), 1);
    let body = json!({ "room_alias_name": "irc_tea", "preset": "public_chat" });
    let room = peer.client(&server).create_room(&body).await.unwrap();
    assert_eq!(alice.join(ALIAS).await.unwrap(), room);
}

#[tokio::test]
async fn without_a_memory_each_question_is_asked() {
    let none = ("BRIDGEHEAD_APPSERVICES_NEGATIVE_CACHE_MS", "0");
    let (peer, _server, alice) = started(&[none]).await;
    peer.reply(|_| no());
    for _ in 0..3 {
        assert_eq!(join_refused(&alice).await, not_found());
    }
    assert_eq!(questions(&peer).len(), 3);
}

#[tokio::test]
async fn a_service_that_does_not_answer_in_time_is_a_timeout_for_the_client() {
    let (peer, _server, alice) = started(&[
        ("BRIDGEHEAD_APPSERVICES_USER_QUERY_TIMEOUT_MS", "200"),
        ("BRIDGEHEAD_APPSERVICES_ALIAS_QUERY_TIMEOUT_MS", "200"),
    ])
    .await;
    peer.reply(|_| Reply::Hang);
    assert_eq!(invite(&alice, GHOST).await.0, StatusCode::REQUEST_TIMEOUT);
    assert_eq!(join_refused(&alice).await.0, StatusCode::REQUEST_TIMEOUT);
    // It is no *no*: the next one asks again.
    peer.reply(|_| no());
    assert_eq!(join_refused(&alice).await, not_found());
}

#[tokio::test]
async fn a_service_that_is_away_or_out_of_order_is_a_timeout_for_the_client() {
    let (mut peer, _server, alice) = started(&[]).await;
    for reply in [Reply::Html(502), Reply::Html(403), Reply::Drop] {
        peer.reply(move |_| reply.clone());
        assert_eq!(join_refused(&alice).await.0, StatusCode::REQUEST_TIMEOUT);
    }
    peer.close().await;
    assert_eq!(join_refused(&alice).await.0, StatusCode::REQUEST_TIMEOUT);
}

#[tokio::test]
async fn an_asker_who_gives_up_leaves_nothing_behind() {
    let quick = ("BRIDGEHEAD_APPSERVICES_ALIAS_QUERY_TIMEOUT_MS", "500");
    let (peer, server, alice) = started(&[quick]).await;
    peer.reply(|_| Reply::Hang);
    let slow = alice.clone();
    let asker = tokio::spawn(async move { slow.join(ALIAS).await });
    peer.wait_count(1).await;
    asker.abort();
    make_rooms(&peer, &server, json!({ "preset": "public_chat" }));
    // Joins the open question, which ends in time; then it is asked anew.
    let first = alice.join(ALIAS).await;
    let joined = match first {
        Ok(room) => room,
        Err(_) => alice.join(ALIAS).await.unwrap(),
    };
    assert!(joined.starts_with('!'));
}

/// Two services that share a namespace of aliases.
async fn two_sharing() -> (Peer, Peer, TestServer, Client) {
    let (one, two) = (Peer::start("irc").await, Peer::start("xmpp").await);
    let registrations = [&one, &two].map(|peer| {
        let mut registration = peer.registration();
        registration["namespaces"]["aliases"] = json!([{ "regex": "#irc_.*", "exclusive": false }]);
        registration
    });
    let server = server_with(&registrations, QUICK).await;
    let alice = server.user("alice").await.unwrap();
    (one, two, server, alice)
}

#[tokio::test]
async fn two_services_are_asked_together_and_the_first_yes_wins() {
    let (one, two, server, alice) = two_sharing().await;
    one.reply(|asked| match asked.method.as_str() {
        "GET" => Reply::Hang,
        _ => yes(),
    });
    make_rooms(&two, &server, json!({ "preset": "public_chat" }));
    alice.join(ALIAS).await.unwrap();
    assert_eq!((questions(&one).len(), questions(&two).len()), (1, 1));
}

#[tokio::test]
async fn an_empty_yes_of_one_service_does_not_hide_anothers() {
    let (one, two, server, alice) = two_sharing().await;
    one.reply(|_| yes());
    make_rooms(&two, &server, json!({ "preset": "public_chat" }));
    alice.join(ALIAS).await.unwrap();
}

#[tokio::test]
async fn a_yes_that_made_nothing_is_a_no() {
    let (peer, _server, alice) = started(&[]).await;
    for reply in [
        yes(),
        Reply::Html(200),
        Reply::Json(200, json!({ "errcode": "M_UNKNOWN" })),
    ] {
        peer.reply(move |_| reply.clone());
        assert_eq!(invite(&alice, GHOST).await, not_found());
        assert_eq!(join_refused(&alice).await, not_found());
    }
}

#[tokio::test]
async fn an_errcode_with_200_counts_by_what_was_made() {
    let (peer, server, alice) = started(&[]).await;
    let bot = peer.client(&server);
    peer.answer(move |asked| {
        let bot = bot.clone();
        async move {
            if asked.path.contains("/rooms/") {
                let body = json!({ "room_alias_name": "irc_tea", "preset": "public_chat" });
                bot.create_room(&body).await.unwrap();
            }
            Reply::Json(
                200,
                json!({ "errcode": "M_UNKNOWN", "error": "afterwards" }),
            )
        }
    });
    alice.join(ALIAS).await.unwrap();
}

#[tokio::test]
async fn a_single_threaded_service_makes_the_room_while_it_is_asked() {
    let (peer, server, alice) = started(&[]).await;
    let (bot, busy) = (peer.client(&server), tokio::sync::Mutex::new(()));
    let busy = std::sync::Arc::new(busy);
    peer.answer(move |asked| {
        let (bot, busy) = (bot.clone(), busy.clone());
        async move {
            let _one_at_a_time = busy.lock().await;
            if asked.path.contains("/rooms/") {
                let room = bot
                    .create_room(&json!({ "room_alias_name": "irc_tea" }))
                    .await
                    .unwrap();
                // Nothing that the service does here waits for its transactions.
                bot.send_text(&room, "1", "welcome").await.unwrap();
            }
            yes()
        }
    });
    let room = alice.join(ALIAS).await.unwrap();
    let sent = alice.send_text(&room, "2", "hello").await.unwrap();
    peer.wait_event(&sent).await;
}

#[tokio::test]
async fn whoever_caused_an_invite_only_room_to_be_made_is_invited() {
    let (peer, server, alice) = started(&[]).await;
    make_rooms(&peer, &server, json!({}));
    let room = alice.join(ALIAS).await.unwrap();
    let member = alice
        .state(&room, "m.room.member", "@alice:localhost")
        .await;
    assert_eq!(member.unwrap()["membership"], "join");
    // Others have not caused it.
    let bob = server.user("bob").await.unwrap();
    assert_eq!(join_refused(&bob).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn nobody_is_invited_where_the_server_or_the_registration_says_so() {
    let off = ("BRIDGEHEAD_APPSERVICES_LAZY_ALIAS_AUTO_INVITE", "false");
    for (settings, own, joins) in [
        (vec![off], None, false),
        (vec![], Some(false), false),
        (vec![off], Some(true), true),
    ] {
        let peer = Peer::start("irc").await;
        let mut registration = peer.registration();
        if let Some(own) = own {
            registration["io.bridgehead"] = json!({ "lazy_alias_auto_invite": own });
        }
        let server = server_with(&[registration], &settings).await;
        make_rooms(&peer, &server, json!({}));
        let alice = server.user("alice").await.unwrap();
        assert_eq!(
            alice.join(ALIAS).await.is_ok(),
            joins,
            "{settings:?} {own:?}"
        );
    }
}

#[tokio::test]
async fn a_room_that_was_there_before_invites_nobody() {
    let (peer, server, alice) = started(&[]).await;
    let body = json!({ "room_alias_name": "irc_tea" });
    peer.client(&server).create_room(&body).await.unwrap();
    assert_eq!(join_refused(&alice).await.0, StatusCode::FORBIDDEN);
    assert!(questions(&peer).is_empty());
}

#[tokio::test]
async fn resolving_an_alias_asks_and_invites_nobody() {
    let (peer, server, alice) = started(&[]).await;
    make_rooms(&peer, &server, json!({}));
    let path = "/_matrix/client/v3/directory/room/%23irc_tea%3Alocalhost";
    let (status, answer) = alice.get(path).await.unwrap();
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(questions(&peer).len(), 1);
    assert_eq!(join_refused(&alice).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn looking_up_a_profile_asks() {
    let (peer, server, alice) = started(&[]).await;
    make_ghosts(&peer, &server);
    let path = "/_matrix/client/v3/profile/%40irc_ghost%3Alocalhost";
    let (status, answer) = alice.get(path).await.unwrap();
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(questions(&peer).len(), 1);
}

#[tokio::test]
async fn looking_for_keys_asks() {
    let (peer, server, alice) = started(&[]).await;
    make_ghosts(&peer, &server);
    let body = json!({ "device_keys": { "@irc_ghost:localhost": [], "@nobody:localhost": [] } });
    let path = "/_matrix/client/v3/keys/query";
    let answer = alice
        .expect_ok(Method::POST, path, &[], Some(&body))
        .await
        .unwrap();
    assert_eq!(answer["device_keys"]["@irc_ghost:localhost"], json!({}));
    assert_eq!(questions(&peer).len(), 1);
}

#[tokio::test]
async fn a_new_rooms_unknown_ghosts_are_asked_about_at_the_same_time() {
    let (peer, server, alice) = started(&[]).await;
    let bot = peer.client(&server);
    // Nobody is answered before all four are asked about.
    let all_asked = std::sync::Arc::new(tokio::sync::Barrier::new(4));
    peer.answer(move |asked| {
        let (bot, all_asked) = (bot.clone(), all_asked.clone());
        async move {
            if asked.path.contains("/users/") {
                all_asked.wait().await;
                let number = asked
                    .path
                    .split("irc_")
                    .nth(1)
                    .unwrap()
                    .chars()
                    .next()
                    .unwrap();
                bot.register_ghost(&format!("irc_{number}")).await.unwrap();
            }
            yes()
        }
    });
    let ghosts: Vec<String> = (0..4)
        .map(|number| format!("@irc_{number}:localhost"))
        .collect();
    alice
        .create_room(&json!({ "invite": ghosts }))
        .await
        .unwrap();
    assert_eq!(questions(&peer).len(), 4);
}
