//! The bridge as a service.

use std::{sync::Arc, time::Duration};

use bridgehead_appservice::{
    Handle, HandlerError, Member, Service,
    bridge::{Bridge, Portals, provisioning::Provisioning},
    media::MediaProxy,
    program::Now,
};

use crate::{
    Irc, Settings,
    accounts::ACCOUNTS,
    away::AWAY,
    commands::commands,
    drift,
    examine::examine,
    ignoring::IGNORED,
    kept::KEPT,
    link::{
        claims::{CLAIMS, FRAMES, LABELS, WRITTEN},
        dial::Way,
    },
    lookup, mappings,
    network::{TALKS_KNOWN, Upkeep},
    page::page,
    people::PEOPLE,
    polls, reload, removed,
    settings::MediaSettings,
    talks::{TALKS, TALKS_WHO},
    votes,
};

/// Between looks at whether the start is over.
const TRY_AGAIN: Duration = Duration::from_millis(500);
/// It takes longer than that only where something is wrong.
const TOLD_AT: u32 = 20;

/// The bridge, as this configuration has it.
pub fn service(settings: &Settings) -> Service {
    service_by(settings, &Way::Network)
}

/// The same by another way to the IRC servers than the network: for tests without sockets.
pub fn service_by(settings: &Settings, way: &Way) -> Service {
    let kept = Arc::new(settings.clone());
    let irc = Irc::by(settings, way);
    let networks = irc.networks().clone();
    let bridge = named(Bridge::new(irc), settings)
        .prefix("!irc")
        .on(votes::tell);
    let service = Service::new("irc")
        .bot(&settings.bot)
        .permissions(settings.permissions.clone())
        .policy_rooms(settings.policy_rooms.clone())
        .migrations(&[
            CLAIMS,
            PEOPLE,
            KEPT,
            ACCOUNTS,
            IGNORED,
            TALKS,
            WRITTEN,
            AWAY,
            TALKS_WHO,
            FRAMES,
            LABELS,
            TALKS_KNOWN,
        ])
        .commands(drift::commands(commands()))
        .on(names)
        .on(polls::heard)
        .bridge(bridge)
        .third_party(lookup::PROTOCOL, lookup::third_party(networks.clone()))
        .operator_pages(page(networks))
        .on_reload(|service: Handle, settings: Now<Settings>| async move {
            reload(&service, &settings).await
        })
        .doctor(move || examine(kept.clone()));
    let service = match provisioning(settings) {
        Some(api) => service.provisioning(api),
        None => service,
    };
    media(service, &settings.media).on_start(begin)
}

/// What the configuration has no more is taken apart, and what it maps is linked: as soon as there are portals, which is
/// after the start. Nobody waits for it.
async fn begin(service: Handle) {
    tokio::spawn(async move {
        tokio::select! {
            () = service.stopped() => {}
            () = tidy(&service) => {}
        }
    });
}

async fn tidy(service: &Handle) {
    for attempt in 0_u32.. {
        let tidied = async {
            for removed in removed::forget_others(service).await? {
                tracing::warn!("{removed}");
            }
            mappings::keep(service, true).await
        };
        let Err(error) = tidied.await else { return };
        if attempt == TOLD_AT {
            tracing::error!(%error, "what the configuration maps, and has no more, is not seen to yet: it is tried again");
        }
        tokio::time::sleep(TRY_AGAIN * attempt.clamp(1, 60)).await;
    }
}

/// What people and channels are called in Matrix. Where each network says so for itself, what is said for all names
/// nothing.
fn named(mut bridge: Bridge<Irc>, settings: &Settings) -> Bridge<Irc> {
    let networks = || settings.networks.values();
    let is_none = settings.networks.is_empty();
    if is_none || !networks().all(|network| network.users.is_some()) {
        bridge = bridge.users(&settings.users);
    }
    if is_none || !networks().all(|network| network.aliases.is_some()) {
        bridge = bridge.aliases(&settings.aliases);
    }
    for (name, network) in &settings.networks {
        if let Some(users) = &network.users {
            bridge = bridge.users_of(&[name], users);
        }
        if let Some(aliases) = &network.aliases {
            bridge = bridge.aliases_of(&[name], aliases);
        }
    }
    bridge
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
