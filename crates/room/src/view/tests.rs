//! A view answers from its state, and stays true to it from event to event.

use proptest::prelude::*;
use ruma::{
    EventId, MilliSecondsSinceUnixEpoch, UInt, events::room::power_levels::UserPowerLevel,
    owned_room_id, owned_server_name, state_res::events::RoomPowerLevelsIntField,
};
use serde_json::{Value, json, value::to_raw_value};

use super::*;
use crate::{
    EventGraph,
    fixture::{TestRoom, alice, bob, carol, new_state, remote, versions},
};

#[test]
fn creators_follow_the_version() {
    let more = json!({ "additional_creators": [bob()] });
    for version in versions() {
        let room = TestRoom::create(&version, more.clone());
        let infinite = room
            .view
            .rules
            .authorization
            .explicitly_privilege_room_creators;
        let level = room.view.user_power_level(alice());
        if infinite {
            assert_eq!(room.view.creators(), [alice(), bob()]);
            assert_eq!(level, UserPowerLevel::Infinite);
            assert_eq!(room.view.user_power_level(bob()), UserPowerLevel::Infinite);
        } else {
            assert_eq!(room.view.creators(), [alice()]);
            assert_eq!(level, ruma::int!(100));
            assert_eq!(room.view.user_power_level(bob()), ruma::int!(0));
        }
    }
}

#[test]
fn power_is_read_from_the_current_levels() {
    let mut room = TestRoom::public(&RoomVersionId::V11);
    room.member(bob(), bob(), "join").unwrap();
    room.member(carol(), carol(), "join").unwrap();
    assert!(room.view.can_send_state(bob(), "m.room.topic"));
    assert!(!room.view.can_send_state(carol(), "m.room.topic"));
    assert!(room.view.can_invite(carol()));

    let users = room.users_with_alice(json!({}));
    let levels = json!({
        "users": users, "events": { "m.room.topic": 0, "m.reaction": 7 }, "invite": 1, "kick": 9,
    });
    room.state(alice(), "m.room.power_levels", levels).unwrap();
    let view = &room.view;
    assert!(view.can_send_state(carol(), "m.room.topic"));
    assert!(
        !view.can_send_state(bob(), "m.room.name"),
        "Bob lost his level"
    );
    assert!(!view.can_invite(carol()));
    assert_eq!(view.event_power_level("m.reaction", false), ruma::int!(7));
    assert_eq!(
        view.event_power_level("m.room.message", false),
        ruma::int!(0)
    );
    assert_eq!(view.level(RoomPowerLevelsIntField::Kick), ruma::int!(9));
    assert_eq!(view.level(RoomPowerLevelsIntField::Ban), ruma::int!(50));
}

#[test]
fn somebody_who_may_invite_vouches() {
    let mut room = TestRoom::public(&RoomVersionId::V12);
    let here = owned_server_name!("example.org");
    let elsewhere = owned_server_name!("elsewhere.org");
    let dave = remote("dave");
    assert_eq!(room.view.restricted_join_authoriser(&elsewhere), None);
    room.member(&dave, &dave, "join").unwrap();
    assert_eq!(
        room.view.restricted_join_authoriser(&elsewhere),
        Some(dave.clone())
    );
    assert_eq!(
        room.view.restricted_join_authoriser(&here).as_deref(),
        Some(alice())
    );

    room.state(alice(), "m.room.power_levels", json!({ "invite": 50 }))
        .unwrap();
    assert_eq!(
        room.view.restricted_join_authoriser(&elsewhere),
        None,
        "his level is too low"
    );
    assert_eq!(
        room.view.restricted_join_authoriser(&here).as_deref(),
        Some(alice())
    );
}

#[test]
fn what_the_room_says_of_itself() {
    let mut room = TestRoom::create(&RoomVersionId::V11, json!({ "m.federate": false }));
    assert_eq!(room.view.join_rule(), JoinRuleKind::Invite);
    assert_eq!(room.view.history_visibility(), HistoryVisibility::Shared);
    assert_eq!(room.view.name(), None);
    assert!(!room.view.is_federatable());

    let allow = json!([
        { "type": "m.room_membership", "room_id": "!space:example.org" },
        { "type": "org.example.other", "room_id": "!other:example.org" },
    ]);
    let rules = json!({ "join_rule": "restricted", "allow": allow });
    room.state(alice(), "m.room.join_rules", rules).unwrap();
    let visibility = json!({ "history_visibility": "world_readable" });
    room.state(alice(), "m.room.history_visibility", visibility)
        .unwrap();
    room.state(alice(), "m.room.name", json!({ "name": "Tea" }))
        .unwrap();
    room.state(
        alice(),
        "m.room.avatar",
        json!({ "url": "mxc://example.org/a" }),
    )
    .unwrap();
    room.state(alice(), "m.room.topic", json!({ "topic": "" }))
        .unwrap();

    let view = &room.view;
    assert_eq!(view.join_rule(), JoinRuleKind::Restricted);
    assert_eq!(view.allowed_rooms(), [owned_room_id!("!space:example.org")]);
    assert_eq!(view.history_visibility(), HistoryVisibility::WorldReadable);
    assert_eq!(view.name().as_deref(), Some("Tea"));
    assert_eq!(view.avatar().as_deref(), Some("mxc://example.org/a"));
    assert_eq!(view.topic(), None, "an empty topic is none");

    let types = |events: Vec<Arc<Event>>| -> Vec<String> {
        events
            .iter()
            .map(|event| event.event_type.to_string())
            .collect()
    };
    let shown = [
        "m.room.create",
        "m.room.name",
        "m.room.avatar",
        "m.room.join_rules",
        "m.room.topic",
    ];
    assert_eq!(types(view.stripped_state(None)), shown);
    let invite = room.member(alice(), bob(), "invite").unwrap();
    let with_inviter = room.view.stripped_state(Some(&invite));
    assert_eq!(
        with_inviter.last().unwrap().state_key.as_deref(),
        Some(alice().as_str())
    );
    assert_eq!(with_inviter.len(), shown.len() + 1);
}

