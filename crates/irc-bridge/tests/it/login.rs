//! How people prove who they are: passwords, certificates, `NickServ`, ident, addresses.

use anyhow::Context as _;
use bridgehead_appservice::config::FilePath;
use bridgehead_irc::{
    Irc, Settings,
    settings::{IdentSettings, Verify, WebircSettings},
};
use tokio::process::Command;

use crate::{
    peers::{
        atheme::{self, Atheme},
        ident,
        inspircd::{Inspircd, InspircdOptions, WEBIRC_PASSWORD},
        ngircd::{Ngircd, NgircdOptions},
        raw::RawClient,
    },
    stage::{
        NETWORK, Server, Stage, alias, comes_to,
        control::{Control, answer_to, body_of},
        nick, on_ours, settings,
    },
};

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Runtime::new()?)
}

/// A server with services, and an account `acct` with the password `sesame opens`.
fn with_services(
    change: impl FnOnce(&mut Settings, &Inspircd) -> anyhow::Result<()>,
    play: impl AsyncFnOnce(Stage) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let runtime = runtime()?;
    let irc = runtime.block_on(Inspircd::start(InspircdOptions::default()))?;
    let _services = runtime.block_on(Atheme::start(&irc))?;
    let owner = runtime.block_on(atheme::register(&irc, "acct", "sesame7opens"))?;
    drop(owner);
    let mut settings = settings(irc.port)?;
    change(&mut settings, &irc)?;
    on_ours(&settings, (irc.port, Server::Inspircd), play)
}

/// The account that somebody is logged in to, as others see it.
async fn account_of(stage: &Stage, asker: &str, nick: &str) -> anyhow::Result<Option<String>> {
    let mut asker = RawClient::welcomed(stage.port, asker).await?;
    let before = asker.heard.all().len();
    asker.ask(&format!("WHOIS {nick}"), " 318 ").await?;
    let heard = asker.heard.all();
    let account = heard[before..].iter().find(|line| line.contains(" 330 "));
    Ok(account
        .and_then(|line| line.split(' ').nth(4))
        .map(str::to_owned))
}

#[test]
fn people_log_in_with_the_password_that_they_have_stored() -> anyhow::Result<()> {
    with_services(
        |_, _| Ok(()),
        async |stage| {
            let alice = stage.lab.user("alice").await?;
            let control = Control::open(&alice).await?;
            let asked = alice
                .say(&control.room, "!storepass net acct sesame7opens")
                .await?;
            let answer = answer_to(&alice, &control.room, &asked).await?;
            anyhow::ensure!(answer.contains("kept, encrypted"), "{answer}");
            anyhow::ensure!(!answer.contains("remove it yourself"), "{answer}");
            comes_to(&true, async || {
                let events = alice.timeline(&control.room).await?;
                let event = events
                    .iter()
                    .find(|event| event.id == asked)
                    .context("the message")?;
                Ok(event.content.get("body").is_none())
            })
            .await?;
            let said = alice.texts(&control.room).await?.join("\n");
            anyhow::ensure!(!said.contains("sesame7opens"), "{said}");
            control.ask("!whois acct").await?;
            let account = account_of(&stage, "asker1", &nick(&alice)).await?;
            assert_eq!(account.as_deref(), Some("acct"));
            is_sealed(&stage).await?;
            control.expect("!removepass", "forgotten").await?;
            control.expect("!removepass", "nothing of yours").await?;
            control.ask("!quit").await?;
            comes_to(&None, async || {
                account_of(&stage, "asker2", &nick(&alice)).await
            })
            .await?;
            control.ask("!whois acct").await?;
            assert_eq!(account_of(&stage, "asker3", &nick(&alice)).await?, None);
            Ok(())
        },
    )
}

/// The database does not say the password, and nobody else reads the key.
async fn is_sealed(stage: &Stage) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let portals = stage
        .service
        .running()
        .portals::<Irc>()
        .context("the bridge")?;
    let store = portals.remote().store()?;
    let rows = store
        .query("SELECT hex(password), account FROM accounts", [])
        .await?;
    let sealed = rows[0].text(0).unwrap_or_default().to_owned();
    let plain: String = b"sesame7opens"
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    anyhow::ensure!(
        sealed.len() > plain.len() && !sealed.contains(&plain),
        "{sealed}"
    );
    let sql = "SELECT file FROM pragma_database_list WHERE name = 'main'";
    let rows = store.query(sql, []).await?;
    let key = format!("{}.key", rows[0].text(0).unwrap_or_default());
    let mode = std::fs::metadata(&key).context(key)?.permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    Ok(())
}

