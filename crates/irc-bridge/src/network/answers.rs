//! What connections tell: that they stand, what became of what they were asked for, that they are over.

use std::sync::Arc;

use bridgehead_appservice::bridge::{Cause, Rejected, SendError};
use bridgehead_irc_protocol::{
    Line,
    numerics::Explanation,
    session::{Event, Proof},
};

use super::{
    Hub, Offers, Owner,
    client::{Asked, Standing},
    ended::Over,
    speech::Pending,
};
use crate::{
    clock::now,
    link::drive::{LinkId, Told, is_entry},
};

/// `ERR_BADCHANNELKEY`, `ERR_LINKCHANNEL` and `ERR_NOSUCHNICK`.
const BAD_KEY: u16 = 475;
const SENT_ELSEWHERE: u16 = 470;
const NO_SUCH_NICK: u16 = 401;
/// `ERR_NOSUCHSERVER`
const NO_SUCH_SERVER: u16 = 402;
/// What a `FAIL` names that is for want of standing.
const PRIVS_NEEDED: &str = "PRIVS_NEEDED";
/// `ERR_UNKNOWNCOMMAND`, `ERR_NOPRIVILEGES` and `ERR_CHANOPRIVSNEEDED`.
const NO_RIGHTS: [u16; 3] = [421, 481, 482];

/// A refusal, as the server says it.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) text: String,
    pub(super) line: Line,
    /// The bridge has not the standing that it takes.
    pub(super) lacks_rights: bool,
}

impl Refusal {
    /// What a line is that nobody of this run has asked for.
    pub(super) fn of(line: Line) -> Self {
        let is_failure = line.command == "FAIL" && line.text(1) == PRIVS_NEEDED;
        let numeric = line.numeric();
        Self {
            text: String::from_utf8_lossy(line.last()).into_owned(),
            lacks_rights: is_failure || numeric.is_some_and(|numeric| NO_RIGHTS.contains(&numeric)),
            line,
        }
    }

    /// The refusal in words for people: what it means, what they can do, and what the server said.
    pub(super) fn words(&self) -> String {
        let explained = Explanation::of_line(&self.line);
        explained.map_or_else(|| self.text.clone(), |explained| explained.to_string())
    }

    /// The same of a `WHOIS` that names the nick twice: where nobody has it, no server is found by it.
    fn of_whois(&self) -> String {
        if self.line.numeric() != Some(NO_SUCH_SERVER) {
            return self.words();
        }
        let numeric = NO_SUCH_NICK.to_string();
        let params = self.line.params.iter().map(Vec::as_slice);
        Self::of(Line::new(&numeric, params)).words()
    }
}

impl Hub {
    pub(super) async fn take_told(&mut self, id: LinkId, told: Told) {
        let Some(owner) = self.links.get(&id).cloned() else {
            return;
        };
        match told {
            Told::Event(event, line) => {
                let is_entry = is_entry(&event);
                self.line = line;
                self.take_event(&owner, id, *event).await;
                self.line = None;
                if is_entry {
                    self.tell_ears();
                    self.let_held_go_on(now());
                }
            }
            Told::UpTo(done) => self.note_dealt_with(&owner, done),
            Told::Closed(error) => {
                let why = error.unwrap_or_else(|| "the connection has ended".to_owned());
                self.closed(id, Over::Broken(&why)).await;
            }
        }
        self.end_consents().await;
        self.advance(&owner).await;
    }

