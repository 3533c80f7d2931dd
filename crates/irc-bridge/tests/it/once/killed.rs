//! `kill -9` of the bridge, a process, while both sides talk: a real client and the room's timeline see each line once
//! and in order; whoever has said a line that may be missing was told so.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::Context as _;
use bridgehead_irc::{Settings, service};
use bridgehead_testkit::{
    Process, SERVER_NAME, TestServer, free_port,
    lab::{LabOptions, registration_for},
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tempfile::TempDir;
use tokio::process::Command;

use crate::{
    peers::{
        SOON,
        ii::Ii,
        inspircd::{Inspircd, InspircdOptions},
        judge::Judge,
    },
    scenarios::silence::told_of,
    stage::{NETWORK, alias, comes_to, nick},
};

/// Histories in an ordinary run; more with this variable.
const SEEDS: u64 = 2;
const SEEDS_VARIABLE: &str = "BRIDGEHEAD_CRASH_SEEDS";
const LINES: usize = 60;
const KILLS: usize = 4;
const DOUBTS_PER_KILL: usize = 3;

/// The bridge as the program that it is.
pub(super) struct Bridge {
    pub(super) folder: TempDir,
    pub(super) homeserver: String,
    pub(super) port: u16,
    pub(super) process: Option<Process>,
}

impl Bridge {
    pub(super) fn start(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new(program()?);
        command
            .current_dir(self.folder.path())
            .env("IRC_HOMESERVER_SERVER_NAME", SERVER_NAME)
            .env("IRC_HOMESERVER_ADDRESS", &self.homeserver)
            .env("IRC_LISTEN_ADDRESS", format!("127.0.0.1:{}", self.port))
            .env("NO_PROXY", "localhost,127.0.0.1")
            .stdin(Stdio::null());
        self.process = Some(Process::spawn("bridgehead-irc", command)?);
        Ok(())
    }

    pub(super) async fn works(&self) -> anyhow::Result<()> {
        let works = |lines: &[String]| lines.iter().any(|line| line.contains("the service works"));
        match &self.process {
            Some(process) => {
                process
                    .wait_for_output("the service works", SOON, works)
                    .await
            }
            None => anyhow::bail!("it runs"),
        }
    }

    pub(super) async fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut process) = self.process.take() {
            process.kill9().await?;
        }
        Ok(())
    }

    /// Ends it in order.
    pub(super) async fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(mut process) = self.process.take() {
            process.terminate().await?;
        }
        Ok(())
    }
}

/// The program, built with this test.
pub(super) fn program() -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let target = test.parent().and_then(Path::parent);
    let path = target.context("the test lies in target/…/deps")?;
    let path = path.join("examples").join("irc");
    anyhow::ensure!(
        path.is_file(),
        "{} is missing: build with `cargo build --examples`",
        path.display()
    );
    Ok(path)
}

pub(super) fn configuration(irc: u16) -> String {
    format!(
        "[permissions]\n\"*\" = \"user\"\n\
         [networks.{NETWORK}]\nservers = [\"127.0.0.1:{irc}\"]\ntls = false\n\
         [networks.{NETWORK}.bot]\nnick = \"bridge\"\n\
         [networks.{NETWORK}.limits]\nconnects_per_minute = 6000\nconnects_at_once = 100\nlines_at_once = 50\n\
         line_every = \"10ms\"\npatience = \"20s\"\n"
    )
}

#[test]
fn no_line_is_there_twice_or_out_of_order_though_the_bridge_is_killed() -> anyhow::Result<()> {
    let seeds = std::env::var(SEEDS_VARIABLE).ok();
    let seeds = seeds.map_or(Ok(SEEDS), |seeds| seeds.trim().parse())?;
    for seed in 0..seeds {
        history(seed)?;
    }
    Ok(())
}

/// What was heard in Matrix is what was said on IRC, once and in order, but for what was in the socket at a kill.
fn is_as_said(found: &[String], said: &[String], seed: u64) {
    let mut once = found.to_vec();
    once.dedup();
    assert_eq!(once, found, "nothing twice");
    let order = said.iter().filter(|line| found.contains(line));
    let order: Vec<&String> = order.collect();
    assert_eq!(order, found.iter().collect::<Vec<_>>(), "in order");
    // What stood in the socket at the kill is gone where the server keeps no history: a line for each kill.
    let lost = said.len() - found.len();
    println!(
        "seed {seed}: {lost} of {} lines from IRC were on the way when it was killed",
        said.len()
    );
    assert!(lost <= KILLS * 2, "lost: {lost}");
}

