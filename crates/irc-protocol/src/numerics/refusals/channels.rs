//! Refusals around channels: joining them, and being in them.

use super::{super::sending::SECURE_ONLY, Sentence};

/// Joining channels, and being in them.
pub(super) const CHANNELS: &[Sentence] = &[
    (
        403,
        "There is no channel {name}, or no channel may be called so.",
        "Check the name; channels begin with #.",
    ),
    (
        405,
        "You are in as many channels as the network allows, so {channel} cannot be joined.",
        "Leave another first.",
    ),
    (441, "{nick} is not in {other}.", ""),
    (
        442,
        "Your IRC client is not in {channel}.",
        "Join it first.",
    ),
    (443, "{nick} is in {other} already.", ""),
    (
        448,
        "The network does not let anybody join {channel}.",
        "Ask the network's staff why.",
    ),
    (
        467,
        "{channel} has a key already.",
        "Take the old one away first.",
    ),
    (
        470,
        "{channel} sends people on to {other}.",
        "Look for the conversation in {other}.",
    ),
    (
        471,
        "{channel} is full.",
        "Try again later, or ask one of its operators to raise the limit.",
    ),
    (
        473,
        "{channel} takes only people who were invited.",
        "Ask an operator of the channel for an invitation.",
    ),
    (
        474,
        "You are banned from {channel}.",
        "Ask an operator of the channel to lift the ban.",
    ),
    (
        475,
        "{channel} has a key (a password), and it was missing or wrong.",
        "Ask somebody in the channel for the key, and join with it.",
    ),
    (
        476,
        "No channel can be called {name}.",
        "Check the name; channels begin with #.",
    ),
    (
        477,
        "{channel} takes only people who are logged in to an account of the network.",
        "Log in to your account of the network, and join again.",
    ),
    (
        478,
        "A list of {channel} is full, so nothing can be added to it.",
        "Have one of its operators take away what is old.",
    ),
    (
        479,
        "No channel can be called {name}, or it cannot be joined: {text}.",
        "Check the name.",
    ),
    (
        480,
        "Too many people joined {channel} in a short time.",
        "Try again in a minute.",
    ),
    (489, SECURE_ONLY.0, SECURE_ONLY.1),
    (
        490,
        "Not all people in {channel} have encrypted connections, so it cannot take those alone.",
        "",
    ),
    (
        495,
        "You were kicked from {channel} a moment ago and cannot come back yet.",
        "Wait a minute, and join again.",
    ),
    (
        500,
        "You joined channels too often in a short time.",
        "Wait a minute, and join again.",
    ),
    (
        518,
        "{channel} takes no invitations.",
        "Ask one of its operators.",
    ),
    (520, "{channel} takes only operators of the network.", ""),
    (
        712,
        "{channel} was asked for an invitation too often.",
        "Wait some minutes before you ask again.",
    ),
    (
        713,
        "{channel} is open: nobody needs an invitation.",
        "Join it.",
    ),
    (714, "You are in {channel} already.", ""),
    (
        715,
        "{channel} cannot be asked for an invitation.",
        "Write to one of its operators.",
    ),
    (926, "The network forbids the channel {name}: {text}.", ""),
];
