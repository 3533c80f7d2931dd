//! A bridge between a homeserver, whichever it is, and a small chat network of our own.

use anyhow::{Context as _, ensure};
use bridgehead_appservice::{
    Event,
    bridge::{PortalKind, Relay, Template},
    id::{RoomAlias, RoomId, UserId},
};
use bridgehead_testkit::lab::Lab;
use http::Method;
use serde_json::{Value, json};

use super::{Play, comes_to};
use crate::bridge::{Stage, bridge_named, service_named, village::Village};

scenarios! {
    what_is_said_is_heard_once_on_the_other_side: town("hamlet", &Village::default());
    edits_reactions_replies_and_redactions_go_both_ways: town("borough", &Village::default());
    a_portal_is_made_for_whoever_asks_and_only_where_there_is_something: town("parish", &Village::default());
    the_relay_names_who_has_said_it: relayed("suburb", &Village::default());
    bridge_ghosts_and_link_follow_into_the_new_room: town("harbour", &Village::default());
    ghosts_leave_first_the_bridge_last_and_the_link_goes_at_the_end: town("manor", &Village::default());
    a_refused_message_is_told_and_may_be_tried_again: town("market", &Village::default());
}

fn town(name: &str, village: &Village) -> bridgehead_appservice::Service {
    service_named(name, bridge_named(name, village))
}

fn relayed(name: &str, village: &Village) -> bridgehead_appservice::Service {
    let template = Template::parse("**{name}**: {message}").expect("a template");
    let bridge = bridge_named(name, village).relay(Relay::new(template));
    service_named(name, bridge)
}

/// A bridge to a village with a square.
async fn stage(lab: &Lab, name: &str) -> Stage {
    let village = Village::new(&["square"]);
    Stage::with(lab, &village, town(name, &village)).await
}

impl Stage {
    fn ghost(&self, name: &str) -> UserId {
        let localpart = format!("_{}_{name}", self.service.id());
        UserId::new(&localpart, self.lab.server_name()).expect("an id")
    }

    fn bot(&self) -> UserId {
        self.service.running().bot_id().clone()
    }

    /// What Alice is called in the village.
    fn guest(&self) -> String {
        format!("guest {}", self.alice.id().localpart())
    }

    /// Alice comes into the square, and the village has seen her: what is said from now on is said after that.
    async fn come_in(&self) -> anyhow::Result<RoomId> {
        let room = self.enter("square").await;
        self.comes_to_be_heard(&[]).await?;
        Ok(room)
    }

    /// Waits until this, and nothing else, was heard in the square since Alice came.
    async fn comes_to_be_heard(&self, lines: &[String]) -> anyhow::Result<()> {
        let mut expected = vec![format!("[{} comes]", self.guest())];
        expected.extend_from_slice(lines);
        comes_to(&self.lab, &expected, async || {
            Ok(self.village.heard("square"))
        })
        .await
    }

    /// Waits until this is what was said in a room, as `localpart: text`.
    async fn comes_to_be_said(&self, room: &RoomId, lines: &[String]) -> anyhow::Result<()> {
        comes_to(&self.lab, &lines.to_vec(), async || {
            Ok(self.said(room).await)
        })
        .await
    }

    /// Waits until somebody is this in a room.
    async fn comes_to_be(
        &self,
        room: &RoomId,
        users: &[UserId],
        membership: &str,
    ) -> anyhow::Result<()> {
        comes_to(
            &self.lab,
            &vec![membership.to_owned(); users.len()],
            async || {
                let members = self.alice.members(room).await?;
                let of = |user| members.get(user).cloned().unwrap_or_default();
                Ok(users.iter().map(of).collect())
            },
        )
        .await
    }

    /// Waits until the square is linked to this room.
    async fn comes_to_be_linked(&self, room: Option<&RoomId>) -> anyhow::Result<()> {
        comes_to(&self.lab, &room.cloned(), async || {
            Ok(self.portal("square").await.map(|portal| portal.matrix))
        })
        .await
    }
}

