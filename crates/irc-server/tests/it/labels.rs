//! Answers to commands that are marked with a label (IRCv3 labeled-response, echo-message, batch).

use anyhow::Result;
use bridgehead_irc_server::Dialect;

use crate::script::Stage;

const CAPS: &str = "batch labeled-response message-tags echo-message";

#[tokio::test]
async fn an_answer_bears_its_label() -> Result<()> {
    let mut stage = Stage::new(Dialect::inspircd()).await?;
    stage.enter("ann", CAPS).await?;
    stage.enter("bob", "").await?;
    stage
        .play(
            "ann> @label=1 PRIVMSG bob :hello
             ann< @msgid=m*;label=1 :ann!ann@127.0.0.1 PRIVMSG bob :hello
             bob< :ann!ann@127.0.0.1 PRIVMSG bob :hello
             ann> @label=2 PONG x
             ann< @label=2 :irc.test.invalid ACK
             ann> @label=3 PRIVMSG nobody :hello
             ann< @label=3 :irc.test.invalid 401 ann nobody :No such nick
             ann> @label=4 NONSENSE
             ann< @label=4 :irc.test.invalid 421 ann NONSENSE :Unknown command
             ann> @label=5 WHOIS bob
             ann< @label=5 :irc.test.invalid BATCH +1 :labeled-response
             ann< @batch=1 :irc.test.invalid 311 ann bob bob 127.0.0.1 * :bob
             ann< @batch=1 :irc.test.invalid 312 ann bob irc.test.invalid :TestNet
             ann< @batch=1 :irc.test.invalid 317 ann bob 0 1767323045 :seconds idle, signon time
             ann< @batch=1 :irc.test.invalid 318 ann bob :End of /WHOIS list.
             ann< :irc.test.invalid BATCH -1",
        )
        .await
}

#[tokio::test]
async fn a_join_and_all_that_follows_is_one_answer() -> Result<()> {
    let mut stage = Stage::new(Dialect::modern()).await?;
    stage.enter("ann", CAPS).await?;
    stage
        .play(
            "ann> @label=a\\sb JOIN #tea
             ann< @label=a\\sb :irc.test.invalid BATCH +b* :labeled-response
             ann< @msgid=m*;batch=b* :ann!~ann@127.0.0.1 JOIN #tea
             ann< @batch=b* :irc.test.invalid 353 ann = #tea :@ann
             ann< @batch=b* :irc.test.invalid 366 ann #tea :End of /NAMES list.
             ann< :irc.test.invalid BATCH -b*",
        )
        .await
}

#[tokio::test]
async fn who_kills_is_answered_and_who_is_killed_is_not() -> Result<()> {
    let mut dialect = Dialect::modern();
    dialect.oper_password = Some("root".to_owned());
    let mut stage = Stage::new(dialect).await?;
    stage.enter("ann", CAPS).await?;
    stage.enter("bob", "").await?;
    stage
        .play(
            "ann> KILL bob :out
             ann< :irc.test.invalid 481 ann :Permission Denied - *
             ann> OPER ann guess
             ann< :irc.test.invalid 464 ann :Password incorrect
             ann> OPER ann root
             ann< :irc.test.invalid 381 ann :You are now an IRC operator
             ann< @msgid=* :ann!~ann@127.0.0.1 MODE ann :+o
             ann> @label=k KILL bob :out
             ann< @label=k :irc.test.invalid ACK
             bob< :ann!~ann@127.0.0.1 KILL bob :out
             bob< ERROR :Closing link: (~bob@127.0.0.1) [Killed (ann (out))]
             bob. closed",
        )
        .await
}

#[tokio::test]
async fn without_batches_the_first_line_bears_the_label() -> Result<()> {
    let mut stage = Stage::new(Dialect::modern()).await?;
    stage.enter("ann", "labeled-response").await?;
    stage
        .play(
            "ann> @label=1 WHOIS nobody
             ann< @label=1 :irc.test.invalid 401 ann nobody :No such nick
             ann< :irc.test.invalid 318 ann nobody :End of /WHOIS list.",
        )
        .await
}

#[tokio::test]
async fn a_label_that_was_not_agreed_on_is_nothing() -> Result<()> {
    let mut stage = Stage::new(Dialect::modern()).await?;
    stage.enter("ann", "message-tags").await?;
    stage
        .play(
            "ann> @label=1 PING x
             ann< :irc.test.invalid PONG irc.test.invalid :x
             ann> @label=1 PONG x",
        )
        .await
}
