//! Which commands there are, when they may be used, and what they need.

use bridgehead_irc_protocol::Line;

use super::{
    about, authenticate, away, batch, cap, chathistory, invite, join, kick, list, mode, monitor,
    names, nick, oper, part, ping, redact, register, relaymsg, rename, say, setname, topic, webirc,
    who, whois,
};
use crate::state::{State, client::ClientId};

/// When a command may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// At any time.
    Any,
    /// Before the welcome alone.
    Registering,
    /// After the welcome alone.
    Registered,
}

/// One command.
pub(super) struct Command {
    name: &'static str,
    pub(super) stage: Stage,
    /// Parameters that it needs.
    pub(super) params: usize,
    pub(super) run: fn(&mut State, ClientId, &Line),
    /// The capability without which the server does not know it.
    needs: Option<&'static str>,
}

const fn command(
    name: &'static str,
    stage: Stage,
    params: usize,
    run: fn(&mut State, ClientId, &Line),
) -> Command {
    Command {
        name,
        stage,
        params,
        run,
        needs: None,
    }
}

const fn needing(cap: &'static str, mut command: Command) -> Command {
    command.needs = Some(cap);
    command
}

use Stage::{Any, Registered, Registering};

const COMMANDS: &[Command] = &[
    command("ADMIN", Registered, 0, about::admin),
    needing("sasl", command("AUTHENTICATE", Any, 1, authenticate::run)),
    command("AWAY", Registered, 0, away::run),
    needing("batch", command("BATCH", Registered, 1, batch::run)),
    command("CAP", Any, 1, cap::run),
    needing(
        "draft/chathistory",
        command("CHATHISTORY", Registered, 1, chathistory::run),
    ),
    command("INFO", Registered, 0, about::info),
    command("INVITE", Registered, 2, invite::run),
    command("ISON", Registered, 1, about::ison),
    command("JOIN", Registered, 1, join::run),
    command("KICK", Registered, 2, kick::run),
    command("KILL", Registered, 1, oper::kill),
    command("LIST", Registered, 0, list::run),
    command("LUSERS", Registered, 0, about::lusers),
    command("MODE", Registered, 1, mode::run),
    command("MONITOR", Registered, 1, monitor::run),
    command("MOTD", Registered, 0, about::motd),
    command("NAMES", Registered, 0, names::run),
    command("NICK", Any, 0, nick::run),
    command("NOTICE", Registered, 0, say::run),
    command("OPER", Registered, 2, oper::run),
    command("PART", Registered, 1, part::run),
    command("PASS", Registering, 1, register::pass),
    command("PING", Any, 0, ping::ping),
    command("PONG", Any, 0, ping::pong),
    command("PRIVMSG", Registered, 0, say::run),
    command("QUIT", Any, 0, ping::quit),
    needing(
        "draft/message-redaction",
        command("REDACT", Registered, 2, redact::run),
    ),
    needing(
        "draft/relaymsg",
        command("RELAYMSG", Registered, 3, relaymsg::run),
    ),
    needing(
        "draft/channel-rename",
        command("RENAME", Registered, 2, rename::run),
    ),
    needing("setname", command("SETNAME", Registered, 1, setname::run)),
    needing(
        "message-tags",
        command("TAGMSG", Registered, 1, say::tagmsg),
    ),
    command("TIME", Registered, 0, about::time),
    command("TOPIC", Registered, 1, topic::run),
    command("USER", Registering, 4, register::user),
    command("USERHOST", Registered, 1, about::userhost),
    command("VERSION", Registered, 0, about::version),
    command("WEBIRC", Registering, 4, webirc::run),
    command("WHO", Registered, 0, who::run),
    command("WHOIS", Registered, 1, whois::run),
    command("WHOWAS", Registered, 1, whois::whowas),
];

/// The command of this name, where this server knows it.
pub(super) fn find(name: &str, state: &State) -> Option<&'static Command> {
    let has_cap = !state.dialect.caps.is_empty() && !state.knobs.has_no_cap;
    let known = COMMANDS.iter().find(|command| command.name == name)?;
    let is_here = match known.name {
        "CAP" => has_cap,
        "MONITOR" => state.dialect.limits.monitors.is_some(),
        _ => known.needs.is_none_or(|cap| state.dialect.offers(cap)),
    };
    is_here.then_some(known)
}
