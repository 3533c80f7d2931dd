//! Rooms of every version, each event verified as another server would; and what must be refused.

use std::collections::BTreeMap;

use ruma::{
    RoomVersionId, UserId,
    serde::Base64,
    signatures::{PublicKeyMap, Verified, verify_event},
    state_res::check_pdu_format,
};
use serde_json::{Value, json};

use super::*;
use crate::fixture::{
    TestRoom, alice, bob, carol, key, new_event, new_state, object, remote, versions,
};

fn public_keys() -> PublicKeyMap {
    let key = key();
    let public = Base64::parse(key.public_key_base64()).unwrap();
    BTreeMap::from([(
        key.server_name().to_string(),
        BTreeMap::from([(key.key_id(), public)]),
    )])
}

fn check_forbidden(result: Result<std::sync::Arc<Event>, Rejection>, rule: &str) {
    match result {
        Err(Rejection::Forbidden { rule: found }) => {
            assert!(found.contains(rule), "expected `{rule}`, found `{found}`");
        }
        other => panic!("expected to be forbidden by `{rule}`, got {other:?}"),
    }
}

#[test]
fn every_version_gives_events_that_other_servers_accept() {
    for version in versions() {
        let mut room = TestRoom::public(&version);
        room.member(alice(), bob(), "invite").unwrap();
        room.member(bob(), bob(), "join").unwrap();
        let message = room.message(bob()).unwrap();
        let mut redaction = new_event(bob(), "m.room.redaction", json!({ "reason": "typo" }));
        redaction.redacts = Some(message.event_id.clone());
        room.send(redaction).unwrap();

        let rules = &room.view.rules;
        for event in &room.events {
            let pdu = event.to_pdu(rules).unwrap();
            let verified = verify_event(&public_keys(), &pdu, rules).unwrap();
            assert_eq!(verified, Verified::All, "{version} {}", event.event_type);
            check_pdu_format(&pdu, &rules.event_format).unwrap();

            let hash = reference_hash(&pdu, rules).unwrap();
            assert_eq!(event.event_id.as_str(), format!("${hash}"));
            let graph =
                EventGraph::from_sealed(&event.event_id, event.graph.sealed.clone()).unwrap();
            assert_eq!(graph, event.graph);
        }
        for (before, after) in room.events.iter().zip(&room.events[1..]) {
            assert_eq!(
                after.graph.prev_events,
                std::slice::from_ref(&before.event_id)
            );
            assert_eq!(after.graph.depth, before.graph.depth + 1);
        }
        assert_eq!(room.view.joined_count, 2);
    }
}

#[test]
fn the_create_event_has_what_its_version_wants() {
    let check = |version: RoomVersionId, creator: Option<&str>, names_the_room: bool| {
        let room = TestRoom::create(&version, json!({ "creator": "@eve:example.org" }));
        let create = &room.events[0];
        let pdu = create.to_pdu(&room.view.rules).unwrap();
        let content: Value = serde_json::from_str(create.content.get()).unwrap();
        assert_eq!(content["room_version"], version.as_str());
        assert_eq!(content["creator"].as_str(), creator);
        assert_eq!(!pdu.contains_key("room_id"), names_the_room);
        let hash = create.event_id.localpart();
        assert_eq!(room.view.room_id.strip_sigil() == hash, names_the_room);
    };
    check(RoomVersionId::V6, Some(alice().as_str()), false);
    check(RoomVersionId::V11, None, false);
    check(RoomVersionId::V12, None, true);
}

#[test]
fn the_redacted_id_stands_where_the_version_wants_it() {
    let check = |version: RoomVersionId, in_content: bool| {
        let mut room = TestRoom::public(&version);
        let message = room.message(alice()).unwrap();
        let target = json!(message.event_id);
        let mut redaction = new_event(alice(), "m.room.redaction", json!({}));
        redaction.redacts = Some(message.event_id.clone());
        let event = room.send(redaction).unwrap();

        let pdu = Value::from(CanonicalJsonValue::from(
            event.to_pdu(&room.view.rules).unwrap(),
        ));
        let (inside, outside) = (pdu["content"].get("redacts"), pdu.get("redacts"));
        assert_eq!(inside, in_content.then_some(&target), "{version}");
        assert_eq!(outside, (!in_content).then_some(&target), "{version}");
        assert_eq!(event.redacts.as_ref(), Some(&message.event_id));
    };
    check(RoomVersionId::V10, false);
    check(RoomVersionId::V11, true);
}

