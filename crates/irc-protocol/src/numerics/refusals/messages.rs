//! Refusals of messages and questions.

use super::Sentence;

/// Messages and questions.
pub(super) const MESSAGES: &[Sentence] = &[
    (
        263,
        "The server is too busy for {name} just now, or it was asked too often.",
        "Try again in a minute.",
    ),
    (
        401,
        "{nick} is not online on IRC.",
        "Check the name, or wait until they are back.",
    ),
    (402, "No server of the network is called {name}.", ""),
    (406, "Nobody called {nick} was seen lately.", ""),
    (
        407,
        "That was to too many people at once, or {name} means several.",
        "Write to each of them alone.",
    ),
    (
        408,
        "{channel} takes no formatting.",
        "Send it as plain text.",
    ),
    (411, "The message was to nobody.", "Say to whom it goes."),
    (412, "The message was empty.", "Send one with text."),
    (413, "Messages to everybody are not taken.", ""),
    (
        415,
        "{channel} takes messages only from people who are logged in to an account of the network.",
        "Log in to your account of the network, and send it again.",
    ),
    (
        416,
        "The answer was too long, and the server cut it.",
        "Ask for less.",
    ),
    (
        417,
        "The message was too long for the server, which dropped it.",
        "Send it in shorter pieces.",
    ),
    (
        421,
        "The server does not know the command {name}.",
        "Check how it is written.",
    ),
    (
        439,
        "You wrote to too many people in a short time, and the server holds you back.",
        "Wait a minute or two, and try again.",
    ),
    (
        440,
        "The network's services are away just now.",
        "Try again later.",
    ),
    (
        461,
        "Something is missing after the command {name}.",
        "Check what it takes.",
    ),
    (
        486,
        "{nick} takes messages only from people who are logged in to an account of the network.",
        "Log in to your account of the network, and send it again.",
    ),
    (
        492,
        "{name} takes no CTCP: questions to the program and files are refused.",
        "Send it as an ordinary message.",
    ),
    (
        493,
        "{nick} takes messages only from people who share a channel with them.",
        "Join a channel that they are in.",
    ),
    (
        494,
        "{nick} could not answer you, because you take messages only from chosen people yourself.",
        "Allow their messages first.",
    ),
    (
        517,
        "The command {name} is switched off on this server.",
        "",
    ),
    (
        521,
        "The server does not understand what the list of channels was asked for.",
        "Ask for all, or for a name with *.",
    ),
    (524, "The server has no help on {name}.", ""),
    (
        531,
        "{nick} does not take this message: {text}.",
        "Reach them in another way, or ask in a channel that you share.",
    ),
    (
        707,
        "You wrote to too many people in a short time, and the server dropped the message.",
        "Wait a minute or two, and send it again.",
    ),
    (
        716,
        "{nick} takes messages only from people whom they have chosen, and you are not among them yet.",
        "They may be told that you wrote. Wait until they allow you, or ask in a channel that you share.",
    ),
    (
        734,
        "The server lets nobody watch more people than are watched already.",
        "",
    ),
    (972, "That cannot be done here: {text}.", ""),
];