async fn what_is_said_is_heard_once_on_the_other_side(play: Play) -> anyhow::Result<()> {
    let stage = stage(&play.lab, "hamlet").await;
    let room = stage.come_in().await?;
    let bob = stage.ghost("bob");
    let (by_bob, by_alice) = (bob.localpart(), stage.alice.id().localpart());
    stage.village.say("square", "bob", "good morning");
    stage.alice.hears(&room, "good morning").await?;
    stage.alice.say(&room, "hello bob").await?;
    let heard = [
        "bob: good morning".to_owned(),
        format!("{}: hello bob", stage.guest()),
    ];
    stage.comes_to_be_heard(&heard).await?;
    stage.village.say("square", "bob", "hello alice");
    let said = [
        format!("{by_bob}: good morning"),
        format!("{by_alice}: hello bob"),
        format!("{by_bob}: hello alice"),
    ];
    stage.comes_to_be_said(&room, &said).await?;
    // And there it stays, after all is told again as well.
    stage.village.forget_how_far();
    stage.restart().await;
    stage.comes_to_be_said(&room, &said).await?;
    let [first, second] = heard;
    stage
        .comes_to_be_heard(&[first, second, "bob: hello alice".to_owned()])
        .await?;
    // The ghost has the name that the village has for it.
    let profile = stage.alice.profile(&bob).await?;
    ensure!(profile["displayname"] == "Bob", "{profile}");
    Ok(())
}

async fn edits_reactions_replies_and_redactions_go_both_ways(play: Play) -> anyhow::Result<()> {
    let stage = stage(&play.lab, "borough").await;
    let room = stage.come_in().await?;
    let theirs = stage.village.say("square", "bob", "teh news");
    let heard = stage.alice.hears(&room, "teh news").await?;
    let answered = from_matrix(&stage, &room, &theirs, &heard).await?;
    to_matrix(&stage, &room, (&theirs, &heard), &answered).await
}

/// Alice edits, answers, reacts and takes back; gives back the village's id of her answer.
async fn from_matrix(
    stage: &Stage,
    room: &RoomId,
    theirs: &str,
    heard: &Event,
) -> anyhow::Result<String> {
    let (alice, guest) = (&stage.alice, stage.guest());
    let ours = alice.say(room, "wich news").await?;
    let mut lines = vec!["bob: teh news".to_owned(), format!("{guest}: wich news")];
    stage.comes_to_be_heard(&lines).await?;
    let id = stage.village.id_of("wich news");
    alice.edit(room, &ours, "which news").await?;
    alice.reply(room, &heard.id, "tell me").await?;
    let nod = alice.react(room, &heard.id, "👍").await?;
    lines.extend([
        format!("[{guest} changes {id}: which news]"),
        format!("{guest} to {theirs}: tell me"),
        format!("[{guest} nods 👍 at {theirs}]"),
    ]);
    stage.comes_to_be_heard(&lines).await?;
    alice.redact(room, &nod).await?;
    alice.redact(room, &ours).await?;
    lines.extend([
        format!("[{guest} stops 👍 at {theirs}]"),
        format!("[{guest} takes back {id}]"),
    ]);
    stage.comes_to_be_heard(&lines).await?;
    Ok(stage.village.id_of("tell me"))
}

/// Bob does the same with what he has said, and with Alice's answer.
async fn to_matrix(
    stage: &Stage,
    room: &RoomId,
    (theirs, heard): (&str, &Event),
    answered: &str,
) -> anyhow::Result<()> {
    let (alice, village, bob) = (&stage.alice, &stage.village, stage.ghost("bob"));
    village.change("square", "bob", theirs, "the news");
    village.answer("square", "bob", "it rains", Some(answered));
    village.nod("square", "bob", answered, true);
    let edit = alice.hears(room, "* the news").await?;
    ensure!(edit.content["m.relates_to"]["event_id"] == json!(heard.id));
    ensure!(edit.content["m.new_content"]["body"] == "the news");
    let asked = alice.hears(room, "tell me").await?.id;
    let reply = alice.hears(room, "it rains").await?;
    let answered_event = &reply.content["m.relates_to"]["m.in_reply_to"]["event_id"];
    ensure!(*answered_event == json!(asked));
    let of_bob = |event: &Event| event.kind == "m.reaction" && event.sender == bob;
    let nod = alice.wait_for(room, "Bob's nod", of_bob).await?;
    ensure!(nod.content["m.relates_to"]["event_id"] == json!(asked));
    village.nod("square", "bob", answered, false);
    village.take_back("square", "bob", theirs);
    let expected = vec![nod.id, heard.id.clone()];
    comes_to(&stage.lab, &expected, async || {
        let events = stage.events(room, "m.room.redaction").await.into_iter();
        let by_bob = events.filter(|event| event.sender == bob);
        Ok(by_bob.filter_map(|event| event.redacts).collect())
    })
    .await
}