#[test]
fn a_wrong_password_is_told_once_and_the_connection_goes_on() -> anyhow::Result<()> {
    with_services(
        |_, _| Ok(()),
        async |stage| {
            let alice = stage.lab.user("alice").await?;
            let control = Control::open(&alice).await?;
            control
                .expect("!storepass net acct \"not it\"", "kept")
                .await?;
            let mut bob = RawClient::welcomed(stage.port, "bob").await?;
            bob.join("#a").await?;
            let room = alice.join(&alias("#a")).await?;
            control.told("has failed").await?;
            alice.say(&room, "in all the same").await?;
            bob.hear("in all the same").await?;
            control.ask("!reconnect").await?;
            bob.hear(" QUIT ").await?;
            alice.say(&room, "once more").await?;
            bob.hear("once more").await?;
            let told = alice.texts(&control.room).await?;
            let times = told
                .iter()
                .filter(|text| text.contains("has failed"))
                .count();
            assert_eq!(times, 1, "{told:#?}");
            Ok(())
        },
    )
}

#[test]
fn without_the_required_login_there_is_no_connection() -> anyhow::Result<()> {
    let required = |settings: &mut Settings, _: &Inspircd| {
        let network = settings.networks.get_mut(NETWORK).context("the network")?;
        network.people.login_required = true;
        network.limits.patience = "5s".parse()?;
        Ok(())
    };
    with_services(required, async |stage| {
        let (alice, carol) = (
            stage.lab.user("alice").await?,
            stage.lab.user("carol").await?,
        );
        let control = Control::open(&alice).await?;
        control.expect("!storepass net acct wrong", "kept").await?;
        let mut bob = RawClient::welcomed(stage.port, "bob").await?;
        bob.join("#a").await?;
        let room = alice.join(&alias("#a")).await?;
        let told = control.told("has failed").await?;
        anyhow::ensure!(
            body_of(&told).contains("not connected without it"),
            "{}",
            body_of(&told)
        );
        control.expect("!status", "login").await?;
        // Who has stored none needs none.
        carol.join(&room).await?;
        carol.say(&room, "and I may").await?;
        bob.hear("and I may").await?;
        let heard = bob.heard.all().join("\n");
        anyhow::ensure!(!heard.contains(&nick(&alice)), "{heard}");
        Ok(())
    })
}

#[test]
fn people_log_in_by_a_certificate_of_their_own() -> anyhow::Result<()> {
    let encrypted = |settings: &mut Settings, irc: &Inspircd| {
        let network = settings.networks.get_mut(NETWORK).context("the network")?;
        network.tls = true;
        network.servers = vec![format!("localhost:{}", irc.tls_port).parse()?];
        network.tls_verify = Verify::Full;
        network.tls_ca = Some(FilePath::new(&irc.certificate.certificate_file));
        Ok(())
    };
    with_services(encrypted, async |stage| {
        let alice = stage.lab.user("alice").await?;
        let control = Control::open(&alice).await?;
        control
            .expect("!storepass net acct sesame7opens", "kept")
            .await?;
        let made = control.ask("!certfp").await?;
        let fingerprint = made.split_whitespace().find_map(|word| {
            let word = word.trim_end_matches(['.', '`']);
            (word.len() == 64).then_some(word)
        });
        let fingerprint = fingerprint.with_context(|| made.clone())?;
        control
            .expect(&format!("!msg NickServ CERT ADD {fingerprint}"), "is told")
            .await?;
        control.told(fingerprint).await?;
        control
            .expect("!removepass", "Your password is forgotten")
            .await?;
        control.expect("!quit", "not connected").await?;
        comes_to(&None, async || {
            account_of(&stage, "asker1", &nick(&alice)).await
        })
        .await?;
        control.ask("!whois acct").await?;
        let account = account_of(&stage, "asker2", &nick(&alice)).await?;
        assert_eq!(account.as_deref(), Some("acct"));
        control
            .expect("!removepass", "Your certificate is forgotten")
            .await
    })
}

#[test]
fn where_the_server_has_no_sasl_nickserv_is_told() -> anyhow::Result<()> {
    let runtime = runtime()?;
    let irc = runtime.block_on(Ngircd::start(NgircdOptions::default()))?;
    on_ours(
        &settings(irc.port)?,
        (irc.port, Server::Ngircd),
        async |stage| {
            let mut service = RawClient::welcomed(stage.port, "NickServ").await?;
            let alice = stage.lab.user("alice").await?;
            let control = Control::open(&alice).await?;
            control.expect("!storepass acct pass\\word", "kept").await?;
            let asked = control.user.say(&control.room, "!whois NickServ").await?;
            service
                .hear("PRIVMSG NickServ :IDENTIFY acct pass\\word")
                .await?;
            service
                .say(&format!(
                    "NOTICE {} :You are now identified for acct.",
                    nick(&alice)
                ))
                .await;
            answer_to(&alice, &control.room, &asked).await?;
            Ok(())
        },
    )
}

