//! Bringing a history, page by page.

use std::{future::Future, sync::Arc};

use serde_json::json;
use tokio::sync::watch;

use super::{
    Backfill, BackfillError, BackfillState, BackfillStatus, HistoryMessage, HistoryPage, MAX_PAGE,
    MAX_TEXT_BYTES, links::Known, status_of,
};
use crate::{
    Content, Error, HandlerError, Urgency,
    client::{Call, escape},
    core::Core,
    format::Mentions,
    id::{EventId, RoomId, UserId},
    outbox::{Outgoing, What},
    store::BackfillRow,
};

/// Marks history (MSC2716); the value is `true`.
const MARK: &str = "org.matrix.msc2716.historical";

/// The place of a history that is being brought: given back when it is dropped.
pub(super) struct Place {
    core: Arc<Core>,
    key: (RoomId, String),
    stop: watch::Receiver<bool>,
}

impl Place {
    fn take(core: &Arc<Core>, room: &RoomId, name: &str) -> Option<Self> {
        let key = (room.clone(), name.to_owned());
        let mut running = core.backfills.running.lock();
        if running.contains_key(&key) {
            return None;
        }
        let (sender, stop) = watch::channel(false);
        running.insert(key.clone(), sender);
        Some(Self {
            core: core.clone(),
            key,
            stop,
        })
    }

    pub(super) fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.core.backfills.running.lock().remove(&self.key);
    }
}

/// How a page has fared.
#[derive(Default)]
pub(super) struct PageOutcome {
    pub(super) sent: usize,
    pub(super) failed: usize,
    pub(super) last_event: Option<EventId>,
}

impl PageOutcome {
    /// The room has another one.
    pub(super) fn has(&mut self, event: EventId) {
        self.sent += 1;
        self.last_event = Some(event);
    }
}

impl Backfill {
    /// Brings the history, from where it was left, to its end. The source is called with `None` for the first page, and
    /// then with each page's `next`; after a crash with the same as before, so it must be able to go on from there.
    ///
    /// Dropping the future leaves it where it is. Messages that the homeserver refuses for good are counted, and the
    /// rest goes on.
    ///
    /// # Errors
    /// See [`BackfillError`]. Nothing is lost with one: run it again.
    pub async fn run<F, Asked, E>(self, mut source: F) -> Result<BackfillStatus, BackfillError>
    where
        F: FnMut(Option<String>) -> Asked,
        Asked: Future<Output = Result<HistoryPage, E>>,
        E: Into<HandlerError>,
    {
        let place =
            Place::take(&self.core, &self.room, &self.name).ok_or(BackfillError::Running)?;
        let mut row = self.begin().await?;
        while row.state == BackfillState::Running.number() {
            if place.is_stopped() {
                return Err(BackfillError::Cancelled);
            }
            let page = tokio::select! {
                page = source(row.cursor.clone()) => page,
                () = self.core.stopping() => return Err(Error::Stopping.into()),
            };
            let page = page.map_err(|error| BackfillError::Source(error.into()))?;
            check(&page, row.cursor.as_deref())?;
            let outcome = self.bring(&page, &place).await?;
            row.sent += outcome.sent as i64;
            row.failed += outcome.failed as i64;
            let last_event = outcome.last_event.map(|event| event.to_string());
            row.last_event = last_event.or(row.last_event);
            row.cursor = page.next;
            if row.cursor.is_none() {
                row.state = BackfillState::Done.number();
            }
            let stored = row.clone();
            self.core
                .store
                .write(move |unit| unit.put_backfill(&stored))
                .await?;
        }
        let status = status_of(&row);
        if let Some(event) = &status.last_event {
            self.move_receipts(event).await;
        }
        Ok(status)
    }

