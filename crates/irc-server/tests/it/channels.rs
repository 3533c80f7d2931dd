//! `JOIN`, `PART`, `TOPIC`, `NAMES`, `KICK`, `INVITE`, `LIST`.

use anyhow::Result;
use bridgehead_irc_server::Dialect;

use crate::script::Stage;

#[tokio::test]
async fn a_channel_begins_with_its_first_member() -> Result<()> {
    let mut stage = Stage::with(Dialect::modern(), &["ann"]).await?;
    stage
        .enter("bob", "extended-join multi-prefix userhost-in-names")
        .await?;
    stage
        .play(
            "ann> JOIN #Tea
             ann< :ann!~ann@127.0.0.1 JOIN #Tea
             ann< :irc.test.invalid 353 ann = #Tea :@ann
             ann< :irc.test.invalid 366 ann #Tea :End of /NAMES list.
             ann> TOPIC #tea :Tea and more
             ann< :ann!~ann@127.0.0.1 TOPIC #Tea :Tea and more
             ann> MODE #tea +v ann
             ann< :ann!~ann@127.0.0.1 MODE #Tea +v :ann
             bob> JOIN #tea
             ann< :bob!~bob@127.0.0.1 JOIN #Tea
             bob< :bob!~bob@127.0.0.1 JOIN #Tea * :bob
             bob< :irc.test.invalid 332 bob #Tea :Tea and more
             bob< :irc.test.invalid 333 bob #Tea ann!~ann@127.0.0.1 :1767323045
             bob< :irc.test.invalid 353 bob = #Tea :@+ann!~ann@127.0.0.1 bob!~bob@127.0.0.1
             bob< :irc.test.invalid 366 bob #Tea :End of /NAMES list.
             bob> JOIN #tea
             bob> PART #tea :enough
             bob< :bob!~bob@127.0.0.1 PART #Tea :enough
             ann< :bob!~bob@127.0.0.1 PART #Tea :enough
             bob> PART #tea
             bob< :irc.test.invalid 442 bob #tea :You're not on that channel
             ann> NAMES #tea
             ann< :irc.test.invalid 353 ann = #Tea :@ann
             ann< :irc.test.invalid 366 ann #Tea :End of /NAMES list.
             ann> JOIN 0
             ann< :ann!~ann@127.0.0.1 PART #Tea :Left all channels",
        )
        .await?;
    assert_eq!(stage.server.channel("#tea").await, None);
    Ok(())
}

#[tokio::test]
async fn doors_are_shut_for_a_reason() -> Result<()> {
    let cases = [
        ("+k secret", "#tea", "475", "Cannot join channel (+k)"),
        ("+k secret", "#tea guess", "475", "Cannot join channel (+k)"),
        ("+i", "#tea", "473", "Cannot join channel (+i)"),
        ("+l 1", "#tea", "471", "Cannot join channel (+l)"),
        ("+b bob!*@*", "#tea", "474", "Cannot join channel (+b)"),
        (
            "+r",
            "#tea",
            "477",
            "You need to be identified to a registered account to join this channel",
        ),
    ];
    for (modes, typed, numeric, text) in cases {
        let mut stage = Stage::with(Dialect::modern(), &["ann", "bob"]).await?;
        stage.join("#tea", &["ann"]).await?;
        stage.server.set_modes("#tea", modes).await;
        stage
            .play(&format!(
                "ann< :irc.test.invalid MODE #tea {}
                 bob> JOIN {typed}
                 bob< :irc.test.invalid {numeric} bob #tea :{text}",
                last_marked(modes)
            ))
            .await?;
        assert_eq!(
            stage
                .server
                .channel("#tea")
                .await
                .expect("it is there")
                .nicks(),
            ["ann"]
        );
    }
    Ok(())
}

/// As on the wire: the last parameter with its colon.
fn last_marked(modes: &str) -> String {
    match modes.split_once(' ') {
        Some((modes, param)) => format!("{modes} :{param}"),
        None => format!(":{modes}"),
    }
}

#[tokio::test]
async fn keys_invites_and_exceptions_open_them() -> Result<()> {
    let cases = [
        ("+k secret", "", "#tea secret"),
        ("+i", "INVITE bob #tea", "#tea"),
        ("+i", "MODE #tea +I bob!*@*", "#tea"),
        ("+b *!*@*", "MODE #tea +e bob!*@*", "#tea"),
        ("+b *!*@*", "INVITE bob #tea", "#tea"),
    ];
    for (modes, cure, typed) in cases {
        let server = bridgehead_irc_server::Server::start(Dialect::modern()).await?;
        let (ann, bob) = (server.person("ann").await?, server.person("bob").await?);
        ann.join("#tea").await?;
        ann.mode("#tea", modes).await?;
        if !cure.is_empty() {
            ann.raw(cure).await?;
        }
        bob.join(typed).await?;
        let channel = server.channel("#tea").await.expect("it is there");
        assert_eq!(channel.nicks(), ["ann", "bob"], "{modes} {cure}");
    }
    Ok(())
}

#[tokio::test]
async fn a_full_channel_sends_on_to_another() -> Result<()> {
    let mut stage = Stage::with(Dialect::modern(), &["ann", "bob"]).await?;
    stage.join("#tea", &["ann"]).await?;
    stage.server.set_modes("#tea", "+lf 1 #coffee").await;
    stage
        .play(
            "ann< :irc.test.invalid MODE #tea +lf 1 :#coffee
             bob> JOIN #tea
             bob< :irc.test.invalid 470 bob #tea #coffee :Forwarding to another channel
             bob< :bob!~bob@127.0.0.1 JOIN #coffee
             bob< :irc.test.invalid 353 bob = #coffee :@bob
             bob< :irc.test.invalid 366 bob #coffee :End of /NAMES list.",
        )
        .await
}

