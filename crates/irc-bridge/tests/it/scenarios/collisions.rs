//! Servers that were apart, and have the same nick on both sides when they meet again.
//!
//! ngIRCd ends both connections. `InspIRCd` takes the nick from one of the two, and calls them by their UID, which nobody
//! can have chosen. Whichever it is: the people of Matrix go on, and nobody is shown to have said what another has.

use std::{net::Ipv4Addr, time::Duration};

use anyhow::{Context as _, ensure};
use bridgehead_appservice::{
    Event,
    id::{RoomId, UserId},
};
use bridgehead_irc::{Irc, ids::Nick};
use bridgehead_irc_protocol::CaseMapping;
use bridgehead_testkit::lab::LabUser;

use super::{
    membership::becomes,
    messages::{text_of, two_in},
    talk::ghost,
};
use crate::{
    peers::{
        inspircd::{Inspircd, InspircdOptions},
        ngircd::{Ngircd, NgircdOptions},
        raw::RawClient,
    },
    stage::{NETWORK, Server, Stage, alias, nick, on_ours, settings},
};

const CHANNEL: &str = "#one";
/// Lines that Alice says while her connection is ended.
const LINES: usize = 30;
/// Servers compare times of whole seconds: of two nicks of the same one, neither is older.
const ANOTHER_SECOND: Duration = Duration::from_millis(1100);

/// Those of the near side: Bob of IRC, and Alice and Carol of Matrix.
struct Near {
    bob: RawClient,
    alice: LabUser,
    carol: LabUser,
    room: RoomId,
}

impl Near {
    async fn come(stage: &Stage) -> anyhow::Result<Self> {
        let (mut bob, alice, room) = two_in(stage, CHANNEL, ("alice", "bob")).await?;
        let carol = stage.lab.user("carol").await?;
        carol.join(&alias(CHANNEL)).await?;
        carol.say(&room, "ready too").await?;
        bob.hear(":ready too").await?;
        Ok(Self {
            bob,
            alice,
            carol,
            room,
        })
    }

    /// Somebody of Matrix says something; gives back under which nick it arrives.
    async fn arrives(&mut self, user: &LabUser, text: &str) -> anyhow::Result<String> {
        user.say(&self.room, text).await?;
        let line = self.bob.hear(&format!(" {CHANNEL} :{text}")).await?;
        let (nick, _) = who(&line)?;
        Ok(nick.to_owned())
    }

    /// The user name of somebody who has spoken.
    fn username(&self, user: &LabUser) -> anyhow::Result<String> {
        let all = self.bob.heard.all();
        let mut all = all.iter().filter_map(|line| who(line).ok());
        let found = all.find(|(one, _)| *one == nick(user));
        let (_, username) = found.context("they have spoken")?;
        Ok(username.to_owned())
    }

    /// Somebody of IRC says something, which is shown as their ghost's.
    async fn shows(
        &mut self,
        stage: &Stage,
        (who, nick): (&RawClient, &str),
        text: &str,
    ) -> anyhow::Result<()> {
        who.say(&format!("PRIVMSG {CHANNEL} :{text}")).await;
        self.bob.hear(&format!(" {CHANNEL} :{text}")).await?;
        let is_it = |event: &Event| event.content["body"] == text;
        let said = self.alice.wait_for(&self.room, text, is_it).await?;
        let wanted = ghost_of(stage, nick)?;
        ensure!(said.sender == wanted, "{text}: {} says it", said.sender);
        Ok(())
    }

    /// Alice has said so many numbered lines; the channel has heard each once, in order, and from her.
    fn lines_arrived(&self, count: usize) -> anyhow::Result<()> {
        let hers = format!("!{}@127.0.0.1 PRIVMSG ", self.username(&self.alice)?);
        let all = self.bob.heard.all();
        let lines = all.iter().filter(|line| line.contains(" :line "));
        let lines: Vec<&String> = lines.collect();
        ensure!(lines.len() == count, "{} lines: {lines:#?}", lines.len());
        for (number, line) in lines.iter().enumerate() {
            let is_hers = line.contains(&hers);
            let is_next = line.ends_with(&format!(" {CHANNEL} :line {number}"));
            ensure!(is_hers && is_next, "line {number}: {line}");
        }
        Ok(())
    }

