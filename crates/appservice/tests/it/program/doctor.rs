//! The doctor: all good, and every way of being ill, with the file and key that cures it.

use super::{
    proxy::{Fault, Proxy},
    *,
};

/// A parrot that the homeserver knows and that does not run.
async fn known(host: &TestServer) -> anyhow::Result<Parrot> {
    let parrot = Parrot::beside(host)?;
    parrot.does(&["register", "--apply"]).await?;
    Ok(parrot)
}

/// What is wrong, and what to do, by the doctor's word; fails where nothing is.
async fn wrong(parrot: &Parrot) -> anyhow::Result<Vec<[String; 3]>> {
    let output = parrot.ask(&["doctor", "--json"]).await?;
    let said = text(&output.stdout);
    ensure!(
        output.status.code() == Some(1),
        "it should be ill: {said}{}",
        text(&output.stderr)
    );
    let findings: Vec<Value> = serde_json::from_str(&said)?;
    let bad = findings.iter().filter(|finding| finding["grade"] == "bad");
    Ok(bad
        .map(|finding| {
            ["check", "text", "cure"]
                .map(|key| finding[key].as_str().unwrap_or_default().to_owned())
        })
        .collect())
}

/// Asserts that the doctor finds just this, in these words.
async fn finds(parrot: &Parrot, check: &str, text: &str, cure: &str) -> anyhow::Result<()> {
    let found = wrong(parrot).await?;
    let [only] = &found[..] else {
        anyhow::bail!("not one thing is wrong: {found:#?}");
    };
    ensure!(
        only[0] == check && only[1].contains(text) && only[2].contains(cure),
        "{only:#?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_good_service_is_good_whether_it_runs_or_not() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let mut parrot = known(&host).await?;
    let told = parrot.does(&["doctor"]).await?;
    for line in [
        "registration: parrot-registration.yaml is what the service declares",
        "as_token: the homeserver knows it as @parrot:localhost",
        "clock: the homeserver's is the same",
        "service: it does not run; the doctor answers for it",
        "way back: the homeserver reaches the service, with the right hs_token",
        "users: _parrot_{name} is held",
        "aliases: #parrot_{topic} is held",
        "media: what is uploaded can be fetched",
        "in force: the homeserver has the registration as the file has it",
        "All is well.",
    ] {
        assert!(told.contains(line), "no `{line}` in\n{told}");
    }
    parrot.start_known().await?;
    let told = parrot.does(&["doctor"]).await?;
    assert!(told.contains("service: it runs"), "{told}");
    Ok(())
}

#[tokio::test]
async fn the_authors_own_examinations_are_told() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let mut parrot = known(&host).await?;
    parrot.set("HARD_WORDS", "polly");
    parrot.does(&["doctor"]).await?;
    parrot.set("HARD_WORDS", "polly,e");
    let ill = wrong(&parrot).await?;
    let found = ill.iter().find(|found| found[0] == "vocabulary");
    let [_, text, cure] = found.context("the doctor does not tell it")?;
    ensure!(text.contains("says next to nothing") && cure.contains("hard_words"));
    Ok(())
}

#[tokio::test]
async fn nothing_is_left_over() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let parrot = known(&host).await?;
    parrot.does(&["doctor"]).await?;
    let as_token = token(&parrot.registration(), "as_token")?;
    let bot = host.client().with_token(&as_token);
    let (_, rooms) = bot.get("/_matrix/client/v3/joined_rooms").await?;
    assert_eq!(rooms["joined_rooms"], json!([]));
    let (_, removal) = operator(&host)?
        .request(
            reqwest::Method::DELETE,
            "/_bridgehead/v1/appservices/parrot",
            &[("purge", "true"), ("dry_run", "true")],
            None,
        )
        .await?;
    assert_eq!(removal["aliases"], 0, "{removal}");
    Ok(())
}

