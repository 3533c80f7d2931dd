//! Delivery: ids and bytes, limits, retries, restarts, and neighbours that behave badly.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use bridgehead_store::Store;
use bridgehead_testkit::{Client, SERVER_NAME, TestServer, judge};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    peer::{
        Asked, PATIENT, Peer, QUICK, Reply, joined_ghost, room_with_ghost, send_many, server_for,
        server_with, start_again, yes,
    },
    support::{get, set_state},
};

const LIMIT: usize = 1 << 20;

fn ids(asked: &[Asked]) -> Vec<u64> {
    let ids = asked.iter().filter_map(Asked::txn_id);
    ids.map(|id| id.parse().unwrap()).collect()
}

fn again(server: &TestServer, client: &Client) -> Client {
    server.client().with_token(client.access_token().unwrap())
}

async fn whoami(client: &Client) {
    get(client, "/account/whoami", &[]).await;
}

#[tokio::test]
async fn a_retry_keeps_id_and_bytes_whatever_went_wrong() {
    let peer = Peer::start("irc").await;
    let server = server_for(&peer, QUICK).await;
    let (alice, _, room) = room_with_ghost(&server, &peer).await;
    peer.wait_count(1).await;
    peer.drop_one_unread();
    peer.reply_in_turn(vec![
        Reply::Json(500, json!({})),
        Reply::Drop,
        Reply::Html(502),
        Reply::Json(400, json!({ "errcode": "M_BAD_JSON" })),
        Reply::Json(413, json!({})),
        Reply::Html(302),
        Reply::Html(200),
        Reply::Empty(204),
    ]);
    alice.send_text(&room, "1", "one").await.unwrap();
    let asked = peer.wait_count(8).await;
    let second = alice.send_text(&room, "2", "two").await.unwrap();
    peer.wait_event(&second).await;
    let third = alice.send_text(&room, "3", "three").await.unwrap();
    peer.wait_event(&third).await;

    for retry in &asked[2..8] {
        assert_eq!((&retry.path, &retry.body), (&asked[1].path, &asked[1].body));
    }
    let verdict = judge(&peer.records(), &[second, third]).unwrap();
    assert_eq!((verdict.transactions, verdict.repeats), (4, 6));
}

#[tokio::test]
async fn one_transaction_is_under_way_at_a_time_and_ids_grow() {
    let peer = Peer::start("irc").await;
    let server = server_for(&peer, &[]).await;
    let (alice, _, room) = room_with_ghost(&server, &peer).await;
    peer.answer(|_| async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        yes()
    });
    send_many(&alice, &room, 60, "text").await;
    let last = alice.send_text(&room, "last", "last").await.unwrap();
    peer.wait_event(&last).await;
    let verdict = judge(&peer.records(), &[last]).unwrap();
    assert_eq!((peer.most_in_flight(), verdict.events.len()), (1, 62));
}

#[tokio::test]
async fn ids_go_on_after_a_restart_and_after_a_restored_backup() {
    let peer = Peer::start("irc").await;
    let server = server_for(&peer, &[]).await;
    let (alice, _, room) = room_with_ghost(&server, &peer).await;
    peer.wait_count(1).await;
    let folder = server.stop().await;
    let backup = tempfile::TempDir::new().unwrap();
    copy_database(folder.path(), backup.path());

    let server = start_again(folder, &[]).await;
    let alice = again(&server, &alice);
    for number in ["1", "2", "3"] {
        let sent = alice.send_text(&room, number, number).await.unwrap();
        peer.wait_event(&sent).await;
    }
    let folder = server.stop().await;
    copy_database(backup.path(), folder.path());
    let server = start_again(folder, &[]).await;
    let alice = again(&server, &alice);
    let sent = alice.send_text(&room, "4", "4").await.unwrap();
    let ids = ids(&peer.wait_event(&sent).await);
    assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
    assert_eq!(ids.len(), 5);
}

/// Copies the database of a server's folder to another's.
fn copy_database(from: &Path, to: &Path) {
    let (from, to) = (from.join("data"), to.join("data"));
    std::fs::create_dir_all(&to).unwrap();
    for end in ["", "-wal", "-shm"] {
        let name = format!("bridgehead.db{end}");
        std::fs::remove_file(to.join(&name)).ok();
        if from.join(&name).exists() {
            std::fs::copy(from.join(&name), to.join(&name)).unwrap();
        }
    }
}

