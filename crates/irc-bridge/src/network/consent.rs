//! Whether a channel of IRC may be linked to a room: its operators decide. Who asks is one, or one of them is asked.
//!
//! ```text
//! asked for ──the bridge is in──▶ operators are asked ──"yes"──▶ agreed
//!     └──refused, too late            └──"no", too late, no operator──▶ not
//! ```
//!
//! The bridge is in the channel only for as long as it takes, unless the channel is linked in the end.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use bridgehead_appservice::id::UserId;
use bridgehead_irc_protocol::{Isupport, Line, Source, session::Priority};
use tokio::sync::oneshot;

use super::{
    Hub, Owner,
    client::Asked,
    command::{Reply, Report},
    speaking::now_ms,
    standing,
};
use crate::{clock::now, link::drive::Order};

/// How long operators have for their answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);
/// How long the bridge may take to get into the channel.
const TO_ENTER: Duration = Duration::from_secs(60);
/// Operators that are asked, where nobody was named.
const OPERATORS: usize = 3;
/// Questions at the same time.
const MAX_CONSENTS: usize = 50;
/// What an operator is worth, at least.
const OPERATOR: i64 = 50;

/// A question to the operators of a channel.
#[derive(Debug)]
pub(crate) struct Question {
    /// The channel, folded.
    pub(crate) channel: String,
    /// Whom to ask.
    pub(crate) operator: Option<String>,
    /// The channel's key, as who asks knows it: kept when an operator agrees.
    pub(crate) key: Option<String>,
}

/// A question that is open.
pub(super) struct Consent {
    asker: UserId,
    question: Question,
    /// Who was asked, folded; empty until the bridge is in.
    asked: BTreeSet<String>,
    until: Instant,
    /// The bridge was in the channel before.
    was_in: bool,
    reply: Reply,
}

impl Consent {
    /// The key with which the bridge is to get into a channel to ask.
    pub(super) fn key_for(&self, channel: &str) -> Option<&String> {
        let question = &self.question;
        question
            .key
            .as_ref()
            .filter(|_| question.channel == channel)
    }

    fn whose(&self) -> (&str, &UserId) {
        (&self.question.channel, &self.asker)
    }
}

impl Hub {
    /// Asks the operators of a channel; they have some minutes.
    pub(super) async fn ask_operators(&mut self, asker: &UserId, question: Question, reply: Reply) {
        let is_open = |consent: &Consent| {
            consent.question.channel == question.channel || consent.asker == *asker
        };
        if self.consents.iter().any(is_open) {
            let words = "somebody is being asked already: wait for their answer";
            reply.send(Err(words.to_owned())).ok();
            return;
        }
        if !self.settings.bot.enabled {
            let words = "the bridge has no connection of its own on this network, so it can ask no operator";
            reply.send(Err(words.to_owned())).ok();
            return;
        }
        if self.rests.has_to_wait((&question.channel, asker), now_ms()) {
            let words = "its operators have said no to you, or nothing, a short while ago: ask them again in an hour";
            reply.send(Err(words.to_owned())).ok();
            return;
        }
        if self.consents.len() >= MAX_CONSENTS {
            let words = "too many are being asked already: try again in some minutes";
            reply.send(Err(words.to_owned())).ok();
            return;
        }
        let bot = self.client(&Owner::Bot);
        let was_in = !bot.wanted.insert(question.channel.clone());
        bot.refused.remove(&question.channel);
        self.consents.push(Consent {
            asker: asker.clone(),
            question,
            asked: BTreeSet::new(),
            until: now() + TO_ENTER,
            was_in,
            reply,
        });
        self.advance(&Owner::Bot).await;
    }

    /// Whether the operators of a channel are asked about it just now.
    pub(super) fn is_asked_about(&self, channel: &str) -> bool {
        let mut consents = self.consents.iter();
        consents.any(|consent| consent.question.channel == channel)
    }

    /// Asks whom it can, and ends what is over.
    pub(super) async fn look_at_consents(&mut self, now: Instant) {
        for at in (0..self.consents.len()).rev() {
            if self.consents[at].reply.is_closed() {
                let words = "nobody waits for the answer any more".to_owned();
                self.end_consent(at, Err(words)).await;
            } else if let Some(outcome) = self.look_at_consent(at, now) {
                self.end_consent(at, outcome).await;
            }
        }
        self.keep_rests().await;
    }

    async fn keep_rests(&mut self) {
        let kept = match self.remote.store() {
            Ok(store) => self.rests.keep(&store, &self.name).await,
            // The service ends.
            Err(_) => return,
        };
        if let Err(error) = kept {
            tracing::warn!(network = self.name, %error, "it is not remembered whom nobody is to ask again");
        }
    }

