//! Refusals whose number says little and whose text says more: of messages, of joining, of logging in.

use super::explain::{Explanation, Refusal};

/// What is refused; `None` where the number alone says it.
pub(super) fn explain(numeric: u16, refusal: &Refusal<'_>) -> Option<Explanation> {
    let found = match numeric {
        // ngIRCd answers a message to a channel that is not there in this way.
        401 if refusal.subject.starts_with(['#', '&', '+', '!']) => (
            "There is no channel {channel} on IRC.",
            "Check the name, or join it, which makes it.",
        ),
        404 => first(refusal, SPEAKING).unwrap_or((
            "{channel} did not take the message: you are not in it, it is moderated, or you are banned or quieted there.",
            "Join the channel; if you are in it, ask one of its operators to let you speak.",
        )),
        471 | 473 | 474 => first(refusal, JOINING)?,
        531 => first(refusal, WRITING)?,
        477 if refusal.says(&["support modes", "no modes"]) => (
            "Channels such as {channel} have no modes.",
            "",
        ),
        477 if refusal.says(&["send", "message", "speak", "talk"]) => LOGIN_TO_SPEAK,
        480 if refusal.says(&["knock"]) => (
            "{channel} cannot be asked for an invitation: {text}.",
            "",
        ),
        480 if refusal.says(&["ssl", "tls", "secure"]) => SECURE_ONLY,
        484 if refusal.says(&["restricted"]) => (
            "The server restricts your connection: it may not change nicks or modes.",
            "Ask the network's staff why, or log in to your account.",
        ),
        485 if refusal.says(&["cannot join"]) => (
            "{channel} cannot be joined: {text}.",
            "",
        ),
        489 if refusal.says(&["voice", "operator"]) => VOICE_NEEDED,
        _ => return None,
    };
    Some(refusal.explained(found.0, found.1))
}

type Sentences = (&'static str, &'static str);
type Known = (&'static [&'static str], Sentences);

/// The first that the server's words speak of.
fn first(refusal: &Refusal<'_>, known: &[Known]) -> Option<Sentences> {
    let found = known.iter().find(|(words, _)| refusal.says(words));
    found.map(|(_, sentences)| *sentences)
}

const LOGIN_TO_SPEAK: Sentences = (
    "{channel} takes messages only from people who are logged in to an account of the network.",
    "Log in to your account of the network, and send it again.",
);
const LOGIN_TO_JOIN: Sentences = (
    "{channel} takes only people who are logged in to an account of the network.",
    "Log in to your account of the network, and join again.",
);
const VOICE_NEEDED: Sentences = (
    "{channel} is moderated: only people with voice may speak.",
    "Ask an operator of the channel for voice.",
);
pub(super) const SECURE_ONLY: Sentences = (
    "{channel} takes only people whose connection to the network is encrypted.",
    "Whoever runs the bridge can connect it with TLS.",
);

/// Why a channel takes no message (404). What is more certain comes first: nearly all of them say "channel" and "send".
const SPEAKING: &[Known] = &[
    (
        &[
            "registered",
            "identified",
            "logged in",
            "account",
            "regmoderated",
        ],
        LOGIN_TO_SPEAK,
    ),
    (
        &["color", "colour", "control code", "formatting"],
        (
            "{channel} takes no colors or other formatting.",
            "Send it as plain text.",
        ),
    ),
    (
        &["ctcp"],
        (
            "{channel} takes no CTCP, such as `/me` in some cases.",
            "Send it as an ordinary message.",
        ),
    ),
    (
        &["notice"],
        (
            "{channel} takes no notices.",
            "Send it as an ordinary message.",
        ),
    ),
    (
        &["after joining", "delaymsg"],
        (
            "{channel} lets nobody speak right after joining: {text}.",
            "Wait a little, and send it again.",
        ),
    ),
    (
        &["flood", "repeat", "too fast", "slow"],
        (
            "{channel} takes no more messages from you for now: it was too much at once, or the same again.",
            "Wait a little, and send it again.",
        ),
    ),
    (
        &["swear", "censor", "phrase", "spam", "filter", "was blocked"],
        (
            "A filter stopped the message: “{text}”.",
            "Say it in other words.",
        ),
    ),
    (
        &["banned", "muted", "mute", "quiet"],
        (
            "You are banned or quieted in {channel}: you may be in it, but not speak.",
            "Ask an operator of the channel to take that away.",
        ),
    ),
    (&["voice", "moderated", "+m"], VOICE_NEEDED),
    (
        &["external", "+n", "not on that channel", "not in"],
        (
            "{channel} takes messages only from those who are in it, and your IRC client is not.",
            "Join the channel, and send it again.",
        ),
    ),
];

/// Why somebody takes no message (531).
const WRITING: &[Known] = &[
    (
        &["ctcp"],
        (
            "{nick} takes no CTCP: questions to the program and files are refused.",
            "Send it as an ordinary message.",
        ),
    ),
    (
        &["notice"],
        (
            "{nick} takes no notices.",
            "Send it as an ordinary message.",
        ),
    ),
    (
        &[
            "regdeaf",
            "registered",
            "identified",
            "logged in",
            "account",
        ],
        (
            "{nick} takes messages only from people who are logged in to an account of the network.",
            "Log in to your account of the network, and send it again.",
        ),
    ),
    (
        &["ssl", "tls", "secure"],
        (
            "{nick} takes messages only over encrypted connections.",
            "Whoever runs the bridge can connect it with TLS.",
        ),
    ),
];

/// Why a channel cannot be joined, where the number is used for other reasons than its own (ngIRCd).
const JOINING: &[Known] = &[
    (
        &["+r)", "registered users", "logged in", "identified"],
        LOGIN_TO_JOIN,
    ),
    (&["+z)", "ssl", "tls"], SECURE_ONLY),
    (
        &["+o)", "opers only"],
        ("{channel} takes only operators of the network.", ""),
    ),
];
