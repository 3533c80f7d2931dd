use serde_json::json;

use super::*;
use crate::{
    id::RoomId,
    state::{Interest, RoomView},
    store::{Origin, RoomRow, StateRow},
};

fn user(name: &str) -> UserId {
    UserId::parse(&format!("@{name}:x")).expect("an id")
}

/// A room of this version, with these members, levels and join rule.
fn room(version: &str, members: Value, levels: Option<Value>, rule: &str) -> RoomView {
    let id = RoomId::parse("!r:x").expect("an id");
    let mut view = RoomView::new(
        id,
        Some(RoomRow {
            fetched_ms: Some(1),
            ..RoomRow::default()
        }),
    );
    let create = json!({ "room_version": version, "creator": "@maker:x" });
    let mut states = vec![
        ("m.room.create", String::new(), create),
        (
            "m.room.join_rules",
            String::new(),
            json!({ "join_rule": rule }),
        ),
    ];
    states.extend(levels.map(|levels| ("m.room.power_levels", String::new(), levels)));
    for (name, membership) in members.as_object().expect("members") {
        states.push((
            "m.room.member",
            user(name).to_string(),
            json!({ "membership": membership }),
        ));
    }
    for (kind, state_key, content) in states {
        view.apply(&row(kind, state_key, content), &interest());
    }
    view
}

fn row(kind: &str, state_key: String, content: Value) -> StateRow {
    StateRow {
        kind: kind.to_owned(),
        state_key,
        event_id: None,
        sender: "@maker:x".to_owned(),
        sent_ms: 1,
        noted_ms: 1,
        origin: Origin::Fetched,
        content,
    }
}

fn interest() -> Interest {
    Interest::of(&[], &[], &[])
}

/// The refusal of what `@ghost:x` wants, or nothing.
fn refused(view: &RoomView, action: &Action<'_>) -> Option<String> {
    let refusal = check(view, &user("ghost"), action).err()?;
    Some(refusal.into_error().to_string())
}

const MESSAGE: Action<'_> = Action::Message {
    kind: "m.room.message",
};

fn levels() -> Value {
    json!({ "users": { "@maker:x": 100, "@mod:x": 50 }, "users_default": 0 })
}

#[test]
fn a_no_says_which_rule_and_what_would_help() {
    let members = json!({ "ghost": "join", "maker": "join", "mod": "join", "away": "leave" });
    let view = room("11", members, Some(levels()), "public");
    let topic = json!({ "topic": "t" });
    let action = Action::State {
        kind: "m.room.topic",
        key: "",
        content: &topic,
    };
    assert_eq!(refused(&view, &MESSAGE), None);
    assert_eq!(
        refused(&view, &action).expect("a no"),
        "@ghost:x may not do that in !r:x: sending m.room.topic (state_default) needs power level 50, and the user has 0. \
         @maker:x or @mod:x could give @ghost:x power level 50"
    );
}

#[test]
fn what_is_missing_is_told_to_who_can_give_it() {
    let members = json!({ "ghost": "join", "maker": "join" });
    let mut all = levels();
    all["events"] = json!({ "m.room.message": 20, "m.room.encryption": 100 });
    let view = room("10", members, Some(all), "public");
    let nothing = json!({});
    for (action, level) in [
        (MESSAGE, Some(20)),
        (Action::Message { kind: "m.reaction" }, None),
        (
            Action::State {
                kind: "m.room.encryption",
                key: "",
                content: &nothing,
            },
            Some(100),
        ),
        (
            Action::State {
                kind: "m.room.name",
                key: "",
                content: &nothing,
            },
            Some(50),
        ),
        (
            Action::Invite {
                target: &user("new"),
            },
            None,
        ),
        (
            Action::Kick {
                target: &user("new"),
            },
            Some(50),
        ),
    ] {
        let missing = check(&view, &user("ghost"), &action)
            .err()
            .and_then(|no| no.missing_level);
        assert_eq!(missing, level, "{action:?}");
    }
}

