//! The bridge as a service.

use std::sync::Arc;

use bridgehead_appservice::{
    Handle, HandlerError, Member, Service,
    bridge::{Bridge, Portals},
};

use crate::{
    Irc, Settings, commands::commands, drift, kept::KEPT, link::claims::CLAIMS, mappings,
    network::Upkeep, people::PEOPLE,
};

/// The bridge, as this configuration has it.
#[must_use]
pub fn service(settings: &Settings) -> Service {
    let kept = Arc::new(settings.clone());
    let bridge = Bridge::new(Irc::new(settings))
        .users(&settings.users)
        .aliases(&settings.aliases)
        .prefix("!irc");
    Service::new("irc")
        .bot(&settings.bot)
        .permissions(settings.permissions.clone())
        .migrations(&[CLAIMS, PEOPLE, KEPT])
        .commands(drift::commands(commands()))
        .on(names)
        .bridge(bridge)
        .on_start(move |service: Handle| mappings::keep(service, kept.clone()))
}

/// Somebody of Matrix is called something else: their nick may follow.
async fn names(member: Member, irc: Portals<Irc>) -> Result<(), HandlerError> {
    let is_there = member.membership == "join" && member.before.as_deref() == Some("join");
    let before = member.event.previous_content();
    let before = before.and_then(|content| content.get("displayname")?.as_str());
    let name = member
        .displayname
        .as_deref()
        .filter(|name| Some(*name) != before);
    let Some(name) = name.filter(|_| is_there && !member.is_own) else {
        return Ok(());
    };
    if let Some(portal) = irc.at(&member.event.room_id).await?
        && let Some(handle) = irc.network().network(&portal.remote.network)
    {
        let upkeep = Upkeep::Name {
            person: member.user_id.clone(),
            name: name.to_owned(),
        };
        handle.upkeep(upkeep).await;
    }
    Ok(())
}