    /// What came of a question; `None` while it is open.
    fn look_at_consent(&mut self, at: usize, now: Instant) -> Option<Report> {
        let consent = &self.consents[at];
        if consent.until <= now {
            return Some(Err(match consent.asked.is_empty() {
                true => "the bridge does not get into the channel to ask".to_owned(),
                false => "no operator of the channel has answered in time".to_owned(),
            }));
        }
        if !consent.asked.is_empty() {
            return None;
        }
        let channel = consent.question.channel.clone();
        let bot = self.clients.get(&Owner::Bot)?;
        if let Some((_, why)) = bot.refused.get(&channel) {
            return Some(Err(format!(
                "the bridge is not let into the channel: {why}"
            )));
        }
        let live = bot.live.as_ref()?;
        live.view
            .channel(&channel)
            .filter(|channel| channel.is_named())?;
        let operators = match self.choose_operators(&consent.question) {
            Err(words) => return Some(Err(words)),
            Ok(operators) => operators,
        };
        self.put_question(at, &operators, now);
        None
    }

    /// Whom to ask.
    fn choose_operators(&self, question: &Question) -> Result<Vec<String>, String> {
        let channel = &question.channel;
        let bot = self.clients.get(&Owner::Bot);
        let view = bot.and_then(|bot| bot.live.as_ref()?.view.channel(channel));
        let members = view
            .into_iter()
            .flat_map(|channel| channel.members().collect::<Vec<_>>());
        let is_operator = |modes: &[char]| {
            let level = modes.first().map(|mode| standing::level_of(Some(*mode)));
            level.is_some_and(|level| level >= OPERATOR)
        };
        let operators = members
            .filter(|member| is_operator(&member.modes) && self.own(&member.source.name).is_none());
        let operators = operators.map(|member| member.source.name);
        match &question.operator {
            Some(wanted) => {
                let mapping = self.directory.read().case_mapping();
                let found = operators
                    .filter(|nick| mapping.is_same(nick, wanted))
                    .take(1);
                let found: Vec<String> = found.collect();
                match found.is_empty() {
                    true => Err(format!("{wanted} is no operator of {channel}")),
                    false => Ok(found),
                }
            }
            None => {
                // Services have names like that, and do not read what they are asked.
                let people = operators.filter(|nick| !nick.to_lowercase().ends_with("serv"));
                let people: Vec<String> = people.take(OPERATORS).collect();
                match people.is_empty() {
                    true => Err(format!(
                        "there is no operator in {channel} who could be asked"
                    )),
                    false => Ok(people),
                }
            }
        }
    }

    fn put_question(&mut self, at: usize, operators: &[String], now: Instant) {
        let mapping = self.directory.read().case_mapping();
        let consent = &mut self.consents[at];
        consent.asked = operators.iter().map(|nick| mapping.fold(nick)).collect();
        consent.until = now + PATIENCE;
        // From the question on: who is asked in vain is not asked again because the bridge was restarted meanwhile.
        self.rests.begin(consent.whose(), now_ms());
        let question = format!(
            "{} asks to bridge {} to a room of Matrix: all who are there would hear what is said in the channel, and \
             speak in it. You are asked as an operator. Answer `yes` here within {} minutes if you agree, or `no`; if you \
             are asked about several channels, name this one: `yes {}`.",
            consent.asker,
            consent.question.channel,
            PATIENCE.as_secs() / 60,
            consent.question.channel,
        );
        if let Some(live) = self.client(&Owner::Bot).live.as_ref() {
            for nick in operators {
                let line = Line::new("PRIVMSG", [nick.as_str(), &question]);
                // One that takes no orders ends, and then nobody answers in time.
                let _ = live.link.order(Order::Send(line, Priority::Urgent));
            }
        }
    }

    /// Takes an operator's answer; gives back what they are told, or `None` if nobody has asked them.
    pub(super) fn take_consent(&mut self, who: &Source, words: &str) -> Option<String> {
        let nick = self.nick(&who.name).nick;
        let mapping = self.directory.read().case_mapping();
        let words = words.trim().trim_end_matches(['.', '!']);
        let (word, named) = words.split_once(char::is_whitespace).unwrap_or((words, ""));
        let asked = self.consents.iter().enumerate();
        let asked = asked.filter(|(_, consent)| consent.asked.contains(&nick));
        let asked: Vec<(usize, &str)> = asked
            .map(|(at, consent)| (at, consent.question.channel.as_str()))
            .collect();
        let is_named = |(_, channel): &&(usize, &str)| mapping.is_same(channel, named.trim());
        let (at, channel) = match (&asked[..], asked.iter().find(is_named)) {
            ([], _) => return None,
            (_, Some(named)) => *named,
            ([only], None) => *only,
            _ => return Some(which(&asked)),
        };
        // What stands behind the word is this channel, or the word is no answer.
        let is_answer = named.is_empty() || mapping.is_same(channel, named.trim());
        let channel = channel.to_owned();
        let is_operator = standing::level_of(self.standing(&channel, &who.name)) >= OPERATOR;
        let word = word.to_lowercase();
        let word = if is_answer { word.as_str() } else { "" };
        let (outcome, answer) = match word {
            "yes" | "y" if is_operator => (
                Ok(format!("{} agrees.", who.name)),
                format!("Thank you: {channel} is being bridged."),
            ),
            "yes" | "y" => return Some(format!("You are no operator of {channel} any more.")),
            "no" | "n" => (
                Err(format!("{} does not want it", who.name)),
                format!("Thank you: {channel} is not bridged."),
            ),
            _ => return Some(format!("Answer `yes` or `no`: may {channel} be bridged?")),
        };
        let consent = self.consents.remove(at);
        self.over_consents.push((consent, outcome));
        Some(answer)
    }

