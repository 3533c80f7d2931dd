//! What needs settings of its own: other templates, levels, several networks, many people.

use anyhow::Context as _;
use bridgehead_appservice::{
    Secret,
    axum::{
        body::Bytes,
        http::{Method, Request, StatusCode},
    },
    bridge::{Level, Permissions, RemoteId as _},
    id::UserId,
};
use bridgehead_irc::{
    Settings,
    ids::{Nick, Place},
};
use bridgehead_irc_protocol::CaseMapping;
use bridgehead_testkit::{SERVER_NAME, lab::LabUser};
use futures_util::future::try_join_all;
use serde_json::{Value, json};

use crate::{
    peers::{
        inspircd::{Inspircd, InspircdOptions},
        ngircd::{Ngircd, NgircdOptions},
        raw::RawClient,
    },
    stage::{
        BOT, NETWORK, Server, Stage, alias, comes_to,
        control::{Control, ask, bot},
        nick, on_ours, settings,
    },
};

/// Plays with ngIRCd and settings of its own.
fn with(
    change: impl FnOnce(&mut Settings) -> anyhow::Result<()>,
    play: impl AsyncFnOnce(Stage) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let irc = runtime.block_on(Ngircd::start(NgircdOptions::default()))?;
    let mut settings = settings(irc.port)?;
    change(&mut settings)?;
    on_ours(&settings, (irc.port, Server::Ngircd), play)
}

#[test]
fn ids_with_a_leading_dot_work() -> anyhow::Result<()> {
    let dotted = |settings: &mut Settings| {
        settings.users = ".irc.{network}.{nick}".to_owned();
        settings.aliases = "#.irc.{network}.{channel}".to_owned();
        Ok(())
    };
    with(dotted, async |stage| {
        let mut bob = RawClient::welcomed(stage.port, "Bob").await?;
        bob.join("#Dots").await?;
        let alice = stage.lab.user("alice").await?;
        let room = alice
            .join(format!("#.irc.{NETWORK}.#dots:{SERVER_NAME}"))
            .await?;
        let ghost = UserId::parse(&format!("@.irc.{NETWORK}.bob:{SERVER_NAME}"))?;
        let portals = stage.service.running().portals::<bridgehead_irc::Irc>();
        let bob_there = Nick::new(NETWORK, "Bob", CaseMapping::Ascii);
        assert_eq!(portals.context("the bridge")?.ghost_id(&bob_there)?, ghost);
        alice.say(&room, "who is there?").await?;
        bob.hear("who is there?").await?;
        comes_to(&Some("join".to_owned()), async || {
            Ok(alice.members(&room).await?.remove(&ghost))
        })
        .await?;
        bob.say("PRIVMSG #dots :hello").await;
        assert_eq!(alice.hears(&room, "hello").await?.sender, ghost);
        alice.say(&room, "back").await?;
        bob.hear("back").await?;
        Ok(())
    })
}

#[test]
fn who_may_only_be_heard_has_no_connection_and_no_talks() -> anyhow::Result<()> {
    let heard = |settings: &mut Settings| {
        settings.permissions = Permissions::new().allow("*", Level::Relay);
        Ok(())
    };
    with(heard, async |stage| {
        let mut bob = RawClient::welcomed(stage.port, "bob").await?;
        bob.join("#heard").await?;
        let alice = stage.lab.user("alice").await?;
        let room = alice.join(&alias("#heard")).await?;
        alice.say(&room, "through the bridge").await?;
        let said = bob.hear("through the bridge").await?;
        anyhow::ensure!(said.starts_with(&format!(":{BOT}!")), "{said}");
        // The name does not ring for who has the same one on IRC.
        let name = said.replace('\u{200b}', "");
        anyhow::ensure!(name.contains(alice.id().localpart()), "{said}");
        let answer = ask(&alice, &room, "!irc whois bob").await?;
        anyhow::ensure!(answer.contains("may not"), "{answer}");
        let talk = json!({
            "is_direct": true,
            "invite": [format!("@irc_{NETWORK}_bob:{SERVER_NAME}")],
        });
        let talk = alice.create_room_with(&talk).await?;
        let ghost = UserId::parse(&format!("@irc_{NETWORK}_bob:{SERVER_NAME}"))?;
        comes_to(&Some("leave".to_owned()), async || {
            Ok(alice.members(&talk).await?.remove(&ghost))
        })
        .await?;
        bob.ask("WHO #heard", " 315 ").await?;
        let heard = bob.heard.all().join("\n");
        anyhow::ensure!(!heard.contains(&nick(&alice)), "{heard}");
        Ok(())
    })
}