#[tokio::test]
async fn what_was_frozen_before_a_restart_is_sent_unchanged_after_it() {
    let peer = Peer::start("irc").await;
    let server = server_for(&peer, &[]).await;
    let (alice, _, room) = room_with_ghost(&server, &peer).await;
    peer.wait_count(1).await;
    peer.reply(|_| Reply::Hang);
    let first = alice.send_text(&room, "1", "1").await.unwrap();
    peer.wait_event(&first).await;
    let second = alice.send_text(&room, "2", "2").await.unwrap();

    let folder = server.stop().await;
    peer.reply(|_| yes());
    let _server = start_again(folder, &[]).await;
    let asked = peer.wait_event(&second).await;
    assert_eq!(asked.len(), 4);
    assert_eq!(
        (&asked[1].path, &asked[1].body),
        (&asked[2].path, &asked[2].body)
    );
    judge(&peer.records(), &[first, second]).unwrap();
}

/// Events that wait while nobody listens, then the requests that bring them.
async fn after_an_outage(count: usize, text: &str) -> Vec<Asked> {
    let mut peer = Peer::start("irc").await;
    let server = server_for(&peer, QUICK).await;
    let (alice, _, room) = room_with_ghost(&server, &peer).await;
    peer.wait_count(1).await;
    peer.close().await;
    send_many(&alice, &room, count, text).await;
    let last = alice.send_text(&room, "last", "last").await.unwrap();
    peer.open().await;
    let asked = peer.wait_event(&last).await;
    let verdict = judge(&peer.records(), &[last]).unwrap();
    assert_eq!(verdict.events.len(), count + 2);
    asked
}

#[tokio::test]
async fn a_transaction_holds_a_hundred_events_at_most() {
    let asked = after_an_outage(250, "text").await;
    // The join, the one that was tried first, and the others in hundreds.
    assert!((4..=6).contains(&asked.len()), "{}", asked.len());
}

#[tokio::test]
async fn a_transaction_holds_a_mebibyte_at_most() {
    let asked = after_an_outage(40, &"x".repeat(60_000)).await;
    assert!(asked.iter().all(|asked| asked.body.len() <= LIMIT));
    let large = asked
        .iter()
        .filter(|asked| asked.body.len() > LIMIT - 70_000);
    assert!(large.count() >= 2);
}

#[tokio::test]
async fn a_thousand_waiting_events_take_about_ten_transactions() {
    let asked = after_an_outage(1_000, "text").await;
    assert!((11..=16).contains(&asked.len()), "{}", asked.len());
}

#[tokio::test]
async fn a_lone_event_above_the_limit_goes_all_the_same() {
    let peer = Peer::start("irc").await;
    let small = ("BRIDGEHEAD_APPSERVICES_MAX_TRANSACTION_BYTES", "131072");
    let server = server_for(&peer, &[small]).await;
    let (alice, _, room) = room_with_ghost(&server, &peer).await;
    let text = "x".repeat(50_000);
    for number in ["1", "2"] {
        let content = json!({ "text": text, "number": number });
        let sent = set_state(&alice, &room, "org.example.large", "", content).await;
        peer.wait_event(&sent).await;
    }
    let after = alice.send_text(&room, "3", "3").await.unwrap();
    let asked = peer.wait_event(&after).await;
    assert!(asked.iter().any(|asked| asked.body.len() > 131_072));
}

#[tokio::test]
async fn a_service_that_hangs_holds_up_only_itself() {
    let (hanging, other) = (Peer::start("irc").await, Peer::start("xmpp").await);
    hanging.reply(|_| Reply::Hang);
    let registrations = [hanging.registration(), other.registration()];
    let mut settings = QUICK.to_vec();
    settings.push(("BRIDGEHEAD_APPSERVICES_REQUEST_TIMEOUT_MS", "500"));
    let server = server_with(&registrations, &settings).await;
    let (alice, _, room) = room_with_ghost(&server, &hanging).await;
    joined_ghost(&server, &other, &room).await;
    for number in 0..20 {
        let number = number.to_string();
        let sent = alice.send_text(&room, &number, &number).await.unwrap();
        other.wait_event(&sent).await;
    }
    let asked = hanging.wait_count(3).await;
    assert!(asked.iter().all(|one| one.body == asked[0].body));
    assert!(asked[1].at - asked[0].at >= Duration::from_millis(450));
    hanging.reply(|_| yes());
    let last = alice.send_text(&room, "last", "last").await.unwrap();
    hanging.wait_event(&last).await;
}

