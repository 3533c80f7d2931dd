//! What an earlier run of the bridge has said by a connection that the keeper holds, and what the server has answered to
//! that since.
//!
//! The keeper has each line that was claimed and written, and each that the server has said. A refusal among these is of
//! something that this run does not know yet: Matrix hands it over again later. So refusals are put by until then. When
//! the server has looked at all that was written before, whatever it has not refused was said; until then nothing else
//! is said, so that no answer is taken for another one's.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bridgehead_irc_protocol::{
    CaseMapping,
    session::{Heard, SayCommand, is_refusal, is_refused},
};

use super::{
    Hub, Owner,
    answers::Refusal,
    client::Asked,
    speaking::now_ms,
    speech::{Lost, Pending, Speech},
};
use crate::{
    clock::now,
    link::{
        claims::{Claim, Claimed},
        drive::{Facts, LineId, Order},
    },
};

/// `ERR_NOPRIVILEGES` and `ERR_CHANOPRIVSNEEDED`: of modes, topics and the like, which nobody asks for again.
const NO_OPERATOR: [u16; 2] = [481, 482];
/// Refusals that are put by; of more, the oldest are of what was asked for otherwise.
const MAX_REFUSALS: usize = 500;
/// How long a refusal stays with the keeper too, where nobody has asked for its line again.
const KEPT_FOR: Duration = Duration::from_secs(5);

/// A connection as an earlier run has left it.
#[derive(Debug)]
pub(super) struct Before {
    epoch: i64,
    /// The last frame that the keeper had then.
    written: u64,
    /// When it was taken up, ms since the Unix epoch. What was claimed later this run has said.
    since_ms: i64,
    answer: Answer,
    refusals: VecDeque<Put>,
}

/// Whether the server has looked at what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Awaited,
    Given,
    /// The connection has ended before.
    Never,
}

/// A refusal that was put by.
#[derive(Debug)]
struct Put {
    label: Option<String>,
    refusal: Refusal,
    by: LineId,
    at: Instant,
}

/// What has become of a line.
enum Fate {
    /// It is not known yet.
    Open,
    Said,
    /// It was never written.
    Void,
    Refused(Box<Put>),
    /// The connection has ended, and nobody knows.
    Doubt,
}

/// What was refused: of which message, its claim and what the server says.
struct Refused {
    claim: Claim,
    put: Box<Put>,
}

impl Before {
    fn new(epoch: i64, written: u64) -> Self {
        Self {
            epoch,
            written,
            since_ms: now_ms(),
            answer: Answer::Awaited,
            refusals: VecDeque::new(),
        }
    }

    /// Whether the server is still to say something about what was said before.
    pub(super) fn is_awaited(&self) -> bool {
        self.answer == Answer::Awaited
    }

    /// The connection is over.
    pub(super) fn is_over(&mut self) {
        if self.is_awaited() {
            self.answer = Answer::Never;
        }
    }

    /// The lines that refuse something that may be asked for again soon.
    fn owed(&self, now: Instant) -> impl Iterator<Item = LineId> {
        let is_soon = move |put: &&Put| now.saturating_duration_since(put.at) < KEPT_FOR;
        self.refusals.iter().filter(is_soon).map(|put| put.by)
    }

    /// What has become of a line of something that is asked for again.
    fn fate(
        &mut self,
        frame: u64,
        (speech, claimed): (&Speech, &Claimed),
        case: CaseMapping,
    ) -> Fate {
        if frame > self.written {
            // A mark says that the keeper was given it, and not that it took it.
            return match claimed.is_written && claimed.at_ms >= self.since_ms {
                true => Fate::Said,
                false => Fate::Void,
            };
        }
        let mut found = self.refusals.iter();
        let found = found.position(|put| put.is_of((speech, claimed), case));
        if let Some(put) = found.and_then(|at| self.refusals.remove(at)) {
            return Fate::Refused(Box::new(put));
        }
        match self.answer {
            Answer::Awaited => Fate::Open,
            Answer::Given => Fate::Said,
            Answer::Never => Fate::Doubt,
        }
    }
}

