//! What is done in talks of two, beside what is said.

use anyhow::{Context as _, ensure};
use bridgehead_appservice::Event;
use bridgehead_irc_protocol::Line;
use bridgehead_irc_server::Dialect;
use bridgehead_testkit::lab::Lab;

use super::until;
use crate::{scenarios::talk::ghost, stage::nick, within::Scene};

fn msgid(line: &Line) -> anyhow::Result<&str> {
    line.tags.get("msgid").context("an id")
}

#[test]
fn in_a_talk_of_two_reactions_are_seen_and_what_is_taken_back_is_gone() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab, Dialect::modern()).await?;
        let (alice, bob) = (&scene.alice, &scene.bob);
        let caps = "CAP REQ :message-tags echo-message draft/message-redaction";
        bob.raw(caps).await?;
        let hers = nick(alice);
        bob.say(&hers, "a mistake").await?;
        let is_it = |line: &Line| line.last() == b"a mistake";
        let mistake = bob.wait_for(is_it).await?;
        let mut invited = None;
        until(&scene.lab, "an invitation", async || {
            invited = alice.invitations().await?.into_iter().next();
            Ok(invited.is_some())
        })
        .await?;
        let room = invited.context("an invitation")?;
        alice.join(&room).await?;
        let said = alice.say(&room, "yes?").await?;
        let heard = bob.wait_for(|line| line.last() == b"yes?").await?;
        let reaction = format!(
            "@+draft/react=\u{1f44d};+draft/reply={} TAGMSG {hers}",
            msgid(&heard)?
        );
        bob.raw(reaction).await?;
        bob.raw(format!("REDACT {hers} {} :oops", msgid(&mistake)?))
            .await?;
        let from_bob = async |kind: &str| {
            let events = alice.timeline(&room).await?;
            let is_it = |event: &Event| event.kind == kind && event.sender.as_str() == ghost("bob");
            anyhow::Ok(events.into_iter().find(is_it))
        };
        until(&scene.lab, "the reaction", async || {
            Ok(from_bob("m.reaction").await?.is_some())
        })
        .await?;
        let reaction = from_bob("m.reaction").await?.context("a reaction")?;
        let target = &reaction.content["m.relates_to"]["event_id"];
        ensure!(*target == said.to_string(), "{reaction:?}");
        until(&scene.lab, "the redaction", async || {
            Ok(from_bob("m.room.redaction").await?.is_some())
        })
        .await
    })
}
