//! What people tell the bridge to do: `!nick`, `!join`, `!whois` and the like, in their own room with it, or behind
//! `!irc` in others.
//!
//! Where there are several networks, the first word may name one; in a channel's room it is the channel's.

use bridgehead_appservice::{
    Bot, HandlerError,
    bridge::{CommandAsk, CommandError, Commands, Portal, Portals},
    format::Rich,
};
use bridgehead_irc_protocol::Line;

use crate::{
    Irc,
    ids::{Place, is_nick},
    network::{Command, Handle},
};

/// Lines of IRC that nobody gives by hand: they would take the connection out of the bridge's hands.
const NOT_BY_HAND: [&str; 9] = [
    "PASS",
    "USER",
    "CAP",
    "AUTHENTICATE",
    "WEBIRC",
    "QUIT",
    "PONG",
    "PING",
    "JOIN",
];

type Told = Result<String, CommandError>;

/// The bridge's commands.
pub(crate) fn commands() -> Commands {
    Commands::new("!irc")
        .command("nick", "[network] <nick>: what you are called on IRC", nick)
        .command("join", "[network] <channel>: the room of a channel", join)
        .command(
            "msg",
            "[network] <nick> <text>: says something to somebody alone",
            msg,
        )
        .command("whois", "[network] <nick>: who somebody is", whois)
        .command(
            "cmd",
            "[network] <command>: any command of IRC, with the server's answer",
            cmd,
        )
        .command("away", "[network] [why]: you are away, or back", away)
        .command("status", "[network]: how you are connected", status)
        .command(
            "why",
            "[network]: why you are not connected, or not in a channel",
            status,
        )
        .command("reconnect", "[network]: connects you anew", reconnect)
        .command(
            "quit",
            "[network]: ends your connection until you speak again",
            quit,
        )
        .command(
            "listrooms",
            "the channels that the bridge has rooms for",
            list_rooms,
        )
        .command(
            "bridgeversion",
            "which version of the bridge this is",
            version,
        )
}

fn other(text: impl Into<String>) -> CommandError {
    CommandError::Other(text.into())
}

/// Which network is meant, and the words that follow.
fn network<'a>(
    ask: &'a CommandAsk,
    irc: &'a Irc,
    portal: Option<&Portal<Irc>>,
) -> Result<(&'a Handle, &'a [String]), CommandError> {
    let named = ask.args.first().and_then(|first| irc.network(first));
    if let Some(named) = named {
        return Ok((named, &ask.args[1..]));
    }
    let here = portal.and_then(|portal| irc.network(&portal.remote.network));
    let mut all = irc.networks();
    match (here, all.next(), all.next()) {
        (Some(here), ..) => Ok((here, &ask.args)),
        (None, Some(only), None) => Ok((only, &ask.args)),
        _ => {
            let names: Vec<&str> = irc.networks().map(|handle| &*handle.name).collect();
            Err(other(format!(
                "There are several networks: name one first ({}).",
                names.join(", ")
            )))
        }
    }
}

fn word<'a>(words: &'a [String], at: usize, name: &str) -> Result<&'a str, CommandError> {
    let word = words.get(at).map(String::as_str);
    word.ok_or_else(|| CommandError::Missing {
        name: name.to_owned(),
    })
}

async fn carry_out(handle: &Handle, ask: &CommandAsk, command: Command) -> Told {
    handle.command(&ask.sender, command).await.map_err(other)
}

async fn nick(ask: CommandAsk, irc: Portals<Irc>, portal: Option<Portal<Irc>>) -> Told {
    let (handle, words) = network(&ask, irc.network(), portal.as_ref())?;
    let nick = word(words, 0, "nick")?;
    if !is_nick(nick) {
        return Err(other(format!(
            "`{nick}` is no nick: it begins with a letter, and has no spaces or dots."
        )));
    }
    let told = carry_out(handle, &ask, Command::Nick(nick.to_owned())).await?;
    Ok(match told.as_str() {
        "Done." => format!("You are called {nick} now."),
        _ => told,
    })
}

