//! Commands: what people tell the service's user to do, in words.
//!
//! In a person's own room with the service's user (see [`management`](super::management)) every message is a command;
//! elsewhere those with the prefix are. There a `!` may stand before the name, as with other bridges. Notices, edits, echoes and the service's own words never are.

mod ask;
mod words;

use std::{collections::BTreeSet, sync::Arc};

use serde_json::json;

pub use self::ask::{Answer, CommandAsk, CommandError};
use super::{
    Level, calls,
    management::{self, notice},
    network::{Origin, origin},
};
use crate::{
    Content, Error, Event, HandlerError, Urgency,
    core::Core,
    format::{Rich, content::Kind},
    handler::{AnyHandler, Context, Handler, Input, Scope, Verdict},
    id::UserId,
    outbox::{Outgoing, What},
    store::Tx,
};

/// What other bridges' commands begin with, in a person's own room too.
const MARK: char = '!';

/// Names that an unknown command's answer shows.
const GUESSES: usize = 3;

/// The commands of a service.
///
/// ```
/// use bridgehead_appservice::{
///     Service,
///     bridge::{CommandAsk, CommandError, Commands},
/// };
///
/// let service = Service::new("dice").commands(Commands::new("!dice").command(
///     "roll",
///     "<sides>: rolls a die",
///     |ask: CommandAsk| async move {
///         let sides: u32 = ask.arg(0, "sides")?;
///         Ok::<_, CommandError>(format!("a die with {sides} sides it is"))
///     },
/// ));
/// # drop(service);
/// ```
#[derive(Clone, Default)]
#[must_use = "they are given to `Service::commands`"]
pub struct Commands {
    prefix: Option<String>,
    list: Vec<Command>,
}

#[derive(Clone)]
struct Command {
    name: String,
    help: String,
    level: Level,
    handler: AnyHandler<Answer>,
    /// One that every bridge has.
    is_kits: bool,
    /// Nobody is to read what it is given.
    is_secret: bool,
}

impl Commands {
    /// No commands yet, with this prefix in rooms with others, such as `!irc`. Behind it comes white space.
    pub fn new(prefix: &str) -> Self {
        Self {
            prefix: Some(prefix.to_owned()),
            list: Vec::new(),
        }
    }

