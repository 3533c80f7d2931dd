//! The bridge as a service.

use std::sync::Arc;

use bridgehead_appservice::{
    Handle, Service,
    bridge::{Bridge, provisioning::Provisioning},
};

use crate::{
    Irc, Settings, accounts::ACCOUNTS, commands::commands, ignoring::IGNORED, link::claims::CLAIMS,
    lookup, mappings, people::PEOPLE, talks::TALKS,
};

/// The bridge, as this configuration has it.
#[must_use]
pub fn service(settings: &Settings) -> Service {
    let kept = Arc::new(settings.clone());
    let bridge = Bridge::new(Irc::new(settings))
        .users(&settings.users)
        .aliases(&settings.aliases)
        .prefix("!irc");
    let service = Service::new("irc")
        .bot(&settings.bot)
        .permissions(settings.permissions.clone())
        .migrations(&[CLAIMS, PEOPLE, ACCOUNTS, IGNORED, TALKS])
        .commands(commands())
        .bridge(bridge)
        .third_party(lookup::PROTOCOL, lookup::third_party(settings))
        .on_start(move |service: Handle| mappings::keep(service, kept.clone()));
    match provisioning(settings) {
        Some(api) => service.provisioning(api),
        None => service,
    }
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
