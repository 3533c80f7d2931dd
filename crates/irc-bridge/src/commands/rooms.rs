//! Channels and their rooms.

use bridgehead_appservice::{
    Bot, Handle as Service, HandlerError, JoinRule,
    bridge::{CommandAsk, CommandError, Commands, Portal, PortalKind, Portals},
    format::Rich,
    id::UserId,
};

use super::{Told, about::About, other};
use crate::{Irc, ids::Place, network::Command, settings::Mode};

/// Rooms on a page.
const PAGE: usize = 200;
/// Rooms that are looked at.
const MAX_ROOMS: usize = 2000;

pub(super) fn commands(commands: Commands) -> Commands {
    commands
        .command(
            "join",
            "[network] <channel> [key]: the room of a channel",
            join,
        )
        .command(
            "listrooms",
            "the channels whose rooms you are in",
            list_rooms,
        )
}

async fn join(
    ask: CommandAsk,
    irc: Portals<Irc>,
    portal: Option<Portal<Irc>>,
    service: Service,
    bot: Bot,
) -> Told {
    let about = About::new(&ask, irc.network(), portal.as_ref())?;
    let place = about.channel(0)?;
    let channel = place.target_name().to_owned();
    // Whoever may not have its room has no business there by this bridge.
    about.may_be_bridged(&place)?;
    let key = about.words().get(1).cloned();
    let failed = |error: &dyn std::fmt::Display| other(error.to_string());
    let known = irc.of(&place).await.map_err(|error| failed(&error))?;
    let people = irc.remote().people(&place).await;
    let mut people = people.map_err(|error| failed(&error))?.into_iter();
    let is_member = people.any(|person| person.user_id == ask.sender);
    let entered = enter(&about, &irc, (&ask.sender, &place), (key, is_member)).await;
    // Who is in its room has been let in by whoever may do that, and is in the channel by that.
    if is_member {
        return entered.map(|_| format!("You are in the room of {channel} already."));
    }
    let is_theirs = entered?;
    if let Some(known) = &known {
        let room = service
            .room(&known.matrix)
            .map_err(|error| failed(&error))?;
        let rule = room.join_rule().await.map_err(|error| failed(&error))?;
        let is_open = rule.value().flatten() == Some(JoinRule::Public);
        let is_made = known.data.kind == PortalKind::Made;
        // Who may hear the channel may come into its room, unless that is others' to say.
        let may_come = is_open || (is_made && is_theirs);
        if !may_come {
            about.carry_out(Command::Abandon(channel.clone())).await?;
            return Err(other(format!(
                "{channel} is linked to a room that is not open to everybody: ask who is in it for an invitation."
            )));
        }
    }
    if known.is_none() && !is_theirs && about.network.is_keyed(&channel) {
        return Err(other(format!(
            "{channel} has a key, and nobody gets its room by command: ask who runs this bridge"
        )));
    }
    let made = match irc.ensure(&place, Some(&ask.sender)).await {
        Ok(made) => made,
        Err(error) => {
            about.carry_out(Command::Abandon(channel)).await?;
            return Err(failed(&error));
        }
    };
    bot.invite(&made.matrix, &ask.sender)
        .await
        .map_err(|error| other(format!("I cannot invite you to the room: {error}")))?;
    Ok(format!("You are invited to the room of {channel}."))
}

/// Has somebody's own connection enter a channel, where they have one: whoever is not let in there hears nothing of it
/// here. Whether it has entered.
async fn enter(
    about: &About<'_>,
    irc: &Portals<Irc>,
    (who, place): (&UserId, &Place),
    (key, is_member): (Option<String>, bool),
) -> Result<bool, CommandError> {
    let channel = place.target_name().to_owned();
    let level = irc.remote().level(who);
    let level = level.map_err(|error| other(error.to_string()))?;
    if about.network.settings.mode_for(&channel, level) == Mode::Relay {
        return Ok(false);
    }
    let enter = Command::Enter {
        channel: channel.clone(),
        key,
    };
    if let Err(refused) = about.carry_out(enter).await {
        let over = match is_member {
            true => Command::Forgo(channel),
            false => Command::Abandon(channel),
        };
        about.carry_out(over).await?;
        return Err(refused);
    }
    // If it is so, the key has fit: the bridge needs it too.
    about.carry_out(Command::Entered(channel)).await?;
    Ok(true)
}

async fn list_rooms(ask: CommandAsk, irc: Portals<Irc>) -> Result<Rich, HandlerError> {
    let mut lines = Vec::new();
    let mut after = None;
    let mut looked_at = 0;
    while looked_at < MAX_ROOMS {
        let page = irc.list(after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.remote.clone());
        looked_at += page.len();
        for portal in &page {
            let Some(channel) = portal.remote.as_channel() else {
                continue;
            };
            let people = irc.remote().people(&portal.remote).await?;
            if people.iter().any(|person| person.user_id == ask.sender) {
                let (network, room) = (&portal.remote.network, &portal.matrix);
                lines.push(format!("- `{channel}` on {network}: {room}"));
            }
        }
    }
    Ok(Rich::from_markdown(&match lines.is_empty() {
        true => "You are in none. `join <channel>` gets you into one.".to_owned(),
        false => lines.join("\n"),
    }))
}