#[tokio::test]
async fn a_homeserver_that_is_away_is_told() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let mut parrot = known(&host).await?;
    parrot.set(
        "HOMESERVER_ADDRESS",
        &format!("http://127.0.0.1:{}", free_port()?),
    );
    finds(
        &parrot,
        "homeserver",
        "cannot be reached",
        "parrot.toml: homeserver.address",
    )
    .await?;
    // Something answers there, and it is no homeserver.
    let (listener, router) = (
        tokio::net::TcpListener::bind("127.0.0.1:0").await?,
        axum::Router::new(),
    );
    parrot.set(
        "HOMESERVER_ADDRESS",
        &format!("http://{}", listener.local_addr()?),
    );
    let serving = tokio::spawn(async move { axum::serve(listener, router).await });
    finds(
        &parrot,
        "homeserver",
        "not like a homeserver",
        "homeserver.address",
    )
    .await?;
    serving.abort();
    Ok(())
}

#[tokio::test]
async fn tokens_that_differ_are_told_each_with_its_place() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let parrot = known(&host).await?;
    let file = parrot.registration();
    let (as_token, hs_token) = (token(&file, "as_token")?, token(&file, "hs_token")?);
    parrot.change("parrot-registration.yaml", &as_token, "another-as-token")?;
    finds(
        &parrot,
        "as_token",
        "does not know it",
        "parrot-registration.yaml:",
    )
    .await?;
    parrot.change("parrot-registration.yaml", "another-as-token", &as_token)?;
    parrot.change("parrot-registration.yaml", &hs_token, "another-hs-token")?;
    let found = wrong(&parrot).await?;
    assert_eq!(found[0][0], "way back", "{found:#?}");
    assert!(
        found[0][2].contains("another `hs_token` than this file"),
        "{found:#?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_wrong_name_is_told_with_the_right_one() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let parrot = known(&host).await?;
    parrot.change(
        "parrot.toml",
        "server_name = \"localhost\"",
        "server_name = \"example.org\"",
    )?;
    // Nothing else is told: a registration brought up to date first would have the wrong name as well.
    finds(
        &parrot,
        "name",
        "called localhost, not example.org",
        "parrot.toml: homeserver.server_name: write \"localhost\", run `register`",
    )
    .await
}

#[tokio::test]
async fn a_way_that_does_not_lead_back_is_told() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let mut parrot = known(&host).await?;
    // The registration still says the old port.
    let old = format!("http://127.0.0.1:{}", parrot.port);
    parrot.set("LISTEN_PUBLIC_ADDRESS", &old);
    parrot.set("LISTEN_ADDRESS", &format!("127.0.0.1:{}", free_port()?));
    let found = wrong(&parrot).await?;
    assert_eq!(found[0][0], "way back", "{found:#?}");
    assert!(
        found[0][2].contains("listen.address, listen.public_address"),
        "{found:#?}"
    );
    // What the homeserver itself finds is told as well.
    assert_eq!(
        found[1][0], "way back, as the homeserver sees it",
        "{found:#?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_port_that_somebody_else_has_is_told() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let parrot = known(&host).await?;
    let _taken = std::net::TcpListener::bind(("127.0.0.1", parrot.port))?;
    finds(
        &parrot,
        "way back",
        "cannot be used",
        "parrot.toml: listen.address",
    )
    .await
}

