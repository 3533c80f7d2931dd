//! How networks are browsed: clients look up people and channels of IRC, and whom users and aliases stand for
//! (specification, *Application Service API*, *Third-party networks*).

use bridgehead_appservice::{
    AliasAsk, HandlerError, ProtocolInfo, RemoteAsk, RemoteLocation, RemoteUser, ThirdParty,
    UserAsk,
    bridge::{Network as _, Portals},
    id::MxcUri,
};

use crate::{
    Irc, Settings,
    ids::{Nick, Place, is_channel, is_somebody},
    networks::Networks,
};

/// The protocol's name.
pub(crate) const PROTOCOL: &str = "irc";

/// What is told of the networks that there are.
pub(crate) fn third_party(networks: Networks) -> ThirdParty {
    ThirdParty::new(info(&networks.settings()))
        .informed_by(move || info(&networks.settings()))
        .users(users)
        .locations(locations)
        .of_user(of_user)
        .of_alias(of_alias)
}

fn info(settings: &Settings) -> ProtocolInfo {
    let example = settings.networks.keys().next();
    let example = example.map_or("libera", String::as_str);
    let info = ProtocolInfo::new()
        .field("network", "[a-z0-9-]+", example)
        .field("nick", r"[^#&+!:@%$\-0-9 ,*?.][^ ,*?!@.:]*", "nick")
        .field("channel", r"[#&+!][^ ,:]+", "#channel")
        .users_by(&["network", "nick"])
        .locations_by(&["network", "channel"]);
    let networks = settings.networks.iter();
    networks.fold(info, |info, (name, network)| {
        let title = network.title.as_deref().unwrap_or(name);
        let info = info.instance(name, title, &[("network", name)]);
        let icon = network.icon.as_deref().map(MxcUri::parse);
        match icon {
            Some(Ok(icon)) => info.instance_icon(&icon),
            _ => info,
        }
    })
}

/// The networks that are asked about: the named one, or all.
fn networks(ask: &RemoteAsk, irc: &Irc) -> Vec<crate::network::Handle> {
    match ask.get("network") {
        Some(name) => irc.network(&name.to_lowercase()).into_iter().collect(),
        None => irc.networks().all(),
    }
}

async fn users(ask: RemoteAsk, irc: Portals<Irc>) -> Result<Vec<RemoteUser>, HandlerError> {
    let Some(nick) = ask.get("nick").filter(|nick| is_somebody(nick)) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for network in networks(&ask, irc.network()) {
        let mapping = network.directory.read().case_mapping();
        let nick = Nick::new(&network.name, nick, mapping);
        // One of the bridge's own people is no ghost.
        if let Some(info) = irc.network().describe_user(&nick).await? {
            let written = info.name.unwrap_or_else(|| nick.nick.clone());
            found.push(user(&irc, &nick, &written)?);
        }
    }
    Ok(found)
}

fn user(irc: &Portals<Irc>, nick: &Nick, written: &str) -> Result<RemoteUser, HandlerError> {
    let found = RemoteUser::new(&irc.ghost_id(nick)?);
    Ok(found.field("network", &nick.network).field("nick", written))
}

async fn locations(ask: RemoteAsk, irc: Portals<Irc>) -> Result<Vec<RemoteLocation>, HandlerError> {
    let Some(channel) = ask.get("channel").filter(|channel| is_channel(channel)) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for network in networks(&ask, irc.network()) {
        let mapping = network.directory.read().case_mapping();
        let place = Place::channel(&network.name, channel, mapping);
        found.extend(location(&irc, &place).await?);
    }
    Ok(found)
}

async fn location(
    irc: &Portals<Irc>,
    place: &Place,
) -> Result<Option<RemoteLocation>, HandlerError> {
    let is_there = irc.network().describe_room(place).await?.is_some();
    let alias = irc.alias_of(place).filter(|_| is_there);
    Ok(alias.map(|alias| {
        RemoteLocation::new(&alias)
            .field("network", &place.network)
            .field("channel", place.target_name())
    }))
}

async fn of_user(ask: UserAsk, irc: Portals<Irc>) -> Result<Option<RemoteUser>, HandlerError> {
    let Some(nick) = irc.user_of(&ask.user_id) else {
        return Ok(None);
    };
    let info = irc.network().describe_user(&nick).await?;
    let written = info.map(|info| info.name.unwrap_or_else(|| nick.nick.clone()));
    written
        .map(|written| user(&irc, &nick, &written))
        .transpose()
}

async fn of_alias(
    ask: AliasAsk,
    irc: Portals<Irc>,
) -> Result<Option<RemoteLocation>, HandlerError> {
    match irc.room_of_alias(&ask.alias) {
        Some(place) => location(&irc, &place).await,
        None => Ok(None),
    }
}