    /// A command of this name, with a line for the help that begins with what it takes. Its handler takes what
    /// handlers of events take, and [`CommandAsk`]; what it returns is answered (see [`Answer`]). For those who are
    /// [`Level::User`] or more.
    pub fn command<Args: 'static>(
        self,
        name: &str,
        help: &str,
        handler: impl Handler<Args, Answer>,
    ) -> Self {
        self.command_for(Level::User, name, help, handler)
    }

    /// The same for those of this level or more.
    pub fn command_for<Args: 'static>(
        mut self,
        level: Level,
        name: &str,
        help: &str,
        handler: impl Handler<Args, Answer>,
    ) -> Self {
        self.list.push(Command {
            name: name.to_lowercase(),
            help: help.to_owned(),
            level,
            handler: AnyHandler::new(&format!("command {name}"), handler),
            is_kits: false,
            is_secret: false,
        });
        self
    }

    /// Nobody is to read what the last of these commands is given, such as a password: whatever becomes of the command,
    /// the service's user removes the message from the room, before anything else; where it may not, it says so.
    ///
    /// Also of a line that cannot be read, with a quotation mark too many, if it begins with the command's name.
    pub fn secret(mut self) -> Self {
        if let Some(last) = self.list.last_mut() {
            last.is_secret = true;
        }
        self
    }

    /// The same as the kit's own: an author's command of the same name takes the place of one.
    pub(crate) fn into_kits(mut self) -> Self {
        self.list
            .iter_mut()
            .for_each(|command| command.is_kits = true);
        self
    }

    /// Takes these too; their prefix, where they have one.
    pub(crate) fn merge(&mut self, other: Self) {
        self.prefix = other.prefix.or(self.prefix.take());
        self.list.extend(other.list);
        let authors = self.list.iter().filter(|command| !command.is_kits);
        let authors: BTreeSet<String> = authors.map(|command| command.name.clone()).collect();
        self.list
            .retain(|command| !command.is_kits || !authors.contains(&command.name));
    }

    /// The same with this prefix, if it has none.
    pub(crate) fn with_prefix(mut self, prefix: &str) -> Self {
        self.prefix.get_or_insert_with(|| prefix.to_owned());
        self
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// What is wrong with the declaration.
    pub(crate) fn mistakes(&self, declared: &crate::Declared<'_>) -> Vec<String> {
        let mut mistakes = Vec::new();
        for (index, command) in self.list.iter().enumerate() {
            mistakes.extend(command.handler.check(declared).err());
            if command.name.is_empty() || command.name.contains(char::is_whitespace) {
                mistakes.push(format!("`{}` is no command's name", command.name));
            }
            let is_twice = self.list[..index]
                .iter()
                .any(|other| other.name == command.name);
            if is_twice {
                mistakes.push(format!("there are two commands `{}`", command.name));
            }
        }
        if self
            .prefix
            .as_ref()
            .is_some_and(|prefix| prefix.trim().is_empty())
        {
            mistakes.push("the commands' prefix is empty: every message would be one".to_owned());
        }
        mistakes
    }

    /// The prefix, for texts that name commands.
    pub(crate) fn prefix(&self) -> &str {
        self.prefix.as_deref().unwrap_or_default()
    }

    /// What stands behind the prefix, if the text has it.
    fn behind_prefix<'a>(&self, text: &'a str) -> Option<&'a str> {
        let rest = text.trim_start().strip_prefix(self.prefix.as_deref()?)?;
        (rest.is_empty() || rest.starts_with(char::is_whitespace)).then(|| rest.trim())
    }

    /// A line of a person's own room, without the mark that commands have elsewhere.
    fn without_mark<'a>(&self, text: &'a str) -> &'a str {
        let line = text.trim_start();
        let is_marked = !self
            .list
            .iter()
            .any(|command| command.name.starts_with(MARK));
        let rest = line.strip_prefix(MARK).filter(|_| is_marked);
        rest.filter(|rest| rest.starts_with(|first: char| !first.is_whitespace()))
            .unwrap_or(line)
    }

    /// Whether nobody is to read a line.
    fn is_secret(&self, line: &str, read: &Result<CommandAsk, CommandError>) -> bool {
        let name = match read {
            Ok(ask) => ask.name.clone(),
            // It is the first word that is no flag, without quotation marks.
            Err(_) => {
                let mut words = line.split_whitespace();
                let word = words.find(|word| !word.starts_with("--"));
                let word = word.unwrap_or_default().to_lowercase();
                word.replace(['"', '\'', '\\'], "")
            }
        };
        let mut secret = self.list.iter().filter(|command| command.is_secret);
        secret.any(|command| command.name == name)
    }

    /// Whether an event is a command by its prefix: such is not brought to networks.
    pub(crate) fn is_prefixed(&self, event: &Event) -> bool {
        !self.is_empty() && said(event).is_some_and(|text| self.behind_prefix(text).is_some())
    }

    /// What may be asked for by somebody of this level.
    fn help(&self, ask: &CommandAsk) -> Rich {
        let prefix = match ask.is_management {
            true => String::new(),
            false => format!("{} ", self.prefix()),
        };
        let wanted = ask.args.first().map(|name| name.to_lowercase());
        let allowed = self
            .list
            .iter()
            .filter(|command| command.level <= ask.level);
        let shown =
            allowed.filter(|command| wanted.as_ref().is_none_or(|name| *name == command.name));
        let lines = shown.map(|command| {
            let (takes, does) = command.help.split_once(": ").unwrap_or(("", &command.help));
            let takes = if takes.is_empty() {
                String::new()
            } else {
                format!(" {takes}")
            };
            format!("- `{prefix}{}{takes}` {does}\n", command.name)
        });
        let list: String = lines.collect();
        match list.is_empty() {
            true => Rich::from_markdown(&format!(
                "There is no such command. `{prefix}help` lists all."
            )),
            false => Rich::from_markdown(&list),
        }
    }

    fn unknown(&self, ask: &CommandAsk) -> Rich {
        let allowed = self
            .list
            .iter()
            .filter(|command| command.level <= ask.level);
        let names = allowed.map(|command| command.name.as_str()).chain(["help"]);
        let names = words::nearest(&ask.name, names, GUESSES);
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        let guess = match names.split_last() {
            None => String::new(),
            Some((only, [])) => format!(" Did you mean {only}?"),
            Some((last, others)) => format!(" Did you mean {} or {last}?", others.join(", ")),
        };
        let prefix = if ask.is_management { "" } else { self.prefix() };
        let help = format!("{prefix} help");
        Rich::from_markdown(&format!(
            "There is no command `{}`.{guess} `{}` lists all.",
            ask.name.replace('`', "'"),
            help.trim()
        ))
    }
}

