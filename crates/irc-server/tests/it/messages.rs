//! `PRIVMSG`, `NOTICE`, `TAGMSG`: who hears them, and why not.

use anyhow::Result;
use bridgehead_irc_server::Dialect;

use crate::script::Stage;

#[tokio::test]
async fn what_is_said_is_heard_by_those_who_are_meant() -> Result<()> {
    let mut stage = Stage::with(Dialect::ngircd(), &["ann", "bob", "eve"]).await?;
    stage.join("#tea", &["ann", "bob"]).await?;
    stage
        .play(
            "ann> PRIVMSG #TEA :hello  there
             bob< :ann!~ann@127.0.0.1 PRIVMSG #tea :hello  there
             eve> PRIVMSG BOB,ann :psst
             bob< :eve!~eve@127.0.0.1 PRIVMSG bob :psst
             ann< :eve!~eve@127.0.0.1 PRIVMSG ann :psst
             bob> NOTICE #tea :a notice
             ann< :bob!~bob@127.0.0.1 NOTICE #tea :a notice
             ann> PRIVMSG
             ann< :irc.test.invalid 411 ann :No recipient given (PRIVMSG)
             ann> PRIVMSG bob
             ann< :irc.test.invalid 412 ann :No text to send
             ann> PRIVMSG nobody :hello
             ann< :irc.test.invalid 401 ann nobody :No such nick
             ann> NOTICE nobody :hello
             ann> PRIVMSG #none :hello
             ann< :irc.test.invalid 401 ann #none :No such nick or channel name
             ann> PRIVMSG a,b,c,d,e :hello
             ann< :irc.test.invalid 407 ann a :Too many targets",
        )
        .await
}

#[tokio::test]
async fn who_may_not_speak_is_told_why() -> Result<()> {
    let cases = [
        (Dialect::modern(), "+m", "Cannot send to channel (+m)"),
        (
            Dialect::modern(),
            "+q bob!*@*",
            "Cannot send to channel (+b)",
        ),
        (
            Dialect::modern(),
            "+b bob!*@*",
            "Cannot send to channel (+b)",
        ),
        (
            Dialect::inspircd(),
            "+b m:bob!*@*",
            "You cannot send messages to this channel whilst a m: (mute) extban is set matching you.",
        ),
        (
            Dialect::inspircd(),
            "+m",
            "You cannot send messages to this channel whilst the +m (moderated) mode is set.",
        ),
        (Dialect::ergo(), "+b ~m:bob", "Cannot send to channel (+b)"),
    ];
    for (dialect, modes, text) in cases {
        let server = bridgehead_irc_server::Server::start(dialect).await?;
        let (ann, bob) = (server.person("ann").await?, server.person("bob").await?);
        ann.join("#tea").await?;
        bob.join("#tea").await?;
        ann.mode("#tea", modes).await?;
        bob.say("#tea", "let me").await?;
        let refused = bob.wait_for(|line| line.command == "404").await?;
        assert_eq!(refused.text(2), text, "{modes}");
        ann.mode("#tea", "+v bob").await?;
        bob.say("#tea", "at last").await?;
        let heard = ann.wait_for(|line| line.command == "PRIVMSG").await?;
        assert_eq!(heard.text(1), "at last", "{modes}");
    }
    Ok(())
}

#[tokio::test]
async fn those_outside_may_speak_where_the_channel_lets_them() -> Result<()> {
    let mut stage = Stage::with(Dialect::ngircd(), &["ann", "eve"]).await?;
    stage.join("#tea", &["ann"]).await?;
    stage
        .play(
            "eve> PRIVMSG #tea :knock knock
             ann< :eve!~eve@127.0.0.1 PRIVMSG #tea :knock knock
             ann> MODE #tea +n
             ann< :ann!~ann@127.0.0.1 MODE #tea :+n
             eve> PRIVMSG #tea :knock knock
             eve< :irc.test.invalid 404 eve #tea :Cannot send to channel
             eve> NOTICE #tea :knock knock",
        )
        .await
}

#[tokio::test]
async fn some_servers_answer_notices() -> Result<()> {
    let mut stage = Stage::with(Dialect::inspircd(), &["ann"]).await?;
    stage
        .play(
            "ann> NOTICE nobody :hello
             ann< :irc.test.invalid 401 ann nobody :No such nick",
        )
        .await
}