#[tokio::test]
async fn an_answer_without_an_end_ends_with_the_exchange() {
    let peer = Peer::start("irc").await;
    let mut settings = QUICK.to_vec();
    settings.push(("BRIDGEHEAD_APPSERVICES_REQUEST_TIMEOUT_MS", "300"));
    let server = server_for(&peer, &settings).await;
    let (alice, _, room) = room_with_ghost(&server, &peer).await;
    peer.wait_count(1).await;
    // The status counts: the first is tried again, the second is taken.
    peer.reply_in_turn(vec![Reply::Drip(500), Reply::Drip(200)]);
    alice.send_text(&room, "1", "1").await.unwrap();
    peer.wait_count(3).await;
    let second = alice.send_text(&room, "2", "2").await.unwrap();
    let asked = peer.wait_event(&second).await;
    assert_eq!(asked.len(), 4);
    assert_eq!(asked[1].body, asked[2].body);
    assert!(asked[2].at - asked[1].at >= Duration::from_millis(250));
    assert!(asked[3].at - asked[2].at >= Duration::from_millis(250));
}

#[tokio::test]
async fn a_request_of_the_service_ends_its_backoff() {
    let peer = Peer::start("irc").await;
    let server = server_for(&peer, PATIENT).await;
    let (alice, ghost, room) = room_with_ghost(&server, &peer).await;
    peer.wait_count(1).await;
    peer.reply_in_turn(vec![Reply::Html(503)]);
    alice.send_text(&room, "1", "1").await.unwrap();
    peer.wait_count(2).await;
    whoami(&ghost).await;
    let asked = peer.wait_count(3).await;
    assert_eq!(asked[1].body, asked[2].body);
}

#[tokio::test]
async fn a_ping_ends_the_backoff() {
    let peer = Peer::start("irc").await;
    let server = server_for(&peer, PATIENT).await;
    let (alice, _, room) = room_with_ghost(&server, &peer).await;
    peer.wait_count(1).await;
    peer.reply(|_| Reply::Html(503));
    let sent = alice.send_text(&room, "1", "1").await.unwrap();
    peer.wait_event(&sent).await;
    peer.reply(|_| yes());
    let path = "/_matrix/client/v1/appservice/irc/ping";
    let bot = peer.client(&server);
    bot.expect_ok(Method::POST, path, &[], Some(&json!({})))
        .await
        .unwrap();
    let asked = peer.wait(|asked| ids(asked).len() == 3).await;
    let ping = asked.iter().find(|asked| asked.path.ends_with("/ping"));
    assert_eq!(ping.unwrap().path, "/_matrix/app/v1/ping");
}

#[tokio::test]
async fn a_service_that_listens_again_is_served_without_being_asked_to() {
    let (mut peer, other) = (Peer::start("irc").await, Peer::start("xmpp").await);
    let registrations = [peer.registration(), other.registration()];
    let server = server_with(&registrations, PATIENT).await;
    let (alice, _, room) = room_with_ghost(&server, &peer).await;
    joined_ghost(&server, &other, &room).await;
    peer.wait(|asked| ids(asked).len() >= 2).await;
    peer.close().await;
    let mut sent = Vec::new();
    // By then the first attempt at the closed port has long failed.
    for number in ["1", "2", "3", "4", "5"] {
        sent.push(alice.send_text(&room, number, number).await.unwrap());
        other.wait_event(sent.last().unwrap()).await;
    }
    peer.open().await;
    let opened_at = Instant::now();
    peer.wait_event(&sent[4]).await;
    assert!(opened_at.elapsed() < Duration::from_secs(5));
    judge(&peer.records(), &sent).unwrap();
}