/// The text of a message that may be a command.
fn said(event: &Event) -> Option<&str> {
    let is_edit = event
        .content
        .pointer("/m.relates_to/rel_type")
        .and_then(|kind| kind.as_str())
        == Some("m.replace");
    let is_text = event.kind == "m.room.message"
        && !event.is_state()
        && event.text("msgtype") == Some("m.text");
    (is_text && !is_edit).then(|| event.text("body")).flatten()
}

/// Looks whether an event is a command, and does it.
pub(crate) async fn on_event(context: Context) -> Result<Verdict, HandlerError> {
    let core = context.core.clone();
    let Input::Event(event) = &context.input else {
        return Ok(Verdict::Done);
    };
    let Some(text) = said(event) else {
        return Ok(Verdict::Done);
    };
    if core.commands.is_empty() || origin(&core, event).await? != Origin::Matrix {
        return Ok(Verdict::Done);
    }
    let prefixed = core.commands.behind_prefix(text);
    let is_management = management::owner(&core, &event.room_id).await?.is_some();
    let own = || is_management.then(|| core.commands.without_mark(text));
    let Some(line) = prefixed.or_else(own) else {
        return Ok(Verdict::Done);
    };
    let level = core.level(&event.sender);
    let read = CommandAsk::read(line, event, (level, is_management));
    let is_left = core.commands.is_secret(line, &read) && !remove(&core, event).await?;
    let answer = match read {
        Ok(ask) => dispatch(&context, event, ask).await?,
        Err(error) => Answer::text(&error.to_string()),
    };
    if let Some(rich) = answer.0 {
        say(&core, event, &rich).await?;
    }
    if is_left {
        let left =
            "I may not remove your message: remove it yourself, for there is a secret in it.";
        let key = format!("{}/left", event.id);
        say_under(&core, event, &Rich::plain(left), key).await?;
    }
    Ok(Verdict::Done)
}

/// Removes a message that nobody is to read; `false` where that is not allowed.
async fn remove(core: &Arc<Core>, event: &Event) -> Result<bool, Error> {
    let redaction = Outgoing {
        key: format!("{}/secret", event.id),
        room_id: event.room_id.clone(),
        user: core.bot.clone(),
        what: What::Redaction(event.id.clone()),
        content: json!({ "reason": "there is a secret in it" }),
        ts_ms: None,
        urgency: Urgency::Message,
    };
    match calls::send(core, &redaction).await {
        Err(error) if error.may_pass() => Err(error),
        sent => Ok(sent.is_ok()),
    }
}

