use proptest::prelude::*;

use super::*;

fn user(name: &str) -> UserId {
    UserId::parse(&format!("@{name}:x")).expect("an id")
}

fn creation(version: &str, additional: &[&str]) -> Creation {
    let content = json!({ "room_version": version, "creator": "@maker:x", "additional_creators": additional });
    Creation::new("@maker:x", &content).expect("a creation")
}

fn wants(wants: &[(&str, i64)]) -> BTreeMap<UserId, i64> {
    wants
        .iter()
        .map(|(name, level)| (user(name), *level))
        .collect()
}

/// What `@bot:x` makes of these levels for those who want more.
fn check(
    version: &str,
    content: Option<Value>,
    wanted: &[(&str, i64)],
    expected: Result<Option<Value>, NoGrant>,
) {
    let raised = raise(
        content.as_ref(),
        &creation(version, &["@bot:x"]),
        &user("bot"),
        &wants(wanted),
    );
    assert_eq!(
        raised, expected,
        "version {version}, {content:?}, {wanted:?}"
    );
}

#[test]
fn just_what_is_needed_is_raised_and_nothing_else_changes() {
    let content = json!({ "users": { "@bot:x": 100, "@g:x": 10 }, "ban": 60, "org.example.own": [1], "events": { "m.room.name": "7" } });
    let raised = json!({ "users": { "@bot:x": 100, "@g:x": 50, "@h:x": 50 }, "ban": 60, "org.example.own": [1], "events": { "m.room.name": "7" } });
    check(
        "9",
        Some(content),
        &[("g", 50), ("h", 50), ("bot", 50)],
        Ok(Some(raised)),
    );
}

#[test]
fn nobody_is_lowered() {
    let content = json!({ "users": { "@bot:x": 100, "@g:x": 70 }, "users_default": 30 });
    check("11", Some(content), &[("g", 50), ("h", 30)], Ok(None));
}

#[test]
fn a_default_is_as_good_as_a_level() {
    let content = json!({ "users": { "@bot:x": 100 }, "users_default": 20 });
    let raised = json!({ "users": { "@bot:x": 100, "@g:x": 21 }, "users_default": 20 });
    check(
        "11",
        Some(content),
        &[("g", 21), ("h", 20)],
        Ok(Some(raised)),
    );
}

#[test]
fn the_giver_may_not_give_what_it_has_not() {
    let content = json!({ "users": { "@bot:x": 60, "@admin:x": 100 } });
    let has = Power::Level(60);
    check(
        "11",
        Some(content.clone()),
        &[("g", 61)],
        Err(NoGrant::MoreThanOwn { wanted: 61, has }),
    );
    check(
        "11",
        Some(content),
        &[("g", 60)],
        Ok(Some(
            json!({ "users": { "@bot:x": 60, "@admin:x": 100, "@g:x": 60 } }),
        )),
    );
    let content = json!({ "users": { "@bot:x": 60 }, "events": { "m.room.power_levels": 100 } });
    check(
        "11",
        Some(content),
        &[("g", 10)],
        Err(NoGrant::MayNotChange { needs: 100, has }),
    );
}

#[test]
fn creators_of_version_12_have_all_power_and_are_never_named() {
    let content = json!({ "users": {}, "events": { "m.room.power_levels": 150 } });
    let raised = json!({ "users": { "@g:x": 50 }, "events": { "m.room.power_levels": 150 } });
    check(
        "12",
        Some(content),
        &[("g", 50), ("maker", 100), ("bot", 100)],
        Ok(Some(raised)),
    );
}

#[test]
fn a_room_without_levels_keeps_its_makers_power() {
    let levels = PowerLevels::new(None, &creation("11", &[]));
    assert_eq!(levels.of(&user("maker")), Power::Level(100));
    let maker = user("maker");
    let raised = raise(None, &creation("11", &[]), &maker, &wants(&[("g", 50)]));
    assert_eq!(
        raised,
        Ok(Some(json!({ "users": { "@maker:x": 100, "@g:x": 50 } })))
    );
    let raised = raise(None, &creation("12", &[]), &maker, &wants(&[("g", 50)]));
    assert_eq!(raised, Ok(Some(json!({ "users": { "@g:x": 50 } }))));
}

