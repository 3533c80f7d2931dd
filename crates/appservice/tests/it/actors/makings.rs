//! Rooms that are made once, whatever becomes of the answers.

use std::{collections::VecDeque, sync::Arc};

use bridgehead_appservice::surroundings::TransportError;
use parking_lot::Mutex;
use serde_json::json;

use super::{
    scripted::{Answer, Homeserver, start},
    *,
};

/// What a homeserver answers to the making of rooms, one after another, and then the usual.
fn making(answers: impl IntoIterator<Item = Option<Answer>>) -> Homeserver {
    let mut answers: VecDeque<_> = answers.into_iter().collect();
    Homeserver::new(move |asked| match asked.what.contains("createRoom") {
        true => answers.pop_front().flatten(),
        false => None,
    })
}

fn unrecognized() -> Answer {
    Ok((
        404,
        json!({ "errcode": "M_UNRECOGNIZED", "error": "no such endpoint" }),
    ))
}

#[tokio::test(start_paused = true)]
async fn a_room_whose_making_was_not_answered_is_asked_for_under_the_same_id() -> anyhow::Result<()>
{
    let limited = json!({ "errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 20 });
    let homeserver = making([
        Some(Err(TransportError::Unreachable("nobody there".to_owned()))),
        Some(Ok((429, limited))),
        Some(Err(TransportError::Timeout(1))),
        Some(Ok((502, json!({})))),
    ]);
    let running = start(&homeserver).await?;
    let bot = running.bot();
    let room = bot.create_room(RoomPlan::public()).await?;
    assert_eq!(room.id, super::room_id("!made:localhost")?);
    bot.create_room(RoomPlan::public()).await?;
    let asked = homeserver.asked("createRoom");
    assert_eq!(asked.len(), 6);
    assert!(asked[0].what.starts_with("PUT "), "{:?}", asked[0]);
    assert!(asked[..5].iter().all(|again| again.what == asked[0].what));
    assert_ne!(asked[5].what, asked[0].what);
    // Where it may have been made, it is looked for first.
    assert_eq!(homeserver.asked("/joined_rooms").len(), 2);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn without_transaction_ids_a_room_is_not_made_again_when_nobody_knows_whether_it_was()
-> anyhow::Result<()> {
    let homeserver = making([Some(unrecognized()), Some(Err(TransportError::Timeout(1)))]);
    let running = start(&homeserver).await?;
    let bot = running.bot();
    let error = bot
        .create_room(RoomPlan::public())
        .await
        .expect_err("nobody knows");
    assert!(
        matches!(error, Error::Transport(TransportError::Timeout(_))),
        "{error}"
    );
    bot.create_room(RoomPlan::public()).await?;
    let asked = homeserver.asked("createRoom");
    let methods: Vec<&str> = asked
        .iter()
        .filter_map(|asked| asked.what.split(' ').next())
        .collect();
    assert_eq!(methods, ["PUT", "POST", "POST"], "it is asked once");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_room_that_is_there_after_all_is_found_by_its_mark() -> anyhow::Result<()> {
    // The homeserver knows no transaction ids, makes the room, and does not say so.
    let mark = Arc::new(Mutex::new(Value::Null));
    let homeserver = Homeserver::new({
        let mut is_asked = false;
        move |asked| match &asked.what {
            what if what.contains("PUT") && what.contains("createRoom") => Some(unrecognized()),
            what if what.contains("createRoom") => {
                *mark.lock() = asked.body["creation_content"].clone();
                assert!(!std::mem::replace(&mut is_asked, true), "made twice");
                Some(Err(TransportError::Timeout(1)))
            }
            what if what.ends_with("/joined_rooms") => Some(Ok((
                200,
                json!({ "joined_rooms": ["!other:localhost", "!found:localhost"] }),
            ))),
            what if what.contains("found") && what.contains("m.room.create") => {
                Some(Ok((200, mark.lock().clone())))
            }
            what if what.contains("m.room.create") => Some(Ok((200, json!({})))),
            what if what.contains("m.room.join_rules") => {
                Some(Ok((200, json!({ "join_rule": "invite" }))))
            }
            _ => None,
        }
    });
    let running = start(&homeserver).await?;
    let alice = UserId::parse("@alice:localhost")?;
    let bot = running.bot();
    bot.create_dm(&alice).await.expect_err("nobody knows");
    let room = bot.create_dm(&alice).await?;
    assert_eq!(room.id, super::room_id("!found:localhost")?);
    let invites = homeserver.asked("/invite");
    assert_eq!(invites.len(), 1, "{invites:?}");
    assert_eq!(invites[0].body["user_id"], "@alice:localhost");
    Ok(())
}