#[test]
fn a_redaction_needs_a_target() {
    let mut room = TestRoom::public(&RoomVersionId::V11);
    let target = room.message(alice()).unwrap().event_id.clone();
    let bare = new_event(alice(), "m.room.redaction", json!({}));
    assert!(matches!(room.send(bare), Err(Rejection::BadJson { .. })));
    let in_content = new_event(alice(), "m.room.redaction", json!({ "redacts": target }));
    assert_eq!(room.send(in_content).unwrap().redacts, Some(target.clone()));
    let mut message = new_event(alice(), "m.room.message", json!({}));
    message.redacts = Some(target);
    assert!(matches!(room.send(message), Err(Rejection::BadJson { .. })));
}

#[test]
fn members_alone_may_speak() {
    for version in versions() {
        let mut room = TestRoom::public(&version);
        check_forbidden(room.message(bob()), "membership is not `join`");
        room.member(alice(), bob(), "ban").unwrap();
        check_forbidden(room.member(bob(), bob(), "join"), "banned user cannot join");
        check_forbidden(room.message(bob()), "membership is not `join`");
    }
}

#[test]
fn power_is_needed_and_cannot_be_raised_above_ones_own() {
    for version in versions() {
        let mut room = TestRoom::public(&version);
        for user in [bob(), carol()] {
            room.member(user, user, "join").unwrap();
        }
        let topic = json!({ "topic": "mine" });
        check_forbidden(
            room.state(carol(), "m.room.topic", topic.clone()),
            "not have enough power",
        );
        room.state(bob(), "m.room.topic", topic).unwrap();
        check_forbidden(
            room.member(bob(), alice(), "leave"),
            "not have enough power to kick",
        );

        let raised = room.users_with_alice(json!({ bob(): 51 }));
        let raised = json!({ "users": raised });
        check_forbidden(
            room.state(bob(), "m.room.power_levels", raised),
            "not have enough power",
        );
        let shared = room.users_with_alice(json!({ bob(): 50, carol(): 50 }));
        let shared = json!({ "users": shared });
        room.state(bob(), "m.room.power_levels", shared).unwrap();
    }
}

#[test]
fn a_creator_with_infinite_power_has_no_power_level() {
    let mut room = TestRoom::public(&RoomVersionId::V12);
    let content = json!({ "users": { alice(): 100 } });
    check_forbidden(
        room.state(alice(), "m.room.power_levels", content),
        "creator user IDs",
    );
}

#[test]
fn power_levels_must_be_integers_where_the_version_says_so() {
    let content = json!({ "ban": "50" });
    let mut old = TestRoom::create(&RoomVersionId::V9, json!({}));
    old.state(alice(), "m.room.power_levels", content.clone())
        .unwrap();
    let mut new = TestRoom::create(&RoomVersionId::V10, json!({}));
    let refused = new.state(alice(), "m.room.power_levels", content);
    assert!(
        matches!(refused, Err(Rejection::BadJson { .. })),
        "{refused:?}"
    );
}

#[test]
fn knocking_comes_with_its_version() {
    for version in versions() {
        let mut room = TestRoom::create(&version, json!({}));
        room.state(
            alice(),
            "m.room.join_rules",
            json!({ "join_rule": "knock" }),
        )
        .unwrap();
        let knock = room.member(bob(), bob(), "knock");
        if room.view.rules.authorization.knocking {
            knock.unwrap();
            check_forbidden(room.member(bob(), bob(), "join"), "not `public`");
        } else {
            check_forbidden(knock, "unknown membership");
        }
    }
}

