//! One client of a network: where it wants to be, what it has to say, and the connection that it has or will have.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use bridgehead_appservice::bridge::RemoteId as _;
use bridgehead_irc_protocol::{
    Channels, Line,
    session::{Ask, Priority, Proof, Say},
};
use tokio::sync::{Mutex as AsyncMutex, oneshot};

use super::{
    before::Before,
    command::{Reader, Reply},
    directory::Owner,
    speaking::now_ms,
    speech::{Lost, Part, Pending},
};
use crate::link::{
    claims::Claim,
    drive::{Link, Order},
};

/// Commands that may wait for a connection.
const MAX_WAITS: usize = 20;
/// How long a channel that has refused a client is left alone, the first time and at most.
const REFUSED_FOR: Duration = Duration::from_secs(5);
const REFUSED_AT_MOST: Duration = Duration::from_secs(300);
/// After so long without a refusal the first wait is a short one again.
const FORGIVEN_AFTER: Duration = Duration::from_secs(900);
/// How long it is waited for what the observer has heard of a connection that was lost.
pub(super) const DOUBTS_FOR: Duration = Duration::from_secs(10);
/// Lines that are proven before the observer has heard them; beyond that the oldest is not waited for.
const MAX_TO_BE_HEARD: usize = 100;
/// Ids of what was said that are remembered, so that a history does not prove what comes after it.
const MAX_PROVEN_IDS: usize = 200;
/// How long the observer may be behind.
const HEARD_WITHIN: Duration = Duration::from_secs(30);
/// Commands of the bridge's own that may wait for their answers at the same time.
const MAX_ASKED: usize = 16;
/// Questions that may wait for their turn: some for each of the channels that a client is in.
const MAX_QUESTIONS: usize = 10_000;

/// A client of a network.
pub(super) struct Client {
    pub(super) owner: Owner,
    /// What people call its person.
    pub(super) name: Option<String>,
    /// Folded names of channels that it is to be in.
    pub(super) wanted: BTreeSet<String>,
    /// Channels that have refused it: until when they are left alone, and why.
    pub(super) refused: BTreeMap<String, (Instant, String)>,
    /// How often a channel has refused it, or put it out, one soon after the other, and when it did last.
    pub(super) refusals: BTreeMap<String, (u32, Instant)>,
    pub(super) pendings: VecDeque<Pending>,
    /// Ids of what it has said, the latest last.
    pub(super) proven_ids: VecDeque<String>,
    /// Lines that have arrived, and that the observer has not heard yet: channel, text, and since when.
    pub(super) to_be_heard: VecDeque<(String, Vec<u8>, Instant)>,
    /// Commands that wait for the connection.
    pub(super) waits: VecDeque<Wait>,
    /// In a row.
    pub(super) failures: u32,
    pub(super) retry_at: Option<Instant>,
    pub(super) last_error: Option<String>,
    /// The network does not let it in: until when nothing is tried, and why.
    pub(super) barred: Option<(Instant, String)>,
    /// Its last connection may have said something of which it is not known whether it has arrived. Until then it is
    /// waited for what the observer has heard.
    pub(super) doubts_until: Option<Instant>,
    /// Its person wants no connection until they speak again.
    pub(super) is_parked: bool,
    pub(super) spoke_at: Instant,
    pub(super) live: Option<Live>,
    /// What an earlier run of the bridge has left, where a keeper has held the connection.
    pub(super) before: Option<Before>,
    /// Held by the connection that the keeper has, until all is done about it.
    pub(super) turn: Arc<AsyncMutex<()>>,
}