#[test]
fn heroes_are_the_first_others() {
    let mut room = TestRoom::public(&RoomVersionId::V11);
    // Later letters join first.
    for (second, name) in (1u32..).zip(["h", "g", "f", "e", "d", "c"]) {
        let user = remote(name);
        let content = json!({ "membership": "join" });
        let mut join = new_state(&user, "m.room.member", user.as_str(), content);
        join.origin_server_ts =
            MilliSecondsSinceUnixEpoch(UInt::from(1_800_000_000u32) + UInt::from(second));
        room.send(join).unwrap();
    }
    let expected: Vec<_> = ["h", "g", "f", "e", "d"].map(remote).into();
    assert_eq!(room.view.heroes(alice()), expected);

    let mut empty = TestRoom::public(&RoomVersionId::V11);
    empty.member(bob(), bob(), "join").unwrap();
    assert_eq!(empty.view.heroes(alice()), [bob()]);
    empty.member(bob(), bob(), "leave").unwrap();
    assert_eq!(
        empty.view.heroes(alice()),
        [bob()],
        "gone, but better than nobody"
    );
}

#[test]
fn a_redacted_event_takes_its_own_place_only() {
    let mut room = TestRoom::public(&RoomVersionId::V11);
    let first = room
        .state(alice(), "m.room.name", json!({ "name": "one" }))
        .unwrap();
    let first = Arc::new(first.redacted(&room.view.rules).unwrap());
    assert_eq!(room.view.with_redacted(&first).name(), None);
    room.state(alice(), "m.room.name", json!({ "name": "two" }))
        .unwrap();
    assert_eq!(
        room.view.with_redacted(&first).name().as_deref(),
        Some("two")
    );
}

/// A state event as it comes from the store: without its graph.
fn stored(
    number: usize,
    event_type: &str,
    state_key: Option<String>,
    content: &Value,
) -> Arc<Event> {
    Arc::new(Event {
        event_id: EventId::new_v2_or_v3(&format!("event{number}")).unwrap(),
        room_id: owned_room_id!("!room:example.org"),
        sender: alice().to_owned(),
        event_type: event_type.into(),
        state_key,
        origin_server_ts: MilliSecondsSinceUnixEpoch(UInt::from(1u32)),
        content: to_raw_value(content).unwrap(),
        redacts: None,
        graph: EventGraph::default(),
    })
}

fn any_event() -> impl Strategy<Value = (&'static str, Option<String>, Value)> {
    let membership = prop::sample::select(vec!["join", "invite", "knock", "leave", "ban", "odd"]);
    let user = "@[a-e]:example\\.org";
    prop_oneof![
        6 => (user, membership).prop_map(|(user, membership)| {
            ("m.room.member", Some(user), json!({ "membership": membership }))
        }),
        1 => Just(("m.room.power_levels", Some(String::new()), json!({ "invite": 50 }))),
        1 => Just(("m.room.message", None, json!({ "body": "hello" }))),
    ]
}

proptest! {
    #[test]
    fn applying_equals_starting_over(events in prop::collection::vec(any_event(), 0..40)) {
        let new_view = |state: Vec<Arc<Event>>, extremities, depth| {
            let room_id = owned_room_id!("!room:example.org");
            RoomView::from_state(room_id, RoomVersionId::V11, state, extremities, depth).unwrap()
        };
        let mut view = new_view(Vec::new(), Vec::new(), 0);
        for (number, (event_type, state_key, content)) in events.iter().enumerate() {
            let event = stored(number, event_type, state_key.clone(), content);
            let before = view.clone();
            view = view.apply(&event);
            prop_assert_eq!(&view.forward_extremities[..], std::slice::from_ref(&event.event_id));
            prop_assert_eq!(view.depth, before.depth + 1);

            let state = view.state.values().flat_map(|events| events.values().cloned()).collect();
            let afresh = new_view(state, view.forward_extremities.clone(), view.depth);
            prop_assert_eq!(&view.members, &afresh.members);
            let count = |wanted| view.members.values().filter(|found| **found == wanted).count();
            prop_assert_eq!(view.joined_count, count(Membership::Join) as u64);
            prop_assert_eq!(view.invited_count, count(Membership::Invite) as u64);
            prop_assert_eq!(
                view.level(RoomPowerLevelsIntField::Invite),
                afresh.level(RoomPowerLevelsIntField::Invite)
            );
        }
    }
}
