//! What the bridge says itself, because of what happens on the network: in a portal, and to one person alone.

use serde_json::Value;

use super::{
    Network, Remote, intake,
    perform::{Doing, Done},
    task::Task,
};
use crate::{
    Content, Error,
    bridge::{calls, management, portal::Portal},
    format::{Rich, content::Kind},
    id::UserId,
};

impl<N: Network> Remote<N> {
    /// The bridge itself says something in a room's portal, as a notice: that something did not work, or what the
    /// network says to all who are there. Said in the room's order; nothing where there is no portal.
    ///
    /// What comes from the network is best given as it is ([`Rich::plain`]), and not read as Markdown.
    ///
    /// # Errors
    /// As [`message`](Self::message).
    pub async fn notice(&self, room: &N::Room, text: &Rich) -> Result<(), Error> {
        let content = Content::message(Kind::Notice, text).into_json();
        self.take(Task::Notice { content }.in_room::<N>(room, None))
            .await
    }

    /// The bridge tells a person of Matrix something, in their own room with it, which is made where there is none; in
    /// the order in which it is told. As [`notice`](Self::notice).
    ///
    /// # Errors
    /// As [`message`](Self::message), or when `person` is one of the service's own users.
    pub async fn tell(&self, person: &UserId, text: &Rich) -> Result<(), Error> {
        if self.live.get()?.core()?.is_own(person) {
            return Err(Error::Unsupported(format!(
                "{person} is one of the service's own users: nobody is there to be told"
            )));
        }
        let task = Task::Tell {
            person: person.clone(),
            content: Content::message(Kind::Notice, text).into_json(),
        };
        self.take(task.row(intake::person_lane(person), None)).await
    }
}

impl<N: Network> Doing<'_, N> {
    pub(super) async fn notice(&self, portal: &Portal<N>, content: Value) -> Done {
        let (core, agent) = (self.core, portal.agent(self.core));
        let content = Content::new("m.room.message", content);
        // Without the mark of what the network says: no other network is to hear of it.
        let outgoing = management::notice(&portal.matrix, &agent, self.key(""), content);
        calls::send(core, &outgoing).await?;
        Ok(None)
    }

    pub(super) async fn tell(&self, person: &UserId, content: Value) -> Done {
        let content = Content::new("m.room.message", content);
        management::send(self.core, person, content, self.key("")).await?;
        Ok(None)
    }
}
