//! The running program reads its configuration again.

use anyhow::Context as _;
use bridgehead_irc_server::{Dialect, Server};
use bridgehead_testkit::{Client, Process, TestServer};
use serde_json::json;
use tokio::process::Command;

use crate::program::{PATIENCE, Program, until};

fn network(name: &str, server: &Server, more: &str) -> String {
    let address = server.address();
    format!("[networks.{name}]\nservers = [\"{address}\"]\ntls = false\n{more}\n")
}

async fn hang_up(process: &Process) -> anyhow::Result<()> {
    let pid = process.pid().context("it runs")?.to_string();
    let sent = Command::new("kill").args(["-HUP", &pid]).status().await?;
    anyhow::ensure!(sent.success(), "no signal");
    Ok(())
}

async fn says(process: &Process, what: &str) -> anyhow::Result<()> {
    let says = |lines: &[String]| lines.iter().any(|line| line.contains(what));
    process.wait_for_output(what, PATIENCE, says).await
}

/// Alice joins a channel by its alias, and is heard there.
async fn is_heard(alice: &Client, server: &Server, name: &str, text: &str) -> anyhow::Result<()> {
    let channel = format!("#{name}");
    let listener = server.person(&format!("ear-{name}")).await?;
    listener.join(&channel).await?;
    let room = alice
        .join(&format!("#irc_{name}_{channel}:localhost"))
        .await?;
    alice.send_text(&room, text, text).await?;
    listener
        .wait_within(PATIENCE, |line| line.text(1) == text)
        .await?;
    Ok(())
}

#[tokio::test]
async fn networks_come_and_go_by_a_signal_and_by_command() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let (first, second) = (
        Server::start(Dialect::modern()).await?,
        Server::start(Dialect::modern()).await?,
    );
    let program = Program::beside(&host, &network("first", &first, ""))?;
    let file = program.file("irc.toml");
    let begun = std::fs::read_to_string(&file)?.replace(
        "\"*\" = \"user\"",
        "\"*\" = \"user\"\n\"@alice:localhost\" = \"admin\"",
    );
    std::fs::write(&file, &begun)?;
    let process = program.start().await?;
    let alice = host.user("alice").await?;
    is_heard(&alice, &first, "first", "before").await?;

    // A mistake changes nothing, and its key is named.
    std::fs::write(&file, format!("{begun}[networks.second]\nservers = []\n"))?;
    hang_up(&process).await?;
    says(&process, "networks.second.servers").await?;
    says(&process, "stays as it was").await?;

    let both = format!("{begun}{}", network("second", &second, ""));
    std::fs::write(&file, &both)?;
    hang_up(&process).await?;
    says(&process, "networks.second is new; now in effect").await?;
    says(&process, "second is bridged from now on").await?;
    is_heard(&alice, &second, "second", "after").await?;

    // By command: the second is gone, and the servers of the first are others from the next connection on.
    let changed = begun.replace("tls = false", "tls = false\npassword = \"sesame\"");
    std::fs::write(&file, &changed)?;
    let control = alice
        .create_room(&json!({ "is_direct": true, "invite": ["@ircbot:localhost"] }))
        .await?;
    until("the bridge has come", async || {
        let member = alice
            .state(&control, "m.room.member", "@ircbot:localhost")
            .await;
        Ok(member
            .is_ok_and(|content| content["membership"] == "join")
            .then_some(()))
    })
    .await?;
    alice.send_text(&control, "r", "!reload").await?;
    for words in [
        "networks.first.password has changed; takes effect with the next connection",
        "networks.second is gone; now in effect",
        "second is not bridged any more",
    ] {
        until(words, async || {
            let path = format!("/_matrix/client/v3/rooms/{control}/messages?dir=b&limit=50");
            let (_, page) = alice.get(&path).await?;
            Ok(page.to_string().contains(words).then_some(()))
        })
        .await?;
    }
    until("all have quit", async || {
        let nicks = second.nicks().await;
        Ok((nicks == ["ear-second"]).then_some(()))
    })
    .await?;
    assert!(first.nicks().await.contains(&"alice[m]".to_owned()));
    Ok(())
}
