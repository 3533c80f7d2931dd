//! Messages and the like.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bridgehead_appservice::SendOptions;
use serde_json::json;

use super::*;
use crate::harness::until;

#[tokio::test]
async fn what_ghosts_do_to_messages() -> anyhow::Result<()> {
    let pair = Pair::start(service()).await?;
    let alice = pair.user("alice").await?;
    let room = shared_room(&pair, &alice, json!({ "preset": "public_chat" })).await?;
    let ghost = pair.running.ghosts().named("ann")?;
    let first = ghost.send_at(&room, "of old", 1_000_000).await?;
    let reply = ghost.reply(&room, (&first, None), "an answer").await?;
    let edit = ghost.edit(&room, &first, "of new").await?;
    ghost.react(&room, &reply, "👍").await?;
    let redacted = ghost.send(&room, "gone").await?;
    ghost.redact(&room, &redacted, Some("a mistake")).await?;
    ghost.typing(&room, true).await?;
    ghost.typing(&room, false).await?;
    ghost.read(&room, &first).await?;
    ghost.presence("online", Some("here")).await?;
    let events = timeline(&alice, &room).await?;
    let find = |id: &EventId| {
        events
            .iter()
            .find(|event| event["event_id"] == id.as_str())
            .cloned()
    };
    assert_eq!(
        find(&first).context("the first")?["origin_server_ts"],
        1_000_000
    );
    let relation = &find(&reply).context("the reply")?["content"]["m.relates_to"];
    assert_eq!(relation["m.in_reply_to"]["event_id"], first.as_str());
    let relation = &find(&edit).context("the edit")?["content"]["m.relates_to"];
    assert_eq!(
        (&relation["rel_type"], &relation["event_id"]),
        (&json!("m.replace"), &json!(first))
    );
    assert!(
        find(&redacted).context("the redacted one")?["content"]
            .get("body")
            .is_none()
    );
    let reaction = events.iter().find(|event| event["type"] == "m.reaction");
    assert_eq!(
        reaction.context("the reaction")?["content"]["m.relates_to"]["key"],
        "👍"
    );
    Ok(())
}

#[tokio::test]
async fn a_remote_id_is_one_message_in_each_room() -> anyhow::Result<()> {
    let pair = Pair::start(service()).await?;
    let alice = pair.user("alice").await?;
    let room = shared_room(&pair, &alice, json!({ "preset": "public_chat" })).await?;
    let other = shared_room(&pair, &alice, json!({ "preset": "public_chat" })).await?;
    let ghost = pair.running.ghosts().named("ann")?;
    let options = || SendOptions::new().remote_id("net/work", "id 1").at(5000);
    let first = ghost.send_with(&room, "hello", options()).await?;
    let again = ghost.send_with(&room, "hello", options()).await?;
    let elsewhere = ghost.send_with(&other, "hello", options()).await?;
    assert_eq!(first, again);
    assert_ne!(first, elsewhere);
    let handle = pair.running.room(&room);
    assert_eq!(handle.event_of("net/work", "id 1").await?, Some(first));
    assert_eq!(handle.event_of("net", "work/id 1").await?, None);
    Ok(())
}

#[tokio::test]
async fn what_a_failed_handler_added_is_not_sent_and_what_it_sent_is_sent_once()
-> anyhow::Result<()> {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = runs.clone();
    let service = service()
        .limits(|limits| limits.first_retry = std::time::Duration::from_millis(10))
        .on(move |text: Text, room: Room, ghosts: Ghosts, tx: Tx| {
            let runs = counted.clone();
            async move {
                let ghost = ghosts.named("ann")?;
                let made = room.bot().create_room(RoomPlan::private()).await?;
                ghost.send(&room, "at once").await?;
                tx.send(&ghost, &room, format!("in {}", made.id)).await?;
                match runs.fetch_add(1, Ordering::Relaxed) {
                    0 | 1 => Err(HandlerError::new("not yet")),
                    _ => Ok(()),
                }?;
                tx.send(&room.bot(), &room, text.body).await?;
                Ok::<_, HandlerError>(())
            }
        });
    let pair = Pair::start(service).await?;
    let alice = pair.user("alice").await?;
    let room = shared_room(&pair, &alice, json!({ "preset": "private_chat" })).await?;
    alice.send_text(room.as_str(), "1", "go").await?;
    until("the handler has succeeded", || async {
        said(&alice, &room, BOT, "go")
            .await
            .is_ok_and(|count| count == 1)
    })
    .await?;
    pair.settled().await?;
    assert_eq!(runs.load(Ordering::Relaxed), 3);
    assert_eq!(said(&alice, &room, &ghost_id("ann"), "at once").await?, 1);
    let events = timeline(&alice, &room).await?;
    let told = events
        .iter()
        .filter_map(|event| event["content"]["body"].as_str());
    let rooms: Vec<&str> = told.filter(|body| body.starts_with("in !")).collect();
    assert_eq!(rooms.len(), 1, "{rooms:?}");
    // One room, though the handler was run three times.
    let made = pair.running.bot().rooms().await?;
    assert_eq!(made.len(), 2, "{made:?}");
    Ok(())
}
