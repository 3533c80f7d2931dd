//! Operators: the people and scripts who look after the server over the operator API.
//!
//! - `credential`: from a token or a browser's session to an [`Operator`];
//! - `sessions`: sessions of browsers, in memory; `gate`: how fast one may try to log in;
//! - `token_file`: the token that the first start writes for whoever has the machine;
//! - `people`: making and removing operators;
//! - `view`: services as they see them; `steer`: what they order about a service's delivery;
//! - `acts`: every change is written down with who, when and why, in one unit with the change.

mod acts;
mod credential;
mod gate;
mod people;
mod sessions;
mod steer;
mod token_file;
mod view;

use std::{collections::BTreeMap, sync::Arc};

use bridgehead_admin_api::Role;
use bridgehead_store::OperatorRow;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};

pub(crate) use self::{
    acts::{Act, checked_reason},
    credential::Credential,
    people::{add, list, remove},
    sessions::{LIFETIME_MS as SESSION_LIFETIME_MS, csrf_token},
    steer::Steering,
    token_file::{TokenFileError, put_in_force, read_or_make},
    view::{find, view},
};
use self::{gate::Gate, sessions::Sessions};
use crate::app::App;

/// Event streams that may be open together.
const MAX_STREAMS: usize = 64;
/// Services that may be examined together.
const MAX_EXAMINATIONS: usize = 4;

/// Who acts, and whether they may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Operator {
    /// The name in the audit log.
    pub(crate) name: String,
    /// What they may do.
    pub(crate) role: Role,
}

impl From<OperatorRow> for Operator {
    fn from(row: OperatorRow) -> Self {
        let role = role_of(&row);
        Self {
            name: row.name,
            role,
        }
    }
}

fn role_of(row: &OperatorRow) -> Role {
    if row.may_act { Role::Act } else { Role::Read }
}

/// What the server keeps in memory about operators.
pub(crate) struct Operators {
    /// Browsers that are logged in.
    sessions: Sessions,
    /// How fast one may try tokens at the login.
    gate: Gate,
    /// When tokens were last used, until it is written down.
    seen: Mutex<BTreeMap<String, i64>>,
    /// Counts removals and logouts: open event streams look whether they are meant.
    access: watch::Sender<Access>,
    /// Places for event streams.
    pub(crate) streams: Arc<Semaphore>,
    /// Places for examinations of services.
    pub(crate) examinations: Semaphore,
}

/// What open event streams watch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Access {
    /// Grows when somebody's access ended.
    pub(crate) revision: u64,
    /// The server ends.
    pub(crate) closed: bool,
}

impl Operators {
    pub(crate) fn new() -> Self {
        Self {
            sessions: Sessions::new(),
            gate: Gate::new(),
            seen: Mutex::default(),
            access: watch::Sender::default(),
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
            examinations: Semaphore::new(MAX_EXAMINATIONS),
        }
    }

    /// The server ends: event streams end too.
    pub(crate) fn close(&self) {
        self.access.send_modify(|access| access.closed = true);
    }

    /// To see when access may have ended.
    pub(crate) fn watch_access(&self) -> watch::Receiver<Access> {
        self.access.subscribe()
    }

    fn access_ended(&self) {
        self.access.send_modify(|access| access.revision += 1);
    }

    fn note_use(&self, name: &str, now_ms: i64) {
        let mut seen = self.seen.lock();
        match seen.get_mut(name) {
            Some(at_ms) => *at_ms = now_ms,
            // Names are those of operators, so there are few.
            None => drop(seen.insert(name.to_owned(), now_ms)),
        }
    }

    fn last_use(&self, name: &str) -> Option<i64> {
        self.seen.lock().get(name).copied()
    }
}

/// Writes down when tokens were last used. A failure loses nothing that matters.
pub(crate) async fn write_last_use(app: &App) {
    let seen = std::mem::take(&mut *app.operators.seen.lock());
    if seen.is_empty() {
        return;
    }
    let written: bridgehead_store::Result<()> = app
        .store
        .write(move |tx| {
            seen.iter()
                .try_for_each(|(name, at_ms)| tx.touch_operator(name, *at_ms))
        })
        .await;
    if let Err(error) = written {
        tracing::warn!(%error, "when operators' tokens were last used could not be written down");
    }
}