#[test]
fn ident_names_the_person_behind_a_connection() -> anyhow::Result<()> {
    let runtime = runtime()?;
    let options = InspircdOptions {
        asks_ident: true,
        ..InspircdOptions::default()
    };
    let irc = runtime.block_on(Inspircd::start(options))?;
    let address = ident::own_address();
    let mut settings = settings(irc.port)?;
    settings.ident = IdentSettings {
        listen: Some((address, ident::IDENT_PORT).into()),
    };
    let network = settings.networks.get_mut(NETWORK).context("the network")?;
    network.people.address = Some(address);
    on_ours(&settings, (irc.port, Server::Inspircd), async |stage| {
        let mut bob = RawClient::welcomed(stage.port, "bob").await?;
        bob.join("#a").await?;
        let alice = stage.lab.user("alice").await?;
        alice.join(&alias("#a")).await?;
        let joined = bob.hear(&format!(":{}!", nick(&alice))).await?;
        let user = joined.split(['!', '@']).nth(1).unwrap_or_default();
        anyhow::ensure!(user.starts_with("alice"), "{joined}");
        // Who is not vouched for is marked: so it is the answer that counts.
        anyhow::ensure!(
            bob.ask("WHOIS bob", " 311 ").await?.contains(" ~bob "),
            "no ~"
        );
        Ok(())
    })
    .context("the bridge has to answer at port 113 of an address of its own: see peers::ident")
}

#[test]
fn servers_are_told_of_whom_a_connection_is() -> anyhow::Result<()> {
    let runtime = runtime()?;
    let irc = runtime.block_on(Inspircd::start(InspircdOptions::default()))?;
    let mut settings = settings(irc.port)?;
    let network = settings.networks.get_mut(NETWORK).context("the network")?;
    network.people.addresses = Some("2001:db8:77::/64".to_owned());
    network.webirc = Some(WebircSettings {
        password: bridgehead_appservice::Secret::new(WEBIRC_PASSWORD.to_owned()).into(),
        gateway: "bridge".to_owned(),
    });
    on_ours(&settings, (irc.port, Server::Inspircd), async |stage| {
        let mut bob = RawClient::welcomed(stage.port, "bob").await?;
        bob.join("#a").await?;
        let (alice, carol) = (
            stage.lab.user("alice").await?,
            stage.lab.user("carol").await?,
        );
        let mut hosts = std::collections::BTreeSet::new();
        for user in [&alice, &carol] {
            user.join(&alias("#a")).await?;
            let joined = bob.hear(&format!(":{}!", nick(user))).await?;
            let host = joined.split(['@', ' ']).nth(1).unwrap_or_default();
            anyhow::ensure!(host.starts_with("2001:db8:77::"), "{joined}");
            hosts.insert(host.to_owned());
        }
        assert_eq!(hosts.len(), 2);
        Ok(())
    })
}

/// A range of addresses that lead to this machine, for as long as this lives.
struct Range(String);

impl Range {
    async fn route() -> anyhow::Result<Self> {
        let range = format!("fd42:{:x}::/64", std::process::id() & 0xffff);
        let added = ip(&["-6", "route", "replace", "local", &range, "dev", "lo"]).await;
        added.with_context(|| {
            format!(
                "the addresses of {range} cannot be led to this machine: run the tests as root with IPv6, or in a network of \
                 their own: `unshare --map-root-user --net sh -c 'ip link set lo up && cargo xtask test login::'`"
            )
        })?;
        Ok(Self(range))
    }
}

impl Drop for Range {
    fn drop(&mut self) {
        std::process::Command::new("ip")
            .args(["-6", "route", "del", "local", &self.0, "dev", "lo"])
            .status()
            .ok();
    }
}

async fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new("ip").args(arguments).output().await?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    anyhow::ensure!(
        output.status.success(),
        "ip {}: {said}",
        arguments.join(" ")
    );
    Ok(())
}

#[test]
fn everybody_connects_from_an_address_of_their_own() -> anyhow::Result<()> {
    let runtime = runtime()?;
    let range = runtime.block_on(Range::route())?;
    let options = InspircdOptions {
        listens_on_v6: true,
        ..InspircdOptions::default()
    };
    let irc = runtime.block_on(Inspircd::start(options))?;
    let mut settings = settings(irc.port)?;
    let network = settings.networks.get_mut(NETWORK).context("the network")?;
    network.servers = vec![format!("[::1]:{}", irc.port).parse()?];
    network.people.addresses = Some(range.0.clone());
    let prefix = range.0.trim_end_matches("/64").to_owned();
    on_ours(&settings, (irc.port, Server::Inspircd), async |stage| {
        let mut bob = RawClient::welcomed(stage.port, "bob").await?;
        bob.join("#a").await?;
        let (alice, carol) = (
            stage.lab.user("alice").await?,
            stage.lab.user("carol").await?,
        );
        let mut hosts = std::collections::BTreeSet::new();
        for user in [&alice, &carol] {
            user.join(&alias("#a")).await?;
            let joined = bob.hear(&format!(":{}!", nick(user))).await?;
            let host = joined.split(['@', ' ']).nth(1).unwrap_or_default();
            anyhow::ensure!(host.starts_with(&prefix), "{joined}: not of {prefix}");
            hosts.insert(host.to_owned());
        }
        assert_eq!(hosts.len(), 2);
        Ok(())
    })
}
