//! What is edited, deleted or reacted to in a short time is said on IRC once, and as it is in the end; whatever crashes.

use std::time::Duration;

use anyhow::ensure;
use bridgehead_appservice::config::Time;
use bridgehead_irc::{Settings, settings::MessageSettings};
use bridgehead_irc_server::Dialect;
use bridgehead_testkit::lab::Lab;
use serde_json::Value;

use crate::{
    stage::{NETWORK, alias},
    within::Scene,
};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Plays with changed settings of messages.
fn with(
    change: impl FnOnce(&mut MessageSettings) -> anyhow::Result<()>,
    play: impl AsyncFnOnce(&Scene) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    // One that takes nothing back, so that deletions are told in words.
    Lab::run(async |lab| {
        let change = |settings: &mut Settings| {
            let network = settings.networks.get_mut(NETWORK).expect("it is there");
            change(&mut network.messages)
        };
        let scene = Scene::with(lab, Dialect::inspircd(), change).await?;
        play(&scene).await
    })
}

/// The same with messages that wait.
fn held(hold: &str, play: impl AsyncFnOnce(&Scene) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let hold: Time = hold.parse()?;
    let change = |messages: &mut MessageSettings| {
        messages.hold = hold;
        Ok(())
    };
    with(change, play)
}

/// What Bob has heard behind the first line, after a long time.
async fn heard_in_the_end(scene: &Scene) -> Vec<String> {
    scene.lab.pass(seconds(300)).await;
    scene.order_on_irc().split_off(1)
}

#[test]
fn what_is_edited_while_it_waits_is_said_once_and_right() -> anyhow::Result<()> {
    held("10s", async |scene| {
        let (alice, room) = (&scene.alice, &scene.room);
        let said = alice.say(room, "helo").await?;
        alice.edit(room, &said, "hell").await?;
        alice.say(room, "and more").await?;
        scene.lab.pass(seconds(5)).await;
        alice.edit(room, &said, "hello").await?;
        ensure!(
            scene.order_on_irc() == ["first"],
            "{:?}",
            scene.order_on_irc()
        );
        let heard = heard_in_the_end(scene).await;
        ensure!(heard == ["hello", "and more"], "{heard:?}");
        // What was said as it is now is what a later edit is told from.
        alice.edit(room, &said, "hello there").await?;
        let heard = heard_in_the_end(scene).await;
        ensure!(heard.len() == 3 && heard[2].contains("there"), "{heard:?}");
        Ok(())
    })
}

#[test]
fn what_is_deleted_while_it_waits_is_never_said() -> anyhow::Result<()> {
    held("10s", async |scene| {
        let (alice, room) = (&scene.alice, &scene.room);
        let said = alice.say(room, "my password is 1234").await?;
        let edit = alice.edit(room, &said, "my password is 12345").await?;
        alice.say(room, "nothing").await?;
        alice.redact(room, &said).await?;
        let heard = heard_in_the_end(scene).await;
        ensure!(heard == ["nothing"], "{heard:?}");
        let timeline = alice.timeline(room).await?;
        let refused = timeline.iter().filter(|event| {
            event.kind == "com.beeper.message_send_status"
                && event.content["status"] == "FAIL_PERMANENT"
        });
        let refused: Vec<&Value> = refused
            .map(|event| &event.content["m.relates_to"]["event_id"])
            .collect();
        ensure!(
            refused.contains(&&Value::from(said.as_str())),
            "{refused:?}, {edit}"
        );
        // Only an edit was deleted: it is said as it was before.
        let said = alice.say(room, "tea").await?;
        let edit = alice.edit(room, &said, "coffee").await?;
        alice.redact(room, &edit).await?;
        let heard = heard_in_the_end(scene).await;
        ensure!(heard == ["nothing", "tea"], "{heard:?}");
        Ok(())
    })
}

#[test]
fn edits_of_what_was_said_are_one_correction() -> anyhow::Result<()> {
    with(
        |_| Ok(()),
        async |scene| {
            let (alice, room) = (&scene.alice, &scene.room);
            let said = alice.say(room, "I like green tea").await?;
            scene.hears_on_irc("I like green tea").await?;
            for text in ["I like black tea", "I like red tea", "I like white tea"] {
                alice.edit(room, &said, text).await?;
            }
            // Nobody waits for a correction.
            alice.say(room, "next").await?;
            scene.hears_on_irc("next").await?;
            let heard = heard_in_the_end(scene).await;
            ensure!(
                heard == ["I like green tea", "next", "s/green/white/"],
                "{heard:?}"
            );
            // There and back is nothing.
            alice.edit(room, &said, "I like no tea").await?;
            alice.edit(room, &said, "I like white tea").await?;
            let heard = heard_in_the_end(scene).await;
            ensure!(heard.len() == 3, "{heard:?}");
            // Who takes all of it back has nothing corrected first.
            alice.edit(room, &said, "I like sugar").await?;
            alice.redact(room, &said).await?;
            let heard = heard_in_the_end(scene).await;
            ensure!(
                heard.len() == 4 && heard[3].contains("has deleted"),
                "{heard:?}"
            );
            // And afterwards there is nothing to be corrected.
            alice.edit(room, &said, "I like it").await?;
            let heard = heard_in_the_end(scene).await;
            ensure!(heard.len() == 4, "{heard:?}");
            Ok(())
        },
    )
}

