//! What people tell the bridge about themselves: their nick, their connection, whom they do not want to hear.

use bridgehead_appservice::bridge::{CommandAsk, Commands, Portal, Portals};

use super::{Told, about::About};
use crate::{Irc, network::Command};

pub(super) fn commands(commands: Commands) -> Commands {
    commands
        .command("nick", "[network] <nick>: what you are called on IRC", nick)
        .command(
            "username",
            "[network] <name>: your user name, which stands before the `@` of your address on IRC",
            username,
        )
        .command("away", "[network] [why]: you are away, or back", away)
        .command("status", "[network]: how you are connected", status)
        .command(
            "why",
            "[network] [channel]: why you are not connected, or not in a channel, or not heard there",
            why,
        )
        .command("reconnect", "[network]: connects you anew", reconnect)
        .command(
            "quit",
            "[network]: ends your connection until you speak again",
            quit,
        )
        .command(
            "ignore",
            "[network] <nick or mask>: you hear nothing more of somebody alone",
            ignore,
        )
        .command(
            "unignore",
            "[network] <nick or mask>: you hear of them again",
            unignore,
        )
        .command("ignores", "[network]: whom you ignore", ignores)
        .command(
            "bridgeversion",
            "which version of the bridge this is",
            version,
        )
}

async fn nick(ask: CommandAsk, irc: Portals<Irc>, portal: Option<Portal<Irc>>) -> Told {
    let about = About::new(&ask, irc.network(), portal.as_ref())?;
    let nick = about.nick(0)?.to_owned();
    about.carry_out(Command::Nick(nick)).await
}

async fn username(ask: CommandAsk, irc: Portals<Irc>, portal: Option<Portal<Irc>>) -> Told {
    let about = About::new(&ask, irc.network(), portal.as_ref())?;
    let name = about.word(0, "name")?.to_owned();
    about.carry_out(Command::Username(name)).await
}

async fn away(ask: CommandAsk, irc: Portals<Irc>, portal: Option<Portal<Irc>>) -> Told {
    let about = About::new(&ask, irc.network(), portal.as_ref())?;
    let reason = Some(about.rest(0).lines().next().unwrap_or_default());
    let reason = reason
        .filter(|reason| !reason.is_empty())
        .map(str::to_owned);
    let words = match reason {
        Some(_) => "You are away; `away` without a reason says that you are back.",
        None => "You are back.",
    };
    about.carry_out(Command::Away(reason)).await?;
    Ok(words.to_owned())
}

async fn status(ask: CommandAsk, irc: Portals<Irc>, portal: Option<Portal<Irc>>) -> Told {
    let about = About::new(&ask, irc.network(), portal.as_ref())?;
    about.carry_out(Command::Status).await
}

/// Of the channel that is named, or of the room's own; of the connection where there is neither.
async fn why(ask: CommandAsk, irc: Portals<Irc>, portal: Option<Portal<Irc>>) -> Told {
    let about = About::new(&ask, irc.network(), portal.as_ref())?;
    if !about.words().is_empty() {
        let place = about.channel(0)?;
        let channel = place.target_name().to_owned();
        return about.carry_out(Command::Why(channel)).await;
    }
    let status = about.carry_out(Command::Status).await?;
    let here = portal.filter(|portal| *portal.remote.network == *about.network.name);
    let Some(channel) = here.as_ref().and_then(|here| here.remote.as_channel()) else {
        return Ok(status);
    };
    let told = about.carry_out(Command::Why(channel.to_owned())).await?;
    Ok(format!("{status}\n{told}"))
}

async fn reconnect(ask: CommandAsk, irc: Portals<Irc>, portal: Option<Portal<Irc>>) -> Told {
    let about = About::new(&ask, irc.network(), portal.as_ref())?;
    about.carry_out(Command::Reconnect).await
}

async fn quit(ask: CommandAsk, irc: Portals<Irc>, portal: Option<Portal<Irc>>) -> Told {
    let about = About::new(&ask, irc.network(), portal.as_ref())?;
    about.carry_out(Command::Quit).await
}

async fn ignore(ask: CommandAsk, irc: Portals<Irc>, portal: Option<Portal<Irc>>) -> Told {
    let about = About::new(&ask, irc.network(), portal.as_ref())?;
    let mask = about.word(0, "nick or mask")?.to_owned();
    about.carry_out(Command::Ignore(mask)).await
}

async fn unignore(ask: CommandAsk, irc: Portals<Irc>, portal: Option<Portal<Irc>>) -> Told {
    let about = About::new(&ask, irc.network(), portal.as_ref())?;
    let mask = about.word(0, "nick or mask")?.to_owned();
    about.carry_out(Command::Unignore(mask)).await
}

async fn ignores(ask: CommandAsk, irc: Portals<Irc>, portal: Option<Portal<Irc>>) -> Told {
    let about = About::new(&ask, irc.network(), portal.as_ref())?;
    about.carry_out(Command::Ignored).await
}

async fn version(_: CommandAsk) -> String {
    concat!("bridgehead-irc ", env!("CARGO_PKG_VERSION")).to_owned()
}
