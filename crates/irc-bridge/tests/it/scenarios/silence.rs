//! Nothing is swallowed: what a channel or a person does not take, the sender is told of, on the very message.

use bridgehead_appservice::id::{EventId, RoomId};
use bridgehead_testkit::lab::LabUser;

use super::{moderation::linked, talk::ghost};
use crate::{
    peers::{
        ii::{Ii, Shown},
        judge::Judge,
        raw::RawClient,
    },
    stage::{BOT, Server, Stage, alias, comes_to, nick},
};

scenarios![
    a_moderated_channel_says_so,
    a_banned_speaker_is_told,
    a_muted_speaker_is_told,
    a_channel_for_members_of_the_network_says_so,
    a_full_channel_says_so,
    nobody_of_that_nick_is_told,
    what_was_refused_can_be_asked_for_again
];

/// What the bridge has said of a message: its status events, with what they say.
pub(crate) async fn told_of(
    user: &LabUser,
    room: &RoomId,
    event: &EventId,
) -> anyhow::Result<Option<String>> {
    let timeline = user.timeline(room).await?;
    let about = timeline.iter().filter(|told| {
        told.kind == "com.beeper.message_send_status"
            && told.content["m.relates_to"]["event_id"] == event.to_string()
            && told.content["status"]
                .as_str()
                .is_some_and(|status| status.starts_with("FAIL"))
    });
    let mut words = about.filter_map(|told| told.content["message"].as_str());
    Ok(words.next_back().map(str::to_owned))
}

/// Says something that is refused, and gives back the words of the refusal.
pub(crate) async fn refused(
    user: &LabUser,
    room: &RoomId,
    text: &str,
) -> anyhow::Result<(EventId, String)> {
    let event = user.say(room, text).await?;
    let mut words = None;
    comes_to(&true, async || {
        words = told_of(user, room, &event).await?;
        Ok(words.is_some())
    })
    .await?;
    Ok((event, words.unwrap_or_default()))
}

/// Somebody of Matrix who is in a channel on both sides, and an operator of the channel.
async fn in_channel(
    stage: &Stage,
    (user, operator): (&str, &str),
    channel: &str,
) -> anyhow::Result<(LabUser, RoomId, RawClient)> {
    let mut operator = RawClient::welcomed(stage.port, operator).await?;
    operator.join(channel).await?;
    let user = stage.lab.user(user).await?;
    let room = user.join(&alias(channel)).await?;
    operator.sees_enter(&[BOT, &nick(&user)]).await?;
    Ok((user, room, operator))
}

async fn a_moderated_channel_says_so(stage: Stage) -> anyhow::Result<()> {
    let names = ("alice20", "op20", 100);
    let (mut operator, alice, room) = linked(&stage, "#moderated", names).await?;
    operator.ask("MODE #moderated +m", "+m").await?;
    let (_, words) = refused(&alice, &room, "may I?").await?;
    assert!(
        words.contains("voice") || words.contains("let you speak"),
        "no cure: {words}"
    );
    operator
        .ask(&format!("MODE #moderated +v {}", nick(&alice)), "+v")
        .await?;
    alice.say(&room, "now I may").await?;
    operator.hear("now I may").await?;
    Ok(())
}

async fn a_banned_speaker_is_told(stage: Stage) -> anyhow::Result<()> {
    let (alice, room, mut operator) = in_channel(&stage, ("alice21", "op21"), "#banning").await?;
    let mask = format!("MODE #banning +b {}!*@nowhere.invalid", nick(&alice));
    operator.ask(&mask, "+b").await?;
    alice.say(&room, "it is not I who is meant").await?;
    operator.hear("it is not I who is meant").await?;
    // Nobody knows yet that Carol is meant: the room lets her in, and she is told what the channel says.
    let mask = "MODE #banning +b carol21*!*@*";
    operator.ask(mask, "+b").await?;
    let carol = stage.lab.user("carol21").await?;
    let carols = carol.join(&alias("#banning")).await?;
    let (_, words) = refused(&carol, &carols, "may I?").await?;
    let words = words.to_lowercase();
    assert!(
        words.contains("ban") && words.contains("operator"),
        "no cure: {words}"
    );
    // Alice is in the channel when she is banned there: the room puts her out, and her words are nowhere.
    let mask = format!("MODE #banning +b {}!*@*", nick(&alice));
    operator.ask(&mask, "+b").await?;
    comes_to(&Some("ban".to_owned()), async || {
        let members = carol.members(&carols).await?;
        Ok(members.get(alice.id()).cloned())
    })
    .await?;
    assert!(alice.say(&room, "and I?").await.is_err());
    Ok(())
}