impl Put {
    /// Whether it refuses this line: its label says so, or else what it names.
    fn is_of(&self, (speech, claimed): (&Speech, &Claimed), case: CaseMapping) -> bool {
        if self.label.is_some() {
            return self.label == claimed.label;
        }
        let part = usize::try_from(claimed.part).unwrap_or(usize::MAX);
        let text = match speech.is_one {
            true => speech.lines.first(),
            false => speech.lines.get(part),
        };
        let command = match &speech.relayed_as {
            Some(_) => "RELAYMSG",
            None => speech.command.name(),
        };
        let is_it = |command: &str| {
            let said = (command, speech.place.target_name());
            is_refused(
                &self.refusal.line,
                said,
                text.map_or(&[][..], Vec::as_slice),
                case,
            )
        };
        is_it(command) || (speech.is_one && speech.command != SayCommand::Tagmsg && is_it("BATCH"))
    }
}

impl Hub {
    /// A connection goes on: it is found out what the server has made of what was said by it.
    pub(super) fn ask_after_before(&mut self, owner: &Owner, facts: &Facts) {
        let Some((epoch, written)) = facts.kept else {
            return;
        };
        let client = self.client(owner);
        client.before = Some(Before::new(epoch, written));
        if let Some(live) = &mut client.live {
            let id = live.next_id();
            // A link that takes no orders is about to end.
            if live.link.order(Order::Sound(id)) {
                live.asks.insert(id, Asked::Before);
            }
        }
    }

    /// The server has looked at all that was written before.
    pub(super) fn has_answered_before(&mut self, owner: &Owner) {
        if let Some(before) = &mut self.client(owner).before {
            before.answer = Answer::Given;
        }
    }

    /// Puts a refusal by that is of something that an earlier run has said.
    pub(super) async fn put_by(&mut self, owner: &Owner, heard: &Heard) {
        let (Some(by), None) = (self.line, heard.answers) else {
            return;
        };
        let before = self
            .clients
            .get(owner)
            .and_then(|client| client.before.as_ref());
        let is_awaited =
            before.is_some_and(|before| before.is_awaited() && before.epoch == by.epoch);
        let numeric = heard.line.numeric();
        let is_of_a_change = numeric.is_some_and(|no| NO_OPERATOR.contains(&no));
        if !is_awaited || !is_refusal(&heard.line) || is_of_a_change {
            return;
        }
        match self.claims.is_dealt_with(by).await {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => {
                tracing::error!(network = self.name, %error, "a refusal may be told again");
            }
        }
        let line = heard.line.clone();
        let put = Put {
            label: line.tags.get("label").map(str::to_owned),
            refusal: Refusal::of(line),
            by,
            at: now(),
        };
        if let Some(before) = &mut self.client(owner).before {
            if before.refusals.len() >= MAX_REFUSALS {
                before.refusals.pop_front();
            }
            before.refusals.push_back(put);
        }
    }

    /// The lines by which somebody was refused something, and is not told yet.
    pub(super) fn refusal_lines(
        &self,
        owner: &Owner,
        now: Instant,
    ) -> impl Iterator<Item = LineId> {
        let client = self.clients.get(owner);
        let before = client.and_then(|client| client.before.as_ref());
        before.into_iter().flat_map(move |before| before.owed(now))
    }

    /// Settles what was said by connections that a keeper has, or had.
    pub(super) async fn ask_keeper(&mut self, owner: &Owner) {
        let case = self.directory.read().case_mapping();
        let Some(client) = self.clients.get_mut(owner) else {
            return;
        };
        let live = client.live.as_ref().filter(|live| live.is_ready);
        let is_ready = live.is_some();
        let (mut said, mut refused, mut lost) = (Vec::new(), Vec::new(), Lost::default());
        let pendings = client.pendings.iter_mut();
        for pending in pendings.filter(|pending| !pending.is_handed()) {
            for mut claimed in std::mem::take(&mut pending.speech.doubted) {
                let claim = Claim {
                    key: pending.speech.key.clone(),
                    part: claimed.part,
                };
                let speech = &pending.speech;
                let fate = match (claimed.frame, &mut client.before) {
                    (None, _) => Fate::Open,
                    (Some((epoch, frame)), Some(before)) if before.epoch == epoch => {
                        before.fate(frame, (speech, &claimed), case)
                    }
                    // It may still be with the keeper.
                    _ if !is_ready => Fate::Open,
                    _ if claimed.is_written => Fate::Said,
                    _ => Fate::Doubt,
                };
                let speech = &mut pending.speech;
                match fate {
                    Fate::Open => speech.doubted.push(claimed),
                    Fate::Said => {
                        speech.claimed.push(claimed.part);
                        said.push(claim);
                    }
                    Fate::Void => lost.void.push(claim),
                    Fate::Refused(put) => refused.push(Refused { claim, put }),
                    Fate::Doubt => {
                        claimed.frame = None;
                        speech.doubted.push(claimed);
                        lost.in_doubt.push(claim);
                    }
                }
            }
        }
        for claim in said {
            self.claims.written(claim);
        }
        self.lose(lost).await;
        for refused in refused {
            self.was_refused(owner, &refused).await;
        }
    }

