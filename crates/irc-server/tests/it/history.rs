//! What was said before (draft/chathistory).

use anyhow::Result;
use bridgehead_irc_server::Dialect;

use crate::script::Stage;

const CAPS: &str = "batch message-tags draft/chathistory";

/// Ann says `one` to `five` to #tea, a second apart, with an action of the channel among them.
async fn told(caps: &str) -> Result<Stage> {
    let mut stage = Stage::new(Dialect::modern()).await?;
    stage.enter("ann", caps).await?;
    stage.join("#tea", &["ann"]).await?;
    let bob = stage.server.person("bob").await?;
    bob.join("#tea").await?;
    for text in ["one", "two", "three", "four", "five"] {
        stage.server.clock().advance_ms(1000);
        bob.say("#tea", text).await?;
    }
    for pattern in [
        "*JOIN #tea*",
        "*:one",
        "*:two",
        "*:three",
        "*:four",
        "*:five",
    ] {
        stage.raw("ann").next_matching(pattern).await?;
    }
    Ok(stage)
}

/// Asks for history, and gives the texts of what comes.
async fn ask(stage: &mut Stage, command: &str) -> Result<Vec<String>> {
    let ann = stage.raw("ann");
    ann.send(command).await?;
    let start = ann.next().await?;
    anyhow::ensure!(start.contains(" BATCH +"), "{start}");
    let mut texts = Vec::new();
    loop {
        let line = ann.next().await?;
        if line.contains(" BATCH -") {
            return Ok(texts);
        }
        texts.push(line.rsplit(':').next().unwrap_or_default().to_owned());
    }
}

#[tokio::test]
async fn what_is_asked_for_comes() -> Result<()> {
    let mut stage = told(CAPS).await?;
    for (command, expected) in [
        ("LATEST #tea * 2", "four five"),
        ("LATEST #TEA * 100", "one two three four five"),
        (
            "LATEST #tea timestamp=2026-01-02T03:04:08.678Z 100",
            "four five",
        ),
        ("BEFORE #tea timestamp=2026-01-02T03:04:08.678Z 1", "two"),
        (
            "AFTER #tea timestamp=2026-01-02T03:04:06.678Z 2",
            "two three",
        ),
        (
            "BETWEEN #tea timestamp=2026-01-02T03:04:06.678Z timestamp=2026-01-02T03:04:10.678Z 2",
            "two three",
        ),
        (
            "BETWEEN #tea timestamp=2026-01-02T03:04:10.678Z timestamp=2026-01-02T03:04:06.678Z 2",
            "three four",
        ),
        (
            "AROUND #tea timestamp=2026-01-02T03:04:08.678Z 3",
            "one two three",
        ),
        ("AFTER #tea timestamp=2027-01-02T03:04:06.678Z 2", ""),
    ] {
        let texts = ask(&mut stage, &format!("CHATHISTORY {command}")).await?;
        assert_eq!(texts.join(" "), expected, "{command}");
    }
    Ok(())
}

#[tokio::test]
async fn ids_of_messages_are_places_as_well() -> Result<()> {
    let mut stage = told(CAPS).await?;
    let ann = stage.raw("ann");
    ann.send("CHATHISTORY LATEST #tea * 2").await?;
    let four = ann.next_matching("*:four").await?;
    ann.next_matching("*BATCH -*").await?;
    let id = four
        .split("msgid=")
        .nth(1)
        .and_then(|rest| rest.split([';', ' ']).next());
    let id = id.expect("it has an id");
    for (command, expected) in [
        (format!("BEFORE #tea msgid={id} 2"), "two three"),
        (format!("AFTER #tea msgid={id} 2"), "five"),
        (format!("AROUND #tea msgid={id} 3"), "two three four"),
    ] {
        let texts = ask(&mut stage, &format!("CHATHISTORY {command}")).await?;
        assert_eq!(texts.join(" "), expected, "{command}");
    }
    Ok(())
}

#[tokio::test]
async fn what_happened_is_for_those_who_play_it_back() -> Result<()> {
    let caps = "batch message-tags draft/chathistory draft/event-playback server-time";
    let mut stage = told(caps).await?;
    let texts = ask(&mut stage, "CHATHISTORY LATEST #tea * 100").await?;
    assert_eq!(texts.len(), 7, "two joins and five texts: {texts:?}");
    stage
        .play(
            "ann> CHATHISTORY LATEST #tea * 1
             ann< @time=* :irc.test.invalid BATCH +b* chathistory :#tea
             ann< @time=2026-01-02T03:04:10.678Z;msgid=m*;batch=b* :bob!person@people.test.invalid PRIVMSG #tea :five
             ann< @time=* :irc.test.invalid BATCH -b*",
        )
        .await
}

