//! People on IRC vote in polls of Matrix.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use bridgehead_appservice::{
    bridge::Level,
    id::{EventId, UserId},
};
use bridgehead_irc_server::Dialect;
use bridgehead_testkit::{
    SERVER_NAME,
    lab::{Lab, LabUser},
};
use serde_json::{Value, json};

use crate::{
    stage::NETWORK,
    within::{CHANNEL, Scene},
};

const RESPONSE: &str = "org.matrix.msc3381.poll.response";

/// Alice asks; gives back the poll, once Bob has heard of it.
async fn ask(scene: &Scene, question: &str) -> anyhow::Result<EventId> {
    let poll = json!({ "org.matrix.msc3381.poll.start": {
        "question": { "org.matrix.msc1767.text": question },
        "kind": "org.matrix.msc3381.poll.disclosed", "max_selections": 1,
        "answers": [
            { "id": "t", "org.matrix.msc1767.text": "Tea" },
            { "id": "c", "org.matrix.msc1767.text": "Coffee" },
        ],
    } });
    let kind = "org.matrix.msc3381.poll.start";
    let asked = scene.alice.send(&scene.room, kind, &poll).await?;
    let told = format!("[poll: {question} 1) Tea 2) Coffee]");
    scene.hears_on_irc(&told).await?;
    scene.lab.settle().await;
    Ok(asked)
}

/// All votes: in which poll, and for what.
async fn votes(scene: &Scene) -> anyhow::Result<Vec<(String, String)>> {
    scene.lab.pass(Duration::from_secs(30)).await;
    let ghost = UserId::parse(&format!("@irc_{NETWORK}_bob:{SERVER_NAME}"))?;
    let timeline = scene.alice.timeline(&scene.room).await?;
    let votes = timeline.iter().filter(|event| event.kind == RESPONSE);
    votes
        .map(|vote| {
            ensure!(vote.sender == ghost, "{}", vote.sender);
            let text = |value: &Value| value.as_str().map(str::to_owned).context("a text");
            let poll = text(&vote.content["m.relates_to"]["event_id"])?;
            Ok((poll, text(&vote.content[RESPONSE]["answers"][0])?))
        })
        .collect()
}

/// What Bob was told alone.
fn answers(scene: &Scene) -> Vec<String> {
    let lines = scene.bob.heard().into_iter();
    let answers = lines.filter(|line| line.command == "NOTICE" && line.text(0) == "bob");
    answers.map(|line| line.text(1).into_owned()).collect()
}

#[test]
fn people_on_irc_vote_by_number() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::with(lab, Dialect::modern(), |_| Ok(())).await?;
        let bob = &scene.bob;
        // Without a poll it is for somebody else.
        bob.say(CHANNEL, "!vote 1").await?;
        scene.hears_in_matrix("!vote 1").await?;
        let first = ask(&scene, "Tea or coffee?").await?.to_string();
        bob.say(CHANNEL, "!vote 2").await?;
        let mut expected = vec![(first.clone(), "c".to_owned())];
        ensure!(
            votes(&scene).await? == expected,
            "{:?}",
            votes(&scene).await?
        );
        // Who thinks again votes again.
        bob.say(CHANNEL, "!vote 1").await?;
        expected.push((first.clone(), "t".to_owned()));
        ensure!(
            votes(&scene).await? == expected,
            "{:?}",
            votes(&scene).await?
        );
        // There are two answers.
        for wrong in ["!vote 0", "!vote 3", "!vote tea"] {
            let before = answers(&scene).len();
            bob.say(CHANNEL, wrong).await?;
            ensure!(votes(&scene).await? == expected, "{wrong}");
            let told = answers(&scene).split_off(before);
            ensure!(
                told.len() == 1 && told[0].contains("answers 1 to 2"),
                "{told:?}"
            );
        }
        // The newest poll is meant, and an older one by who answers it.
        let second = ask(&scene, "And now?").await?.to_string();
        bob.say(CHANNEL, "!vote 2").await?;
        expected.push((second, "c".to_owned()));
        ensure!(
            votes(&scene).await? == expected,
            "{:?}",
            votes(&scene).await?
        );
        let heard = bob.heard();
        let poll = heard
            .iter()
            .find(|line| line.text(1).contains("Tea or coffee?"));
        let msgid = poll
            .and_then(|line| line.tags.get("msgid"))
            .context("an id")?;
        let vote = format!("@+draft/reply={msgid} PRIVMSG {CHANNEL} :!vote 2");
        bob.raw(vote).await?;
        expected.push((first, "c".to_owned()));
        ensure!(
            votes(&scene).await? == expected,
            "{:?}",
            votes(&scene).await?
        );
        let texts = scene.alice.texts(&scene.room).await?;
        ensure!(texts == ["first", "!vote 1"], "{texts:?}");
        Ok(())
    })
}

