//! Bodies of any shape and size.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bridgehead_appservice::{Database, Service, prelude::*, surroundings::Surroundings};
use bytes::Bytes;
use http::Method;
use parking_lot::Mutex;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{
    harness::{generate, until},
    rig::{FakeHost, Log, Rig, assert_within, message, recorder, setup},
};

const LIMIT: usize = 64 << 20;

#[tokio::test]
async fn a_bad_event_is_parked_alone() -> anyhow::Result<()> {
    let log = Log::default();
    let rig = Rig::start(recorder(&log)).await?;
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    let head = r#""room_id":"!room:localhost","sender":"@a:localhost","type":"t""#;
    let bad = [
        r#"{"event_id":"$no_sender","room_id":"!room:localhost","type":"t"}"#.to_owned(),
        format!(r#"{{"event_id":7,{head}}}"#),
        format!(r#"{{"event_id":"$number",{head},"content":{{"n":1e999}}}}"#),
        format!(r#"{{"event_id":"$half",{head},"content":{{"body":"\ud800"}}}}"#),
        format!(r#"{{"event_id":"$twice","event_id":"$again",{head}}}"#),
        format!(r#"{{"event_id":"$deep",{head},"content":{deep}}}"#),
        deep.clone(),
        "null".to_owned(),
        "7".to_owned(),
        r#""text""#.to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
    ];
    let body = format!(
        r#"{{"events":[{},{},{}]}}"#,
        message("$first"),
        bad.join(","),
        message("$last")
    );
    assert_eq!(rig.put("1", body).await, 200);
    rig.settled().await?;
    assert_eq!(*log.lock(), ["$first", "$last"]);
    let parked = rig.running.parked(0, 100).await?;
    assert_eq!(parked.len(), bad.len());
    for (parked, bad) in parked.iter().zip(&bad) {
        assert_eq!(&*parked.event, bad);
        assert!(parked.error.contains("not an event"), "{}", parked.error);
        assert_eq!(parked.attempts, 0);
    }
    Ok(())
}

#[tokio::test]
async fn what_is_no_list_is_parked_instead_of_coming_back_for_ever() -> anyhow::Result<()> {
    let log = Log::default();
    let rig = Rig::start(recorder(&log)).await?;
    for (index, body) in [
        r#"{"events":{"event_id":"$a"}}"#,
        r#"{"events":"many"}"#,
        r#"{"events":7,"ephemeral":7,"to_device":{}}"#,
    ]
    .iter()
    .enumerate()
    {
        assert_eq!(rig.put(&index.to_string(), *body).await, 200, "{body}");
    }
    for (index, body) in [
        r#"{"events":null,"ephemeral":null,"to_device":null,"device_lists":null}"#,
        "{}",
        r#"{"something":"else"}"#,
        r#"{"device_lists":{"changed":[],"left":[]},"device_one_time_keys_count":{}}"#,
    ]
    .iter()
    .enumerate()
    {
        assert_eq!(
            rig.put(&format!("empty{index}"), *body).await,
            200,
            "{body}"
        );
    }
    rig.settled().await?;
    assert_eq!(rig.running.parked(0, 100).await?.len(), 3);
    assert!(log.lock().is_empty());
    Ok(())
}

#[tokio::test]
async fn what_is_no_transaction_is_refused() -> anyhow::Result<()> {
    let rig = Rig::start(recorder(&Log::default())).await?;
    for (body, errcode) in [
        (&b""[..], "M_NOT_JSON"),
        (b"events", "M_NOT_JSON"),
        (b"{\"events\":[}", "M_NOT_JSON"),
        (b"{\"events\":[]} {}", "M_NOT_JSON"),
        (b"{\"events\":[\"\xff\xfe\"]}", "M_NOT_JSON"),
        (b"\xef\xbb\xbf{\"events\":[]}", "M_NOT_JSON"),
        (b"[]", "M_BAD_JSON"),
        (b"7", "M_BAD_JSON"),
        (b"null", "M_BAD_JSON"),
    ] {
        let path = "/_matrix/app/v1/transactions/1";
        let (status, answer) = rig.ask(Method::PUT, path, body).await;
        assert_eq!(
            (status, answer["errcode"].as_str()),
            (400, Some(errcode)),
            "{body:?}"
        );
    }
    assert_eq!(rig.running.inbox_depth(), 0);
    Ok(())
}

#[tokio::test]
async fn of_a_key_twice_the_last_counts() -> anyhow::Result<()> {
    let log = Log::default();
    let rig = Rig::start(recorder(&log)).await?;
    let body = format!(
        r#"{{"events":[{}],"events":[{}]}}"#,
        message("$first"),
        message("$second")
    );
    assert_eq!(rig.put("1", body).await, 200);
    rig.settled().await?;
    assert_eq!(*log.lock(), ["$second"]);
    Ok(())
}

#[tokio::test]
async fn a_body_is_bounded() -> anyhow::Result<()> {
    let log = Log::default();
    let rig = Rig::start(recorder(&log)).await?;
    let mut body = json!({ "events": [message("$a")] })
        .to_string()
        .into_bytes();
    body.resize(LIMIT, b' ');
    let largest = Bytes::from(body.clone());
    assert_eq!(rig.put("1", largest).await, 200);
    body.push(b' ');
    let path = "/_matrix/app/v1/transactions/2";
    let (status, answer) = rig.ask(Method::PUT, path, body).await;
    assert_eq!(
        (status, answer["errcode"].as_str()),
        (413, Some("M_TOO_LARGE"))
    );
    // Many small things are bounded as well.
    let many = format!(r#"{{"events":[{}0]}}"#, "0,".repeat(100_000));
    assert_eq!(rig.put("3", many).await, 413);
    rig.settled().await?;
    assert_eq!(*log.lock(), ["$a"]);
    Ok(())
}

type Heard = Arc<Mutex<Vec<String>>>;

fn listener(heard: &Heard) -> Service {
    let (typing, messages, devices) = (heard.clone(), heard.clone(), heard.clone());
    Service::new("listener")
        .on(move |typing_now: Typing| {
            let mut heard = typing.lock();
            heard.extend(typing_now.users.iter().map(|user| format!("{user} types")));
            async {}
        })
        .on(move |message: ToDevice| {
            messages.lock().push(format!("to device: {}", message.kind));
            async {}
        })
        .on(move |news: Devices| {
            let text = format!("{:?} {:?}", news.changed, news.one_time_keys);
            devices.lock().push(text);
            async {}
        })
}

#[tokio::test]
async fn stable_and_unstable_keys_say_the_same_and_are_heard_once() -> anyhow::Result<()> {
    let typing = |user: &str| json!([{ "type": "m.typing", "room_id": "!r:x", "content": { "user_ids": [user] } }]);
    let message = |kind: &str| json!([{ "type": kind, "sender": "@a:x", "content": {}, "to_user_id": "@listener:localhost", "to_device_id": "D" }]);
    let lists = |user: &str| json!({ "changed": [user], "left": [] });
    let counts = json!({ "@g:x": { "D": { "signed_curve25519": 5 } } });
    let stable = json!({
        "ephemeral": typing("@a:x"),
        "to_device": message("k"),
        "device_lists": lists("@a:x"),
        "device_one_time_keys_count": counts,
    });
    let unstable = json!({
        "de.sorunome.msc2409.ephemeral": typing("@a:x"),
        "de.sorunome.msc2409.to_device": message("k"),
        "org.matrix.msc3202.device_lists": lists("@a:x"),
        "org.matrix.msc3202.device_one_time_keys_count": counts,
    });
    let mut both = stable.clone();
    let keys = unstable.as_object().expect("an object").clone();
    both.as_object_mut().expect("an object").extend(keys);
    let mut empty_stable = unstable.clone();
    empty_stable["ephemeral"] = json!([]);
    empty_stable["to_device"] = json!([]);
    for (name, body) in [
        ("stable", stable),
        ("unstable", unstable),
        ("both", both),
        ("unstable beside empty ones", empty_stable),
    ] {
        let heard = Heard::default();
        let rig = Rig::start(listener(&heard)).await?;
        assert_eq!(rig.put("1", body.to_string()).await, 200, "{name}");
        until("all is heard", || async { heard.lock().len() >= 3 }).await?;
        rig.settled().await?;
        let mut heard = heard.lock().clone();
        heard.sort();
        assert_eq!(
            heard,
            [
                "@a:x types",
                r#"[@a:x] {"@g:x": {"D": {"signed_curve25519": 5}}}"#,
                "to device: k",
            ],
            "{name}"
        );
    }
    Ok(())
}

/// Any JSON, of the keys that transactions and events have.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        ".{0,12}".prop_map(Value::from),
        "[!$@#]?[a-z]{0,3}:?[a-z]{0,3}".prop_map(Value::from),
    ];
    let key = prop_oneof![
        Just("event_id"),
        Just("room_id"),
        Just("sender"),
        Just("type"),
        Just("content"),
        Just("state_key"),
        Just("unsigned"),
        Just("user_ids"),
        Just(""),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(key.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// A transaction whose keys hold anything.
fn any_transaction() -> impl Strategy<Value = Value> {
    let key = prop_oneof![
        Just("events"),
        Just("ephemeral"),
        Just("de.sorunome.msc2409.ephemeral"),
        Just("to_device"),
        Just("device_lists"),
        Just("org.matrix.msc3202.device_lists"),
        Just("device_one_time_keys_count"),
        Just("device_unused_fallback_key_types"),
    ];
    let value = prop_oneof![
        any_json(),
        prop::collection::vec(any_json(), 0..4).prop_map(Value::from),
    ];
    prop::collection::btree_map(key.prop_map(str::to_owned), value, 0..6)
        .prop_map(|map| Value::Object(map.into_iter().collect()))
}

fn any_body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => any_transaction().prop_map(|body| body.to_string().into_bytes()),
        2 => any_json().prop_map(|body| body.to_string().into_bytes()),
        2 => prop::collection::vec(any::<u8>(), 0..200),
        // Good ones, cut or with a byte changed.
        2 => (any_transaction(), any::<prop::sample::Index>(), any::<u8>(), any::<bool>()).prop_map(
            |(body, index, byte, cut)| {
                let mut body = body.to_string().into_bytes();
                let index = index.index(body.len());
                if cut { body.truncate(index) } else { body[index] = byte }
                body
            }
        ),
    ]
}

/// Takes anything, and has a handler for everything.
fn all_ears() -> Service {
    let heard = Heard::default();
    listener(&heard)
        .on(|_: Timeline| async {})
        .on(|_: Text, _: Room, _: Sender| async {})
        .on(|_: Member| async {})
        .on(|_: Reaction| async {})
        .on(|_: Redaction| async {})
        .on(|_: Receipt| async {})
        .on(|_: Presence| async {})
        .on(|_: Raw| async {})
}

#[test]
fn no_body_does_harm() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let service = all_ears();
    let generated = generate(&service, Some("http://127.0.0.1:1")).expect("a registration");
    let mut setup = setup(&generated, FakeHost::friendly(), Database::Memory);
    setup.surroundings = Surroundings {
        inline_store: true,
        ..setup.surroundings
    };
    let running = runtime.block_on(service.start(setup)).expect("a service");
    let rig = Rig { running, generated };
    let number = std::cell::Cell::new(0_u32);
    proptest!(|(body in any_body())| {
        number.set(number.get() + 1);
        let status = runtime.block_on(async {
            let status = rig.put(&number.get().to_string(), body).await;
            rig.settled().await.expect("all is handled or parked");
            status
        });
        prop_assert!(matches!(status, 200 | 400), "{}", status);
    });
    // It is as good as new.
    let status = runtime.block_on(rig.put_events("last", &[message("$good")]));
    assert_eq!(status, 200);
}

#[tokio::test]
async fn depth_and_width_cost_little() -> anyhow::Result<()> {
    let rig = Rig::start(all_ears()).await?;
    let started = Instant::now();
    let deep = "[".repeat(1 << 20);
    for (index, key) in ["events", "ephemeral", "to_device", "device_lists", "else"]
        .iter()
        .enumerate()
    {
        let open = format!(r#"{{"{key}":{deep}"#);
        assert_eq!(
            rig.put(&format!("open{index}"), open.clone()).await,
            400,
            "{key}"
        );
        let closed = format!("{open}{}}}", "]".repeat(1 << 20));
        assert_eq!(
            rig.put(&format!("closed{index}"), closed).await,
            200,
            "{key}"
        );
    }
    let keys: Vec<String> = (0..50_000)
        .map(|number| format!(r#""{number}":0"#))
        .collect();
    assert_eq!(
        rig.put("wide", format!("{{{}}}", keys.join(","))).await,
        200
    );
    rig.settled().await?;
    assert_within(started, Duration::from_secs(60));
    Ok(())
}
