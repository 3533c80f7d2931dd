//! What a service refuses: transactions are split until they fit, or until the one event is known.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bridgehead_testkit::Client;
use serde_json::{Value, json};

use crate::peer::{Asked, Peer, QUICK, Reply, room_with_ghost, server_for, yes};

/// Nobody listens while these are sent, so that they wait together.
async fn send_in_absence(
    peer: &mut Peer,
    alice: &Client,
    room: &str,
    texts: &[String],
) -> Vec<String> {
    peer.close().await;
    let mut ids = Vec::new();
    for (n, text) in texts.iter().enumerate() {
        ids.push(alice.send_text(room, &n.to_string(), text).await.unwrap());
    }
    ids
}

fn event_ids(asked: &Asked) -> Vec<String> {
    let body: Value = serde_json::from_slice(&asked.body).unwrap();
    let events = body["events"].as_array().unwrap().iter();
    events
        .map(|event| event["event_id"].as_str().unwrap().to_owned())
        .collect()
}

fn taken(asked: &[Asked], refuses: impl Fn(&Asked) -> bool) -> Vec<String> {
    let taken = asked.iter().filter(|asked| !refuses(asked));
    taken.flat_map(event_ids).collect()
}

#[tokio::test]
async fn what_is_too_large_for_a_service_comes_in_smaller_parts() {
    const LIMIT: usize = 20_000;
    let mut peer = Peer::start("irc").await;
    let server = server_for(&peer, QUICK).await;
    let (alice, _, room) = room_with_ghost(&server, &peer).await;
    let texts = vec!["x".repeat(1_000); 60];
    let ids = send_in_absence(&mut peer, &alice, &room, &texts).await;

    peer.reply(|asked| match asked.body.len() {
        ..=LIMIT => yes(),
        _ => Reply::Json(413, json!({})),
    });
    peer.open().await;
    let too_large = |asked: &Asked| asked.body.len() > LIMIT;
    let last = ids.last().unwrap();
    let asked = peer
        .wait(|asked| taken(asked, too_large).contains(last))
        .await;

    let taken = taken(&asked, too_large);
    let taken: Vec<_> = taken.iter().filter(|id| ids.contains(id)).collect();
    assert_eq!(taken, ids.iter().collect::<Vec<_>>(), "each once, in order");
    let refused = asked.iter().filter(|asked| too_large(asked));
    assert!(
        refused.count() <= 5,
        "the size is learnt, not tried each time"
    );
}

#[tokio::test]
async fn one_event_that_a_service_refuses_is_found_and_holds_what_is_behind_it() {
    let mut peer = Peer::start("irc").await;
    let server = server_for(&peer, QUICK).await;
    let (alice, _, room) = room_with_ghost(&server, &peer).await;
    let texts: Vec<_> = (0..40)
        .map(|n| {
            if n == 23 {
                "poison".to_owned()
            } else {
                format!("text {n}")
            }
        })
        .collect();
    let ids = send_in_absence(&mut peer, &alice, &room, &texts).await;
    let healed = Arc::new(AtomicBool::new(false));
    let is_poison =
        |asked: &Asked| String::from_utf8_lossy(&asked.body).contains(r#""body":"poison""#);
    let state = healed.clone();
    peer.reply(move |asked| {
        if is_poison(asked) && !state.load(Ordering::SeqCst) {
            Reply::Json(
                400,
                json!({ "errcode": "M_BAD_JSON", "error": "cannot parse" }),
            )
        } else {
            yes()
        }
    });
    peer.open().await;

    let alone = |asked: &[Asked]| {
        asked
            .iter()
            .filter(|asked| event_ids(asked) == [ids[23].clone()])
            .count()
            >= 3
    };
    let asked = peer.wait(alone).await;
    let got = taken(&asked, is_poison);
    let got: Vec<_> = got.iter().filter(|id| ids.contains(id)).collect();
    assert_eq!(
        got,
        ids[..23].iter().collect::<Vec<_>>(),
        "what came before it has arrived"
    );

    healed.store(true, Ordering::SeqCst);
    let asked = peer.wait_event(ids.last().unwrap()).await;
    let all: Vec<_> = asked.iter().flat_map(event_ids).collect();
    let mut seen: Vec<_> = ids.iter().filter(|id| all.contains(id)).collect();
    seen.dedup();
    assert_eq!(
        seen.len(),
        ids.len(),
        "and what came after it, once it is taken"
    );
}
