//! What goes on through a keeper while the bridge is killed beside plain connections: encrypted ones, logins by certificate,
//! ident; and what the server says of a line whose bridge is away.

use std::{fs, net::SocketAddr, time::Duration};

use bridgehead_irc_server::{Dialect, Server};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::{
    kept::{Made, Scene, played_with},
    killed::configuration,
    texts_are,
};
use crate::{
    peers::{
        atheme::{self, Atheme},
        certificate::{Authority, Certificate},
        ident,
        inspircd::{Inspircd, InspircdOptions},
        judge::Judge,
        raw::RawClient,
    },
    scenarios::silence::told_of,
    stage::{NETWORK, alias, comes_to, nick},
};

/// How late the server says everything.
const LAG: Duration = Duration::from_secs(4);

/// Logs the certificate's owner in to a new account, and has the services know the certificate.
async fn is_known(irc: &Inspircd, own: &Certificate) -> anyhow::Result<()> {
    drop(atheme::register(irc, "acct", "sesame7opens").await?);
    let mut client = RawClient::connect_tls(irc.tls_port, &irc.certificate, Some(own)).await?;
    client.register("owner").await;
    client.welcome().await?;
    client
        .ask("PRIVMSG NickServ :IDENTIFY acct sesame7opens", " 900 ")
        .await?;
    client
        .ask("PRIVMSG NickServ :CERT ADD", "Added fingerprint")
        .await?;
    Ok(())
}

/// What everybody is told of somebody.
async fn whois(asker: &mut RawClient, nick: &str) -> anyhow::Result<String> {
    let before = asker.heard.all().len();
    asker.ask(&format!("WHOIS {nick}"), " 318 ").await?;
    Ok(asker.heard.all()[before..].join("\n"))
}

#[test]
fn encrypted_connections_and_logins_by_certificate_outlive_a_kill() -> anyhow::Result<()> {
    let runtime = Runtime::new()?;
    let irc = runtime.block_on(Inspircd::start(InspircdOptions::default()))?;
    let _services = runtime.block_on(Atheme::start(&irc))?;
    let folder = TempDir::new()?;
    let own = Certificate::make(folder.path(), "bridge")?;
    runtime.block_on(is_known(&irc, &own))?;
    let both = folder.path().join("bridge.pem");
    let (certificate, key) = (
        fs::read_to_string(&own.certificate_file)?,
        fs::read_to_string(&own.key_file)?,
    );
    fs::write(&both, certificate + &key)?;
    let encrypted = format!(
        "tls = true\ntls_ca = {:?}\n",
        irc.certificate.certificate_file
    );
    let configuration = configuration(irc.tls_port)
        .replace("127.0.0.1", "localhost")
        .replace("tls = false\n", &encrypted);
    let configuration = format!(
        "{configuration}[networks.{NETWORK}.bot.login]\ncertificate = {both:?}\nrequired = true\n"
    );
    let made = Made {
        configuration,
        ..Made::default()
    };
    played_with(&runtime, (irc.port, made), async |scene| {
        let mut judge = Judge::listen(scene.irc, "judge", "#secure").await?;
        let mut bob = RawClient::welcomed(scene.irc, "bob").await?;
        bob.join("#secure").await?;
        let alice = scene.lab.user("alice").await?;
        let room = alice.join(&alias("#secure")).await?;
        alice.say(&room, "line 0").await?;
        judge.said_until(&nick(&alice), "line 0").await?;
        // What was made a moment ago cannot be taken up; behind this all of it is dealt with.
        bob.say("PRIVMSG #secure :settled").await;
        alice.hears(&room, "settled").await?;
        for kill in 1..4 {
            scene.bridge.kill().await?;
            alice.say(&room, &format!("line {kill}")).await?;
            bob.say(&format!("PRIVMSG #secure :from bob {kill}")).await;
            scene.bridge.start()?;
            let line = format!("line {kill}");
            judge.said_until(&nick(&alice), &line).await?;
            alice.hears(&room, &format!("from bob {kill}")).await?;
        }
        let all: Vec<String> = judge.said()?.into_iter().map(|(_, text)| text).collect();
        let ours: Vec<&String> = all.iter().filter(|text| text.starts_with("line")).collect();
        assert_eq!(ours, ["line 0", "line 1", "line 2", "line 3"]);
        let expected: Vec<String> = (1..4).map(|kill| format!("from bob {kill}")).collect();
        texts_are(&alice, &room, "from bob", &expected).await?;
        let bridge = whois(&mut bob, "bridge").await?;
        anyhow::ensure!(
            bridge.contains(" 671 ") && bridge.contains(" acct :"),
            "{bridge}"
        );
        let alice = whois(&mut bob, &nick(&alice)).await?;
        anyhow::ensure!(alice.contains(" 671 "), "{alice}");
        nobody_has_gone(&bob, &mut judge)
    })
}

