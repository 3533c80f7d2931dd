//! What is only a matter of time is waited for, and what is not is not asked again and again.

use std::{collections::VecDeque, time::Duration};

use bridgehead_appservice::surroundings::TransportError;
use serde_json::json;

use super::{
    scripted::{Homeserver, no, room, start},
    *,
};

#[tokio::test(start_paused = true)]
async fn a_token_that_is_not_known_yet_is_no_answer_of_the_room() -> anyhow::Result<()> {
    let mut answers = VecDeque::from([true, true]);
    let homeserver = Homeserver::new(move |asked| {
        let unknown = json!({ "errcode": "M_UNKNOWN_TOKEN", "error": "who?" });
        let is_refused = asked.what.contains("/join/") && answers.pop_front().unwrap_or(false);
        is_refused.then_some(Ok((401, unknown)))
    });
    let running = start(&homeserver).await?;
    let ghost = running.ghosts().named("ann")?;
    ghost.join(&room()?).await.expect_err("not known");
    ghost.join(&room()?).await.expect_err("not known");
    ghost.join(&room()?).await?;
    assert_eq!(homeserver.asked("/join/").len(), 3);
    assert!(
        homeserver.asked("/invite").is_empty(),
        "nobody is asked to help"
    );
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_send_waits_for_a_join_that_takes_its_time() -> anyhow::Result<()> {
    // Not there for longer than a call is tried; and who is not in the room cannot send.
    let (mut outage, mut is_in) = (20, false);
    let homeserver = Homeserver::new(move |asked| match &asked.what {
        what if what.contains("/join/") && outage > 0 => {
            outage -= 1;
            Some(Ok((503, json!({}))))
        }
        what if what.contains("/join/") => {
            is_in = true;
            None
        }
        what if what.contains("/send/") && !is_in => Some(no("M_FORBIDDEN")),
        _ => None,
    });
    let running = start(&homeserver).await?;
    let ghost = running.ghosts().named("ann")?;
    ghost.send(&room()?, "hello").await?;
    let sends = homeserver.asked("/send/");
    assert!(sends.len() > 1);
    assert!(sends.iter().all(|send| send.what == sends[0].what));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_room_that_refuses_everything_is_not_looked_into_for_each_message() -> anyhow::Result<()>
{
    let homeserver =
        Homeserver::new(|asked| asked.what.contains("/send/").then(|| no("M_FORBIDDEN")));
    let running = start(&homeserver).await?;
    let ghost = running.ghosts().named("ann")?;
    for _ in 0..20 {
        ghost.send(&room()?, "hello").await.expect_err("refused");
    }
    let read = homeserver.asked("/state").len();
    assert!(read <= 2, "{read} readings of the room");
    assert!(homeserver.asked("/register").len() <= 3);
    // After a while it is worth another look.
    tokio::time::sleep(Duration::from_secs(61)).await;
    ghost.send(&room()?, "hello").await.expect_err("refused");
    assert!(homeserver.asked("/state").len() > read);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_room_that_is_too_large_is_read_once_an_hour() -> anyhow::Result<()> {
    let homeserver = Homeserver::new(|asked| {
        let is_state = asked.what.ends_with("/state");
        is_state.then_some(Err(TransportError::TooLarge(64 << 20)))
    });
    let running = start(&homeserver).await?;
    let bot = running.bot();
    for n in 0..5 {
        let user = UserId::parse(&format!("@u{n}:localhost"))?;
        bot.invite(&room()?, &user).await?;
        running
            .ghosts()
            .named(&format!("g{n}"))?
            .join(&room()?)
            .await?;
    }
    assert_eq!(homeserver.asked("/state").len(), 1);
    tokio::time::sleep(Duration::from_secs(3601)).await;
    bot.invite(&room()?, &UserId::parse("@late:localhost")?)
        .await?;
    assert_eq!(homeserver.asked("/state").len(), 2);
    Ok(())
}