/// A connection.
pub(super) struct Live {
    pub(super) link: Link,
    pub(super) begun_at: Instant,
    pub(super) is_ready: bool,
    /// Which of the network's servers it is with.
    pub(super) server: usize,
    /// Whether it hears channels for others.
    pub(super) observes: bool,
    /// How often it has come into a channel, and how often it had when it was told whether it hears for others.
    pub(super) entries: (u64, u64),
    /// The observer has heard that it is gone.
    pub(super) is_gone: bool,
    /// Where it is, and for the observer all that is known of the channels.
    pub(super) view: Channels,
    /// Folded names of channels that it is in, or asks to be let in.
    pub(super) standings: BTreeMap<String, Standing>,
    /// Channels that it was told to leave, until the server says that it has: it may be asking to be let in again by then.
    pub(super) leaving: BTreeSet<String>,
    pub(super) asks: BTreeMap<u64, Asked>,
    pub(super) next_id: u64,
    /// Channels whose names were asked for again.
    pub(super) naming: BTreeSet<String>,
    /// What is to be asked for when there is nothing better to do: modes, lists, names.
    pub(super) questions: VecDeque<Line>,
}

/// How a client stands to a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Joining,
    In,
}

/// What a command was for.
pub(super) enum Asked {
    Join(String),
    /// A page of a channel's history, of so many messages at most.
    History(String, usize),
    /// Where something was said, so many places at most.
    Talks(usize),
    /// A page of a talk, of so many messages at most.
    Talk(usize),
    /// What became of a message before the bridge was killed, by its key.
    Doubt(String),
    /// Whether the server has looked at all that an earlier run has said.
    Before,
    /// All that came while the bridge was away was taken, once this is answered.
    Present,
    /// Somebody waits for what the server says.
    Answer(oneshot::Sender<Result<Vec<Line>, String>>),
    /// The same, of whom the server knows by a nick that also names the server to ask.
    Whois(oneshot::Sender<Result<Vec<Line>, String>>),
    /// The bridge keeps both sides the same; what the server says is for the log.
    Upkeep,
}

/// A command that waits for the connection of who gives it.
pub(super) struct Wait {
    pub(super) line: Line,
    pub(super) read: Reader,
    pub(super) reply: Reply,
    /// Until when the connection may take to be made.
    pub(super) until: Instant,
}

impl Client {
    pub(super) fn new(owner: Owner, now: Instant) -> Self {
        Self {
            owner,
            name: None,
            wanted: BTreeSet::new(),
            refused: BTreeMap::new(),
            refusals: BTreeMap::new(),
            pendings: VecDeque::new(),
            proven_ids: VecDeque::new(),
            to_be_heard: VecDeque::new(),
            waits: VecDeque::new(),
            failures: 0,
            retry_at: None,
            last_error: None,
            barred: None,
            doubts_until: None,
            is_parked: false,
            spoke_at: now,
            live: None,
            before: None,
            turn: Arc::default(),
        }
    }

    /// Whether it has a reason to be connected.
    pub(super) fn wants_connection(&self) -> bool {
        let is_asked = !self.pendings.is_empty() || !self.waits.is_empty();
        is_asked || (!self.is_parked && !self.wanted.is_empty())
    }

    /// Whether its person waits for something to be said, or for an answer.
    pub(super) fn has_to_speak(&self) -> bool {
        !self.pendings.is_empty() || !self.waits.is_empty()
    }

