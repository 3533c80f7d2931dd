//! What is said, before it is cut.

use bridgehead_appservice::format::{Rich, compose::without_ping, content::Kind};
use bridgehead_irc_protocol::ctcp::Ctcp;

use super::{Around, Style, quote::one_line, write};

/// The longest name before a line.
const MAX_NAME_BYTES: usize = 64;

/// How something is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// A `PRIVMSG`.
    Say,
    /// A `NOTICE`, which no program answers.
    Notice,
    /// What somebody does: a `PRIVMSG` with a CTCP `ACTION`.
    Act,
}

impl Verb {
    /// The command of the line.
    #[must_use]
    pub fn command(self) -> &'static str {
        match self {
            Self::Say | Self::Act => "PRIVMSG",
            Self::Notice => "NOTICE",
        }
    }

    /// The last parameter of the line that says this.
    #[must_use]
    pub fn payload(self, line: &str) -> String {
        match self {
            Self::Say | Self::Notice => line.to_owned(),
            Self::Act => Ctcp::action(line).write(),
        }
    }
}

/// Who is named before each line that another client says for them.
#[derive(Clone, Copy, Debug)]
pub struct Speaker<'a> {
    /// Their name for people.
    pub name: &'a str,
    /// Whether the name is written so that it pings nobody who has the same as nick.
    pub is_silent: bool,
}

impl Speaker<'_> {
    /// The name as a line begins with it. Nobody can write another name behind their own one.
    fn shown(&self) -> String {
        let is_seen = |c: &char| !matches!(c, '<' | '>' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}');
        let mut name = one_line(&self.name.chars().filter(is_seen).collect::<String>());
        name.truncate(name.floor_char_boundary(MAX_NAME_BYTES));
        match (name.trim(), self.is_silent) {
            ("", _) => "?".to_owned(),
            (name, true) => without_ping(name),
            (name, false) => name.to_owned(),
        }
    }
}

/// What is said on IRC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// How.
    pub verb: Verb,
    /// What each line begins with: the name of whom is spoken for. Each, and not the first alone: or whoever writes several
    /// could write somebody else's name before the second.
    pub head: String,
    /// What, with everything in words that IRC does not have.
    pub text: Rich,
    /// How it looks.
    pub style: Style,
}

impl Said {
    /// `None` where nothing of it can be seen.
    pub(super) fn new(kind: Kind, text: Rich, around: &Around<'_>) -> Option<Self> {
        let verb = match kind {
            Kind::Text => Verb::Say,
            Kind::Notice => Verb::Notice,
            Kind::Emote => Verb::Act,
        };
        let name = around.speaker.as_ref().map(Speaker::shown);
        let (verb, head) = match (verb, name) {
            (verb, None) => (verb, String::new()),
            (Verb::Act, Some(name)) => (Verb::Say, format!("* {name} ")),
            (verb, Some(name)) => (verb, format!("<{name}> ")),
        };
        let said = Self {
            verb,
            head,
            text,
            style: around.style,
        };
        (!said.lines().is_empty()).then_some(said)
    }

    /// The lines as they are written, each with its head, of any length. None is blank, and none holds anything that ends a line
    /// or a message.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let lines = write::lines(&self.text, self.style).into_iter();
        lines.map(|line| format!("{}{line}", self.head)).collect()
    }
}
