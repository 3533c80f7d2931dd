//! `FAIL`: refusals with words for codes (IRCv3 standard-replies).

use super::Explanation;

/// What a `FAIL` refuses, in words: its command, its code and the server's own words.
///
/// A code that is not known is told in the latter.
#[must_use]
pub fn explain_fail(command: &str, code: &str, text: &str) -> Explanation {
    let fits = |known: &&Sentence| known.1 == code && (known.0.is_empty() || known.0 == command);
    match FAILS.iter().find(fits) {
        Some((_, _, what, cure)) => Explanation::new(*what, *cure),
        None => Explanation::quoting(text, code),
    }
}

/// A command (empty for any), a code, what was refused, and what can be done; those of one command first.
type Sentence = (&'static str, &'static str, &'static str, &'static str);

const FAILS: &[Sentence] = &[
    // draft/message-redaction
    (
        "REDACT",
        "INVALID_TARGET",
        "The message cannot be deleted there.",
        "",
    ),
    (
        "REDACT",
        "REDACT_FORBIDDEN",
        "You may not delete that message on IRC.",
        "Ask an operator of the channel.",
    ),
    (
        "REDACT",
        "REDACT_WINDOW_EXPIRED",
        "The message is too old to be deleted on IRC.",
        "",
    ),
    (
        "REDACT",
        "UNKNOWN_MSGID",
        "The server no longer knows the message that should be deleted.",
        "",
    ),
    // draft/chathistory
    (
        "CHATHISTORY",
        "INVALID_TARGET",
        "The server has no history of that channel, or none that you may read.",
        "Join the channel first.",
    ),
    (
        "CHATHISTORY",
        "MESSAGE_ERROR",
        "The server could not read its history.",
        "Try again later.",
    ),
    (
        "CHATHISTORY",
        "INVALID_MSGREFTYPE",
        "The server's history cannot be asked for by that message.",
        "",
    ),
    // draft/multiline
    (
        "BATCH",
        "MULTILINE_MAX_BYTES",
        "The message is longer than the server takes in one.",
        "Send it in shorter pieces.",
    ),
    (
        "BATCH",
        "MULTILINE_MAX_LINES",
        "The message has more lines than the server takes in one.",
        "Send it in shorter pieces.",
    ),
    (
        "BATCH",
        "MULTILINE_INVALID_TARGET",
        "The parts of the message were meant for different channels.",
        "Send it again.",
    ),
    (
        "BATCH",
        "MULTILINE_INVALID",
        "The server did not understand a message of several lines.",
        "Send it in single lines.",
    ),
    (
        "BATCH",
        "TIMEOUT",
        "The message took too long to come through.",
        "Send it again.",
    ),
    // draft/account-registration
    (
        "",
        "ACCOUNT_EXISTS",
        "An account of that name exists already.",
        "Log in to it if it is yours, or choose another name.",
    ),
    (
        "",
        "BAD_ACCOUNT_NAME",
        "No account can have that name.",
        "Choose another name.",
    ),
    (
        "",
        "ACCOUNT_NAME_MUST_BE_NICK",
        "An account has to be called as your nick is.",
        "Change your nick first, or leave the name out.",
    ),
    (
        "",
        "NEED_NICK",
        "A nick is needed before that.",
        "Choose a nick first.",
    ),
    (
        "",
        "ALREADY_AUTHENTICATED",
        "You are logged in already.",
        "Log out first.",
    ),
    (
        "",
        "COMPLETE_CONNECTION_REQUIRED",
        "That can be done only once you are connected.",
        "Try again when you are.",
    ),
    (
        "",
        "INVALID_EMAIL",
        "The mail address is not one.",
        "Check how it is written.",
    ),
    (
        "",
        "UNACCEPTABLE_EMAIL",
        "The network does not take that mail address.",
        "Give another one.",
    ),
    (
        "",
        "UNACCEPTABLE_PASSWORD",
        "The network does not take that password.",
        "Choose another one.",
    ),
    (
        "",
        "WEAK_PASSWORD",
        "The password is too easy to guess.",
        "Choose a longer one.",
    ),
    (
        "",
        "INVALID_CODE",
        "The code is wrong, or too old.",
        "Check it, or ask for another one.",
    ),
    // draft/relaymsg
    (
        "RELAYMSG",
        "PRIVS_NEEDED",
        "The bridge may not speak for others in that channel.",
        "Make the bridge's bot an operator of the channel.",
    ),
    (
        "RELAYMSG",
        "INVALID_NICK",
        "The name under which the message was to appear is not allowed.",
        "Choose another display name.",
    ),
    (
        "RELAYMSG",
        "BANNED",
        "The name under which the message was to appear is banned in that channel.",
        "Ask an operator of the channel to lift the ban.",
    ),
    // setname, draft/channel-rename, draft/metadata-2
    (
        "SETNAME",
        "CANNOT_CHANGE_REALNAME",
        "Your real name cannot be changed now.",
        "Try again later.",
    ),
    (
        "SETNAME",
        "INVALID_REALNAME",
        "The server does not take that real name.",
        "Choose a shorter one.",
    ),
    (
        "RENAME",
        "CHANNEL_NAME_IN_USE",
        "A channel of that name exists already.",
        "Choose another name.",
    ),
    (
        "RENAME",
        "CANNOT_RENAME",
        "The channel cannot be renamed.",
        "Ask its owner.",
    ),
    (
        "METADATA",
        "KEY_NO_PERMISSION",
        "You may not change that there.",
        "",
    ),
    // standard-replies and what many share
    (
        "NICK",
        "NICKNAME_RESERVED",
        "The nick belongs to an account of the network.",
        "Log in to that account, or choose another nick.",
    ),
    (
        "JOIN",
        "ACCOUNT_REQUIRED",
        "The channel takes only people who are logged in to an account of the network.",
        "Log in to your account of the network, and join again.",
    ),
    (
        "",
        "ACCOUNT_REQUIRED",
        "Only people who are logged in to an account of the network may do that.",
        "Log in to your account of the network, and try again.",
    ),
    (
        "",
        "ACCOUNT_REQUIRED_TO_CONNECT",
        "The network lets nobody in without an account.",
        "Store the account and its password with the bridge, and connect again.",
    ),
    (
        "",
        "NEED_REGISTRATION",
        "That can be done only once you are connected.",
        "Try again when you are.",
    ),
    (
        "",
        "INVALID_UTF8",
        "The server takes UTF-8 only, and that was not.",
        "Whoever runs the bridge can set the encoding to UTF-8.",
    ),
    (
        "",
        "INVALID_TARGET",
        "Whom or what that was meant for does not exist, or may not be used.",
        "Check the name.",
    ),
    (
        "",
        "INVALID_PARAMS",
        "The server did not understand that.",
        "Check how it is written.",
    ),
    (
        "",
        "NEED_MORE_PARAMS",
        "Something is missing after the command.",
        "Check what it takes.",
    ),
    (
        "",
        "UNKNOWN_COMMAND",
        "The server does not know that command.",
        "Check how it is written.",
    ),
    (
        "",
        "RATE_LIMITED",
        "That was too often in a short time.",
        "Wait a minute, and try again.",
    ),
    (
        "",
        "TEMPORARILY_UNAVAILABLE",
        "The network cannot do that just now.",
        "Try again later.",
    ),
];
