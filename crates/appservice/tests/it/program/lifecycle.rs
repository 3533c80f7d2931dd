//! From an empty folder to a service at work, and to its end.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::{harness::until, rig::self_signed};

#[tokio::test]
async fn the_first_start_makes_what_is_needed_and_waits_for_the_homeserver() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let mut parrot = Parrot::beside(&host)?;
    parrot.start()?;
    parrot
        .says("has its registration now, with fresh tokens")
        .await?;
    parrot.says("app_service_config_files").await?;
    parrot
        .says("the homeserver does not have this registration")
        .await?;
    until("the door is open", || async {
        parrot.file("parrot.db.control").exists()
    })
    .await?;
    for name in [
        "parrot.toml",
        "parrot-registration.yaml",
        "parrot.db",
        "parrot.db-wal",
        "parrot.db.control",
    ] {
        let mode = std::fs::metadata(parrot.file(name))?.permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(parrot.page("/live", None).await?.0, 200);
    let (status, page) = parrot.page("/ready", None).await?;
    assert_eq!(status, 503, "{page}");
    assert!(page.contains("has not begun its work"), "{page}");

    let told = parrot.does(&["register", "--apply"]).await?;
    assert!(
        told.contains("The homeserver reaches the service."),
        "{told}"
    );
    assert!(told.contains("`parrot` is in force"), "{told}");
    parrot.says("the service works").await?;
    let alice = host.user("alice").await?;
    let room = room_with_parrot(&alice).await?;
    alice.send_text(&room, "1", "hello").await?;
    repeated(&alice, &room, "hello").await?;
    until("it is ready", || async {
        matches!(parrot.page("/ready", None).await, Ok((200, _)))
    })
    .await?;

    let status = parrot.process()?.terminate().await?;
    assert_eq!(status.code(), Some(0));
    assert!(
        !parrot.file("parrot.db.control").exists(),
        "the door is closed"
    );
    Ok(())
}

#[tokio::test]
async fn what_was_said_while_it_was_away_is_repeated_after_the_start() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let mut parrot = Parrot::beside(&host)?;
    parrot.start_known().await?;
    let alice = host.user("alice").await?;
    let room = room_with_parrot(&alice).await?;
    assert_eq!(parrot.process()?.interrupt().await?.code(), Some(0));
    alice.send_text(&room, "1", "are you there").await?;
    parrot.start()?;
    repeated(&alice, &room, "are you there").await
}

#[tokio::test]
async fn a_second_signal_ends_at_once() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let mut parrot = Parrot::beside(&host)?;
    parrot.start_known().await?;
    let alice = host.user("alice").await?;
    let room = room_with_parrot(&alice).await?;
    parrot.process()?.terminate().await?;
    // The ghost's message is never answered, so its handler does not end by itself.
    let proxy = proxy::Proxy::before(&host.base_url(), proxy::Fault::Sends).await?;
    parrot.set("HOMESERVER_ADDRESS", &proxy.address);
    parrot.start()?;
    parrot.says("the service works").await?;
    alice.send_text(&room, "1", "hello").await?;
    until("the ghost speaks", || async {
        proxy.seen().iter().any(|path| path.contains("/send/"))
    })
    .await?;
    parrot.signal("-TERM").await?;
    parrot.says("a second signal ends at once").await?;
    let second = parrot.process()?.terminate();
    let status = tokio::time::timeout(AT_ONCE, second)
        .await
        .context("it has not ended at once")??;
    assert_eq!(status.code(), Some(1));
    Ok(())
}

