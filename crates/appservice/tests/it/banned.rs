//! A plain service whose users are banned: what its handlers are told, and what it goes on asking.

use std::{sync::Arc, time::Duration};

use anyhow::ensure;
use bridgehead_appservice::prelude::*;
use bridgehead_testkit::lab::{Lab, LabService, LabUser};
use parking_lot::Mutex;

/// What came of each send of a handler, in words.
type Outcomes = Arc<Mutex<Vec<String>>>;

/// Its own user and a ghost repeat what is said.
fn twins(outcomes: &Outcomes) -> Service {
    let outcomes = outcomes.clone();
    Service::new("twins")
        .bot("twinbot")
        .users("_twin_{name}")
        .limits(|limits| limits.attempts = 3)
        .on(move |text: Text, room: Room, bot: Bot, ghosts: Ghosts| {
            let outcomes = outcomes.clone();
            async move {
                let own = bot.send(&room, format!("bot: {}", text.body)).await;
                let ghost = ghosts.named("ann")?;
                let ghosts = ghost.send(&room, format!("ghost: {}", text.body)).await;
                let told = |outcome: &Result<EventId, Error>| match outcome {
                    Ok(_) => "sent".to_owned(),
                    Err(Error::Forbidden(why)) => format!("forbidden: {why}"),
                    Err(other) => format!("failed: {other}"),
                };
                outcomes.lock().push(told(&own));
                outcomes.lock().push(told(&ghosts));
                own.and(ghosts)
            }
        })
        .on(|member: Member, room: Room, bot: Bot| async move {
            if member.is_own && member.membership == "invite" {
                bot.join(&room).await?;
            }
            Ok::<_, Error>(())
        })
}

async fn begin(lab: &Lab, service: Service) -> anyhow::Result<(LabService, LabUser, RoomId)> {
    let service = lab.mount(service).await?;
    lab.settle().await;
    let alice = lab.user("alice").await?;
    let room = alice.create_room("garden").await?;
    alice.invite(&room, service.running().bot_id()).await?;
    lab.settle().await;
    alice.say(&room, "hello").await?;
    lab.settle().await;
    Ok((service, alice, room))
}

async fn calls(lab: &Lab) -> usize {
    let transcript = lab.transcript().await;
    let calls = transcript.lines();
    calls.filter(|line| line.contains("twins → host")).count()
}

/// The bot is out, and its ghost is in: the service still hears what is said.
#[test]
fn a_bot_that_is_banned_is_told_so_and_comes_back_when_it_may() -> anyhow::Result<()> {
    let outcomes = Outcomes::default();
    Lab::run(async |lab| {
        let (service, alice, room) = begin(&lab, twins(&outcomes)).await?;
        ensure!(std::mem::take(&mut *outcomes.lock()) == ["sent", "sent"]);
        let bot = service.running().bot_id().clone();
        alice.ban(&room, &bot).await?;
        lab.settle().await;

        let before = calls(&lab).await;
        alice.say(&room, "who is there?").await?;
        lab.settle().await;
        let told = std::mem::take(&mut *outcomes.lock());
        // Three attempts; the ghost's message is there once.
        ensure!(told.len() == 6, "{told:?}");
        for pair in told.chunks(2) {
            ensure!(pair[0].starts_with("forbidden: "), "{told:?}");
            ensure!(pair[0].contains("is banned from"), "{told:?}");
            ensure!(pair[1] == "sent", "{told:?}");
        }
        let texts = alice.texts(&room).await?;
        let ghosts = texts.iter().filter(|text| *text == "ghost: who is there?");
        ensure!(ghosts.count() == 1, "{texts:?}");
        let parked = service.running().parked(0, 10).await?;
        ensure!(
            parked.len() == 1 && parked[0].error.contains("is banned from"),
            "{parked:?}"
        );
        // The no is known: it is not asked for again and again, now or later.
        lab.pass(Duration::from_secs(24 * 3600)).await;
        let asked = calls(&lab).await - before;
        ensure!(asked <= 8, "{asked} calls for one message");

        alice.unban(&room, &bot).await?;
        alice.invite(&room, &bot).await?;
        lab.settle().await;
        alice.say(&room, "welcome back").await?;
        lab.settle().await;
        ensure!(std::mem::take(&mut *outcomes.lock()) == ["sent", "sent"]);
        // What was set aside can be had now, without the ghost's part twice.
        ensure!(service.running().replay(parked[0].number).await?);
        lab.settle().await;
        let texts = alice.texts(&room).await?;
        for wanted in [
            "bot: who is there?",
            "ghost: who is there?",
            "bot: welcome back",
        ] {
            let count = texts.iter().filter(|text| *text == wanted).count();
            ensure!(count == 1, "{wanted}: {texts:?}");
        }
        ensure!(service.running().parked(0, 10).await?.is_empty());
        Ok(())
    })
}

/// With nobody of its own in a room, a service hears of it no more, and does not ask.
#[test]
fn a_service_that_is_banned_altogether_is_quiet() -> anyhow::Result<()> {
    let outcomes = Outcomes::default();
    Lab::run(async |lab| {
        let (service, alice, room) = begin(&lab, twins(&outcomes)).await?;
        outcomes.lock().clear();
        let running = service.running();
        let ghost = running.ghosts().named("ann")?;
        alice.ban(&room, ghost.id()).await?;
        alice.ban(&room, running.bot_id()).await?;
        lab.settle().await;
        let before = calls(&lab).await;
        alice.say(&room, "nobody there").await?;
        lab.settle().await;
        for _ in 0..100 {
            // Nobody can read the room's rules any more: it is the homeserver's no.
            let Err(why) = ghost.send(&room, "let me in").await else {
                anyhow::bail!("let in");
            };
            ensure!(!why.is_transient(), "{why}");
            ensure!(why.to_string().contains("banned"), "{why}");
            lab.pass(Duration::from_secs(36)).await;
        }
        let asked = calls(&lab).await - before;
        ensure!(asked <= 30, "{asked} calls in an hour");
        ensure!(outcomes.lock().is_empty());
        ensure!(running.parked(0, 10).await?.is_empty());
        ensure!(running.is_settled());
        Ok(())
    })
}