    async fn begin(&self) -> Result<BackfillRow, BackfillError> {
        check_text("the history's name", &self.name)?;
        let (room, name) = (self.room.to_string(), self.name.clone());
        let new = BackfillRow {
            room_id: room.clone(),
            name: name.clone(),
            started_ms: self.core.now_ms(),
            ..BackfillRow::default()
        };
        let row = self.core.store.write(move |unit| {
            if let Some(row) = unit.backfill(&room, &name)? {
                return Ok(row);
            }
            unit.put_backfill(&new)?;
            Ok(new)
        });
        let row = row.await?;
        if BackfillState::of(row.state) == BackfillState::Cancelled {
            return Err(BackfillError::Cancelled);
        }
        Ok(row)
    }

    async fn bring(&self, page: &HistoryPage, place: &Place) -> Result<PageOutcome, BackfillError> {
        let capabilities = self.core.capabilities().await?;
        if capabilities.batch_send() && !page.messages.is_empty() {
            return self.send_batches(&page.messages, place).await;
        }
        let mut outcome = PageOutcome::default();
        for message in &page.messages {
            if place.is_stopped() {
                return Err(BackfillError::Cancelled);
            }
            match self.send_once(message).await {
                Ok(event) => outcome.has(event),
                Err(error) if is_of_the_message(&error) => {
                    self.leave_out(message, &error);
                    outcome.failed += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(outcome)
    }

    pub(super) fn leave_out(&self, message: &HistoryMessage, error: &Error) {
        let room = &self.room;
        tracing::warn!(%room, remote.id = message.remote_id, %error, "a message of the past is left out");
    }

    /// One message, unless the portal has it already, or gets it while its sender is let in.
    async fn send_once(&self, message: &HistoryMessage) -> Result<EventId, Error> {
        if let Some(known) = self.known(&message.remote_id).await? {
            return Ok(known.event);
        }
        self.core.ensure_joined(&message.sender, &self.room).await?;
        if let Some(known) = self.known(&message.remote_id).await? {
            return Ok(known.event);
        }
        let event = self.send(message).await?;
        self.link(vec![(message.clone(), event.clone())]).await?;
        Ok(event)
    }

    /// What the portal knows of a message.
    pub(super) async fn known(&self, remote_id: &str) -> Result<Option<Known>, Error> {
        let Some(book) = self.book.clone() else {
            return Ok(None);
        };
        let id = remote_id.to_owned();
        Ok(self
            .core
            .store
            .read(move |unit| book.known(unit, &id))
            .await?)
    }

    pub(super) fn has_book(&self) -> bool {
        self.book.is_some()
    }

    /// Remembers which events messages have become.
    pub(super) async fn link(&self, sent: Vec<(HistoryMessage, EventId)>) -> Result<(), Error> {
        let Some(book) = self.book.clone() else {
            return Ok(());
        };
        let now_ms = self.core.now_ms();
        let linked = self.core.store.write(move |unit| {
            let mut sent = sent.iter();
            sent.try_for_each(|(message, event)| book.link(unit, message, event, now_ms))
        });
        Ok(linked.await?)
    }

    /// One message, through the outbox: it has its transaction id before it is sent, and people's messages go first.
    async fn send(&self, message: &HistoryMessage) -> Result<EventId, Error> {
        let answered = match &message.reply_to {
            Some(id) => self.answered(id).await?,
            None => None,
        };
        let content = self.content(message, answered);
        let outgoing = Outgoing {
            key: self.key(&message.remote_id),
            room_id: self.room.clone(),
            user: message.sender.clone(),
            what: What::Event(content.event_type().to_owned()),
            content: content.into_json(),
            ts_ms: Some(message.sent_ms),
            urgency: Urgency::Backfill,
        };
        self.core.send(&outgoing).await
    }

    /// Names a message's event, whenever it is sent: in a portal as what the network says now, so that what comes both
    /// ways at once is sent once.
    pub(super) fn key(&self, remote_id: &str) -> String {
        if let Some(book) = &self.book {
            return book.key(remote_id);
        }
        format!("backfill/{}/{}/{remote_id}", self.room, self.name)
    }

    /// The event of a message that was brought before.
    async fn answered(&self, remote_id: &str) -> Result<Option<EventId>, Error> {
        if let Some(known) = self.known(remote_id).await? {
            return Ok(Some(known.event));
        }
        self.core.outbox.sent(&self.key(remote_id)).await
    }

    /// What is sent: marked as history, and mentioning nobody.
    pub(super) fn content(&self, message: &HistoryMessage, answered: Option<EventId>) -> Content {
        let mut content = message.content.clone();
        if let Some(event) = answered {
            content = content.in_reply_to(&event, None);
        }
        if content.event_type() == "m.room.message" {
            content = content.with_mentions(&Mentions::default());
        }
        if self.is_notice && content.msgtype() == Some("m.text") {
            content = content.with_field("msgtype", json!("m.notice"));
        }
        content.with_field(MARK, json!(true))
    }

    pub(super) fn core(&self) -> &Core {
        &self.core
    }

    pub(super) fn room(&self) -> &RoomId {
        &self.room
    }

    pub(super) fn readers(&self) -> &[UserId] {
        &self.readers
    }

    async fn move_receipts(&self, event: &EventId) {
        let (room, event) = (escape(self.room.as_str()), escape(event.as_str()));
        let puppets = self.core.client.puppets();
        for user in self.readers.iter().filter(|user| puppets.has(user)) {
            let path = format!("/_matrix/client/v3/rooms/{room}/receipt/m.read/{event}");
            let call = Call::post(path, &json!({}))
                .by(Some(user))
                .urgency(Urgency::Backfill);
            if let Err(error) = self.core.client.ask::<serde_json::Value>(&call).await {
                tracing::warn!(%user, %error, "a read receipt is left where it was");
            }
        }
    }
}

/// Whether the homeserver's no is about the message, and another one may go.
pub(super) fn is_of_the_message(error: &Error) -> bool {
    matches!(
        error,
        Error::Refused { .. } | Error::GivenUp { .. } | Error::Forbidden(_) | Error::PuppetLost(_)
    )
}

fn check(page: &HistoryPage, cursor: Option<&str>) -> Result<(), BackfillError> {
    let wrong = |text: String| Err(BackfillError::Page(text));
    if page.messages.len() > MAX_PAGE {
        return wrong(format!("it has more than {MAX_PAGE} messages"));
    }
    if page.next.is_some() && page.next.as_deref() == cursor {
        return wrong("its `next` is what it was asked with, so there would be no end".to_owned());
    }
    if let Some(next) = &page.next {
        check_text("its `next`", next)?;
    }
    for message in &page.messages {
        check_text("a remote id", &message.remote_id)?;
    }
    Ok(())
}

fn check_text(what: &str, text: &str) -> Result<(), BackfillError> {
    if text.is_empty() || text.len() > MAX_TEXT_BYTES {
        let text = format!("{what} is empty, or longer than {MAX_TEXT_BYTES} bytes");
        return Err(BackfillError::Page(text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(remote_id: &str) -> HistoryMessage {
        HistoryMessage {
            remote_id: remote_id.to_owned(),
            sender: UserId::parse("@a:b").expect("a user"),
            sent_ms: 0,
            content: Content::from("hi"),
            reply_to: None,
        }
    }

    #[test]
    fn pages_that_make_no_sense() {
        let page = |messages, next: Option<&str>| HistoryPage {
            messages,
            next: next.map(str::to_owned),
        };
        assert!(check(&page(vec![message("1")], Some("b")), Some("a")).is_ok());
        assert!(check(&page(vec![], None), None).is_ok());
        assert!(
            check(&page(vec![], Some("a")), Some("a")).is_err(),
            "no end"
        );
        assert!(check(&page(vec![], Some("")), None).is_err());
        assert!(check(&page(vec![message("")], None), None).is_err());
        assert!(check(&page(vec![message(&"x".repeat(1025))], None), None).is_err());
        assert!(check(&page(vec![message("1"); MAX_PAGE + 1], None), None).is_err());
    }
}
