//! What people ask a network for: by commands, and by what they do in rooms. What is about themselves is in `own`.

use bridgehead_appservice::{Secret, id::UserId};
use bridgehead_irc_protocol::{Line, encoding, session::Priority};
use tokio::sync::oneshot;

use super::{
    Hub, Owner,
    client::{Asked, Wait},
    consent::Question,
    standing, words,
};
use crate::{clock::now, ids::Place, link::drive::Facts};

/// What people are told: that it is done, or why not.
pub(crate) type Report = Result<String, String>;
/// Who is told.
pub(super) type Reply = oneshot::Sender<Report>;
/// Makes words for people of what a server answers.
pub(super) type Reader = fn(&[Line]) -> String;

/// Somebody asks for something.
pub(crate) struct Asking {
    pub(super) who: UserId,
    pub(super) command: Command,
    pub(super) reply: oneshot::Sender<Report>,
}

/// What somebody asks for.
#[derive(Debug)]
pub(crate) enum Command {
    /// Another nick.
    Nick(String),
    /// Who somebody is.
    Whois(String),
    /// Any command of IRC.
    Raw(Line),
    /// To be away, or back.
    Away(Option<String>),
    /// Another user name.
    Username(String),
    /// An account to log in to.
    StoreLogin { account: String, password: Secret },
    /// To log in no more.
    RemoveLogin,
    /// A certificate to log in with.
    MakeCertificate,
    /// To hear nothing more of somebody alone.
    Ignore(String),
    /// To hear them again.
    Unignore(String),
    /// Whom they ignore.
    Ignored,
    /// Whether they are an operator of a channel.
    Operates(String),
    /// That an operator of a channel is asked whether it may be linked.
    AskOperators(Question),
    /// To be let into a channel.
    Enter {
        channel: String,
        key: Option<String>,
    },
    /// Whether they are in the channel that they have asked to be let into; the key that they gave is remembered then.
    Entered(String),
    /// To be in a channel no more, for it gets no room.
    Abandon(String),
    /// The same, and they stay where they are.
    Forgo(String),
    /// That the key of a channel is remembered, which an operator of it gives.
    Key { channel: String, key: String },
    /// To be connected anew.
    Reconnect,
    /// To be connected no more until they speak again.
    Quit,
    /// How they are connected, and where they are.
    Status,
    /// How they stand to a channel.
    Why(String),
    /// What was said taken back.
    Unsay {
        place: Place,
        id: String,
        reason: Option<String>,
    },
    /// Another topic.
    Topic { channel: String, topic: String },
    /// Somebody out of a channel, for good or not.
    Remove {
        channel: String,
        nick: String,
        reason: Option<String>,
        is_ban: bool,
    },
    /// Somebody may come back.
    Unban { channel: String, nick: String },
    /// Somebody into a channel.
    Invite { channel: String, nick: String },
    /// Others have other standings: nicks and their levels; and what it takes to speak is another level, before and
    /// now.
    Power {
        channel: String,
        levels: Vec<(String, i64)>,
        speech: Option<(i64, i64)>,
    },
    /// A channel into which nobody comes uninvited, or everybody comes.
    Close { channel: String, is_closed: bool },
}

