//! What an event of a portal means to the network: its [`Action`], nothing, or why it cannot be.

mod power;

use std::sync::Arc;

use serde_json::Value;

use super::{
    Action, Cause, Foreign, Member, Network, Rejected, calls,
    live::Live,
    messages,
    portal::{Portal, PortalKind},
};
use crate::{
    Content, Error, Event,
    core::Core,
    format::{compose::edit_as_text, content::Kind},
    id::{EventId, MxcUri, UserId},
    state::{JoinRule, Membership},
};

/// What an event means: an action, or a no; `None` where it is nothing for the network.
type Meaning<N> = Option<Result<Action<N>, Rejected>>;

fn no<N: Network>(cause: Cause, reason: impl Into<String>) -> Meaning<N> {
    Some(Err(Rejected::new(cause, reason)))
}

/// What an event means to the network.
pub(crate) async fn action<N: Network>(
    live: &Arc<Live<N>>,
    core: &Arc<Core>,
    portal: &Portal<N>,
    event: &Foreign<N>,
) -> Result<Meaning<N>, Error> {
    if event.is_state() {
        if is_of_held(live, core, portal, event).await? {
            return Ok(None);
        }
        let is_made = portal.data.kind == PortalKind::Made;
        return Ok(state::<N>(live, core, event, N::RULES && is_made));
    }
    match event.kind.as_str() {
        "m.room.encrypted" => Ok(no(
            Cause::Encrypted,
            "it is encrypted, and the bridge cannot read that",
        )),
        "m.reaction" => reaction(core, portal, event).await,
        "m.room.redaction" => redaction(core, portal, event).await,
        _ => message(live, core, portal, event).await,
    }
}

/// Whether a ghost is invited that is wanted in the room for what is held of it, and comes by itself: its user is in the
/// network's room already.
async fn is_of_held<N: Network>(
    live: &Live<N>,
    core: &Core,
    portal: &Portal<N>,
    event: &Event,
) -> Result<bool, Error> {
    if event.kind != "m.room.member" || event.text("membership") != Some("invite") {
        return Ok(false);
    }
    let ghost = event.state_key.as_deref().map(UserId::parse);
    let Some(Ok(ghost)) = ghost else {
        return Ok(false);
    };
    let Some(user) = live.user_of(&ghost) else {
        return Ok(false);
    };
    let view = core.rooms.view(&portal.matrix).await?;
    // It may have come in the meantime.
    let is_in = view.membership(&ghost) == Some(Membership::Join);
    Ok(is_in || live.holds(&portal.remote, &user))
}

async fn message<N: Network>(
    live: &Arc<Live<N>>,
    core: &Arc<Core>,
    portal: &Portal<N>,
    event: &Event,
) -> Result<Meaning<N>, Error> {
    let content = Content::new(&event.kind, event.content.clone());
    if let Some(target) = content.is_edit_of() {
        return edit(live, core, portal, (event, &content, target)).await;
    }
    let is_message = matches!(event.kind.as_str(), "m.room.message" | "m.sticker");
    // Events of other types go if they can be said in words; the rest is clients' business among themselves.
    if !is_message && content.describe().is_none() {
        return Ok(None);
    }
    if event
        .content
        .as_object()
        .is_none_or(serde_json::Map::is_empty)
    {
        return Ok(None);
    }
    let reply_to = match content.replies_to() {
        Some(answered) => messages::in_room::<N>(core, &portal.remote, &answered).await?,
        None => None,
    };
    Ok(Some(Ok(Action::Message { content, reply_to })))
}