#[tokio::test]
async fn a_reload_tells_what_took_effect() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let mut parrot = Parrot::beside(&host)?;
    parrot.start_known().await?;
    parrot.change(
        "parrot.toml",
        "#hard_words = []",
        "hard_words = [\"shibboleth\"]",
    )?;
    parrot.change("parrot.toml", "#attempts = 10", "attempts = 3")?;
    parrot.change("parrot.toml", "#level = \"info\"", "level = \"debug\"")?;
    parrot.signal("-HUP").await?;
    parrot.says("hard_words has changed; now in effect").await?;
    parrot.says("log.level has changed; now in effect").await?;
    parrot
        .says("retries.attempts has changed; takes effect when the service is started again")
        .await?;
    parrot.change(
        "parrot.toml",
        "hard_words = [\"shibboleth\"]",
        "hard_words = 7",
    )?;
    parrot.signal("-HUP").await?;
    parrot.says("hard_words: expected a list").await?;
    parrot
        .says("the configuration has mistakes, and stays as it was")
        .await?;
    let alice = host.user("alice").await?;
    let room = room_with_parrot(&alice).await?;
    alice.send_text(&room, "1", "a shibboleth").await?;
    parrot.says("`shibboleth` is too hard to say").await
}

#[tokio::test]
async fn the_author_is_told_of_a_reload_and_may_say_no() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let mut parrot = Parrot::beside(&host)?;
    parrot.start_known().await?;
    let (none, one) = ("#hard_words = []", "hard_words = [\"shibboleth\"]");
    parrot.change("parrot.toml", none, one)?;
    parrot.signal("-HUP").await?;
    parrot.says("the parrot knows 1 hard words").await?;

    parrot.change("parrot.toml", one, "hard_words = [\"\"]")?;
    parrot.signal("-HUP").await?;
    parrot.says("an empty word is in every text").await?;
    parrot
        .says("the configuration has mistakes, and stays as it was")
        .await?;

    let alice = host.user("alice").await?;
    let room = room_with_parrot(&alice).await?;
    alice.send_text(&room, "1", "a shibboleth").await?;
    parrot.says("`shibboleth` is too hard to say").await?;
    alice.send_text(&room, "2", "another word").await?;
    repeated(&alice, &room, "another word").await
}

#[tokio::test]
async fn figures_need_a_token_or_an_address_of_their_own() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let mut parrot = Parrot::beside(&host)?;
    let own = free_port()?;
    parrot.set("METRICS_TOKEN", "figures-token");
    parrot.set("METRICS_ADDRESS", &format!("127.0.0.1:{own}"));
    parrot.set("HARD_WORDS", "shibboleth");
    parrot.start_known().await?;
    assert_eq!(parrot.page("/metrics", None).await?.0, 401);
    assert_eq!(parrot.page("/metrics", Some("figures")).await?.0, 401);
    let (status, page) = parrot.page("/metrics", Some("figures-token")).await?;
    assert_eq!(status, 200);
    assert!(
        page.contains("appservice_inbox_events{service=\"parrot\"} 0"),
        "{page}"
    );
    let client = reqwest::Client::builder().no_proxy().build()?;
    let own = async |path: &str| {
        let url = format!("http://127.0.0.1:{own}{path}");
        client.get(url).send().await?.text().await
    };
    let page = own("/metrics").await?;
    assert!(
        page.contains("appservice_build_info{service=\"parrot\""),
        "{page}"
    );
    // The author's pages for operators are where the figures are.
    assert_eq!(own("/vocabulary").await?, "shibboleth");
    assert_eq!(parrot.page("/vocabulary", None).await?.0, 401);
    let page = parrot.page("/vocabulary", Some("figures-token")).await?;
    assert_eq!(page, (200, "shibboleth".to_owned()));
    Ok(())
}