    /// Whether there is no reason to remember it any more.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        let is_later = |at: Instant| at > now;
        self.live.is_none()
            && !self.has_to_speak()
            && self.wanted.is_empty()
            && !self.retry_at.is_some_and(is_later)
            && !self
                .barred
                .as_ref()
                .is_some_and(|(until, _)| is_later(*until))
    }

    /// Whether it may try to connect now.
    pub(super) fn may_try(&self, now: Instant) -> bool {
        self.live.is_none() && self.retry_at.is_none_or(|at| at <= now)
    }

    /// Whether nothing is known of it that another would not begin with.
    pub(super) fn is_nobody(&self, now: Instant) -> bool {
        self.owner != Owner::Bot
            && self.live.is_none()
            && self.wanted.is_empty()
            && !self.has_to_speak()
            && self.retry_at.is_none_or(|at| at <= now)
    }

    /// A command waits for the connection, if not too many do already.
    pub(super) fn wait_for(&mut self, wait: Wait) {
        if self.waits.len() < MAX_WAITS {
            self.waits.push_back(wait);
        } else {
            let words = "Too many commands of yours wait for your connection already.";
            wait.reply.send(Err(words.to_owned())).ok();
        }
    }

    /// Commands that have waited for too long are given back; `breaker`: why nobody is connected for now.
    pub(super) fn give_waits_up(&mut self, now: Instant, breaker: Option<&str>) {
        let why = self.last_error.as_deref().or(breaker);
        let words = why.map_or_else(
            || "You are not connected in time: try again later.".to_owned(),
            |why| format!("You are not connected: {why}."),
        );
        let (late, left): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut self.waits)
            .into_iter()
            .partition(|wait| wait.until <= now);
        self.waits = left;
        for wait in late {
            wait.reply.send(Err(words.clone())).ok();
        }
    }

    /// Whether it is in a channel.
    pub(super) fn is_in(&self, channel: &str) -> bool {
        let standing = self.live.as_ref().map(|live| live.standings.get(channel));
        standing.flatten() == Some(&Standing::In)
    }

    /// Asks to be let into the channels where it is to be.
    pub(super) fn join_wanted(&mut self, key_of: impl Fn(&str) -> Option<String>, now: Instant) {
        self.refused.retain(|_, (until, _)| *until > now);
        let Some(live) = self.live.as_mut().filter(|live| live.is_ready) else {
            return;
        };
        let spoken_to = self.pendings.iter();
        let spoken_to = spoken_to.filter_map(|pending| pending.speech.place.as_channel());
        let wanted = self.wanted.iter().map(String::as_str).chain(spoken_to);
        let missing: BTreeSet<String> = wanted
            .filter(|channel| !live.standings.contains_key(*channel))
            .filter(|channel| !self.refused.contains_key(*channel))
            .map(str::to_owned)
            .collect();
        for channel in missing.into_iter().take(live.may_ask()) {
            let key = key_of(&channel);
            let params = std::iter::once(channel.clone()).chain(key);
            live.ask(
                Line::new("JOIN", params),
                Priority::Membership,
                Asked::Join(channel.clone()),
            );
            live.standings.insert(channel, Standing::Joining);
        }
    }

    /// Gives the connection what can be said now.
    pub(super) fn hand_over(&mut self) {
        let is_answered = !self.before.as_ref().is_some_and(Before::is_awaited);
        let Some(live) = self
            .live
            .as_mut()
            .filter(|live| live.is_ready && is_answered)
        else {
            return;
        };
        // What is in doubt holds back what comes after it in the same place.
        let mut in_doubt = BTreeSet::new();
        for pending in &mut self.pendings {
            let place = pending.speech.place.to_text();
            if pending.is_in_doubt || pending.is_open() {
                in_doubt.insert(place);
                continue;
            }
            let is_there = match pending.speech.place.as_channel() {
                Some(channel) => live.standings.get(channel) == Some(&Standing::In),
                None => true,
            };
            let is_wanted = !pending.is_withdrawn && !pending.reply.is_closed();
            let is_asked_for = !pending.is_handed() && is_wanted;
            if is_there && is_asked_for && !in_doubt.contains(&place) {
                live.hand_over(pending);
            }
        }
    }

    /// Ends what has arrived, and forgets what nobody waits for any more.
    pub(super) fn settle(&mut self) {
        let mut left = VecDeque::new();
        for pending in std::mem::take(&mut self.pendings) {
            if pending.is_said() {
                pending.end_said();
            } else if pending.reply.is_closed() {
                self.cancel(&pending);
            } else {
                left.push_back(pending);
            }
        }
        self.pendings = left;
    }

    fn cancel(&self, pending: &Pending) {
        let Some(live) = &self.live else { return };
        for say in pending.parts.iter().filter_map(|part| part.say) {
            // A link that takes no orders is about to end.
            let _ = live.link.order(Order::Cancel(say));
        }
    }

    /// Takes those out that are of this kind.
    pub(super) fn take_pendings(&mut self, is_meant: impl Fn(&Pending) -> bool) -> Vec<Pending> {
        let all = std::mem::take(&mut self.pendings);
        let (meant, left): (Vec<_>, Vec<_>) = all.into_iter().partition(is_meant);
        self.pendings = left.into();
        for pending in &meant {
            self.cancel(pending);
        }
        meant
    }

    /// A channel does not let it in.
    pub(super) fn refused_by(&mut self, channel: &str, why: &str, now: Instant) {
        if let Some(live) = &mut self.live {
            live.standings.remove(channel);
        }
        self.refusals
            .retain(|_, (_, at)| now.saturating_duration_since(*at) < FORGIVEN_AFTER);
        let refusals = self.refusals.entry(channel.to_owned());
        let (times, at) = refusals.or_insert((0, now));
        let wait = REFUSED_FOR.saturating_mul(1 << (2 * *times).min(16));
        (*times, *at) = (*times + 1, now);
        let until = now + wait.min(REFUSED_AT_MOST);
        self.refused
            .insert(channel.to_owned(), (until, why.to_owned()));
    }

    /// A channel has let it in. Whether it is to stay there, time tells: one that it is put out of each time waits longer
    /// and longer.
    pub(super) fn note_entered(&mut self, channel: &str) {
        self.refused.remove(channel);
    }

    /// Its person asks for a channel anew: what was before is forgotten.
    pub(super) fn asks_anew(&mut self, channel: &str) {
        self.refused.remove(channel);
        self.refusals.remove(channel);
    }

    /// A line of a message has arrived.
    pub(super) fn said(&mut self, say: u64, proof: &Proof, now: Instant) {
        if let Proof::Echo { msgids, .. } = proof {
            msgids.iter().for_each(|id| self.has_id(id));
        }
        for pending in &mut self.pendings {
            let channel = pending.speech.place.as_channel().map(str::to_owned);
            let unheard = pending.part(say).filter(|part| !part.is_overheard);
            if let (Some(channel), Some(part)) = (channel, unheard) {
                self.to_be_heard
                    .push_back((channel, part.text.clone(), now));
            }
            if pending.prove(say, proof) {
                break;
            }
        }
        let too_many = self.to_be_heard.len().saturating_sub(MAX_TO_BE_HEARD);
        self.to_be_heard.drain(..too_many);
    }

    /// Something that it has said has this id.
    fn has_id(&mut self, id: &str) {
        if self.proven_ids.len() >= MAX_PROVEN_IDS {
            self.proven_ids.pop_front();
        }
        self.proven_ids.push_back(id.to_owned());
    }

    pub(super) fn written(&mut self, say: u64) {
        let mut parts = self
            .pendings
            .iter_mut()
            .filter_map(|pending| pending.part(say));
        if let Some(part) = parts.next() {
            part.is_written = true;
        }
    }

    /// The observer has heard this client say a line: it has arrived, whatever becomes of the connection.
    pub(super) fn overheard(
        &mut self,
        (channel, text): (&str, &[u8]),
        msgid: Option<&str>,
        now: Instant,
    ) {
        if let Some(msgid) = msgid {
            self.has_id(msgid);
        }
        // Of two lines that are the same, the first is heard first: it may have been proven, and ended, before.
        self.to_be_heard
            .retain(|(.., at)| now.saturating_duration_since(*at) < HEARD_WITHIN);
        let known = self
            .to_be_heard
            .iter()
            .position(|(where_said, said, _)| where_said == channel && said == text);
        if let Some(at) = known {
            self.to_be_heard.remove(at);
            return;
        }
        let parts = self
            .pendings
            .iter_mut()
            .filter(|pending| pending.speech.place.as_channel() == Some(channel))
            .flat_map(|pending| pending.parts.iter_mut());
        // The same words may be said several times. That they were written is told by another way, and may come later.
        let mut unheard = parts.filter(|part| !part.is_overheard);
        if let Some(part) = unheard.find(|part| part.text == text) {
            part.is_overheard = true;
            part.proof
                .get_or_insert_with(|| msgid.map(str::to_owned).into_iter().collect());
        }
    }

    /// The connection is gone. Where somebody else hears the channel, they are waited for: what was written may have
    /// arrived.
    pub(super) fn doubt(&mut self, now: Instant, is_overheard: impl Fn(&str) -> bool) {
        for pending in &mut self.pendings {
            let is_unproven = |part: &Part| part.is_written && part.proof.is_none();
            let channel = pending.speech.place.as_channel();
            pending.is_in_doubt =
                channel.is_some_and(&is_overheard) && pending.parts.iter().any(is_unproven);
            if pending.is_in_doubt {
                self.doubts_until = Some(now + DOUBTS_FOR);
            }
        }
    }

    /// What was not proven to have arrived, and is not in doubt, is said again by the next connection; it has until
    /// `deadline` to come. Where the network keeps what was said (`is_kept`), it is asked first.
    pub(super) fn unhand(&mut self, deadline: Instant, is_kept: bool) -> Lost {
        let mut lost = Lost::default();
        for pending in &mut self.pendings {
            // The next connection asks anew.
            pending.is_looked_for = false;
            if pending.is_handed() && !pending.is_in_doubt {
                pending.unhand((deadline, is_kept), &mut lost);
            }
        }
        lost
    }
}

