//! The homeserver ends and begins again while people talk.

use std::time::Duration;

use super::{lines, texts_are};
use crate::{
    peers::{
        ii::Ii,
        inspircd::{Inspircd, InspircdOptions},
        judge::Judge,
    },
    stage::{Server, alias, comes_to, nick, on_synapse_that_restarts, settings},
};

/// Between the lines of somebody who goes on talking.
const BREATH: Duration = Duration::from_millis(100);
const LINES: usize = 60;

#[test]
fn a_homeserver_that_is_killed_under_traffic_loses_and_doubles_nothing() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let irc = runtime.block_on(Inspircd::start(InspircdOptions::default()))?;
    let settings = settings(irc.port)?;
    let server = (irc.port, Server::Inspircd);
    on_synapse_that_restarts(&settings, server, async |stage, synapse| {
        let mut judge = Judge::listen(stage.port, "judge", "#restart").await?;
        let mut bob = Ii::start(stage.port, "bob").await?;
        bob.join("#restart").await?;
        let alice = stage.lab.user("alice").await?;
        let room = alice.join(&alias("#restart")).await?;
        // What is said to nobody is heard by nobody: the channel has the bridge first.
        comes_to(&1, async || judge.entries("bridge(")).await?;
        let (from_irc, from_matrix) = (lines("IRC", LINES), lines("Matrix", LINES));
        for (number, (irc, matrix)) in from_irc.iter().zip(&from_matrix).enumerate() {
            bob.say("#restart", irc).await?;
            // Nobody says anything in Matrix while there is none.
            alice.say(&room, matrix).await?;
            if number % 20 == 10 {
                // What Synapse has not brought to a service by then it forgets with its memory.
                judge.said_until(&nick(&alice), matrix).await?;
                synapse.kill9().await?;
                bob.say("#restart", &format!("IRC meanwhile {number}"))
                    .await?;
                tokio::time::sleep(BREATH * 10).await;
                synapse.restart().await?;
            }
            tokio::time::sleep(BREATH).await;
        }
        let mut expected = Vec::new();
        for (number, line) in from_irc.iter().enumerate() {
            expected.push(line.clone());
            if number % 20 == 10 {
                expected.push(format!("IRC meanwhile {number}"));
            }
        }
        texts_are(&alice, &room, "IRC", &expected).await?;
        let last = &from_matrix[LINES - 1];
        let said = judge.said_until(&nick(&alice), last).await?;
        let said = said.into_iter().map(|(_, text)| text);
        let said: Vec<String> = said.filter(|text| text.starts_with("Matrix")).collect();
        assert_eq!(said, from_matrix);
        Ok(())
    })
}
