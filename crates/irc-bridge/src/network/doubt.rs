//! Lines of which a crash has left it open whether IRC has them: claimed, and not marked as written
//! ([`claims`](crate::link::claims)).
//!
//! Where the server keeps what was said, it is asked; what is there was said. Of the rest the sender is told that it may be
//! missing: nothing is said twice that nobody has asked for again, and nothing is lost without a word.

use std::collections::BTreeSet;

use bridgehead_appservice::bridge::{Cause, Rejected, SendError};
use bridgehead_irc_protocol::{
    Line,
    channels::{server_time, server_time_ms},
    session::Priority,
};

use super::{
    Hub, Owner,
    client::{Asked, Standing},
    offers::Offers,
    speech::{Pending, Speech},
};
use crate::link::claims::Claim;

/// Messages of which the sender was told in this run, and may ask for again; who is told after that is told once more.
const MAX_TOLD: usize = 10_000;
/// So much earlier than the claim a line may seem to have been said: clocks differ.
const SLACK_MS: i64 = 2_000;

impl Hub {
    /// What its sender was told to be in doubt, and asks for again, is said again.
    pub(super) async fn release_if_asked_again(&mut self, speech: &mut Speech) {
        if speech.doubted.is_empty() || !self.told_of_doubts.remove(&speech.key) {
            return;
        }
        // Of a line that is known to be with the server nobody was told.
        let doubted = std::mem::take(&mut speech.doubted).into_iter();
        let (known, doubted): (Vec<_>, Vec<_>) = doubted.partition(|doubted| doubted.is_written);
        speech.doubted = known;
        for doubted in doubted {
            let claim = Claim {
                key: speech.key.clone(),
                part: doubted.part,
            };
            self.claims.release(&claim).await;
        }
    }

    /// Asks the server for what is in doubt, where it keeps it, and else tells of the doubt.
    pub(super) async fn look_into_doubts(&mut self, owner: &Owner) {
        self.ask_keeper(owner).await;
        let Some(client) = self.clients.get_mut(owner) else {
            return;
        };
        let Some(live) = client.live.as_mut().filter(|live| live.is_ready) else {
            return;
        };
        let page = Offers::of(&live.link.facts()).history;
        let mut unknown = Vec::new();
        for pending in &mut client.pendings {
            let is_there = match pending.speech.place.as_channel() {
                Some(channel) => live.standings.get(channel) == Some(&Standing::In),
                None => true,
            };
            if !is_there || !pending.is_to_be_looked_for() {
                continue;
            }
            pending.is_looked_for = true;
            match (page, pending.speech.since_ms()) {
                (Some(page), Some(since_ms)) => {
                    let line = Line::new(
                        "CHATHISTORY",
                        [
                            "AFTER",
                            pending.speech.place.target_name(),
                            &format!("timestamp={}", server_time(since_ms)),
                            &page.to_string(),
                        ],
                    );
                    let asked = Asked::Doubt(pending.speech.key.clone());
                    live.ask(line, Priority::Urgent, asked);
                }
                _ => unknown.push(pending.speech.key.clone()),
            }
        }
        for key in unknown {
            self.end_not_found(owner, &key).await;
        }
    }

    /// The server has told what was said since then.
    pub(super) async fn has_looked(&mut self, owner: &Owner, key: &str, lines: &[Line]) {
        self.hears_other_history(owner);
        let nicks = self.nicks_of(owner).await;
        let mapping = self.directory.read().case_mapping();
        let client = self.client(owner);
        let known: BTreeSet<String> = client.proven_ids.iter().cloned().collect();
        let mut pendings = client.pendings.iter_mut();
        let Some(pending) = pendings.find(|pending| pending.speech.key == key) else {
            return;
        };
        let speech = &mut pending.speech;
        let name = speech.relayed_as.as_ref();
        let nicks: BTreeSet<String> = nicks.iter().chain(name).map(|n| mapping.fold(n)).collect();
        let since_ms = speech.since_ms().unwrap_or_default();
        let said = lines.iter().filter(|line| {
            let at_ms = line.tags.get("time").and_then(server_time_ms);
            let is_other = line.tags.get("msgid").is_some_and(|id| known.contains(id));
            !is_other
                && line.command == speech.command.name()
                && nicks.contains(&mapping.fold(line.from_name()))
                && at_ms.is_some_and(|at_ms| at_ms >= since_ms)
        });
        let found = speech.find(said.map(Line::last).collect());
        let is_certain = speech.doubted.is_empty();
        for part in found {
            let key = key.to_owned();
            self.claims.written(Claim { key, part });
        }
        if !is_certain {
            self.end_not_found(owner, key).await;
        }
    }

