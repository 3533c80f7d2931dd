//! `/upgrade`.

use bridgehead_testkit::{Client, TestServer};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{bad_request, forbidden, get, post, public_room, put, refused, set_state};

async fn upgrade(client: &Client, room: &str, body: Value) -> String {
    let answer = post(client, &format!("/rooms/{room}/upgrade"), body).await;
    answer["replacement_room"].as_str().unwrap().to_owned()
}

async fn state(client: &Client, room: &str, kind: &str) -> Value {
    client.state(room, kind, "").await.unwrap()
}

#[tokio::test]
async fn the_new_room_is_as_the_old_one_was() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let body = json!({
        "room_version": "10", "visibility": "public", "preset": "public_chat",
        "name": "tea", "topic": "leaves", "room_alias_name": "tea",
        "creation_content": { "type": "m.space", "m.federate": false },
        "power_level_content_override": { "events": { "org.example": 37 }, "invite": 1 },
    });
    let old = alice.create_room(&body).await.unwrap();
    put(
        &alice,
        "/directory/room/#more:localhost",
        json!({ "room_id": old }),
    )
    .await;
    let child = json!({ "via": ["localhost"] });
    set_state(
        &alice,
        &old,
        "m.space.child",
        "!child:localhost",
        child.clone(),
    )
    .await;

    let new = upgrade(&alice, &old, json!({ "new_version": "11" })).await;

    let create = state(&alice, &new, "m.room.create").await;
    assert_eq!(create["room_version"], "11");
    assert_eq!(create["type"], "m.space");
    assert_eq!(create["m.federate"], false);
    assert_eq!(create["predecessor"]["room_id"], json!(old));
    assert!(create["predecessor"]["event_id"].is_string());
    assert_eq!(state(&alice, &new, "m.room.name").await["name"], "tea");
    assert_eq!(state(&alice, &new, "m.room.topic").await["topic"], "leaves");
    assert_eq!(
        state(&alice, &new, "m.room.join_rules").await["join_rule"],
        "public"
    );
    let levels = state(&alice, &new, "m.room.power_levels").await;
    assert_eq!(levels["events"], json!({ "org.example": 37 }));
    assert_eq!(levels["users"], json!({ "@alice:localhost": 100 }));
    assert_eq!(levels["invite"], 1);
    assert_eq!(
        alice
            .state(&new, "m.space.child", "!child:localhost")
            .await
            .unwrap(),
        child
    );

    // What led to the old room leads to the new one.
    let alias = state(&alice, &new, "m.room.canonical_alias").await;
    assert_eq!(alias["alias"], "#tea:localhost");
    for alias in ["#tea:localhost", "#more:localhost"] {
        let found = get(&alice, &format!("/directory/room/{alias}"), &[]).await;
        assert_eq!(found["room_id"], json!(new), "{alias}");
    }
    let listed = get(&alice, "/publicRooms", &[]).await;
    assert_eq!(listed["chunk"][0]["room_id"], json!(new));
    assert_eq!(listed["total_room_count_estimate"], 1);

    // The old one is over.
    let tombstone = state(&alice, &old, "m.room.tombstone").await;
    assert_eq!(tombstone["replacement_room"], json!(new));
    let levels = state(&alice, &old, "m.room.power_levels").await;
    assert_eq!(
        (&levels["events_default"], &levels["invite"]),
        (&json!(50), &json!(50))
    );
    assert_eq!(
        state(&alice, &old, "m.room.canonical_alias").await,
        json!({})
    );
}

#[tokio::test]
async fn an_upgrader_with_little_power_has_no_more_in_the_new_room() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let bob = server.user("bob").await.unwrap();
    let users = json!({ "@alice:localhost": 100, "@bob:localhost": 50 });
    let old = alice
        .create_room(&json!({
            "room_version": "10", "preset": "public_chat", "name": "tea",
            "power_level_content_override": {
                "users": users,
                "events": { "m.room.tombstone": 50, "m.room.name": 90, "m.room.power_levels": 100 },
            },
        }))
        .await
        .unwrap();
    bob.join(&old).await.unwrap();
    let new = upgrade(&bob, &old, json!({ "new_version": "10" })).await;
    assert_eq!(state(&bob, &new, "m.room.name").await["name"], "tea");
    assert_eq!(
        state(&bob, &new, "m.room.power_levels").await["users"],
        users
    );
    // Bob may not change the old room's levels, and the upgrade went through all the same.
    let levels = state(&bob, &old, "m.room.power_levels").await;
    assert_eq!(levels["events_default"], 0);
}

#[tokio::test]
async fn version_12_has_creators_instead_of_levels() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let users = json!({ "@alice:localhost": 100, "@bob:localhost": 100, "@carol:localhost": 50 });
    let old = alice
        .create_room(&json!({
            "room_version": "11", "power_level_content_override": { "users": users },
        }))
        .await
        .unwrap();
    let body = json!({ "new_version": "12", "additional_creators": ["@bob:localhost"] });
    let new = upgrade(&alice, &old, body).await;

    let create = state(&alice, &new, "m.room.create").await;
    assert_eq!(create["additional_creators"], json!(["@bob:localhost"]));
    assert_eq!(create["predecessor"], json!({ "room_id": old }));
    let levels = state(&alice, &new, "m.room.power_levels").await;
    assert_eq!(levels["users"], json!({ "@carol:localhost": 50 }));

    // And back: the creators get ordinary power.
    let older = upgrade(&alice, &new, json!({ "new_version": "11" })).await;
    let levels = state(&alice, &older, "m.room.power_levels").await;
    assert_eq!(levels["users"], users);
    let create = state(&alice, &older, "m.room.create").await;
    assert!(create.get("additional_creators").is_none(), "{create}");
}

#[tokio::test]
async fn upgrades_need_power_and_a_version_that_exists() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let bob = server.user("bob").await.unwrap();
    let room = public_room(&alice).await;
    bob.join(&room).await.unwrap();
    let rest = format!("/rooms/{room}/upgrade");
    for (client, body, expected) in [
        (&bob, json!({ "new_version": "11" }), forbidden()),
        (
            &alice,
            json!({ "new_version": "nonsense" }),
            bad_request("M_UNSUPPORTED_ROOM_VERSION"),
        ),
        (&alice, json!({}), bad_request("M_BAD_JSON")),
    ] {
        assert_eq!(
            refused(client, Method::POST, &rest, Some(body)).await,
            expected
        );
    }
    assert!(alice.state(&room, "m.room.tombstone", "").await.is_err());
}
