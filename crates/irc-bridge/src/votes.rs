//! Votes in polls: clients' business among themselves for the kit, and a line for people on IRC.

use bridgehead_appservice::{
    Content, Context, FromContext, Rejection,
    bridge::{Action, Fate, Foreign, Portal, Portals},
    id::EventId,
};

use crate::Irc;

/// What votes are called, the newest name first.
const RESPONSES: [&str; 2] = ["m.poll.response", "org.matrix.msc3381.poll.response"];

/// A vote in a poll. A handler's argument.
pub(crate) struct Vote(Content);

impl FromContext for Vote {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        let event = context.event().ok_or(Rejection::NotForThis)?;
        match is_vote(&event.kind) {
            true => Ok(Self(Content::of(event))),
            false => Err(Rejection::NotForThis),
        }
    }
}

/// Whether events of this type are votes.
pub(crate) fn is_vote(kind: &str) -> bool {
    RESPONSES.contains(&kind)
}

/// The poll that a vote is in.
pub(crate) fn poll_of(vote: &Content) -> Option<EventId> {
    let fields = vote.to_json();
    let event = fields.get("m.relates_to")?.get("event_id")?;
    EventId::parse(event.as_str()?).ok()
}

/// The kinds of polls whose votes everybody may see while they run, the newest name first.
const DISCLOSED: [&str; 3] = [
    "m.disclosed",
    "m.poll.disclosed",
    "org.matrix.msc3381.poll.disclosed",
];

/// Whether everybody may see who votes for what while a poll runs (MSC3381, "kind"): not, where it does not say so.
pub(crate) fn is_disclosed(poll: &Content) -> bool {
    let kind = poll.poll().and_then(|poll| poll.kind);
    kind.is_some_and(|kind| DISCLOSED.contains(&kind.as_str()))
}

/// Tells a vote.
pub(crate) async fn tell(
    Vote(content): Vote,
    event: Foreign<Irc>,
    portal: Portal<Irc>,
    portals: Portals<Irc>,
) -> Fate {
    portals
        .deliver(&portal, event, Action::message(content))
        .await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn votes_are_told_only_where_the_poll_says_so() {
        for (kind, disclosed) in [
            (json!("m.disclosed"), true),
            (json!("m.poll.disclosed"), true),
            (json!("org.matrix.msc3381.poll.disclosed"), true),
            (json!("m.undisclosed"), false),
            (json!("m.poll.undisclosed"), false),
            (json!("org.matrix.msc3381.poll.undisclosed"), false),
            (json!("something else"), false),
            (json!(7), false),
            (json!(null), false),
        ] {
            for name in ["m.poll", "m.poll.start", "org.matrix.msc3381.poll.start"] {
                let mut poll = json!({ name: {
                    "question": { "m.text": "poll.disclosed?" },
                    "answers": [{ "id": "1", "m.text": "m.disclosed" }],
                } });
                if !kind.is_null() {
                    poll[name]["kind"] = kind.clone();
                }
                let poll = Content::new("m.poll.start", poll);
                assert_eq!(is_disclosed(&poll), disclosed, "{kind} in {name}");
            }
        }
    }
}
