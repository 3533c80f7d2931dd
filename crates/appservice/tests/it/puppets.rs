//! The service acts for people who let it.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use bridgehead_appservice::{Database, Running, Secret, bridge::puppets::PuppetError, prelude::*};
use bridgehead_testkit::lab::{Lab, LabService, LabUser};
use parking_lot::Mutex;
use serde_json::json;

use crate::outside::{call, log_in, place};

type Heard = Arc<Mutex<Vec<String>>>;

/// A bridge that writes down what would go to the other network.
fn service(heard: &Heard) -> Service {
    let (texts, redactions) = (heard.clone(), heard.clone());
    Service::new("irc")
        .bot("ircbot")
        .users("_irc_{nick}")
        .on(move |text: Text| {
            let heard = texts.clone();
            async move { heard.lock().push(text.body) }
        })
        .on(move |redaction: Redaction| {
            let heard = redactions.clone();
            async move { heard.lock().push(format!("redacted {}", redaction.redacts)) }
        })
}

/// A room of this person with the service's own user.
async fn portal(irc: &LabService, person: &LabUser) -> anyhow::Result<RoomId> {
    let running = irc.running();
    let bot = running.bot_id().clone();
    let body = json!({ "preset": "private_chat", "invite": [bot] });
    let room = person.create_room_with(&body).await?;
    running.bot().join(&room).await?;
    // It lets ghosts in.
    let power = json!({ "users": { person.id().as_str(): 100, bot.as_str(): 100 } });
    person
        .set_state(&room, "m.room.power_levels", "", &power)
        .await?;
    Ok(room)
}

/// The room that this person is invited to, as soon as they are.
async fn invitation(lab: &Lab, person: &LabUser) -> anyhow::Result<RoomId> {
    for _ in 0..1000 {
        if let Some(room) = person.invitations().await?.pop() {
            return Ok(room);
        }
        lab.pass(Duration::from_millis(10)).await;
    }
    anyhow::bail!("nobody has invited {}", person.name())
}

#[test]
fn a_puppet_is_let_into_rooms() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let irc = lab.mount(service(&Heard::default())).await?;
        let (alice, bob) = (lab.user("alice").await?, lab.user("bob").await?);
        let room = portal(&irc, &alice).await?;
        let token = log_in(&irc, &bob).await?;
        let puppet = irc.running().puppets().adopt(bob.id(), token).await?;
        puppet.send(&room, "hello").await?;
        assert_eq!(
            alice
                .members(&room)
                .await?
                .get(bob.id())
                .map(String::as_str),
            Some("join")
        );
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn a_token_that_is_no_longer_good_is_told_and_not_used() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let irc = lab.mount(service(&Heard::default())).await?;
        let alice = lab.user("alice").await?;
        let room = portal(&irc, &alice).await?;
        let token = log_in(&irc, &alice).await?;
        let running = irc.running();
        let puppets = running.puppets();
        let puppet = puppets.adopt(alice.id(), token.clone()).await?;
        call(
            &irc,
            "POST",
            "/_matrix/client/v3/logout",
            Some(&token),
            &json!({}),
        )
        .await?;
        let lost = puppet.send(&room, "lost").await;
        assert!(
            matches!(&lost, Err(Error::PuppetLost(user)) if user == alice.id()),
            "{lost:?}"
        );
        assert!(puppets.of(alice.id()).is_none());
        let refused = puppet.send(&room, "still lost").await;
        refused.expect_err("nobody acts for her");
        let ghost = running.ghosts().named("alice")?;
        ghost.send(&room, "by the ghost").await?;

        let dm = invitation(&lab, &alice).await?;
        alice.join(&dm).await?;
        let is_news = |event: &Event| event.text("msgtype") == Some("m.notice");
        let told = alice.wait_for(&dm, "the news", is_news).await?;
        let text = told.text("body").unwrap_or_default();
        assert!(
            text.starts_with("irc cannot act for you any more"),
            "{text}"
        );
        let status = puppets.status(alice.id()).await?.context("a status")?;
        assert!(status.lost_ms.is_some());

        drop((running, puppets, puppet, ghost));
        lab.restart(&irc).await?;
        let puppets = irc.running().puppets();
        assert!(puppets.of(alice.id()).is_none());
        let puppet = puppets
            .adopt(alice.id(), log_in(&irc, &alice).await?)
            .await?;
        puppet.send(&room, "back").await?;
        let token = log_in(&irc, &alice).await?;
        let puppet = puppets.adopt(alice.id(), token.clone()).await?;
        call(
            &irc,
            "POST",
            "/_matrix/client/v3/logout",
            Some(&token),
            &json!({}),
        )
        .await?;
        puppet
            .send(&room, "lost")
            .await
            .expect_err("logged out again");
        puppet
            .send(&room, "lost")
            .await
            .expect_err("nobody acts for her");
        let puppet = puppets
            .adopt(alice.id(), log_in(&irc, &alice).await?)
            .await?;
        puppet.send(&room, "back at once").await?;
        assert_eq!(
            alice.texts(&room).await?,
            ["by the ghost", "back", "back at once"]
        );
        assert_eq!(
            puppets
                .status(alice.id())
                .await?
                .context("a status")?
                .lost_ms,
            None
        );
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn nobody_is_acted_for_with_a_wrong_token() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let irc = lab.mount(service(&Heard::default())).await?;
        let (alice, bob) = (lab.user("alice").await?, lab.user("bob").await?);
        let (running, puppets) = (irc.running(), irc.running().puppets());
        for token in ["nonsense", "", "a b", "new\nline", "ü"] {
            let refused = puppets
                .adopt(alice.id(), Secret::new(token.to_owned()))
                .await;
            assert!(
                matches!(refused, Err(PuppetError::BadToken)),
                "{token:?}: {refused:?}"
            );
        }
        let theirs = puppets.adopt(alice.id(), bob.token().clone()).await;
        assert!(
            matches!(&theirs, Err(PuppetError::NotTheirs(user)) if user == bob.id()),
            "{theirs:?}"
        );
        let ghost = running.ghosts().named("ann")?;
        let own = puppets.adopt(ghost.id(), bob.token().clone()).await;
        assert!(matches!(own, Err(PuppetError::Own(_))), "{own:?}");
        let forbidden = puppets.adopt_by_registration(alice.id()).await;
        assert!(
            matches!(forbidden, Err(PuppetError::NotAllowed(_))),
            "{forbidden:?}"
        );
        let forbidden = puppets.log_in(alice.id()).await;
        assert!(
            matches!(forbidden, Err(PuppetError::NotAllowed(_))),
            "{forbidden:?}"
        );
        assert!(puppets.of(alice.id()).is_none() && puppets.list(None, 10).await?.is_empty());
        for error in [theirs.unwrap_err(), own.unwrap_err()] {
            assert!(!format!("{error} {error:?}").contains(bob.token().expose()));
        }
        Ok(())
    })
    .expect("it goes through");
}