async fn dispatch(
    context: &Context,
    event: &Arc<Event>,
    ask: CommandAsk,
) -> Result<Answer, HandlerError> {
    let commands = &context.core.commands;
    if ask.level < Level::User {
        return Ok(Answer::text("You may not give commands here."));
    }
    let command = commands
        .list
        .iter()
        .find(|command| command.name == ask.name);
    let Some(command) = command else {
        return Ok(Answer(Some(match ask.name.as_str() {
            "help" => commands.help(&ask),
            _ => commands.unknown(&ask),
        })));
    };
    if ask.level < command.level {
        return Ok(Answer::text(&format!(
            "You may not give the command `{}`.",
            ask.name
        )));
    }
    let name = ask.name.clone();
    let gathered = Tx::new(context.core.store.clone());
    let called = Context {
        input: Input::Command(event.clone(), Arc::new(ask)),
        tx: gathered.clone(),
        scope: Scope::new(format!("{}/command", event.id)),
        ..context.clone()
    };
    let answer = match command.handler.call(called).await {
        None => Answer::text(&format!("`{name}` is of no use in this room.")),
        Some(Ok(answer)) => answer,
        // What passes by itself is tried again; the rest is for whoever has asked.
        Some(Err(error)) if passes(&error) => return Err(error),
        Some(Err(error)) => {
            gathered.take();
            tracing::info!(command = name, %error, "a command was not done");
            Answer::text(&format!("That was not done: {error}."))
        }
    };
    for change in gathered.take() {
        context.tx.push(change);
    }
    Ok(answer)
}

fn passes(error: &HandlerError) -> bool {
    error
        .as_error()
        .is_some_and(|error| error.may_pass() || matches!(error, Error::Stopping | Error::Store(_)))
}

/// Answers in the room, or where the service's user cannot speak there, in the person's own room with it.
async fn say(core: &Arc<Core>, event: &Event, answer: &Rich) -> Result<(), Error> {
    say_under(core, event, answer, format!("{}/answer", event.id)).await
}

async fn say_under(
    core: &Arc<Core>,
    event: &Event,
    answer: &Rich,
    key: String,
) -> Result<(), Error> {
    let content = Content::message(Kind::Notice, answer).in_reply_to(&event.id, None);
    let outgoing = notice(&event.room_id, &core.bot, key.clone(), content);
    // It comes back for nobody's command where it was put out.
    let sent = match core.removed_by(&core.bot, &event.room_id).await? {
        None => calls::send(core, &outgoing).await.map(drop),
        Some(by) => Err(Error::Forbidden(format!("put out by {by}"))),
    };
    match sent {
        Err(error) if calls::is_refused(&error) => {
            let key = format!("{key}/alone");
            tell(core, &event.sender, answer, key).await
        }
        sent => sent,
    }
}