#[tokio::test]
async fn names_that_are_none_are_refused() -> Result<()> {
    let mut dialect = Dialect::modern();
    dialect.limits.channels_each = 2;
    dialect.limits.channel_bytes = 8;
    let mut stage = Stage::with(dialect, &["ann"]).await?;
    stage.join("#a", &["ann"]).await?;
    stage.join("#b", &["ann"]).await?;
    stage
        .play(
            "ann> JOIN tea
             ann< :irc.test.invalid 403 ann tea :No such channel
             ann> JOIN #longname
             ann< :irc.test.invalid 476 ann #longname :Invalid channel name
             ann> JOIN #c
             ann< :irc.test.invalid 405 ann #c :You have joined too many channels
             ann> PART #x
             ann< :irc.test.invalid 403 ann #x :No such channel",
        )
        .await
}

#[tokio::test]
async fn a_topic_is_set_by_those_who_may() -> Result<()> {
    let mut stage = Stage::with(Dialect::modern(), &["ann", "bob", "eve"]).await?;
    stage.join("#tea", &["ann", "bob"]).await?;
    stage
        .play(
            "bob> TOPIC #tea
             bob< :irc.test.invalid 331 bob #tea :No topic is set
             bob> TOPIC #tea :mine
             bob< :irc.test.invalid 482 bob #tea :You're not a channel operator
             eve> TOPIC #tea :mine
             eve< :irc.test.invalid 442 eve #tea :You're not on that channel
             ann> TOPIC #tea :ours
             ann< :ann!~ann@127.0.0.1 TOPIC #tea :ours
             bob< :ann!~ann@127.0.0.1 TOPIC #tea :ours
             ann> TOPIC #tea :
             ann< :ann!~ann@127.0.0.1 TOPIC #tea :
             bob< :ann!~ann@127.0.0.1 TOPIC #tea :",
        )
        .await
}

#[tokio::test]
async fn a_kick_needs_a_standing() -> Result<()> {
    let mut stage = Stage::with(Dialect::modern(), &["ann", "bob", "eve"]).await?;
    stage.join("#tea", &["ann", "bob"]).await?;
    stage
        .play(
            "bob> KICK #tea ann :out
             bob< :irc.test.invalid 482 bob #tea :You're not a channel operator
             ann> KICK #tea eve
             ann< :irc.test.invalid 441 ann eve #tea :They aren't on that channel
             ann> KICK #tea nobody
             ann< :irc.test.invalid 401 ann nobody :No such nick
             ann> KICK #tea bob :that was too much
             ann< :ann!~ann@127.0.0.1 KICK #tea bob :that was too much
             bob< :ann!~ann@127.0.0.1 KICK #tea bob :that was too much
             bob> PRIVMSG #tea :why
             bob< :irc.test.invalid 404 bob #tea :Cannot send to channel (+n)",
        )
        .await
}

#[tokio::test]
async fn an_invite_reaches_who_is_asked_and_who_wants_to_know() -> Result<()> {
    let mut stage = Stage::with(Dialect::modern(), &["ann", "eve", "cat"]).await?;
    stage.enter("bob", "invite-notify").await?;
    stage.join("#tea", &["ann", "bob", "cat"]).await?;
    stage
        .play(
            "ann> INVITE eve #tea
             ann< :irc.test.invalid 341 ann eve :#tea
             eve< :ann!~ann@127.0.0.1 INVITE eve :#tea
             bob< :ann!~ann@127.0.0.1 INVITE eve :#tea
             ann> INVITE bob #tea
             ann< :irc.test.invalid 443 ann bob #tea :is already on channel
             ann> INVITE nobody #tea
             ann< :irc.test.invalid 401 ann nobody :No such nick
             eve> INVITE cat #tea
             eve< :irc.test.invalid 442 eve #tea :You're not on that channel",
        )
        .await
}

#[tokio::test]
async fn secret_channels_are_not_listed() -> Result<()> {
    let mut stage = Stage::with(Dialect::modern(), &["ann", "bob"]).await?;
    stage.join("#secret", &["ann"]).await?;
    stage.join("#tea", &["ann"]).await?;
    stage
        .play(
            "ann> MODE #secret +s
             ann< :ann!~ann@127.0.0.1 MODE #secret :+s
             ann> TOPIC #tea :Tea
             ann< :ann!~ann@127.0.0.1 TOPIC #tea :Tea
             bob> LIST
             bob< :irc.test.invalid 321 bob Channel :Users Name
             bob< :irc.test.invalid 322 bob #tea 1 :Tea
             bob< :irc.test.invalid 323 bob :End of channel list.
             ann> LIST *e*
             ann< :irc.test.invalid 321 ann Channel :Users Name
             ann< :irc.test.invalid 322 ann #secret 1 :
             ann< :irc.test.invalid 322 ann #tea 1 :Tea
             ann< :irc.test.invalid 323 ann :End of channel list.
             bob> LIST >1
             bob< :irc.test.invalid 321 bob Channel :Users Name
             bob< :irc.test.invalid 323 bob :End of channel list.
             bob> NAMES #secret
             bob< :irc.test.invalid 366 bob #secret :End of /NAMES list.",
        )
        .await
}