#[test]
fn who_is_blocked_is_not_heard() -> anyhow::Result<()> {
    let blocked = |settings: &mut Settings| {
        settings.permissions = Permissions::new().allow("*", Level::Blocked);
        Ok(())
    };
    with(blocked, async |stage| {
        let mut bob = RawClient::welcomed(stage.port, "bob").await?;
        bob.join("#blocked").await?;
        let alice = stage.lab.user("alice").await?;
        let room = alice.join(&alias("#blocked")).await?;
        bob.hear(&format!(":{BOT}!")).await?;
        alice.say(&room, "not for them").await?;
        // The other way is open, and what is heard behind it has come later.
        bob.say("PRIVMSG #blocked :anybody?").await;
        alice.hears(&room, "anybody?").await?;
        bob.ask("WHO #blocked", " 315 ").await?;
        let heard = bob.heard.all().join("\n");
        anyhow::ensure!(!heard.contains("not for them"), "{heard}");
        anyhow::ensure!(!heard.contains(&nick(&alice)), "{heard}");
        Ok(())
    })
}

#[test]
fn commands_name_one_of_two_networks() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let other = runtime.block_on(Inspircd::start(InspircdOptions::default()))?;
    let other_port = other.port;
    let two = |settings: &mut Settings| {
        let mut network = settings.networks[NETWORK].clone();
        network.servers = vec![crate::stage::server_at(other_port)?];
        network.title = Some("The Other".to_owned());
        settings.networks.insert("other".to_owned(), network);
        Ok(())
    };
    with(two, async |stage| {
        let mut bob = RawClient::welcomed(stage.port, "bob").await?;
        let mut carl = RawClient::welcomed(other_port, "carl").await?;
        bob.join("#both").await?;
        carl.join("#both").await?;
        let alice = stage.lab.user("alice").await?;
        let control = Control::open(&alice).await?;
        for command in ["!nick Alicia", "!whois bob", "status", "!join #both"] {
            control
                .expect(command, "There are several networks")
                .await?;
        }
        control.expect("!nick net OnNet", "as soon as").await?;
        control.expect("!nick Other OnOther", "as soon as").await?;
        control.expect("!msg net bob to bob", "is told").await?;
        control.expect("!msg other carl to carl", "is told").await?;
        let to_bob = bob.hear("to bob").await?;
        let to_carl = carl.hear("to carl").await?;
        anyhow::ensure!(to_bob.starts_with(":OnNet!"), "{to_bob}");
        anyhow::ensure!(to_carl.starts_with(":OnOther!"), "{to_carl}");
        // In a channel's room it is the channel's.
        let room = alice
            .join(format!("#irc_other_#both:{SERVER_NAME}"))
            .await?;
        let told = ask(&alice, &room, "!irc whois carl").await?;
        anyhow::ensure!(told.contains("calls themselves carl"), "{told}");
        let protocol = alice
            .call(
                Method::GET,
                "/_matrix/client/v3/thirdparty/protocol/irc",
                &Value::Null,
            )
            .await?;
        let instances = protocol["instances"].as_array().context("instances")?;
        let names: Vec<_> = instances.iter().map(|instance| &instance["desc"]).collect();
        assert_eq!(names, ["net", "The Other"]);
        Ok(())
    })
}