async fn a_portal_is_made_for_whoever_asks_and_only_where_there_is_something(
    play: Play,
) -> anyhow::Result<()> {
    let village = Village::new(&["square", "cellar"]);
    let stage = Stage::with(&play.lab, &village, town("parish", &village)).await;
    stage.village.hide("cellar");
    let room = stage.come_in().await?;
    let portal = stage.portal("square").await.context("linked")?;
    ensure!((&portal.matrix, portal.data.kind) == (&room, PortalKind::Made));
    let alias = RoomAlias::new("parish_square", stage.lab.server_name())?;
    ensure!(portal.data.alias == Some(alias));
    let name = stage.alice.state(&room, "m.room.name", "").await?;
    ensure!(name["name"] == "square", "{name}");
    for kind in ["m.bridge", "uk.half-shot.bridge"] {
        let key = "io.bridgehead://village/square";
        let info = stage.alice.state(&room, kind, key).await?;
        let known = json!({
            "bridgebot": stage.bot(),
            "protocol": { "id": "village", "displayname": "the village" },
            "channel": { "id": "square", "displayname": "square" },
        });
        ensure!(info == known, "{kind}: {info}");
    }
    for nowhere in ["nowhere", "cellar"] {
        let alias = format!("#parish_{nowhere}:{}", stage.lab.server_name());
        let error = stage.alice.join(&alias).await.expect_err("no such room");
        ensure!(
            error.status().is_some_and(|status| status == 404),
            "{error}"
        );
    }
    ensure!(stage.village.watched() == ["square"]);
    Ok(())
}

async fn the_relay_names_who_has_said_it(play: Play) -> anyhow::Result<()> {
    let village = Village::new(&["square"]);
    let stage = Stage::with(&play.lab, &village, relayed("suburb", &village)).await;
    stage.alice.set_display_name("Alice").await?;
    let room = stage.come_in().await?;
    stage.alice.say(&room, "hello").await?;
    let mut lines = vec![format!("{}: Alice: hello", stage.guest())];
    stage.comes_to_be_heard(&lines).await?;
    // Two of the same name are told apart.
    let other = stage.lab.user("other").await?;
    other.set_display_name("Alice").await?;
    other.join(&room).await?;
    other.say(&room, "hello, too").await?;
    let guest = format!("guest {}", other.id().localpart());
    lines.push(format!("[{guest} comes]"));
    lines.push(format!("{guest}: Alice ({}): hello, too", other.id()));
    stage.comes_to_be_heard(&lines).await
}

/// Alice's own room, linked to the square, with Bob in it.
async fn linked(stage: &Stage) -> anyhow::Result<RoomId> {
    let (alice, bot) = (&stage.alice, stage.bot());
    let body = json!({ "preset": "public_chat", "name": "our room", "room_version": "10" });
    let room = alice.create_room_with(&body).await?;
    alice.invite(&room, &bot).await?;
    alice.set_power(&room, &bot, 50).await?;
    stage
        .comes_to_be(&room, std::slice::from_ref(&bot), "join")
        .await?;
    alice.say(&room, "!village link square").await?;
    stage.comes_to_be_linked(Some(&room)).await?;
    stage.village.say("square", "bob", "hello");
    alice.hears(&room, "hello").await?;
    Ok(room)
}

async fn bridge_ghosts_and_link_follow_into_the_new_room(play: Play) -> anyhow::Result<()> {
    let stage = stage(&play.lab, "harbour").await;
    let old = linked(&stage).await?;
    let there = [stage.bot(), stage.ghost("bob")];
    let new = stage.alice.upgrade_room(&old, "11").await?;
    stage.village.say("square", "bob", "where are you?");
    stage.comes_to_be_linked(Some(&new)).await?;
    stage.comes_to_be(&new, &there, "join").await?;
    stage.comes_to_be(&old, &there, "leave").await?;
    let by_bob = stage.ghost("bob");
    let said = [format!("{}: where are you?", by_bob.localpart())];
    stage.comes_to_be_said(&new, &said).await?;
    stage.alice.say(&new, "here").await?;
    let here = Some(format!("{}: here", stage.guest()));
    comes_to(&stage.lab, &here, async || {
        Ok(stage.village.heard("square").pop())
    })
    .await?;
    let key = "io.bridgehead://village/square";
    comes_to(&stage.lab, &json!("square"), async || {
        let info = stage.alice.state(&new, "m.bridge", key).await;
        Ok(info.map_or(Value::Null, |info| info["channel"]["id"].clone()))
    })
    .await
}

