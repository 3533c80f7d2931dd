//! Messages of several lines, redactions, renamed channels, relayed messages, hosts and names that change, MONITOR, WHO.

use anyhow::Result;
use bridgehead_irc_server::Dialect;

use crate::script::Stage;

const MULTILINE: &str = "batch message-tags draft/multiline echo-message labeled-response";

#[tokio::test]
async fn several_lines_are_one_message() -> Result<()> {
    let mut stage = Stage::with(Dialect::modern(), &["old"]).await?;
    stage.enter("ann", MULTILINE).await?;
    stage
        .enter("bob", "batch message-tags draft/multiline")
        .await?;
    stage.join("#tea", &["ann", "bob", "old"]).await?;
    stage
        .play(
            "ann> @label=7;+draft/reply=m1 BATCH +x draft/multiline #tea
             ann> @batch=x PRIVMSG #tea :one
             ann> @batch=x PRIVMSG #tea :
             ann> @batch=x PRIVMSG #tea :two
             ann> @batch=x;draft/multiline-concat PRIVMSG #tea : and more
             ann> BATCH -x
             ann< @label=7 :irc.test.invalid BATCH +b* :labeled-response
             ann< @+draft/reply=m1;msgid=m*;batch=b* :ann!~ann@127.0.0.1 BATCH +b* draft/multiline :#tea
             ann< @batch=b* :ann!~ann@127.0.0.1 PRIVMSG #tea :one
             ann< @batch=b* :ann!~ann@127.0.0.1 PRIVMSG #tea :
             ann< @batch=b* :ann!~ann@127.0.0.1 PRIVMSG #tea :two
             ann< @draft/multiline-concat;batch=b* :ann!~ann@127.0.0.1 PRIVMSG #tea : and more
             ann< @batch=b* :irc.test.invalid BATCH -b*
             ann< :irc.test.invalid BATCH -b*
             bob< @+draft/reply=m1;msgid=m* :ann!~ann@127.0.0.1 BATCH +b* draft/multiline :#tea
             bob< @batch=b* :ann!~ann@127.0.0.1 PRIVMSG #tea :one
             bob< @batch=b* :ann!~ann@127.0.0.1 PRIVMSG #tea :
             bob< @batch=b* :ann!~ann@127.0.0.1 PRIVMSG #tea :two
             bob< @draft/multiline-concat;batch=b* :ann!~ann@127.0.0.1 PRIVMSG #tea : and more
             bob< :irc.test.invalid BATCH -b*
             old< :ann!~ann@127.0.0.1 PRIVMSG #tea :one
             old< :ann!~ann@127.0.0.1 PRIVMSG #tea :two
             old< :ann!~ann@127.0.0.1 PRIVMSG #tea : and more",
        )
        .await
}

#[tokio::test]
async fn batches_that_are_none_fail() -> Result<()> {
    let dialect = Dialect::modern().with("draft/multiline=max-bytes=10,max-lines=2");
    let mut stage = Stage::new(dialect).await?;
    stage.enter("ann", MULTILINE).await?;
    stage.join("#tea", &["ann"]).await?;
    stage
        .play(
            "ann> @label=1 BATCH +x draft/multiline #tea
             ann> @batch=x PRIVMSG #tea :a
             ann> @batch=x PRIVMSG #tea :b
             ann> @batch=x PRIVMSG #tea :c
             ann< @label=1 :irc.test.invalid FAIL BATCH MULTILINE_MAX_LINES 2 :*
             ann> BATCH +x draft/multiline #tea
             ann> @batch=x PRIVMSG #tea :more than ten bytes
             ann< :irc.test.invalid FAIL BATCH MULTILINE_MAX_BYTES 10 :*
             ann> BATCH +x draft/multiline #tea
             ann> @batch=x PRIVMSG #coffee :a
             ann< :irc.test.invalid FAIL BATCH MULTILINE_INVALID_TARGET #tea #coffee :*
             ann> BATCH +x draft/multiline #tea
             ann> BATCH -x
             ann< :irc.test.invalid FAIL BATCH MULTILINE_INVALID :*
             ann> BATCH +x nonsense #tea
             ann< :irc.test.invalid FAIL BATCH MULTILINE_INVALID :*
             ann> BATCH -y
             ann< :irc.test.invalid FAIL BATCH MULTILINE_INVALID :*",
        )
        .await
}

