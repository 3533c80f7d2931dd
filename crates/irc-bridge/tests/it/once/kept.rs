//! The bridge, a process, is killed again and again while both sides talk, and a keeper, another process, holds its
//! connections: nobody on IRC notices, and nothing is lost or repeated either way. Nothing is allowed for.

use std::{path::PathBuf, process::Stdio, time::Duration};

use bridgehead_irc::{Settings, service};
use bridgehead_testkit::{
    Process, SERVER_NAME, TestServer, free_port,
    lab::{Lab, LabOptions, registration_for},
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tempfile::TempDir;
use tokio::process::Command;

use super::{
    killed::{Bridge, configuration, program},
    lines, texts_are,
};
use crate::{
    peers::{
        SOON,
        ii::Ii,
        inspircd::{Inspircd, InspircdOptions},
        judge::Judge,
        raw::RawClient,
    },
    stage::{alias, comes_to, nick},
};

const LINES: usize = 60;
/// After every so many lines the bridge ends, by force or in order.
const ENDS: usize = 12;

/// Bridge and keeper, and what is around them.
pub(super) struct Scene {
    pub(super) lab: Lab,
    pub(super) irc: u16,
    pub(super) bridge: Bridge,
    keeper: Process,
    socket: PathBuf,
}

/// What is different from other scenes.
#[derive(Default)]
pub(super) struct Made {
    /// The bridge's configuration without the keeper.
    pub(super) configuration: String,
    /// What the keeper is told beside its socket.
    pub(super) keeper: Vec<String>,
}

pub(super) fn keeper(socket: &PathBuf) -> anyhow::Result<Process> {
    keeper_with(socket, &[])
}

fn keeper_with(socket: &PathBuf, words: &[String]) -> anyhow::Result<Process> {
    let mut command = Command::new(program()?);
    command
        .arg("keeper")
        .arg("--listen")
        .arg(socket)
        .args(words)
        .stdin(Stdio::null());
    Process::spawn("keeper", command)
}

impl Scene {
    async fn begin(&mut self) -> anyhow::Result<()> {
        let keeps = |lines: &[String]| lines.iter().any(|line| line.contains("keeping"));
        self.keeper
            .wait_for_output("keeping connections", SOON, keeps)
            .await?;
        self.bridge.start()?;
        self.bridge.works().await
    }
}

fn played(play: impl AsyncFnOnce(&mut Scene) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let irc = runtime.block_on(Inspircd::start(InspircdOptions::default()))?;
    let made = Made {
        configuration: configuration(irc.port),
        ..Made::default()
    };
    played_with(&runtime, (irc.port, made), play)
}

/// Plays where somebody else has started the IRC server, at this port.
pub(super) fn played_with(
    runtime: &tokio::runtime::Runtime,
    (irc, made): (u16, Made),
    play: impl AsyncFnOnce(&mut Scene) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let (folder, port) = (TempDir::new()?, free_port()?);
    let url = format!("http://127.0.0.1:{port}");
    let text = registration_for(&service(&Settings::default()), &url, SERVER_NAME, 7)?;
    let file: PathBuf = folder.path().join("registration.yaml");
    let socket = folder.path().join("keeper");
    std::fs::write(&file, &text)?;
    let settings = format!("{}\n[keeper]\nsocket = {socket:?}\n", made.configuration);
    std::fs::write(folder.path().join("irc.toml"), settings)?;
    let host = runtime.block_on(TestServer::start_with(&[file], &[]))?;
    let bridge = Bridge {
        folder,
        homeserver: host.base_url(),
        port,
        process: None,
    };
    let options = LabOptions::default()
        .against(&host.base_url(), SERVER_NAME)
        .registration(&text);
    let played = options.run(async |lab| {
        let mut scene = Scene {
            lab,
            irc,
            bridge,
            keeper: keeper_with(&socket, &made.keeper)?,
            socket,
        };
        scene.begin().await?;
        let played = play(&mut scene).await;
        scene.bridge.kill().await?;
        scene.keeper.kill9().await?;
        played
    });
    runtime.block_on(host.stop());
    played
}

#[test]
fn nobody_on_irc_notices_that_the_bridge_is_killed_and_nothing_is_lost() -> anyhow::Result<()> {
    played(async |scene| {
        let mut chance = StdRng::seed_from_u64(11);
        let mut watcher = RawClient::welcomed(scene.irc, "watcher").await?;
        watcher.join("#kept").await?;
        let mut judge = Judge::listen(scene.irc, "judge", "#kept").await?;
        let mut bob = Ii::start(scene.irc, "bob").await?;
        bob.join("#kept").await?;
        let alice = scene.lab.user("alice").await?;
        let room = alice.join(&alias("#kept")).await?;
        alice.say(&room, "from Matrix 0").await?;
        judge.said_until(&nick(&alice), "from Matrix 0").await?;
        for number in 1..LINES {
            alice.say(&room, &format!("from Matrix {number}")).await?;
            bob.say("#kept", &format!("from IRC {}", number - 1))
                .await?;
            tokio::time::sleep(Duration::from_millis(chance.random_range(0..30))).await;
            if number % ENDS == ENDS / 2 {
                match number / ENDS % 2 {
                    0 => scene.bridge.kill().await?,
                    _ => scene.bridge.stop().await?,
                }
                // Both go on while it is away.
                scene.bridge.start()?;
                if chance.random() {
                    scene.bridge.works().await?;
                }
            }
        }
        let last = format!("from Matrix {}", LINES - 1);
        let heard = judge.said_until(&nick(&alice), &last).await?;
        let on_irc = heard.into_iter().map(|(_, text)| text);
        let on_irc: Vec<String> = on_irc
            .filter(|text| text.starts_with("from Matrix"))
            .collect();
        assert_eq!(on_irc, lines("from Matrix", LINES));
        texts_are(&alice, &room, "from IRC", &lines("from IRC", LINES - 1)).await?;
        // Nobody has come or gone since.
        assert_eq!(judge.entries("bridge(")?, 1);
        assert_eq!(judge.entries(&format!("{}(", nick(&alice)))?, 1);
        watcher.ask("PING :that-was-all", "that-was-all").await?;
        let seen = watcher.heard.all();
        let gone: Vec<&String> = seen.iter().filter(|line| line.contains(" QUIT ")).collect();
        assert!(gone.is_empty(), "{gone:?}");
        Ok(())
    })
}

#[test]
fn where_the_keeper_is_killed_everybody_connects_again() -> anyhow::Result<()> {
    played(async |scene| {
        let mut judge = Judge::listen(scene.irc, "judge", "#again").await?;
        let mut bob = Ii::start(scene.irc, "bob").await?;
        bob.join("#again").await?;
        let alice = scene.lab.user("alice").await?;
        let room = alice.join(&alias("#again")).await?;
        alice.say(&room, "before").await?;
        judge.said_until(&nick(&alice), "before").await?;
        scene.keeper.kill9().await?;
        alice.say(&room, "without a keeper").await?;
        scene.keeper = keeper(&scene.socket)?;
        judge.said_until(&nick(&alice), "without a keeper").await?;
        comes_to(&2, async || judge.entries("bridge(")).await?;
        bob.say("#again", "from bob").await?;
        alice.hears(&room, "from bob").await?;
        Ok(())
    })
}