#[tokio::test]
async fn a_namespace_that_is_not_held_is_told() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let parrot = known(&host).await?;
    let (_, before) = in_force(&host).await?;
    let yaml = before["yaml"]
        .as_str()
        .unwrap_or_default()
        .replace("_parrot_", "_budgie_");
    let body = json!({ "yaml": yaml, "revision": before["revision"] });
    operator(&host)?
        .expect_ok(
            reqwest::Method::PUT,
            "/_bridgehead/v1/appservices/parrot/registration",
            &[],
            Some(&body),
        )
        .await?;
    let found = wrong(&parrot).await?;
    let of = |check: &str| found.iter().find(|finding| finding[0] == check).cloned();
    let users = of("users").context("users are not held")?;
    assert!(
        users[1].contains("_parrot_{name}: anybody may register @_parrot_doctor"),
        "{users:#?}"
    );
    assert!(users[2].contains("`namespaces.users`"), "{users:#?}");
    let mut drift = found.iter().filter(|finding| finding[0] == "in force");
    let drift = drift.find(|finding| finding[1].contains("+ namespaces.users"));
    let drift = drift.context("the homeserver has it otherwise")?;
    assert!(
        drift[1].contains("_parrot_") && drift[2].contains("register --apply"),
        "{drift:#?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_file_that_is_not_what_the_service_declares_is_told() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let parrot = known(&host).await?;
    parrot.change("parrot-registration.yaml", "parrot_", "budgie_")?;
    let found = wrong(&parrot).await?;
    assert_eq!(found[0][0], "registration", "{found:#?}");
    assert!(found[0][2].contains("run `register`"), "{found:#?}");
    parrot.change("parrot-registration.yaml", "budgie_", "parrot_")?;
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(parrot.registration(), open)?;
    finds(
        &parrot,
        "registration",
        "everybody on this machine may read",
        "chmod o-rwx parrot-registration.yaml",
    )
    .await?;
    std::fs::remove_file(parrot.registration())?;
    finds(
        &parrot,
        "registration",
        "there is no parrot-registration.yaml",
        "run `register`",
    )
    .await
}

#[tokio::test]
async fn a_service_that_the_homeserver_lacks_is_told() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let parrot = Parrot::beside(&host)?;
    parrot.does(&["register"]).await?;
    let found = wrong(&parrot).await?;
    assert!(
        found.iter().any(|finding| finding[0] == "as_token"),
        "{found:#?}"
    );
    let lacks = found.iter().find(|finding| finding[0] == "in force");
    assert!(
        lacks.is_some_and(|finding| finding[2].contains("register --apply")),
        "{found:#?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_wrong_clock_and_lost_media_are_told() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let mut parrot = known(&host).await?;
    for (fault, check, cure) in [
        (Fault::Clock, "clock", "NTP"),
        (Fault::Media, "media", "/_matrix/client/v1/media"),
    ] {
        let proxy = Proxy::before(&host.base_url(), fault).await?;
        parrot.set("HOMESERVER_ADDRESS", &proxy.address);
        finds(&parrot, check, "", cure)
            .await
            .with_context(|| format!("{fault:?}"))?;
    }
    let proxy = Proxy::before(&host.base_url(), Fault::None).await?;
    parrot.set("HOMESERVER_ADDRESS", &proxy.address);
    parrot.does(&["doctor"]).await?;
    Ok(())
}

#[tokio::test]
async fn a_homeserver_that_lets_nobody_be_deactivated_is_no_trouble() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let mut parrot = known(&host).await?;
    let proxy = Proxy::before(&host.base_url(), Fault::Deactivation).await?;
    let direct = std::mem::replace(&mut parrot.homeserver, proxy.address.clone());
    parrot.set("HOMESERVER_ADDRESS", &proxy.address);
    let mut left = Vec::new();
    for _ in 0..2 {
        let told = parrot.does(&["doctor"]).await?;
        assert!(told.contains("users: _parrot_{name} is held"), "{told}");
        let line = told
            .lines()
            .find(|line| line.contains("is left, and harmless"));
        let line = line.with_context(|| format!("no word of the ghost in {told}"))?;
        assert!(line.starts_with("note"), "{line}");
        left.push(line.to_owned());
    }
    assert_eq!(left[0], left[1], "one ghost for all examinations");
    // It goes when that is possible, and is no trouble afterwards either.
    parrot.homeserver = direct.clone();
    parrot.set("HOMESERVER_ADDRESS", &direct);
    for _ in 0..2 {
        let told = parrot.does(&["doctor"]).await?;
        assert!(!told.contains("is left"), "{told}");
    }
    Ok(())
}