#[tokio::test]
async fn a_service_that_calls_and_refuses_is_not_hammered() {
    let peer = Peer::start("irc").await;
    peer.reply(|_| Reply::Html(500));
    let server = server_for(&peer, PATIENT).await;
    let (_, ghost, _) = room_with_ghost(&server, &peer).await;
    peer.wait_count(1).await;
    let started_at = Instant::now();
    while started_at.elapsed() < Duration::from_secs(2) {
        whoami(&ghost).await;
    }
    let attempts = peer.asked().len();
    // After 0, 100, 200, 400, 800 ms; some for the time before the loop.
    assert!((3..=8).contains(&attempts), "{attempts} attempts");
}

#[tokio::test]
async fn a_service_without_an_address_is_sent_nothing_and_may_act() {
    for url in [Value::Null, json!(""), json!("websocket")] {
        let peer = Peer::start("irc").await;
        let mut registration = peer.registration();
        registration["url"] = url;
        let server = server_with(&[registration], QUICK).await;
        let (alice, ghost, room) = room_with_ghost(&server, &peer).await;
        alice.send_text(&room, "1", "1").await.unwrap();
        ghost.send_text(&room, "2", "2").await.unwrap();
        let folder = server.stop().await;
        let database = folder.path().join("data/bridgehead.db");
        let store = Store::open(&database, SERVER_NAME).unwrap();
        let frozen = store.read(|snapshot| {
            let nid = snapshot.appservices()?[0].nid;
            snapshot.frozen_transaction(nid)
        });
        assert_eq!(frozen.await.unwrap(), None);
        assert!(peer.asked().is_empty());
    }
}

#[tokio::test]
async fn a_double_puppet_beside_an_exclusive_service_acts_as_everybody() {
    let (peer, puppet) = (Peer::start("irc").await, Peer::start("puppet").await);
    let mut registration = puppet.registration();
    registration["url"] = Value::Null;
    registration["namespaces"] =
        json!({ "users": [{ "regex": "@.*:localhost", "exclusive": false }] });
    let server = server_with(&[peer.registration(), registration], &[]).await;
    let (alice, ghost, room) = room_with_ghost(&server, &peer).await;
    let puppet = puppet.client(&server);
    for user in [&alice, &ghost] {
        let acting = puppet.acting_as(user.user_id());
        let answer = get(&acting, "/account/whoami", &[]).await;
        assert_eq!(answer["user_id"], user.user_id());
        let sent = acting.send_text(&room, "1", "1").await.unwrap();
        assert_eq!(peer.event(&sent).await["sender"], user.user_id());
    }
}

#[tokio::test]
async fn news_behind_very_much_that_is_not_for_the_service_arrives() {
    let peer = Peer::start("irc").await;
    let server = server_for(&peer, &[]).await;
    let (alice, _, room) = room_with_ghost(&server, &peer).await;
    peer.wait_count(1).await;
    let folder = server.stop().await;
    let file = folder.path().join("data").join("bridgehead.db");
    let store = Store::open(&file, SERVER_NAME).unwrap();
    let written: Result<(), bridgehead_store::Error> = store
        .write(|tx| {
            (0..25_000).try_for_each(|_| {
                tx.set_account_data("@alice:localhost", "", "org.example", "{}")
                    .map(drop)
            })
        })
        .await;
    written.unwrap();
    store.close().await;

    let server = start_again(folder, &[]).await;
    let sent = again(&server, &alice).send_text(&room, "t", "t").await;
    peer.wait_event(&sent.unwrap()).await;
}

#[tokio::test]
async fn an_outage_before_a_broken_connection_casts_no_suspicion_on_the_contents() {
    let peer = Peer::start("irc").await;
    let server = server_for(&peer, QUICK).await;
    let (alice, _, room) = room_with_ghost(&server, &peer).await;
    peer.wait_count(1).await;
    peer.reply(|_| Reply::Html(503));
    let mut sent = Vec::new();
    for number in 0..5 {
        let text = number.to_string();
        sent.push(alice.send_text(&room, &text, &text).await.unwrap());
    }
    // The first one goes alone, the others together: a proxy says for a while that nobody is there, and when
    // somebody is, the connection breaks once.
    let mut replies = vec![yes()];
    replies.extend((0..8).map(|_| Reply::Html(503)));
    replies.push(Reply::Drop);
    peer.reply_in_turn(replies);
    peer.wait_event(sent.last().unwrap()).await;
    let after = alice.send_text(&room, "after", "after").await.unwrap();
    peer.wait_event(&after).await;
    sent.push(after);
    judge(&peer.records(), &sent).unwrap();
}
