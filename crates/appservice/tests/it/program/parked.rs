//! What could not be handled, as the operator sees and moves it, while the service runs and while it does not.

use super::*;

/// A parrot at work that has set one message aside.
async fn with_one_parked(host: &TestServer) -> anyhow::Result<(Parrot, Client, String)> {
    let mut parrot = Parrot::beside(host)?;
    parrot.does(&["register", "--apply"]).await?;
    parrot.change(
        "parrot.toml",
        "#hard_words = []",
        "hard_words = [\"shibboleth\"]",
    )?;
    parrot.start_known().await?;
    let alice = host.user("alice").await?;
    let room = room_with_parrot(&alice).await?;
    alice.send_text(&room, "1", "shibboleth").await?;
    alice.send_text(&room, "2", "easy").await?;
    repeated(&alice, &room, "easy").await?;
    Ok((parrot, alice, room))
}

/// The number of the only parked event.
async fn number(parrot: &Parrot) -> anyhow::Result<String> {
    let listed = parrot.does(&["parked", "--json"]).await?;
    let parked: Value = serde_json::from_str(listed.trim())?;
    assert_eq!(parked["error"], "`shibboleth` is too hard to say");
    Ok(parked["number"].to_string())
}

fn learn(parrot: &Parrot) -> anyhow::Result<()> {
    parrot.change(
        "parrot.toml",
        "hard_words = [\"shibboleth\"]",
        "hard_words = []",
    )
}

#[tokio::test]
async fn it_is_listed_and_replayed_while_the_service_runs() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let (mut parrot, alice, room) = with_one_parked(&host).await?;
    let listed = parrot.does(&["parked"]).await?;
    assert!(
        listed.contains("m.room.message by @alice:localhost"),
        "{listed}"
    );
    assert!(listed.contains("too hard to say"), "{listed}");
    let number = number(&parrot).await?;
    learn(&parrot)?;
    parrot.signal("-HUP").await?;
    parrot.says("hard_words has changed").await?;
    parrot.does(&["replay", &number]).await?;
    repeated(&alice, &room, "shibboleth").await?;
    let listed = parrot.does(&["parked"]).await?;
    assert!(listed.contains("nothing is set aside"), "{listed}");
    let told = parrot.fails(1, &["replay", &number]).await?;
    assert!(
        told.contains("there is nothing under this number"),
        "{told}"
    );
    Ok(())
}

#[tokio::test]
async fn it_is_replayed_at_the_next_start() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let (mut parrot, alice, room) = with_one_parked(&host).await?;
    parrot.process()?.terminate().await?;
    number(&parrot).await?;
    learn(&parrot)?;
    let told = parrot.does(&["replay", "--all"]).await?;
    assert!(
        told.contains("will be handled when the service runs"),
        "{told}"
    );
    parrot.start()?;
    repeated(&alice, &room, "shibboleth").await?;
    assert_eq!(said(&alice, &room, "easy").await, 1);
    Ok(())
}

#[tokio::test]
async fn it_is_given_up_for_good() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let (parrot, alice, room) = with_one_parked(&host).await?;
    let number = number(&parrot).await?;
    parrot.does(&["parked", "drop", &number]).await?;
    let listed = parrot.does(&["parked"]).await?;
    assert!(listed.contains("nothing is set aside"), "{listed}");
    assert_eq!(said(&alice, &room, "shibboleth").await, 0);
    Ok(())
}

#[tokio::test]
async fn before_the_first_start_there_is_nothing() -> anyhow::Result<()> {
    let parrot = Parrot::new("http://127.0.0.1:9")?;
    parrot.does(&["register"]).await?;
    let told = parrot.fails(1, &["parked"]).await?;
    assert!(told.contains("the service has not run yet"), "{told}");
    Ok(())
}
