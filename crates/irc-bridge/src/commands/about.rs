//! Whom a command is about.

use bridgehead_appservice::bridge::{CommandAsk, CommandError, Portal};

use super::{Told, other};
use crate::{
    Irc,
    ids::{self, Place},
    network::{Command, Handle},
};

/// A command of a network.
pub(super) struct About<'a> {
    pub(super) network: Handle,
    ask: &'a CommandAsk,
    /// Words before those of the command's own.
    skipped: usize,
}

impl<'a> About<'a> {
    /// Which network is meant: the one that is named first, the one of the room, or the only one.
    pub(super) fn new(
        ask: &'a CommandAsk,
        irc: &Irc,
        portal: Option<&Portal<Irc>>,
    ) -> Result<Self, CommandError> {
        let about = |network, skipped| About {
            network,
            ask,
            skipped,
        };
        let first = ask.args.first();
        if let Some(named) = first.and_then(|first| irc.network(&first.to_lowercase())) {
            return Ok(about(named, 1));
        }
        let here = portal.and_then(|portal| irc.network(&portal.remote.network));
        let mut all = irc.networks().all().into_iter();
        match (here, all.next(), all.next()) {
            (Some(here), ..) => Ok(about(here, 0)),
            (None, Some(only), None) => Ok(about(only, 0)),
            _ => {
                let all = irc.networks().all();
                let names = all.iter().map(|handle| format!("`{}`", handle.name));
                let names: Vec<String> = names.collect();
                let name = &ask.name;
                Err(other(format!(
                    "There are several networks: name one first, as in `{name} <network> …`. There are {}.",
                    names.join(", ")
                )))
            }
        }
    }

    /// The words of the command.
    pub(super) fn words(&self) -> &'a [String] {
        self.ask.args.get(self.skipped..).unwrap_or_default()
    }

    /// The word at this place.
    pub(super) fn word(&self, at: usize, name: &str) -> Result<&'a str, CommandError> {
        let word = self.words().get(at).map(String::as_str);
        word.filter(|word| !word.is_empty())
            .ok_or_else(|| CommandError::Missing {
                name: name.to_owned(),
            })
    }

    /// All from the word at this place on, as it was written: quotation marks, backslashes and dashes are the text's own.
    pub(super) fn rest(&self, at: usize) -> &'a str {
        self.ask.rest(self.skipped + at)
    }

    /// The same where it must not be empty.
    pub(super) fn text(&self, at: usize, name: &str) -> Result<&'a str, CommandError> {
        let text = self.rest(at);
        match text.is_empty() {
            false => Ok(text),
            true => Err(CommandError::Missing {
                name: name.to_owned(),
            }),
        }
    }

    /// The nick at this place.
    pub(super) fn nick(&self, at: usize) -> Result<&'a str, CommandError> {
        let nick = self.word(at, "nick")?;
        match ids::is_somebody(nick) {
            true => Ok(nick),
            false => Err(other(format!(
                "`{nick}` is no nick: nicks begin with a letter, and have no spaces, dots or commas."
            ))),
        }
    }

    /// The channel at this place.
    pub(super) fn channel(&self, at: usize) -> Result<Place, CommandError> {
        let channel = self.word(at, "channel")?;
        if !ids::is_channel(channel) {
            return Err(other(format!(
                "`{channel}` is no channel: channels begin with `#`, mostly."
            )));
        }
        let directory = self.network.directory.read();
        let name = &self.network.name;
        if !directory.may_be_channel(channel) {
            return Err(other(format!(
                "{name} has no channels that begin like `{channel}`."
            )));
        }
        Ok(Place::channel(name, channel, directory.case_mapping()))
    }

    /// Whether the configuration lets a channel have a room.
    pub(super) fn may_be_bridged(&self, place: &Place) -> Result<(), CommandError> {
        let channel = place.target_name();
        match self.network.settings.rules_of(channel) {
            Some(_) => Ok(()),
            None => Err(other(format!(
                "the configuration of this bridge keeps {channel} out: ask who runs it"
            ))),
        }
    }

    /// Gives a command for whoever has asked.
    pub(super) async fn carry_out(&self, command: Command) -> Told {
        let report = self.network.command(&self.ask.sender, command).await;
        report.map_err(other)
    }
}
