use serde_json::json;

use super::*;
use crate::store::{Location, Store};

const ROOM: &str = "!r:x";
const TOPIC: &str = "m.room.topic";

fn event(id: &str, sent_ms: i64, replaces: Option<&str>, content: Value) -> Event {
    let mut value = json!({
        "event_id": id, "room_id": ROOM, "sender": "@a:x", "type": TOPIC, "state_key": "",
        "origin_server_ts": sent_ms, "content": content, "unsigned": {}
    });
    if content_is_member(&value) {
        value["type"] = json!("m.room.member");
        value["state_key"] = json!("@g:x");
    }
    if let Some(replaces) = replaces {
        value["unsigned"]["replaces_state"] = json!(replaces);
    }
    Event::parse(&serde_json::value::to_raw_value(&value).expect("JSON")).expect("an event")
}

fn content_is_member(event: &Value) -> bool {
    event["content"].get("membership").is_some()
}

fn row(event: &Event, origin: Origin, noted_ms: i64) -> StateRow {
    StateRow {
        origin,
        ..StateRow::of(event, event.state_key.as_deref().expect("state"), noted_ms)
    }
}

/// What a stream's event is, heard at `now_ms`, to a row that is kept.
fn check(kept: &StateRow, heard: &Event, now_ms: i64, expected: Heard) {
    let found = kept.compare(heard, now_ms);
    assert_eq!(
        found, expected,
        "{kept:?} against {} of {}",
        heard.id, heard.sent_at_ms
    );
}

#[test]
fn the_stream_is_in_order_whatever_the_clocks_say() {
    let kept = row(&event("$b", 100, None, json!({})), Origin::Stream, 1000);
    check(&kept, &event("$c", 90, None, json!({})), 1001, Heard::Newer);
    check(
        &kept,
        &event("$c", 90, Some("$b"), json!({})),
        1001,
        Heard::Newer,
    );
    check(
        &kept,
        &event("$d", 200, Some("$c"), json!({})),
        1001,
        Heard::AfterGap,
    );
}

#[test]
fn what_was_read_is_not_undone_by_what_the_stream_still_brings() {
    let kept = row(&event("$b", 100, None, json!({})), Origin::Fetched, 1000);
    check(&kept, &event("$a", 90, None, json!({})), 1001, Heard::Older);
    check(
        &kept,
        &event("$b", 100, Some("$a"), json!({})),
        1001,
        Heard::Newer,
    );
    check(
        &kept,
        &event("$c", 110, None, json!({})),
        1001,
        Heard::Newer,
    );
    // A sender whose clock is slow: what it replaces tells.
    check(
        &kept,
        &event("$c", 90, Some("$b"), json!({})),
        1001,
        Heard::Newer,
    );
    // The stream has long caught up.
    check(
        &kept,
        &event("$c", 90, None, json!({})),
        1000 + OVERLAP_MS,
        Heard::Newer,
    );
}

#[test]
fn what_we_have_done_holds_until_its_echo() {
    let kept = row(&event("$b", 100, None, json!({})), Origin::Own, 1000);
    check(
        &kept,
        &event("$a", 999, None, json!({})),
        1001,
        Heard::Older,
    );
    check(&kept, &event("$b", 90, None, json!({})), 1001, Heard::Newer);
    check(
        &kept,
        &event("$c", 90, Some("$b"), json!({})),
        1001,
        Heard::Newer,
    );
    check(
        &kept,
        &event("$c", 90, None, json!({})),
        1000 + OVERLAP_MS,
        Heard::Newer,
    );
}

#[test]
fn what_we_have_made_of_a_membership_is_not_undone_by_what_was_before() {
    for (noted, heard, expected) in [
        ("join", "invite", Heard::Older),
        ("join", "knock", Heard::Older),
        ("join", "join", Heard::Newer),
        ("join", "leave", Heard::Newer),
        ("join", "ban", Heard::Newer),
        ("leave", "join", Heard::Older),
        ("leave", "invite", Heard::Older),
        ("leave", "leave", Heard::Newer),
        ("ban", "leave", Heard::Older),
        ("ban", "ban", Heard::Newer),
        ("invite", "leave", Heard::Newer),
        ("invite", "join", Heard::Newer),
    ] {
        let membership =
            |membership: &str| event("$x", 90, None, json!({ "membership": membership }));
        let mut kept = row(&membership(noted), Origin::Own, 1000);
        kept.event_id = None;
        check(&kept, &membership(heard), 1001, expected);
        check(&kept, &membership(heard), 1000 + OVERLAP_MS, Heard::Newer);
    }
}

fn store() -> Store {
    Store::open(&Location::Memory, true, &[]).expect("a database")
}

async fn topic(store: &Store) -> Option<Value> {
    let row = store.read(|unit| unit.state_row(ROOM, TOPIC, "")).await;
    row.expect("read").map(|row| row.content)
}

