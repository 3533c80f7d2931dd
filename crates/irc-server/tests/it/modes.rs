//! `MODE`.

use anyhow::Result;
use bridgehead_irc_server::Dialect;

use crate::script::Stage;

#[tokio::test]
async fn modes_are_shown_changed_and_refused() -> Result<()> {
    let mut stage = Stage::with(Dialect::modern(), &["ann", "bob", "eve"]).await?;
    stage.join("#tea", &["ann", "bob"]).await?;
    stage
        .play(
            "ann> MODE #tea
             ann< :irc.test.invalid 324 ann #tea :+nt
             ann< :irc.test.invalid 329 ann #tea :1767323045
             bob> MODE #tea +m
             bob< :irc.test.invalid 482 bob #tea :You're not a channel operator
             ann> MODE #tea +mk-t secret
             ann< :ann!~ann@127.0.0.1 MODE #tea +mk-t :secret
             bob< :ann!~ann@127.0.0.1 MODE #tea +mk-t :secret
             ann> MODE #tea +m
             eve> MODE #tea
             eve< :irc.test.invalid 324 eve #tea +mnk :*
             eve< :irc.test.invalid 329 eve #tea :1767323045
             ann> MODE #tea +x
             ann< :irc.test.invalid 472 ann x :is unknown mode char to me
             ann> MODE #tea +l many
             ann< :irc.test.invalid 696 ann #tea l * :Invalid mode parameter
             ann> MODE #tea +v nobody
             ann< :irc.test.invalid 401 ann nobody :No such nick
             ann> MODE #tea +v eve
             ann< :irc.test.invalid 441 ann eve #tea :They aren't on that channel
             ann> MODE #tea +v BOB
             ann< :ann!~ann@127.0.0.1 MODE #tea +v :bob
             bob< :ann!~ann@127.0.0.1 MODE #tea +v :bob
             ann> MODE #tea -k guess
             ann< :ann!~ann@127.0.0.1 MODE #tea -k :secret
             bob< :ann!~ann@127.0.0.1 MODE #tea -k :secret
             ann> MODE #none
             ann< :irc.test.invalid 403 ann #none :No such channel",
        )
        .await?;
    let channel = stage.server.channel("#tea").await.expect("it is there");
    assert!(
        channel
            .member("bob")
            .is_some_and(|bob| bob.standing.contains(&'v'))
    );
    Ok(())
}

#[tokio::test]
async fn lists_of_masks_say_who_set_them() -> Result<()> {
    let mut stage = Stage::with(Dialect::modern(), &["ann", "bob"]).await?;
    stage.join("#tea", &["ann", "bob"]).await?;
    stage
        .play(
            "ann> MODE #tea +bq bob *@192.0.2.1
             ann< :ann!~ann@127.0.0.1 MODE #tea +bq bob!*@* :*!*@192.0.2.1
             bob< :ann!~ann@127.0.0.1 MODE #tea +bq bob!*@* :*!*@192.0.2.1
             ann> MODE #tea +b BOB!*@*
             bob> MODE #tea b
             bob< :irc.test.invalid 367 bob #tea bob!*@* ann!~ann@127.0.0.1 :1767323045
             bob< :irc.test.invalid 368 bob #tea :End of channel ban list
             bob> MODE #tea +q
             bob< :irc.test.invalid 728 bob #tea q *!*@192.0.2.1 ann!~ann@127.0.0.1 :1767323045
             bob< :irc.test.invalid 729 bob #tea q :End of channel quiet list
             bob> MODE #tea e
             bob< :irc.test.invalid 482 bob #tea :You're not a channel operator
             ann> MODE #tea eI
             ann< :irc.test.invalid 349 ann #tea :End of channel exception list
             ann< :irc.test.invalid 347 ann #tea :End of channel invite exception list
             ann> MODE #tea -b Bob!*@*
             ann< :ann!~ann@127.0.0.1 MODE #tea -b :bob!*@*
             bob< :ann!~ann@127.0.0.1 MODE #tea -b :bob!*@*",
        )
        .await
}

#[tokio::test]
async fn a_full_list_takes_no_more() -> Result<()> {
    let mut dialect = Dialect::modern();
    dialect.limits.list_entries = 1;
    let mut stage = Stage::with(dialect, &["ann"]).await?;
    stage.join("#tea", &["ann"]).await?;
    stage
        .play(
            "ann> MODE #tea +bb one two
             ann< :irc.test.invalid 478 ann #tea two!*@* b :Channel list is full
             ann< :ann!~ann@127.0.0.1 MODE #tea +b :one!*@*",
        )
        .await
}

#[tokio::test]
async fn standings_are_given_from_above() -> Result<()> {
    let mut stage = Stage::with(Dialect::ergo(), &["ann", "bob"]).await?;
    stage.join("#tea", &["ann", "bob"]).await?;
    stage.server.set_modes("#tea", "+h bob").await;
    stage
        .play(
            "ann< :irc.test.invalid MODE #tea +h :bob
             bob< :irc.test.invalid MODE #tea +h :bob
             bob> MODE #tea +o bob
             bob< :irc.test.invalid 482 bob #tea :You're not a channel operator
             bob> MODE #tea +v ann
             ann< :bob!~bob@127.0.0.1 MODE #tea +v :ann
             bob< :bob!~bob@127.0.0.1 MODE #tea +v :ann
             ann> MODE #tea +q ann
             ann< :irc.test.invalid 482 ann #tea :You're not a channel operator
             bob> MODE #tea -h bob
             ann< :bob!~bob@127.0.0.1 MODE #tea -h :bob
             bob< :bob!~bob@127.0.0.1 MODE #tea -h :bob",
        )
        .await
}

#[tokio::test]
async fn modes_of_users_are_their_own() -> Result<()> {
    let mut stage = Stage::with(Dialect::modern(), &["ann", "bob"]).await?;
    stage
        .play(
            "ann> MODE ann +iB-x
             ann< :irc.test.invalid 501 ann :Unknown MODE flag
             ann< :ann!~ann@127.0.0.1 MODE ann :+iB
             ann> MODE ann +o
             ann> MODE ann
             ann< :irc.test.invalid 221 ann :+Bi
             ann> MODE bob +i
             ann< :irc.test.invalid 502 ann :Can't change mode for other users",
        )
        .await
}
