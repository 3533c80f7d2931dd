//! The next run of the bridge goes by another configuration, or finds others gone.

use bridgehead_appservice::id::UserId;
use bridgehead_irc_server::{Dialect, Server};
use bridgehead_testkit::SERVER_NAME;
use serde_json::json;

use super::{LINES, lines, played, texts_are};
use crate::{
    peers::SOON,
    scenarios::{silence::told_of, talk::ghost},
    stage::{BOT, NETWORK, comes_to, control::Control, nick},
};

#[test]
fn who_may_not_be_there_by_the_next_configuration_leaves() -> anyhow::Result<()> {
    played(Dialect::ngircd(), async |scene| {
        let alice = scene.enters("alice").await?;
        let (eve, _) = scene.enters("eve").await?;
        scene.bridge.kill().await?;
        scene.is_connected(&nick(&eve), true).await?;
        let blocked = format!("\"*\" = \"user\"\n\"{}\" = \"blocked\"\n", eve.id());
        scene.change("\"*\" = \"user\"\n", &blocked)?;
        scene.bridge.start()?;
        scene.is_connected(&nick(&eve), false).await?;
        let quit = scene.bob.wait_for(|line| line.command == "QUIT").await?;
        anyhow::ensure!(quit.text(0).contains("Blocked"), "{quit:?}");
        // Nobody else goes, until the channel is spoken for by the bridge, which hears what was said until then.
        scene.bridge.kill().await?;
        scene.says_lines().await?;
        let relay =
            format!("[networks.{NETWORK}.dynamic]\nmode = \"relay\"\n[networks.{NETWORK}.bot]");
        scene.change(&format!("[networks.{NETWORK}.bot]"), &relay)?;
        scene.is_connected(&nick(&alice.0), true).await?;
        scene.bridge.start()?;
        scene.is_connected(&nick(&alice.0), false).await?;
        scene.is_connected(BOT, true).await?;
        texts_are(&alice.0, &alice.1, "line", &lines("line", LINES)).await
    })
}

#[test]
fn without_a_connection_of_its_own_by_the_next_configuration_the_bridge_hears_by_another()
-> anyhow::Result<()> {
    played(Dialect::ngircd(), async |scene| {
        let alice = scene.enters("alice").await?;
        scene.bridge.kill().await?;
        scene.says_lines().await?;
        scene.change(
            "nick = \"bridge\"\n",
            "nick = \"bridge\"\nenabled = false\n",
        )?;
        scene.bridge.start()?;
        scene.is_connected(BOT, false).await?;
        texts_are(&alice.0, &alice.1, "line", &lines("line", LINES)).await?;
        scene.brings(&alice, "by her connection").await
    })
}

#[test]
fn who_is_talked_to_and_gone_is_known_to_be_so_by_the_next_run() -> anyhow::Result<()> {
    // It tells nothing of whom it watches already.
    played(Dialect::inspircd(), async |scene| {
        let there = scene.enters("carol").await?;
        // Whoever is in no channel is connected when they speak.
        let alice = &scene.lab.user("alice").await?;
        let dave = scene.irc.person("dave").await?;
        let body = json!({
            "invite": [UserId::parse(&ghost("dave"))?],
            "is_direct": true,
            "preset": "trusted_private_chat",
        });
        let room = alice.create_room_with(&body).await?;
        comes_to(&true, async || {
            let members = alice.members(&room).await?;
            let joined = members
                .iter()
                .filter(|(_, membership)| *membership == "join");
            Ok(joined.count() > 1)
        })
        .await?;
        alice.say(&room, "psst").await?;
        dave.wait_for(|line| line.command == "PRIVMSG").await?;
        dave.quit("gone for good").await?;
        let control = Control::open(alice).await?;
        control.expect("!quit", "not connected").await?;
        scene.is_connected(&nick(alice), false).await?;
        // Behind this it is on disk that they talk.
        scene.brings(&there, "they talk").await?;
        let asked = async || {
            let asked = scene.irc.log().await.into_iter().filter(|logged| {
                let line = &logged.line;
                line.command == "MONITOR" && line.text(0) == "+" && line.text(1) == "dave"
            });
            Ok(asked.count())
        };
        scene.bridge.kill().await?;
        // It asks in its own time: it may have been killed before.
        let before = asked().await?;
        scene.bridge.start()?;
        // It has asked again, and what comes behind the answer is there.
        comes_to(&(before + 1), asked).await?;
        scene.brings(&there, "the bridge is back").await?;
        let said = alice.say(&room, "are you there?").await?;
        comes_to(&true, async || {
            let words = told_of(alice, &room, &said).await?;
            Ok(words.is_some_and(|words| words.contains("is not online on IRC")))
        })
        .await?;
        anyhow::ensure!(
            scene.irc.whois(&nick(alice)).await.is_none(),
            "nobody connects for it"
        );
        Ok(())
    })
}

#[test]
fn one_keeper_holds_the_connections_of_several_networks() -> anyhow::Result<()> {
    played(Dialect::ngircd(), async |scene| {
        let other = Server::start(Dialect::ngircd()).await?;
        let carl = other.person("carl").await?;
        carl.join("#other").await?;
        let here = scene.enters("alice").await?;
        scene.bridge.stop().await?;
        let second = format!(
            "[networks.second]\nservers = [\"127.0.0.1:{}\"]\ntls = false\n\
             [networks.second.bot]\nnick = \"bridge\"\n[networks.{NETWORK}]",
            other.address().port()
        );
        scene.change(&format!("[networks.{NETWORK}]"), &second)?;
        scene.bridge.start()?;
        scene.bridge.works().await?;
        let (alice, _) = &here;
        let there = alice
            .join(&format!("#irc_second_#other:{SERVER_NAME}"))
            .await?;
        alice.say(&there, "and here").await?;
        carl.wait_within(SOON, |line| line.text(1) == "and here")
            .await?;
        scene.bridge.kill().await?;
        scene.says_lines().await?;
        for line in lines("line", LINES) {
            carl.say("#other", &line).await?;
        }
        scene.bridge.start()?;
        for room in [&here.1, &there] {
            texts_are(alice, room, "line", &lines("line", LINES)).await?;
        }
        for heard in [scene.bob.heard(), carl.heard()] {
            anyhow::ensure!(
                !heard.iter().any(|line| line.command == "QUIT"),
                "{heard:?}"
            );
        }
        Ok(())
    })
}
