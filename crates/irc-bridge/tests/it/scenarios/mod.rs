//! What the bridge does, on each homeserver with each IRC server.

/// A list of scenarios by the names of their functions.
macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        /// All of them.
        pub(super) const ALL: &[$crate::stage::Scenario] = &[$($crate::stage::Scenario {
            name: stringify!($name),
            play: |stage| futures_util::FutureExt::boxed_local($name(stage)),
        }),*];
    };
}

mod apart;
mod closed;
mod collisions;
mod commands;
mod linking;
mod lookups;
pub(crate) mod membership;
pub(crate) mod messages;
mod moderation;
mod modern;
mod own_settings;
mod presence;
mod private;
pub(crate) mod silence;
pub(crate) mod talk;

use crate::{
    peers::{
        inspircd::{Inspircd, InspircdOptions},
        ngircd::{Ngircd, NgircdOptions},
    },
    stage::{Scenario, Server, on_ours, on_synapse, play_all, settings},
};

const ALL: &[&[Scenario]] = &[
    closed::ALL,
    commands::ALL,
    linking::ALL,
    lookups::ALL,
    membership::ALL,
    messages::ALL,
    moderation::ALL,
    presence::ALL,
    private::ALL,
    silence::ALL,
    talk::ALL,
];

#[test]
fn on_our_homeserver_with_ngircd() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let irc = runtime.block_on(Ngircd::start(NgircdOptions::default()))?;
    on_ours(
        &settings(irc.port)?,
        (irc.port, Server::Ngircd),
        async |stage| play_all(stage, ALL).await,
    )
}

#[test]
fn on_our_homeserver_with_inspircd() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let irc = runtime.block_on(Inspircd::start(InspircdOptions::default()))?;
    on_ours(
        &settings(irc.port)?,
        (irc.port, Server::Inspircd),
        async |stage| play_all(stage, ALL).await,
    )
}

#[test]
fn on_synapse_with_inspircd() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let irc = runtime.block_on(Inspircd::start(InspircdOptions::default()))?;
    on_synapse(
        &settings(irc.port)?,
        (irc.port, Server::Inspircd),
        async |stage| play_all(stage, ALL).await,
    )
}
