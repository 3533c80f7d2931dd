//! What people say and ask on IRC by commands.

use bridgehead_appservice::{
    Handle as Service,
    bridge::{CommandAsk, Commands, Portal, Portals, SendError},
};
use bridgehead_irc_protocol::{Line, encoding, session::SayCommand};

use super::{Told, about::About, other};
use crate::{
    Irc,
    ids::{Nick, Place},
    network::{Command, Speech},
    render,
};

/// Lines of IRC that nobody gives by hand: they would take the connection out of the bridge's hands, or tell it what the
/// bridge does not know.
const NOT_BY_HAND: [(&str, &str); 12] = [
    ("PASS", "`storepass`"),
    ("USER", "`username`"),
    ("NICK", "`nick`"),
    ("CAP", ""),
    ("AUTHENTICATE", "`storepass`"),
    ("WEBIRC", ""),
    ("QUIT", "`quit`"),
    ("PONG", ""),
    ("PING", ""),
    ("JOIN", "`join`"),
    ("PART", "leave the channel's room"),
    ("AWAY", "`away`"),
];

pub(super) fn commands(commands: Commands) -> Commands {
    commands
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
}

async fn msg(
    ask: CommandAsk,
    irc: Portals<Irc>,
    portal: Option<Portal<Irc>>,
    service: Service,
) -> Told {
    let about = About::new(&ask, irc.network(), portal.as_ref())?;
    let (nick, text) = (about.nick(0)?, about.text(1, "text")?);
    let mapping = about.network.directory.read().case_mapping();
    let to = Nick::new(&about.network.name, nick, mapping);
    let place = Place::private(&to, &ask.sender);
    let limit = about.network.settings.limits.max_lines;
    let lines = render::lines(text, &place);
    if lines.len() > limit {
        return Err(other(format!(
            "that is {} lines on IRC, and {limit} are allowed: say less, or more often",
            lines.len()
        )));
    }
    let encoding = about.network.settings.send_encoding_of(None);
    let encoded = |line: &String| encoding::encode(line, encoding).0.into_owned();
    let key = format!("{}/msg", ask.event.id);
    let speech = Speech {
        key,
        speaker: ask.sender.clone(),
        name: name_of(&service, &ask).await,
        place,
        is_literal: true,
        command: SayCommand::Privmsg,
        lines: lines.iter().map(encoded).collect(),
        tags: Vec::new(),
        is_one: false,
        relayed_as: None,
        claimed: Vec::new(),
        doubted: Vec::new(),
    };
    match about.network.say(speech).await {
        Ok(_) => Ok(format!(
            "{nick} is told. What they answer comes in a room of its own."
        )),
        Err(error) => Err(other(reason(&error))),
    }
}

/// What somebody calls themselves where they give a command.
async fn name_of(service: &Service, ask: &CommandAsk) -> String {
    let localpart = || ask.sender.localpart().to_owned();
    let Ok(room) = service.room(&ask.room_id) else {
        return localpart();
    };
    let member = room.member(&ask.sender).await.ok();
    let name = member.and_then(|member| member.value()??.displayname);
    name.unwrap_or_else(localpart)
}

fn reason(error: &SendError) -> String {
    match error {
        SendError::Retry { reason, .. } | SendError::Away { reason, .. } => {
            format!("It is not said: {reason}. Try again later.")
        }
        SendError::Reject(rejected) => rejected.reason.clone(),
    }
}

async fn whois(ask: CommandAsk, irc: Portals<Irc>, portal: Option<Portal<Irc>>) -> Told {
    let about = About::new(&ask, irc.network(), portal.as_ref())?;
    let nick = about.nick(0)?.to_owned();
    about.carry_out(Command::Whois(nick)).await
}

async fn cmd(ask: CommandAsk, irc: Portals<Irc>, portal: Option<Portal<Irc>>) -> Told {
    let about = About::new(&ask, irc.network(), portal.as_ref())?;
    let text = about.text(0, "command")?;
    let line = Line::parse(text.as_bytes()).map_err(|error| other(error.to_string()))?;
    let line = Line {
        command: line.command.to_uppercase(),
        ..Line::new(&line.command, line.params.iter().map(|param| &param[..]))
    };
    if let Some((_, instead)) = NOT_BY_HAND.iter().find(|(name, _)| *name == line.command) {
        let instead = match instead.is_empty() {
            true => String::new(),
            false => format!(": {instead} does it"),
        };
        return Err(other(format!(
            "{} is the bridge's own to say{instead}.",
            line.command
        )));
    }
    about.carry_out(Command::Raw(line)).await
}