    /// Tells what came of questions that were answered.
    pub(super) async fn end_consents(&mut self) {
        for (consent, outcome) in std::mem::take(&mut self.over_consents) {
            self.tell_consent(consent, outcome).await;
        }
        self.keep_rests().await;
    }

    async fn end_consent(&mut self, at: usize, outcome: Report) {
        let consent = self.consents.remove(at);
        self.tell_consent(consent, outcome).await;
    }

    async fn tell_consent(&mut self, consent: Consent, outcome: Report) {
        let is_agreed = outcome.is_ok();
        if is_agreed {
            self.rests.end(consent.whose(), now_ms());
            if let Some(key) = consent.question.key.clone() {
                self.operator_gives_key(&consent.question.channel, key);
            }
        } else if !consent.asked.is_empty() {
            self.rests.begin(consent.whose(), now_ms());
        }
        let is_told = consent.reply.send(outcome).is_ok();
        // Who has agreed lets the bridge stay until it is linked; else it goes where it was not before.
        let stays = consent.was_in || (is_agreed && is_told);
        let place = self.channel(&consent.question.channel);
        if !stays && !matches!(self.remote.portal(&place).await, Ok(Some(_))) {
            self.leave(&Owner::Bot, &consent.question.channel, Some("Not bridged"));
        }
    }

    /// Whether somebody's own connection is an operator of a channel, by what the server says of them.
    pub(super) fn ask_if_operator(&mut self, owner: &Owner, channel: &str, reply: Reply) {
        let no = |reply: Reply| drop(reply.send(Err("you are no operator there".to_owned())));
        let Some(facts) = self.live_facts(owner) else {
            return no(reply);
        };
        let Some(live) = self.client(owner).live.as_mut() else {
            return no(reply);
        };
        let (told, answer) = oneshot::channel();
        let whois = Line::new("WHOIS", [facts.source.name.as_str()]);
        live.ask(whois, Priority::Urgent, Asked::Answer(told));
        let channel = channel.to_owned();
        tokio::spawn(async move {
            let lines = answer.await.ok().and_then(Result::ok).unwrap_or_default();
            match operates(&lines, &channel, &facts.isupport) {
                true => drop(reply.send(Ok("operator".to_owned()))),
                false => no(reply),
            }
        });
    }
}

/// What somebody is told who does not say which channel they mean.
fn which(asked: &[(usize, &str)]) -> String {
    let answers = asked.iter().map(|(_, channel)| format!("`yes {channel}`"));
    let answers: Vec<String> = answers.collect();
    format!(
        "Say which channel you mean: {}, or the same with `no`.",
        answers.join(", ")
    )
}

/// Whether `WHOIS` names somebody an operator of a channel, or more.
fn operates(whois: &[Line], channel: &str, isupport: &Isupport) -> bool {
    let mapping = isupport.case_mapping();
    let channels = whois.iter().filter(|line| line.numeric() == Some(319));
    let mut channels = channels.flat_map(|line| {
        let list = line.text(2).into_owned();
        list.split(' ').map(str::to_owned).collect::<Vec<_>>()
    });
    channels.any(|entry| {
        let signs = entry
            .find(|sign| isupport.mode_of(sign).is_none())
            .unwrap_or(entry.len());
        let (signs, name) = entry.split_at(signs);
        let modes = signs.chars().filter_map(|sign| isupport.mode_of(sign));
        let level = modes.map(|mode| standing::level_of(Some(mode))).max();
        mapping.is_same(name, channel) && level.is_some_and(|level| level >= OPERATOR)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_are_known_by_what_the_server_says_of_them() {
        let isupport = Isupport::default();
        let whois = |channels: &str| {
            vec![
                Line::parse(b":x 311 me me u h * :r").expect("a line"),
                Line::parse(format!(":x 319 me me :{channels}").as_bytes()).expect("a line"),
            ]
        };
        for (channels, is_operator) in [
            ("#other @#Rust", true),
            ("@+#rust", true),
            ("#rust +#other", false),
            ("+#rust @#rusty", false),
            ("", false),
        ] {
            let found = operates(&whois(channels), "#rust", &isupport);
            assert_eq!(found, is_operator, "{channels}");
        }
    }
}