async fn edit<N: Network>(
    live: &Arc<Live<N>>,
    core: &Arc<Core>,
    portal: &Portal<N>,
    (event, content, target): (&Event, &Content, EventId),
) -> Result<Meaning<N>, Error> {
    let Some(new) = content.new_content() else {
        return Ok(None);
    };
    let known = messages::in_room::<N>(core, &portal.remote, &target).await?;
    // Nobody edits what somebody else has said: clients do not show it either (specification, *Validity of replacement
    // events*).
    let is_own = |sender: &UserId| *sender == event.sender;
    if known.as_ref().is_some_and(|known| !is_own(&known.sender)) {
        return Ok(None);
    }
    if N::EDITS {
        return Ok(match known {
            // It was taken back meanwhile, or that is what was said last.
            Some(target) if !is_news(target.content.as_ref(), &new) => None,
            Some(target) => Some(Ok(Action::Edit {
                target,
                content: new,
            })),
            None => no(Cause::TooOld, "the message is not known any more"),
        });
    }
    // In words, and for that it takes what was said before.
    let before = match known.and_then(|known| known.content) {
        Some(before) => Some(before),
        None => match original(core, portal, &target).await? {
            Some((sender, _)) if !is_own(&sender) => return Ok(None),
            original => original.map(|(_, content)| content),
        },
    };
    let (Some(before), Some(after)) = (before.and_then(|before| before.rich()), new.rich()) else {
        return Ok(no(Cause::Unsupported, "that cannot be edited there"));
    };
    let said = edit_as_text(&before, &after, live.plan.edit_style);
    // Other marks on the same words are not worth a word.
    Ok(said.map(|said| Ok(Action::message(Content::message(kind_of(&new), &said)))))
}

/// Whether an edit says something else than what was said last.
fn is_news(before: Option<&Content>, new: &Content) -> bool {
    let words = |content: &Content| {
        let mut fields = content.to_json();
        if let Some(fields) = fields.as_object_mut() {
            for beside in ["m.relates_to", "m.mentions"] {
                fields.remove(beside);
            }
        }
        fields
    };
    before.is_some_and(|before| words(before) != words(new))
}

fn kind_of(content: &Content) -> Kind {
    content.kind().unwrap_or(Kind::Text)
}

/// Who has sent an event, and what it was before edits.
async fn original<N: Network>(
    core: &Core,
    portal: &Portal<N>,
    event: &EventId,
) -> Result<Option<(UserId, Content)>, Error> {
    let agent = portal.agent(core);
    let found = calls::event(core, &agent, &portal.matrix, event).await;
    let event = match found {
        Err(error) if error.status() == Some(403) => None,
        found => found?,
    };
    Ok(event.and_then(|mut event| {
        let kind = event.get("type")?.as_str()?.to_owned();
        let sender = UserId::parse(event.get("sender")?.as_str()?).ok()?;
        Some((
            sender,
            Content::new(&kind, event.get_mut("content")?.take()),
        ))
    }))
}

async fn reaction<N: Network>(
    core: &Core,
    portal: &Portal<N>,
    event: &Event,
) -> Result<Meaning<N>, Error> {
    let content = Content::new(&event.kind, event.content.clone());
    let Some((target, key)) = content.reaction() else {
        return Ok(None);
    };
    if !N::REACTIONS {
        let rejected = Rejected::new(Cause::Unsupported, format!("{} has no reactions", N::TITLE));
        return Ok(Some(Err(rejected.quiet())));
    }
    Ok(
        match messages::in_room::<N>(core, &portal.remote, &target).await? {
            Some(target) => Some(Ok(Action::React {
                target,
                key: key.to_owned(),
            })),
            None => {
                let rejected = Rejected::new(Cause::TooOld, "the message is not known there");
                Some(Err(rejected.quiet()))
            }
        },
    )
}

async fn redaction<N: Network>(
    core: &Core,
    portal: &Portal<N>,
    event: &Event,
) -> Result<Meaning<N>, Error> {
    let Some(redacts) = &event.redacts else {
        return Ok(None);
    };
    let target = messages::in_room::<N>(core, &portal.remote, redacts).await?;
    Ok(match target {
        Some(reaction) if reaction.reaction.is_some() => Some(Ok(Action::Unreact { reaction })),
        Some(target) if N::REDACTIONS => Some(Ok(Action::Redact {
            target,
            reason: event.text("reason").map(str::to_owned),
        })),
        // Only of what the network has is it news that it cannot be taken back.
        None if !was_delivered::<N>(core, redacts).await? => None,
        Some(_) | None => no(
            Cause::Unsupported,
            format!(
                "what was said on {} cannot be taken back from here",
                N::TITLE
            ),
        ),
    })
}

/// Whether the network has got an event, as far as is remembered.
async fn was_delivered<N: Network>(core: &Core, event: &EventId) -> Result<bool, Error> {
    let known = super::status::known::<N>(core, event).await?;
    Ok(known.is_some_and(|known| known.is_delivered()))
}

