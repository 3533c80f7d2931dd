//! Messages of several lines (draft/multiline) in what the network has kept.

use std::time::Duration;

use anyhow::ensure;
use bridgehead_irc_server::Dialect;
use bridgehead_testkit::lab::Lab;

use crate::within::{CHANNEL, Scene};

#[test]
fn a_message_of_several_lines_is_one_of_those_that_were_missed() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab, Dialect::modern()).await?;
        let bob = &scene.bob;
        bob.raw("CAP REQ :batch message-tags draft/multiline")
            .await?;
        bob.say(CHANNEL, "before").await?;
        scene.hears_in_matrix("before").await?;
        scene.service.crash();
        let mut missed = vec!["first".to_owned(), "before".to_owned()];
        for at in 0..250 {
            scene.lab.pass(Duration::from_millis(20)).await;
            let text = match at {
                9 => "one\ntwo".to_owned(),
                _ => format!("{at} meanwhile"),
            };
            match text.split_once('\n') {
                Some((one, two)) => {
                    bob.raw(format!("BATCH +7 draft/multiline {CHANNEL}"))
                        .await?;
                    bob.raw(format!("@batch=7 PRIVMSG {CHANNEL} :{one}"))
                        .await?;
                    bob.raw(format!("@batch=7 PRIVMSG {CHANNEL} :{two}"))
                        .await?;
                    bob.raw("BATCH -7").await?;
                }
                None => bob.say(CHANNEL, &text).await?,
            }
            missed.push(text);
        }
        scene.service.start().await?;
        scene.hears_in_matrix("249 meanwhile").await?;
        let texts = scene.alice.texts(&scene.room).await?;
        ensure!(texts == missed, "{texts:#?}");
        anyhow::Ok(())
    })
}
