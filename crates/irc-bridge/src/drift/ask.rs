//! The commands: what differs, what is missing, and to bring both sides in line.

use bridgehead_appservice::{
    Bot, HandlerError, JoinRule, Membership, Power,
    bridge::{CommandAsk, CommandError, Commands, Level, Member, Portal, PortalKind, Portals},
};
use bridgehead_irc_protocol::{encoding, formatting};

use super::{Drift, Kept, RoomPicture, compare, lacks, mend, told};
use crate::{
    Irc,
    network::{Handle, Picture},
    settings::Mode,
};

type Told = Result<String, CommandError>;

/// These commands beside the others.
pub(crate) fn commands(commands: Commands) -> Commands {
    commands
        .command(
            "drift",
            "what differs between this room and its channel",
            drift,
        )
        .command("sync", "brings this room and its channel in line", sync)
        .command(
            "missing",
            "what the bridge has not the power for here",
            missing,
        )
}

fn other(text: impl ToString) -> CommandError {
    CommandError::Other(text.to_string())
}

/// A channel and its room, side by side.
pub(super) struct Pair<'a> {
    pub(super) portal: Portal<Irc>,
    pub(super) irc: &'a Portals<Irc>,
    pub(super) handle: Handle,
    pub(super) look: Picture,
    pub(super) room: RoomPicture,
    pub(super) kept: Kept,
    /// The channel's topic as text.
    pub(super) topic: Option<String>,
}

impl<'a> Pair<'a> {
    async fn of(
        irc: &'a Portals<Irc>,
        portal: Option<Portal<Irc>>,
        bot: &Bot,
    ) -> Result<Self, CommandError> {
        let nowhere = || other("Ask that in the room of a channel.");
        let portal = portal.ok_or_else(nowhere)?;
        let channel = portal.remote.as_channel().ok_or_else(nowhere)?;
        let handle = irc.network().network(&portal.remote.network);
        let handle = handle.ok_or_else(|| other("There is no such network any more."))?;
        let look = handle.picture(channel).await;
        let look = look.ok_or_else(|| other("The bridge is not in the channel at the moment."))?;
        let room = room_look(irc, &portal, bot).await.map_err(other)?;
        let sync = &handle.settings.sync;
        let kept = Kept {
            to_matrix: sync.to_matrix,
            to_irc: sync.to_irc && handle.settings.mode_of(channel) == Mode::Puppet,
            powers: sync.powers,
            bans: sync.bans,
            topics: sync.topics,
        };
        let encoding = handle.settings.encoding_of(Some(channel));
        let topic = look.topic.as_ref().map(|topic| {
            let (words, _) = encoding::decode(topic, Some(encoding));
            formatting::strip(&words).into_owned()
        });
        Ok(Self {
            irc,
            handle,
            look,
            room,
            kept,
            topic,
            portal,
        })
    }

    fn differences(&self) -> Vec<Drift> {
        let mapping = self.handle.directory.read().case_mapping();
        let fold = |nick: &str| mapping.fold(nick);
        let topic = self.topic.as_deref();
        compare(&self.look, &self.room, self.kept, (topic, &fold))
    }
}

/// A room, as far as it is to be like its channel.
async fn room_look(
    irc: &Portals<Irc>,
    portal: &Portal<Irc>,
    bot: &Bot,
) -> Result<RoomPicture, HandlerError> {
    let room = bot.room(&portal.matrix);
    let levels = room.power_levels().await?.value();
    let level_of = |user: &_| match levels.as_ref().map(|levels| levels.of(user)) {
        Some(Power::Level(level)) => level,
        Some(Power::Infinite) => i64::MAX,
        None => 0,
    };
    let mut look = RoomPicture {
        topic: room.topic().await?.value().flatten().unwrap_or_default(),
        ..RoomPicture::default()
    };
    if portal.data.kind == PortalKind::Made {
        let rule = room.join_rule().await?.value().flatten();
        look.is_open = rule.map(|rule| rule == JoinRule::Public);
    }
    let remote = irc.remote();
    let people = remote.people(&portal.remote).await?;
    for person in people {
        let level = level_of(&person.user_id);
        look.people.insert(person.user_id, level);
    }
    for member in room.all_members().await?.value().unwrap_or_default() {
        match (remote.member(&member.user_id), member.membership) {
            (Member::User(nick), Membership::Join) if nick.network == portal.remote.network => {
                look.ghost_levels
                    .insert(nick.nick.clone(), level_of(&member.user_id));
                look.ghosts.insert(nick.nick);
            }
            (Member::User(nick), Membership::Ban) if nick.network == portal.remote.network => {
                look.banned_ghosts.insert(nick.nick);
            }
            (Member::Person(person), Membership::Ban) => {
                look.banned.insert(person);
            }
            _ => {}
        }
    }
    Ok(look)
}

async fn drift(irc: Portals<Irc>, portal: Option<Portal<Irc>>, bot: Bot) -> Told {
    let pair = Pair::of(&irc, portal, &bot).await?;
    Ok(told(&pair.differences()))
}

async fn sync(ask: CommandAsk, irc: Portals<Irc>, portal: Option<Portal<Irc>>, bot: Bot) -> Told {
    let pair = Pair::of(&irc, portal, &bot).await?;
    let levels = bot.room(&pair.portal.matrix).power_levels().await;
    let levels = levels.map_err(other)?.value();
    let may = levels.is_some_and(|levels| levels.of(&ask.sender).is_at_least(levels.to_kick()));
    if !may && ask.level < Level::Admin {
        return Err(other(
            "That is for the room's moderators: they may kick here.",
        ));
    }
    let differences = pair.differences();
    if differences.is_empty() {
        return Ok(told(&differences));
    }
    mend::mend(&pair, &differences).await.map_err(other)?;
    Ok(format!(
        "This is being brought in line:\n{}",
        told(&differences)
    ))
}

async fn missing(irc: Portals<Irc>, portal: Option<Portal<Irc>>, bot: Bot) -> Told {
    let pair = Pair::of(&irc, portal, &bot).await?;
    let room = bot.room(&pair.portal.matrix);
    let levels = room.power_levels().await.map_err(other)?.value();
    let rule = room.join_rule().await.map_err(other)?.value().flatten();
    let own = levels
        .as_ref()
        .map(|levels| (levels.as_ref(), levels.of(bot.id())));
    let in_room = own.map_or_else(Vec::new, |own| {
        lacks::in_room(own, rule.as_ref(), pair.kept)
    });
    let in_channel = lacks::in_channel(&pair.look, pair.kept);
    Ok(lacks::told(&in_room, &in_channel))
}
