//! People without sockets.

use std::time::Duration;

use anyhow::Result;
use bridgehead_irc_server::{Dialect, Gone, NoPerson, Server};

#[tokio::test]
async fn people_do_what_clients_do() -> Result<()> {
    let server = Server::start(Dialect::modern()).await?;
    let (ann, bob) = (server.person("ann").await?, server.person("bob").await?);
    ann.join("#tea").await?;
    bob.join("#tea").await?;
    ann.topic("#tea", "Tea").await?;
    ann.mode("#tea", "+v bob").await?;
    ann.notice("#tea", "a notice").await?;
    ann.action("#tea", "waves").await?;
    ann.change_nick("anna").await?;
    ann.invite("bob", "#tea").await?;
    ann.kick("#tea", "bob", "out").await?;
    ann.part("#tea", "done").await?;
    ann.quit("bye").await?;
    for (command, text) in [
        ("TOPIC", "Tea"),
        ("MODE", "bob"),
        ("NOTICE", "a notice"),
        ("PRIVMSG", "\u{1}ACTION waves\u{1}"),
        ("NICK", "anna"),
        ("KICK", "out"),
    ] {
        let line = bob.wait_for(|line| line.command == command).await?;
        assert_eq!(line.last(), text.as_bytes());
    }
    assert_eq!(ann.nick(), "anna");
    assert!(matches!(ann.say("bob", "more").await, Err(Gone::Left(nick)) if nick == "anna"));
    assert_eq!(server.nicks().await, ["bob"]);
    Ok(())
}

#[tokio::test]
async fn a_line_break_makes_no_second_line() -> Result<()> {
    let server = Server::start(Dialect::modern()).await?;
    let bob = server.person("bob").await?;
    let said = bob.say("#tea", "one\r\nQUIT").await;
    assert!(matches!(said, Err(Gone::NoLine(_))));
    bob.raw("PING x\r\nQUIT").await?;
    assert_eq!(server.nicks().await, ["bob"]);
    Ok(())
}

#[tokio::test]
async fn names_are_checked() -> Result<()> {
    let server = Server::start(Dialect::modern()).await?;
    server.person("bob").await?;
    assert_eq!(
        server.person("BOB").await.err(),
        Some(NoPerson::Taken("BOB".to_owned()))
    );
    assert_eq!(
        server.person("1").await.err(),
        Some(NoPerson::BadNick("1".to_owned()))
    );
    Ok(())
}

#[tokio::test]
async fn what_does_not_come_is_told_with_what_came() -> Result<()> {
    let server = Server::start(Dialect::modern()).await?;
    let bob = server.person("bob").await?;
    bob.pass();
    bob.raw("PING x").await?;
    let missed = bob
        .wait_within(Duration::from_millis(20), |line| line.command == "JOIN")
        .await;
    let missed = missed.expect_err("nobody joins").to_string();
    assert!(missed.contains("PONG irc.test.invalid :x"), "{missed}");
    bob.wait_for(|line| line.command == "PONG").await?;
    let again = bob
        .wait_within(Duration::from_millis(20), |line| line.command == "PONG")
        .await;
    assert!(again.is_err(), "a line is waited for once");
    Ok(())
}

#[tokio::test]
async fn people_learn_capabilities_like_clients() -> Result<()> {
    let server = Server::start(Dialect::modern()).await?;
    let bob = server.person("bob").await?;
    let whois = server.whois("bob").await.expect("he is there");
    assert_eq!(
        whois.caps.into_iter().collect::<Vec<_>>(),
        ["account-tag", "message-tags", "server-time"]
    );
    bob.raw("CAP REQ :echo-message labeled-response batch")
        .await?;
    bob.raw("@label=9 PRIVMSG bob :to me").await?;
    let echo = bob
        .wait_for(|line| line.tags.get("label") == Some("9"))
        .await?;
    assert!(matches!(&*echo.command, "BATCH" | "PRIVMSG"));
    Ok(())
}

#[tokio::test]
async fn a_server_that_ends_takes_its_people_along() -> Result<()> {
    for is_stopped in [true, false] {
        let server = Server::start(Dialect::modern()).await?;
        let bob = server.person("bob").await?;
        if is_stopped {
            server.stop().await;
        } else {
            drop(server);
        }
        let began = std::time::Instant::now();
        let missed = bob.wait_for(|line| line.command == "JOIN").await;
        assert!(missed.is_err() && began.elapsed() < Duration::from_secs(5));
        assert!(matches!(bob.join("#tea").await, Err(Gone::Left(_))));
    }
    Ok(())
}
