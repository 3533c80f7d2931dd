//! What a command's handler gets, and what it answers.

use std::{collections::BTreeMap, str::FromStr, sync::Arc};

use super::words::{BadLine, Line, cut};
use crate::{
    Event, HandlerError,
    bridge::Level,
    format::Rich,
    handler::{Context, FromContext, Input, IntoOutcome, Rejection},
    id::{RoomId, UserId},
};

/// A command that somebody has given; an argument of its handler.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CommandAsk {
    /// The command's name.
    pub name: String,
    /// Its words.
    pub args: Vec<String>,
    /// Its flags: `--name value`, `--name=value`, `--name` (empty).
    pub flags: BTreeMap<String, String>,
    /// Who has given it.
    pub sender: UserId,
    /// What they may do.
    pub level: Level,
    /// Where.
    pub room_id: RoomId,
    /// Whether that is somebody's own room with the service's user.
    pub is_management: bool,
    /// The message.
    pub event: Arc<Event>,
    line: String,
    starts: Vec<usize>,
}

/// What is wrong with a command as it was given. Displays as a sentence for whoever gave it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Something is missing.
    #[error("`{name}` is missing")]
    Missing {
        /// What.
        name: String,
    },
    /// Something is not what it should be.
    #[error("`{value}` is no {name}: {reason}")]
    Wrong {
        /// What it should be.
        name: String,
        /// What it is.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Anything else, in a sentence.
    #[error("{0}")]
    Other(String),
}

impl CommandAsk {
    /// Reads a line behind its prefix; the first word is the command's name.
    pub(super) fn read(
        line: &str,
        event: &Arc<Event>,
        (level, is_management): (Level, bool),
    ) -> Result<Self, CommandError> {
        let Line {
            mut words,
            mut starts,
            flags,
        } = cut(line).map_err(|error: BadLine| CommandError::Other(error.to_string()))?;
        let name = match words.is_empty() {
            true => "help".to_owned(),
            false => {
                starts.remove(0);
                words.remove(0).to_lowercase()
            }
        };
        Ok(Self {
            name,
            args: words,
            flags,
            sender: event.sender.clone(),
            level,
            room_id: event.room_id.clone(),
            is_management,
            event: event.clone(),
            line: line.to_owned(),
            starts,
        })
    }

    /// The word at this place, counted from zero, read as `T`. `name` is what it is called if it is missing or wrong.
    ///
    /// # Errors
    /// When it is missing, or no `T`.
    pub fn arg<T>(&self, place: usize, name: &str) -> Result<T, CommandError>
    where
        T: FromStr,
        T::Err: std::fmt::Display,
    {
        self.optional_arg(place, name)?
            .ok_or_else(|| CommandError::Missing {
                name: name.to_owned(),
            })
    }

    /// The same where it may be missing.
    ///
    /// # Errors
    /// When it is there and no `T`.
    pub fn optional_arg<T>(&self, place: usize, name: &str) -> Result<Option<T>, CommandError>
    where
        T: FromStr,
        T::Err: std::fmt::Display,
    {
        let word = self.args.get(place);
        word.map(|word| read(name, word)).transpose()
    }

    /// The value of a flag, read as `T`; `None` where it was not given.
    ///
    /// # Errors
    /// When it is no `T`.
    pub fn flag<T>(&self, name: &str) -> Result<Option<T>, CommandError>
    where
        T: FromStr,
        T::Err: std::fmt::Display,
    {
        let value = self.flags.get(name);
        value.map(|value| read(name, value)).transpose()
    }

    /// Whether a flag was given.
    #[must_use]
    pub fn has(&self, flag: &str) -> bool {
        self.flags.contains_key(flag)
    }

    /// All of the line from the word at this place on, as it was written; empty where there are not so many.
    #[must_use]
    pub fn rest(&self, place: usize) -> &str {
        let start = self.starts.get(place).copied();
        start.map_or("", |start| self.line[start..].trim_end())
    }
}

fn read<T>(name: &str, value: &str) -> Result<T, CommandError>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    value.parse().map_err(|error: T::Err| CommandError::Wrong {
        name: name.to_owned(),
        value: value.to_owned(),
        reason: error.to_string(),
    })
}

impl FromContext for CommandAsk {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        match &context.input {
            Input::Command(_, ask) => Ok(Self::clone(ask)),
            _ => Err(Rejection::NotForThis),
        }
    }
}

/// What a command is answered, in a notice. Handlers of commands return this, a text in Markdown, a [`Rich`] text,
/// nothing at all, or a `Result` of one of them; an error is answered with its sentence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer(pub(super) Option<Rich>);

impl Answer {
    /// No word.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// A text in Markdown.
    #[must_use]
    pub fn text(markdown: &str) -> Self {
        Self(Some(Rich::from_markdown(markdown)))
    }
}

impl IntoOutcome<Answer> for () {
    fn into_outcome(self) -> Result<Answer, HandlerError> {
        Ok(Answer::none())
    }
}

macro_rules! answers {
    ($($from:ty => $make:expr),* $(,)?) => {$(
        impl IntoOutcome<Answer> for $from {
            fn into_outcome(self) -> Result<Answer, HandlerError> {
                let make: fn($from) -> Answer = $make;
                Ok(make(self))
            }
        }

        impl<E: Into<HandlerError>> IntoOutcome<Answer> for Result<$from, E> {
            fn into_outcome(self) -> Result<Answer, HandlerError> {
                let make: fn($from) -> Answer = $make;
                self.map(make).map_err(Into::into)
            }
        }
    )*};
}

answers! {
    String => |text| Answer::text(&text),
    &'static str => Answer::text,
    Rich => |rich| Answer(Some(rich)),
    Answer => |answer| answer,
}

impl<E: Into<HandlerError>> IntoOutcome<Answer> for Result<(), E> {
    fn into_outcome(self) -> Result<Answer, HandlerError> {
        self.map(|()| Answer::none()).map_err(Into::into)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ask(line: &str) -> CommandAsk {
        let raw = serde_json::value::to_raw_value(&json!({
            "event_id": "$a", "room_id": "!r:x", "sender": "@u:x", "type": "m.room.message", "content": {}
        }));
        let event = Arc::new(Event::parse(&raw.expect("JSON")).expect("an event"));
        CommandAsk::read(line, &event, (Level::User, true)).expect("cut")
    }

    #[test]
    fn words_are_read_as_what_they_are() {
        let ask = ask("Join #rust 7 --key=12 rest of  it");
        assert_eq!(ask.name, "join");
        assert_eq!(ask.arg::<String>(0, "channel").expect("there"), "#rust");
        assert_eq!(ask.arg::<u32>(1, "count").expect("a number"), 7);
        assert_eq!(ask.flag::<u8>("key").expect("a number"), Some(12));
        assert_eq!(ask.rest(2), "rest of  it");
        assert_eq!(ask.rest(9), "");
        let missing = ask.arg::<u32>(9, "count").expect_err("missing").to_string();
        assert_eq!(missing, "`count` is missing");
        let wrong = ask.arg::<u32>(0, "count").expect_err("wrong").to_string();
        assert_eq!(wrong, "`#rust` is no count: invalid digit found in string");
        assert!(ask.has("key") && !ask.has("x"));
    }

    #[test]
    fn an_empty_line_asks_for_help() {
        assert_eq!(ask("").name, "help");
    }
}