    /// What was said since `from`, as Matrix shows it and as the channel has heard it: each once.
    async fn is_said_once(&self, from: &str) -> anyhow::Result<()> {
        let shown = self.alice.texts(&self.room).await?;
        let heard = self.bob.heard.all();
        let said = format!(" PRIVMSG {CHANNEL} :");
        let heard = heard.iter().filter(|line| line.contains(&said));
        let heard = heard.map(|line| text_of(line).map(str::to_owned));
        let heard: Vec<String> = heard.collect::<anyhow::Result<_>>()?;
        for said in [shown, heard] {
            let begin = said.iter().position(|text| text == from);
            let said = &said[begin.context("how it began")?..];
            let mut once = said.to_vec();
            once.sort();
            once.dedup();
            ensure!(
                once.len() == said.len(),
                "something was said twice: {said:?}"
            );
        }
        Ok(())
    }
}

/// The nick and the user name of who does what a line tells.
fn who(line: &str) -> anyhow::Result<(&str, &str)> {
    let source = line.split(' ').find(|word| word.starts_with(':'));
    let (nick, rest) = source
        .and_then(|source| source[1..].split_once('!'))
        .context("somebody")?;
    let (username, _) = rest.split_once('@').context("a user name")?;
    Ok((nick, username))
}

fn ghost_of(stage: &Stage, nick: &str) -> anyhow::Result<UserId> {
    let mapping = match stage.server {
        Server::Ngircd => CaseMapping::Ascii,
        Server::Inspircd | Server::Modern => CaseMapping::Rfc1459,
    };
    let portals = stage.service.running().portals::<Irc>();
    let portals = portals.context("it is a bridge")?;
    Ok(portals.ghost_id(&Nick::new(NETWORK, nick, mapping))?)
}

/// Somebody comes into the channel.
async fn somebody(port: u16, (nick, user): (&str, &str)) -> anyhow::Result<RawClient> {
    let address = Ipv4Addr::LOCALHOST.into();
    let mut client = RawClient::welcomed_from((address, port), (nick, user)).await?;
    client.join(CHANNEL).await?;
    Ok(client)
}

async fn operator(port: u16) -> anyhow::Result<RawClient> {
    let mut operator = RawClient::welcomed(port, "oper").await?;
    operator.become_operator().await?;
    Ok(operator)
}

/// What somebody is called from now on who was called so, as one of the channel hears it.
async fn renamed(one: &mut RawClient, from: &str) -> anyhow::Result<String> {
    let source = format!(":{from}!");
    let is_it = |line: &&String| line.starts_with(&source) && line.contains(" NICK :");
    let what = format!("the new nick of {from}");
    let is_told = |lines: &[String]| lines.iter().rfind(is_it).is_some();
    one.heard.wait(&what, is_told).await?;
    let all = one.heard.all();
    let line = all.iter().rfind(is_it).context("it was there")?;
    Ok(text_of(line)?.to_owned())
}

