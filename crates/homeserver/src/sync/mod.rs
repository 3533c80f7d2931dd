//! `/sync` and what wakes it.

mod notifier;
mod presence;
mod typing;

pub(crate) use self::{
    notifier::Notifier,
    presence::{Presence, PresenceState},
    typing::Typing,
};
