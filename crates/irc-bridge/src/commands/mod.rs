//! What people tell the bridge to do: `!nick`, `!join`, `!whois` and the like, in their own room with it, or behind
//! `!irc` in others.
//!
//! Where there are several networks, the first word may name one; in a channel's room it is the channel's.
//!
//! - `about` whom a command is about: which network, which words
//! - `own` what is about oneself: nick, connection, whom one ignores
//! - `login` passwords and certificates
//! - `talk` what is said and asked on IRC
//! - `rooms` channels and their rooms; `link` rooms that are there already
//! - `admin` what those say who run the bridge

mod about;
mod admin;
mod link;
mod login;
mod own;
mod rooms;
mod talk;

use bridgehead_appservice::bridge::{CommandError, Commands};

type Told = Result<String, CommandError>;

/// The bridge's commands.
pub(crate) fn commands() -> Commands {
    let commands = Commands::new("!irc");
    let commands = own::commands(commands);
    let commands = login::commands(commands);
    let commands = talk::commands(commands);
    let commands = rooms::commands(commands);
    let commands = link::commands(commands);
    admin::commands(commands)
}

/// Why a command was not done. The kit puts it into a sentence, and ends that.
fn other(text: impl Into<String>) -> CommandError {
    let text = text.into();
    CommandError::Other(text.trim_end_matches('.').to_owned())
}
