//! The registration: kept, compared, put in force, taken back.

use super::*;

#[tokio::test]
async fn id_and_tokens_are_kept_and_changes_are_shown() -> anyhow::Result<()> {
    let mut parrot = Parrot::new("http://127.0.0.1:9")?;
    let told = parrot.does(&["register"]).await?;
    let file = parrot.registration();
    for line in [
        "to `app_service_config_files` in homeserver.yaml".to_owned(),
        format!(
            "install -o matrix-synapse -m 600 {} /etc/matrix-synapse/",
            file.display()
        ),
        format!("chgrp GROUP {0} && chmod 640 {0}", file.display()),
    ] {
        assert!(told.contains(&line), "no {line} in {told}");
    }
    let tokens = || -> anyhow::Result<_> {
        let file = parrot.registration();
        Ok([token(&file, "as_token")?, token(&file, "hs_token")?])
    };
    let before = tokens()?;
    let told = parrot.does(&["register"]).await?;
    assert!(told.contains("is up to date"), "{told}");
    let printed = parrot.does(&["register", "--print"]).await?;
    assert!(printed.contains("as_token: '***'"), "{printed}");
    assert!(
        before.iter().all(|token| !printed.contains(token.as_str())),
        "{printed}"
    );
    let after = tokens()?;
    parrot.set("LISTEN_PUBLIC_ADDRESS", "http://parrot.internal:9000");
    let told = parrot.does(&["register", "--dry-run"]).await?;
    assert!(told.contains("→ http://parrot.internal:9000"), "{told}");
    let file = std::fs::read_to_string(parrot.registration())?;
    assert!(!file.contains("parrot.internal"), "only said: {file}");
    let told = parrot.does(&["register"]).await?;
    assert!(told.contains("→ http://parrot.internal:9000"), "{told}");
    let file = parrot.registration();
    let last = [token(&file, "as_token")?, token(&file, "hs_token")?];
    assert_eq!([&before, &after], [&last, &last]);
    Ok(())
}

#[tokio::test]
async fn others_that_claim_the_same_are_found() -> anyhow::Result<()> {
    let parrot = Parrot::new("http://127.0.0.1:9")?;
    parrot.does(&["register"]).await?;
    let other = parrot.file("other.yaml");
    let text = std::fs::read_to_string(parrot.registration())?;
    let (as_token, hs_token) = (
        token(&parrot.registration(), "as_token")?,
        token(&parrot.registration(), "hs_token")?,
    );
    let text = text
        .replace(&as_token, "another")
        .replace(&hs_token, "yet_another");
    let text = text
        .replace("id: parrot", "id: budgie")
        .replace("id: 'parrot'", "id: budgie")
        .replace("id: \"parrot\"", "id: budgie");
    std::fs::write(&other, text)?;
    let told = parrot
        .fails(1, &["register", "--check", "other.yaml"])
        .await?;
    assert!(told.contains("both claim the users"), "{told}");
    std::fs::write(
        &other,
        "id: cat\nas_token: a\nhs_token: b\nurl: null\nsender_localpart: cat\nnamespaces: {}\n",
    )?;
    let told = parrot.does(&["register", "--check", "other.yaml"]).await?;
    assert!(told.contains("2 registrations"), "{told}");
    Ok(())
}

#[tokio::test]
async fn a_registration_that_does_not_lead_back_is_taken_away_again() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let mut parrot = Parrot::beside(&host)?;
    let dead = format!("http://127.0.0.1:{}", free_port()?);
    parrot.set("LISTEN_PUBLIC_ADDRESS", &dead);
    let told = parrot.fails(1, &["register", "--apply"]).await?;
    assert!(told.contains("does not reach the service"), "{told}");
    assert!(told.contains("listen.public_address"), "{told}");
    assert!(told.contains("was taken away again"), "{told}");
    assert_eq!(in_force(&host).await?.0, 404);
    let told = parrot
        .does(&["register", "--apply", "--unverified"])
        .await?;
    assert!(told.contains("is in force"), "{told}");
    assert_eq!(in_force(&host).await?.0, 200);
    Ok(())
}

