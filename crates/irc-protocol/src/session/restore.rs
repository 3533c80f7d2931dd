//! A session that goes on where another one was: after a restart of the program, over a connection that somebody else has
//! kept meanwhile.
//!
//! What was in flight does not come along: whoever said it has to know from elsewhere what was written. Labels and
//! barriers of the session before are known by nobody here, and what answers them is told as any line.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use super::{Event, Session, Settings, Stage, identify::Identify};
use crate::{Isupport, Source};

/// What a session has to know to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The client as others see it.
    pub source: Source,
    /// The nick that it wants; another than it has where that is taken.
    pub wanted: String,
    /// How often others have given it another one in a row.
    pub renamings: u32,
    /// Whether it has tried to get the wanted one, and has no answer yet.
    pub is_trying: bool,
    /// The account that it is logged in to.
    pub account: Option<String>,
    /// What the server says of itself.
    pub isupport: Isupport,
    /// The capabilities that the server offers, with their values.
    pub offered: BTreeMap<String, Option<String>>,
    /// Those that were agreed.
    pub agreed: BTreeSet<String>,
}

impl Session {
    /// Whether another session could go on from here: not before the session is ready, and not while a batch is open.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.is_ready() && !self.batches.is_any_open()
    }

    /// What another session has to know to go on from here, where one could.
    #[must_use]
    pub fn snapshot(&self) -> Option<Snapshot> {
        self.is_at_rest().then(|| Snapshot {
            source: self.me.clone(),
            wanted: self.nicks.wanted().to_owned(),
            renamings: self.nicks.renamings(),
            is_trying: self.nicks.is_trying_at_all(),
            account: self.account.clone(),
            isupport: self.isupport.clone(),
            offered: self.caps.offered().clone(),
            agreed: self.caps.agreed().clone(),
        })
    }

    /// Goes on where another session was when it was asked for this snapshot. `written` is how many times anything was
    /// handed out by that one and by those before it: what is named by number has another name than all of theirs.
    ///
    /// The server may still reckon with what was sent just before, so it is sent as slowly at first as after a burst.
    #[must_use]
    pub fn restore(settings: Settings, snapshot: Snapshot, written: u64, now: Instant) -> Self {
        let mut session = Self::new(settings, now);
        session.out.clear();
        session.registration.is_negotiated = true;
        session.registration.is_introduced = true;
        session.registration.asked_at = None;
        session.registration.identify = Identify::Over;
        session.stage = Stage::Ready;
        session.caps.restore(snapshot.offered, snapshot.agreed);
        session.me = snapshot.source;
        session.account = snapshot.account;
        session.isupport = snapshot.isupport;
        let is_trying = snapshot.is_trying;
        session
            .nicks
            .go_on(&snapshot.wanted, snapshot.renamings, is_trying);
        session.login.is_over();
        session.flights.go_on(written);
        session.life.go_on(written);
        let burst = usize::try_from(session.settings.pace.burst_lines).unwrap_or(usize::MAX);
        session.out.charge(burst, 0, now);
        if session.me.name != snapshot.wanted {
            session.nicks.look_later(now);
        }
        session.emit(Event::Ready);
        session
    }
}