    async fn take_event(&mut self, owner: &Owner, id: LinkId, event: Event) {
        if is_entry(&event)
            && let Some(live) = self.client(owner).live.as_mut()
        {
            live.entries.0 += 1;
            self.wait_again(owner);
        }
        match event {
            Event::Ready => {
                let before = self.directory.read().known_case_mapping();
                self.ready(owner);
                self.tell_of_cut_nick(owner).await;
                if self.directory.read().known_case_mapping() != before {
                    self.refold().await;
                }
            }
            Event::Nick { to, .. } => {
                self.directory.write().named(owner, &to, now());
                self.note_former(&to);
                if let Some(person) = owner.person() {
                    self.people.is_called(person, &to).await;
                }
            }
            Event::Line(heard) => {
                self.figures.heard();
                self.put_by(owner, &heard).await;
                self.hear(owner, &heard);
            }
            Event::Multiline {
                first,
                lines,
                batch,
                me,
                ..
            } => {
                self.figures.heard();
                self.hear_lines(owner, (first, batch.as_deref(), &me), &lines);
            }
            Event::Begun { .. } => {}
            Event::Written { id } => self.client(owner).written(id),
            Event::Said { id, proof } => {
                self.figures.said();
                self.has_spoken(owner, &proof);
                let client = self.client(owner);
                client.said(id, &proof, now());
                client.failures = 0;
            }
            Event::Answered { id, lines } => self.answered(owner, id, Ok(lines)).await,
            Event::Refused {
                id,
                numeric,
                fail,
                text,
                line,
            } => {
                let lacks_rights = fail.as_deref() == Some(PRIVS_NEEDED)
                    || numeric.is_some_and(|numeric| NO_RIGHTS.contains(&numeric));
                let numeric = numeric.map(|numeric| format!("{numeric:03}"));
                let reason = numeric.or(fail);
                self.figures.refused(reason.as_deref().unwrap_or("none"));
                let refusal = Refusal {
                    text,
                    line,
                    lacks_rights,
                };
                self.refused(owner, id, &refusal).await;
            }
            Event::LoginFailed { text } => {
                tracing::warn!(network = self.name, ?owner, text, "a login has failed");
                self.client(owner).last_error = Some(format!("the login failed: {text}"));
                self.tell_of_login(owner, &text, false);
            }
            Event::Sts { port, duration_s } => self.hear_sts(owner, port, duration_s).await,
            Event::Caps => {
                self.note_offers(owner);
                self.look_for_missed(owner);
            }
            Event::Account(_) => self.look_for_missed(owner),
            Event::Ended { why } => self.closed(id, Over::Session(&why)).await,
        }
    }

    fn ready(&mut self, owner: &Owner) {
        let name = self.name.clone();
        let was_away = !self.clients.keys().any(|owner| self.is_ready(owner));
        // Servers forget it with each connection.
        let away = owner.person().and_then(|person| self.away.reason(person));
        let away = away.map(str::to_owned);
        let client = self.client(owner);
        client.last_error = None;
        client.retry_at = None;
        client.barred = None;
        let Some(live) = client.live.as_mut() else {
            return;
        };
        live.is_ready = true;
        if let Some(reason) = away {
            live.upkeep(Line::new("AWAY", [reason]));
        }
        let took = now().saturating_duration_since(live.begun_at);
        let facts = live.link.facts();
        live.view.set_shows_all_prefixes(facts.shows_all_prefixes);
        tracing::info!(
            network = name,
            ?owner,
            nick = facts.source.name,
            "connected"
        );
        let mut directory = self.directory.write();
        directory.set_network(facts.isupport.case_mapping(), facts.isupport.network());
        directory.set_channel_types(facts.isupport.channel_types());
        directory.named(owner, &facts.source.name, now());
        drop(directory);
        self.fold_former();
        self.breaker.calm();
        self.note_offers(owner);
        self.note_former(&facts.source.name);
        self.figures.connected(took);
        // Where the bridge's own connection does not stand, the network is back with the first that does.
        let is_back = *owner == Owner::Bot || !self.is_ready(&Owner::Bot);
        self.goes_on(owner, &facts);
        self.look_for_missed(owner);
        if was_away {
            self.try_again();
        }
        if is_back {
            let own = Arc::<str>::from(self.name.as_str());
            self.remote
                .connected_in(move |place| *place.network == *own);
        }
    }

