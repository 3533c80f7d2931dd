//! What waits a little before it is said on IRC, so that what changes it meanwhile is said with it.

use std::time::Duration;

use bridgehead_appservice::bridge::{Begun, Held, Remote};

use crate::{
    Irc, ids::Place, link::claims::Claims, network::Handle, render::reacts_by_tags,
    settings::Reactions,
};

/// How long something waits.
pub(crate) fn hold(handle: &Handle, place: &Place, what: Held) -> Duration {
    let messages = &handle.settings.messages;
    match what {
        Held::Message => handle.settings.hold_of(place.as_channel()),
        Held::Edit => messages.fold_edits.get(),
        // Programs put them together themselves.
        Held::Reaction if messages.reactions == Reactions::Off || reacts_by_tags(handle) => {
            Duration::ZERO
        }
        Held::Reaction => messages.fold_reactions.get(),
        _ => Duration::ZERO,
    }
}

/// Whether a server has a line of something, or may have one.
pub(crate) async fn begun(remote: &Remote<Irc>, key: &str) -> Begun {
    let Ok(store) = remote.store() else {
        return Begun::Yes;
    };
    match Claims::new(store).of(key).await {
        Ok(claimed) if claimed.is_empty() => Begun::No,
        Ok(_) => Begun::Yes,
        Err(error) => {
            tracing::error!(%error, "what IRC has of a message is not known: it is said as it was");
            Begun::Yes
        }
    }
}
