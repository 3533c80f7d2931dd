//! What a message of Matrix becomes on IRC, with what is known around it: who is called what, what it answers, how long
//! it may be, what the network takes beside lines.

use std::time::{Duration, SystemTime};

use bridgehead_appservice::{
    Content,
    bridge::{Action, MessageRef, Outgoing, SendError},
    format::{compose::EditStyle, content::Media},
    id::{EventId, UserId},
    media::Upload,
};
use bridgehead_irc_protocol::{
    Source, encoding, formatting,
    line::MAX_LINE_BYTES,
    session::SayCommand,
    split::{Budget, split},
};

use crate::{
    Irc,
    ids::{Place, Target, msgid},
    network::{Handle, InThread, Owner},
    settings::{Mode, Reactions},
    text::to_irc::{
        self, Around, Limits, Page, Plan, Reply, ReplyRules, Said, Speaker, Verb, thread::Thread,
    },
    votes::{is_disclosed, is_vote, poll_of},
};

/// Nick, user name and host are never longer. What is cut for these is cut the same way for everybody, at each attempt.
const LONGEST_NICK: usize = 30;
const LONGEST_USER: usize = 11;
const LONGEST_HOST: usize = 63;
/// Bytes that a network leaves to a name that is spoken for (draft/relaymsg); nicks are hardly ever shorter.
const LONGEST_NAME: usize = 24;

/// How something is said on IRC.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rendered {
    pub(crate) command: SayCommand,
    /// Line by line, in the encoding of the place.
    pub(crate) lines: Vec<Vec<u8>>,
    pub(crate) tags: Vec<(String, String)>,
    /// Whether the lines are one message.
    pub(crate) is_one: bool,
    /// The name that the bridge speaks under.
    pub(crate) relayed_as: Option<String>,
}

/// How something is said on IRC; `None` where nothing is to be said.
pub(crate) async fn render(
    outgoing: &Outgoing<Irc>,
    handle: &Handle,
) -> Result<Option<Rendered>, SendError> {
    if let Some(tagged) = tagged(outgoing, handle) {
        return Ok(Some(tagged));
    }
    if is_kept_silent(outgoing, handle) {
        return Ok(None);
    }
    let around = Surroundings::of(outgoing, handle).await?;
    let said = around.said(outgoing, handle)?;
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
        Plan::Paste(paste) if handle.has_links => match publish(outgoing, &paste.page).await {
            Some(url) => paste.lines(&url),
            None => said.first_lines(&limits),
        },
        Plan::Paste(_) => said.first_lines(&limits),
    };
    let (lines, is_one) = at_once(&said, lines, &around, handle);
    let encoding = handle.settings.send_encoding_of(outgoing.room.as_channel());
    let lines = lines.iter().map(|line| {
        let payload = said.verb.payload(line);
        encoding::encode(&payload, encoding).0.into_owned()
    });
    Ok(Some(Rendered {
        command,
        lines: lines.collect(),
        tags: around.tags(handle),
        is_one,
        relayed_as: around.relayed_as,
    }))
}

/// The lines, and whether they go as one message: where the network has that, and nothing of the lines is lost by it.
fn at_once(
    said: &Said,
    cut: Vec<String>,
    around: &Surroundings,
    handle: &Handle,
) -> (Vec<String>, bool) {
    let limits = handle.directory.read().offers().multiline;
    let Some((max_bytes, max_lines)) = limits.filter(|_| around.relayed_as.is_none()) else {
        return (cut, false);
    };
    let whole = said.lines();
    let bytes: usize = cut.iter().map(|line| line.len() + 1).sum();
    let fits = cut.len() > 1 && cut.len() <= max_lines && bytes <= max_bytes;
    if !fits || said.verb == Verb::Act {
        return (cut, false);
    }
    // The session cuts long lines so that they are put together again; those who see the pieces alone would lose their
    // looks behind the first.
    let is_plain = |line: &String| formatting::strip(line).len() == line.len();
    match whole.concat() == cut.concat() && whole.iter().all(is_plain) {
        true => (whole, true),
        false => (cut.clone(), whole == cut),
    }
}

