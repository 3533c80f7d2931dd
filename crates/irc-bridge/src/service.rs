//! The bridge as a service.

use std::sync::Arc;

use bridgehead_appservice::{Handle, Service, bridge::Bridge};

use crate::{
    Irc, Settings, commands::commands, examine::examine, link::claims::CLAIMS, mappings,
    page::page, people::PEOPLE,
};

/// The bridge, as this configuration has it.
#[must_use]
pub fn service(settings: &Settings) -> Service {
    let kept = Arc::new(settings.clone());
    let irc = Irc::new(settings);
    let networks = irc.networks().cloned().collect();
    let bridge = Bridge::new(irc)
        .users(&settings.users)
        .aliases(&settings.aliases)
        .prefix("!irc");
    Service::new("irc")
        .bot(&settings.bot)
        .permissions(settings.permissions.clone())
        .migrations(&[CLAIMS, PEOPLE])
        .commands(commands())
        .bridge(bridge)
        .operator_pages(page(networks))
        .doctor({
            let kept = kept.clone();
            move || examine(kept.clone())
        })
        .on_start(move |service: Handle| mappings::keep(service, kept.clone()))
}
