//! What is said to some of a channel alone, such as its operators (`PRIVMSG @#chan`, `STATUSMSG`). It is not for the
//! channel's room, where everybody reads: each of our people whose own connection gets it is told it alone.

use bridgehead_appservice::{
    format::{Rich, Style},
    id::UserId,
};
use bridgehead_irc_protocol::{
    channels::{Kind, Said},
    formatting,
};

use super::{Hub, deeds::Deed};

impl Hub {
    /// Something was said to those of a channel who have this prefix or a higher one, of whom a person is one.
    pub(super) fn said_to_some(
        &mut self,
        person: &UserId,
        (channel, prefix): (&str, char),
        said: &Said,
    ) {
        // What programs ask of each other is for no people.
        let is_for_programs = matches!(said.kind, Kind::Ctcp { .. } | Kind::CtcpReply { .. });
        if said.is_own || is_for_programs || !self.may_reach(person, &said.who) {
            return;
        }
        let words = self
            .words(Some(channel), Some(&said.text))
            .unwrap_or_default();
        let words = formatting::strip(&words);
        let action = match said.kind {
            Kind::Action => "/me ",
            _ => "",
        };
        let network = &self.name;
        let whom = whom(prefix);
        let text = format!(" to {whom} of {channel} on {network}: {action}{words}");
        let note = Rich::builder()
            .text(&said.who.name, &Style::bold())
            .text(&text, &Style::default())
            .build();
        self.deed(Deed::Tell(person.clone(), note));
    }
}

/// Those who have a prefix or a higher one.
fn whom(prefix: char) -> String {
    match prefix {
        '@' => "the operators".to_owned(),
        '%' => "the operators and half-operators".to_owned(),
        '+' => "the operators and those with a voice".to_owned(),
        other => format!("those with `{other}` or more"),
    }
}