/// What is said by tags alone, to programs.
fn tagged(outgoing: &Outgoing<Irc>, handle: &Handle) -> Option<Rendered> {
    if handle.settings.messages.reactions != Reactions::Tags || is_relayed(outgoing, handle) {
        return None;
    }
    let (name, target, key) = match &outgoing.action {
        Action::React { target, key } => ("draft/react", target.ids.first()?, key),
        Action::Unreact { reaction } => {
            let reaction = reaction.reaction.as_ref()?;
            ("draft/unreact", reaction.target.first()?, &reaction.key)
        }
        _ => return None,
    };
    let target = msgid(target)?;
    let takes = |tag: &str| handle.directory.read().offers().takes_tag(tag);
    (takes(name) && takes("draft/reply")).then(|| Rendered {
        command: SayCommand::Tagmsg,
        lines: vec![Vec::new()],
        tags: vec![
            ("+draft/reply".to_owned(), target.to_owned()),
            (format!("+{name}"), key.clone()),
        ],
        is_one: false,
        relayed_as: None,
    })
}

/// Whether the configuration does not want it told.
fn is_kept_silent(outgoing: &Outgoing<Irc>, handle: &Handle) -> bool {
    let messages = &handle.settings.messages;
    match &outgoing.action {
        Action::React { .. } => messages.reactions == Reactions::Off,
        // It was said in words, and cannot be unsaid.
        Action::Unreact { .. } => true,
        Action::Redact { .. } => !messages.deletions,
        _ => false,
    }
}

