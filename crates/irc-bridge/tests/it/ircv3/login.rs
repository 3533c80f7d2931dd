//! A server that lets nobody in who has not logged in.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use bridgehead_appservice::Secret;
use bridgehead_irc::{
    link::dial::{Stream, Way},
    service_by,
};
use bridgehead_irc_server::{Dialect, Server};
use bridgehead_testkit::lab::Lab;

use super::until;
use crate::{
    scenarios::silence::told_of,
    stage::{NETWORK, alias, control::Control, nick, settings},
};

#[test]
fn a_server_that_demands_a_login_lets_in_who_stores_one() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let mut dialect = Dialect::modern();
        dialect.wants_account = true;
        let irc = Arc::new(Server::start(dialect).await?);
        irc.account("botacct", "for the bridge").await;
        irc.account("aliceacct", "sesame").await;
        let server = irc.clone();
        let way = Way::Within(Arc::new(move |_| {
            Ok(Box::new(server.wire()) as Box<dyn Stream>)
        }));
        let mut settings = settings(6667)?;
        let network = settings.networks.get_mut(NETWORK).context("the network")?;
        network.bot.login.account = Some("botacct".to_owned());
        network.bot.login.password = Secret::new("for the bridge".to_owned()).into();
        network.bot.login.required = true;
        lab.mount(service_by(&settings, &way)).await?;
        let bob = irc.person("bob").await?;
        bob.join("#members").await?;
        let alice = lab.user("alice").await?;
        let control = Control::open(&alice).await?;
        let room = alice.join(&alias("#members")).await?;
        // Who has no account hears, is not heard, and is told what to do.
        bob.wait_for(|line| line.command == "JOIN").await?;
        bob.say("#members", "members only").await?;
        alice.hears(&room, "members only").await?;
        let said = alice.say(&room, "am I in?").await?;
        let mut words = None;
        until(&lab, "the refusal", async || {
            words = told_of(&alice, &room, &said).await?;
            Ok(words.is_some())
        })
        .await?;
        let words = words.context("it has just been there")?;
        ensure!(words.contains("storepass"), "no cure: {words}");
        let stored = "!storepass net aliceacct sesame";
        control.expect(stored, "kept").await?;
        control.expect("!reconnect", "Connecting").await?;
        lab.pass(Duration::from_secs(5)).await;
        alice.say(&room, "now I am").await?;
        let heard = bob.wait_for(|line| line.command == "PRIVMSG").await?;
        ensure!(heard.text(1) == "now I am", "{heard:?}");
        let seen = irc.whois(&nick(&alice)).await.context("she is there")?;
        assert_eq!(seen.account.as_deref(), Some("aliceacct"));
        Ok(())
    })
}