/// Whether any file of a database holds this text.
fn holds(database: &Path, text: &str) -> anyhow::Result<bool> {
    let folder = database.parent().context("a folder")?;
    for entry in std::fs::read_dir(folder)? {
        let bytes = std::fs::read(entry?.path())?;
        if bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes())
        {
            return Ok(true);
        }
    }
    Ok(false)
}

#[test]
fn tokens_are_encrypted_at_rest_and_bound_to_their_secret() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let declared = |secret: &str| {
            let secret = Secret::new(secret.to_owned());
            service(&Heard::default()).puppet_secret(secret)
        };
        let folder = tempfile::tempdir()?;
        let database = folder.path().join("service.db");
        let (place, mut setup) = place(&lab, &declared("one")).await?;
        setup.database = Database::File(database.clone());
        let alice = lab.user("alice").await?;
        let start = async |secret: &str| -> anyhow::Result<Running> {
            let service = declared(secret);
            Ok(service.start(setup.clone()).await?)
        };
        let token = log_in(&place, &alice).await?;
        let running = start("one").await?;
        running.puppets().adopt(alice.id(), token.clone()).await?;
        assert!(
            holds(&database, alice.id().as_str())?,
            "the search finds what is there"
        );
        assert!(!holds(&database, token.expose())?);
        running.stop().await;
        let running = start("one").await?;
        assert!(running.puppets().of(alice.id()).is_some());
        running.stop().await;
        // One start with a wrong secret takes nothing from anybody, and alarms nobody.
        let running = start("another").await?;
        let puppets = running.puppets();
        assert!(puppets.of(alice.id()).is_none());
        lab.pass(Duration::from_secs(10)).await;
        assert!(alice.invitations().await?.is_empty());
        let status = puppets.status(alice.id()).await?.context("a status")?;
        assert_eq!(status.lost_ms, None);
        drop(puppets);
        running.stop().await;
        let running = start("one").await?;
        let known = running.puppets().of(alice.id());
        assert!(known.is_some(), "with the right secret all is as before");
        drop(known);
        running.stop().await;
        Ok(())
    })
    .expect("it goes through");
}