#[test]
fn nobody_votes_in_a_poll_that_is_over() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::with(lab, Dialect::ngircd(), |_| Ok(())).await?;
        let poll = ask(&scene, "Tea or coffee?").await?;
        let end = json!({
            "m.relates_to": { "rel_type": "m.reference", "event_id": poll },
            "org.matrix.msc3381.poll.end": {}, "org.matrix.msc1767.text": "Tea",
        });
        let kind = "org.matrix.msc3381.poll.end";
        scene.alice.send(&scene.room, kind, &end).await?;
        scene.lab.settle().await;
        // It is known after a crash, too.
        scene.service.crash();
        scene.service.start().await?;
        scene.lab.pass(Duration::from_secs(30)).await;
        scene.bob.say(CHANNEL, "!vote 2").await?;
        ensure!(
            votes(&scene).await?.is_empty(),
            "{:?}",
            votes(&scene).await?
        );
        let told = answers(&scene);
        ensure!(
            told.last().is_some_and(|told| told.contains("is over")),
            "{told:?}"
        );
        Ok(())
    })
}

/// What Bob has heard in the channel that somebody does.
fn deeds(scene: &Scene) -> Vec<String> {
    let said = scene.order_on_irc().into_iter();
    said.filter(|said| said.starts_with('\x01')).collect()
}

/// Somebody takes back their vote, which gives them a line on IRC with their name in it.
async fn take_back(scene: &Scene, who: &LabUser, poll: &EventId) -> anyhow::Result<()> {
    let vote = json!({
        "m.relates_to": { "rel_type": "m.reference", "event_id": poll },
        RESPONSE: { "answers": [] },
    });
    who.send(&scene.room, RESPONSE, &vote).await?;
    scene.lab.pass(Duration::from_secs(30)).await;
    Ok(())
}

/// Eve, who is blocked, in the room; she is called as an advertisement is.
async fn eve(scene: &Scene) -> anyhow::Result<LabUser> {
    let eve = scene.lab.user("eve").await?;
    eve.set_display_name("BUY THIS at example.org").await?;
    eve.join(&scene.room).await?;
    scene.lab.settle().await;
    Ok(eve)
}

#[test]
fn who_is_blocked_does_not_vote() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let eves = format!("@eve:{SERVER_NAME}");
        let scene = Scene::with(lab, Dialect::modern(), |settings| {
            settings.permissions = settings.permissions.clone().allow(&eves, Level::Blocked);
            Ok(())
        })
        .await?;
        let poll = ask(&scene, "Tea or coffee?").await?;
        let eve = eve(&scene).await?;
        take_back(&scene, &eve, &poll).await?;
        ensure!(deeds(&scene).is_empty(), "{:?}", deeds(&scene));
        // Nor are votes taken for a poll of hers, which nobody on IRC has heard of.
        let own = json!({ "org.matrix.msc3381.poll.start": {
            "question": { "org.matrix.msc1767.text": "Whose turn?" },
            "answers": [
                { "id": "e", "org.matrix.msc1767.text": "Eve" },
                { "id": "f", "org.matrix.msc1767.text": "Eve again" },
            ],
        } });
        let kind = "org.matrix.msc3381.poll.start";
        eve.send(&scene.room, kind, &own).await?;
        scene.lab.settle().await;
        scene.bob.say(CHANNEL, "!vote 2").await?;
        scene.lab.pass(Duration::from_secs(30)).await;
        let timeline = scene.alice.timeline(&scene.room).await?;
        let votes = timeline.iter().filter(|event| event.kind == RESPONSE);
        let of_bob = votes.filter(|vote| vote.sender != *eve.id());
        let polls: Vec<_> = of_bob
            .map(|vote| &vote.content["m.relates_to"]["event_id"])
            .collect();
        ensure!(polls == [poll.as_str()], "{polls:?}");
        take_back(&scene, &scene.alice, &poll).await?;
        ensure!(deeds(&scene).len() == 1, "{:?}", deeds(&scene));
        Ok(())
    })
}

#[test]
fn who_is_on_a_ban_list_does_not_vote() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let warden = lab.user("warden").await?;
        let open = json!({ "preset": "public_chat" });
        let list = warden.create_room_with(&open).await?;
        let scene = Scene::with(lab, Dialect::modern(), |settings| {
            settings.policy_rooms = vec![list.to_string()];
            Ok(())
        })
        .await?;
        let poll = ask(&scene, "Tea or coffee?").await?;
        let eve = eve(&scene).await?;
        take_back(&scene, &eve, &poll).await?;
        ensure!(deeds(&scene).len() == 1, "{:?}", deeds(&scene));
        let rule = json!({ "entity": eve.id(), "recommendation": "m.ban", "reason": "spam" });
        warden
            .set_state(&list, "m.policy.rule.user", "eve", &rule)
            .await?;
        scene.lab.settle().await;
        take_back(&scene, &eve, &poll).await?;
        ensure!(deeds(&scene).len() == 1, "{:?}", deeds(&scene));
        Ok(())
    })
}