impl Live {
    pub(super) fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Gives a command whose outcome is wanted.
    pub(super) fn ask(&mut self, line: Line, priority: Priority, asked: Asked) {
        let id = self.next_id();
        let order = Order::Ask(Ask { id, line, priority }, None);
        if self.link.order(order) {
            self.asks.insert(id, asked);
        } else if let Asked::Answer(reply) | Asked::Whois(reply) = asked {
            reply.send(Err("the connection is stuck".to_owned())).ok();
        }
    }

    /// Gives a command that keeps both sides the same.
    pub(super) fn upkeep(&mut self, line: Line) {
        self.ask(line, Priority::Membership, Asked::Upkeep);
    }

    /// How many more commands may wait for their answers: whoever is in hundreds of channels asks a few at a time.
    pub(super) fn may_ask(&self) -> usize {
        MAX_ASKED.saturating_sub(self.asks.len())
    }

    /// Asks for something, when its turn comes.
    pub(super) fn question(&mut self, line: Line) {
        if self.questions.len() < MAX_QUESTIONS && !self.questions.contains(&line) {
            self.questions.push_back(line);
        }
    }

    /// Asks what may be asked now.
    pub(super) fn ask_questions(&mut self) {
        for _ in 0..self.may_ask() {
            match self.questions.pop_front() {
                Some(line) => self.upkeep(line),
                None => return,
            }
        }
    }