/// Nobody has left, and nobody has come twice.
fn nobody_has_gone(watcher: &RawClient, judge: &mut Judge) -> anyhow::Result<()> {
    let seen = watcher.heard.all();
    let gone: Vec<&String> = seen.iter().filter(|line| line.contains(" QUIT ")).collect();
    anyhow::ensure!(gone.is_empty(), "{gone:?}");
    assert_eq!(judge.entries("bridge(")?, 1);
    Ok(())
}

#[test]
fn a_server_that_does_not_prove_who_it_is_gets_no_connection_from_the_keeper() -> anyhow::Result<()>
{
    let runtime = Runtime::new()?;
    let irc = runtime.block_on(Inspircd::start(InspircdOptions::default()))?;
    let folder = TempDir::new()?;
    let stranger = Authority::new(folder.path(), "stranger")?;
    let encrypted = format!("tls = true\ntls_ca = {:?}\n", stranger.file);
    let configuration = configuration(irc.tls_port)
        .replace("127.0.0.1", "localhost")
        .replace("tls = false\n", &encrypted);
    let made = Made {
        configuration,
        ..Made::default()
    };
    played_with(&runtime, (irc.port, made), async |scene| {
        let mut bob = RawClient::welcomed(scene.irc, "bob").await?;
        let alice = scene.lab.user("alice").await?;
        bob.join("#secure").await?;
        let control = crate::stage::control::Control::open(&alice).await?;
        alice.join(&alias("#secure")).await?;
        comes_to(&true, async || {
            let told = control.ask("status").await?;
            Ok(told.contains("nobody whom this machine trusts") && told.contains("tls_ca"))
        })
        .await?;
        let who = whois(&mut bob, "bridge").await?;
        anyhow::ensure!(who.contains(" 401 "), "{who}");
        Ok(())
    })
}

/// A server that asks whose each connection is, and somebody who answers there.
fn with_ident(
    play: impl AsyncFnOnce(&mut Scene, SocketAddr) -> anyhow::Result<()>,
    is_keeper: bool,
) -> anyhow::Result<()> {
    let runtime = Runtime::new()?;
    let options = InspircdOptions {
        asks_ident: true,
        ..InspircdOptions::default()
    };
    let irc = runtime.block_on(Inspircd::start(options))?;
    let address = ident::own_address();
    let at = SocketAddr::from((address, ident::IDENT_PORT));
    let configuration = format!(
        "{}[networks.{NETWORK}.people]\naddress = \"{address}\"\n",
        configuration(irc.port)
    );
    let made = match is_keeper {
        true => Made {
            configuration,
            keeper: vec!["--ident".to_owned(), at.to_string()],
        },
        false => Made {
            configuration: format!("{configuration}[ident]\nlisten = \"{at}\"\n"),
            ..Made::default()
        },
    };
    played_with(&runtime, (irc.port, made), async |scene| {
        play(scene, at).await
    })
}

/// The user name that the server shows of somebody who enters.
async fn user_of(bob: &mut RawClient, nick: &str) -> anyhow::Result<String> {
    let joined = bob.hear(&format!(":{nick}!")).await?;
    Ok(joined
        .split(['!', '@'])
        .nth(1)
        .unwrap_or_default()
        .to_owned())
}

#[test]
fn ident_names_the_person_behind_a_connection_that_the_keeper_has() -> anyhow::Result<()> {
    for is_keeper in [false, true] {
        let play = async |scene: &mut Scene, _| {
            let mut bob = RawClient::welcomed(scene.irc, "bob").await?;
            bob.join("#a").await?;
            let mut judge = Judge::listen(scene.irc, "judge", "#a").await?;
            let (alice, carol) = (
                scene.lab.user("alice").await?,
                scene.lab.user("carol").await?,
            );
            let room = alice.join(&alias("#a")).await?;
            alice.say(&room, "hello").await?;
            // A name that nobody vouches for has a tilde before it.
            let user = user_of(&mut bob, &nick(&alice)).await?;
            anyhow::ensure!(user.starts_with("alice"), "{user}");
            bob.say("PRIVMSG #a :settled").await;
            alice.hears(&room, "settled").await?;
            scene.bridge.kill().await?;
            scene.bridge.start()?;
            // Who comes after the kill is vouched for as well, and who was there before has not gone.
            carol.join(&room).await?;
            carol.say(&room, "and me").await?;
            let user = user_of(&mut bob, &nick(&carol)).await?;
            anyhow::ensure!(user.starts_with("carol"), "{user}");
            alice.say(&room, "still here").await?;
            judge.said_until(&nick(&alice), "still here").await?;
            nobody_has_gone(&bob, &mut judge)
        };
        with_ident(play, is_keeper)?;
    }
    Ok(())
}

