//! History: what was said on the other network before there was a room for it.
//!
//! A [`Backfill`] asks its source for one page after another, oldest first, and brings each into the room: in batches, where
//! the homeserver takes them (`com.beeper.backfill`), else message by message with the time at which it was said
//! (application-service API, *Timestamp massaging*). Where it is, is stored after each page, and each message has its name
//! from the remote network's own id, so it goes on after a crash and brings nothing twice. What people write meanwhile goes
//! first. History notifies nobody: it is marked, mentions nobody, and the read receipts of those who have a puppet move on.
//!
//! ```no_run
//! # use bridgehead_appservice::{prelude::*, bridge::backfill::*};
//! # struct Network;
//! # impl Network {
//! #     async fn history(&self, _: Option<&str>) -> Result<HistoryPage, Error> { Ok(HistoryPage::default()) }
//! # }
//! # async fn f(backfills: Backfills, room: RoomId, network: Network) -> Result<(), BackfillError> {
//! let history = backfills.of(&room, "libera/#rust");
//! let network = &network;
//! history.run(|cursor| async move { network.history(cursor.as_deref()).await }).await?;
//! # Ok(())
//! # }
//! ```

mod batch;
mod links;
mod run;

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::watch;

use self::links::{Book, PortalMessages};
use crate::{
    Content, Error, HandlerError,
    bridge::{Network, Portal},
    core::Core,
    handler::{Context, FromContext, Rejection},
    id::{EventId, RoomId, UserId},
    store::{BackfillRow, StoreError},
};

/// Messages of a page at most.
pub const MAX_PAGE: usize = 1000;

/// Longest name of a history, remote id or cursor, in bytes.
const MAX_TEXT_BYTES: usize = 1024;

/// A message of the past.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HistoryMessage {
    /// The other network's id of it, unique in this history.
    pub remote_id: String,
    /// Who said it: one of the service's users, or a person whom it acts for.
    pub sender: UserId,
    /// When, ms since the Unix epoch.
    pub sent_ms: i64,
    /// What.
    pub content: Content,
    /// The other network's id of the message that it answers.
    pub reply_to: Option<String>,
}

impl HistoryMessage {
    /// What `sender`, one of the service's users or a person whom it acts for, has said at that time, ms since the Unix
    /// epoch.
    pub fn new(
        remote_id: &str,
        sender: &UserId,
        sent_ms: i64,
        content: impl Into<Content>,
    ) -> Self {
        Self {
            remote_id: remote_id.to_owned(),
            sender: sender.clone(),
            sent_ms,
            content: content.into(),
            reply_to: None,
        }
    }

    /// An answer to the message with this id; a message of its own, where that one is not known.
    #[must_use]
    pub fn in_reply_to(mut self, remote_id: &str) -> Self {
        self.reply_to = Some(remote_id.to_owned());
        self
    }
}

/// A part of a history, oldest first.
#[derive(Clone, Debug, Default)]
pub struct HistoryPage {
    /// At most [`MAX_PAGE`].
    pub messages: Vec<HistoryMessage>,
    /// What the source is to be asked with for the next one; `None` at the end.
    pub next: Option<String>,
}

/// How a history stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackfillState {
    /// It is being brought, or was when the service ended: run it again to go on.
    Running,
    /// All of it is there.
    Done,
    /// It was cancelled.
    Cancelled,
}

impl BackfillState {
    fn of(number: i64) -> Self {
        match number {
            0 => Self::Running,
            1 => Self::Done,
            _ => Self::Cancelled,
        }
    }

    fn number(self) -> i64 {
        match self {
            Self::Running => 0,
            Self::Done => 1,
            Self::Cancelled => 2,
        }
    }
}

/// How far a history has been brought.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackfillStatus {
    /// How it stands.
    pub state: BackfillState,
    /// Messages that are in the room.
    pub sent: u64,
    /// Messages that the homeserver has refused for good; the log says why.
    pub failed: u64,
    /// What the source is asked with next.
    pub cursor: Option<String>,
    /// The newest event that was made.
    pub last_event: Option<EventId>,
    /// When it was begun, ms since the Unix epoch.
    pub started_ms: i64,
}

