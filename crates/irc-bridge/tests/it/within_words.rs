//! What people are told of their connections, of channels and of others. Homeserver, bridge and IRC server in one process.

use std::{io, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use bridgehead_appservice::Secret;
use bridgehead_irc::{
    link::dial::{Dialler, Stream, Way},
    service_by,
};
use bridgehead_irc_server::{Dialect, Server};
use bridgehead_testkit::lab::Lab;

use crate::{
    stage::{NETWORK, control::Control, settings},
    within::{CHANNEL, Scene},
};

/// What Alice is told of a command that waits for her connection in vain.
async fn told_by(lab: &Lab, dialler: Dialler) -> anyhow::Result<String> {
    let mut settings = settings(6667)?;
    let network = settings.networks.get_mut(NETWORK).context("the network")?;
    network.password = Secret::new("another one".to_owned()).into();
    let way = Way::Within(dialler);
    let _service = lab.mount(service_by(&settings, &way)).await?;
    let alice = lab.user("alice").await?;
    Control::open(&alice).await?.ask("!whois bob").await
}

#[test]
fn where_the_server_wants_another_password_the_key_is_named() -> anyhow::Result<()> {
    for mut dialect in [Dialect::ngircd(), Dialect::inspircd()] {
        Lab::run(async |lab| {
            dialect.password = Some("the right one".to_owned());
            let server = Server::start(dialect.clone()).await?;
            let dialler: Dialler =
                Arc::new(move |_| Ok(Box::new(server.wire()) as Box<dyn Stream>));
            let told = told_by(&lab, dialler).await?;
            ensure!(told.contains("networks.net.password"), "{told}");
            anyhow::Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn why_names_the_key_where_the_servers_password_has_changed() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab, Dialect::modern()).await?;
        let control = Control::open(&scene.alice).await?;
        let faults = scene.irc.faults();
        faults.refuse_connects(Some("Bad password")).await;
        faults.close_all("Back in a moment").await;
        scene.lab.pass(Duration::from_secs(30)).await;
        control.expect("!why", "networks.net.password").await?;
        let why = format!("!why {CHANNEL}");
        control.expect(&why, "You are not in").await?;
        control.expect(&why, "networks.net.password").await
    })
}

#[test]
fn what_no_server_has_said_is_not_said_to_be_a_servers() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let dialler: Dialler = Arc::new(|_| Err(io::Error::other("the cable is cut")));
        let told = told_by(&lab, dialler).await?;
        let wanted = "no connection to 127.0.0.1:6667: the cable is cut";
        ensure!(told.contains(wanted), "{told}");
        ensure!(!told.contains("the server closed"), "{told}");
        anyhow::Ok(())
    })
}

#[test]
fn whose_nick_nobody_has_is_told_in_words_of_nicks() -> anyhow::Result<()> {
    for dialect in [Dialect::modern(), Dialect::ngircd()] {
        Lab::run(async |lab| {
            let scene = Scene::new(lab, dialect.clone()).await?;
            let control = Control::open(&scene.alice).await?;
            let told = control.ask("!whois nobody").await?;
            ensure!(told.contains("nobody is not online"), "{told}");
            ensure!(!told.contains("server"), "{told}");
            anyhow::Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn whose_nick_is_cut_is_told_once_what_they_are_called() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let mut dialect = Dialect::ngircd();
        dialect.limits.nick_bytes = 9;
        let server = Server::start(dialect).await?;
        let _bob = server.person("bob").await?;
        let dialler: Dialler = Arc::new(move |_| Ok(Box::new(server.wire()) as Box<dyn Stream>));
        let _service = lab
            .mount(service_by(&settings(6667)?, &Way::Within(dialler)))
            .await?;
        let alice = lab.user("alexandria").await?;
        let control = Control::open(&alice).await?;
        control.expect("!whois bob", "bob").await?;
        control
            .told("have at most 9 characters, and alexandria[m] is longer")
            .await?;
        control.expect("!reconnect", "Connecting anew").await?;
        control.expect("!whois bob", "bob").await?;
        lab.pass(Duration::from_secs(60)).await;
        let told = alice.texts(&control.room).await?;
        let told = told.iter().filter(|text| text.contains("is longer"));
        ensure!(told.count() == 1, "she is told each time");
        anyhow::Ok(())
    })
}

#[test]
fn why_of_a_channel_tells_of_that_channel() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab, Dialect::ngircd()).await?;
        let control = Control::open(&scene.alice).await?;
        let why = format!("!why {CHANNEL}");
        control
            .expect(&why, &format!("You are in {CHANNEL} as alice[m]."))
            .await?;
        control
            .expect("!why #elsewhere", "has no room here")
            .await?;
        scene.bob.raw(&format!("MODE {CHANNEL} +m")).await?;
        control.expect(&why, "it is moderated").await?;
        scene
            .bob
            .raw(&format!("MODE {CHANNEL} -m+b alice*!*@*"))
            .await?;
        scene
            .bob
            .raw(&format!("KICK {CHANNEL} alice[m] :out"))
            .await?;
        control.expect(&why, "You are not in").await
    })
}
