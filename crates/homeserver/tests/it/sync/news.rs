//! What comes with `/sync` beside events: typing, receipts, account data, messages to devices,
//! presence, counts.

use std::time::{Duration, Instant};

use bridgehead_testkit::TestServer;
use reqwest::Method;
use serde_json::json;

use super::{LONG, alice_and_bob, membership, put, sync, token, types};

#[tokio::test]
async fn typing_wakes_and_ends_by_itself() {
    let (_server, [alice, bob], room, [_, since]) = alice_and_bob().await;
    let path = format!("/_matrix/client/v3/rooms/{room}/typing/{}", alice.user_id());
    let query = [("since", since.as_str()), ("timeout", LONG)];
    let typing = put(&alice, &path, json!({ "typing": true, "timeout": 300 }));
    let (news, _) = tokio::join!(sync(&bob, &query), typing);
    let ephemeral = &news["rooms"]["join"][&room]["ephemeral"]["events"];
    assert_eq!(
        ephemeral,
        &json!([{ "type": "m.typing", "content": { "user_ids": [alice.user_id()] } }])
    );

    let started = Instant::now();
    let since = token(&news);
    let news = sync(&bob, &[("since", &since), ("timeout", LONG)]).await;
    let ephemeral = &news["rooms"]["join"][&room]["ephemeral"]["events"];
    assert_eq!(
        ephemeral,
        &json!([{ "type": "m.typing", "content": { "user_ids": [] } }])
    );
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "it waited in vain"
    );
    let quiet = sync(&bob, &[("since", &token(&news))]).await;
    assert!(quiet.get("rooms").is_none(), "{quiet}");
}

#[tokio::test]
async fn receipts_wake_and_private_ones_are_their_owners_alone() {
    let (_server, [alice, bob], room, [since, since_of_bob]) = alice_and_bob().await;
    let event = alice.send_text(&room, "t1", "read me").await.unwrap();
    let news = sync(&alice, &[("since", &since)]).await;
    let since = token(&news);

    let private = format!("/_matrix/client/v3/rooms/{room}/receipt/m.read.private/{event}");
    let public = format!("/_matrix/client/v3/rooms/{room}/receipt/m.read/{event}");
    let send = async |path: &str| {
        bob.expect_ok(Method::POST, path, &[], Some(&json!({})))
            .await
            .unwrap();
    };
    send(&private).await;
    let quiet = sync(&alice, &[("since", &since)]).await;
    assert!(quiet.get("rooms").is_none(), "{quiet}");
    let own = sync(&bob, &[("since", &since_of_bob)]).await;
    let own_room = &own["rooms"]["join"][&room];
    let receipt = &own_room["ephemeral"]["events"][0]["content"][&event]["m.read.private"];
    assert!(receipt.get(bob.user_id()).is_some(), "{own}");
    assert_eq!(own_room["unread_notifications"]["notification_count"], 0);

    let query = [("since", since.as_str()), ("timeout", LONG)];
    let (news, ()) = tokio::join!(sync(&alice, &query), send(&public));
    let receipt = &news["rooms"]["join"][&room]["ephemeral"]["events"][0];
    assert_eq!(receipt["type"], "m.receipt");
    let content = &receipt["content"][&event];
    assert!(
        content["m.read"][bob.user_id()]["ts"].is_number(),
        "{content}"
    );
    assert!(content.get("m.read.private").is_none(), "{content}");
}

#[tokio::test]
async fn account_data_wakes_its_owner_only() {
    let (_server, [alice, bob], room, [since, since_of_bob]) = alice_and_bob().await;
    let user = format!("/_matrix/client/v3/user/{}", alice.user_id());
    let global = format!("{user}/account_data/org.example.colour");
    let query = [("since", since.as_str()), ("timeout", LONG)];
    let (news, _) = tokio::join!(
        sync(&alice, &query),
        put(&alice, &global, json!({ "colour": "red" }))
    );
    assert_eq!(
        news["account_data"]["events"],
        json!([{ "type": "org.example.colour", "content": { "colour": "red" } }])
    );

    let in_room = format!("{user}/rooms/{room}/account_data/org.example.note");
    put(&alice, &in_room, json!({ "note": 1 })).await;
    let news = sync(&alice, &[("since", &token(&news))]).await;
    assert_eq!(
        types(&news["rooms"]["join"][&room]["account_data"]),
        ["org.example.note"]
    );
    let others = sync(&bob, &[("since", &since_of_bob)]).await;
    assert!(others.get("rooms").is_none(), "{others}");
    assert!(others.get("account_data").is_none(), "{others}");
}