#[test]
fn who_is_not_in_the_room_says_nothing() {
    for (members, is_permitted) in [
        (json!({ "ghost": "join" }), true),
        (json!({ "ghost": "invite" }), false),
        (json!({ "ghost": "leave" }), false),
        (json!({}), false),
    ] {
        let view = room("11", members.clone(), None, "public");
        assert_eq!(
            refused(&view, &MESSAGE).is_none(),
            is_permitted,
            "{members}"
        );
    }
}

#[test]
fn joining_by_rule_and_version() {
    let nobody = json!({ "maker": "join" });
    let invited = json!({ "maker": "join", "ghost": "invite" });
    let banned = json!({ "maker": "join", "ghost": "ban" });
    for (version, members, rule, is_permitted) in [
        ("1", &nobody, "public", true),
        ("1", &nobody, "invite", false),
        ("1", &invited, "invite", true),
        ("11", &banned, "public", false),
        ("7", &nobody, "knock", false),
        ("7", &nobody, "restricted", false),
        ("8", &nobody, "restricted", true),
        ("9", &nobody, "knock_restricted", false),
        ("10", &nobody, "knock_restricted", true),
        ("12", &nobody, "private", false),
    ] {
        let view = room(version, members.clone(), Some(levels()), rule);
        let found = refused(&view, &Action::Join);
        assert_eq!(
            found.is_none(),
            is_permitted,
            "version {version}, {rule}, {members}: {found:?}"
        );
    }
}

#[test]
fn knocking_by_rule_and_version() {
    for (version, rule, is_offered) in [
        ("6", "knock", false),
        ("7", "knock", true),
        ("9", "knock_restricted", false),
        ("10", "knock_restricted", true),
        ("11", "invite", false),
    ] {
        let view = room(version, json!({}), Some(levels()), rule);
        assert_eq!(
            refused(&view, &Action::Knock).is_none(),
            is_offered,
            "version {version}, {rule}"
        );
    }
}

#[test]
fn a_ban_names_who_could_lift_it() {
    let members = json!({ "ghost": "ban", "maker": "join", "mod": "join", "someone": "join" });
    let view = room("11", members, Some(levels()), "public");
    assert_eq!(
        refused(&view, &Action::Join).expect("a no"),
        "@ghost:x is banned from !r:x. @maker:x or @mod:x could lift the ban"
    );
    let unban = check(
        &view,
        &user("mod"),
        &Action::Unban {
            target: &user("ghost"),
        },
    );
    assert_eq!(unban, Ok(()));
}

#[test]
fn nobody_acts_against_their_like() {
    let members = json!({ "ghost": "join", "maker": "join", "mod": "join" });
    let mut all = levels();
    all["users"]["@ghost:x"] = json!(50);
    let view = room("11", members.clone(), Some(all), "public");
    let (one, maker) = (user("mod"), user("maker"));
    let missing = |target| {
        check(&view, &user("ghost"), &Action::Kick { target })
            .err()
            .map(|no| no.missing_level)
    };
    assert_eq!(missing(&one), Some(Some(51)));
    assert_eq!(missing(&maker), Some(Some(101)));
    // Against a creator there is no level that helps.
    let view = room(
        "12",
        members,
        Some(json!({ "users": { "@ghost:x": 100 } })),
        "public",
    );
    let no = check(&view, &user("ghost"), &Action::Ban { target: &maker }).expect_err("a no");
    assert_eq!(no.missing_level, None);
    assert_eq!(
        check(
            &view,
            &maker,
            &Action::Ban {
                target: &user("ghost")
            }
        ),
        Ok(())
    );
}

