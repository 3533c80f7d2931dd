//! What a message of Matrix becomes on IRC, with what is known around it: who is called what, what it answers, how long
//! it may be.

use std::time::Duration;

use bridgehead_appservice::{
    Content,
    bridge::{Action, MessageRef, Outgoing, SendError},
    format::{compose::EditStyle, content::Media},
    id::{EventId, UserId},
    media::Upload,
};
use bridgehead_irc_protocol::{
    Source,
    line::MAX_LINE_BYTES,
    session::SayCommand,
    split::{Budget, split},
};

use crate::{
    Irc,
    ids::{Place, Target},
    network::{Handle, Owner},
    settings::Mode,
    text::to_irc::{
        self, Around, Limits, Page, Plan, Reply, ReplyRules, Said, Speaker, Verb, thread::Thread,
    },
};

/// Nick, user name and host are never longer. What is cut for these is cut the same way for everybody, at each attempt.
const LONGEST_NICK: usize = 30;
const LONGEST_USER: usize = 11;
const LONGEST_HOST: usize = 63;

/// How something is said on IRC, and in which lines.
pub(crate) async fn render(
    outgoing: &Outgoing<Irc>,
    handle: &Handle,
) -> Result<(SayCommand, Vec<String>), SendError> {
    let said = said(outgoing, handle)?;
    let command = match said.verb {
        Verb::Notice => SayCommand::Notice,
        Verb::Say | Verb::Act => SayCommand::Privmsg,
    };
    let limits = Limits {
        payload_bytes: payload_bytes(command, &outgoing.room),
        max_lines: handle.settings.limits.max_lines,
    };
    let lines = match said.plan(&limits) {
        Plan::Lines(lines) => lines,
        Plan::Paste(paste) => match publish(outgoing, &paste.page).await {
            Some(url) => paste.lines(&url),
            None => said.first_lines(&limits),
        },
    };
    let lines = lines.iter().map(|line| said.verb.payload(line));
    Ok((command, lines.collect()))
}

/// A text as lines of a place, without any formatting.
pub(crate) fn lines(text: &str, place: &Place) -> Vec<String> {
    let bytes = payload_bytes(SayCommand::Privmsg, place);
    // A program's question or answer begins with this, and nobody is to fake one.
    let text = text.replace('\x01', "");
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.flat_map(|line| split(line, bytes)).collect()
}

fn payload_bytes(command: SayCommand, place: &Place) -> usize {
    let longest = Source {
        name: "n".repeat(LONGEST_NICK),
        user: Some("u".repeat(LONGEST_USER)),
        host: Some("h".repeat(LONGEST_HOST)),
    };
    Budget::new(MAX_LINE_BYTES, &longest).payload_bytes(command.name(), place.target_name())
}

/// What is said, before it is cut.
fn said(outgoing: &Outgoing<Irc>, handle: &Handle) -> Result<Said, SendError> {
    let original = match &outgoing.action {
        Action::Message {
            reply_to: Some(target),
            ..
        } => Some(Original::of(outgoing, handle, target)),
        _ => None,
    };
    let thread = match &outgoing.action {
        Action::Message { content, .. } | Action::Edit { content, .. } => content.thread_root(),
        _ => None,
    };
    let nick_of = |user: &UserId| nick_of(outgoing, handle, user);
    let media = outgoing.media();
    let link_of = |shown: &Media| media.public_url(&shown.uri, &shown.name).ok();
    let is_relayed = match &outgoing.room.target {
        Target::Channel(channel) => {
            let level = outgoing.remote().level(&outgoing.speaker.user_id)?;
            handle.settings.mode_for(channel, level) == Mode::Relay
        }
        Target::Private { .. } => false,
    };
    let speaker = is_relayed.then_some(Speaker {
        name: &outgoing.speaker.name,
        is_silent: true,
    });
    let around = Around {
        style: handle.settings.style,
        nick_of: &nick_of,
        link_of: &link_of,
        speaker,
        reply: original.as_ref().map(Original::reply),
        thread: thread.as_ref().map(in_thread),
    };
    let nothing = || SendError::unsupported("there is nothing in it that IRC could show");
    say(&outgoing.action, &around).ok_or_else(nothing)
}

fn in_thread(root: &EventId) -> Thread<'_> {
    Thread {
        root,
        is_current: false,
        about: None,
    }
}

fn say(action: &Action<Irc>, around: &Around<'_>) -> Option<Said> {
    match action {
        Action::Message { content, .. } => to_irc::to_irc(content, around),
        Action::Edit { target, content } => to_irc::edit(
            target.content.as_ref(),
            content,
            EditStyle::Replacement,
            around,
        ),
        Action::Redact { .. } => to_irc::deletion(None, around),
        Action::React { target, key } => {
            let event = target.events.first()?;
            let reaction = Content::reaction_to(event, key);
            to_irc::reaction(&reaction, target.content.as_ref(), around)
        }
        _ => None,
    }
}

/// What somebody is called on IRC at the moment.
fn nick_of(outgoing: &Outgoing<Irc>, handle: &Handle, user: &UserId) -> Option<String> {
    let directory = handle.directory.read();
    match outgoing.remote().user_of(user) {
        Some(nick) => {
            let written = directory.written_anywhere(&nick.nick);
            Some(written.unwrap_or(&nick.nick).to_owned())
        }
        None => {
            let person = Owner::Person(user.clone());
            directory.nick(&person).map(str::to_owned)
        }
    }
}

/// What a reply answers.
struct Original {
    nick: String,
    content: Option<Content>,
    age: Duration,
    is_own: bool,
}

impl Original {
    fn of(outgoing: &Outgoing<Irc>, handle: &Handle, target: &MessageRef) -> Self {
        let nick = nick_of(outgoing, handle, &target.sender);
        Self {
            nick: nick.unwrap_or_else(|| target.sender.localpart().to_owned()),
            content: target.content.clone(),
            age: Duration::ZERO,
            is_own: target.sender == outgoing.speaker.user_id,
        }
    }

    fn reply(&self) -> Reply<'_> {
        Reply {
            nick: &self.nick,
            original: self.content.as_ref(),
            may_quote: true,
            age: self.age,
            is_own: self.is_own,
            rules: ReplyRules::default(),
        }
    }
}

/// Puts a page where anybody may read it.
async fn publish(outgoing: &Outgoing<Irc>, page: &Page) -> Option<String> {
    let media = outgoing.media();
    let upload = Upload::new(page.body.clone(), "text/plain; charset=utf-8").named("message.txt");
    let uri = match media.upload(upload).await {
        Ok(uri) => uri,
        Err(error) => {
            tracing::warn!(%error, "a long message has no page");
            return None;
        }
    };
    media.public_url(&uri, "message.txt").ok()
}
