use serde_json::json;

use super::*;
use crate::store::Origin;

fn row(kind: &str, state_key: &str, content: Value) -> StateRow {
    StateRow {
        kind: kind.to_owned(),
        state_key: state_key.to_owned(),
        event_id: None,
        sender: "@maker:x".to_owned(),
        sent_ms: 1,
        noted_ms: 1,
        origin: Origin::Stream,
        content,
    }
}

fn member(view: &mut RoomView, user: &str, membership: &str) {
    let row = row("m.room.member", user, json!({ "membership": membership }));
    view.apply(&row, &interest());
}

fn interest() -> Interest {
    Interest::of(&["@ghost_.*:x"], &["#bridged_.*:x"], &["!watched:x"])
}

fn view(id: &str, row: Option<RoomRow>) -> RoomView {
    RoomView::new(RoomId::parse(id).expect("an id"), row)
}

fn standing(view: &RoomView, now_ms: i64) -> Standing {
    view.standing(&interest(), now_ms)
}

#[test]
fn known_is_what_is_followed_and_complete() {
    let fetched = RoomRow {
        fetched_ms: Some(5),
        heard_ms: 7,
        ..RoomRow::default()
    };
    let mut room = view("!r:x", Some(fetched));
    assert_eq!(
        standing(&room, 10),
        Standing::Stale(7),
        "nobody of ours is in it"
    );
    member(&mut room, "@ghost_a:x", "join");
    assert_eq!(standing(&room, 10), Standing::Known);
    member(&mut room, "@ghost_a:x", "leave");
    assert_eq!(standing(&room, 10), Standing::Stale(7));
    member(&mut room, "@bot:x", "join");
    assert_eq!(standing(&room, 10), Standing::Known);
    room.set_row(Some(RoomRow {
        stale_ms: Some(8),
        ..fetched
    }));
    assert_eq!(standing(&room, 10), Standing::Stale(8));
}

#[test]
fn namespaces_of_rooms_and_aliases_are_followed_without_anybody_in_them() {
    let fetched = RoomRow {
        fetched_ms: Some(5),
        ..RoomRow::default()
    };
    assert_eq!(
        standing(&view("!watched:x", Some(fetched)), 10),
        Standing::Known
    );
    let mut room = view("!r:x", Some(fetched));
    let alias = json!({ "alias": "#main:x", "alt_aliases": ["#bridged_1:x"] });
    room.apply(&row("m.room.canonical_alias", "", alias), &interest());
    assert_eq!(standing(&room, 10), Standing::Known);
}

#[test]
fn a_room_followed_from_its_start_is_known_once_its_making_is_over() {
    let made = RoomRow {
        created_ms: Some(1000),
        heard_ms: 1000,
        ..RoomRow::default()
    };
    let mut room = view("!r:x", Some(made));
    member(&mut room, "@bot:x", "join");
    assert_eq!(standing(&room, 1001), Standing::Partial);
    assert_eq!(standing(&room, 1000 + BURST_MS), Standing::Known);
}

#[test]
fn what_was_heard_in_part_is_known_in_part() {
    let mut room = view(
        "!watched:x",
        Some(RoomRow {
            heard_ms: 3,
            ..RoomRow::default()
        }),
    );
    room.apply(&row("m.room.name", "", json!({ "name": "n" })), &interest());
    let standing = standing(&room, 10);
    assert_eq!(standing, Standing::Partial);
    assert_eq!(
        room.part(standing, room.text("m.room.name", "name")),
        Fresh::Known(Some("n"))
    );
    assert_eq!(
        room.part(standing, room.text("m.room.topic", "topic")),
        Fresh::Unknown
    );
    assert_eq!(room.whole(standing, 1), Fresh::Unknown);
    // Nobody knows whether that what was never complete has changed.
    let old = Standing::Stale(5);
    assert_eq!(room.part(old, Some(1)), Fresh::Stale(Some(1), 5));
    assert_eq!(room.part::<u8>(old, None), Fresh::Unknown);
}

#[test]
fn creators_by_version() {
    let content =
        json!({ "room_version": "10", "creator": "@old:x", "additional_creators": ["@more:x"] });
    for (version, expected) in [
        (Some("1"), &["@old:x"][..]),
        (Some("10"), &["@old:x"]),
        (Some("11"), &["@maker:x"]),
        (Some("12"), &["@maker:x", "@more:x"]),
        (None, &["@old:x"]),
    ] {
        let mut content = content.clone();
        match version {
            Some(version) => content["room_version"] = json!(version),
            None => drop(
                content
                    .as_object_mut()
                    .expect("an object")
                    .remove("room_version"),
            ),
        }
        let creation = Creation::new("@maker:x", &content).expect("a creation");
        let creators: Vec<&str> = creation.creators.iter().map(UserId::as_str).collect();
        assert_eq!(creators, expected, "{version:?}");
        assert_eq!(creation.creators_are_privileged(), version == Some("12"));
        assert_eq!(creation.version, version.unwrap_or("1"));
    }
}

#[test]
fn aliases_are_told_once_each() {
    let mut room = view("!r:x", None);
    let alias = json!({ "alias": "#a:x", "alt_aliases": ["#b:x", "#a:x", "no alias", 7] });
    room.apply(&row("m.room.canonical_alias", "", alias), &interest());
    room.apply(
        &row(
            "m.room.aliases",
            "x",
            json!({ "aliases": ["#b:x", "#c:x"] }),
        ),
        &interest(),
    );
    let aliases = room.aliases();
    let aliases: Vec<&str> = aliases.iter().map(RoomAlias::as_str).collect();
    assert_eq!(aliases, ["#a:x", "#b:x", "#c:x"]);
}

#[test]
fn content_of_any_shape_is_borne() {
    let mut room = view("!r:x", None);
    for kind in HELD {
        for content in [
            json!(null),
            json!([]),
            json!("x"),
            json!({ "membership": 7, "alias": {}, "users": [] }),
        ] {
            room.apply(&row(kind, "", content.clone()), &interest());
            room.apply(&row(kind, "@u:x", content), &interest());
        }
    }
    assert_eq!(
        (
            room.aliases().len(),
            room.pinned().len(),
            room.members().count()
        ),
        (0, 0, 0)
    );
}