#[test]
fn who_is_called_by_their_uid_when_servers_meet_again_goes_on_and_gets_their_nick_back()
-> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let irc = runtime.block_on(Inspircd::start(InspircdOptions::default()))?;
    let leaf = runtime.block_on(irc.start_alone())?;
    let settings = settings(irc.port)?;
    on_ours(&settings, (irc.port, Server::Inspircd), async |stage| {
        let oper = operator(irc.port).await?;
        let (mut near, _) = tokio::try_join!(Near::come(&stage), irc.link(&leaf, &oper))?;
        let (alice, carol) = (near.alice.clone(), near.carol.clone());
        let dave = somebody(leaf.port, ("dave", "dave")).await?;
        becomes(&alice, &near.room, (&ghost("dave"), "join")).await?;
        tokio::time::sleep(ANOTHER_SECOND).await;
        irc.split(&leaf, &oper).await?;

        // She gives Alice's user name: the server takes her for Alice, come again, and the nick from the first.
        let username = near.username(&alice)?;
        let eve = somebody(leaf.port, (&nick(&alice), &username)).await?;
        let mut mallory = somebody(leaf.port, (&nick(&carol), "mallory")).await?;
        let impostor = somebody(irc.port, ("dave", "impostor")).await?;
        near.arrives(&alice, "apart").await?;
        eve.say(&format!("PRIVMSG {CHANNEL} :not heard here")).await;
        irc.link(&leaf, &oper).await?;
        let of_alice = renamed(&mut near.bob, &nick(&alice)).await?;
        let of_mallory = renamed(&mut mallory, &nick(&carol)).await?;
        let of_impostor = renamed(&mut near.bob, "dave").await?;

        ensure!(near.arrives(&alice, "I am Alice").await? == of_alice);
        ensure!(near.arrives(&carol, "I am Carol").await? == nick(&carol));
        let all = [
            (&eve, nick(&alice), "from who took it"),
            (&mallory, of_mallory, "from who could not"),
            (&dave, "dave".to_owned(), "from who had it"),
            (&impostor, of_impostor, "from who had it not"),
        ];
        for (who, nick, text) in &all {
            near.shows(&stage, (who, nick), text).await?;
        }
        becomes(&alice, &near.room, (&ghost("dave"), "join")).await?;

        eve.say("QUIT :bye").await;
        let again = renamed(&mut near.bob, &of_alice).await?;
        ensure!(again == nick(&alice), "she is called {again}");
        ensure!(near.arrives(&alice, "Alice again").await? == nick(&alice));
        let shown = alice.texts(&near.room).await?;
        ensure!(!shown.contains(&"not heard here".to_owned()), "{shown:?}");
        near.is_said_once("apart").await
    })
}

#[test]
fn who_is_killed_when_servers_meet_again_comes_back_and_loses_nothing() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let irc = runtime.block_on(Ngircd::start(NgircdOptions::default()))?;
    let far = runtime.block_on(irc.start_far())?;
    let settings = settings(irc.port)?;
    on_ours(&settings, (irc.port, Server::Ngircd), async |stage| {
        let oper = operator(irc.port).await?;
        let (mut near, _) = tokio::try_join!(Near::come(&stage), irc.link(&far, &oper))?;
        let (alice, carol) = (near.alice.clone(), near.carol.clone());
        let _dave = somebody(far.port, ("dave", "dave")).await?;
        becomes(&alice, &near.room, (&ghost("dave"), "join")).await?;
        irc.split(&far, &oper).await?;

        let mut others = [
            somebody(far.port, (&nick(&alice), "eve")).await?,
            somebody(far.port, (&nick(&carol), "mallory")).await?,
            somebody(irc.port, ("dave", "impostor")).await?,
        ];
        let mut frank = somebody(irc.port, ("frank", "frank")).await?;
        near.arrives(&alice, "apart").await?;
        let says = async {
            for number in 0..LINES {
                alice.say(&near.room, &format!("line {number}")).await?;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            anyhow::Ok(())
        };
        // Whoever waits for a nick is quicker than who was killed.
        let meets = async {
            irc.link(&far, &oper).await?;
            frank.say(&format!("NICK {}", nick(&alice))).await;
            renamed(&mut frank, "frank").await
        };
        tokio::try_join!(says, meets)?;
        for other in &mut others {
            ensure!(other.error().await? == "ERROR :Nick collision");
        }

        let of_alice = near.arrives(&alice, "I am Alice").await?;
        ensure!(of_alice != nick(&alice), "that is Frank's");
        ensure!(near.arrives(&carol, "I am Carol").await? == nick(&carol));
        near.shows(&stage, (&frank, &nick(&alice)), "from who was quick")
            .await?;
        let dave = somebody(far.port, ("dave", "dave")).await?;
        near.shows(&stage, (&dave, "dave"), "from who had it")
            .await?;

        frank.say("QUIT :bye").await;
        let again = renamed(&mut near.bob, &of_alice).await?;
        ensure!(again == nick(&alice), "she is called {again}");
        ensure!(near.arrives(&alice, "Alice again").await? == nick(&alice));
        near.lines_arrived(LINES)?;
        near.is_said_once("apart").await
    })
}
