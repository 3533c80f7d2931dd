//! What happens on IRC while the bridge, a process, is away, and a keeper holds its connections: who hears for all is lost,
//! the configuration changes, people go.

mod changed;
mod lost;

use std::path::PathBuf;

use bridgehead_appservice::id::RoomId;
use bridgehead_irc::{Settings, service};
use bridgehead_irc_server::{Dialect, Person, Server};
use bridgehead_testkit::{
    Process, SERVER_NAME, TestServer, free_port,
    lab::{Lab, LabOptions, LabUser, registration_for},
};
use tempfile::TempDir;

use super::{
    kept::keeper,
    killed::{Bridge, configuration},
    lines, texts_are,
};
use crate::{
    peers::SOON,
    stage::{alias, comes_to},
};

const CHANNEL: &str = "#absent";
/// Lines that are said while the bridge is away.
const LINES: usize = 100;

/// Bridge and keeper, processes, and a server in this one.
struct Scene {
    lab: Lab,
    irc: Server,
    bridge: Bridge,
    bob: Person,
    keeper: Process,
}

impl Scene {
    /// Somebody of Matrix is in the channel, and has said something there.
    async fn enters(&self, name: &str) -> anyhow::Result<(LabUser, RoomId)> {
        let user = self.lab.user(name).await?;
        let room = user.join(&alias(CHANNEL)).await?;
        user.say(&room, &format!("{name} is here")).await?;
        self.is_said(&format!("{name} is here")).await?;
        Ok((user, room))
    }

    async fn is_said(&self, text: &str) -> anyhow::Result<()> {
        comes_to(&true, async || {
            let heard = self.bob.heard();
            Ok(heard.iter().any(|line| line.text(1) == text))
        })
        .await
    }

    /// Bob says it, and the bridge has brought it.
    async fn brings(&self, (user, room): &(LabUser, RoomId), text: &str) -> anyhow::Result<()> {
        self.bob.say(CHANNEL, text).await?;
        user.hears(room, text).await?;
        Ok(())
    }

    async fn says_lines(&self) -> anyhow::Result<()> {
        for line in lines("line", LINES) {
            self.bob.say(CHANNEL, &line).await?;
        }
        Ok(())
    }

    async fn is_connected(&self, nick: &str, expected: bool) -> anyhow::Result<()> {
        comes_to(&expected, async || Ok(self.irc.whois(nick).await.is_some())).await
    }

    /// Somebody comes into the channel.
    async fn is_there(&self, nick: &str) -> anyhow::Result<()> {
        comes_to(&true, async || {
            let channel = self.irc.channel(CHANNEL).await;
            let members = channel.map_or_else(Vec::new, |channel| channel.members);
            Ok(members.iter().any(|member| member.nick == nick))
        })
        .await
    }

    /// The next run goes by another configuration.
    fn change(&self, from: &str, to: &str) -> anyhow::Result<()> {
        let file = self.bridge.folder.path().join("irc.toml");
        let settings = std::fs::read_to_string(&file)?;
        anyhow::ensure!(settings.contains(from), "no {from:?} in {settings}");
        std::fs::write(file, settings.replacen(from, to, 1))?;
        Ok(())
    }
}

fn played(
    dialect: Dialect,
    play: impl AsyncFnOnce(&mut Scene) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let irc = runtime.block_on(Server::start(dialect))?;
    let (folder, port) = (TempDir::new()?, free_port()?);
    let url = format!("http://127.0.0.1:{port}");
    let text = registration_for(&service(&Settings::default()), &url, SERVER_NAME, 9)?;
    let file: PathBuf = folder.path().join("registration.yaml");
    std::fs::write(&file, &text)?;
    let socket = folder.path().join("keeper");
    let network = configuration(irc.address().port());
    let settings = format!("{network}\n[keeper]\nsocket = {socket:?}\n");
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
        let bob = irc.person("bob").await?;
        bob.join(CHANNEL).await?;
        let mut scene = Scene {
            lab,
            irc,
            bridge,
            bob,
            keeper: keeper(&socket)?,
        };
        let keeps = |lines: &[String]| lines.iter().any(|line| line.contains("keeping"));
        let waits = scene
            .keeper
            .wait_for_output("keeping connections", SOON, keeps);
        waits.await?;
        scene.bridge.start()?;
        scene.bridge.works().await?;
        let played = play(&mut scene).await;
        scene.bridge.kill().await?;
        scene.keeper.kill9().await?;
        played
    });
    runtime.block_on(host.stop());
    played
}