#[tokio::test]
async fn a_token_for_figures_may_come_and_go_with_a_reload() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let mut parrot = Parrot::beside(&host)?;
    parrot.start_known().await?;
    assert_eq!(parrot.page("/metrics", None).await?.0, 404);
    assert_eq!(parrot.page("/vocabulary", None).await?.0, 404);
    let token = parrot.file("token");
    std::fs::write(&token, "figures-token")?;
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600))?;
    let written = "\n[metrics]\ntoken_file = \"token\"\n";
    parrot.change("parrot.toml", "\n[metrics]\n", written)?;
    parrot.signal("-HUP").await?;
    parrot
        .says("metrics.token has changed; now in effect")
        .await?;
    assert_eq!(parrot.page("/metrics", None).await?.0, 401);
    let (status, page) = parrot.page("/metrics", Some("figures-token")).await?;
    assert_eq!(status, 200);
    assert!(page.contains("appservice_inbox_events"), "{page}");
    parrot.change("parrot.toml", written, "\n[metrics]\n")?;
    parrot.signal("-HUP").await?;
    until("the page is gone", || async {
        matches!(
            parrot.page("/metrics", Some("figures-token")).await,
            Ok((404, _))
        )
    })
    .await
}

#[tokio::test]
async fn a_renewed_certificate_is_used_after_a_signal() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let mut parrot = Parrot::beside(&host)?;
    let (certificate, key) = self_signed(parrot.folder.path())?;
    parrot.set("LISTEN_CERTIFICATE", &certificate.to_string_lossy());
    parrot.set("LISTEN_KEY", &key.to_string_lossy());
    parrot.start()?;
    parrot.says("listening").await?;
    // Written over the one in use.
    self_signed(parrot.folder.path())?;
    parrot.signal("-HUP").await?;
    parrot.says("the certificate is a new one").await?;
    let pem = std::fs::read(&certificate)?;
    let client = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(&pem)?])
        .no_proxy()
        .build()?;
    let url = format!("https://localhost:{}/live", parrot.port);
    assert_eq!(client.get(url).send().await?.status().as_u16(), 200);
    Ok(())
}

#[tokio::test]
async fn pages_that_are_nowhere_are_told() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let mut parrot = Parrot::beside(&host)?;
    parrot.set("LISTEN_WEBSOCKET", "true");
    parrot.set("HEALTH_LIVE_PATH", "/alive");
    parrot.set("METRICS_TOKEN", "figures-token");
    parrot.start()?;
    parrot
        .says("health: with listen.websocket nothing listens")
        .await?;
    parrot
        .says("metrics.token: with listen.websocket nothing listens")
        .await?;
    parrot.process()?.terminate().await?;
    let own = free_port()?;
    parrot.set("METRICS_ADDRESS", &format!("127.0.0.1:{own}"));
    parrot.start()?;
    parrot
        .says("the homeserver does not have this registration")
        .await?;
    let log = parrot.process()?.output().join("\n");
    assert!(!log.contains("nothing listens"), "{log}");
    parrot.port = own;
    until("its pages are there", || async {
        matches!(parrot.page("/alive", None).await, Ok((200, _)))
    })
    .await
}

#[tokio::test]
async fn a_homeserver_of_another_name_is_told_and_nothing_seems_to_work() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let mut parrot = Parrot::beside(&host)?;
    parrot.does(&["register"]).await?;
    parrot.change(
        "parrot.toml",
        "server_name = \"localhost\"",
        "server_name = \"example.org\"",
    )?;
    // What is only for the first start does not pass unsaid.
    let told = parrot.ask(&["register", "--apply", "--unverified"]).await?;
    let told = text(&told.stderr);
    assert!(
        told.contains("--server-name localhost is not used"),
        "{told}"
    );
    assert!(
        told.contains("homeserver.server_name there: example.org"),
        "{told}"
    );
    parrot.start()?;
    parrot
        .says("the homeserver is called `localhost`, and the service is set up for `example.org`")
        .await?;
    parrot.says("run `register`").await?;
    let (status, page) = parrot.page("/ready", None).await?;
    assert_eq!(status, 503, "{page}");
    let log = parrot.process()?.output().join("\n");
    assert!(!log.contains("the service works"), "{log}");
    // Told the right name, it works.
    parrot.process()?.terminate().await?;
    parrot.change(
        "parrot.toml",
        "server_name = \"example.org\"",
        "server_name = \"localhost\"",
    )?;
    parrot
        .does(&["register", "--apply", "--unverified"])
        .await?;
    parrot.start()?;
    parrot.says("the service works").await
}

