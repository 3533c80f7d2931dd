//! A person's own room with the bridge, where every message is a command.

use anyhow::Context as _;
use bridgehead_appservice::{
    Event,
    id::{EventId, RoomId, UserId},
};
use bridgehead_testkit::{SERVER_NAME, lab::LabUser};
use serde_json::json;

/// The bridge's own user.
pub(crate) fn bot() -> anyhow::Result<UserId> {
    Ok(UserId::parse(&format!("@ircbot:{SERVER_NAME}"))?)
}

/// Somebody's own room with the bridge.
pub(crate) struct Control<'a> {
    pub(crate) user: &'a LabUser,
    pub(crate) room: RoomId,
}

impl<'a> Control<'a> {
    /// The person begins to talk to the bridge.
    pub(crate) async fn open(user: &'a LabUser) -> anyhow::Result<Self> {
        let body =
            json!({ "preset": "trusted_private_chat", "is_direct": true, "invite": [bot()?] });
        let room = user.create_room_with(&body).await?;
        let is_welcome =
            |event: &Event| body_of(event).starts_with("Here you can talk to me alone");
        user.wait_for(&room, "the welcome", is_welcome).await?;
        Ok(Self { user, room })
    }

    /// Gives a command, and waits for its answer.
    pub(crate) async fn ask(&self, command: &str) -> anyhow::Result<String> {
        ask(self.user, &self.room, command).await
    }

    /// Gives a command whose answer has to have these words.
    pub(crate) async fn expect(&self, command: &str, words: &str) -> anyhow::Result<()> {
        let answer = self.ask(command).await?;
        anyhow::ensure!(
            answer.contains(words),
            "{command}: no `{words}` in: {answer}"
        );
        Ok(())
    }

    /// Waits until the bridge tells something with these words without being asked.
    pub(crate) async fn told(&self, words: &str) -> anyhow::Result<Event> {
        let what = format!("`{words}`");
        let bot = bot()?;
        let is_told = |event: &Event| event.sender == bot && body_of(event).contains(words);
        Ok(self.user.wait_for(&self.room, &what, is_told).await?)
    }
}

/// Gives a command in a room, and waits for its answer.
pub(crate) async fn ask(user: &LabUser, room: &RoomId, command: &str) -> anyhow::Result<String> {
    let asked = user.say(room, command).await?;
    answer_to(user, room, &asked)
        .await
        .with_context(|| format!("the answer to `{command}`"))
}

/// The bridge's answer to a message.
pub(crate) async fn answer_to(
    user: &LabUser,
    room: &RoomId,
    asked: &EventId,
) -> anyhow::Result<String> {
    let bot = bot()?;
    let is_answer = |event: &Event| {
        let to = event
            .content
            .pointer("/m.relates_to/m.in_reply_to/event_id");
        event.sender == bot && to.and_then(|id| id.as_str()) == Some(asked.as_str())
    };
    let answer = user.wait_for(room, "an answer", is_answer).await?;
    Ok(body_of(&answer).to_owned())
}

/// The text of a message.
pub(crate) fn body_of(event: &Event) -> &str {
    event.content["body"].as_str().unwrap_or_default()
}
