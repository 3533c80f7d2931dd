//! Tokens are in no line of the log, whatever is logged and whatever goes wrong.

use super::*;

#[tokio::test]
async fn no_line_of_the_most_talkative_log_has_a_token() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let mut parrot = Parrot::beside(&host)?;
    parrot.set("LOG_LEVEL", "trace");
    parrot.set("METRICS_TOKEN", "figures-token");
    parrot.start()?;
    parrot
        .says("the homeserver does not have this registration")
        .await?;
    parrot.does(&["register", "--apply"]).await?;
    parrot.says("the service works").await?;
    let alice = host.user("alice").await?;
    let room = room_with_parrot(&alice).await?;
    alice.send_text(&room, "1", "hello").await?;
    repeated(&alice, &room, "hello").await?;
    let (as_token, hs_token) = (
        token(&parrot.registration(), "as_token")?,
        token(&parrot.registration(), "hs_token")?,
    );
    // The old way to show the token, a wrong one, and the page of figures.
    let query = format!("/_matrix/app/v1/users/@nobody:localhost?access_token={hs_token}");
    assert_eq!(parrot.page(&query, None).await?.0, 404);
    assert_eq!(
        parrot
            .page(
                "/_matrix/app/v1/users/@nobody:localhost",
                Some("guessed-token")
            )
            .await?
            .0,
        403
    );
    assert_eq!(parrot.page("/metrics", Some("figures-token")).await?.0, 200);
    parrot.does(&["parked"]).await?;
    let door: Value = serde_json::from_slice(&std::fs::read(parrot.file("parrot.db.control"))?)?;
    let door = door["token"]
        .as_str()
        .context("the door has a token")?
        .to_owned();
    let operator = std::fs::read_to_string(host.folder().join("data").join("operator.token"))?;
    parrot.process()?.terminate().await?;
    let log = parrot.process()?.output().join("\n");
    assert!(log.contains("TRACE"), "the log is talkative");
    for secret in [
        &as_token,
        &hs_token,
        &door,
        operator.trim(),
        "figures-token",
        "guessed-token",
    ] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
    Ok(())
}