fn history(seed: u64) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let irc = runtime.block_on(Inspircd::start(InspircdOptions::default()))?;
    let (folder, port) = (TempDir::new()?, free_port()?);
    let url = format!("http://127.0.0.1:{port}");
    let text = registration_for(&service(&Settings::default()), &url, SERVER_NAME, seed)?;
    let file: PathBuf = folder.path().join("registration.yaml");
    std::fs::write(&file, &text)?;
    std::fs::write(folder.path().join("irc.toml"), configuration(irc.port))?;
    let host = runtime.block_on(TestServer::start_with(&[file], &[]))?;
    let mut bridge = Bridge {
        folder,
        homeserver: host.base_url(),
        port,
        process: None,
    };
    let options = LabOptions::default()
        .against(&host.base_url(), SERVER_NAME)
        .registration(&text);
    let played = options.run(async |lab| {
        let mut chance = StdRng::seed_from_u64(seed);
        bridge.start()?;
        bridge.works().await?;
        let mut judge = Judge::listen(irc.port, "judge", "#kill").await?;
        let mut bob = Ii::start(irc.port, "bob").await?;
        bob.join("#kill").await?;
        let alice = lab.user("alice").await?;
        let room = alice.join(&alias("#kill")).await?;
        alice.say(&room, "from Matrix 0").await?;
        judge.said_until(&nick(&alice), "from Matrix 0").await?;
        let (mut from_irc, mut kills) = (Vec::new(), 0);
        let mut events = Vec::new();
        for number in 1..LINES {
            let text = format!("from Matrix {number}");
            events.push((alice.say(&room, &text).await?, text));
            let line = format!("from IRC {number}");
            bob.say("#kill", &line).await?;
            from_irc.push(line);
            tokio::time::sleep(Duration::from_millis(chance.random_range(0..30))).await;
            if number % (LINES / KILLS) == LINES / KILLS / 2 {
                bridge.kill().await?;
                bridge.start()?;
                bridge.works().await?;
                // What is said to nobody is heard by nobody: the channel has it back first.
                kills += 1;
                comes_to(&(kills + 1), async || judge.entries("bridge(")).await?;
            }
        }
        // A kill between a line's claim and the note that it was written leaves a doubt (decision 0017). Nobody is in
        // doubt about this one.
        alice.say(&room, "from Matrix, the end").await?;
        let heard = judge
            .said_until(&nick(&alice), "from Matrix, the end")
            .await?;
        let on_irc: Vec<String> = heard
            .into_iter()
            .map(|(_, text)| text)
            .filter(|text| text.starts_with("from Matrix "))
            .collect();
        let (mut expected, mut doubts) = (vec!["from Matrix 0".to_owned()], 0);
        for (event, text) in events {
            match (
                told_of(&alice, &room, &event).await?,
                on_irc.contains(&text),
            ) {
                (None, _) => expected.push(text),
                (Some(words), is_there) => {
                    assert!(words.contains("may be missing"), "{text}: {words}");
                    doubts += 1;
                    expected.extend(is_there.then_some(text));
                }
            }
        }
        println!("seed {seed}: {doubts} of {LINES} lines from Matrix were in doubt");
        // What was on its way at a kill: a few lines at most, and not whatever is said around it.
        assert!(
            doubts <= KILLS * DOUBTS_PER_KILL,
            "{doubts} lines in doubt by {KILLS} kills"
        );
        assert_eq!(
            on_irc, expected,
            "each once and in order, or its sender was told"
        );
        let end = from_irc.last().cloned().unwrap_or_default();
        alice.hears(&room, &end).await?;
        let found = alice.texts(&room).await?.into_iter();
        let found: Vec<String> = found.filter(|text| text.starts_with("from IRC")).collect();
        is_as_said(&found, &from_irc, seed);
        Ok(())
    });
    runtime.block_on(async { bridge.kill().await })?;
    runtime.block_on(host.stop());
    played
}
