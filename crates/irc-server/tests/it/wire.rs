//! Sockets: ident, pieces, ends.

use anyhow::{Context as _, Result};
use bridgehead_irc_server::{Dialect, Server};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::script::{Raw, Stage};

#[tokio::test]
async fn an_ident_server_vouches_for_a_user() -> Result<()> {
    for (answer, user) in [
        ("USERID : UNIX : alice", "alice"),
        ("ERROR : NO-USER", "~ann"),
    ] {
        let ident = TcpListener::bind("127.0.0.1:0").await?;
        let mut dialect = Dialect::inspircd();
        dialect.ident_port = Some(ident.local_addr()?.port());
        let server = Server::start(dialect).await?;
        let answering = tokio::spawn(async move {
            let (mut stream, _) = ident.accept().await?;
            let mut question = [0; 64];
            let count = stream.read(&mut question).await?;
            let question = String::from_utf8_lossy(&question[..count]).into_owned();
            let ports = question.trim_end().to_owned();
            stream
                .write_all(format!("{ports} : {answer}\r\n").as_bytes())
                .await?;
            Ok::<_, std::io::Error>(question)
        });
        let _ann = Raw::register(server.address(), "ann", "").await?;
        let question = answering.await??;
        let (remote, local) = question.trim_end().split_once(',').context("two ports")?;
        assert_eq!(local, server.address().port().to_string());
        assert!(remote.parse::<u16>().is_ok(), "{question:?} has no spaces");
        let ann = server.whois("ann").await.context("she is there")?;
        assert_eq!(ann.user, user);
    }
    Ok(())
}

#[tokio::test]
async fn lines_come_in_any_pieces() -> Result<()> {
    let stage = Stage::new(Dialect::modern()).await?;
    let mut raw = Raw::connect(stage.server.address()).await?;
    for piece in [
        "NI",
        "CK ann\r",
        "\nUSER ann 0 *",
        " :Ann\n\r\nPING :a",
        " b\r\n",
    ] {
        raw.send_bytes(piece.as_bytes()).await?;
        tokio::task::yield_now().await;
    }
    raw.next_matching("* 376 *").await?;
    assert_eq!(
        raw.next().await?,
        ":irc.test.invalid PONG irc.test.invalid :a b"
    );
    Ok(())
}

#[tokio::test]
async fn nonsense_ends_nothing() -> Result<()> {
    let mut stage = Stage::with(Dialect::modern(), &["ann", "bob"]).await?;
    for bytes in [
        &b"\xff\xfe\r\n"[..],
        b"\0\0\r\n",
        b":\r\n",
        b"@ \r\n",
        b"@a=b\r\n",
        &[b'x'; 70_000],
        b"\r\n",
    ] {
        stage.raw("ann").send_bytes(bytes).await?;
    }
    stage.raw("ann").send("PRIVMSG bob :still here").await?;
    stage
        .raw("bob")
        .next_matching("* PRIVMSG bob :still here")
        .await?;
    Ok(())
}

#[tokio::test]
async fn who_hangs_up_has_quit() -> Result<()> {
    let mut stage = Stage::with(Dialect::modern(), &["ann"]).await?;
    let bob = stage.server.person("bob").await?;
    bob.join("#tea").await?;
    stage.join("#tea", &["ann"]).await?;
    stage.clients.clear();
    let quit = bob.wait_for(|line| line.command == "QUIT").await?;
    assert_eq!(quit.text(0), "Connection closed");
    Ok(())
}

#[tokio::test]
async fn all_are_told_when_the_server_stops() -> Result<()> {
    let Stage {
        server,
        mut clients,
    } = Stage::with(Dialect::modern(), &["ann"]).await?;
    let address = server.address();
    // A client that is slow to notice holds the server up for a moment only.
    let stopping = tokio::spawn(server.stop());
    let mut ann = clients.remove("ann").context("she is there")?;
    assert_eq!(
        ann.next().await?,
        "ERROR :Closing link: (~ann@127.0.0.1) [Server shutdown]"
    );
    ann.is_closed().await?;
    drop(ann);
    stopping.await?;
    assert!(
        Raw::connect(address).await.is_err(),
        "nobody listens any more"
    );
    Ok(())
}

#[tokio::test]
async fn a_server_ends_when_it_is_dropped() -> Result<()> {
    let Stage {
        server,
        mut clients,
    } = Stage::with(Dialect::modern(), &["ann"]).await?;
    let address = server.address();
    drop(server);
    clients
        .get_mut("ann")
        .context("she is there")?
        .is_closed()
        .await?;
    // The task that listens ends at its next step.
    for _ in 0..100 {
        if Raw::connect(address).await.is_err() {
            return Ok(());
        }
        tokio::task::yield_now().await;
    }
    anyhow::bail!("it still listens")
}

#[tokio::test]
async fn a_server_comes_back_where_it_was() -> Result<()> {
    let Stage { server, clients } = Stage::with(Dialect::modern(), &["ann"]).await?;
    let mut dialect = Dialect::modern();
    dialect.port = server.address().port();
    drop(clients);
    server.stop().await;
    let server = Server::start(dialect).await?;
    Raw::register(server.address(), "ann", "").await?;
    Ok(())
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error() -> Result<()> {
    let first = Server::start(Dialect::bare()).await?;
    let mut dialect = Dialect::bare();
    dialect.port = first.address().port();
    let error = Server::start(dialect).await.expect_err("it is taken");
    assert!(error.to_string().contains("cannot be listened on"));
    Ok(())
}
