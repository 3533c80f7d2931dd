//! Polls of Matrix, as people on IRC vote in them: `!vote 2`, or the same as an answer to the poll.
//!
//! ```text
//! Matrix: a poll, its end ─▶ heard: kept by place ─┐
//! IRC: !vote 2 ─▶ taken ◀──────────────────────────┘
//!                   ├─ m.poll.response of their ghost
//!                   └─ told to them alone: no such answer, the poll is over
//! ```
//!
//! Where there was no poll, `!vote` is said as anything else: it may be for somebody's program.

use bridgehead_appservice::{
    Content, Context, Error, FromContext, HandlerError, Rejection,
    bridge::{Level, Portals, Remote, RemoteId as _, RemoteMessage},
    id::{EventId, UserId},
    store::Store,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Irc,
    ids::Place,
    network::now_ms,
    text::to_irc::poll::{self, vote_for},
    votes::poll_of,
};

/// What somebody on IRC begins a vote with.
const VOTE: &str = "!vote";

/// Polls of a place that can be voted in; older ones are known no more.
const MAX_POLLS: usize = 16;

/// A poll that is over is told so for so long; then `!vote` is nothing of ours again.
const OVER_FOR_MS: i64 = 86_400_000;

/// A poll that IRC was told of.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Poll {
    event: EventId,
    asker: UserId,
    kind: String,
    content: Value,
    /// Since when nobody can vote any more, ms since the Unix epoch.
    over_since_ms: Option<i64>,
}

impl Poll {
    fn content(&self) -> Content {
        Content::new(&self.kind, self.content.clone())
    }
}

/// The polls of a place, the newest last.
type Polls = Vec<Poll>;

fn key(place: &Place) -> String {
    format!("polls/{}", place.to_text())
}

/// A poll, or its end. A handler's argument.
pub(crate) struct News(Content);

impl FromContext for News {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        let event = context.event().ok_or(Rejection::NotForThis)?;
        let content = Content::of(event);
        match poll::is_poll(&content) || poll::is_end(&content) {
            true => Ok(Self(content)),
            false => Err(Rejection::NotForThis),
        }
    }
}

/// Keeps what polls there are.
pub(crate) async fn heard(
    News(content): News,
    context: Context,
    store: Store,
    irc: Portals<Irc>,
) -> Result<(), HandlerError> {
    let Some(event) = context.event() else {
        return Ok(());
    };
    let Some(portal) = irc.at(&event.room_id).await? else {
        return Ok(());
    };
    // IRC was told of no poll of theirs.
    if irc.remote().level(&event.sender)? < Level::Relay {
        return Ok(());
    }
    let key = key(&portal.remote);
    let mut polls: Polls = store.get(&key).await?.unwrap_or_default();
    if poll::is_end(&content) {
        let ended = poll_of(&content);
        let ended = polls
            .iter_mut()
            .find(|poll| Some(&poll.event) == ended.as_ref());
        // Only who asks may end it; clients take no other's word either.
        match ended.filter(|poll| poll.asker == event.sender) {
            Some(poll) => poll.over_since_ms = Some(now_ms()),
            None => return Ok(()),
        }
    } else if polls.iter().all(|poll| poll.event != event.id) {
        polls.push(Poll {
            event: event.id.clone(),
            asker: event.sender.clone(),
            kind: event.kind.clone(),
            content: event.content.clone(),
            over_since_ms: None,
        });
        let surplus = polls.len().saturating_sub(MAX_POLLS);
        polls.drain(..surplus);
    }
    Ok(store.put(&key, &polls).await?)
}

/// What somebody on IRC has said, as far as it is about polls.
pub(crate) enum Said {
    /// It is not.
    Other(Box<RemoteMessage<Irc>>),
    /// It is a vote.
    Vote(Box<RemoteMessage<Irc>>),
    /// They are told this.
    No(String),
}

/// Takes a vote.
pub(crate) async fn taken(
    remote: &Remote<Irc>,
    mut message: RemoteMessage<Irc>,
    now_ms: i64,
) -> Result<Said, Error> {
    let Some(number) = number_of(&message.content) else {
        return Ok(Said::Other(Box::new(message)));
    };
    let store = remote.store()?;
    let polls: Polls = store.get(&key(&message.room)).await?.unwrap_or_default();
    let answered = match &message.reply_to {
        Some(id) => remote.message_of(&message.room, id).await?,
        None => None,
    };
    let meant = match &answered {
        Some(answered) => polls
            .iter()
            .find(|poll| answered.events.contains(&poll.event)),
        None => polls.last(),
    };
    let is_long_over =
        |since_ms: i64| answered.is_none() && now_ms.saturating_sub(since_ms) > OVER_FOR_MS;
    let Some(meant) = meant.filter(|poll| !poll.over_since_ms.is_some_and(is_long_over)) else {
        return Ok(Said::Other(Box::new(message)));
    };
    let content = meant.content();
    let question = poll::question_of(&content).unwrap_or_default();
    if meant.over_since_ms.is_some() {
        return Ok(Said::No(format!("The poll \"{question}\" is over.")));
    }
    let vote = number.and_then(|number| vote_for(&meant.event, &content, number));
    let Some(vote) = vote else {
        let count = poll::count(&content);
        return Ok(Said::No(format!(
            "The poll \"{question}\" has the answers 1 to {count}: say {VOTE} and a number."
        )));
    };
    message.content = vote;
    message.reply_to = None;
    Ok(Said::Vote(Box::new(message)))
}

/// The number that is voted for, if it is a vote: `None` within where it is no number.
fn number_of(content: &Content) -> Option<Option<usize>> {
    let text = content.text()?;
    let mut words = text.split_whitespace();
    let is_vote = words.next()?.eq_ignore_ascii_case(VOTE);
    let number = words.next()?;
    (is_vote && words.next().is_none()).then(|| number.trim_end_matches(')').parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn votes_are_told_from_other_words() {
        for (text, number) in [
            ("!vote 2", Some(Some(2))),
            (" !VOTE 12) ", Some(Some(12))),
            ("!vote two", Some(None)),
            ("!vote -1", Some(None)),
            ("!vote", None),
            ("!vote for me", None),
            ("vote 2", None),
        ] {
            assert_eq!(number_of(&Content::from(text)), number, "{text}");
        }
    }
}
