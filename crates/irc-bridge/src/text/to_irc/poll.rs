//! Polls (MSC3381): what is voted, in words, and how somebody on IRC votes.
//!
//! The question and its numbered answers are one line, which the kit writes; people on IRC vote by number.

use bridgehead_appservice::{
    format::{
        Rich,
        content::{Content, Kind, PollAnswer},
    },
    id::EventId,
};
use serde_json::{Value, json};

use super::{
    Around, Said,
    quote::{first_words, one_line},
};

/// How much of a question or an answer is told.
const TEXT_BYTES: usize = 80;

/// Answers that somebody votes for at once, at most.
const MAX_CHOSEN: usize = 20;

/// What somebody does who votes: `* alice votes "Tea" on "What to drink?"`. `None` if it is no vote.
#[must_use]
pub fn vote(content: &Content, poll: Option<&Content>, around: &Around<'_>) -> Option<Said> {
    let fields = content.to_json();
    let chosen = selections(&fields)?;
    let poll = poll.and_then(Content::poll);
    let answers = poll.as_ref().map_or(&[][..], |poll| &poll.answers);
    let is_it = |answer: &&PollAnswer, id: &str| answer.id.as_deref() == Some(id);
    let named = chosen
        .iter()
        .filter_map(|id| answers.iter().find(|answer| is_it(answer, id)));
    let named: Vec<_> = named
        .map(|answer| format!("\"{}\"", first_words(&answer.text, TEXT_BYTES)))
        .collect();
    let on = match &poll {
        Some(poll) => format!("on \"{}\"", first_words(&poll.question, TEXT_BYTES)),
        None => "in a poll".to_owned(),
    };
    let said = match (chosen.is_empty(), named.is_empty()) {
        (true, _) => format!("takes back the vote {on}"),
        (false, true) => format!("votes {on}"),
        (false, false) => format!("votes {} {on}", named.join(", ")),
    };
    Said::new(Kind::Emote, Rich::plain(&said), around)
}

/// The vote of somebody on IRC for the answer of this number, counted from 1. `None` if there is no such answer.
#[must_use]
pub fn vote_for(poll_event: &EventId, poll: &Content, number: usize) -> Option<Content> {
    let answers = poll.poll()?.answers;
    let id = answers.get(number.checked_sub(1)?)?.id.as_ref()?;
    let relation = json!({ "rel_type": "m.reference", "event_id": poll_event });
    // Clients that know only one of the names know that of the poll.
    Some(if poll.event_type() == "m.poll.start" {
        Content::new(
            "m.poll.response",
            json!({ "m.relates_to": relation, "m.selections": [id] }),
        )
    } else {
        let response = json!({ "answers": [id] });
        Content::new(
            "org.matrix.msc3381.poll.response",
            json!({ "m.relates_to": relation, "org.matrix.msc3381.poll.response": response }),
        )
    })
}

/// Whether it is a poll.
#[must_use]
pub fn is_poll(content: &Content) -> bool {
    ["m.poll.start", "org.matrix.msc3381.poll.start"].contains(&content.event_type())
        && content.poll().is_some()
}

/// Whether it is the end of a poll.
#[must_use]
pub fn is_end(content: &Content) -> bool {
    ["m.poll.end", "org.matrix.msc3381.poll.end"].contains(&content.event_type())
}

/// What a poll asks.
#[must_use]
pub fn question_of(poll: &Content) -> Option<String> {
    Some(first_words(&poll.poll()?.question, TEXT_BYTES))
}

/// How many answers a poll has.
#[must_use]
pub fn count(poll: &Content) -> usize {
    poll.poll().map_or(0, |poll| poll.answers.len())
}

/// The end of a poll in words, if it is one.
pub(super) fn ended(content: &Content) -> Option<String> {
    is_end(content).then(|| match text_of(&content.to_json()) {
        Some(text) => format!("[poll ended: {text}]"),
        None => "[poll ended]".to_owned(),
    })
}

fn selections(fields: &Value) -> Option<Vec<&str>> {
    let stable = fields.get("m.selections");
    let unstable = || {
        fields
            .get("org.matrix.msc3381.poll.response")?
            .get("answers")
    };
    let ids = stable.or_else(unstable)?.as_array()?;
    Some(
        ids.iter()
            .filter_map(Value::as_str)
            .take(MAX_CHOSEN)
            .collect(),
    )
}

/// The text of an extensible event's part, under its names old and new.
fn text_of(part: &Value) -> Option<String> {
    let forms = part.get("m.text").and_then(Value::as_array);
    let stable = || {
        forms
            .into_iter()
            .flatten()
            .find_map(|form| form.get("body")?.as_str())
    };
    let plain = ["m.text", "org.matrix.msc1767.text", "body"]
        .iter()
        .find_map(|name| part.get(*name)?.as_str());
    let text = one_line(plain.or_else(stable)?);
    (!text.is_empty()).then_some(text)
}