impl Hub {
    pub(super) async fn take_command(&mut self, asking: Asking) {
        let Asking {
            who,
            command,
            reply,
        } = asking;
        let owner = Owner::Person(who);
        match command {
            Command::Nick(nick) => self.nick_for(&owner, &nick, reply).await,
            Command::Whois(nick) => {
                // Named twice, the nick's own server is asked, which alone knows how long they are idle.
                let whois = Line::new("WHOIS", [nick.as_str(), nick.as_str()]);
                self.ask_anyhow(&owner, (whois, words::whois), reply).await;
            }
            Command::Raw(line) => {
                self.ask_anyhow(&owner, (line, words::readable), reply)
                    .await;
            }
            Command::Away(reason) => self.go_away(&owner, reason, reply).await,
            Command::Enter { channel, key } => self.enter(&owner, channel, (key, reply)).await,
            Command::Entered(channel) => {
                let report = self.has_entered(&owner, &channel);
                reply.send(report.map(|()| String::new())).ok();
            }
            Command::Abandon(channel) => {
                self.abandon(&owner, &channel);
                reply.send(Ok(String::new())).ok();
            }
            Command::Forgo(channel) => {
                self.forgo(&owner, &channel);
                reply.send(Ok(String::new())).ok();
            }
            Command::Operates(channel) => self.ask_if_operator(&owner, &channel, reply),
            Command::AskOperators(question) => {
                if let Owner::Person(asker) = &owner {
                    self.ask_operators(asker, question, reply).await;
                }
            }
            about_oneself @ (Command::Username(_)
            | Command::StoreLogin { .. }
            | Command::RemoveLogin
            | Command::MakeCertificate
            | Command::Ignore(_)
            | Command::Unignore(_)
            | Command::Ignored
            | Command::Key { .. }) => {
                let report = self.about_oneself(&owner, about_oneself).await;
                reply.send(report).ok();
            }
            Command::Reconnect => {
                self.reconnect(&owner).await;
                reply.send(Ok("Connecting anew.".to_owned())).ok();
            }
            Command::Quit => {
                self.park(&owner, "Quit");
                let words = "You are not connected any more until you speak again.";
                reply.send(Ok(words.to_owned())).ok();
            }
            Command::Status => {
                reply.send(Ok(self.status_of(&owner))).ok();
            }
            Command::Why(channel) => {
                let words = owner.person().map(|person| self.why(person, &channel));
                reply.send(Ok(words.unwrap_or_default())).ok();
            }
            Command::Unsay { place, id, reason } => {
                self.unsay(owner, &place, (&id, reason), reply);
            }
            Command::Topic { channel, topic } => self.set_topic(&owner, &channel, &topic, reply),
            Command::Invite { channel, nick } => {
                let line = Line::new("INVITE", [nick.as_str(), channel.as_str()]);
                self.ask_there(&owner, &channel, line, reply);
            }
            Command::Remove {
                channel,
                nick,
                reason,
                is_ban,
            } => self.remove(&owner, (&channel, &nick), (reason, is_ban), reply),
            Command::Unban { channel, nick } => {
                self.let_back(&owner, (&channel, &nick), reply);
            }
            Command::Power {
                channel,
                levels,
                speech,
            } => {
                self.power_is_asked(&channel, &levels);
                let mut changes = self.modes_for(&channel, &levels);
                changes.extend(self.moderating(&channel, speech));
                match changes.is_empty() && levels.is_empty() {
                    true => drop(reply.send(Ok(String::new()))),
                    false => self.change_modes(&owner, &channel, &changes, reply),
                }
            }
            Command::Close { channel, is_closed } => match self.closing(&channel, is_closed) {
                Ok(Some(change)) => self.change_modes(&owner, &channel, &[change], reply),
                other => drop(reply.send(other.map(|_| String::new()))),
            },
        }
    }

    /// Takes back what somebody has said.
    fn unsay(
        &mut self,
        owner: Owner,
        place: &Place,
        (id, reason): (&str, Option<String>),
        reply: Reply,
    ) {
        let whose = match owner.person() {
            // Who may not speak there has nothing to be told.
            Some(person) => self.owner_for(place, person).unwrap_or(owner),
            None => owner,
        };
        let reason = reason.as_deref().map(one_line);
        let params = [place.target_name(), id].into_iter().chain(reason);
        self.ask_as(&whose, Line::new("REDACT", params), reply);
    }

    fn set_topic(&mut self, owner: &Owner, channel: &str, topic: &str, reply: Reply) {
        let folded = self.directory.read().case_mapping().fold(channel);
        let encoding = self.settings.send_encoding_of(Some(&folded));
        let topic = in_one_line(topic);
        let (bytes, _) = encoding::encode(&topic, encoding);
        // What comes back of it is what the encoding has left of it.
        let (topic, _) = encoding.decode_without_bom_handling(&bytes);
        self.topics.insert(folded, topic.into_owned());
        let line = Line::new("TOPIC", [channel.as_bytes(), &*bytes]);
        self.ask_there(owner, channel, line, reply);
    }

    /// Somebody is away, or back; it is kept, for their next connection.
    async fn go_away(&mut self, owner: &Owner, reason: Option<String>, reply: Reply) {
        let reason = reason.as_deref().map(one_line);
        if let Some(person) = owner.person()
            && let Err(error) = self.away.set(person, reason).await
        {
            tracing::error!(%error, "that somebody is away is not kept");
        }
        let away = Line::new("AWAY", reason);
        self.ask_anyhow(owner, (away, words::readable), reply).await;
    }

