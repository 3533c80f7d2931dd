//! A network that tells of what was sent to it: edits, reactions and redactions too.

use std::time::Duration;

use bridgehead_appservice::bridge::{Action, Outgoing, Receipt, RemoteMessage, SendError};
use bridgehead_testkit::lab::Lab;

use super::plain::{ECHOES, EDITS, Plain, REACTIONS, REDACTIONS, Scene, hall};
use crate::outside::log_in;

const ALL: u32 = ECHOES | EDITS | REDACTIONS | REACTIONS;

/// People of Matrix have this account there.
fn guest() -> String {
    "guest".to_owned()
}

/// Everybody is told at once, also the bridge, before it knows that it was heard.
fn echo(outgoing: &Outgoing<Plain<ALL>>) -> Result<Receipt, SendError> {
    let (remote, action) = (outgoing.remote().clone(), outgoing.action.clone());
    let text = outgoing.describe().unwrap_or_default();
    let id = format!("m{text}");
    let receipt = match &action {
        Action::Message { .. } => Receipt::id(id.clone()),
        _ => Receipt::new().by(&guest()),
    };
    tokio::spawn(async move {
        let first = |ids: &[String]| ids.first().cloned().expect("an id");
        let said = |id: String| RemoteMessage::new(id, hall(), guest(), format!("{text} "));
        let told = match &action {
            Action::Message { .. } => remote.message(said(id)).await,
            Action::Edit { target, .. } => {
                let id = first(&target.ids);
                remote.edit(&id, said(id.clone())).await
            }
            Action::Redact { target, .. } => {
                let id = first(&target.ids);
                remote.redact(&hall(), &id, Some(&guest()), None).await
            }
            Action::React { target, key } => {
                let id = first(&target.ids);
                remote.react(&hall(), &id, &guest(), key).await
            }
            Action::Unreact { reaction } => {
                let of = reaction.reaction.as_ref().expect("a reaction");
                let id = first(&of.target);
                remote.unreact(&hall(), &id, &guest(), &of.key).await
            }
            _ => Ok(()),
        };
        told.expect("it is told");
    });
    Ok(receipt)
}

async fn scene(lab: &Lab) -> anyhow::Result<Scene<ALL>> {
    let plain = Plain::new(echo);
    plain.state.lock().delay = Duration::from_millis(200);
    Scene::new(lab, plain).await
}

/// Events of each type that stand in the portal.
async fn counts(scene: &Scene<ALL>) -> anyhow::Result<[usize; 3]> {
    Ok([
        scene.events("m.room.message").await?.len(),
        scene.events("m.reaction").await?.len(),
        scene.events("m.room.redaction").await?.len(),
    ])
}

#[test]
fn an_echo_of_anything_is_not_said_again() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let scene = scene(&lab).await?;
        let (alice, room) = (&scene.alice, &scene.room);
        // As herself: her own edits would be said a second time by herself.
        let person = alice.id().clone();
        scene
            .plain
            .state
            .lock()
            .persons
            .insert(guest(), person.clone());
        let token = log_in(&scene.service, alice).await?;
        scene
            .service
            .running()
            .puppets()
            .adopt(&person, token)
            .await?;

        let said = alice.say(room, "wich").await?;
        scene.settle().await;
        assert_eq!(counts(&scene).await?, [1, 0, 0]);
        alice.edit(room, &said, "which").await?;
        scene.settle().await;
        assert_eq!(counts(&scene).await?, [2, 0, 0], "she, and no echo of her");
        let nod = alice.react(room, &said, "👍").await?;
        scene.settle().await;
        assert_eq!(counts(&scene).await?, [2, 1, 0]);
        alice.redact(room, &nod).await?;
        scene.settle().await;
        assert_eq!(counts(&scene).await?[2], 1);
        alice.redact(room, &said).await?;
        scene.settle().await;
        assert_eq!(counts(&scene).await?[2], 2);
        assert_eq!(
            scene.plain.sent(),
            [
                "message: wich",
                "edit: which",
                "react: ",
                "unreact: ",
                "redact: "
            ]
        );
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn what_others_do_there_is_no_echo() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let scene = scene(&lab).await?;
        let (alice, room, remote) = (&scene.alice, &scene.room, scene.remote());
        let said = alice.say(room, "hello").await?;
        alice.react(room, &said, "👍").await?;
        scene.settle().await;
        assert_eq!(counts(&scene).await?, [1, 1, 0]);
        // Somebody else reacts alike; and what was reacted from here is taken back there.
        remote
            .react(&hall(), "mhello", &"ann".to_owned(), "👍")
            .await?;
        scene.settle().await;
        assert_eq!(counts(&scene).await?, [1, 2, 0]);
        remote.unreact(&hall(), "mhello", &guest(), "👍").await?;
        scene.settle().await;
        let taken = scene.events("m.room.redaction").await?;
        let by: Vec<_> = taken.iter().map(|event| event.sender.localpart()).collect();
        assert_eq!(by, ["plainbot"]);
        Ok(())
    })
    .expect("it goes through");
}