/// Why a history is not brought any further. Where it is, is stored: run it again to go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackfillError {
    /// The source has failed.
    #[error("the source of the history failed: {0}")]
    Source(HandlerError),
    /// The source's page is none.
    #[error("the source's page makes no sense: {0}")]
    Page(String),
    /// It was cancelled, now or before. [`Backfill::forget`] lets it begin anew.
    #[error("this history was cancelled")]
    Cancelled,
    /// It is being brought already.
    #[error("this history is being brought already")]
    Running,
    /// The homeserver could not be asked, or said no to more than a message.
    #[error(transparent)]
    Homeserver(#[from] Error),
}

impl From<StoreError> for BackfillError {
    fn from(error: StoreError) -> Self {
        Self::Homeserver(error.into())
    }
}

/// Histories that are being brought, and how each is told to stop.
#[derive(Default)]
pub(crate) struct BackfillShared {
    running: Mutex<HashMap<(RoomId, String), watch::Sender<bool>>>,
}

/// Histories of rooms. Handlers take it as an argument.
#[derive(Clone)]
pub struct Backfills {
    core: Arc<Core>,
}

impl FromContext for Backfills {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        Ok(Self::new(context.core.clone()))
    }
}

impl Backfills {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// The history of this name for a room. The same room and name is the same history, also after a restart.
    pub fn of(&self, room: impl AsRef<RoomId>, name: &str) -> Backfill {
        Backfill {
            core: self.core.clone(),
            room: room.as_ref().clone(),
            name: name.to_owned(),
            readers: Vec::new(),
            is_notice: false,
            book: None,
        }
    }

    /// The history of this name for a portal. Its messages are linked: answers, edits and reactions find them, and what the
    /// portal has already is not brought again.
    pub fn of_portal<N: Network>(&self, portal: &Portal<N>, name: &str) -> Backfill {
        let book = PortalMessages::of(portal);
        Backfill {
            book: Some(Arc::new(book)),
            ..self.of(&portal.matrix, name)
        }
    }
}

/// A history to be brought into a room.
#[derive(Clone)]
#[must_use = "nothing is brought before `run`"]
pub struct Backfill {
    core: Arc<Core>,
    room: RoomId,
    name: String,
    readers: Vec<UserId>,
    is_notice: bool,
    book: Option<Arc<dyn Book>>,
}

impl Backfill {
    /// People who have read all of it on the other network: their read receipts move behind it, where the service acts
    /// for them.
    pub fn read_by<'a>(mut self, users: impl IntoIterator<Item = &'a UserId>) -> Self {
        self.readers.extend(users.into_iter().cloned());
        self
    }

    /// Texts are brought as notices (`m.notice`), which notify nobody, by the usual push rules, even where messages are
    /// brought one by one.
    pub fn as_notices(mut self) -> Self {
        self.is_notice = true;
        self
    }

    /// How far it is; `None` when it was not begun.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn status(&self) -> Result<Option<BackfillStatus>, Error> {
        let (room, name) = (self.room.to_string(), self.name.clone());
        let row = self
            .core
            .store
            .read(move |unit| unit.backfill(&room, &name))
            .await?;
        Ok(row.as_ref().map(status_of))
    }

    /// Ends it for good: what is under way is finished, and no other message is sent. `false` when there is nothing to
    /// cancel.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn cancel(&self) -> Result<bool, Error> {
        let (room, name) = (self.room.to_string(), self.name.clone());
        let store = &self.core.store;
        let is_cancelled = store
            .write(move |unit| unit.cancel_backfill(&room, &name))
            .await?;
        let running = self.core.backfills.running.lock();
        if let Some(stop) = running.get(&(self.room.clone(), self.name.clone())) {
            stop.send_replace(true);
        }
        Ok(is_cancelled)
    }

    /// Forgets how far it is, so that it may begin anew. What was refused is tried again then; messages that are in the
    /// room are not sent again for as long as the service remembers its sends ([`Limits::remember`](crate::Limits)).
    /// `false` when it was not begun.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn forget(&self) -> Result<bool, Error> {
        let (room, name) = (self.room.to_string(), self.name.clone());
        let keys = self.key("");
        let forgotten = self.core.store.write(move |unit| {
            unit.forget_failed_outbox(&keys)?;
            unit.forget_backfill(&room, &name)
        });
        Ok(forgotten.await?)
    }
}

fn status_of(row: &BackfillRow) -> BackfillStatus {
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    BackfillStatus {
        state: BackfillState::of(row.state),
        sent: count(row.sent),
        failed: count(row.failed),
        cursor: row.cursor.clone(),
        last_event: row
            .last_event
            .as_deref()
            .and_then(|id| EventId::parse(id).ok()),
        started_ms: row.started_ms,
    }
}