#[tokio::test]
async fn history_outlives_the_channel_and_its_limit_holds() -> Result<()> {
    let mut dialect = Dialect::modern();
    dialect.limits.history = 3;
    let mut stage = Stage::new(dialect).await?;
    let bob = stage.server.person("bob").await?;
    for text in ["one", "two", "three"] {
        bob.join("#tea").await?;
        bob.say("#tea", text).await?;
    }
    bob.part("#tea", "").await?;
    assert_eq!(stage.server.channel("#tea").await, None);
    stage.enter("ann", CAPS).await?;
    stage.join("#tea", &["ann"]).await?;
    let texts = ask(&mut stage, "CHATHISTORY LATEST #tea * 100").await?;
    assert_eq!(
        texts,
        ["three"],
        "three things are kept: a text, a part, a join"
    );
    Ok(())
}

#[tokio::test]
async fn talks_of_two_are_theirs() -> Result<()> {
    let mut stage = told(CAPS).await?;
    let (bob, eve) = ("bob", stage.server.person("eve").await?);
    eve.say(bob, "not for ann").await?;
    eve.say("ann", "for ann").await?;
    stage.raw("ann").next_matching("*:for ann").await?;
    let texts = ask(&mut stage, "CHATHISTORY LATEST eve * 10").await?;
    assert_eq!(texts, ["for ann"]);
    let texts = ask(&mut stage, "CHATHISTORY LATEST bob * 10").await?;
    assert_eq!(texts, [""; 0]);
    let ann = stage.raw("ann");
    ann.send("CHATHISTORY TARGETS timestamp=2026-01-02T03:04:00.000Z timestamp=2026-01-02T03:05:00.000Z 10").await?;
    let start = ann.next().await?;
    assert!(start.contains("draft/chathistory-targets"), "{start}");
    for name in ["#tea", "eve"] {
        let target = ann.next().await?;
        assert!(
            target.contains(&format!("CHATHISTORY TARGETS {name} :2026-01-02T")),
            "{target}"
        );
    }
    ann.next_matching("*BATCH -*").await?;
    ann.is_quiet().await
}

async fn log_in(stage: &mut Stage, nick: &str, account: &str) -> Result<()> {
    stage.server.log_in(nick, Some(account)).await;
    stage.raw(nick).next_matching("* 900 *").await.map(drop)
}

/// Two who have talked, as Ergo keeps it: Ann has an account and was not there for the last of it, Bob has none.
async fn talked() -> Result<Stage> {
    let mut stage = Stage::new(Dialect::ergo()).await?;
    stage.server.account("ann", "sesame").await;
    let bob = stage.server.person("bob").await?;
    stage.enter("ann", CAPS).await?;
    log_in(&mut stage, "ann", "ann").await?;
    bob.say("ann", "one").await?;
    stage.raw("ann").next_matching("*:one").await?;
    stage.raw("ann").send("PRIVMSG bob :two").await?;
    bob.wait_for(|line| line.last() == b"two").await?;
    stage.raw("ann").send("QUIT").await?;
    stage.raw("ann").next_matching("ERROR *").await?;
    stage.raw("ann").is_closed().await?;
    bob.say("ann", "three").await?;
    stage.enter("ann", CAPS).await?;
    Ok(stage)
}

#[tokio::test]
async fn talks_are_of_accounts_where_the_server_keeps_them_so() -> Result<()> {
    let mut stage = talked().await?;
    // Whoever has the nick alone has no history.
    let asked = "CHATHISTORY TARGETS timestamp=2026-01-02T03:00:00.000Z timestamp=2026-01-02T04:00:00.000Z 10";
    assert_eq!(
        ask(&mut stage, "CHATHISTORY LATEST bob * 10").await?,
        [""; 0]
    );
    assert_eq!(ask(&mut stage, asked).await?, [""; 0]);
    log_in(&mut stage, "ann", "ann").await?;
    let texts = ask(&mut stage, "CHATHISTORY LATEST bob * 10").await?;
    assert_eq!(texts, ["one", "two", "three"]);
    let ann = stage.raw("ann");
    ann.send(asked).await?;
    ann.next_matching("*draft/chathistory-targets*").await?;
    ann.next_matching("*CHATHISTORY TARGETS bob :2026-01-02T*")
        .await?;
    ann.next_matching("*BATCH -*").await?;
    // Somebody else's talks are theirs, under whatever account.
    log_in(&mut stage, "ann", "eve").await?;
    assert_eq!(
        ask(&mut stage, "CHATHISTORY LATEST bob * 10").await?,
        [""; 0]
    );
    Ok(())
}

