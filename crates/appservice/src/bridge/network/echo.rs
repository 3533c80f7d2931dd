//! What the network tells later of what it was given: that it has it, or that it has it not after all.
//!
//! Between the network's yes and its being stored the service may be ended. Then the event is given to the network
//! again, unless that has told meanwhile that it has it.

use std::sync::Arc;

use super::{
    Foreign, Network, Receipt, Rejected, Remote,
    deliver::{relayed, remember, speaker},
    intake::Undone,
    perform::{Doing, Done},
    task::Task,
};
use crate::{
    Error, Event,
    bridge::{calls, messages, portal::Portal, status, translate},
    core::Core,
    id::EventId,
};

/// Attempts at taking something back that was not decided yet, before it is left alone.
const UNDECIDED: u32 = 4;

/// Names the news that the network has an event.
fn key<N: Network>(event: &EventId) -> String {
    format!("{}/echo/{event}", N::NAME)
}

/// Whether the network has an event, as far as it has told.
pub(super) async fn is_there<N: Network>(core: &Core, event: &EventId) -> Result<bool, Error> {
    let (event, key) = (event.to_string(), key::<N>(event));
    let is_there = core.store.read(move |unit| {
        Ok(unit.message_by_event::<N>(&event)?.is_some() || unit.knows_task(&key)?)
    });
    Ok(is_there.await?)
}

impl<N: Network> Remote<N> {
    /// The network has what it was given under this key ([`Outgoing::key`](super::Outgoing::key)), and calls it so: the
    /// same as if [`Network::send`] had returned this receipt. The event is not given to it again, and its ids are
    /// known.
    ///
    /// For networks that tell what was sent to them ([`Network::ECHOES`]), with a label by which it is known again. To
    /// be told of what was on its way when the service was last ended, and harmless for the rest. Such an echo is not
    /// to be given to [`message`](Self::message).
    ///
    /// # Errors
    /// As [`message`](Self::message), or when this is no key.
    pub async fn echo(&self, room: &N::Room, key: &str, receipt: Receipt) -> Result<(), Error> {
        let event = EventId::parse(key)?;
        let key = self::key::<N>(&event);
        let task = Task::Echo { event, receipt };
        self.take(task.in_room::<N>(room, Some(key))).await?;
        // It may wait for the network, which has it.
        let live = self.live.get()?;
        if let Some(portal) = live.portal(room).await? {
            live.core()?.inbox.hurry_room(&portal.matrix);
        }
        Ok(())
    }

    /// The network has not what it was given under this key ([`Outgoing::key`](super::Outgoing::key)), although
    /// [`Network::send`] has said so: the sender is told as of what it rejects. Of what was rejected already nobody is
    /// told again.
    ///
    /// The sender may ask for another attempt, and it has the same key then.
    ///
    /// # Errors
    /// As [`message`](Self::message), or when this is no key.
    pub async fn failed(&self, room: &N::Room, key: &str, no: Rejected) -> Result<(), Error> {
        let event = EventId::parse(key)?;
        let task = Task::Failed { event, no };
        self.take(task.in_room::<N>(room, None)).await
    }
}

impl<N: Network> Doing<'_, N> {
    pub(super) async fn echo(&self, portal: &Portal<N>, event: &EventId, receipt: Receipt) -> Done {
        self.let_pass(portal).await;
        if messages::by_event::<N>(self.core, event).await?.is_some() {
            return Ok(None);
        }
        let event = self.said(portal, event).await?;
        let Some(foreign) = Foreign::<N>::of(self.core, &event).await? else {
            return Err(Undone::Dropped("nobody of Matrix has said it".to_owned()));
        };
        let meaning = translate::action(self.live, self.core, portal, &foreign).await?;
        // It was redacted, or would be refused by now.
        let Some(Ok(action)) = meaning else {
            return Ok(None);
        };
        let who = action.subject(&event);
        let speaker = speaker(self.live, self.core, portal, (&event, who)).await;
        let action = relayed(self.live, action, &speaker);
        remember(self.core, portal, &event, (&action, &receipt)).await?;
        status::told_later(self.live, self.core, portal, (&event, &self.key(""))).await?;
        Ok(None)
    }

    pub(super) async fn failed(&self, portal: &Portal<N>, event: &EventId, no: Rejected) -> Done {
        self.let_pass(portal).await;
        match status::known::<N>(self.core, event).await? {
            Some(known) if known.is_delivered() => {}
            Some(known) if known.is_decided(false) => return Ok(None),
            // The network's first word is on its way to the database.
            _ if self.row.attempts < UNDECIDED => {
                return Err(Undone::Later("it is not decided yet".to_owned()));
            }
            _ => return Err(Undone::Dropped("it was never decided".to_owned())),
        }
        let event = self.said(portal, event).await?;
        let news = self.key("");
        let told = status::undone_later(self.live, self.core, portal, (&event, &news), &no);
        let (row, now_ms) = (told.await?, self.core.now_ms());
        let (id, key) = (event.id.to_string(), key::<N>(&event.id));
        Ok(Some(Box::new(move |unit| {
            unit.put_fate(N::NAME, &row, now_ms)?;
            // Or it would be taken for delivered when it is tried again.
            unit.delete_messages_of(N::NAME, &id)?;
            unit.forget_task(&key)
        })))
    }

    /// An event of the portal, as the homeserver has it.
    async fn said(&self, portal: &Portal<N>, event: &EventId) -> Result<Arc<Event>, Undone> {
        let agent = portal.agent(self.core);
        let found = calls::event(self.core, &agent, &portal.matrix, event).await?;
        let found = found.ok_or_else(|| Undone::Dropped("there is no such event".to_owned()))?;
        let event = Event::from_json(&found.to_string());
        let event = event.map_err(|error| Undone::Dropped(error.to_string()))?;
        Ok(Arc::new(event))
    }
}
