//! What goes wrong on request.

use std::time::{Duration, Instant};

use anyhow::Result;
use bridgehead_irc_server::{Dialect, LastLine, Server};

use crate::script::{Raw, Stage};

#[tokio::test]
async fn a_silent_server_takes_connections_and_says_nothing() -> Result<()> {
    let mut stage = Stage::with(Dialect::modern(), &["ann"]).await?;
    let bob = stage.server.person("bob").await?;
    let began = Instant::now();
    stage
        .server
        .faults()
        .silent(Duration::from_millis(300))
        .await;
    let late = Raw::register(stage.server.address(), "eve", "");
    stage.raw("ann").send("PRIVMSG bob :hello").await?;
    bob.say("ann", "are you there?").await?;
    assert!(bob.heard().iter().all(|line| line.command != "PRIVMSG"));
    stage
        .raw("ann")
        .next_matching("* PRIVMSG ann :are you there?")
        .await?;
    late.await?;
    assert!(began.elapsed() >= Duration::from_millis(300));
    bob.wait_for(|line| line.command == "PRIVMSG").await?;
    Ok(())
}

#[tokio::test]
async fn answers_come_late_and_in_order() -> Result<()> {
    let mut stage = Stage::with(Dialect::modern(), &["ann"]).await?;
    stage.server.faults().lag(Duration::from_millis(200)).await;
    let began = Instant::now();
    stage
        .part(
            "ann> PING 1
             ann> PING 2
             ann< * :1
             ann< * :2",
        )
        .await?;
    assert!(began.elapsed() >= Duration::from_millis(200));
    stage.server.faults().clear().await;
    stage.play("").await
}

#[tokio::test]
async fn what_is_swallowed_is_heard_by_nobody() -> Result<()> {
    let mut stage = Stage::new(Dialect::modern()).await?;
    stage
        .enter("ann", "batch labeled-response message-tags echo-message")
        .await?;
    stage.enter("bob", "").await?;
    stage.server.faults().swallow("BOB").await;
    stage
        .play(
            "ann> PRIVMSG bob :hello
             ann> @label=1 PRIVMSG bob :hello
             ann< @label=1 :irc.test.invalid ACK",
        )
        .await
}

#[tokio::test]
async fn a_connection_breaks_after_a_line() -> Result<()> {
    for last in [LastLine::Delivered, LastLine::Lost] {
        let mut stage = Stage::new(Dialect::modern()).await?;
        let bob = stage.server.person("bob").await?;
        stage
            .enter("ann", "batch message-tags echo-message labeled-response")
            .await?;
        stage
            .server
            .faults()
            .drop_connection_after("ANN", Some("privmsg"), 2, last)
            .await;
        stage
            .part(
                "ann> PRIVMSG bob :one
                 ann< * PRIVMSG bob :one
                 ann> PING x
                 ann< * :x
                 ann> @label=1 PRIVMSG bob :two
                 ann. closed",
            )
            .await?;
        let texts: Vec<String> = bob
            .heard()
            .iter()
            .filter(|line| line.command == "PRIVMSG")
            .map(|line| line.text(1).into_owned())
            .collect();
        let expected: &[&str] = if last == LastLine::Delivered {
            &["one", "two"]
        } else {
            &["one"]
        };
        assert_eq!(texts, expected);
        let log = stage.server.log().await;
        assert_eq!(
            log.iter()
                .filter(|logged| logged.line.command == "PRIVMSG")
                .count(),
            2
        );
        assert_eq!(stage.server.nicks().await, ["bob"]);
    }
    Ok(())
}

#[tokio::test]
async fn connections_are_cut_off_closed_and_killed() -> Result<()> {
    let mut stage = Stage::with(Dialect::modern(), &["ann", "bob", "eve", "dan"]).await?;
    let cat = stage.server.person("cat").await?;
    cat.join("#tea").await?;
    for name in ["ann", "bob", "eve", "dan"] {
        stage.raw(name).send("JOIN #tea").await?;
        stage.raw(name).next_matching("* 366 *").await?;
    }
    let faults = stage.server.faults();
    assert!(
        faults
            .drop_connection("ann", "Ping timeout: 240 seconds")
            .await
    );
    assert!(faults.close("bob", "K-Lined: go away").await);
    assert!(faults.kill("eve", "enough").await);
    assert!(!faults.kill("nobody", "enough").await);
    faults.close_all("Server is restarting").await;
    for (nick, reason) in [
        ("ann", "Ping timeout: 240 seconds"),
        ("bob", "K-Lined: go away"),
        ("eve", "Killed (irc.test.invalid (enough))"),
        ("dan", "Server is restarting"),
    ] {
        let quit = cat.wait_for(|line| line.command == "QUIT").await?;
        assert_eq!((quit.from_name(), &*quit.text(0)), (nick, reason));
    }
    stage
        .raw("bob")
        .next_matching("ERROR :Closing link: (~bob@127.0.0.1) [K-Lined: go away]")
        .await?;
    stage
        .raw("eve")
        .next_matching(":irc.test.invalid KILL eve :enough")
        .await?;
    stage
        .raw("dan")
        .next_matching("ERROR :*Server is restarting]")
        .await?;
    assert_eq!(stage.server.nicks().await, ["cat"]);
    Ok(())
}