#[tokio::test]
async fn what_is_taken_back_is_in_neithers_history() -> Result<()> {
    let mut stage = talked().await?;
    log_in(&mut stage, "ann", "ann").await?;
    stage
        .enter(
            "cat",
            "batch message-tags draft/chathistory draft/message-redaction echo-message",
        )
        .await?;
    log_in(&mut stage, "cat", "cat").await?;
    stage.raw("cat").send("PRIVMSG ann :a slip").await?;
    let echo = stage.raw("cat").next_matching("*:a slip").await?;
    let id = echo
        .split("msgid=")
        .nth(1)
        .and_then(|rest| rest.split([';', ' ']).next());
    let id = id.expect("it has an id").to_owned();
    stage.raw("ann").next_matching("*:a slip").await?;
    stage.raw("cat").send(&format!("REDACT ann {id}")).await?;
    stage.raw("cat").next_matching("*REDACT ann *").await?;
    assert_eq!(
        ask(&mut stage, "CHATHISTORY LATEST cat * 10").await?,
        [""; 0]
    );
    Ok(())
}

#[tokio::test]
async fn not_every_server_tells_where_something_was_said() -> Result<()> {
    let mut dialect = Dialect::ergo();
    dialect.quirks.lists_talks = false;
    let mut stage = Stage::with(dialect, &[]).await?;
    stage.enter("ann", CAPS).await?;
    stage
        .play(
            "ann> CHATHISTORY TARGETS timestamp=2026-01-02T03:00:00.000Z timestamp=2026-01-02T04:00:00.000Z 10
             ann< :irc.test.invalid FAIL CHATHISTORY INVALID_PARAMS TARGETS :Unknown command",
        )
        .await
}

#[tokio::test]
async fn who_joins_may_be_shown_what_was_said() -> Result<()> {
    let mut stage = Stage::new(Dialect::inspircd()).await?;
    let bob = stage.server.person("bob").await?;
    bob.join("#tea").await?;
    for text in ["one", "two", "three"] {
        bob.say("#tea", text).await?;
    }
    bob.mode("#tea", "+H 2:1d").await?;
    stage.enter("ann", "batch server-time").await?;
    stage
        .play(
            "ann> JOIN #tea
             ann< @time=* :ann!ann@127.0.0.1 JOIN #tea
             ann< @time=* 353 *
             ann< @time=* 366 *
             ann< @time=* :irc.test.invalid BATCH +b* chathistory :#tea
             ann< @time=*;batch=b* :bob!person@people.test.invalid PRIVMSG #tea :two
             ann< @time=*;batch=b* :bob!person@people.test.invalid PRIVMSG #tea :three
             ann< @time=* :irc.test.invalid BATCH -b*",
        )
        .await
}

#[tokio::test]
async fn what_cannot_be_read_is_refused() -> Result<()> {
    let mut stage = told(CAPS).await?;
    stage
        .play(
            "ann> CHATHISTORY LATEST #other * 10
             ann< :irc.test.invalid FAIL CHATHISTORY INVALID_TARGET LATEST #other :Messages could not be retrieved
             ann> CHATHISTORY BEFORE #tea nonsense 10
             ann< :irc.test.invalid FAIL CHATHISTORY INVALID_MSGREFTYPE BEFORE nonsense :Invalid message reference
             ann> CHATHISTORY LATEST #tea * many
             ann< :irc.test.invalid FAIL CHATHISTORY INVALID_PARAMS LATEST :Invalid limit
             ann> CHATHISTORY LATEST
             ann< :irc.test.invalid FAIL CHATHISTORY INVALID_PARAMS LATEST :Insufficient parameters
             ann> CHATHISTORY NONSENSE #tea * 1
             ann< :irc.test.invalid FAIL CHATHISTORY INVALID_PARAMS NONSENSE :Unknown command",
        )
        .await
}
