//! The whole network is away for some time.

use std::time::Duration;

use anyhow::ensure;
use bridgehead_irc_server::Dialect;
use bridgehead_testkit::lab::Lab;

use crate::within::Scene;

#[test]
fn what_is_said_while_the_network_is_away_is_said_when_it_is_back() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab, Dialect::modern()).await?;
        let mut said = vec!["first".to_owned()];
        // The waits between attempts are random, and long by then: who is connected first is another each time.
        for turn in 0..8 {
            let faults = scene.irc.faults();
            faults.refuse_connects(Some("Not now")).await;
            faults.close_all("Back in some minutes").await;
            scene.lab.pass(Duration::from_secs(270)).await;
            let text = format!("said in outage {turn}");
            scene.alice.say(&scene.room, &text).await?;
            said.push(text);
            scene.lab.pass(Duration::from_secs(5)).await;
            faults.refuse_connects(None).await;
            scene.lab.pass(Duration::from_secs(500)).await;
        }
        let heard = scene.order_on_irc();
        ensure!(heard == said, "said {said:#?}\nheard {heard:#?}");
        Ok(())
    })
}
