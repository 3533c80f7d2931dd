//! The examples as programs: where they are, and the Pond with its bridge. The others: `programs`, `suite::examples`.

use std::{path::PathBuf, process::Stdio};

use anyhow::{Context as _, ensure};
use bridgehead_testkit::{Process, TestServer, free_port};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    process::Command,
};

use crate::harness::{PATIENCE, until};

/// An example as it was built with this test.
pub(crate) fn example(name: &str) -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let target = test
        .ancestors()
        .nth(2)
        .context("tests lie in target/…/deps")?;
    let path = target.join("examples").join(name);
    ensure!(path.is_file(), "{} was not built", path.display());
    Ok(path)
}

/// An example as a program beside the homeserver: registered by itself, and at work.
async fn program(
    name: &str,
    host: &TestServer,
    folder: &TempDir,
    env: &[(&str, &str)],
) -> anyhow::Result<Process> {
    let listen = format!("127.0.0.1:{}", free_port()?);
    let token = host.folder().join("data").join("operator.token");
    let variable = |key: &str| format!("{}_{key}", name.to_uppercase());
    let command = || -> anyhow::Result<Command> {
        let mut command = Command::new(example(name)?);
        command
            .current_dir(folder.path())
            .args([
                "--server-name",
                "localhost",
                "--homeserver",
                &host.base_url(),
            ])
            .env(variable("LISTEN_ADDRESS"), &listen)
            .env(variable("HOMESERVER_ADMIN_ADDRESS"), host.base_url())
            .env(variable("HOMESERVER_ADMIN_TOKEN_FILE"), &token)
            .env("NO_PROXY", "localhost,127.0.0.1")
            .envs(env.iter().copied())
            .stdin(Stdio::null());
        Ok(command)
    };
    let applied = command()?.args(["register", "--apply"]).output().await?;
    ensure!(
        applied.status.success(),
        "{}{}",
        String::from_utf8_lossy(&applied.stdout),
        String::from_utf8_lossy(&applied.stderr)
    );
    let process = Process::spawn(name, command()?)?;
    let works = |lines: &[String]| lines.iter().any(|line| line.contains("the service works"));
    process
        .wait_for_output("the service works", PATIENCE, works)
        .await?;
    Ok(process)
}

#[tokio::test]
async fn the_pond_and_its_bridge_are_programs() -> anyhow::Result<()> {
    let (host, folder) = (TestServer::start().await?, TempDir::new()?);
    let address = format!("127.0.0.1:{}", free_port()?);
    let mut command = Command::new(example("pond_server")?);
    command.arg(&address);
    let pond = Process::spawn("pond_server", command)?;
    let is_there = |lines: &[String]| lines.iter().any(|line| line.contains("the Pond is at"));
    pond.wait_for_output("the Pond", PATIENCE, is_there).await?;
    let _bridge = program("pond", &host, &folder, &[("POND_SERVER", &address)]).await?;
    let alice = host.user("alice").await?;
    let room = alice.join("#pond_lobby:localhost").await?;

    let (read, mut write) = TcpStream::connect(&address).await?.into_split();
    write.write_all(b"SINCE 0\n").await?;
    alice.send_text(&room, "1", "hello from the shore").await?;
    let mut lines = BufReader::new(read).lines();
    for said in [
        " lobby * there is water again",
        " lobby alice hello from the shore",
    ] {
        let heard = tokio::time::timeout(PATIENCE, lines.next_line()).await??;
        let heard = heard.context("the Pond goes on")?;
        ensure!(heard.ends_with(said), "{heard}");
    }
    write
        .write_all(b"SAY 1 lobby Bob hello from the water\n")
        .await?;
    until("the ghost has said it", || async {
        let path = format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=50");
        let Ok((_, page)) = alice.get(&path).await else {
            return false;
        };
        let events = page["chunk"].as_array().cloned().unwrap_or_default();
        events.iter().any(|event| {
            event["sender"] == "@_pond__bob:localhost"
                && event["content"]["body"] == "hello from the water"
        })
    })
    .await
}