    /// The server does not have what is in doubt, or does not say. While the bridge lives it was lost with its connection,
    /// and is said again.
    pub(super) async fn end_not_found(&mut self, owner: &Owner, key: &str) {
        let mut pendings = self.client(owner).pendings.iter_mut();
        let pending = pendings.find(|pending| pending.speech.key == key);
        let Some(pending) = pending.filter(|pending| pending.is_said_again) else {
            self.tell_doubt(owner, key);
            return;
        };
        for claim in pending.take_void_claims() {
            self.claims.release(&claim).await;
        }
    }

    /// The nicks that a client may have had before the bridge ended.
    async fn nicks_of(&mut self, owner: &Owner) -> Vec<String> {
        let now = self.live_facts(owner).map(|facts| facts.source.name);
        let before = match owner {
            Owner::Bot => vec![self.settings.bot.nick.clone()],
            Owner::Person(user) => {
                let name = self.client(owner).name.clone();
                let person = self.people.person(user, (&self.settings, name.as_deref()));
                person
                    .await
                    .map_or_else(|_| Vec::new(), |person| person.nicks)
            }
        };
        now.into_iter().chain(before).collect()
    }

    /// It stays unknown: whoever has said it is told so, and may ask for it again.
    fn tell_doubt(&mut self, owner: &Owner, key: &str) {
        let is_meant = |pending: &Pending| pending.speech.key == key;
        for pending in self.client(owner).take_pendings(is_meant) {
            if self.told_of_doubts.len() >= MAX_TOLD {
                self.told_of_doubts.clear();
            }
            self.told_of_doubts.insert(pending.speech.key.clone());
            tracing::warn!(
                network = self.name,
                ?owner,
                "the bridge was stopped while it gave a line to IRC: whether it arrived is not known"
            );
            let words = pending.speech.doubt();
            pending.end(Err(SendError::Reject(Rejected::new(Cause::Network, words))));
        }
    }
}

impl Speech {
    /// Since when what is in doubt may have been said.
    fn since_ms(&self) -> Option<i64> {
        let first = self.doubted.iter().map(|doubted| doubted.at_ms).min();
        first.map(|at_ms| at_ms - SLACK_MS)
    }

    /// Takes out of the doubt what is among these texts; gives back which parts that are.
    fn find(&mut self, mut texts: Vec<&[u8]>) -> Vec<u32> {
        let is_one = self.is_one;
        let lines = &self.lines;
        let wanted = |part: u32| match is_one {
            true => lines.as_slice(),
            false => {
                let at = usize::try_from(part).unwrap_or(usize::MAX);
                lines.get(at).map_or(&[][..], std::slice::from_ref)
            }
        };
        let mut found = Vec::new();
        self.doubted.retain(|doubted| {
            // One message of several lines is one text there, or its lines are.
            if is_one && let Some(at) = texts.iter().position(|text| is_same_text(text, lines)) {
                texts.remove(at);
                found.push(doubted.part);
                return false;
            }
            let wanted = wanted(doubted.part).iter().filter(|line| !line.is_empty());
            let mut places = Vec::new();
            for line in wanted {
                let mut at = 0..texts.len();
                match at.find(|at| texts[*at] == line.as_slice() && !places.contains(at)) {
                    Some(at) => places.push(at),
                    None => return true,
                }
            }
            if places.is_empty() {
                return true;
            }
            let mut at = 0..;
            texts.retain(|_| at.next().is_none_or(|at| !places.contains(&at)));
            found.push(doubted.part);
            false
        });
        self.claimed.extend(&found);
        found
    }