#[test]
fn a_crash_inside_the_hold_changes_nothing() -> anyhow::Result<()> {
    held("10s", async |scene| {
        let (alice, room) = (&scene.alice, &scene.room);
        let mut expected = Vec::new();
        for turn in 0..12_u64 {
            let said = alice.say(room, &format!("turn {turn} wrng")).await?;
            let gone = alice.say(room, &format!("turn {turn} secret")).await?;
            alice.say(room, &format!("turn {turn} next")).await?;
            alice
                .edit(room, &said, &format!("turn {turn} right"))
                .await?;
            alice.redact(room, &gone).await?;
            // Before, at and behind the moment at which it is said.
            scene
                .lab
                .pass(Duration::from_millis(4000 + 600 * turn))
                .await;
            scene.service.crash();
            scene.service.start().await?;
            scene.hears_on_irc(&format!("turn {turn} next")).await?;
            expected.extend([format!("turn {turn} right"), format!("turn {turn} next")]);
        }
        let heard = heard_in_the_end(scene).await;
        ensure!(
            heard == expected,
            "expected {expected:#?}\nheard {heard:#?}"
        );
        Ok(())
    })
}

#[test]
fn a_crash_while_edits_wait_makes_one_correction_all_the_same() -> anyhow::Result<()> {
    with(
        |_| Ok(()),
        async |scene| {
            let (alice, room) = (&scene.alice, &scene.room);
            let mut expected = Vec::new();
            for turn in 0..12_u64 {
                let text = format!("turn {turn} is green");
                let said = alice.say(room, &text).await?;
                scene.hears_on_irc(&text).await?;
                alice
                    .edit(room, &said, &format!("turn {turn} is black"))
                    .await?;
                alice
                    .edit(room, &said, &format!("turn {turn} is white"))
                    .await?;
                // Before, at and behind the moment at which it is said.
                scene
                    .lab
                    .pass(Duration::from_millis(3500 + 250 * turn))
                    .await;
                scene.service.crash();
                scene.service.start().await?;
                scene.lab.pass(seconds(60)).await;
                expected.extend([text, "s/green/white/".to_owned()]);
            }
            let heard = heard_in_the_end(scene).await;
            ensure!(
                heard == expected,
                "expected {expected:#?}\nheard {heard:#?}"
            );
            Ok(())
        },
    )
}

#[test]
fn what_waits_for_its_connection_is_said_as_it_was_edited() -> anyhow::Result<()> {
    with(
        |_| Ok(()),
        async |scene| {
            let (alice, room) = (&scene.alice, &scene.room);
            // It is being given to the network, or was given back by it.
            for (turn, wait) in [(1, 3), (2, 60)] {
                let faults = scene.irc.faults();
                faults.refuse_connects(Some("full")).await;
                faults.close_all("restarting").await;
                scene.lab.pass(seconds(1)).await;
                let said = alice.say(room, &format!("wrng {turn}")).await?;
                let gone = alice.say(room, &format!("secret {turn}")).await?;
                scene.lab.pass(seconds(wait)).await;
                alice.edit(room, &said, &format!("right {turn}")).await?;
                alice.redact(room, &gone).await?;
                scene.lab.pass(seconds(2)).await;
                faults.refuse_connects(None).await;
                scene.lab.pass(seconds(600)).await;
            }
            let heard = heard_in_the_end(scene).await;
            ensure!(heard == ["right 1", "right 2"], "{heard:?}");
            Ok(())
        },
    )
}

#[test]
fn what_waits_for_its_turn_is_said_as_it_was_edited() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let slow = |settings: &mut Settings| {
            let network = settings.networks.get_mut(NETWORK).expect("it is there");
            network.limits.lines_at_once = 1;
            network.limits.line_every = "8s".parse()?;
            Ok(())
        };
        let scene = Scene::with(lab, Dialect::modern(), slow).await?;
        let (alice, room) = (&scene.alice, &scene.room);
        alice.say(room, "one").await?;
        scene.hears_on_irc("one").await?;
        let said = alice.say(room, "tow").await?;
        scene.lab.pass(seconds(2)).await;
        alice.edit(room, &said, "two").await?;
        alice.say(room, "three").await?;
        let heard = heard_in_the_end(&scene).await;
        ensure!(heard == ["one", "two", "three"], "{heard:?}");
        Ok(())
    })
}

#[test]
fn reactions_that_come_together_are_one_line() -> anyhow::Result<()> {
    with(
        |_| Ok(()),
        async |scene| {
            let (alice, room) = (&scene.alice, &scene.room);
            let carol = scene.lab.user("carol").await?;
            carol.join(&alias(crate::within::CHANNEL)).await?;
            let said = carol.say(room, "Lunch?").await?;
            scene.hears_on_irc("Lunch?").await?;
            alice.react(room, &said, "👍").await?;
            alice.react(room, &said, "🎉").await?;
            let wrong = alice.react(room, &said, "👎").await?;
            carol.react(room, &said, "❤").await?;
            alice.redact(room, &wrong).await?;
            let heard = heard_in_the_end(scene).await;
            let line = "\u{1}ACTION reacts 👍 🎉 to \"Lunch?\" (carol[m]: ❤)\u{1}";
            ensure!(heard == ["Lunch?", line], "{heard:?}");
            // One alone, taken back, is nothing; and so is what a crash comes between.
            let wrong = alice.react(room, &said, "🙈").await?;
            alice.redact(room, &wrong).await?;
            alice.react(room, &said, "🎈").await?;
            scene.lab.pass(seconds(3)).await;
            scene.service.crash();
            scene.service.start().await?;
            let heard = heard_in_the_end(scene).await;
            let line = "\u{1}ACTION reacts 🎈 to \"Lunch?\"\u{1}";
            ensure!(heard.len() == 3 && heard[2] == line, "{heard:?}");
            Ok(())
        },
    )
}