async fn join(ask: CommandAsk, irc: Portals<Irc>, portal: Option<Portal<Irc>>, bot: Bot) -> Told {
    let (handle, words) = network(&ask, irc.network(), portal.as_ref())?;
    let channel = word(words, 0, "channel")?;
    if !crate::ids::is_channel(channel) {
        return Err(other(format!(
            "`{channel}` is no channel: channels begin with `#`, mostly."
        )));
    }
    let mapping = handle.directory.read().case_mapping();
    let place = Place::channel(&handle.name, channel, mapping);
    let made = irc.ensure(&place, Some(&ask.sender)).await;
    let made = made.map_err(|error| other(error.to_string()))?;
    bot.invite(&made.matrix, &ask.sender)
        .await
        .map_err(|error| other(format!("I cannot invite you to the room: {error}")))?;
    Ok(format!("You are invited to the room of {channel}."))
}

async fn msg(ask: CommandAsk, irc: Portals<Irc>, portal: Option<Portal<Irc>>) -> Told {
    let (handle, words) = network(&ask, irc.network(), portal.as_ref())?;
    let (nick, text) = (word(words, 0, "nick")?, words.get(1..).unwrap_or_default());
    if !is_nick(nick) {
        return Err(other(format!("`{nick}` is no nick.")));
    }
    if text.is_empty() {
        return Err(CommandError::Missing {
            name: "text".to_owned(),
        });
    }
    let line = Line::new("PRIVMSG", [nick, &text.join(" ")]);
    carry_out(handle, &ask, Command::Raw(line)).await?;
    Ok(format!(
        "{nick} is told. What they answer comes in a room of its own."
    ))
}

async fn whois(ask: CommandAsk, irc: Portals<Irc>, portal: Option<Portal<Irc>>) -> Told {
    let (handle, words) = network(&ask, irc.network(), portal.as_ref())?;
    let nick = word(words, 0, "nick")?;
    carry_out(handle, &ask, Command::Whois(nick.to_owned())).await
}

async fn cmd(ask: CommandAsk, irc: Portals<Irc>, portal: Option<Portal<Irc>>) -> Told {
    let (handle, words) = network(&ask, irc.network(), portal.as_ref())?;
    let line = Line::parse(words.join(" ").as_bytes()).map_err(|error| other(error.to_string()))?;
    if NOT_BY_HAND.contains(&line.command.as_str()) {
        return Err(other(format!(
            "{} is the bridge's own to say.",
            line.command
        )));
    }
    carry_out(handle, &ask, Command::Raw(line)).await
}

async fn away(ask: CommandAsk, irc: Portals<Irc>, portal: Option<Portal<Irc>>) -> Told {
    let (handle, words) = network(&ask, irc.network(), portal.as_ref())?;
    let reason = (!words.is_empty()).then(|| words.join(" "));
    carry_out(handle, &ask, Command::Away(reason)).await
}

async fn status(ask: CommandAsk, irc: Portals<Irc>, portal: Option<Portal<Irc>>) -> Told {
    let (handle, _) = network(&ask, irc.network(), portal.as_ref())?;
    carry_out(handle, &ask, Command::Status).await
}

async fn reconnect(ask: CommandAsk, irc: Portals<Irc>, portal: Option<Portal<Irc>>) -> Told {
    let (handle, _) = network(&ask, irc.network(), portal.as_ref())?;
    carry_out(handle, &ask, Command::Reconnect).await
}

async fn quit(ask: CommandAsk, irc: Portals<Irc>, portal: Option<Portal<Irc>>) -> Told {
    let (handle, _) = network(&ask, irc.network(), portal.as_ref())?;
    carry_out(handle, &ask, Command::Quit).await
}

async fn list_rooms(irc: Portals<Irc>) -> Result<Rich, HandlerError> {
    let portals = irc.list(None, 200).await?;
    let lines = portals.iter().filter_map(|portal| {
        let channel = portal.remote.as_channel()?;
        Some(format!(
            "- `{channel}` on {}: {}",
            portal.remote.network, portal.matrix
        ))
    });
    let lines: Vec<String> = lines.collect();
    Ok(Rich::from_markdown(&match lines.is_empty() {
        true => "There are none.".to_owned(),
        false => lines.join("\n"),
    }))
}

async fn version(_: CommandAsk) -> String {
    concat!("bridgehead-irc ", env!("CARGO_PKG_VERSION")).to_owned()
}