    /// What its sender is told.
    fn doubt(&self) -> String {
        let parts = match self.is_one {
            true => 1,
            false => self.lines.len(),
        };
        let numbers = self.doubted.iter().map(|doubted| doubted.part + 1);
        let numbers: Vec<String> = numbers.map(|number| number.to_string()).collect();
        let (which, rest) = match (parts, &numbers[..]) {
            (0 | 1, _) => ("it".to_owned(), ""),
            (_, [one]) => (
                format!("line {one} of it"),
                " What follows it was not said.",
            ),
            (_, many) => (
                format!("lines {} of it", many.join(", ")),
                " What follows them was not said.",
            ),
        };
        format!(
            "the bridge was stopped at the very moment when it gave {which} to IRC, so this may be missing \
             there.{rest} Look there first: asked for again, it is said again."
        )
    }
}

/// Whether a text has these lines; of empty ones servers make what they like.
fn is_same_text(text: &[u8], lines: &[Vec<u8>]) -> bool {
    let text = text.split(|byte| *byte == b'\n');
    let lines = lines.iter().map(Vec::as_slice);
    let mut lines = lines.filter(|line| !line.is_empty()).peekable();
    lines.peek().is_some() && text.filter(|line| !line.is_empty()).eq(lines)
}

#[cfg(test)]
mod tests {
    use bridgehead_appservice::id::UserId;
    use bridgehead_irc_protocol::session::SayCommand;

    use super::*;
    use crate::{ids::Place, link::claims::Claimed};

    fn speech(lines: &[&str], doubted: &[u32]) -> Speech {
        Speech {
            key: "$a".to_owned(),
            speaker: UserId::parse("@alice:example.org").expect("an id"),
            name: "alice".to_owned(),
            place: Place::channel("net", "#tea", Default::default()),
            is_literal: false,
            command: SayCommand::Privmsg,
            lines: lines.iter().map(|line| line.as_bytes().to_vec()).collect(),
            tags: Vec::new(),
            is_one: false,
            relayed_as: None,
            claimed: Vec::new(),
            doubted: doubted
                .iter()
                .map(|part| Claimed {
                    part: *part,
                    at_ms: 1,
                    is_written: false,
                    frame: None,
                    label: None,
                })
                .collect(),
        }
    }

    #[test]
    fn what_the_server_has_was_said_and_each_line_of_it_counts_once() {
        let mut twice = speech(&["ho", "ho", "hum"], &[0, 1, 2]);
        assert_eq!(twice.find(vec![b"hum", b"ho"]), [0, 2]);
        assert_eq!(twice.claimed, [0, 2]);
        let left: Vec<u32> = twice.doubted.iter().map(|left| left.part).collect();
        assert_eq!(left, [1]);
    }

    #[test]
    fn one_message_of_several_lines_is_there_as_a_whole_or_in_doubt() {
        let mut one = speech(&["a", "", "b"], &[0]);
        one.is_one = true;
        assert_eq!(one.find(vec![b"a"]), [0; 0]);
        assert_eq!(one.find(vec![b"b", b"a"]), [0]);
        let mut one = speech(&["a", "", "b"], &[0]);
        one.is_one = true;
        assert_eq!(one.find(vec![b"a\nc", b"x\na\nb"]), [0; 0]);
        assert_eq!(one.find(vec![b"a\n\nb"]), [0]);
        let mut tags_alone = speech(&[""], &[0]);
        assert_eq!(tags_alone.find(vec![b""]), [0; 0]);
    }

    #[test]
    fn the_sender_is_told_which_line_it_is() {
        let words = speech(&["a"], &[0]).doubt();
        assert!(words.contains("gave it to IRC"), "{words}");
        let words = speech(&["a", "b", "c"], &[1]).doubt();
        assert!(words.contains("gave line 2 of it to IRC"), "{words}");
        let words = speech(&["a", "b", "c"], &[0, 1]).doubt();
        assert!(words.contains("gave lines 1, 2 of it"), "{words}");
    }
}