#[tokio::test]
async fn a_reading_replaces_all_but_what_the_stream_has_brought_meanwhile() {
    let store = store();
    let (old, meanwhile) = (
        event("$old", 10, None, json!({ "topic": "old" })),
        event("$new", 30, None, json!({ "membership": "join" })),
    );
    let read = vec![
        row(
            &event("$read", 20, None, json!({ "topic": "read" })),
            Origin::Fetched,
            150,
        ),
        row(
            &event("$gone", 5, None, json!({ "membership": "leave" })),
            Origin::Fetched,
            150,
        ),
    ];
    let done = store.write(move |unit| {
        unit.hear_state(&old, "", 50)?;
        unit.set_stale(ROOM, 60)?;
        unit.hear_state(&meanwhile, "@g:x", 120)?;
        unit.replace_state(ROOM, &read, (100, 1), 150)?;
        Ok((
            unit.room_row(ROOM)?,
            unit.state_row(ROOM, "m.room.member", "@g:x")?,
        ))
    });
    let (room, member) = done.await.expect("written");
    let room = room.expect("a row");
    assert_eq!((room.fetched_ms, room.stale_ms), (Some(150), None));
    assert_eq!(topic(&store).await, Some(json!({ "topic": "read" })));
    assert_eq!(member.expect("a row").content["membership"], "join");
}

#[tokio::test]
async fn a_doubt_that_arises_while_the_state_is_read_is_not_settled_by_it() {
    let store = store();
    let done = store.write(move |unit| {
        unit.hear_state(&event("$a", 10, None, json!({})), "", 50)?;
        unit.set_stale(ROOM, 60)?;
        let begun = unit.room_row(ROOM)?.map_or(0, |row| row.doubts);
        unit.set_stale(ROOM, 120)?;
        unit.replace_state(ROOM, &[], (100, begun), 150)?;
        let doubtful = unit.room_row(ROOM)?;
        let begun = doubtful.map_or(0, |row| row.doubts);
        unit.replace_state(ROOM, &[], (160, begun), 170)?;
        Ok((doubtful, unit.room_row(ROOM)?))
    });
    let (doubtful, settled) = done.await.expect("written");
    let doubtful = doubtful.expect("a row");
    assert_eq!(
        (doubtful.fetched_ms, doubtful.stale_ms),
        (Some(150), Some(60))
    );
    assert_eq!(settled.expect("a row").stale_ms, None);
}

#[tokio::test]
async fn a_gap_makes_the_room_stale_and_staleness_keeps_its_time() {
    let store = store();
    let done = store.write(|unit| {
        unit.hear_state(&event("$a", 10, None, json!({})), "", 10)?;
        let gap = unit.hear_state(&event("$c", 20, Some("$b"), json!({})), "", 20)?;
        unit.set_stale(ROOM, 30)?;
        Ok((gap, unit.room_row(ROOM)?))
    });
    let (gap, room) = done.await.expect("written");
    assert_eq!(gap, Heard::AfterGap);
    assert_eq!(room.expect("a row").stale_ms, Some(20));
}

#[tokio::test]
async fn rooms_that_were_left_long_ago_are_forgotten() {
    let store = store();
    let done = store.write(|unit| {
        unit.hear_state(&event("$a", 10, None, json!({})), "", 10)?;
        unit.hear_state(
            &event("$b", 10, None, json!({ "membership": "leave" })),
            "@g:x",
            20,
        )?;
        let followed = unit.forget_rooms(1000, 500)?;
        unit.set_stale(ROOM, 30)?;
        let recent = unit.forget_rooms(25, 500)?;
        let bites = [
            unit.forget_rooms(1000, 1)?,
            unit.forget_rooms(1000, 1)?,
            unit.forget_rooms(1000, 1)?,
        ];
        Ok((
            followed,
            recent,
            bites,
            unit.room_row(ROOM)?,
            unit.state_rows(ROOM, &[TOPIC, "m.room.member"])?.len(),
        ))
    });
    let (followed, recent, bites, room, rows) = done.await.expect("written");
    assert_eq!((followed, recent, bites), (0, 0, [2, 2, 1]));
    assert_eq!((room, rows), (None, 0));
}

#[tokio::test]
async fn what_we_note_of_ourselves_keeps_the_name() {
    let store = store();
    let done = store.write(|unit| {
        let known = event(
            "$a",
            10,
            None,
            json!({ "membership": "invite", "displayname": "Ann" }),
        );
        unit.hear_state(&known, "@g:x", 10)?;
        unit.note_membership(ROOM, "@g:x", "join", 20)?;
        unit.state_row(ROOM, "m.room.member", "@g:x")
    });
    let row = done.await.expect("written").expect("a row");
    assert_eq!(
        row.content,
        json!({ "membership": "join", "displayname": "Ann" })
    );
    assert_eq!((row.origin, row.event_id), (Origin::Own, None));
}
