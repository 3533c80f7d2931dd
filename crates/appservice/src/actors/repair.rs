//! After the homeserver's no to a send: where what is known explains the no, what is missing is seen to; else what was
//! believed is looked up again first. Then the send is tried once more under its own transaction id.

use crate::{
    Error,
    core::Core,
    outbox::Outgoing,
    state::{Membership, Standing},
};

impl Core {
    /// Sees to what a refused send lacks; then it is worth another attempt.
    ///
    /// # Errors
    /// The refusal, better explained where the room's rules explain it.
    pub(crate) async fn repair(&self, outgoing: &Outgoing) -> Result<(), Error> {
        let (user, room) = (&outgoing.user, &outgoing.room_id);
        tracing::debug!(room.id = %room, user.id = %user, "refused; seeing to what is missing");
        if self.is_explained(outgoing).await? {
            return Ok(());
        }
        self.rooms.doubt(room, self.now_ms()).await?;
        self.rooms.may_be_readable(room);
        if self.is_own(user) {
            self.forget_registered(user).await?;
            self.ensure_registered(user).await?;
        }
        let mut view = self.known_view(room).await?;
        if self.standing(&view) != Standing::Known
            || view.membership(user) != Some(Membership::Join)
        {
            self.rejoin(user, room).await?;
            view = self.known_view(room).await?;
        }
        match self.check(&view, outgoing) {
            Some(refusal) => self.overcome(user, room, refusal).await,
            // It was the state of a moment ago, or a reason of the homeserver's own: another attempt will tell.
            None => Ok(()),
        }
    }

    /// Whether the room as it is known has explained the no, and what was missing is there now. So of many who lack
    /// power the first reads the room's state, for all of them.
    async fn is_explained(&self, outgoing: &Outgoing) -> Result<bool, Error> {
        let (user, room) = (&outgoing.user, &outgoing.room_id);
        let view = self.rooms.view(room).await?;
        if view.membership(user) != Some(Membership::Join) {
            return Ok(false);
        }
        // Says nothing unless the state is known.
        let Some(refusal) = self.check(&view, outgoing) else {
            return Ok(false);
        };
        match self.overcome(user, room, refusal).await {
            Ok(()) => Ok(true),
            // Perhaps it is known wrongly: worth a second look.
            Err(Error::Forbidden(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
