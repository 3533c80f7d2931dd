//! What is offered, granted and refused (IRCv3 capability-negotiation).

use anyhow::Result;
use bridgehead_irc_server::Dialect;

use crate::script::{Raw, Stage};

#[tokio::test]
async fn values_are_for_those_who_know_version_302() -> Result<()> {
    let dialect = Dialect::ngircd().with("sasl=PLAIN").with("cap-notify");
    let mut stage = Stage::new(dialect).await?;
    for name in ["ann", "bob"] {
        stage.connect(name).await?;
    }
    stage
        .part(
            "ann> CAP LS 302
             ann< :irc.test.invalid CAP * LS :multi-prefix sasl=PLAIN cap-notify
             ann> CAP LIST
             ann< :irc.test.invalid CAP * LIST :cap-notify
             bob> CAP LS
             bob< :irc.test.invalid CAP * LS :multi-prefix sasl cap-notify
             bob> CAP REQ :multi-prefix sasl
             bob< :irc.test.invalid CAP * ACK :multi-prefix sasl
             bob> CAP REQ :-sasl
             bob< :irc.test.invalid CAP * ACK :-sasl
             bob> CAP LIST
             bob< :irc.test.invalid CAP * LIST :multi-prefix
             bob> CAP WHAT
             bob< :irc.test.invalid 410 * WHAT :Invalid CAP command
             bob> NICK bob
             bob> USER bob 0 * :Bob
             bob> CAP LIST
             bob< :irc.test.invalid CAP bob LIST :multi-prefix
             bob> CAP END
             bob< :irc.test.invalid 001 bob *",
        )
        .await
}

#[tokio::test]
async fn a_request_is_granted_as_a_whole_or_not_at_all() -> Result<()> {
    let mut stage = Stage::new(Dialect::inspircd()).await?;
    stage.server.faults().nak("setname").await;
    stage.server.faults().poison("example.org/trap").await;
    stage.connect("ann").await?;
    stage
        .play(
            "ann> CAP REQ :batch inspircd.org/poison
             ann< :irc.test.invalid CAP * NAK :batch inspircd.org/poison
             ann> CAP REQ :batch nonsense
             ann< :irc.test.invalid CAP * NAK :batch nonsense
             ann> CAP REQ :batch setname
             ann< :irc.test.invalid CAP * NAK :batch setname
             ann> CAP REQ :example.org/trap
             ann< :irc.test.invalid CAP * NAK :example.org/trap
             ann> CAP LIST
             ann< :irc.test.invalid CAP * LIST :
             ann> CAP REQ batch
             ann< :irc.test.invalid CAP * ACK :batch",
        )
        .await
}

#[tokio::test]
async fn long_lists_come_in_several_lines() -> Result<()> {
    let stage = Stage::new(Dialect::modern()).await?;
    let mut raw = Raw::connect(stage.server.address()).await?;
    raw.send("CAP LS 302").await?;
    let first = raw.next().await?;
    let second = raw.next().await?;
    assert!(
        first.starts_with(":irc.test.invalid CAP * LS * :account-notify "),
        "{first}"
    );
    assert!(
        second.starts_with(":irc.test.invalid CAP * LS :"),
        "{second}"
    );
    assert!(second.ends_with("userhost-in-names"), "{second}");
    Ok(())
}

#[tokio::test]
async fn capabilities_come_and_go() -> Result<()> {
    let mut stage = Stage::new(Dialect::inspircd().without("sasl")).await?;
    stage.enter("ann", "batch").await?;
    stage.enter("bob", "").await?;
    stage.server.add_cap("sasl=PLAIN").await;
    stage.server.remove_cap("batch").await;
    stage
        .play(
            "ann< :irc.test.invalid CAP ann NEW :sasl=PLAIN
             ann< :irc.test.invalid CAP ann DEL :batch
             ann> CAP REQ :batch
             ann< :irc.test.invalid CAP ann NAK :batch
             ann> CAP LIST
             ann< :irc.test.invalid CAP ann LIST :cap-notify",
        )
        .await
}

#[tokio::test]
async fn a_server_may_know_no_cap_at_all() -> Result<()> {
    for is_broken in [false, true] {
        let dialect = if is_broken {
            Dialect::modern()
        } else {
            Dialect::bare()
        };
        let mut stage = Stage::new(dialect).await?;
        if is_broken {
            stage.server.faults().refuse_cap().await;
        }
        stage.connect("ann").await?;
        stage
            .part(
                "ann> CAP LS 302
                 ann< :irc.test.invalid 421 * CAP :Unknown command
                 ann> NICK ann
                 ann> USER ann 0 * :Ann
                 ann< :irc.test.invalid 001 ann *",
            )
            .await?;
    }
    Ok(())
}
