//! Encrypted connections to a real server: who can prove who they are is talked to, and else an operator is told what to
//! set.

use std::path::Path;

use anyhow::{Context as _, ensure};
use bridgehead_appservice::config::FilePath;
use bridgehead_irc::{Settings, settings::Verify};
use tempfile::TempDir;

use crate::{
    peers::{
        certificate::{Authority, Certificate},
        inspircd::{Inspircd, InspircdOptions},
        raw::RawClient,
    },
    stage::{NETWORK, Server, Stage, alias, comes_to, control::Control, nick, on_ours, settings},
};

/// How long certificates are good, from year to year.
const GOOD: (i32, i32) = (2020, 2060);
const EXPIRED: (i32, i32) = (2015, 2020);

/// A bridge that believes one authority, and a server that shows a certificate.
fn with_certificate(
    certificate: impl FnOnce(&Authority, &Path) -> anyhow::Result<Certificate>,
    play: impl AsyncFnOnce(Stage) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let folder = TempDir::new()?;
    let authority = Authority::new(folder.path(), "believed")?;
    let shown = |folder: &Path| certificate(&authority, folder);
    let irc = Inspircd::start_with(InspircdOptions::default(), shown);
    let irc = runtime.block_on(irc)?;
    let settings = encrypted(irc.tls_port, &authority.file)?;
    on_ours(&settings, (irc.port, Server::Inspircd), play)
}

fn encrypted(port: u16, authority: &Path) -> anyhow::Result<Settings> {
    let mut settings = settings(port)?;
    let network = settings.networks.get_mut(NETWORK).context("the network")?;
    network.servers = vec![format!("localhost:{port}").parse()?];
    network.tls = true;
    network.tls_verify = Verify::Full;
    network.tls_ca = Some(FilePath::new(authority));
    Ok(settings)
}

#[test]
fn a_server_that_proves_who_it_is_is_talked_to_encrypted() -> anyhow::Result<()> {
    with_certificate(
        |authority, folder| authority.vouch(folder, "localhost", GOOD),
        async |stage| {
            let mut bob = RawClient::welcomed(stage.port, "bob").await?;
            bob.join("#secure").await?;
            let alice = stage.lab.user("alice").await?;
            let room = alice.join(&alias("#secure")).await?;
            alice.say(&room, "nobody listens in").await?;
            bob.hear("nobody listens in").await?;
            bob.say("PRIVMSG #secure :so I hear").await;
            alice.hears(&room, "so I hear").await?;
            let whois = bob.ask(&format!("WHOIS {}", nick(&alice)), " 671 ").await?;
            ensure!(whois.contains("secure connection"), "{whois}");
            Ok(())
        },
    )
}

/// Nobody is connected, and the person is told why, with the key to set.
async fn is_refused(stage: &Stage, words: [&str; 2]) -> anyhow::Result<()> {
    let mut bob = RawClient::welcomed(stage.port, "bob").await?;
    bob.join("#secure").await?;
    let alice = stage.lab.user("alice").await?;
    let control = Control::open(&alice).await?;
    alice.join(&alias("#secure")).await?;
    let mut told = String::new();
    comes_to(&true, async || {
        told = control.ask("status").await?;
        Ok(words.iter().all(|words| told.contains(words)))
    })
    .await
    .with_context(|| told.clone())?;
    bob.ask("WHO #secure", " 315 ").await?;
    let heard = bob.heard.all().join("\n");
    ensure!(!heard.contains(&nick(&alice)), "{heard}");
    Ok(())
}

#[test]
fn a_certificate_for_another_name_is_refused_with_the_key_to_set() -> anyhow::Result<()> {
    with_certificate(
        |authority, folder| authority.vouch(folder, "irc.elsewhere.invalid", GOOD),
        async |stage| is_refused(&stage, ["irc.elsewhere.invalid", "servers"]).await,
    )
}

#[test]
fn a_certificate_that_has_expired_is_refused_with_the_key_to_set() -> anyhow::Result<()> {
    with_certificate(
        |authority, folder| authority.vouch(folder, "localhost", EXPIRED),
        async |stage| is_refused(&stage, ["has expired", "servers"]).await,
    )
}

#[test]
fn an_authority_that_nobody_knows_is_refused_with_the_key_to_set() -> anyhow::Result<()> {
    with_certificate(
        |_, folder| Authority::new(folder, "stranger")?.vouch(folder, "localhost", GOOD),
        async |stage| is_refused(&stage, ["nobody whom this machine trusts", "tls_ca"]).await,
    )
}

#[test]
fn a_port_without_encryption_is_told_with_the_key_to_set() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let folder = TempDir::new()?;
    let authority = Authority::new(folder.path(), "believed")?;
    let irc = runtime.block_on(Inspircd::start(InspircdOptions::default()))?;
    let settings = encrypted(irc.port, &authority.file)?;
    on_ours(&settings, (irc.port, Server::Inspircd), async |stage| {
        is_refused(&stage, ["does not answer with TLS", "servers"]).await
    })
}