#[tokio::test]
async fn messages_are_taken_back() -> Result<()> {
    let mut stage = Stage::with(Dialect::modern(), &["old"]).await?;
    stage
        .enter("ann", "message-tags draft/message-redaction echo-message")
        .await?;
    stage
        .enter("bob", "message-tags draft/message-redaction")
        .await?;
    stage.join("#tea", &["bob", "ann", "old"]).await?;
    stage.raw("ann").send("PRIVMSG #tea :oops").await?;
    let echo = stage.raw("ann").next().await?;
    let id = echo
        .strip_prefix("@msgid=")
        .and_then(|rest| rest.split(' ').next());
    let id = id.expect("it has an id").to_owned();
    stage
        .play(&format!(
            "bob< * PRIVMSG #tea :oops
             old< * PRIVMSG #tea :oops
             ann> REDACT #tea nonsense
             ann< :irc.test.invalid FAIL REDACT UNKNOWN_MSGID #tea nonsense :*
             ann> REDACT #coffee {id}
             ann< :irc.test.invalid FAIL REDACT INVALID_TARGET #coffee :*
             old> REDACT #tea {id}
             old< :irc.test.invalid FAIL REDACT REDACT_FORBIDDEN #tea {id} :*
             ann> REDACT #tea {id} :typo
             ann< @msgid=* :ann!~ann@127.0.0.1 REDACT #tea {id} :typo
             bob< @msgid=* :ann!~ann@127.0.0.1 REDACT #tea {id} :typo
             ann> REDACT #tea {id}
             ann< :irc.test.invalid FAIL REDACT UNKNOWN_MSGID #tea {id} :*"
        ))
        .await
}

#[tokio::test]
async fn a_channel_takes_another_name() -> Result<()> {
    let mut stage = Stage::with(Dialect::modern(), &["old"]).await?;
    stage.enter("ann", "draft/channel-rename").await?;
    stage.join("#tea", &["ann", "old"]).await?;
    stage.server.person("bob").await?.join("#coffee").await?;
    stage
        .play(
            "old> RENAME #tea #water
             old< :irc.test.invalid 482 old #tea :You're not a channel operator
             ann> RENAME #tea #coffee
             ann< :irc.test.invalid FAIL RENAME CHANNEL_NAME_IN_USE #tea #coffee :*
             ann> RENAME #tea water
             ann< :irc.test.invalid FAIL RENAME CANNOT_RENAME #tea water :*
             ann> RENAME #tea #Tea :bigger
             ann< :ann!~ann@127.0.0.1 RENAME #tea #Tea :bigger
             old< :old!~old@127.0.0.1 PART #tea :Channel renamed
             old< :old!~old@127.0.0.1 JOIN #Tea
             old< :irc.test.invalid 353 old = #Tea :old @ann
             old< :irc.test.invalid 366 old #Tea :End of /NAMES list.",
        )
        .await?;
    assert_eq!(stage.server.channels().await, ["#coffee", "#Tea"]);
    Ok(())
}

#[tokio::test]
async fn a_bridge_speaks_for_those_elsewhere() -> Result<()> {
    let mut stage = Stage::with(Dialect::modern(), &["bob"]).await?;
    stage
        .enter("ann", "message-tags draft/relaymsg echo-message")
        .await?;
    stage.enter("cat", "message-tags").await?;
    stage.join("#tea", &["ann", "bob", "cat"]).await?;
    stage
        .play(
            "bob> RELAYMSG #tea eve/m :hello
             bob< :irc.test.invalid FAIL RELAYMSG PRIVS_NEEDED #tea :*
             ann> RELAYMSG #tea eve :hello
             ann< :irc.test.invalid FAIL RELAYMSG INVALID_NICK eve :*
             ann> RELAYMSG #none eve/m :hello
             ann< :irc.test.invalid 403 ann #none :No such channel
             ann> RELAYMSG #tea eve/m :
             ann< :irc.test.invalid FAIL RELAYMSG BLANK_MSG :*
             ann> RELAYMSG #tea eve/m :hello
             ann< @msgid=*;draft/relaymsg=ann :eve/m!relay@relayed.test.invalid PRIVMSG #tea :hello
             bob< :eve/m!relay@relayed.test.invalid PRIVMSG #tea :hello
             cat< @msgid=*;draft/relaymsg=ann :eve/m!relay@relayed.test.invalid PRIVMSG #tea :hello",
        )
        .await
}

#[tokio::test]
async fn real_names_change() -> Result<()> {
    let mut stage = Stage::with(Dialect::modern(), &["ann"]).await?;
    stage.enter("bob", "setname").await?;
    stage.join("#tea", &["ann", "bob"]).await?;
    stage
        .play(
            "ann> SETNAME :Ann of somewhere
             bob< :ann!~ann@127.0.0.1 SETNAME :Ann of somewhere
             bob> SETNAME :Robert
             bob< :bob!~bob@127.0.0.1 SETNAME Robert
             ann> SETNAME :
             ann< :irc.test.invalid FAIL SETNAME INVALID_REALNAME :*",
        )
        .await
}

