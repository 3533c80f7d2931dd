//! Name, topic and picture of a portal, from the network; and portals that are cut off.

use serde_json::{Value, json};

use super::{Portal, PortalData, PortalKind, Rooms, speech};
use crate::{
    Error, Urgency,
    actors::preflight,
    bridge::{
        Network, RoomChange, calls, info,
        links::Links,
        live::Live,
        management,
        network::{Change, Doing, Undone, join_rules},
    },
    core::Core,
    id::UserId,
    outbox::{Outgoing, What},
    state::{JoinRule, Membership},
};

/// The state events that a change is, with what they become.
fn events(data: &PortalData, change: &RoomChange) -> Vec<(&'static str, Value)> {
    let mut events = Vec::new();
    if let Some(name) = &change.name
        && data.name.as_ref() != Some(name)
    {
        events.push(("m.room.name", json!({ "name": name })));
    }
    if let Some(topic) = &change.topic
        && data.topic.as_ref() != Some(topic)
    {
        events.push(("m.room.topic", json!({ "topic": topic })));
    }
    if let Some(avatar) = &change.avatar
        && data.avatar.as_ref() != Some(avatar)
    {
        events.push(("m.room.avatar", json!({ "url": avatar })));
    }
    if let Some(rule) = &change.join_rule {
        events.push(("m.room.join_rules", join_rules(rule, &change.allow)));
    }
    events
}

/// The change without what the network has no say in: who may come into a room, who finds it, and who may speak, is
/// decided by the bridge where it has made the room, and else by those whose room it is.
fn allowed(kind: PortalKind, change: RoomChange) -> RoomChange {
    match kind {
        PortalKind::Made => change,
        PortalKind::Plumbed | PortalKind::Direct => RoomChange {
            join_rule: None,
            is_open: None,
            allow: Vec::new(),
            is_listed: None,
            speech_level: None,
            ..change
        },
    }
}

/// Brings a change of the network's room into the portal. What is so already is left alone: so a change that came
/// from Matrix, and that the network tells to everybody, does not come back.
pub(crate) async fn sync<N: Network>(
    doing: &Doing<'_, N>,
    mut portal: Portal<N>,
    by: Option<&N::User>,
    change: RoomChange,
) -> Result<Option<Change>, Undone> {
    let mut change = allowed(portal.data.kind, change);
    if let Some(is_open) = change.is_open {
        change.join_rule = rule_for(doing, &portal, is_open).await?;
    }
    let ghost = by.and_then(|user| doing.live.ghost_id(user).ok());
    for (kind, content) in events(&portal.data, &change) {
        // What was changed from Matrix comes back from the network as news to everybody.
        let had_another = said_otherwise(&portal.data, kind, &change);
        if is_so(doing, &portal, (kind, &content), had_another).await? {
            continue;
        }
        set(doing, &portal, ghost.as_ref(), (kind, content)).await?;
    }
    if let Some(is_listed) = change.is_listed {
        let agent = portal.agent(doing.core);
        calls::list_in_directory(doing.core, &agent, &portal.matrix, is_listed).await?;
    }
    if let Some(level) = change.speech_level {
        speech::let_speak(doing, &mut portal, level).await?;
    }
    let data = &mut portal.data;
    data.name = change.name.or(data.name.take());
    data.topic = change.topic.or(data.topic.take());
    data.avatar = change.avatar.or(data.avatar.take());
    data.join_rule = change.join_rule.or(data.join_rule.take());
    Links::<Rooms<N>>::of(doing.core)
        .link(&portal.remote, &portal.matrix, &portal.data)
        .await?;
    info::update(doing.live, doing.core, &portal).await?;
    Ok(None)
}

/// The rule by which a room becomes open, or is so no more; none, where it keeps its own.
async fn rule_for<N: Network>(
    doing: &Doing<'_, N>,
    portal: &Portal<N>,
    is_open: bool,
) -> Result<Option<JoinRule>, Error> {
    if is_open {
        return Ok(Some(JoinRule::Public));
    }
    let heard = calls::heard_state(doing.core, &portal.matrix, "m.room.join_rules", "").await?;
    let is_own = |content: &Option<Value>| {
        let rule = content
            .as_ref()
            .and_then(|content| content["join_rule"].as_str());
        rule.is_some_and(|rule| !["public", "invite"].contains(&rule))
    };
    let mut stays = is_own(&heard);
    if stays && portal.data.join_rule == Some(JoinRule::Public) {
        // What was heard may be older than what the bridge has set.
        let agent = portal.agent(doing.core);
        let event = ("m.room.join_rules", "");
        stays = match calls::state(doing.core, &agent, &portal.matrix, event).await {
            Err(error) if calls::is_refused(&error) => false,
            current => is_own(&current?),
        };
    }
    Ok((!stays).then_some(JoinRule::Invite))
}

