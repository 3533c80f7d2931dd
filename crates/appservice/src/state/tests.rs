use serde_json::{Value, json};

use super::*;
use crate::{Event, id::UserId, store::Location};

fn rooms() -> Rooms {
    let store = Store::open(&Location::Memory, true, &[]).expect("a database");
    Rooms::new(store, Arc::new(Interest::of(&["@ghost_.*:x"], &[], &[])))
}

fn room() -> RoomId {
    RoomId::parse("!r:x").expect("an id")
}

fn event(id: &str, kind: &str, key: Option<&str>, content: Value) -> Event {
    let mut value = json!({
        "event_id": id, "room_id": "!r:x", "sender": "@maker:x", "type": kind, "origin_server_ts": 1, "content": content
    });
    if let Some(key) = key {
        value["state_key"] = json!(key);
    }
    Event::parse(&serde_json::value::to_raw_value(&value).expect("JSON")).expect("an event")
}

/// Hears events as a transaction brings them.
async fn hear(rooms: &Rooms, events: Vec<Event>, now_ms: i64) {
    let interest = rooms.interest().clone();
    let heard = rooms.0.store.write(move |unit| {
        let heard = events
            .iter()
            .map(|event| Rooms::hear(&interest, unit, event, now_ms));
        heard.collect::<StoreResult<Vec<_>>>()
    });
    let heard: Vec<Overheard> = heard.await.expect("stored").into_iter().flatten().collect();
    rooms.remember(&heard);
}

fn member(id: &str, user: &str, membership: &str) -> Event {
    event(
        id,
        "m.room.member",
        Some(user),
        json!({ "membership": membership }),
    )
}

async fn membership(rooms: &Rooms, user: &str) -> Option<Membership> {
    let view = rooms.view(&room()).await.expect("read");
    view.membership(&UserId::parse(user).expect("an id"))
}

#[tokio::test]
async fn memory_follows_what_is_stored() {
    let rooms = rooms();
    assert_eq!(membership(&rooms, "@ghost_a:x").await, None);
    hear(
        &rooms,
        vec![
            member("$1", "@ghost_a:x", "join"),
            member("$2", "@u:x", "invite"),
        ],
        1,
    )
    .await;
    assert_eq!(
        membership(&rooms, "@ghost_a:x").await,
        Some(Membership::Join)
    );
    let before = rooms.view(&room()).await.expect("read");
    hear(&rooms, vec![member("$3", "@u:x", "join")], 2).await;
    assert_eq!(membership(&rooms, "@u:x").await, Some(Membership::Join));
    // What somebody holds does not change under their hands.
    assert_eq!(
        before.membership(&UserId::parse("@u:x").expect("an id")),
        Some(Membership::Invite)
    );
    rooms.0.cache.lock().forget(&room());
    assert_eq!(membership(&rooms, "@u:x").await, Some(Membership::Join));
}

#[tokio::test]
async fn who_leaves_and_comes_back_has_missed_something() {
    let rooms = rooms();
    let create = event(
        "$0",
        "m.room.create",
        Some(""),
        json!({ "room_version": "11" }),
    );
    hear(
        &rooms,
        vec![
            create,
            member("$1", "@ghost_a:x", "join"),
            member("$2", "@ghost_b:x", "join"),
        ],
        1,
    )
    .await;
    let standing = async |now_ms| {
        let view = rooms.view(&room()).await.expect("read");
        view.standing(rooms.interest(), now_ms)
    };
    assert_eq!(standing(20_000).await, Standing::Known);
    hear(&rooms, vec![member("$3", "@ghost_a:x", "leave")], 2).await;
    assert_eq!(
        standing(20_000).await,
        Standing::Known,
        "the other one is still there"
    );
    hear(&rooms, vec![member("$4", "@ghost_b:x", "leave")], 3).await;
    hear(&rooms, vec![member("$5", "@ghost_b:x", "join")], 4).await;
    assert_eq!(standing(20_000).await, Standing::Stale(3));
    rooms.0.cache.lock().forget(&room());
    assert_eq!(standing(20_000).await, Standing::Stale(3));
}

