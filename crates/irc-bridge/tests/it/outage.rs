//! The whole network is away for some time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

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

#[test]
fn where_others_have_all_the_places_nobody_knocks_without_a_wait() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = connections.clone();
        let count = move |stream| {
            counted.fetch_add(1, Ordering::Relaxed);
            stream
        };
        let scene = Scene::behind(lab, Dialect::modern(), Arc::new(count)).await?;
        let faults = scene.irc.faults();
        let full = "Closing link: (Too many connections from your host)";
        faults.refuse_connects(Some(full)).await;
        // Alice is out, and the bridge's own connection is the only one.
        ensure!(faults.close("alice[m]", full).await);
        let before = connections.load(Ordering::Relaxed);
        scene.lab.pass(Duration::from_secs(60)).await;
        let knocks = connections.load(Ordering::Relaxed) - before;
        ensure!((2..=8).contains(&knocks), "{knocks} attempts");
        faults.refuse_connects(None).await;
        // She tries again by herself.
        scene.lab.pass(Duration::from_secs(90)).await;
        scene.alice.say(&scene.room, "there is room again").await?;
        scene.hears_on_irc("there is room again").await
    })
}