/// Whether the network's last word of this was another one: then the room may have it, and the bridge has not heard of it.
fn said_otherwise(data: &PortalData, kind: &str, change: &RoomChange) -> bool {
    match kind {
        "m.room.name" => data.name.is_some(),
        "m.room.topic" => data.topic.is_some(),
        "m.room.avatar" => data.avatar.is_some(),
        _ => data.join_rule.is_some() && data.join_rule != change.join_rule,
    }
}

/// Whether a state event is already what it is to become. What was heard may be older than what the room has now, which
/// counts where the bridge `had_another` in it.
async fn is_so<N: Network>(
    doing: &Doing<'_, N>,
    portal: &Portal<N>,
    (kind, wanted): (&'static str, &Value),
    had_another: bool,
) -> Result<bool, Error> {
    let has_it = |known: &Option<Value>| {
        let known_and_wanted = known.as_ref().zip(wanted.as_object());
        known_and_wanted.is_some_and(|(known, wanted)| {
            let mut fields = wanted.iter();
            fields.all(|(field, value)| known.get(field) == Some(value))
        })
    };
    let heard = calls::heard_state(doing.core, &portal.matrix, kind, "").await?;
    if !has_it(&heard) || !had_another {
        return Ok(has_it(&heard));
    }
    let agent = portal.agent(doing.core);
    match calls::state(doing.core, &agent, &portal.matrix, (kind, "")).await {
        Err(error) if calls::is_refused(&error) => Ok(true),
        current => Ok(has_it(&current?)),
    }
}

/// Sets it as whoever has changed it, or as the bridge where they have no power.
async fn set<N: Network>(
    doing: &Doing<'_, N>,
    portal: &Portal<N>,
    ghost: Option<&UserId>,
    (kind, content): (&'static str, Value),
) -> Result<(), Error> {
    let agent = portal.agent(doing.core);
    let view = doing.core.rooms.view(&portal.matrix).await?;
    let action = preflight::Action::State {
        kind,
        key: "",
        content: &content,
    };
    // The ghost is given no power for this: the bridge has it.
    let may = |ghost: &&UserId| {
        view.membership(ghost) == Some(Membership::Join)
            && doing.core.check_action(&view, ghost, &action).is_none()
    };
    for user in ghost.filter(may).into_iter().chain([&agent]) {
        let outgoing = Outgoing {
            key: doing.key(&format!("{kind}/{user}")),
            room_id: portal.matrix.clone(),
            user: user.clone(),
            what: What::State(kind.to_owned(), String::new()),
            content: content.clone(),
            ts_ms: None,
            urgency: Urgency::Profile,
        };
        match calls::send(doing.core, &outgoing).await {
            Err(error) if calls::is_refused(&error) => {
                tracing::debug!(%user, kind, %error, "may not change the room");
            }
            sent => return sent.map(drop),
        }
    }
    Ok(())
}

/// The network's room cannot be reached any more.
pub(crate) async fn gone<N: Network>(
    doing: &Doing<'_, N>,
    portal: Portal<N>,
    reason: &str,
) -> Result<Option<Change>, Undone> {
    let said = format!("This room is cut off from {}: {reason}", N::TITLE);
    let outgoing = management::notice(
        &portal.matrix,
        &portal.agent(doing.core),
        doing.key("gone"),
        &said,
    );
    if let Err(error) = calls::send(doing.core, &outgoing).await
        && !calls::is_refused(&error)
    {
        return Err(error.into());
    }
    broken(doing.live, doing.core, portal, reason).await?;
    Ok(None)
}

/// Notes that nothing goes through a portal any more, and tells whoever had it linked.
pub(crate) async fn broken<N: Network>(
    live: &Live<N>,
    core: &std::sync::Arc<Core>,
    mut portal: Portal<N>,
    reason: &str,
) -> Result<(), Error> {
    tracing::warn!(network = N::NAME, room.id = %portal.matrix, remote = ?portal.remote, reason, "a portal is broken");
    portal.data.broken = Some(reason.to_owned());
    live.links()?
        .link(&portal.remote, &portal.matrix, &portal.data)
        .await?;
    if let Some(creator) = &portal.data.creator {
        let text = format!(
            "The room {} is cut off from {}: {reason}",
            portal.matrix,
            N::TITLE
        );
        let key = format!("{}/broken/{}/{}", N::NAME, portal.matrix, core.now_ms());
        if let Err(error) = management::notify(core, creator, &text, key).await {
            tracing::warn!(%error, "whoever had it linked cannot be told");
        }
    }
    Ok(())
}
