//! Everything has a bound.

use std::time::Duration;

use anyhow::Result;
use bridgehead_irc_server::{Dialect, Flood, Server, Throttle};

use crate::script::{Raw, Stage};

#[tokio::test]
async fn who_does_not_read_is_closed() -> Result<()> {
    let mut dialect = Dialect::modern();
    dialect.limits.send_queue_bytes = 20_000;
    let stage = Stage::with(dialect, &["ann"]).await?;
    let bob = stage.server.person("bob").await?;
    bob.raw("MONITOR + ann").await?;
    // The lines wait in the server, and none is written meanwhile.
    stage.server.faults().lag(Duration::from_secs(60)).await;
    for _ in 0..100 {
        bob.say("ann", "x".repeat(400)).await?;
    }
    bob.wait_for(|line| line.command == "731" && line.text(1) == "ann")
        .await?;
    assert_eq!(stage.server.nicks().await, ["bob"]);
    Ok(())
}

#[tokio::test]
async fn who_says_too_much_is_closed() -> Result<()> {
    let mut dialect = Dialect::modern();
    dialect.flood = Some(Flood {
        lines: 10,
        within: Duration::from_secs(60),
    });
    let stage = Stage::new(dialect).await?;
    let mut raw = Raw::connect(stage.server.address()).await?;
    raw.send_bytes(&b"PONG x\r\n".repeat(11)).await?;
    let last = raw.next().await?;
    assert_eq!(last, "ERROR :Closing link: (127.0.0.1) [Excess Flood]");
    raw.is_closed().await
}

#[tokio::test]
async fn connections_come_no_faster_than_they_may() -> Result<()> {
    let mut dialect = Dialect::inspircd();
    let text = "Closing link: (127.0.0.1) [Trying to reconnect too fast.]";
    dialect.throttle = Some(Throttle {
        connections: 2,
        within: Duration::from_millis(300),
        text: text.to_owned(),
    });
    let mut stage = Stage::with(dialect, &["ann", "bob"]).await?;
    stage.connect("eve").await?;
    stage
        .part(&format!(
            "eve< ERROR :{text}
             eve. closed"
        ))
        .await?;
    tokio::time::sleep(Duration::from_millis(350)).await;
    stage.enter("eve", "").await
}

#[tokio::test]
async fn a_full_server_takes_nobody() -> Result<()> {
    let mut dialect = Dialect::modern();
    dialect.limits.people = 1;
    let mut stage = Stage::with(dialect, &["ann"]).await?;
    stage.connect("bob").await?;
    stage
        .part(
            "bob< ERROR :Closing link: (unknown) [No more connections allowed]
             bob. closed",
        )
        .await?;
    assert!(stage.server.person("bob").await.is_err());
    Ok(())
}

#[tokio::test]
async fn who_is_silent_is_asked_and_then_closed() -> Result<()> {
    let mut dialect = Dialect::modern();
    dialect.pings.every = Duration::from_millis(100);
    dialect.pings.timeout = Duration::from_millis(100);
    let mut stage = Stage::with(dialect, &["ann"]).await?;
    stage
        .part(
            "ann< PING irc.test.invalid
             ann> PONG irc.test.invalid
             ann< PING irc.test.invalid
             ann< ERROR :Closing link: (~ann@127.0.0.1) [Ping timeout: 0 seconds]
             ann. closed",
        )
        .await
}

#[tokio::test]
async fn who_does_not_register_is_closed() -> Result<()> {
    let mut dialect = Dialect::modern();
    dialect.pings.registration = Duration::from_millis(100);
    let mut stage = Stage::new(dialect).await?;
    stage.connect("ann").await?;
    stage
        .part(
            "ann> NICK ann
             ann< ERROR :Closing link: (127.0.0.1) [Registration timeout]
             ann. closed",
        )
        .await
}

#[tokio::test]
async fn the_log_keeps_the_last_lines() -> Result<()> {
    let mut dialect = Dialect::modern();
    dialect.limits.log_lines = 3;
    let server = Server::start(dialect).await?;
    let bob = server.person("bob").await?;
    for at in 0..5 {
        bob.raw(format!("PING {at}")).await?;
    }
    let log = server.log().await;
    let lines: Vec<String> = log
        .iter()
        .map(|logged| format!("{} {:?}", logged.nick, logged.line))
        .collect();
    assert_eq!(lines, ["bob PING :2", "bob PING :3", "bob PING :4"]);
    server.clear_log().await;
    assert!(server.log().await.is_empty());
    Ok(())
}