/// What a change of the room's state means, whose rules are the network's as well or not. What the network lacks, clients
/// are told; of what no network has, nobody.
fn state<N: Network>(live: &Live<N>, core: &Core, event: &Event, has_rules: bool) -> Meaning<N> {
    if event.kind == "m.room.member" {
        return member(live, core, event);
    }
    if event.state_key.as_deref() != Some("") {
        return None;
    }
    let text = |field: &str| event.text(field).unwrap_or_default().to_owned();
    let (has, what, action) = match event.kind.as_str() {
        "m.room.topic" => (N::TOPICS, "topic", Action::Topic(text("topic"))),
        "m.room.name" => (N::NAMES, "name", Action::Name(text("name"))),
        "m.room.avatar" => {
            let uri = event.text("url").and_then(|uri| MxcUri::parse(uri).ok());
            (N::AVATARS, "picture", Action::Avatar(uri))
        }
        "m.room.power_levels" if N::POWER => return power::changes(live, core, event, has_rules),
        "m.room.join_rules" if has_rules => return join_rule(event),
        _ => return None,
    };
    match has {
        true => Some(Ok(action)),
        false => lacks(format!(
            "a room's {what} cannot be set on {} from here",
            N::TITLE
        )),
    }
}

fn join_rule<N: Network>(event: &Event) -> Meaning<N> {
    let rule = |content: &Value| {
        let rule = content.get("join_rule")?.as_str()?;
        Some(JoinRule::from(rule.to_owned()))
    };
    let (before, now) = (
        event.previous_content().and_then(rule),
        rule(&event.content)?,
    );
    (before.as_ref() != Some(&now)).then_some(Ok(Action::JoinRule { before, now }))
}

fn lacks<N: Network>(reason: String) -> Meaning<N> {
    Some(Err(Rejected::new(Cause::Unsupported, reason).quiet()))
}

fn member<N: Network>(live: &Live<N>, core: &Core, event: &Event) -> Meaning<N> {
    let whom = UserId::parse(event.state_key.as_deref()?).ok()?;
    let membership = event.text("membership")?;
    let before = event.previous_content();
    let before = before.and_then(|content| content.get("membership")?.as_str());
    match live.user_of(&whom) {
        Some(user) => ghosts::<N>(event, user, (before, membership)),
        // Other networks' ghosts, and the service's own user.
        None if core.is_own(&whom) => None,
        None => persons::<N>(event, &whom, (before, membership)),
    }
}

/// What is done to a user of the network, in the room.
fn ghosts<N: Network>(
    event: &Event,
    user: N::User,
    (before, now): (Option<&str>, &str),
) -> Meaning<N> {
    let reason = event.text("reason").map(str::to_owned);
    let action = match (before, now) {
        (Some("invite"), "invite") | (Some("ban"), "ban") => return None,
        // The ghost itself answers where the network has no invitations.
        (_, "invite") => return N::MEMBERSHIP.then_some(Ok(Action::Invite { user })),
        (Some("ban"), "leave") => Action::Unban {
            whom: Member::User(user),
        },
        // They were not there: an invitation is taken back, a wish to come refused.
        (Some("invite" | "knock" | "leave"), "leave") => return None,
        (_, "leave" | "ban") => Action::Remove {
            user,
            reason,
            is_ban: now == "ban",
        },
        _ => return None,
    };
    match N::MEMBERSHIP {
        true => Some(Ok(action)),
        false => lacks(format!(
            "on {} nobody can be removed from here, or let in again",
            N::TITLE
        )),
    }
}

/// How people of Matrix come and go, and who of them may not.
fn persons<N: Network>(
    event: &Event,
    whom: &UserId,
    (before, now): (Option<&str>, &str),
) -> Meaning<N> {
    if !N::MEMBERSHIP {
        return None;
    }
    match (before, now) {
        // A join after a join is another name.
        (Some("join"), "join") => None,
        (_, "join") => Some(Ok(Action::Join)),
        (Some("join") | None, "leave" | "ban") => Some(Ok(Action::Leave {
            reason: event.text("reason").map(str::to_owned),
            by: (event.sender != *whom).then(|| event.sender.clone()),
            is_ban: now == "ban",
        })),
        (Some("ban"), "ban") => None,
        (_, "ban") => Some(Ok(Action::Ban {
            person: whom.clone(),
            reason: event.text("reason").map(str::to_owned),
        })),
        (Some("ban"), "leave") => Some(Ok(Action::Unban {
            whom: Member::Person(whom.clone()),
        })),
        // Nobody leaves who was not there: who declines, or is invited no more.
        _ => None,
    }
}
