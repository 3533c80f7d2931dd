//! What people do to what others have said, or to what was said in another room: nothing of it goes further than Matrix.

use std::sync::atomic::{AtomicUsize, Ordering};

use bridgehead_appservice::bridge::{Action, Receipt, RoomInfo};
use bridgehead_testkit::lab::Lab;
use serde_json::json;

use super::plain::{EDITS, Plain, REACTIONS, REDACTIONS, Scene};

/// A network that has all of it, with ids.
fn plain<const F: u32>() -> Plain<F> {
    let count = AtomicUsize::new(0);
    Plain::new(move |_| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        Ok(Receipt::id(format!("m{number}")))
    })
}

/// Carol edits what Alice has said; all that has reached the network.
async fn edited_by_carol<const F: u32>(lab: Lab) -> anyhow::Result<Vec<String>> {
    let scene = Scene::new(&lab, plain::<F>()).await?;
    let (alice, room) = (&scene.alice, &scene.room);
    let carol = lab.user("carol").await?;
    carol.join(room).await?;
    let said = alice.say(room, "I agree").await?;
    scene.settle().await;
    carol.edit(room, &said, "I object").await?;
    scene.settle().await;
    // What the network is shown of it behind that is still what Alice has said.
    let reply = json!({
        "msgtype": "m.text", "body": "really?",
        "m.relates_to": { "m.in_reply_to": { "event_id": said } },
    });
    alice.send(room, "m.room.message", &reply).await?;
    scene.settle().await;
    let last = scene
        .plain
        .state
        .lock()
        .sent
        .last()
        .map(|last| last.action.clone());
    let Some(Action::Message { reply_to, .. }) = last else {
        anyhow::bail!("{last:?}");
    };
    let before = reply_to.and_then(|answered| answered.content);
    assert_eq!(
        before.as_ref().and_then(|said| said.text()),
        Some("I agree")
    );
    alice.edit(room, &said, "I do agree").await?;
    scene.settle().await;
    Ok(scene.plain.sent())
}

#[test]
fn nobody_edits_what_somebody_else_has_said() {
    Lab::run(async |lab| {
        let sent = edited_by_carol::<EDITS>(lab)
            .await
            .expect("it goes through");
        let alone = ["message: I agree", "message: really?", "edit: I do agree"];
        assert_eq!(sent, alone);
    });
    // And where edits are said in words.
    Lab::run(async |lab| {
        let sent = edited_by_carol::<0>(lab).await.expect("it goes through");
        assert_eq!(sent.len(), 3, "{sent:?}");
        assert!(!sent.concat().contains("object"), "{sent:?}");
    });
}

#[test]
fn what_was_said_in_another_room_is_not_told() {
    const ALL: u32 = EDITS | REACTIONS | REDACTIONS;
    Lab::run(async |lab| -> anyhow::Result<()> {
        let plain = plain::<ALL>();
        let attic = RoomInfo::public("The attic");
        plain.state.lock().rooms.insert("attic".to_owned(), attic);
        let scene = Scene::new(&lab, plain).await?;
        let (alice, room) = (&scene.alice, &scene.room);
        let attic = alice.join("#plain_attic:localhost").await?;
        let secret = alice.say(&attic, "a secret").await?;
        scene.settle().await;
        let reply = json!({
            "msgtype": "m.text", "body": "hear, hear",
            "m.relates_to": { "m.in_reply_to": { "event_id": secret } },
        });
        alice.send(room, "m.room.message", &reply).await?;
        alice.react(room, &secret, "+1").await?;
        alice.edit(room, &secret, "no secret").await?;
        scene.settle().await;
        let sent = scene.plain.state.lock().sent.clone();
        let in_hall: Vec<_> = sent.iter().filter(|sent| sent.room == "hall").collect();
        let [said] = in_hall[..] else {
            anyhow::bail!("{in_hall:?}");
        };
        let Action::Message { reply_to: None, .. } = &said.action else {
            anyhow::bail!("{said:?}");
        };
        // Where it was said, it is known.
        alice.send(&attic, "m.room.message", &reply).await?;
        scene.settle().await;
        let last = scene.plain.state.lock().sent.last().cloned();
        let last = last.map(|last| last.action);
        assert!(
            matches!(
                &last,
                Some(Action::Message {
                    reply_to: Some(_),
                    ..
                })
            ),
            "{last:?}"
        );
        let known = scene.remote();
        let (hall, there) = ("hall".to_owned(), "attic".to_owned());
        assert!(known.message_in(&hall, &secret).await?.is_none());
        assert!(known.message_in(&there, &secret).await?.is_some());
        Ok(())
    })
    .expect("it goes through");
}
