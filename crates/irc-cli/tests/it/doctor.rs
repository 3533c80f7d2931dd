//! The doctor looks at IRC too: good, and every way of being ill, with the key that cures it.

use std::time::Duration;

use anyhow::Context as _;
use bridgehead_irc_keeper::Keeper;
use bridgehead_irc_server::{Dialect, Server};
use bridgehead_testkit::{TestServer, free_port};

use crate::program::{Program, findings};

fn network(port: u16, more: &str) -> String {
    format!("[networks.net]\nservers = [\"127.0.0.1:{port}\"]\ntls = false\n{more}")
}

/// What is said of the network, of this grade.
async fn of_network(program: &Program, grade: &str) -> anyhow::Result<[String; 3]> {
    let found = findings(program, grade).await?;
    let mut meant = found.iter().filter(|found| found[0] == "network net");
    meant
        .next()
        .cloned()
        .with_context(|| format!("nothing {grade} of the network: {found:?}"))
}

#[tokio::test]
async fn a_server_that_welcomes_the_bridge_is_good() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let irc = Server::start(Dialect::modern()).await?;
    irc.account("bridge", "sesame").await;
    let login = "[networks.net.bot.login]\naccount = \"bridge\"\npassword = \"sesame\"\n";
    let program = Program::beside(&host, &network(irc.address().port(), login))?;
    program.does(&["register", "--apply"]).await?;
    let said = program.does(&["doctor"]).await?;
    for part in [
        "welcomes a client, not encrypted; it offers message-tags",
        "logged in as bridge",
    ] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    assert!(!said.contains("sesame"), "{said}");
    assert_eq!(irc.nicks().await, Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn a_wrong_password_is_told_with_its_keys() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let irc = Server::start(Dialect::modern()).await?;
    irc.account("bridge", "sesame").await;
    let login = "[networks.net.bot.login]\naccount = \"bridge\"\npassword = \"simsim\"\n";
    let program = Program::beside(&host, &network(irc.address().port(), login))?;
    let [_, text, cure] = of_network(&program, "bad").await?;
    assert!(text.contains("the login does not work"), "{text}");
    assert!(cure.contains("networks.net.bot.login.password"), "{cure}");
    Ok(())
}

#[tokio::test]
async fn a_server_without_capabilities_is_good_and_its_price_is_told() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let irc = Server::start(Dialect::ngircd()).await?;
    let program = Program::beside(&host, &network(irc.address().port(), ""))?;
    let [_, text, _] = of_network(&program, "good").await?;
    assert!(text.contains("it offers none of what helps"), "{text}");
    let [_, text, _] = of_network(&program, "note").await?;
    assert!(text.contains("does not offer message-tags"), "{text}");
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_with_its_key() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let program = Program::beside(&host, &network(free_port()?, ""))?;
    let [_, text, cure] = of_network(&program, "bad").await?;
    assert!(text.contains("cannot be reached"), "{text}");
    assert!(cure.contains("networks.net.servers"), "{cure}");
    Ok(())
}

#[tokio::test]
async fn encryption_where_there_is_none_is_told() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let irc = Server::start(Dialect::modern()).await?;
    let own = network(irc.address().port(), "").replace("tls = false", "tls = true");
    let program = Program::beside(&host, &own)?;
    let [_, text, cure] = of_network(&program, "bad").await?;
    assert!(text.contains("cannot be reached"), "{text}");
    assert!(cure.contains("networks.net.servers"), "{cure}");
    Ok(())
}

#[tokio::test]
async fn a_port_for_ident_that_cannot_be_had_is_told() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let ident = format!("[ident]\nlisten = \"{}\"\n", taken.local_addr()?);
    let program = Program::beside(&host, &(ident + &network(free_port()?, "")))?;
    let found = findings(&program, "bad").await?;
    let ident = found.iter().find(|found| found[0] == "ident");
    let [_, text, cure] = ident.context("nothing of ident")?;
    assert!(
        text.contains("something else than an ident server"),
        "{text}"
    );
    assert!(cure.contains("ident.listen"), "{cure}");
    Ok(())
}

#[tokio::test]
async fn whether_the_keeper_answers_is_told() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("keeper");
    let own = format!("[keeper]\nsocket = {path:?}\n{}", network(free_port()?, ""));
    let program = Program::beside(&host, &own)?;
    let of_keeper = async |grade: &str| {
        let found = findings(&program, grade).await?;
        let found = found.into_iter().find(|found| found[0] == "keeper");
        found.context("nothing of the keeper")
    };
    let [_, text, cure] = of_keeper("bad").await?;
    assert!(text.contains("there is no keeper at"), "{text}");
    assert!(cure.contains("keeper.socket"), "{cure}");
    let keeper = Keeper::listen(&path, Duration::from_secs(60)).await?;
    let running = tokio::spawn(async move { keeper.run().await });
    let [_, text, _] = of_keeper("good").await?;
    assert!(text.contains("answers, and holds 0 connections"), "{text}");
    running.abort();
    Ok(())
}
