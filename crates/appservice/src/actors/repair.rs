//! After the homeserver's no to a send: what was believed is looked up again, what is missing is seen to, and the
//! send is tried once more under its own transaction id.

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
            self.stays_out(user, room).await?;
            self.rejoin(user, room).await?;
            view = self.known_view(room).await?;
        }
        match self.check(&view, outgoing) {
            Some(refusal) => self.overcome(user, room, refusal).await,
            // It was the state of a moment ago, or a reason of the homeserver's own: another attempt will tell.
            None => Ok(()),
        }
    }
}