#[test]
fn a_restricted_room_wants_somebody_to_vouch() {
    let mut room = TestRoom::create(&RoomVersionId::V10, json!({}));
    let rule = json!({ "join_rule": "restricted", "allow": [] });
    room.state(alice(), "m.room.join_rules", rule).unwrap();
    check_forbidden(
        room.member(bob(), bob(), "join"),
        "join_authorised_via_users_server",
    );

    let vouched = |by: &UserId| {
        let content = json!({ "membership": "join", "join_authorised_via_users_server": by });
        new_state(bob(), "m.room.member", bob().as_str(), content)
    };
    check_forbidden(room.send(vouched(carol())), "is not joined");
    let authoriser = room
        .view
        .restricted_join_authoriser(bob().server_name())
        .unwrap();
    let join = room.send(vouched(&authoriser)).unwrap();
    let pdu = join.to_pdu(&room.view.rules).unwrap();
    verify_event(&public_keys(), &pdu, &room.view.rules).unwrap();
}

#[test]
fn strangers_stay_out_of_an_unfederated_room() {
    let mut room = TestRoom::create(&RoomVersionId::V11, json!({ "m.federate": false }));
    let stranger = remote("dave");
    check_forbidden(room.member(&stranger, &stranger, "join"), "not federated");
}

#[test]
fn sizes_are_limited() {
    let mut room = TestRoom::public(&RoomVersionId::V11);
    let too_large = |result: Result<_, Rejection>, expected| match result {
        Err(Rejection::TooLarge {
            what,
            limit,
            actual,
        }) => {
            assert_eq!(what, expected);
            assert!(actual > limit);
        }
        other => panic!("expected {expected} to be too large, got {other:?}"),
    };
    too_large(
        room.send(new_event(alice(), &"t".repeat(256), json!({}))),
        "type",
    );
    too_large(
        room.send(new_state(alice(), "t", &"k".repeat(256), json!({}))),
        "state_key",
    );

    // The largest body that fits, then one byte more.
    let frame = {
        let event = room
            .send(new_event(alice(), "t", json!({ "body": "" })))
            .unwrap();
        serde_json::to_string(&event.to_pdu(&room.view.rules).unwrap())
            .unwrap()
            .len()
    };
    let body = |bytes: usize| new_event(alice(), "t", json!({ "body": "x".repeat(bytes) }));
    // The depth gains no digit here, so the frame keeps its size.
    room.send(body(MAX_PDU_BYTES - frame)).unwrap();
    too_large(room.send(body(MAX_PDU_BYTES - frame + 1)), "event");
    too_large(room.send(body(MAX_PDU_BYTES)), "event");
}

#[test]
fn a_room_is_created_once_and_in_a_known_version() {
    let mut room = TestRoom::public(&RoomVersionId::V11);
    check_forbidden(
        room.state(alice(), "m.room.create", json!({})),
        "exactly one",
    );

    let create = || new_state(alice(), "m.room.create", "", json!({}));
    for version in [RoomVersionId::V5, "org.example.unknown".try_into().unwrap()] {
        let refused = build_create(&version, None, create(), &key());
        assert!(
            matches!(refused, Err(Rejection::UnsupportedVersion(_))),
            "{version}"
        );
    }
    let nameless = build_create(&RoomVersionId::V11, None, create(), &key());
    assert!(matches!(nameless, Err(Rejection::BadJson { .. })));
    let mut foreign = create();
    foreign.sender = remote("dave");
    let foreign = build_create(
        &RoomVersionId::V11,
        Some(room.view.room_id.clone()),
        foreign,
        &key(),
    );
    assert!(matches!(foreign, Err(Rejection::Forbidden { .. })));
}

#[test]
fn a_key_never_shows_itself() {
    let shown = format!("{:?}", key());
    assert!(shown.contains("ed25519:test"));
    assert!(!shown.contains(&key().public_key_base64()) && !shown.contains("7, 7"));
    let mut document = object(json!({ "valid": true }));
    key().sign_json(&mut document).unwrap();
    ruma::signatures::verify_json(&public_keys(), &document).unwrap();
}