async fn a_muted_speaker_is_told(stage: Stage) -> anyhow::Result<()> {
    if stage.server != Server::Inspircd {
        return Ok(());
    }
    let (alice, room, mut operator) = in_channel(&stage, ("alice22", "op22"), "#muting").await?;
    operator.ask("MODE #muting +b m:alice22*!*@*", "+b").await?;
    let (_, words) = refused(&alice, &room, "do you hear me?").await?;
    assert!(!words.is_empty());
    operator.ask("MODE #muting -b m:alice22*!*@*", "-b").await?;
    alice.say(&room, "and now?").await?;
    operator.hear("and now?").await?;
    Ok(())
}

async fn a_channel_for_members_of_the_network_says_so(stage: Stage) -> anyhow::Result<()> {
    if stage.server != Server::Inspircd {
        return Ok(());
    }
    let (alice, room, mut operator) = in_channel(&stage, ("alice23", "op23"), "#accounts").await?;
    operator.ask("MODE #accounts +M", "+M").await?;
    let (_, words) = refused(&alice, &room, "may I?").await?;
    let words = words.to_lowercase();
    assert!(
        words.contains("account") || words.contains("log") || words.contains("regist"),
        "no cure: {words}"
    );
    Ok(())
}

/// A channel that refuses who comes, until its operator has changed that.
async fn refuses(
    stage: &Stage,
    (user, operator, channel): (&str, &str, &str),
    (close, open): (&str, &str),
    cure: &str,
) -> anyhow::Result<()> {
    let (_, room, mut operator) =
        in_channel(stage, (&format!("first{user}"), operator), channel).await?;
    operator
        .ask(&format!("MODE {channel} {close}"), "MODE")
        .await?;
    // The room is open all the same.
    let user = stage.lab.user(user).await?;
    user.join(&alias(channel)).await?;
    let (_, words) = refused(&user, &room, "let me in").await?;
    assert!(words.to_lowercase().contains(cure), "no cure: {words}");
    operator
        .ask(&format!("MODE {channel} {open}"), "MODE")
        .await?;
    // It is tried again by itself, and by speaking.
    let mut turn = 0;
    comes_to(&true, async || {
        turn += 1;
        let event = user.say(&room, &format!("again {turn}")).await?;
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        Ok(told_of(&user, &room, &event).await?.is_none())
    })
    .await?;
    operator.hear(&format!("again {turn}")).await?;
    Ok(())
}

async fn a_full_channel_says_so(stage: Stage) -> anyhow::Result<()> {
    let who = ("alice25", "op25", "#full");
    refuses(&stage, who, ("+l 1", "-l"), "full").await
}

async fn nobody_of_that_nick_is_told(stage: Stage) -> anyhow::Result<()> {
    let mut bob = Ii::start(stage.port, "bob27").await?;
    bob.join("#nobody").await?;
    let alice = stage.lab.user("alice27").await?;
    let shared = alice.join(&alias("#nobody")).await?;
    alice.say(&shared, "hello").await?;
    bob.wait_for("#nobody", &Shown::said(&nick(&alice), "hello"))
        .await?;
    let body = serde_json::json!({ "invite": [ghost("nobody27")], "is_direct": true, "preset": "trusted_private_chat" });
    let room = alice.create_room_with(&body).await?;
    comes_to(&Some("join".to_owned()), async || {
        let members = alice.members(&room).await?;
        let ghost = bridgehead_appservice::id::UserId::parse(&ghost("nobody27"))?;
        Ok(members.get(&ghost).cloned())
    })
    .await?;
    let (_, words) = refused(&alice, &room, "are you there?").await?;
    assert!(
        words.to_lowercase().contains("nobody") || words.to_lowercase().contains("no such"),
        "{words}"
    );
    Ok(())
}

async fn what_was_refused_can_be_asked_for_again(stage: Stage) -> anyhow::Result<()> {
    let names = ("alice28", "op28", 100);
    let (mut operator, alice, room) = linked(&stage, "#again", names).await?;
    let mut judge = Judge::listen(stage.port, "judge28", "#again").await?;
    operator.ask("MODE #again +m", "+m").await?;
    let (event, _) = refused(&alice, &room, "once and only once").await?;
    operator.ask("MODE #again -m", "-m").await?;
    alice.react(&room, &event, "🔁").await?;
    alice.say(&room, "that was it").await?;
    let said = judge.said_until(&nick(&alice), "that was it").await?;
    let texts: Vec<&str> = said.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(texts, ["once and only once", "that was it"]);
    Ok(())
}
