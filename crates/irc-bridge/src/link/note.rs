//! What the keeper keeps for the next run of the bridge: how a session stands, and where it is.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bridgehead_irc_protocol::{
    Isupport, Source,
    session::{Event, Heard, Session, Snapshot},
};
use serde::{Deserialize, Serialize};

/// Notes that wait until the lines before them are dealt with.
const MAX_NOTES: usize = 256;

/// How a session stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    source: String,
    wanted: String,
    renamings: u32,
    is_trying: bool,
    account: Option<String>,
    isupport: BTreeMap<String, String>,
    offered: BTreeMap<String, Option<String>>,
    agreed: BTreeSet<String>,
    /// The channels that it is in.
    pub(super) channels: BTreeSet<String>,
}

impl Note {
    fn of(snapshot: &Snapshot, channels: &BTreeSet<String>) -> Self {
        let tokens = snapshot.isupport.tokens();
        Self {
            source: snapshot.source.to_string(),
            wanted: snapshot.wanted.clone(),
            renamings: snapshot.renamings,
            is_trying: snapshot.is_trying,
            account: snapshot.account.clone(),
            isupport: tokens
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
            offered: snapshot.offered.clone(),
            agreed: snapshot.agreed.clone(),
            channels: channels.clone(),
        }
    }

    /// Reads one; what makes no sense is none.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            source: Source::parse(&self.source),
            wanted: self.wanted.clone(),
            renamings: self.renamings,
            is_trying: self.is_trying,
            account: self.account.clone(),
            isupport: Isupport::of_tokens(self.isupport.clone()),
            offered: self.offered.clone(),
            agreed: self.agreed.clone(),
        }
    }
}

/// What there is to note.
#[derive(Debug, Default)]
pub(super) struct Notes {
    channels: BTreeSet<String>,
    /// Something that is noted may have changed since.
    is_due: bool,
    last: Option<Note>,
    waiting: VecDeque<(u64, Vec<u8>)>,
    /// The number of the last line that was taken.
    pub(super) taken: u64,
    /// Up to which number the bridge's other parts were told.
    told: u64,
}

impl Notes {
    /// Goes on after this one.
    pub(super) fn after(note: Note, heard: u64) -> Self {
        Self {
            channels: note.channels.clone(),
            last: Some(note),
            taken: heard,
            told: heard,
            ..Self::default()
        }
    }

    /// Something has happened.
    pub(super) fn take(&mut self, event: &Event) {
        match event {
            Event::Line(heard) => self.hear(heard),
            Event::Ready | Event::Nick { .. } | Event::Account(_) | Event::Caps => {
                self.is_due = true;
            }
            _ => {}
        }
    }

    fn hear(&mut self, heard: &Heard) {
        let line = &heard.line;
        let channels = line.text(0);
        let channels = channels.split(',').map(str::to_owned);
        let is_history = heard
            .batch
            .as_ref()
            .is_some_and(|batch| batch.kind == "chathistory");
        let is_me = line.command == "KICK" && line.text(1).eq_ignore_ascii_case(&heard.me);
        match line.command.as_str() {
            _ if is_history => return,
            "JOIN" if heard.is_own => self.channels.extend(channels),
            "PART" if heard.is_own => self.leave(channels),
            "KICK" if is_me => self.leave(channels),
            "RENAME" if self.channels.remove(&*line.text(0)) => {
                self.channels.insert(line.text(1).into_owned());
            }
            "005" | "396" | "CHGHOST" => {}
            _ => return,
        }
        self.is_due = true;
    }

    fn leave(&mut self, channels: impl Iterator<Item = String>) {
        for channel in channels {
            self.channels
                .retain(|own| !own.eq_ignore_ascii_case(&channel));
        }
    }

    /// Notes how a session stands, where that is another way than before. Gives back up to which line all of it was told
    /// then, where that is news.
    pub(super) fn look(&mut self, session: &Session) -> Option<u64> {
        let is_news = self.is_due || self.taken > self.told;
        if !is_news || !session.is_at_rest() {
            return None;
        }
        if std::mem::take(&mut self.is_due) {
            let note = Note::of(&session.snapshot()?, &self.channels);
            if self.last.as_ref() != Some(&note)
                && let Ok(bytes) = serde_json::to_vec(&note)
            {
                if self.waiting.len() >= MAX_NOTES {
                    // The next one is later, and true there.
                    self.waiting.pop_back();
                }
                self.waiting.push_back((self.taken, bytes));
                self.last = Some(note);
            }
        }
        self.told = self.taken;
        Some(self.taken)
    }

    /// What is noted for who goes on behind this line; nothing, where that is as before.
    pub(super) fn note_for(&mut self, number: u64) -> Vec<u8> {
        let mut found = Vec::new();
        while let Some((at, _)) = self.waiting.front()
            && *at <= number
        {
            found = self.waiting.pop_front().map_or(found, |(_, note)| note);
        }
        found
    }
}
