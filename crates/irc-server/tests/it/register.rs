//! Coming in: `NICK`, `USER`, `PASS`, and what is refused.

use anyhow::Result;
use bridgehead_irc_server::Dialect;

use crate::script::Stage;

#[tokio::test]
async fn the_welcome_is_that_of_a_real_server() -> Result<()> {
    let mut stage = Stage::new(Dialect::ngircd()).await?;
    stage.connect("ann").await?;
    stage
        .play(
            "ann> NICK ann
             ann> USER ann 0 * :Ann of somewhere
             ann< :irc.test.invalid 001 ann :Welcome to the TestNet IRC Network ann!~ann@127.0.0.1
             ann< :irc.test.invalid 002 ann :Your host is irc.test.invalid, running version ngircd-26.1
             ann< :irc.test.invalid 003 ann :This server was created *
             ann< :irc.test.invalid 004 ann irc.test.invalid ngircd-26.1 *
             ann< :irc.test.invalid 005 ann CASEMAPPING=ascii *PREFIX=(qaohv)~&@%+ * :are supported by this server
             ann< :irc.test.invalid 005 ann INVEX=I :are supported by this server
             ann< :irc.test.invalid 251 ann :There are 1 users and 0 invisible on 1 servers
             ann< :irc.test.invalid 252 ann 0 :operator(s) online
             ann< :irc.test.invalid 253 ann 0 :unknown connection(s)
             ann< :irc.test.invalid 254 ann 0 :channels formed
             ann< :irc.test.invalid 255 ann :I have 1 clients and 0 servers
             ann< :irc.test.invalid 375 ann :- irc.test.invalid Message of the day
             ann< :irc.test.invalid 372 ann :- *
             ann< :irc.test.invalid 376 ann :End of MOTD command",
        )
        .await
}

#[tokio::test]
async fn nothing_but_registration_comes_before_the_welcome() -> Result<()> {
    let mut stage = Stage::new(Dialect::inspircd()).await?;
    stage.connect("ann").await?;
    stage
        .play(
            "ann> JOIN #tea
             ann< :irc.test.invalid 451 * JOIN :You have not registered
             ann> NICK ann
             ann> PRIVMSG #tea :hello
             ann< :irc.test.invalid 451 ann PRIVMSG :You have not registered
             ann> NONSENSE
             ann< :irc.test.invalid 421 ann NONSENSE :Unknown command
             ann> USER ann
             ann< :irc.test.invalid 461 ann USER :Not enough parameters",
        )
        .await?;
    assert_eq!(stage.server.nicks().await, [""; 0]);
    Ok(())
}

#[tokio::test]
async fn nicks_are_refused_and_never_shortened() -> Result<()> {
    let mut stage = Stage::with(Dialect::bare(), &["Bob[1]"]).await?;
    stage.connect("ann").await?;
    stage
        .part(
            "ann> NICK
             ann< :irc.test.invalid 431 * :No nickname given
             ann> NICK 1ann
             ann< :irc.test.invalid 432 * 1ann :Erroneous Nickname
             ann> NICK -ann
             ann< :irc.test.invalid 432 * -ann :Erroneous Nickname
             ann> NICK änn
             ann< :irc.test.invalid 432 * änn :Erroneous Nickname
             ann> NICK longerthannine
             ann< :irc.test.invalid 432 * longerthannine :Erroneous Nickname
             ann> NICK bob{1}
             ann< :irc.test.invalid 433 * bob{1} :Nickname is already in use.
             ann> NICK ann other words
             ann> USER ann 0 * :Ann
             ann< :irc.test.invalid 001 ann :Welcome *",
        )
        .await?;
    assert_eq!(stage.server.nicks().await, ["Bob[1]", "ann"]);
    Ok(())
}

#[tokio::test]
async fn a_password_opens_the_door() -> Result<()> {
    let mut dialect = Dialect::bare();
    dialect.password = Some("open".to_owned());
    let mut stage = Stage::new(dialect).await?;
    for name in ["ann", "bob"] {
        stage.connect(name).await?;
    }
    stage
        .part(
            "ann> PASS shut
             ann> NICK ann
             ann> USER ann 0 * :Ann
             ann< :irc.test.invalid 464 ann :Password incorrect
             ann< ERROR :Closing link: (~ann@127.0.0.1) [Bad password]
             ann. closed
             bob> PASS open
             bob> NICK bob
             bob> USER bob 0 * :Bob
             bob< :irc.test.invalid 001 bob :Welcome *",
        )
        .await?;
    assert_eq!(stage.server.nicks().await, ["bob"]);
    Ok(())
}

#[tokio::test]
async fn a_nick_changes_for_all_who_see_it() -> Result<()> {
    let mut stage = Stage::with(Dialect::modern(), &["ann", "bob", "eve"]).await?;
    stage.join("#tea", &["ann", "bob"]).await?;
    stage
        .play(
            "ann> NICK Ann
             ann< :ann!~ann@127.0.0.1 NICK Ann
             bob< :ann!~ann@127.0.0.1 NICK Ann
             ann> NICK bob
             ann< :irc.test.invalid 433 Ann bob :Nickname is already in use.
             ann> NICK cat
             ann< :Ann!~ann@127.0.0.1 NICK cat
             bob< :Ann!~ann@127.0.0.1 NICK cat
             ann> USER ann 0 * :Ann
             ann< :irc.test.invalid 462 cat :You may not reregister
             eve> PRIVMSG ann :hello
             eve< :irc.test.invalid 401 eve ann :No such nick",
        )
        .await
}

#[tokio::test]
async fn who_quits_is_gone_and_remembered() -> Result<()> {
    let mut stage = Stage::with(Dialect::modern(), &["ann", "bob"]).await?;
    stage.join("#tea", &["ann", "bob"]).await?;
    stage
        .play(
            "ann> QUIT :so long
             ann< ERROR :Closing link: (~ann@127.0.0.1) [Quit: so long]
             ann. closed
             bob< :ann!~ann@127.0.0.1 QUIT :Quit: so long
             bob> WHOWAS ann
             bob< :irc.test.invalid 314 bob ann ~ann 127.0.0.1 * :ann
             bob< :irc.test.invalid 312 bob ann irc.test.invalid :2026-01-02T03:04:05.000Z
             bob< :irc.test.invalid 369 bob ann :End of WHOWAS
             bob> WHOWAS eve
             bob< :irc.test.invalid 406 bob eve :There was no such nickname
             bob< :irc.test.invalid 369 bob eve :End of WHOWAS",
        )
        .await
}

#[tokio::test]
async fn a_gateway_tells_where_somebody_comes_from() -> Result<()> {
    let mut dialect = Dialect::inspircd();
    dialect.webirc_password = Some("gate".to_owned());
    let mut stage = Stage::new(dialect).await?;
    for name in ["ann", "bob"] {
        stage.connect(name).await?;
    }
    stage
        .part(
            "ann> WEBIRC gate gateway 2001:db8::1 2001:db8::1
             ann> NICK ann
             ann> USER ann 0 * :Ann
             ann< :irc.test.invalid 001 ann :Welcome to the TestNet IRC Network ann!ann@2001:db8::1
             bob> WEBIRC guess gateway host 192.0.2.7
             bob< ERROR :Closing link: (127.0.0.1) [WEBIRC: Access denied from your address]
             bob. closed",
        )
        .await?;
    let ann = stage.server.whois("ann").await.expect("she is there");
    assert_eq!((&*ann.host, &*ann.ip), ("2001:db8::1", "2001:db8::1"));
    Ok(())
}
