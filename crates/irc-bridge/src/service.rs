//! The bridge as a service.

use std::sync::Arc;

use bridgehead_appservice::{Handle, Service, bridge::Bridge, media::MediaProxy};

use crate::{
    Irc, Settings,
    commands::commands,
    examine::examine,
    link::{claims::CLAIMS, dial::Way},
    mappings,
    page::page,
    people::PEOPLE,
    settings::MediaSettings,
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
        .migrations(&[CLAIMS, PEOPLE])
        .commands(commands())
        .bridge(bridge)
        .operator_pages(page(networks))
        .doctor({
            let kept = kept.clone();
            move || examine(kept.clone())
        });
    media(service, &settings.media)
        .on_start(move |service: Handle| mappings::keep(service, kept.clone()))
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