#[test]
fn levels_are_set_as_far_as_the_giver_may() {
    let content =
        json!({ "users": { "@bot:x": 60, "@g:x": 70, "@h:x": 50, "@k:x": 1 }, "users_default": 5 });
    let bot = user("bot");
    let assigned = |wanted: &[(&str, i64)]| {
        let creation = creation("11", &[]);
        assign(Some(&content), &creation, &bot, &wants(wanted))
    };
    let wanted = [("g", 0), ("h", 5), ("i", 90), ("j", 5)];
    let expected =
        json!({ "users": { "@bot:x": 60, "@g:x": 70, "@i:x": 60, "@k:x": 1 }, "users_default": 5 });
    assert_eq!(assigned(&wanted), Ok(Some(expected)));
    assert_eq!(assigned(&[("g", 0), ("h", 50)]), Ok(None));
    let (needs, has) = (50, Power::Level(5));
    let other = assign(
        Some(&content),
        &creation("11", &[]),
        &user("z"),
        &wants(&[("k", 3)]),
    );
    assert_eq!(other, Err(NoGrant::MayNotChange { needs, has }));
    // A creator, since room version 12, has all power and is not named.
    let creation = creation("12", &["@bot:x"]);
    let given = assign(
        Some(&json!({})),
        &creation,
        &bot,
        &wants(&[("bot", 7), ("g", 500)]),
    );
    assert_eq!(given, Ok(Some(json!({ "users": { "@g:x": 500 } }))));
}

#[test]
fn more_than_an_event_holds_is_refused() {
    let many: BTreeMap<UserId, i64> = (0..4000)
        .map(|n| (user(&format!("ghost_{n}")), 50))
        .collect();
    let content = json!({ "users": { "@bot:x": 100 } });
    let raised = raise(Some(&content), &creation("11", &[]), &user("bot"), &many);
    assert_eq!(raised, Err(NoGrant::TooLarge));
}

#[test]
fn defaults_are_those_of_the_specification() {
    let levels = PowerLevels::new(Some(&json!({})), &creation("11", &[]));
    assert_eq!(levels.of(&user("maker")), Power::Level(0));
    let needed = [
        levels.to_send("m.room.message"),
        levels.to_set("m.room.topic"),
        levels.to_invite(),
        levels.to_kick(),
        levels.to_ban(),
        levels.to_unban(),
        levels.to_redact(),
        levels.to_notify_room(),
    ];
    assert_eq!(needed, [0, 50, 0, 50, 50, 50, 50, 50]);
}

#[test]
fn an_event_of_its_own_level_stands_for_messages_and_state() {
    let content = json!({ "events": { "m.x": 30 }, "events_default": 5, "state_default": 60 });
    let levels = PowerLevels::new(Some(&content), &creation("11", &[]));
    let found = [
        levels.to_send("m.x"),
        levels.to_set("m.x"),
        levels.to_send("m.y"),
        levels.to_set("m.y"),
    ];
    assert_eq!(found, [30, 30, 5, 60]);
}

proptest! {
    #[test]
    fn all_get_what_they_want_and_nobody_less_than_before(
        before in prop::collection::btree_map(0..8_u8, -10..100_i64, 0..8),
        wanted in prop::collection::btree_map(0..8_u8, -10..100_i64, 0..8),
        default in -5..50_i64, privileged: bool,
    ) {
        let name = |n: u8| format!("@u{n}:x");
        let mut users: serde_json::Map<String, Value> = before.iter().map(|(n, level)| (name(*n), json!(level))).collect();
        let version = if privileged { "12" } else { "11" };
        if !privileged {
            users.insert("@maker:x".to_owned(), json!(100));
        }
        let content = json!({ "users": users, "users_default": default });
        let creation = creation(version, &[]);
        let wanted: BTreeMap<UserId, i64> = wanted.iter().map(|(n, level)| (user(&format!("u{n}")), *level)).collect();
        let raised = raise(Some(&content), &creation, &user("maker"), &wanted).expect("the maker may");
        let old = PowerLevels::new(Some(&content), &creation);
        let new = PowerLevels::new(Some(raised.as_ref().unwrap_or(&content)), &creation);
        for n in 0..8_u8 {
            let user = user(&format!("u{n}"));
            let least = wanted.get(&user).map_or(old.of(&user), |level| old.of(&user).max(Power::Level(*level)));
            prop_assert_eq!(new.of(&user), least);
        }
        prop_assert_eq!(new.of(&UserId::parse("@maker:x").expect("an id")), old.of(&UserId::parse("@maker:x").expect("an id")));
        let unchanged = wanted.iter().all(|(user, level)| old.of(user).is_at_least(*level));
        prop_assert_eq!(raised.is_none(), unchanged);
    }
}