#[tokio::test]
async fn operators_are_spoken_to_alone() -> Result<()> {
    let mut stage = Stage::with(Dialect::modern(), &["ann", "bob", "cat"]).await?;
    stage.join("#tea", &["ann", "bob", "cat"]).await?;
    stage.server.set_modes("#tea", "+v bob").await;
    stage
        .play(
            "ann< * MODE #tea +v :bob
             bob< * MODE #tea +v :bob
             cat< * MODE #tea +v :bob
             cat> PRIVMSG @#tea :help
             ann< :cat!~cat@127.0.0.1 PRIVMSG @#tea :help
             cat> PRIVMSG +#tea :help
             ann< :cat!~cat@127.0.0.1 PRIVMSG +#tea :help
             bob< :cat!~cat@127.0.0.1 PRIVMSG +#tea :help",
        )
        .await
}

#[tokio::test]
async fn who_is_away_says_so() -> Result<()> {
    let mut stage = Stage::with(Dialect::modern(), &["ann", "bob"]).await?;
    stage.enter("cat", "away-notify").await?;
    stage.join("#tea", &["bob", "cat"]).await?;
    stage
        .play(
            "bob> AWAY :at lunch
             bob< :irc.test.invalid 306 bob :You have been marked as being away
             cat< :bob!~bob@127.0.0.1 AWAY :at lunch
             ann> PRIVMSG bob :hello
             bob< :ann!~ann@127.0.0.1 PRIVMSG bob :hello
             ann< :irc.test.invalid 301 ann bob :at lunch
             ann> NOTICE bob :hello
             bob< :ann!~ann@127.0.0.1 NOTICE bob :hello
             bob> JOIN #coffee
             bob< :bob!~bob@127.0.0.1 JOIN #coffee
             bob< * 353 *
             bob< * 366 *
             bob> AWAY
             bob< :irc.test.invalid 305 bob :You are no longer marked as being away
             cat< :bob!~bob@127.0.0.1 AWAY",
        )
        .await
}

#[tokio::test]
async fn tags_reach_those_who_know_them() -> Result<()> {
    let mut stage = Stage::with(Dialect::modern(), &["old"]).await?;
    stage.enter("ann", "message-tags echo-message").await?;
    stage
        .enter("bob", "message-tags server-time account-tag")
        .await?;
    stage.server.account("bobby", "secret").await;
    stage.join("#tea", &["ann", "bob", "old"]).await?;
    stage
        .play(
            "ann> @+draft/reply=m1;+typing=active;label=5;nonsense=1 PRIVMSG #tea :hello
             ann< @+draft/reply=m1;+typing=active;msgid=m* :ann!~ann@127.0.0.1 PRIVMSG #tea :hello
             bob< @+draft/reply=m1;+typing=active;time=2026-01-02T03:04:05.678Z;msgid=m* :ann!~ann@127.0.0.1 PRIVMSG #tea :hello
             old< :ann!~ann@127.0.0.1 PRIVMSG #tea :hello
             ann> @+typing=active TAGMSG #tea
             ann< @+typing=active;msgid=m* :ann!~ann@127.0.0.1 TAGMSG #tea
             bob< @+typing=active;time=*;msgid=m* :ann!~ann@127.0.0.1 TAGMSG #tea
             ann> TAGMSG #tea
             old> TAGMSG
             old< :irc.test.invalid 461 old TAGMSG :Not enough parameters",
        )
        .await
}

#[tokio::test]
async fn accounts_stand_on_every_line() -> Result<()> {
    let mut stage = Stage::with(Dialect::modern(), &["ann"]).await?;
    stage
        .enter("bob", "account-tag account-notify extended-join")
        .await?;
    stage.join("#tea", &["bob"]).await?;
    stage.server.log_in("ann", Some("annie")).await;
    stage
        .play(
            "ann< :irc.test.invalid 900 ann ann!~ann@127.0.0.1 annie :You are now logged in as annie
             ann> JOIN #tea
             ann< :ann!~ann@127.0.0.1 JOIN #tea
             ann< * 353 *
             ann< * 366 *
             bob< @account=annie :ann!~ann@127.0.0.1 JOIN #tea annie :ann
             ann> PRIVMSG #tea :hello
             bob< @account=annie :ann!~ann@127.0.0.1 PRIVMSG #tea :hello",
        )
        .await?;
    stage.server.log_in("ann", None).await;
    stage
        .play(
            "ann< :irc.test.invalid 901 ann ann!~ann@127.0.0.1 :You are now logged out
             bob< :ann!~ann@127.0.0.1 ACCOUNT *",
        )
        .await
}

#[tokio::test]
async fn bots_are_marked() -> Result<()> {
    let mut stage = Stage::new(Dialect::modern()).await?;
    stage.enter("ann", "message-tags").await?;
    stage.enter("robot", "").await?;
    stage
        .play(
            "robot> MODE robot +B
             robot< :robot!~robot@127.0.0.1 MODE robot :+B
             robot> PRIVMSG ann :beep
             ann< @msgid=*;bot :robot!~robot@127.0.0.1 PRIVMSG ann :beep",
        )
        .await
}