/// Whether the bridge speaks there for people of Matrix.
fn is_relayed(outgoing: &Outgoing<Irc>, handle: &Handle) -> bool {
    match &outgoing.room.target {
        Target::Channel(channel) => {
            let level = outgoing.remote().level(&outgoing.speaker.user_id);
            // Without a level the service ends, and nothing of it is said.
            level.is_ok_and(|level| handle.settings.mode_for(channel, level) == Mode::Relay)
        }
        Target::Private { .. } => false,
    }
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

/// What is known around a message.
struct Surroundings {
    original: Option<Original>,
    /// The poll that is voted in.
    poll: Option<Content>,
    thread: Option<(EventId, InThread, Option<Content>)>,
    is_relayed: bool,
    relayed_as: Option<String>,
}

impl Surroundings {
    async fn of(outgoing: &Outgoing<Irc>, handle: &Handle) -> Result<Self, SendError> {
        let original = match &outgoing.action {
            Action::Message {
                reply_to: Some(target),
                ..
            } => Some(Original::of(outgoing, handle, target)),
            _ => None,
        };
        let is_relayed = is_relayed(outgoing, handle);
        let relayed_as = is_relayed.then(|| relay_name(outgoing, handle)).flatten();
        Ok(Self {
            original,
            poll: poll(outgoing).await?,
            thread: thread(outgoing, handle).await?,
            is_relayed,
            relayed_as,
        })
    }

    /// What is said, before it is cut.
    fn said(&self, outgoing: &Outgoing<Irc>, handle: &Handle) -> Result<Said, SendError> {
        let nick_of = |user: &UserId| nick_of(outgoing, handle, user);
        let media = outgoing.media();
        let link_of = |shown: &Media| {
            let named = media.public_url(&shown.uri, &shown.name);
            named.or_else(|_| media.public_url(&shown.uri, "")).ok()
        };
        let is_named = self.is_relayed && self.relayed_as.is_none();
        let around = Around {
            style: handle.settings.style,
            nick_of: &nick_of,
            link_of: &link_of,
            speaker: is_named.then_some(Speaker {
                name: &outgoing.speaker.name,
                is_silent: true,
            }),
            reply: self
                .original
                .as_ref()
                .map(|original| original.reply(handle)),
            thread: self.thread.as_ref().map(|(root, told, about)| Thread {
                root,
                is_current: told.is_current,
                about: about.as_ref(),
            }),
        };
        let nothing = || SendError::unsupported("there is nothing in it that IRC could show");
        let said = match &outgoing.action {
            Action::Message { content, .. } if is_vote(content.event_type()) => {
                to_irc::poll::vote(content, self.poll.as_ref(), &around)
            }
            action => say(action, &around),
        };
        said.ok_or_else(nothing)
    }

    /// What programs are told beside the words.
    fn tags(&self, handle: &Handle) -> Vec<(String, String)> {
        let takes = handle.directory.read().offers().takes_tag("draft/reply");
        let answered = self.original.as_ref().filter(|_| takes);
        let answered = answered.and_then(|original| original.msgid.clone());
        let tag = answered.map(|msgid| ("+draft/reply".to_owned(), msgid));
        tag.into_iter().collect()
    }
}

/// The poll that is voted in, if everybody may know what the votes are.
async fn poll(outgoing: &Outgoing<Irc>) -> Result<Option<Content>, SendError> {
    let voted_in = match &outgoing.action {
        Action::Message { content, .. } if is_vote(content.event_type()) => poll_of(content),
        _ => None,
    };
    let Some(event) = voted_in else {
        return Ok(None);
    };
    let poll = outgoing.remote().message_at(&event).await?;
    let poll = poll.and_then(|poll| poll.content);
    Ok(poll.filter(is_disclosed))
}

/// The thread of what is said, and what it began with where nobody on IRC has heard of it.
async fn thread(
    outgoing: &Outgoing<Irc>,
    handle: &Handle,
) -> Result<Option<(EventId, InThread, Option<Content>)>, SendError> {
    let root = match &outgoing.action {
        Action::Message { content, .. } => content.thread_root(),
        // An edit does not say so again, but what it edits does.
        Action::Edit { target, .. } => target.content.as_ref().and_then(Content::thread_root),
        _ => return Ok(None),
    };
    let place = &outgoing.room;
    let (told, known) = {
        let mut threads = handle.threads.lock();
        let told = threads.said(place, root.as_ref(), &outgoing.key);
        (told, told.is_new.then(|| threads.known()))
    };
    let Some(root) = root else {
        return Ok(None);
    };
    let Some(known) = known else {
        return Ok(Some((root, told, None)));
    };
    let store = outgoing.remote().store()?;
    store.put(&handle.threads_key(), &known).await?;
    let about = outgoing.remote().message_at(&root).await?;
    Ok(Some((root, told, about.and_then(|about| about.content))))
}

/// The name under which the network lets the bridge speak for somebody (draft/relaymsg).
fn relay_name(outgoing: &Outgoing<Irc>, handle: &Handle) -> Option<String> {
    let channel = outgoing.room.as_channel()?;
    let separators = handle.directory.read().relays_in(channel)?.to_owned();
    let separator = separators.chars().next().unwrap_or('/');
    let is_sound = |c: &char| c.is_alphanumeric() || "-_[]{}|^`".contains(*c);
    let tail = format!("{separator}{}", handle.settings.messages.relay_name);
    let mut name: String = outgoing.speaker.name.chars().filter(is_sound).collect();
    name.truncate(name.floor_char_boundary(LONGEST_NAME.saturating_sub(tail.len())));
    if name.is_empty() {
        name = outgoing.speaker.user_id.localpart().to_owned();
    }
    Some(name + &tail)
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
    msgid: Option<String>,
}

impl Original {
    fn of(outgoing: &Outgoing<Irc>, handle: &Handle, target: &MessageRef) -> Self {
        let nick = nick_of(outgoing, handle, &target.sender);
        Self {
            nick: nick.unwrap_or_else(|| target.sender.localpart().to_owned()),
            content: target.content.clone(),
            age: age(target, outgoing.sent_at_ms),
            is_own: target.sender == outgoing.speaker.user_id,
            msgid: target
                .ids
                .iter()
                .find_map(|id| msgid(id))
                .map(str::to_owned),
        }
    }

    fn reply(&self, handle: &Handle) -> Reply<'_> {
        Reply {
            nick: &self.nick,
            original: self.content.as_ref(),
            // Only what both sides have is known here at all.
            may_quote: true,
            age: self.age,
            is_own: self.is_own,
            rules: ReplyRules {
                quote_after: handle.settings.messages.quote_after.get(),
                ..ReplyRules::default()
            },
        }
    }
}

/// How old a message was when something answered it.
fn age(target: &MessageRef, answered_at_ms: i64) -> Duration {
    let Some(said_at_ms) = target.said_at_ms else {
        return Duration::MAX;
    };
    // Clocks of other homeservers may be wrong, but not wronger than a message from the future.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now_ms = now.map_or(i64::MAX, |now| {
        i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
    });
    let age_ms = answered_at_ms.min(now_ms).saturating_sub(said_at_ms);
    Duration::from_millis(u64::try_from(age_ms).unwrap_or(0))
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