#[tokio::test]
async fn connections_are_refused() -> Result<()> {
    let mut stage = Stage::new(Dialect::inspircd()).await?;
    let text = "Closing link: (127.0.0.1) [Z-Lined: too many]";
    stage.server.faults().refuse_connects(Some(text)).await;
    stage.connect("ann").await?;
    stage
        .part(&format!(
            "ann< ERROR :{text}
             ann. closed"
        ))
        .await?;
    stage.server.faults().refuse_connects(None).await;
    stage.enter("ann", "").await
}

#[tokio::test]
async fn services_rename_people() -> Result<()> {
    let mut stage = Stage::with(Dialect::modern(), &["ann", "bob"]).await?;
    stage.join("#tea", &["ann", "bob"]).await?;
    assert!(stage.server.faults().force_nick("ann", "Guest1").await);
    assert!(!stage.server.faults().force_nick("Guest1", "bob").await);
    stage
        .play(
            "ann< :ann!~ann@127.0.0.1 NICK Guest1
             bob< :ann!~ann@127.0.0.1 NICK Guest1",
        )
        .await
}

#[tokio::test]
async fn pings_and_commands_are_not_answered_as_they_should_be() -> Result<()> {
    let mut stage = Stage::with(Dialect::modern(), &["ann"]).await?;
    stage.server.faults().ignore_pings().await;
    stage
        .server
        .faults()
        .answer("JOIN", "477 #tea :Cannot join channel (+r)")
        .await;
    assert!(
        stage
            .server
            .faults()
            .send_raw("ann", b"\xff\xfe nonsense \r\n")
            .await
    );
    stage
        .part(
            "ann> PING x
             ann> JOIN #tea
             ann< ?? nonsense 
             ann< :irc.test.invalid 477 ann #tea :Cannot join channel (+r)",
        )
        .await?;
    stage.server.faults().clear().await;
    stage.play("").await
}

#[tokio::test]
async fn what_is_ignored_is_not_even_acknowledged() -> Result<()> {
    let mut stage = Stage::new(Dialect::modern()).await?;
    stage.enter("bob", "batch labeled-response").await?;
    stage.server.faults().ignore("cap").await;
    stage.server.faults().ignore("whois").await;
    stage.connect("ann").await?;
    stage
        .part(
            "bob> @label=1 WHOIS bob
             bob> @label=2 PONG x
             bob< @label=2 :irc.test.invalid ACK
             ann> CAP LS 302
             ann> NICK ann
             ann> USER ann 0 * :Ann
             ann< * 001 *",
        )
        .await
}

#[tokio::test]
async fn a_crash_leaves_no_last_words() -> Result<()> {
    let mut stage = Stage::with(Dialect::modern(), &["ann"]).await?;
    stage.server.faults().crash().await;
    stage.part("ann. closed").await?;
    assert_eq!(stage.server.nicks().await, [""; 0]);
    Ok(())
}

#[tokio::test]
async fn cuts_inside_characters_come_and_go() -> Result<()> {
    let server = Server::start(Dialect::modern()).await?;
    let (ann, bob) = (server.person("ann").await?, server.person("bob").await?);
    for is_on in [true, false] {
        server.faults().cut_utf8(is_on).await;
        // One of the two is cut in the middle of its last character, whatever stands before it.
        for text in ["é".repeat(400), format!("x{}", "é".repeat(400))] {
            ann.say("bob", &text).await?;
        }
        let mut broken = 0;
        for _ in 0..2 {
            let heard = bob.wait_for(|line| line.command == "PRIVMSG").await?;
            broken += usize::from(std::str::from_utf8(heard.last()).is_err());
        }
        assert_eq!(broken, usize::from(is_on));
    }
    Ok(())
}