    /// Has somebody's own connection enter a channel.
    async fn enter(
        &mut self,
        owner: &Owner,
        channel: String,
        (key, reply): (Option<String>, Reply),
    ) {
        let client = self.client(owner);
        client.refused.remove(&channel);
        if client.is_in(&channel) {
            reply.send(Ok(String::new())).ok();
            return;
        }
        if !self.wishes_in(owner, &channel, key.clone()) {
            let words =
                format!("somebody is being let into {channel} already: try again in a moment");
            reply.send(Err(words)).ok();
            return;
        }
        let join = Line::new("JOIN", std::iter::once(channel).chain(key));
        self.ask_anyhow(owner, (join, words::readable), reply).await;
    }

    async fn reconnect(&mut self, owner: &Owner) {
        self.drop_link(owner, "Reconnecting");
        let client = self.client(owner);
        client.failures = 0;
        client.retry_at = None;
        client.is_parked = false;
        client.refused.clear();
        client.refusals.clear();
        client.barred = None;
        self.advance(owner).await;
    }

    /// Gives a command by somebody's own connection.
    pub(super) fn ask_as(&mut self, owner: &Owner, line: Line, reply: Reply) {
        self.ask_and_read(owner, (line, words::readable), reply);
    }

    /// The same; somebody who is not connected is connected for it.
    async fn ask_anyhow(&mut self, owner: &Owner, (line, read): (Line, Reader), reply: Reply) {
        if self.live_facts(owner).is_some() {
            return self.ask_and_read(owner, (line, read), reply);
        }
        let until = now() + self.settings.limits.patience.get();
        let client = self.client(owner);
        client.spoke_at = now();
        client.is_parked = false;
        client.wait_for(Wait {
            line,
            read,
            reply,
            until,
        });
        self.advance(owner).await;
    }

    pub(super) fn ask_and_read(
        &mut self,
        owner: &Owner,
        (line, read): (Line, Reader),
        reply: Reply,
    ) {
        let client = self.client(owner);
        client.spoke_at = now();
        let Some(live) = client.live.as_mut().filter(|live| live.is_ready) else {
            let why = client.last_error.clone();
            let why = why.map_or(String::new(), |why| format!(" ({why})"));
            let words =
                format!("You are not connected{why}. Say something in a channel, or `reconnect`.");
            reply.send(Err(words)).ok();
            return;
        };
        let (told, answer) = oneshot::channel();
        let names_twice = line.command == "WHOIS" && line.params.len() > 1;
        let asked = match names_twice && line.params[0] == line.params[1] {
            true => Asked::Whois(told),
            false => Asked::Answer(told),
        };
        live.ask(line, Priority::Urgent, asked);
        tokio::spawn(async move {
            let report = match answer.await {
                Ok(Ok(lines)) => Ok(read(&lines)),
                Ok(Err(words)) => Err(words),
                Err(_) => Err("The connection has ended meanwhile.".to_owned()),
            };
            reply.send(report).ok();
        });
    }

    /// Gives a command about a channel: by the person's own connection where they have more standing there than the
    /// bridge has, else by the bridge.
    fn ask_there(
        &mut self,
        owner: &Owner,
        channel: &str,
        line: Line,
        reply: oneshot::Sender<Report>,
    ) {
        let as_whom = self.strongest(owner, channel);
        self.ask_as(&as_whom, line, reply);
    }

    /// Whether a person or the bridge can do more in a channel.
    pub(super) fn strongest(&self, owner: &Owner, channel: &str) -> Owner {
        let level = |owner: &Owner| {
            let facts = self.live_facts(owner)?;
            let is_in = self.clients.get(owner)?.is_in(channel);
            let standing = self.standing(channel, &facts.source.name);
            is_in.then(|| standing::level_of(standing))
        };
        match (level(owner), level(&Owner::Bot)) {
            (Some(own), Some(bot)) if own >= bot => owner.clone(),
            (Some(_), None) => owner.clone(),
            _ => Owner::Bot,
        }
    }

    pub(super) fn live_facts(&self, owner: &Owner) -> Option<Facts> {
        let live = self.clients.get(owner)?.live.as_ref()?;
        live.is_ready.then(|| live.link.facts())
    }
}

/// The first line of a text.
pub(super) fn one_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// All lines of a text in one.
pub(crate) fn in_one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join(" | ")
}
