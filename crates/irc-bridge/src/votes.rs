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

/// Whether everybody may see who votes for what while a poll runs (MSC3381, "kind").
pub(crate) fn is_disclosed(poll: &Content) -> bool {
    let text = poll.to_json().to_string();
    !text.contains("poll.undisclosed")
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
