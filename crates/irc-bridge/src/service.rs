//! The bridge as a service.

use std::sync::Arc;

use bridgehead_appservice::{
    Handle, HandlerError, Member, Service,
    bridge::{Bridge, Portals, provisioning::Provisioning},
    media::MediaProxy,
};

use crate::{
    Irc, Settings,
    accounts::ACCOUNTS,
    commands::commands,
    drift,
    examine::examine,
    ignoring::IGNORED,
    kept::KEPT,
    link::{
        claims::{CLAIMS, FRAMES, WRITTEN},
        dial::Way,
    },
    lookup, mappings,
    network::Upkeep,
    page::page,
    people::PEOPLE,
    settings::MediaSettings,
    talks::TALKS,
    votes,
};

/// The bridge, as this configuration has it.
pub fn service(settings: &Settings) -> Service {
    service_by(settings, &Way::Network)
}

/// The same by another way to the IRC servers than the network: for tests without sockets.
pub fn service_by(settings: &Settings, way: &Way) -> Service {
    let kept = Arc::new(settings.clone());
    let irc = Irc::by(settings, way);
    let networks = irc.networks().cloned().collect();
    let bridge = Bridge::new(irc)
        .users(&settings.users)
        .aliases(&settings.aliases)
        .prefix("!irc")
        .on(votes::tell);
    let service = Service::new("irc")
        .bot(&settings.bot)
        .permissions(settings.permissions.clone())
        .migrations(&[
            CLAIMS, PEOPLE, KEPT, ACCOUNTS, IGNORED, TALKS, WRITTEN, FRAMES,
        ])
        .commands(drift::commands(commands()))
        .on(names)
        .bridge(bridge)
        .third_party(lookup::PROTOCOL, lookup::third_party(settings))
        .operator_pages(page(networks))
        .doctor({
            let kept = kept.clone();
            move || examine(kept.clone())
        });
    let service = match provisioning(settings) {
        Some(api) => service.provisioning(api),
        None => service,
    };
    media(service, &settings.media)
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

/// The API by which programs link rooms, where somebody may use it.
fn provisioning(settings: &Settings) -> Option<Provisioning> {
    let settings = &settings.provisioning;
    let secret = settings.secret.get();
    if secret.is_none() && !settings.openid {
        return None;
    }
    let mut api = Provisioning::new().portals::<Irc>();
    if let Some(secret) = secret {
        api = api.secret(secret.clone());
    }
    Some(match settings.openid {
        true => api.openid(),
        false => api,
    })
}

/// The service with links to media, if they are wanted.
fn media(service: Service, settings: &MediaSettings) -> Service {
    let (Some(url), Some(secret)) = (&settings.public_url, settings.secret.get()) else {
        return service;
    };
    let proxy = MediaProxy::new(secret, url);
    let lifetime = settings.lifetime.get();
    service.media_proxy(match lifetime.is_zero() {
        true => proxy.forever(),
        false => proxy.lifetime(lifetime),
    })
}
