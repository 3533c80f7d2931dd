//! Netsplits and their ends.

use anyhow::Result;
use bridgehead_irc_server::{Dialect, Server};

use crate::script::Stage;

#[tokio::test]
async fn each_side_sees_the_other_quit_with_two_names() -> Result<()> {
    let mut stage = Stage::with(Dialect::inspircd(), &["ann"]).await?;
    let (bob, cat) = (
        stage.server.person("bob").await?,
        stage.server.person("cat").await?,
    );
    for person in [&bob, &cat] {
        person.join("#tea").await?;
    }
    stage.raw("ann").send("JOIN #tea").await?;
    stage.raw("ann").next_matching("* 366 *").await?;
    stage.server.faults().netsplit(&["bob"]).await;
    let quits: Vec<String> = [
        bob.wait_for(|line| line.command == "QUIT").await?,
        bob.wait_for(|line| line.command == "QUIT").await?,
    ]
    .iter()
    .map(|line| format!("{} {}", line.from_name(), line.text(0)))
    .collect();
    assert_eq!(quits.len(), 2);
    assert!(
        quits
            .iter()
            .all(|quit| quit.ends_with(" a.example b.example")),
        "{quits:?}"
    );
    // Neither side hears the other, and each goes on.
    bob.say("#tea", "is anybody there?").await?;
    stage
        .play(
            "ann< :bob!person@people.test.invalid QUIT :a.example b.example
             ann> PRIVMSG bob :hello
             ann< :irc.test.invalid 401 ann bob :No such nick
             ann> NAMES #tea
             ann< :irc.test.invalid 353 ann = #tea :*ann*
             ann< :irc.test.invalid 366 ann #tea *",
        )
        .await?;
    stage.server.faults().netjoin().await;
    bob.say("#tea", "there you are").await?;
    stage
        .play(
            "ann< :bob!person@people.test.invalid JOIN #tea
             ann< :irc.test.invalid MODE #tea +o :bob
             ann< :bob!person@people.test.invalid PRIVMSG #tea :there you are",
        )
        .await?;
    bob.wait_for(|line| line.command == "JOIN" && line.from_name() == "ann")
        .await?;
    cat.wait_for(|line| line.command == "JOIN" && line.from_name() == "bob")
        .await?;
    Ok(())
}

#[tokio::test]
async fn those_who_know_batches_get_one() -> Result<()> {
    let mut stage = Stage::new(Dialect::modern()).await?;
    stage.enter("ann", "batch").await?;
    let bob = stage.server.person("bob").await?;
    stage.join("#tea", &["ann"]).await?;
    bob.join("#tea").await?;
    stage.raw("ann").next_matching("*JOIN*").await?;
    stage.server.faults().netsplit(&["bob"]).await;
    stage.server.faults().netjoin().await;
    stage
        .play(
            "ann< :irc.test.invalid BATCH +b* netsplit a.example :b.example
             ann< @batch=b* :bob!person@people.test.invalid QUIT :a.example b.example
             ann< :irc.test.invalid BATCH -b*
             ann< :irc.test.invalid BATCH +b* netjoin a.example :b.example
             ann< @batch=b* :bob!person@people.test.invalid JOIN #tea
             ann< :irc.test.invalid BATCH -b*",
        )
        .await
}

#[tokio::test]
async fn who_goes_while_split_does_not_come_back() -> Result<()> {
    let server = Server::start(Dialect::modern()).await?;
    let (ann, bob) = (server.person("ann").await?, server.person("bob").await?);
    ann.join("#tea").await?;
    bob.join("#tea").await?;
    server.faults().netsplit(&["bob"]).await;
    ann.pass();
    bob.quit("enough").await?;
    server.faults().netjoin().await;
    assert_eq!(
        server.channel("#tea").await.expect("it is there").nicks(),
        ["ann"]
    );
    ann.raw("PING x").await?;
    let next = ann.wait_for(|_| true).await?;
    assert_eq!(next.command, "PONG", "ann saw bob quit once");
    Ok(())
}
