//! What refers to something that was said before: corrections, reactions, answers, threads, votes.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use bridgehead_irc_server::Dialect;
use bridgehead_testkit::lab::Lab;
use serde_json::json;

use crate::{
    stage::{NETWORK, alias},
    within::{CHANNEL, Scene},
};

/// The ids of the lines with these words that Bob has heard in the channel.
fn ids_of(scene: &Scene, words: &str) -> Vec<String> {
    let lines = scene.bob.heard().into_iter();
    let said = lines.filter(|line| line.command == "PRIVMSG" && line.text(1).contains(words));
    said.filter_map(|line| Some(line.tags.get("msgid")?.to_owned()))
        .collect()
}

#[test]
fn what_was_corrected_is_reacted_to_and_taken_back_by_all_its_lines() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab, Dialect::modern()).await?;
        let (alice, room) = (&scene.alice, &scene.room);
        scene.bob.raw("CAP REQ :draft/message-redaction").await?;
        let said = alice.say(room, "a mistake of mune").await?;
        scene.hears_on_irc("a mistake of mune").await?;
        alice.edit(room, &said, "a mistake of mine").await?;
        scene.lab.pass(Duration::from_secs(30)).await;
        let mut ids = ids_of(&scene, "m");
        let original = ids_of(&scene, "mune").first().cloned().context("an id")?;
        ensure!(ids.len() == 2, "{ids:?}");
        // Somebody reacts to the first line, which they have seen.
        let react = format!("@+draft/react=+1;+draft/reply={original} TAGMSG {CHANNEL}");
        scene.bob.raw(react).await?;
        scene.lab.pass(Duration::from_secs(30)).await;
        let timeline = alice.timeline(room).await?;
        let reaction = timeline.iter().find(|event| event.kind == "m.reaction");
        let reaction = reaction.context("the reaction is not shown")?;
        let of = &reaction.content["m.relates_to"]["event_id"];
        ensure!(*of == said.as_str(), "{of}");
        alice.redact(room, &said).await?;
        scene.lab.pass(Duration::from_secs(30)).await;
        let heard = scene.bob.heard();
        let redacted = heard.iter().filter(|line| line.command == "REDACT");
        let mut redacted: Vec<String> = redacted.map(|line| line.text(1).into_owned()).collect();
        redacted.sort();
        ids.sort();
        ensure!(redacted == ids, "{redacted:?} of {ids:?}");
        Ok(())
    })
}

#[test]
fn nobody_corrects_what_somebody_else_has_said() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab, Dialect::modern()).await?;
        let (alice, room) = (&scene.alice, &scene.room);
        let carol = scene.lab.user("carol").await?;
        carol.join(room).await?;
        let said = alice.say(room, "I agree").await?;
        scene.hears_on_irc("I agree").await?;
        carol.edit(room, &said, "I object").await?;
        carol.say(room, "well?").await?;
        scene.hears_on_irc("well?").await?;
        scene.lab.pass(Duration::from_secs(60)).await;
        let heard = scene.order_on_irc();
        ensure!(heard == ["first", "I agree", "well?"], "{heard:?}");
        Ok(())
    })
}

#[test]
fn what_was_said_in_another_room_is_not_told() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::with(lab, Dialect::ngircd(), |settings| {
            let network = settings.networks.get_mut(NETWORK).context("the network")?;
            network.messages.quote_after = "0s".parse()?;
            Ok(())
        })
        .await?;
        let (alice, room) = (&scene.alice, &scene.room);
        let attic = alice.join(&alias("#attic")).await?;
        let secret = alice.say(&attic, "the secret").await?;
        let kind = "org.matrix.msc3381.poll.start";
        let poll = json!({ kind: {
            "question": { "org.matrix.msc1767.text": "Whose secret?" },
            "kind": "org.matrix.msc3381.poll.disclosed",
            "answers": [{ "id": "a", "org.matrix.msc1767.text": "Ann's secret" }],
        } });
        let poll = alice.send(&attic, kind, &poll).await?;
        scene.lab.pass(Duration::from_secs(60)).await;
        let text = "m.room.message";
        let reply = json!({
            "msgtype": "m.text", "body": "hear, hear",
            "m.relates_to": { "m.in_reply_to": { "event_id": secret } },
        });
        alice.send(room, text, &reply).await?;
        let in_thread = json!({
            "msgtype": "m.text", "body": "about that",
            "m.relates_to": { "rel_type": "m.thread", "event_id": secret },
        });
        alice.send(room, text, &in_thread).await?;
        let response = "org.matrix.msc3381.poll.response";
        let vote = json!({
            "m.relates_to": { "rel_type": "m.reference", "event_id": poll },
            response: { "answers": ["a"] },
        });
        alice.send(room, response, &vote).await?;
        alice.say(room, "last").await?;
        scene.hears_on_irc("last").await?;
        let heard = scene.order_on_irc();
        ensure!(heard.len() == 5, "{heard:?}");
        ensure!(!heard.concat().contains("secret"), "{heard:?}");
        Ok(())
    })
}