/// The server refuses a line while the bridge is away.
fn is_refused_meanwhile(dialect: Dialect) -> anyhow::Result<()> {
    let runtime = Runtime::new()?;
    let irc = runtime.block_on(Server::start(dialect))?;
    let port = irc.address().port();
    // In the room she may say what the channel does not take.
    let own = format!(
        "{}[networks.{NETWORK}.sync]\npowers = false\n",
        configuration(port)
    );
    let made = Made {
        configuration: own,
        ..Made::default()
    };
    played_with(&runtime, (port, made), async |scene| {
        let bob = irc.person("bob").await?;
        bob.join("#hush").await?;
        let alice = scene.lab.user("alice").await?;
        let room = alice.join(&alias("#hush")).await?;
        alice.say(&room, "before").await?;
        let own = nick(&alice);
        let is_own = |text: &'static str| {
            let own = own.clone();
            move |line: &bridgehead_irc_protocol::Line| {
                line.from_name() == own && line.text(1) == text
            }
        };
        bob.wait_for(is_own("before")).await?;
        let is_there = async |text: &str| {
            let log = irc.log().await;
            let mut log = log.iter();
            log.any(|sent| sent.nick == own && sent.line.text(1) == text)
        };
        // The bridge does not know it yet when the line comes, and is killed before it is told.
        irc.faults().lag(LAG).await;
        bob.mode("#hush", "+m").await?;
        let refused = alice.say(&room, "not now").await?;
        comes_to(&true, async || Ok(is_there("not now").await)).await?;
        scene.bridge.kill().await?;
        tokio::time::sleep(LAG).await;
        irc.faults().lag(Duration::ZERO).await;
        bob.mode("#hush", "-m").await?;
        let after = alice.say(&room, "now").await?;
        scene.bridge.start()?;
        bob.wait_for(is_own("now")).await?;
        let mut words = None;
        comes_to(&true, async || {
            words = told_of(&alice, &room, &refused).await?;
            Ok(words.is_some())
        })
        .await?;
        let words = words.unwrap_or_default();
        anyhow::ensure!(!words.contains("may be missing"), "{words}");
        assert_eq!(told_of(&alice, &room, &after).await?, None);
        // It is told once more to nobody, and nothing is said again.
        scene.bridge.kill().await?;
        scene.bridge.start()?;
        alice.say(&room, "the end").await?;
        bob.wait_for(is_own("the end")).await?;
        let log = irc.log().await;
        let said = log
            .iter()
            .filter(|sent| sent.nick == own && sent.line.command == "PRIVMSG");
        let said: Vec<String> = said.map(|sent| sent.line.text(1).into_owned()).collect();
        assert_eq!(said, ["before", "not now", "now", "the end"]);
        Ok(())
    })
}

#[test]
fn what_is_refused_while_the_bridge_is_away_is_told_to_its_sender() -> anyhow::Result<()> {
    // By its label, and by what it names.
    is_refused_meanwhile(Dialect::modern())?;
    is_refused_meanwhile(Dialect::ngircd())
}

#[test]
fn what_a_server_says_last_is_brought_though_the_bridge_is_away() -> anyhow::Result<()> {
    says_last(Dialect::inspircd())
}

/// The server ends all connections at about the moment at which the bridge is killed.
fn says_last(dialect: Dialect) -> anyhow::Result<()> {
    let runtime = Runtime::new()?;
    let irc = runtime.block_on(Server::start(dialect))?;
    let port = irc.address().port();
    let made = Made {
        configuration: configuration(port),
        ..Made::default()
    };
    played_with(&runtime, (port, made), async |scene| {
        let bob = irc.person("bob").await?;
        bob.join("#last").await?;
        let alice = scene.lab.user("alice").await?;
        let room = alice.join(&alias("#last")).await?;
        alice.say(&room, "before").await?;
        bob.wait_for(|line| line.text(1) == "before").await?;
        let mut expected = Vec::new();
        for round in 0..4 {
            for line in 0..5 {
                let text = format!("from bob {round}.{line}");
                bob.say("#last", &text).await?;
                expected.push(text);
            }
            // The bridge has some of it, and has dealt with less; later, it knows of the ends of both connections.
            irc.faults().close_all("maintenance").await;
            tokio::time::sleep(Duration::from_millis(40) * round).await;
            scene.bridge.kill().await?;
            scene.bridge.start()?;
            alice.hears(&room, &format!("from bob {round}.4")).await?;
            let back = format!("back {round}");
            alice.say(&room, &back).await?;
            bob.wait_for(|line| line.text(1) == back).await?;
        }
        texts_are(&alice, &room, "from bob", &expected).await
    })
}