#[tokio::test]
async fn hosts_change() -> Result<()> {
    let mut stage = Stage::with(Dialect::modern(), &["ann", "old"]).await?;
    stage.enter("bob", "chghost").await?;
    stage.join("#tea", &["ann", "bob", "old"]).await?;
    stage
        .server
        .change_host("ann", "ann", "cloak.example")
        .await;
    stage
        .play(
            "ann< :irc.test.invalid 396 ann cloak.example :is now your displayed host
             bob< :ann!~ann@127.0.0.1 CHGHOST ann :cloak.example
             old< :ann!~ann@127.0.0.1 QUIT :Changing host
             old< :ann!ann@cloak.example JOIN #tea
             old< :irc.test.invalid MODE #tea +o :ann",
        )
        .await
}

#[tokio::test]
async fn who_is_watched_is_seen_to_come_and_go() -> Result<()> {
    let mut dialect = Dialect::modern();
    dialect.limits.monitors = Some(2);
    let mut stage = Stage::with(dialect, &["ann"]).await?;
    stage
        .play(
            "ann> MONITOR + bob,ann,eve
             ann< :irc.test.invalid 734 ann 2 eve :Monitor list is full.
             ann< :irc.test.invalid 730 ann :ann!~ann@127.0.0.1
             ann< :irc.test.invalid 731 ann :bob",
        )
        .await?;
    let bob = stage.server.person("BOB").await?;
    bob.change_nick("cat").await?;
    bob.change_nick("bob").await?;
    bob.quit("").await?;
    stage
        .play(
            "ann< :irc.test.invalid 730 ann :BOB!person@people.test.invalid
             ann< :irc.test.invalid 731 ann :BOB
             ann< :irc.test.invalid 730 ann :bob!person@people.test.invalid
             ann< :irc.test.invalid 731 ann :bob
             ann> MONITOR - ann
             ann> MONITOR + bob
             ann> MONITOR L
             ann< :irc.test.invalid 732 ann :bob
             ann< :irc.test.invalid 733 ann :End of MONITOR list
             ann> MONITOR S
             ann< :irc.test.invalid 731 ann :bob
             ann> MONITOR C
             ann> MONITOR L
             ann< :irc.test.invalid 733 ann :End of MONITOR list",
        )
        .await
}

#[tokio::test]
async fn people_are_looked_up() -> Result<()> {
    let mut stage = Stage::with(Dialect::modern(), &["ann", "bob"]).await?;
    stage.join("#tea", &["ann", "bob"]).await?;
    stage.server.log_in("bob", Some("bobby")).await;
    stage.raw("bob").next_matching("* 900 *").await?;
    stage
        .play(
            "ann> WHO #tea
             ann< :irc.test.invalid 352 ann #tea ~ann 127.0.0.1 irc.test.invalid ann H@ :0 ann
             ann< :irc.test.invalid 352 ann #tea ~bob 127.0.0.1 irc.test.invalid bob H :0 bob
             ann< :irc.test.invalid 315 ann #tea :End of /WHO list.
             ann> WHO #tea %tnar,42
             ann< :irc.test.invalid 354 ann 42 ann 0 :ann
             ann< :irc.test.invalid 354 ann 42 bob bobby :bob
             ann< :irc.test.invalid 315 ann #tea :End of /WHO list.
             ann> WHO b*
             ann< :irc.test.invalid 352 ann * ~bob 127.0.0.1 irc.test.invalid bob H :0 bob
             ann< :irc.test.invalid 315 ann b* :End of /WHO list.
             ann> WHOIS bob
             ann< :irc.test.invalid 311 ann bob ~bob 127.0.0.1 * :bob
             ann< :irc.test.invalid 319 ann bob :#tea
             ann< :irc.test.invalid 312 ann bob irc.test.invalid :TestNet
             ann< :irc.test.invalid 330 ann bob bobby :is logged in as
             ann< :irc.test.invalid 317 ann bob 0 1767323045 :seconds idle, signon time
             ann< :irc.test.invalid 318 ann bob :End of /WHOIS list.
             ann> WHOIS nobody
             ann< :irc.test.invalid 401 ann nobody :No such nick
             ann< :irc.test.invalid 318 ann nobody :End of /WHOIS list.
             ann> ISON bob nobody :ann
             ann< :irc.test.invalid 303 ann :bob ann
             ann> USERHOST bob
             ann< :irc.test.invalid 302 ann :bob=+~bob@127.0.0.1
             ann> TIME
             ann< :irc.test.invalid 391 ann irc.test.invalid :2026-01-02T03:04:05.678Z
             ann> LUSERS
             ann< * 251 ann :There are 2 users *
             ann< * 252 *
             ann< * 253 *
             ann< * 254 ann 1 *
             ann< * 255 *
             ann> VERSION
             ann< * 351 ann modern-1.0 irc.test.invalid :in memory
             ann< * 005 *
             ann< * 005 *
             ann> ADMIN
             ann< * 256 *
             ann< * 257 *
             ann< * 258 *
             ann< * 259 *
             ann> INFO
             ann< * 371 *
             ann< * 374 *",
        )
        .await
}