    fn hand_over(&mut self, pending: &mut Pending) {
        let lines = std::mem::take(&mut pending.speech.lines);
        // Each line for itself, or all of them at once.
        let at_once = match pending.speech.is_one {
            true => lines.len().max(1),
            false => 1,
        };
        for (part, lines) in (0..).zip(lines.chunks(at_once)) {
            let is_claimed = pending.speech.claimed.contains(&part);
            let say = (!is_claimed).then(|| self.say(pending, lines, part));
            pending.parts.push(Part {
                say,
                text: lines.join(&b'\n'),
                given_ms: now_ms(),
                is_written: is_claimed,
                is_overheard: is_claimed,
                proof: is_claimed.then(Vec::new),
            });
        }
        pending.speech.lines = lines;
    }

    fn say(&mut self, pending: &Pending, lines: &[Vec<u8>], part: u32) -> u64 {
        let id = self.next_id();
        let speech = &pending.speech;
        let claim = Some(Claim {
            key: speech.key.clone(),
            part,
        });
        let target = speech.place.target_name();
        // They are the whole message's, and so the first line's alone.
        let tags = speech.tags.iter().filter(|_| part == 0).cloned().collect();
        let order = match &speech.relayed_as {
            None => {
                let say = Say {
                    id,
                    target: target.to_owned(),
                    command: speech.command,
                    lines: lines.to_vec(),
                    tags,
                    as_multiline: speech.is_one,
                };
                Order::Say(say, claim)
            }
            Some(name) => {
                let text = lines.concat();
                let mut line = Line::new("RELAYMSG", [target.as_bytes(), name.as_bytes(), &text]);
                for (key, value) in &tags {
                    line.tags.set(key, value);
                }
                let priority = Priority::Said;
                Order::Ask(Ask { id, line, priority }, claim)
            }
        };
        // A link that takes no orders is about to end, and then it is said by the next.
        let _ = self.link.order(order);
        id
    }
}