#[test]
fn power_levels_are_changed_from_above_only() {
    let members = json!({ "ghost": "join", "maker": "join" });
    let base = json!({
        "users": { "@maker:x": 100, "@ghost:x": 60, "@peer:x": 60, "@low:x": 10 }, "kick": 50,
        "events": { "m.room.power_levels": 50 }
    });
    let view = room("11", members, Some(base.clone()), "public");
    for (pointer, value, is_permitted) in [
        ("/users/@low:x", 60, true),
        ("/users/@low:x", 61, false),
        ("/users/@peer:x", 50, false),
        ("/users/@ghost:x", 10, true),
        ("/users/@ghost:x", 70, false),
        ("/kick", 60, true),
        ("/kick", 61, false),
        ("/events/m.room.power_levels", 61, false),
    ] {
        let mut content = base.clone();
        *content.pointer_mut(pointer).expect("a field") = json!(value);
        let action = Action::State {
            kind: "m.room.power_levels",
            key: "",
            content: &content,
        };
        let found = refused(&view, &action);
        assert_eq!(
            found.is_none(),
            is_permitted,
            "{pointer} = {value}: {found:?}"
        );
    }
}

#[test]
fn creators_of_version_12_must_not_be_named() {
    let members = json!({ "ghost": "join", "maker": "join" });
    let view = room(
        "12",
        members,
        Some(json!({ "users": { "@ghost:x": 100 } })),
        "public",
    );
    let content = json!({ "users": { "@ghost:x": 100, "@maker:x": 100 } });
    let action = Action::State {
        kind: "m.room.power_levels",
        key: "",
        content: &content,
    };
    assert!(
        refused(&view, &action)
            .expect("a no")
            .contains("must not be named")
    );
}

#[test]
fn state_of_others_and_what_is_never_changed() {
    let members = json!({ "ghost": "join", "maker": "join" });
    let mut all = levels();
    all["users"]["@ghost:x"] = json!(100);
    let nothing = json!({});
    for (version, kind, key, is_permitted) in [
        ("11", "org.example", "@ghost:x", true),
        ("11", "org.example", "@maker:x", false),
        ("11", "org.example", "key", true),
        ("11", "m.room.create", "", false),
        ("5", "m.room.aliases", "x", true),
        ("5", "m.room.aliases", "elsewhere", false),
        ("6", "m.room.aliases", "elsewhere", true),
        ("11", "m.room.member", "no id", false),
    ] {
        let view = room(version, members.clone(), Some(all.clone()), "public");
        let found = refused(
            &view,
            &Action::State {
                kind,
                key,
                content: &nothing,
            },
        );
        assert_eq!(
            found.is_none(),
            is_permitted,
            "version {version}, {kind} {key}: {found:?}"
        );
    }
}

#[test]
fn members_by_state() {
    let members = json!({ "ghost": "join", "maker": "join", "guest": "join" });
    let view = room("11", members, Some(levels()), "invite");
    for (key, membership, is_permitted) in [
        ("ghost", "join", true),
        ("ghost", "leave", true),
        ("new", "invite", true),
        ("new", "join", false),
        ("guest", "leave", false),
        ("guest", "ban", false),
    ] {
        let (key, content) = (user(key).to_string(), json!({ "membership": membership }));
        let action = Action::State {
            kind: "m.room.member",
            key: &key,
            content: &content,
        };
        let found = refused(&view, &action);
        assert_eq!(
            found.is_none(),
            is_permitted,
            "{key} {membership}: {found:?}"
        );
    }
}

#[test]
fn rooms_for_one_homeserver_only() {
    let mut view = room("11", json!({ "maker": "join" }), Some(levels()), "public");
    let create = json!({ "room_version": "11", "m.federate": false });
    view.apply(&row("m.room.create", String::new(), create), &interest());
    let stranger = UserId::parse("@s:elsewhere").expect("an id");
    assert!(check(&view, &stranger, &Action::Join).is_err());
    assert!(check(&view, &user("ghost"), &Action::Join).is_ok());
    assert!(check(&view, &user("maker"), &Action::Invite { target: &stranger }).is_err());
}

#[test]
fn a_version_that_is_not_known_permits_all() {
    let view = room("org.example.future", json!({}), Some(levels()), "invite");
    assert_eq!(refused(&view, &MESSAGE), None);
    assert_eq!(refused(&view, &Action::Join), None);
}