#[tokio::test]
async fn with_another_hs_token_it_is_not_ready_and_says_what_to_compare() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let mut parrot = Parrot::beside(&host)?;
    parrot.start_known().await?;
    parrot.process()?.terminate().await?;
    let hs_token = token(&parrot.registration(), "hs_token")?;
    parrot.change("parrot-registration.yaml", &hs_token, "another_hs_token")?;
    parrot.start()?;
    parrot.says("compare `hs_token`").await?;
    let (status, page) = parrot.page("/ready", None).await?;
    assert_eq!(status, 503, "{page}");
    assert!(page.contains("compare `hs_token`"), "{page}");
    assert!(page.contains("parrot-registration.yaml"), "{page}");
    // With the token that the homeserver has, it is ready again.
    parrot.process()?.terminate().await?;
    parrot.change("parrot-registration.yaml", "another_hs_token", &hs_token)?;
    parrot.start()?;
    until("it is ready", || async {
        matches!(parrot.page("/ready", None).await, Ok((200, _)))
    })
    .await
}

#[tokio::test]
async fn a_second_process_is_kept_out() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let mut parrot = Parrot::beside(&host)?;
    parrot.start_known().await?;
    let told = parrot.fails(1, &["run"]).await?;
    assert!(told.contains("is in use by another process"), "{told}");
    Ok(())
}

#[tokio::test]
async fn the_configuration_can_be_seen_checked_and_refused() -> anyhow::Result<()> {
    let parrot = Parrot::new("http://127.0.0.1:9")?;
    let example = parrot.does(&["config", "example"]).await?;
    assert!(
        example.contains("#hard_words = []") && example.contains("[homeserver]"),
        "{example}"
    );
    let schema: Value = serde_json::from_str(&parrot.does(&["config", "schema"]).await?)?;
    assert!(schema["properties"]["hard_words"].is_object(), "{schema}");
    let reference = parrot.does(&["config", "reference"]).await?;
    assert!(reference.contains("PARROT_HARD_WORDS"), "{reference}");
    let told = parrot.fails(2, &["config", "check"]).await?;
    assert!(told.contains("there is no parrot.toml"), "{told}");
    std::fs::write(
        parrot.file("parrot.toml"),
        "hard_word = []\n[homeserver]\nserver_name = \"x y\"\n",
    )?;
    let told = parrot.fails(2, &["run"]).await?;
    assert!(
        told.contains("parrot.toml:1:1: hard_word: unknown"),
        "{told}"
    );
    assert!(
        told.contains("homeserver.server_name: not a server name"),
        "{told}"
    );
    Ok(())
}

#[tokio::test]
async fn a_service_that_cannot_be_reached_comes_for_its_transactions() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let mut parrot = Parrot::beside(&host)?;
    parrot.set("LISTEN_WEBSOCKET", "true");
    let told = parrot.does(&["register", "--apply"]).await?;
    assert!(
        told.contains("that opens a websocket when it runs"),
        "{told}"
    );
    parrot.start()?;
    parrot.says("the websocket is open").await?;
    let alice = host.user("alice").await?;
    let room = room_with_parrot(&alice).await?;
    alice.send_text(&room, "1", "hello").await?;
    repeated(&alice, &room, "hello").await?;
    let told = parrot.does(&["doctor"]).await?;
    assert!(
        told.contains("way back: the homeserver reaches the service"),
        "{told}"
    );
    assert_eq!(parrot.process()?.terminate().await?.code(), Some(0));
    let told = parrot.does(&["doctor"]).await?;
    assert!(
        told.contains("nobody can answer for it over the websocket"),
        "{told}"
    );
    Ok(())
}