    /// What the observer has agreed with its server counts for the network.
    fn note_offers(&mut self, owner: &Owner) {
        let live = self.client(owner).live.as_ref();
        if let Some(live) = live.filter(|live| live.is_ready && *owner == Owner::Bot) {
            let offers = Offers::of(&live.link.facts());
            self.directory.write().set_offers(offers);
        }
    }

    async fn answered(&mut self, owner: &Owner, id: u64, answer: Result<Vec<Line>, String>) {
        let Some(asked) = self.asked(owner, id) else {
            // It was said by a command (`RELAYMSG`).
            if let Ok(lines) = answer {
                self.client(owner).said(id, &proof_of(&lines), now());
            }
            return;
        };
        match asked {
            Asked::Upkeep => {}
            Asked::Before => self.has_answered_before(owner),
            Asked::Present => self.note_present(owner),
            Asked::Join(channel) => self.end_entering(owner, &channel, answer.as_deref()),
            Asked::History(channel, page) => match answer {
                Ok(lines) => self.has_history(&channel, page, &lines),
                Err(why) => self.has_no_history(&channel, &why),
            },
            Asked::Talks(page) => match answer {
                Ok(lines) => self.has_talks(owner, page, &lines),
                Err(why) => self.has_no_talk(owner, &why),
            },
            Asked::Talk(page) => match answer {
                Ok(lines) => self.has_talk(owner, page, &lines),
                Err(why) => self.has_no_talk(owner, &why),
            },
            Asked::Doubt(key) => match answer {
                Ok(lines) => self.has_looked(owner, &key, &lines).await,
                Err(_) => self.end_not_found(owner, &key).await,
            },
            Asked::Answer(reply) | Asked::Whois(reply) => {
                reply.send(answer).ok();
            }
        }
    }

    fn asked(&mut self, owner: &Owner, id: u64) -> Option<Asked> {
        self.client(owner).live.as_mut()?.asks.remove(&id)
    }

    async fn refused(&mut self, owner: &Owner, id: u64, refusal: &Refusal) {
        let words = refusal.words();
        match self.asked(owner, id) {
            None => {
                if refusal.line.numeric() == Some(NO_SUCH_NICK) {
                    self.nobody_is(&refusal.line.text(1));
                }
                self.refused_say(owner, id, (&words, refusal.lacks_rights))
                    .await;
            }
            Some(Asked::Join(channel)) => {
                if refusal.line.numeric() == Some(BAD_KEY) && self.has_another_key(&channel) {
                    if let Some(live) = self.client(owner).live.as_mut() {
                        live.standings.remove(&channel);
                    }
                    return;
                }
                self.tell_of_refusal(owner, &channel, refusal);
                self.refused_join(owner, &channel, &words);
            }
            Some(Asked::History(channel, _)) => self.has_no_history(&channel, &words),
            Some(Asked::Talks(_) | Asked::Talk(_)) => self.has_no_talk(owner, &words),
            Some(Asked::Doubt(key)) => self.end_not_found(owner, &key).await,
            Some(Asked::Present) => self.note_present(owner),
            Some(Asked::Answer(reply)) => {
                reply.send(Err(words)).ok();
            }
            Some(Asked::Whois(reply)) => {
                reply.send(Err(refusal.of_whois())).ok();
            }
            Some(Asked::Before) => self.has_answered_before(owner),
            Some(Asked::Upkeep) => {
                tracing::warn!(
                    network = self.name,
                    ?owner,
                    words,
                    "the server refuses a change"
                );
                self.client(owner).last_error = Some(words);
            }
        }
    }

    /// What the server does not take is not said; what was to follow of the same message is not either.
    async fn refused_say(&mut self, owner: &Owner, say: u64, no: (&str, bool)) {
        let is_meant = |pending: &Pending| pending.parts.iter().any(|part| part.say == Some(say));
        for pending in self.client(owner).take_pendings(is_meant) {
            // What was refused was not said: when it is asked for again, it is said.
            if let Some(claim) = pending.claim_of(say) {
                self.claims.release(&claim).await;
            }
            self.end_refused(pending, no);
        }
    }

