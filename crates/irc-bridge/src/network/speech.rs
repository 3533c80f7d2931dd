//! What is to be said on IRC, from the kit's asking until the server has it.

use std::time::Instant;

use bridgehead_appservice::{
    bridge::{Receipt, SendError},
    id::UserId,
};
use bridgehead_irc_protocol::session::{Proof, SayCommand};
use tokio::sync::oneshot;

use crate::{
    ids::Place,
    link::claims::{Claim, Claimed},
};

/// What becomes of the claims of a connection that was lost.
#[derive(Debug, Default)]
pub(super) struct Lost {
    /// Their lines have not arrived.
    pub(super) void: Vec<Claim>,
    /// Their lines may have arrived, and the server is asked about them.
    pub(super) in_doubt: Vec<Claim>,
}

/// How an event fares.
pub(crate) type Outcome = Result<Receipt, SendError>;

/// Something that is to be said.
#[derive(Clone, Debug)]
pub(crate) struct Speech {
    /// Names it: the same at each attempt.
    pub(crate) key: String,
    /// Who says it.
    pub(crate) speaker: UserId,
    /// What people call them.
    pub(crate) name: String,
    /// Where.
    pub(crate) place: Place,
    /// Whether the nick that it names is meant, whoever has it, and not whom a talk is with that was named by that nick.
    pub(crate) is_literal: bool,
    /// How.
    pub(crate) command: SayCommand,
    /// What, line by line, as it stands on the wire; the same at each attempt. Of what is told by tags alone, one empty
    /// line.
    pub(crate) lines: Vec<Vec<u8>>,
    /// Tags for programs, such as what it answers (`+draft/reply`).
    pub(crate) tags: Vec<(String, String)>,
    /// Whether the lines are one message (draft/multiline).
    pub(crate) is_one: bool,
    /// Under which name the bridge says it (draft/relaymsg), where it is not under its own.
    pub(crate) relayed_as: Option<String>,
    /// Lines that a server was given before the bridge was ended.
    pub(crate) claimed: Vec<u32>,
    /// Lines that a server may have been given when the bridge was killed.
    pub(crate) doubted: Vec<Claimed>,
}

/// A speech that waits for its outcome.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) speech: Speech,
    pub(super) reply: oneshot::Sender<Outcome>,
    /// Until when its connection may take to be made.
    pub(super) deadline: Instant,
    /// Its connection was lost, and somebody else may have heard it arrive.
    pub(super) is_in_doubt: bool,
    /// The server was asked what became of what is in doubt.
    pub(super) is_looked_for: bool,
    /// What is in doubt was lost with a connection, and not with the bridge: what the server does not have is said again.
    pub(super) is_said_again: bool,
    /// Its words are not right any more, and nothing of it was said: whoever wants it said gives it anew.
    pub(super) is_withdrawn: bool,
    /// What of it was given to the connection; empty before.
    pub(super) parts: Vec<Part>,
}

/// One line of a speech.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// What the session calls it; `None` for what an earlier run of the bridge has sent.
    pub(super) say: Option<u64>,
    pub(super) text: Vec<u8>,
    /// When the connection was given it, ms since the Unix epoch.
    pub(super) given_ms: i64,
    /// Whether the server was given it.
    pub(super) is_written: bool,
    /// Whether the observer has heard it.
    pub(super) is_overheard: bool,
    /// How it is known that the server took it, with its ids.
    pub(super) proof: Option<Vec<String>>,
}

impl Pending {
    pub(super) fn is_handed(&self) -> bool {
        !self.parts.is_empty()
    }

    /// Whether it has to be found out first what became of it before the bridge was killed.
    pub(super) fn is_open(&self) -> bool {
        !self.speech.doubted.is_empty()
    }

    /// Whether nobody was asked yet what became of it.
    pub(super) fn is_to_be_looked_for(&self) -> bool {
        // What a keeper may know is not asked of the server.
        let is_kept = |doubted: &Claimed| doubted.frame.is_some();
        let is_open = self.is_open() && !self.speech.doubted.iter().any(is_kept);
        is_open && !self.is_looked_for && !self.reply.is_closed()
    }

    /// What the session calls its lines.
    pub(super) fn says(&self) -> Vec<u64> {
        self.parts.iter().filter_map(|part| part.say).collect()
    }

    /// Whether all of it has arrived.
    pub(super) fn is_said(&self) -> bool {
        self.is_handed() && self.parts.iter().all(|part| part.proof.is_some())
    }

    /// Notes that a line has arrived; `false` if it is none of this one's.
    pub(super) fn prove(&mut self, say: u64, proof: &Proof) -> bool {
        let Some(part) = self.part(say) else {
            return false;
        };
        part.proof = Some(match proof {
            Proof::Echo { msgids, .. } => msgids.clone(),
            Proof::Barrier => Vec::new(),
        });
        true
    }

    /// The claim of a line.
    pub(super) fn claim_of(&self, say: u64) -> Option<Claim> {
        let mut parts = (0..).zip(&self.parts);
        let (part, _) = parts.find(|(_, part)| part.say == Some(say))?;
        Some(Claim {
            key: self.speech.key.clone(),
            part,
        })
    }

    pub(super) fn part(&mut self, say: u64) -> Option<&mut Part> {
        self.parts.iter_mut().find(|part| part.say == Some(say))
    }

    /// Its connection is gone: what has not arrived is said again by the next, which has until `deadline` to come.
    ///
    /// Where the network keeps what was said (`is_kept`), it is asked first about what was written.
    pub(super) fn unhand(&mut self, (deadline, is_kept): (Instant, bool), lost: &mut Lost) {
        self.deadline = self.deadline.max(deadline);
        self.speech.claimed.clear();
        for (part, given) in (0..).zip(self.parts.drain(..)) {
            let claim = Claim {
                key: self.speech.key.clone(),
                part,
            };
            if given.proof.is_some() {
                self.speech.claimed.push(part);
            } else if given.is_written && is_kept {
                self.is_said_again = true;
                self.speech.doubted.push(Claimed {
                    part,
                    at_ms: given.given_ms,
                    is_written: true,
                    frame: None,
                    label: None,
                });
                lost.in_doubt.push(claim);
            } else {
                lost.void.push(claim);
            }
        }
    }

    /// What was in doubt has not arrived: it is said again. Gives back the claims that are void.
    pub(super) fn take_void_claims(&mut self) -> Vec<Claim> {
        self.is_said_again = false;
        let key = &self.speech.key;
        let doubted = std::mem::take(&mut self.speech.doubted).into_iter();
        let void = doubted.map(|doubted| Claim {
            key: key.clone(),
            part: doubted.part,
        });
        void.collect()
    }

    /// Tells how it fared. Nobody may want to know any more.
    pub(super) fn end(self, outcome: Outcome) {
        self.reply.send(outcome).ok();
    }

    /// Tells that it has arrived.
    pub(super) fn end_said(self) {
        let ids = self.parts.iter().filter_map(|part| part.proof.clone());
        let mut receipt = Receipt::new();
        receipt.ids = ids.flatten().collect();
        self.end(Ok(receipt));
    }
}
