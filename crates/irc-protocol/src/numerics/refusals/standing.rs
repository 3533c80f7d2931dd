//! Refusals of nicks, of what operators alone may do, and around the connection and the account.

use super::Sentence;

/// Nicks.
pub(super) const NICKS: &[Sentence] = &[
    (431, "No nick was given.", "Say which one you want."),
    (
        432,
        "Nobody may be called {name} on this network: {text}.",
        "Choose another nick: short, of letters and digits, and beginning with a letter.",
    ),
    (
        433,
        "Somebody else is called {name}.",
        "Choose another nick; if it is yours, log in to your account and take it back.",
    ),
    (
        435,
        "You cannot change your nick while you are banned or quieted in {other}.",
        "Leave that channel first.",
    ),
    (
        436,
        "Somebody else was called {name} on another server at the same time.",
        "Choose another nick.",
    ),
    (
        437,
        "{name} is kept free for a while, after a netsplit or for its owner; or you are in a channel where you may not change \
         your nick.",
        "Try again in some minutes.",
    ),
    (
        438,
        "You changed your nick too often: {text}.",
        "Wait a minute, and try again.",
    ),
    (
        447,
        "Your nick cannot be changed now: {text}.",
        "Leave the channel that forbids it first.",
    ),
    (
        902,
        "The account cannot be used: it is locked, or meant for another nick.",
        "Use the nick that belongs to the account, or ask the network's staff.",
    ),
];

/// What operators alone may do.
pub(super) const RIGHTS: &[Sentence] = &[
    (472, "The server does not know the mode {name}.", ""),
    (
        481,
        "Only operators of the network may do that.",
        "Ask the network's staff.",
    ),
    (
        482,
        "Only operators of {channel} may do that, or the one whom it is about stands higher.",
        "Ask one of the channel's operators to do it, or to make you one.",
    ),
    (483, "A server cannot be killed.", ""),
    (
        484,
        "{nick} is protected: nobody may kick them or take their standing away.",
        "",
    ),
    (
        485,
        "Only the owner of the channel may do that.",
        "Ask the channel's owner.",
    ),
    (
        491,
        "No operators of the network may log in from your address.",
        "",
    ),
    (
        499,
        "Only the owner of {channel} may do that.",
        "Ask the channel's owner.",
    ),
    (501, "The server does not know that mode.", ""),
    (502, "Nobody may change another person's own modes.", ""),
    (
        515,
        "The server does not take that time: {text}.",
        "Give another one.",
    ),
    (
        572,
        "The server does not take the mask {name}.",
        "Masks look like nick!user@host, with * for anything.",
    ),
    (
        696,
        "The server does not take that for the mode: {text}.",
        "",
    ),
    (
        723,
        "You lack a right for that, as an operator of the network.",
        "",
    ),
    (
        742,
        "The network's services keep this mode of {channel} as it is.",
        "Have its owner change that with ChanServ.",
    ),
    (
        743,
        "The server does not take that ban.",
        "Masks look like nick!user@host, with * for anything.",
    ),
];

/// The connection and the account.
pub(super) const CONNECTION: &[Sentence] = &[
    (
        410,
        "The server does not know what it was asked about its capabilities.",
        "",
    ),
    (422, "The server has no message of the day.", ""),
    (
        451,
        "That came before the server knew who you are.",
        "Wait until you are connected.",
    ),
    (
        462,
        "You are connected already; that can be said only at the beginning.",
        "Connect again to change it.",
    ),
    (
        463,
        "The server takes no connections from this address.",
        "Whoever runs the bridge has to ask the network's staff.",
    ),
    (
        464,
        "The server's password is missing or wrong.",
        "Check the password, and connect again.",
    ),
    (
        465,
        "You are banned from this server: {text}.",
        "Ask the network's staff why.",
    ),
    (
        466,
        "You will soon be banned from this server.",
        "Ask the network's staff why.",
    ),
    (
        513,
        "The server waits for an answer before it lets you in.",
        "Connect again if this stays so.",
    ),
    (
        691,
        "The connection to the server could not be encrypted.",
        "Whoever runs the bridge can use a port with TLS.",
    ),
    (
        901,
        "You are no longer logged in to your account of the network.",
        "Log in again.",
    ),
    (
        904,
        "Logging in to the network failed: the account or the password is wrong.",
        "Store the right ones, and connect again.",
    ),
    (
        905,
        "Logging in to the network failed: the password is longer than the server takes.",
        "Choose a shorter one.",
    ),
    (
        906,
        "Logging in to the network was given up, or took too long.",
        "Connect again.",
    ),
    (
        907,
        "You are logged in to the network already.",
        "Log out before you log in to another account.",
    ),
    (
        908,
        "The network cannot be logged in to that way; it knows: {name}.",
        "Choose one of those.",
    ),
];
