//! IRC's texts as Matrix content.
//!
//! Formatting codes become HTML, names become mentions, and what a client-to-client request (CTCP) asks is told in a notice.
//! Nothing in a text is read as Markdown or HTML, and addresses are never cut up.

mod looks;
mod relayed;
#[cfg(test)]
mod tests;
mod words;

use bridgehead_appservice::format::{
    Rich,
    compose::split_events,
    content::{Avatar, Content, Kind, Profile},
};
use bridgehead_irc_protocol::{ctcp::Ctcp, formatting};

pub use self::words::{MAX_MENTIONS, MentionRules, People};
use self::{relayed::Relayed, words::Finder};

/// A text that was said on IRC, in characters.
#[derive(Clone, Copy, Debug)]
pub struct Heard<'a> {
    /// The text of a `PRIVMSG` or `NOTICE`. Of a `draft/multiline` batch the lines, separated by `\n`.
    pub text: &'a str,
    /// Whether it was a `NOTICE`.
    pub is_notice: bool,
    /// For whom the sender speaks.
    pub voice: Voice<'a>,
}

/// For whom somebody on IRC speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Voice<'a> {
    /// For themselves.
    #[default]
    Own,
    /// For people of another network, whose names it writes before what they say (`<alice> hi`): a bot that the config knows.
    Bot,
    /// For whom the server says (`RELAYMSG`, draft/relaymsg): the name that it made up, such as `alice/discord`.
    Relayed(&'a str),
}

/// What a text says, as the contents of the events to send, in order: nearly always one, several where it is too long for an
/// event, none where there is nothing to see.
///
/// Each content says whom it mentions. Replies and threads are the caller's to add
/// ([`Content::in_reply_to`], [`Content::in_thread`]).
#[must_use]
pub fn to_matrix(heard: &Heard<'_>, people: &People<'_>) -> Vec<Content> {
    match Ctcp::parse(heard.text) {
        Some(ctcp) if ctcp.command == "ACTION" => told(heard, &ctcp.args, Kind::Emote, people),
        Some(ctcp) => vec![asked(&ctcp, heard.is_notice)],
        None if heard.is_notice => told(heard, heard.text, Kind::Notice, people),
        None => told(heard, heard.text, Kind::Text, people),
    }
}

fn told(heard: &Heard<'_>, text: &str, kind: Kind, people: &People<'_>) -> Vec<Content> {
    let mut lines: Vec<_> = text.split('\n').map(formatting::parse).collect();
    let relayed = match (heard.voice, lines.first_mut()) {
        (Voice::Relayed(name), _) => Some(Relayed::named(name)),
        (Voice::Bot, Some(first)) => Relayed::take(first),
        (Voice::Bot | Voice::Own, _) => None,
    };
    let kind = match &relayed {
        Some(relayed) if relayed.is_emote => Kind::Emote,
        _ => kind,
    };
    let mut finder = Finder::new(people);
    let mut builder = Rich::builder();
    for (index, line) in lines.iter().enumerate() {
        if index > 0 {
            builder.line_break();
        }
        for piece in looks::pieces(line, &finder.marks(line)) {
            builder.push(piece);
        }
    }
    let parts = split_events(&builder.build()).into_iter();
    let contents = parts.map(|part| Content::message(kind, &part.value));
    contents
        .map(|content| spoken(content, relayed.as_ref()))
        .collect()
}

/// The content under the name of whom it is from.
fn spoken(content: Content, relayed: Option<&Relayed>) -> Content {
    let Some(relayed) = relayed else {
        return content;
    };
    let profile = Profile {
        id: relayed.id.clone(),
        name: Some(relayed.name.clone()),
        avatar: Avatar::Blank,
    };
    content.with_profile(&profile, true)
}

/// A request of client to client, or the answer to one, in words.
fn asked(ctcp: &Ctcp, is_answer: bool) -> Content {
    let words = formatting::strip(&ctcp.args);
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    let command = &ctcp.command;
    let said = match (command.as_str(), is_answer, words.is_empty()) {
        ("DCC", _, _) => {
            format!("[offers a direct connection (DCC), which cannot be taken from here: {words}]")
        }
        (_, true, _) => format!("[answers CTCP {command}: {words}]"),
        (_, false, true) => format!("[asks CTCP {command}]"),
        (_, false, false) => format!("[asks CTCP {command}: {words}]"),
    };
    Content::message(Kind::Notice, &Rich::plain(&said))
}