#[test]
fn programs_link_rooms() -> anyhow::Result<()> {
    let secret = "a secret for programs";
    let open = |settings: &mut Settings| {
        settings.provisioning.secret = Secret::new(secret.to_owned()).into();
        let alone = Level::Admin;
        settings.permissions = Permissions::new().allow("*", alone);
        Ok(())
    };
    with(open, async |stage| {
        let mut bob = RawClient::welcomed(stage.port, "bob").await?;
        bob.join("#programs").await?;
        let alice = stage.lab.user("alice").await?;
        let room = alice.create_room("mine").await?;
        let call = async |secret: &str, body: &Value| -> anyhow::Result<(StatusCode, Value)> {
            let uri = format!("/_matrix/provision/v1/links?user_id={}", alice.id());
            let request = Request::builder()
                .method(Method::POST)
                .uri(uri)
                .header("authorization", format!("Bearer {secret}"))
                .header("content-type", "application/json")
                .body(Bytes::from(body.to_string()))?;
            let answer = stage.service.running().call(request).await;
            Ok((answer.status(), serde_json::from_slice(answer.body())?))
        };
        let place = Place::channel(NETWORK, "#programs", CaseMapping::Ascii);
        let remote = place.to_text();
        let body = json!({ "room_id": room, "remote_id": remote });
        let (status, _) = call("another secret!!", &body).await?;
        anyhow::ensure!(status.is_client_error(), "{status}");
        let bridge = bot()?;
        alice.invite(&room, &bridge).await?;
        comes_to(&Some("join".to_owned()), async || {
            Ok(alice.members(&room).await?.remove(&bridge))
        })
        .await?;
        let (status, answer) = call(secret, &body).await?;
        anyhow::ensure!(status.is_success(), "{status} {answer}");
        alice.say(&room, "linked by a program").await?;
        bob.hear("linked by a program").await?;
        Ok(())
    })
}

/// People that are pushed through one bridge.
const MANY: usize = 300;

#[test]
fn three_hundred_people_connect_join_and_speak() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let irc = runtime.block_on(Inspircd::start(InspircdOptions::default()))?;
    let mut settings = settings(irc.port)?;
    let network = settings.networks.get_mut(NETWORK).context("the network")?;
    network.limits.patience = "120s".parse()?;
    network.limits.connects_at_once = 300;
    on_ours(&settings, (irc.port, Server::Inspircd), async |stage| {
        let mut bob = RawClient::welcomed(stage.port, "bob").await?;
        bob.join("#crowd").await?;
        let first = stage.lab.user("first").await?;
        let room = first.join(&alias("#crowd")).await?;
        let mut people: Vec<LabUser> = Vec::new();
        for batch in 0..MANY / 50 {
            let made = (0..50).map(|number| {
                let (lab, room) = (stage.lab.clone(), room.clone());
                async move {
                    let user = lab.user(&format!("p{batch}-{number}")).await?;
                    user.join(&room).await?;
                    anyhow::Ok(user)
                }
            });
            people.extend(try_join_all(made).await?);
        }
        let wanted: Vec<String> = (0..MANY)
            .map(|number| format!("person {number} speaks"))
            .collect();
        for (texts, users) in wanted.chunks(50).zip(people.chunks(50)) {
            let said = texts
                .iter()
                .zip(users)
                .map(|(text, user)| user.say(&room, text));
            try_join_all(said).await?;
        }
        let count_missing = |lines: &[String]| {
            let is_said = |text: &&String| lines.iter().any(|line| line.ends_with(text.as_str()));
            wanted.iter().filter(|text| !is_said(text)).count()
        };
        comes_to(&0, async || Ok(count_missing(&bob.heard.all()))).await?;
        let heard = bob.heard.all();
        for (text, user) in wanted.iter().zip(&people) {
            let said: Vec<_> = heard
                .iter()
                .filter(|line| line.ends_with(text.as_str()))
                .collect();
            assert_eq!(said.len(), 1, "{text}: {said:?}");
            anyhow::ensure!(
                said[0].starts_with(&format!(":{}!", nick(user))),
                "{said:?}"
            );
        }
        Ok(())
    })
}