#[tokio::test]
async fn what_is_redacted_is_not_told_any_more() {
    let rooms = rooms();
    let create = event(
        "$0",
        "m.room.create",
        Some(""),
        json!({ "room_version": "11" }),
    );
    let name = event("$1", "m.room.name", Some(""), json!({ "name": "a slur" }));
    let named = json!({ "membership": "join", "displayname": "a slur" });
    let joined = event("$2", "m.room.member", Some("@u:x"), named);
    hear(&rooms, vec![create, name, joined], 1).await;
    let redact =
        |id: &str, target: &str| event(id, "m.room.redaction", None, json!({ "redacts": target }));
    hear(
        &rooms,
        vec![
            redact("$3", "$1"),
            redact("$4", "$2"),
            redact("$5", "$none"),
        ],
        2,
    )
    .await;
    for _ in 0..2 {
        let view = rooms.view(&room()).await.expect("read");
        assert_eq!(view.text("m.room.name", "name"), None);
        let member = view
            .member(&UserId::parse("@u:x").expect("an id"))
            .expect("a member");
        assert_eq!((member.is_joined(), &member.displayname), (true, &None));
        rooms.0.cache.lock().forget(&room());
    }
}

#[tokio::test]
async fn a_redaction_in_a_room_of_unknown_version_makes_it_stale() {
    let rooms = rooms();
    let name = event("$1", "m.room.name", Some(""), json!({ "name": "n" }));
    let redaction = event("$2", "m.room.redaction", None, json!({ "redacts": "$1" }));
    hear(&rooms, vec![member("$0", "@ghost_a:x", "join"), name], 1).await;
    hear(&rooms, vec![redaction], 2).await;
    let view = rooms.view(&room()).await.expect("read");
    assert_eq!(view.standing(rooms.interest(), 3), Standing::Stale(2));
}

#[tokio::test]
async fn our_own_joins_count_at_once() {
    let rooms = rooms();
    let ghost = UserId::parse("@ghost_a:x").expect("an id");
    rooms
        .note_membership(&room(), &ghost, Membership::Join, 1)
        .await
        .expect("stored");
    assert_eq!(
        membership(&rooms, "@ghost_a:x").await,
        Some(Membership::Join)
    );
    hear(&rooms, vec![member("$1", "@ghost_a:x", "invite")], 2).await;
    assert_eq!(
        membership(&rooms, "@ghost_a:x").await,
        Some(Membership::Join)
    );
    hear(
        &rooms,
        vec![
            member("$2", "@ghost_a:x", "join"),
            member("$3", "@ghost_a:x", "leave"),
        ],
        3,
    )
    .await;
    assert_eq!(
        membership(&rooms, "@ghost_a:x").await,
        Some(Membership::Leave)
    );
}

#[test]
fn memory_is_bounded() {
    let mut cache = Cache {
        views: LruCache::new(MAX_VIEWS),
        weight: 0,
        loading: HashMap::new(),
    };
    let interest = Interest::of(&[], &[], &[]);
    let id = |n: usize| RoomId::parse(&format!("!r{n}:x")).expect("an id");
    for n in 0..40 {
        let mut view = RoomView::new(id(n), None);
        for user in 0..MAX_WEIGHT / 20 {
            let row = StateRow {
                kind: "m.room.member".to_owned(),
                state_key: format!("@u{user}:x"),
                event_id: None,
                sender: "@u:x".to_owned(),
                sent_ms: 0,
                noted_ms: 0,
                origin: crate::store::Origin::Stream,
                content: json!({ "membership": "join" }),
            };
            view.apply(&row, &interest);
        }
        cache.put(&id(n), Arc::new(view));
        assert!(cache.weight <= MAX_WEIGHT);
    }
    assert!(cache.views.contains(&id(39)) && !cache.views.contains(&id(0)));
    let weighed: usize = cache.views.iter().map(|(_, slot)| slot.view.weight()).sum();
    assert_eq!(cache.weight, weighed);
    cache.forget(&id(39));
    cache.forget(&id(38));
    assert!(cache.weight < weighed);
}