async fn ghosts_leave_first_the_bridge_last_and_the_link_goes_at_the_end(
    play: Play,
) -> anyhow::Result<()> {
    let stage = stage(&play.lab, "manor").await;
    let room = stage.come_in().await?;
    let mut there = Vec::new();
    for who in ["bob", "eve", "mary"] {
        stage.village.say("square", who, "hello");
        there.push(stage.ghost(who));
    }
    stage.comes_to_be(&room, &there, "join").await?;
    let portal = stage.portal("square").await.context("linked")?;
    let portals = stage.portals();
    portals.unbridge(&portal, Some("the end")).await?;
    // Once is enough, and twice is no mistake.
    portals.unbridge(&portal, Some("the end")).await?;
    drop(portals);
    stage.comes_to_be_linked(None).await?;
    there.push(stage.bot());
    stage.comes_to_be(&room, &there, "leave").await?;
    let events = stage.alice.timeline(&room).await?;
    let told = events.iter().position(|event| {
        event.text("body") == Some("This room is not bridged to the village any more: the end.")
    });
    let left: Vec<_> = events
        .iter()
        .enumerate()
        .filter(|(_, event)| event.text("membership") == Some("leave"))
        .map(|(place, event)| (place, event.state_key.clone().unwrap_or_default()))
        .collect();
    let last = left.last().map(|(_, user)| user.as_str());
    ensure!(
        (left.len(), last) == (4, Some(stage.bot().as_str())),
        "{left:?}"
    );
    ensure!(told.context("told")? < left[0].0);
    let key = "io.bridgehead://village/square";
    let info = stage.alice.state(&room, "m.bridge", key).await?;
    ensure!(info == json!({}), "{info}");
    let path = format!("/_matrix/client/v3/rooms/{room}/aliases");
    let aliases = stage.alice.call(Method::GET, &path, &Value::Null).await?;
    ensure!(aliases["aliases"] == json!([]), "{aliases}");
    ensure!(stage.village.watched().is_empty());
    // Somebody speaks again: a new portal, and nothing of the old.
    stage.village.say("square", "bob", "anew");
    stage.settle().await;
    let portal = stage.portal("square").await.context("made")?;
    ensure!(portal.matrix != room);
    Ok(())
}

async fn a_refused_message_is_told_and_may_be_tried_again(play: Play) -> anyhow::Result<()> {
    const STATUS: &str = "com.beeper.message_send_status";
    let stage = stage(&play.lab, "market").await;
    let room = stage.come_in().await?;
    let alice = &stage.alice;
    stage.village.forbid("dragon");
    let said = alice.say(&room, "a dragon!").await?;
    let refused = alice.wait_for(&room, "the status", |event| event.kind == STATUS);
    let known = json!({
        "network": "village",
        "m.relates_to": { "rel_type": "m.reference", "event_id": said },
        "status": "FAIL_RETRIABLE",
        "reason": "m.foreign_network_error",
        "message": "nobody says `dragon` here",
    });
    let refused = refused.await?;
    ensure!(refused.content == known, "{}", refused.content);
    let notice = "Your message did not reach the village: nobody says `dragon` here. React to it with 🔁 to try again.";
    let notice = alice.hears(&room, notice).await?;
    ensure!(notice.text("msgtype") == Some("m.notice"));
    ensure!(notice.content["m.relates_to"]["m.in_reply_to"]["event_id"] == json!(said));

    // Others may not ask for it.
    stage.village.permit("dragon");
    let bob = stage.lab.user("bob").await?;
    bob.join(&room).await?;
    bob.react(&room, &said, "🔁").await?;
    let bob_came = format!("[guest {} comes]", bob.id().localpart());
    stage
        .comes_to_be_heard(std::slice::from_ref(&bob_came))
        .await?;
    stage.settle().await;
    stage
        .comes_to_be_heard(std::slice::from_ref(&bob_came))
        .await?;
    // The sender may, at the message or at the notice.
    let again = alice.react(&room, &notice.id, "🔁").await?;
    let heard = [bob_came, format!("{}: a dragon!", stage.guest())];
    stage.comes_to_be_heard(&heard).await?;
    let is_through = |event: &Event| event.kind == STATUS && event.content["status"] == "SUCCESS";
    let through = alice.wait_for(&room, "the success", is_through).await?;
    ensure!(
        through.content["last_retry"] == json!(again),
        "{}",
        through.content
    );
    // It is through: asking again changes nothing, and is a reaction like others.
    alice.react(&room, &said, "🔁\u{fe0f}").await?;
    let [bob_came, through] = heard;
    let nod = format!(
        "[{} nods 👍 at {}]",
        stage.guest(),
        stage.village.id_of("a dragon!")
    );
    stage.comes_to_be_heard(&[bob_came, through, nod]).await
}