#[tokio::test]
async fn to_device_messages_come_until_they_are_acknowledged() {
    let (_server, [alice, bob], _room, [_, since]) = alice_and_bob().await;
    let path = "/_matrix/client/v3/sendToDevice/org.example.ping/t1";
    let body = json!({ "messages": { bob.user_id(): { "*": { "n": 1 } } } });
    let query = [("since", since.as_str()), ("timeout", LONG)];
    let (news, _) = tokio::join!(sync(&bob, &query), put(&alice, path, body));
    let expected = json!([{
        "type": "org.example.ping",
        "sender": alice.user_id(),
        "content": { "n": 1 },
    }]);
    assert_eq!(news["to_device"]["events"], expected);

    let again = sync(&bob, &[("since", &since)]).await;
    assert_eq!(again["to_device"]["events"], expected, "not acknowledged");
    let next = sync(&bob, &[("since", &token(&again))]).await;
    assert!(next.get("to_device").is_none(), "{next}");
    let from_the_start = sync(&bob, &[]).await;
    assert!(from_the_start.get("to_device").is_none(), "acknowledged");
}

#[tokio::test]
async fn many_to_device_messages_come_in_pages() {
    let (_server, [alice, bob], _room, [_, since]) = alice_and_bob().await;
    for number in 0..101 {
        let path = format!("/_matrix/client/v3/sendToDevice/org.example.ping/t{number}");
        let body = json!({ "messages": { bob.user_id(): { "*": { "n": number } } } });
        put(&alice, &path, body).await;
    }
    let first = sync(&bob, &[("since", &since)]).await;
    assert_eq!(first["to_device"]["events"].as_array().unwrap().len(), 100);
    let second = sync(&bob, &[("since", &token(&first))]).await;
    assert_eq!(second["to_device"]["events"][0]["content"]["n"], 100);
    assert_eq!(second["to_device"]["events"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn presence_is_told_to_those_who_share_a_room() {
    let (server, [alice, bob], _room, [since, _]) = alice_and_bob().await;
    let stranger = server.user("stranger").await.unwrap();
    let since_of_stranger = token(&sync(&stranger, &[]).await);
    let path = format!("/_matrix/client/v3/presence/{}/status", bob.user_id());
    let body = json!({ "presence": "unavailable", "status_msg": "at tea" });
    let query = [("since", since.as_str()), ("timeout", LONG)];
    let (news, _) = tokio::join!(sync(&alice, &query), put(&bob, &path, body));
    let event = &news["presence"]["events"][0];
    assert_eq!(event["sender"], bob.user_id());
    assert_eq!(event["content"]["presence"], "unavailable");
    assert_eq!(event["content"]["status_msg"], "at tea");

    let others = sync(&stranger, &[("since", &since_of_stranger)]).await;
    assert!(others.get("presence").is_none(), "{others}");
}

#[tokio::test]
async fn who_is_ignored_is_not_heard() {
    let (server, [alice, bob], room, [since, _]) = alice_and_bob().await;
    let path = format!(
        "/_matrix/client/v3/user/{}/account_data/m.ignored_user_list",
        alice.user_id()
    );
    put(
        &alice,
        &path,
        json!({ "ignored_users": { bob.user_id(): {} } }),
    )
    .await;
    bob.send_text(&room, "t1", "spam").await.unwrap();
    let other = bob.create_room(&json!({})).await.unwrap();
    bob.invite(&other, alice.user_id()).await.unwrap();
    let news = sync(&alice, &[("since", &since)]).await;
    assert!(news.get("rooms").is_none(), "{news}");
    drop(server);
}

#[tokio::test]
async fn highlights_are_counted_by_the_push_rules() {
    let (_server, [alice, bob], room, [_, since]) = alice_and_bob().await;
    alice.send_text(&room, "t1", "quiet").await.unwrap();
    let content = json!({
        "msgtype": "m.text",
        "body": "you there?",
        "m.mentions": { "user_ids": [bob.user_id()] },
    });
    alice
        .send(&room, "m.room.message", "t2", &content)
        .await
        .unwrap();
    let news = sync(&bob, &[("since", &since)]).await;
    assert_eq!(
        news["rooms"]["join"][&room]["unread_notifications"],
        json!({ "notification_count": 2, "highlight_count": 1 })
    );
}

#[tokio::test]
async fn whose_devices_matter_follows_the_encrypted_rooms() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let bob = server.user("bob").await.unwrap();
    let encryption = json!({
        "type": "m.room.encryption",
        "state_key": "",
        "content": { "algorithm": "m.megolm.v1.aes-sha2" },
    });
    let room = alice
        .create_room(&json!({ "preset": "public_chat", "initial_state": [encryption] }))
        .await
        .unwrap();
    let plain = alice
        .create_room(&json!({ "preset": "public_chat" }))
        .await
        .unwrap();
    let first = sync(&alice, &[]).await;
    assert!(first.get("device_lists").is_none(), "{first}");

    bob.join(&plain).await.unwrap();
    let news = sync(&alice, &[("since", &token(&first))]).await;
    assert!(news.get("device_lists").is_none(), "{news}");
    bob.join(&room).await.unwrap();
    let news = sync(&alice, &[("since", &token(&news))]).await;
    assert_eq!(news["device_lists"]["changed"], json!([bob.user_id()]));
    assert_eq!(news["device_lists"]["left"], json!([]));
    membership(&bob, &room, "leave", None).await;
    let news = sync(&alice, &[("since", &token(&news))]).await;
    assert_eq!(news["device_lists"]["changed"], json!([]));
    assert_eq!(news["device_lists"]["left"], json!([bob.user_id()]));
}