    /// What the server has refused while the bridge was away: its sender is told now.
    async fn was_refused(&mut self, owner: &Owner, refused: &Refused) {
        let Refused { claim, put } = refused;
        let numeric = put.refusal.line.numeric();
        let numeric = numeric.map(|numeric| format!("{numeric:03}"));
        self.figures.refused(numeric.as_deref().unwrap_or("none"));
        self.claims.refused(claim, put.by).await;
        let words = put.refusal.words();
        let is_meant = |pending: &Pending| pending.speech.key == claim.key;
        for pending in self.client(owner).take_pendings(is_meant) {
            self.end_refused(pending, (&words, put.refusal.lacks_rights));
        }
    }
}

#[cfg(test)]
mod tests {
    use bridgehead_appservice::id::UserId;
    use bridgehead_irc_protocol::Line;

    use super::*;
    use crate::ids::Place;

    fn speech() -> Speech {
        Speech {
            key: "$a".to_owned(),
            speaker: UserId::parse("@alice:example.org").expect("an id"),
            name: "alice".to_owned(),
            place: Place::channel("net", "#tea", CaseMapping::Ascii),
            command: SayCommand::Privmsg,
            lines: vec![b"one".to_vec()],
            tags: Vec::new(),
            is_one: false,
            relayed_as: None,
            is_literal: false,
            claimed: Vec::new(),
            doubted: Vec::new(),
        }
    }

    fn claimed(frame: u64, label: Option<&str>) -> Claimed {
        Claimed {
            part: 0,
            at_ms: 1,
            is_written: true,
            frame: Some((7, frame)),
            label: label.map(str::to_owned),
        }
    }

    /// What became of a line, in a word.
    fn fate(before: &mut Before, claimed: &Claimed) -> &'static str {
        let frame = claimed.frame.map_or(0, |(_, frame)| frame);
        match before.fate(frame, (&speech(), claimed), CaseMapping::Ascii) {
            Fate::Open => "open",
            Fate::Said => "said",
            Fate::Void => "void",
            Fate::Refused(_) => "refused",
            Fate::Doubt => "doubt",
        }
    }

    fn put(before: &mut Before, text: &[u8]) {
        let line = Line::parse(text).expect("a line");
        before.refusals.push_back(Put {
            label: line.tags.get("label").map(str::to_owned),
            refusal: Refusal::of(line),
            by: LineId {
                epoch: 7,
                number: 1,
            },
            at: now(),
        });
    }

    #[test]
    fn what_was_not_refused_was_said_once_the_server_has_looked_at_it() {
        let mut before = Before::new(7, 5);
        let (early, late) = (claimed(5, None), claimed(6, None));
        assert_eq!(fate(&mut before, &early), "open");
        // The keeper never had it, whatever was noted of that.
        assert_eq!(fate(&mut before, &late), "void");
        let own = Claimed {
            at_ms: now_ms() + 1,
            ..late.clone()
        };
        assert_eq!(fate(&mut before, &own), "said");
        before.answer = Answer::Given;
        before.is_over();
        assert_eq!(fate(&mut before, &early), "said");
        let mut cut_off = Before::new(7, 5);
        cut_off.is_over();
        assert_eq!(fate(&mut cut_off, &early), "doubt");
    }

    #[test]
    fn a_refusal_is_of_one_line_by_its_label_or_by_what_it_names() {
        let mut before = Before::new(7, 5);
        put(&mut before, b"@label=b3 :srv 404 ann #tea :Cannot send");
        assert_eq!(fate(&mut before, &claimed(1, Some("b1"))), "open");
        assert_eq!(fate(&mut before, &claimed(1, None)), "open");
        assert_eq!(fate(&mut before, &claimed(3, Some("b3"))), "refused");
        assert_eq!(fate(&mut before, &claimed(3, Some("b3"))), "open");
        put(&mut before, b":srv 404 ann #coffee :Cannot send");
        assert_eq!(fate(&mut before, &claimed(4, None)), "open");
        put(&mut before, b":srv 404 ann #Tea :Cannot send");
        assert_eq!(fate(&mut before, &claimed(4, None)), "refused");
        assert_eq!(fate(&mut before, &claimed(5, None)), "open");
    }
}
