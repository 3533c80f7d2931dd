//! What real servers were found to do, and clients to get wrong.

use anyhow::Result;
use bridgehead_irc_server::{Dialect, Server};

use crate::script::{Raw, Stage};

#[tokio::test]
async fn a_server_without_tags_takes_them_for_a_command() -> Result<()> {
    for dialect in [Dialect::ngircd(), Dialect::hybrid(), Dialect::bare()] {
        let mut stage = Stage::with(dialect, &["ann"]).await?;
        stage
            .play(
                "ann> @label=1 PING x
                 ann< :irc.test.invalid 421 ann @label=1 :Unknown command
                 ann> TAGMSG ann
                 ann< :irc.test.invalid 421 ann TAGMSG :Unknown command
                 ann> CHATHISTORY LATEST ann * 1
                 ann< :irc.test.invalid 421 ann CHATHISTORY :Unknown command",
            )
            .await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_oldest_say_nothing_of_themselves() -> Result<()> {
    let mut stage = Stage::new(Dialect::bare()).await?;
    stage.connect("ann").await?;
    stage
        .part(
            "ann> NICK ann
             ann> USER ann 0 * :Ann
             ann< * 001 *
             ann< * 002 *
             ann< * 003 *
             ann< * 004 *
             ann< * 251 *",
        )
        .await
}

#[tokio::test]
async fn nothing_new_reaches_an_old_client() -> Result<()> {
    let mut stage = Stage::with(Dialect::modern(), &["old"]).await?;
    let bob = stage.server.person("bob").await?;
    stage.join("#tea", &["old"]).await?;
    bob.join("#tea").await?;
    bob.raw("@+typing=active TAGMSG #tea").await?;
    bob.raw("AWAY :lunch").await?;
    bob.raw("SETNAME :Robert").await?;
    bob.say("#tea", "hello").await?;
    stage
        .play(
            "old< :bob!person@people.test.invalid JOIN #tea
             old< :bob!person@people.test.invalid PRIVMSG #tea :hello",
        )
        .await
}

/// The prefix `:ann!~ann@127.0.0.1 PRIVMSG bob :` takes 33 bytes: 477 are left, and characters of two bytes do not fit evenly.
#[tokio::test]
async fn a_line_is_cut_at_512_bytes_without_a_word() -> Result<()> {
    for dialect in [Dialect::modern(), Dialect::ngircd()] {
        let mut stage = Stage::with(dialect, &["ann", "bob"]).await?;
        let text = "é".repeat(300);
        let said = format!("PRIVMSG bob :{text}");
        stage.raw("ann").send(&said).await?;
        let heard = stage.raw("bob").next_bytes().await?.expect("a line");
        assert_eq!(heard.len(), 510);
        assert_eq!(&heard[33..], &text.as_bytes()[..477]);
        assert!(std::str::from_utf8(&heard).is_err());
        stage.raw("ann").is_quiet().await?;
    }
    Ok(())
}

#[tokio::test]
async fn who_quits_may_say_what_a_netsplit_says() -> Result<()> {
    for (dialect, text) in [
        (Dialect::inspircd(), "a.example b.example"),
        (Dialect::modern(), "Quit: a.example b.example"),
    ] {
        let server = Server::start(dialect).await?;
        let (ann, bob) = (server.person("ann").await?, server.person("bob").await?);
        ann.join("#tea").await?;
        bob.join("#tea").await?;
        bob.quit("a.example b.example").await?;
        let quit = ann.wait_for(|line| line.command == "QUIT").await?;
        assert_eq!(quit.text(0), text);
    }
    Ok(())
}

#[tokio::test]
async fn a_ping_may_come_before_the_welcome() -> Result<()> {
    let mut dialect = Dialect::modern();
    dialect.quirks.has_ping_cookie = true;
    dialect.quirks.greetings = vec!["*** Looking up your hostname...".to_owned()];
    let mut stage = Stage::new(dialect).await?;
    stage.connect("ann").await?;
    stage
        .part(
            "ann< :irc.test.invalid NOTICE * :*** Looking up your hostname...
             ann> NICK ann
             ann> USER ann 0 * :Ann
             ann< PING cookie1
             ann> PONG :nonsense
             ann> JOIN #tea
             ann< :irc.test.invalid 451 ann :You have not registered
             ann> PONG :cookie1
             ann< :irc.test.invalid 001 ann *",
        )
        .await
}

#[tokio::test]
async fn the_welcome_may_come_before_all_is_agreed_on() -> Result<()> {
    let mut dialect = Dialect::ngircd();
    dialect.quirks.waits_for_cap_end = false;
    dialect.motd.clear();
    let mut stage = Stage::new(dialect).await?;
    stage.connect("ann").await?;
    stage
        .part(
            "ann> CAP LS 302
             ann< * CAP * LS :multi-prefix
             ann> NICK ann
             ann> USER ann 0 * :Ann
             ann< * 001 *",
        )
        .await?;
    stage
        .raw("ann")
        .next_matching("* 422 ann :MOTD File is missing")
        .await?;
    stage
        .play(
            "ann> CAP REQ multi-prefix
             ann< * CAP ann ACK :multi-prefix
             ann> CAP END",
        )
        .await
}

#[tokio::test]
async fn setters_are_shown_as_the_server_does() -> Result<()> {
    for (dialect, setter) in [
        (Dialect::ngircd(), "ann"),
        (Dialect::inspircd(), "ann"),
        (Dialect::modern(), "ann!~ann@127.0.0.1"),
    ] {
        let mut stage = Stage::with(dialect, &["ann"]).await?;
        stage.join("#tea", &["ann"]).await?;
        stage
            .play(&format!(
                "ann> TOPIC #tea :Tea
                 ann< * TOPIC #tea :Tea
                 ann> TOPIC #tea
                 ann< * 332 ann #tea :Tea
                 ann< * 333 ann #tea {setter} :1767323045"
            ))
            .await?;
    }
    Ok(())
}

#[tokio::test]
async fn some_servers_refuse_long_lines_and_other_encodings() -> Result<()> {
    let mut stage = Stage::with(Dialect::ergo(), &["ann"]).await?;
    let long = "x".repeat(600);
    stage
        .play(&format!(
            "ann> PRIVMSG ann :{long}
             ann< :irc.test.invalid 417 ann :Input line was too long"
        ))
        .await?;
    stage
        .raw("ann")
        .send_bytes(b"PRIVMSG ann :caf\xe9\r\n")
        .await?;
    stage
        .play("ann< :irc.test.invalid FAIL PRIVMSG INVALID_UTF8 :Message rejected, *")
        .await
}

#[tokio::test]
async fn other_encodings_pass_where_the_server_does_not_look() -> Result<()> {
    let mut stage = Stage::with(Dialect::ngircd(), &["ann", "bob"]).await?;
    stage
        .raw("ann")
        .send_bytes(b"PRIVMSG bob :caf\xe9\r\n")
        .await?;
    let heard = stage.raw("bob").next_bytes().await?.expect("a line");
    assert!(heard.ends_with(b"PRIVMSG bob :caf\xe9"));
    Ok(())
}

#[tokio::test]
async fn case_is_folded_as_the_server_says() -> Result<()> {
    for (dialect, is_same) in [(Dialect::inspircd(), true), (Dialect::ngircd(), false)] {
        let server = Server::start(dialect).await?;
        let ann = server.person("ann[1]").await?;
        ann.join("#tea[]").await?;
        assert_eq!(server.whois("ANN{1}").await.is_some(), is_same);
        assert_eq!(server.channel("#TEA{}").await.is_some(), is_same);
    }
    Ok(())
}

#[tokio::test]
async fn hundreds_register_and_join() -> Result<()> {
    const PEOPLE: usize = 300;
    let server = Server::start(Dialect::inspircd()).await?;
    let mut clients = Vec::new();
    for at in 0..PEOPLE {
        let mut raw = Raw::connect(server.address()).await?;
        raw.send(&format!("NICK n{at}")).await?;
        raw.send("USER n 0 * :n").await?;
        raw.send("JOIN #tea").await?;
        clients.push(raw);
    }
    for raw in &mut clients {
        raw.next_matching("* 366 *").await?;
    }
    let channel = server.channel("#tea").await.expect("it is there");
    assert_eq!(channel.members.len(), PEOPLE);
    Ok(())
}
