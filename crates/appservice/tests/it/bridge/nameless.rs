//! A network that gives no ids to what is sent: answers, edits and redactions find it all the same.

use bridgehead_appservice::{
    Service,
    bridge::{Action, Bridge, MessageRef, Outgoing, Receipt, Relay},
    format::compose::EditStyle,
};
use bridgehead_testkit::lab::Lab;

use super::plain::{EDITS, Plain, REACTIONS, REDACTIONS, Scene};

const ALL: u32 = EDITS | REDACTIONS | REACTIONS;

/// Of which message something is.
fn target(outgoing: &Outgoing<Plain<ALL>>) -> Option<MessageRef> {
    match &outgoing.action {
        Action::Message { reply_to, .. } => reply_to.clone(),
        Action::Edit { target, .. }
        | Action::Redact { target, .. }
        | Action::React { target, .. } => Some(target.clone()),
        Action::Unreact { reaction } => Some(reaction.clone()),
        _ => None,
    }
}

#[test]
fn what_has_no_id_there_is_found_by_its_event() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let plain = Plain::<ALL>::new(|_| Ok(Receipt::new()));
        let scene = Scene::new(&lab, plain).await?;
        let (alice, room) = (&scene.alice, &scene.room);
        let first = alice.say(room, "frist").await?;
        scene.settle().await;
        alice.edit(room, &first, "first").await?;
        alice.reply(room, &first, "second").await?;
        let nod = alice.react(room, &first, "👍").await?;
        scene.settle().await;
        scene.restart().await?;
        alice.redact(room, &nod).await?;
        alice.redact(room, &first).await?;
        scene.settle().await;
        assert_eq!(
            scene.plain.sent(),
            [
                "message: frist",
                "edit: first",
                "message: second",
                "react: ",
                "unreact: ",
                "redact: "
            ]
        );
        let sent = scene.plain.state.lock().sent.clone();
        let of: Vec<_> = sent.iter().map(target).collect();
        assert_eq!(of[0], None);
        for (index, event) in [
            (1, &first),
            (2, &first),
            (3, &first),
            (4, &nod),
            (5, &first),
        ] {
            let target = of[index].as_ref().expect("one of them");
            assert_eq!(target.events, std::slice::from_ref(event), "{index}");
            assert!(
                target.ids.is_empty(),
                "no id of the kit's own is the network's"
            );
        }
        let words = |message: &MessageRef| message.content.as_ref()?.describe();
        let before = of[1].as_ref().and_then(words);
        let after = of[2].as_ref().and_then(words);
        assert_eq!(
            (before.as_deref(), after.as_deref()),
            (Some("frist"), Some("first"))
        );
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn an_edit_in_words_is_of_what_the_sender_has_said() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let plain = Plain::<0>::new(|_| Ok(Receipt::new()));
        let bridge = Bridge::new(plain.clone())
            .users("_plain_{name}")
            .aliases("#plain_{room}")
            .relay(Relay::default())
            .edits_as(EditStyle::Replacement);
        let service = Service::new("plain").bot("plainbot").bridge(bridge);
        let scene = Scene::with(&lab, plain, service).await?;
        let (alice, room) = (&scene.alice, &scene.room);
        let said = alice.say(room, "the frist of many lines").await?;
        scene.settle().await;
        alice.edit(room, &said, "the first of many lines").await?;
        scene.settle().await;
        assert_eq!(
            scene.plain.sent(),
            [
                "message: <alice> the frist of many lines",
                "message: <alice> s/frist/first/"
            ]
        );
        Ok(())
    })
    .expect("it goes through");
}