    /// Tells whoever has said something that the server does not take it; and whether that is for want of rights.
    pub(super) fn end_refused(&mut self, pending: Pending, (words, lacks_rights): (&str, bool)) {
        let place = &pending.speech.place;
        if let (Some(name), Some(channel)) = (&pending.speech.relayed_as, place.as_channel()) {
            // It is said under the bridge's own name: all of the channel, or what this one says.
            let mut directory = self.directory.write();
            match lacks_rights {
                true => directory.relays_not_in(channel),
                false => directory.relays_not_as(channel, name, now()),
            }
            drop(directory);
            pending.end(Err(SendError::retry(words)));
        } else {
            pending.end(Err(rejected(words)));
        }
    }

    /// Entering has ended without a refusal: the channel's own line has said so, or the client was sent elsewhere.
    fn end_entering(&mut self, owner: &Owner, channel: &str, answer: Result<&[Line], &String>) {
        let live = self.client(owner).live.as_ref();
        let standing = live.and_then(|live| live.standings.get(channel));
        if standing == Some(&Standing::Joining) {
            let mut lines = answer.unwrap_or_default().iter();
            let sent = lines.find(|line| line.numeric() == Some(SENT_ELSEWHERE));
            let words = match sent {
                Some(line) => format!("the server sent you to {} instead", line.text(2)),
                None => "the server did not let you into the channel".to_owned(),
            };
            self.refused_join(owner, channel, &words);
        }
    }

    /// Who is not let in cannot speak there.
    fn refused_join(&mut self, owner: &Owner, channel: &str, words: &str) {
        if *owner == Owner::Bot {
            self.bot_kept_out(channel, words);
        }
        let client = self.client(owner);
        if client.owner != Owner::Bot {
            client.refused_by(channel, words, now());
        }
        let waits_for = |pending: &Pending| pending.speech.place.as_channel() == Some(channel);
        for pending in client.take_pendings(waits_for) {
            pending.end(Err(rejected(words)));
        }
        tracing::info!(
            network = self.name,
            ?owner,
            channel,
            words,
            "a channel refuses a client"
        );
        if *owner == Owner::Bot {
            self.tell_shut_out(channel, words);
        }
    }

    /// A client is in a channel now.
    pub(super) fn entered(&mut self, owner: &Owner, channel: &str) {
        let folded = self.directory.read().case_mapping().fold(channel);
        let Some(live) = self.client(owner).live.as_mut() else {
            return;
        };
        live.standings.insert(folded.clone(), Standing::In);
        live.leaving.remove(&folded);
        let facts = live.link.facts();
        if let Some(person) = owner.person() {
            self.note_seen_as(person, &facts.source, facts.account.as_deref());
            self.doors.entered(person, &folded);
        }
        self.client(owner).note_entered(&folded);
        self.elect(&folded);
        self.look_at_stay(owner, &folded);
    }

    /// A client is in a channel no more. Gives back whether that is news: of what it has left by itself, all was done
    /// then, and it may be asking to be let in again.
    pub(super) fn expelled(&mut self, owner: &Owner, channel: &str, is_kick: bool) -> bool {
        let folded = self.directory.read().case_mapping().fold(channel);
        if let Some(live) = self.client(owner).live.as_mut() {
            if !is_kick && live.leaving.remove(&folded) {
                return false;
            }
            live.standings.remove(&folded);
        }
        self.elect(&folded);
        true
    }
}

/// How it is known that a command has said something: its echo, or that nothing was said against it.
fn proof_of(answer: &[Line]) -> Proof {
    let mut ids = answer.iter().filter_map(|line| line.tags.get("msgid"));
    match ids.next() {
        Some(msgid) => Proof::Echo {
            msgids: vec![msgid.to_owned()],
            time: None,
        },
        None => Proof::Barrier,
    }
}

/// The network's no.
fn rejected(words: &str) -> SendError {
    SendError::Reject(Rejected::new(Cause::Network, words))
}