async fn tell(core: &Arc<Core>, user: &UserId, answer: &Rich, key: String) -> Result<(), Error> {
    let content = Content::message(Kind::Notice, answer);
    management::send(core, user, content, key).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands() -> Commands {
        Commands::new("!irc")
            .command(
                "join",
                "<channel>: joins a channel",
                |_: CommandAsk| async {},
            )
            .command("part", "leaves the channel", |_: CommandAsk| async {})
            .command_for(Level::Admin, "shutdown", "ends it", |_: CommandAsk| async {
            })
    }

    fn ask(line: &str, level: Level, is_management: bool) -> CommandAsk {
        let raw = serde_json::value::to_raw_value(&serde_json::json!({
            "event_id": "$a", "room_id": "!r:x", "sender": "@u:x", "type": "m.room.message", "content": {}
        }));
        let event = Arc::new(Event::parse(&raw.expect("JSON")).expect("an event"));
        CommandAsk::read(line, &event, (level, is_management)).expect("cut")
    }

    #[test]
    fn the_prefix_stands_alone() {
        let commands = commands();
        for (text, line) in [
            ("!irc join #a", Some("join #a")),
            ("  !irc", Some("")),
            ("!ircjoin", None),
            ("join", None),
            ("say !irc", None),
        ] {
            assert_eq!(commands.behind_prefix(text), line, "{text}");
        }
    }

    #[test]
    fn a_mark_before_a_name_is_none_of_it() {
        let commands = commands();
        for (text, line) in [
            ("!join #a", "join #a"),
            ("  !join", "join"),
            ("join !a", "join !a"),
            ("!", "!"),
            ("! join", "! join"),
            ("!!join", "!join"),
        ] {
            assert_eq!(commands.without_mark(text), line, "{text}");
        }
        let marked = commands.command("!join", "as it is", |_: CommandAsk| async {});
        assert_eq!(marked.without_mark("!join"), "!join");
    }

    #[test]
    fn a_line_with_a_secret_is_known_whether_it_can_be_read_or_not() {
        let commands = commands()
            .command("login", "logs in", |_: CommandAsk| async {})
            .secret();
        let raw = serde_json::value::to_raw_value(&serde_json::json!({
            "event_id": "$a", "room_id": "!r:x", "sender": "@u:x", "type": "m.room.message", "content": {}
        }));
        let event = Arc::new(Event::parse(&raw.expect("JSON")).expect("an event"));
        for (line, is_secret) in [
            ("login me pass", true),
            ("LOGIN me pa\"ss", true),
            ("\"login\" me 'pass", true),
            ("--quiet=1 login me pass", true),
            ("join login", false),
            ("join #a \"open", false),
            ("", false),
        ] {
            let read = CommandAsk::read(line, &event, (Level::User, true));
            assert_eq!(commands.is_secret(line, &read), is_secret, "{line}");
        }
    }

    #[test]
    fn help_shows_what_one_may() {
        let commands = commands();
        let text = commands.help(&ask("help", Level::User, false)).to_plain();
        assert!(
            text.contains("!irc join <channel>") && text.contains("joins a channel"),
            "{text}"
        );
        assert!(!text.contains("shutdown"), "{text}");
        let own = commands.help(&ask("help", Level::Admin, true)).to_plain();
        assert!(own.contains("shutdown") && !own.contains("!irc"), "{own}");
        let one = commands
            .help(&ask("help part", Level::User, true))
            .to_plain();
        assert!(one.contains("part") && !one.contains("join"), "{one}");
    }

    #[test]
    fn an_authors_command_takes_the_place_of_the_kits() {
        let kits = || {
            Commands::default()
                .command("join", "the kit's", |_: CommandAsk| async {})
                .command("retry", "the kit's", |_: CommandAsk| async {})
                .into_kits()
        };
        let (mut before, mut behind) = (kits(), commands());
        before.merge(commands());
        behind.merge(kits());
        for all in [before, behind] {
            let named = |name: &str| -> Vec<&str> {
                let named = all.list.iter().filter(|command| command.name == name);
                named.map(|command| command.help.as_str()).collect()
            };
            assert_eq!(named("join"), ["<channel>: joins a channel"]);
            assert_eq!(named("retry"), ["the kit's"]);
        }
    }

    #[test]
    fn unknown_commands_get_a_guess() {
        let text = commands()
            .unknown(&ask("jion #a", Level::User, true))
            .to_plain();
        assert!(text.contains("Did you mean join?"), "{text}");
        let several = commands().command("port", "changes it", |_: CommandAsk| async {});
        let text = several.unknown(&ask("pirt", Level::User, true)).to_plain();
        assert!(text.contains("Did you mean part or port?"), "{text}");
        let text = commands()
            .unknown(&ask("shutdwon", Level::User, false))
            .to_plain();
        assert!(!text.contains("shutdown?"), "{text}");
    }

    #[test]
    fn mistakes_are_told() {
        let commands = commands()
            .command("join", "again", |_: CommandAsk| async {})
            .command("two words", "no", |_: CommandAsk| async {});
        let declared = crate::Declared {
            states: &crate::core::States::new(),
        };
        let mistakes = commands.mistakes(&declared).join("\n");
        assert!(mistakes.contains("two commands `join`"), "{mistakes}");
        assert!(
            mistakes.contains("`two words` is no command's name"),
            "{mistakes}"
        );
    }
}
