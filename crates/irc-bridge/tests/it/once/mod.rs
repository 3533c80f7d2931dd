//! Each line once and in order, whatever breaks: the bridge, a server, a connection; and how the bridge behaves towards
//! servers that have had enough of it.

mod absent;
mod banned;
mod ears;
mod held;
mod homeserver;
mod kept;
mod killed;
mod limits;
mod links;
mod proxy;
mod restarts;

use bridgehead_appservice::id::RoomId;
use bridgehead_irc::settings::NetworkSettings;
use bridgehead_testkit::lab::LabUser;

use crate::{
    peers::{
        inspircd::{Inspircd, InspircdOptions},
        ngircd::{Ngircd, NgircdOptions},
    },
    stage::{NETWORK, Server, Stage, comes_to, on_ours, settings},
};

/// Plays with an `InspIRCd` of its own.
fn with_inspircd(
    options: InspircdOptions,
    change: impl FnOnce(&mut NetworkSettings),
    play: impl AsyncFnOnce(Stage, &mut Inspircd) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let mut irc = runtime.block_on(Inspircd::start(options))?;
    let mut settings = settings(irc.port)?;
    settings
        .networks
        .entry(NETWORK.to_owned())
        .and_modify(change);
    on_ours(&settings, (irc.port, Server::Inspircd), async |stage| {
        play(stage, &mut irc).await
    })
}

/// Plays with an ngIRCd of its own.
fn with_ngircd(
    options: NgircdOptions,
    change: impl FnOnce(&mut NetworkSettings),
    play: impl AsyncFnOnce(Stage, &mut Ngircd) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let mut irc = runtime.block_on(Ngircd::start(options))?;
    let mut settings = settings(irc.port)?;
    settings
        .networks
        .entry(NETWORK.to_owned())
        .and_modify(change);
    on_ours(&settings, (irc.port, Server::Ngircd), async |stage| {
        play(stage, &mut irc).await
    })
}

/// Waits until these are the texts of a room that begin so: each once, in this order, and no others.
async fn texts_are(
    user: &LabUser,
    room: &RoomId,
    begin: &str,
    expected: &[String],
) -> anyhow::Result<()> {
    comes_to(&expected.to_vec(), async || {
        let texts = user.texts(room).await?;
        Ok(texts
            .into_iter()
            .filter(|text| text.starts_with(begin))
            .collect())
    })
    .await
}

/// Numbered lines.
fn lines(begin: &str, count: usize) -> Vec<String> {
    (0..count).map(|line| format!("{begin} {line}")).collect()
}