#[tokio::test]
async fn a_change_that_does_not_lead_back_is_undone() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let mut parrot = Parrot::beside(&host)?;
    parrot.start_known().await?;
    let before = std::fs::read_to_string(parrot.registration())?;
    let dead = format!("http://127.0.0.1:{}", free_port()?);
    parrot.set("LISTEN_PUBLIC_ADDRESS", &dead);
    let told = parrot.fails(1, &["register", "--apply"]).await?;
    assert!(
        told.contains("has its registration from before again"),
        "{told}"
    );
    let (_, body) = in_force(&host).await?;
    let yaml = body["yaml"].as_str().unwrap_or_default();
    assert!(
        yaml.contains(&parrot.port.to_string()) && !yaml.contains(&dead),
        "{yaml}"
    );
    assert_eq!(std::fs::read_to_string(parrot.registration())?, before);
    // All goes on as before.
    let alice = host.user("alice").await?;
    let room = room_with_parrot(&alice).await?;
    alice.send_text(&room, "1", "still here").await?;
    repeated(&alice, &room, "still here").await
}

#[tokio::test]
async fn a_running_service_gets_its_new_registration_at_once() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let mut parrot = Parrot::beside(&host)?;
    parrot.start_known().await?;
    let told = parrot.does(&["register", "--apply"]).await?;
    assert!(told.contains("The homeserver has it already."), "{told}");
    let other = format!("http://localhost:{}", parrot.port);
    parrot.set("LISTEN_PUBLIC_ADDRESS", &other);
    let told = parrot.does(&["register", "--apply"]).await?;
    assert!(
        told.contains("The homeserver reaches the service."),
        "{told}"
    );
    let (_, body) = in_force(&host).await?;
    assert!(
        body["yaml"]
            .as_str()
            .is_some_and(|yaml| yaml.contains(&other)),
        "{body}"
    );
    assert!(std::fs::read_to_string(parrot.registration())?.contains(&other));
    Ok(())
}

#[tokio::test]
async fn without_an_operator_api_it_says_what_is_missing() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let parrot = Parrot::new(&host.base_url())?;
    let told = parrot.fails(2, &["register", "--apply"]).await?;
    assert!(
        told.contains("parrot.toml: homeserver.admin_address: missing"),
        "{told}"
    );
    let mut parrot = Parrot::beside(&host)?;
    parrot
        .env
        .retain(|(name, _)| !name.ends_with("ADMIN_TOKEN_FILE"));
    parrot.set("HOMESERVER_ADMIN_TOKEN", "wrong");
    let told = parrot.fails(1, &["register", "--apply"]).await?;
    assert!(
        told.contains("homeserver.admin_token: the homeserver does not take it"),
        "{told}"
    );
    Ok(())
}

#[tokio::test]
async fn a_service_that_is_at_work_elsewhere_is_not_locked_out() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let mut parrot = Parrot::beside(&host)?;
    parrot.start_known().await?;
    let (_, before) = in_force(&host).await?;
    // The same service in another folder: without a registration, and with one that has tokens of its own.
    let mut second = Parrot::beside(&host)?;
    let told = second.fails(1, &["register", "--apply"]).await?;
    assert!(
        told.contains("there is no parrot-registration.yaml here"),
        "{told}"
    );
    assert!(told.contains("--new-tokens"), "{told}");
    assert!(!second.registration().exists(), "nothing is made");
    second.does(&["register"]).await?;
    let told = second
        .fails(1, &["register", "--apply", "--unverified"])
        .await?;
    assert!(
        told.contains("not with the as_token of parrot-registration.yaml"),
        "{told}"
    );
    assert_eq!(in_force(&host).await?.1, before);
    let alice = host.user("alice").await?;
    let room = room_with_parrot(&alice).await?;
    alice.send_text(&room, "1", "still here").await?;
    repeated(&alice, &room, "still here").await?;
    // Who wants it gets it, and is told what cannot be undone.
    let dead = format!("http://127.0.0.1:{}", free_port()?);
    second.set("LISTEN_PUBLIC_ADDRESS", &dead);
    let told = second
        .fails(1, &["register", "--apply", "--new-tokens"])
        .await?;
    assert!(told.contains("those from before are lost"), "{told}");
    second
        .env
        .retain(|(name, _)| !name.ends_with("PUBLIC_ADDRESS"));
    parrot.process()?.terminate().await?;
    let told = second.does(&["register", "--apply"]).await?;
    assert!(told.contains("`parrot` is in force"), "{told}");
    Ok(())
}
