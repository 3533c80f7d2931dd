//! Who was put out of a room by its people stays out until they let it in again.

use crate::{
    Error,
    core::Core,
    id::{RoomId, UserId},
    state::Membership,
};

impl Core {
    /// Who has put this user out of a room, if somebody who is none of the service's has, and it was not let in again.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub(crate) async fn removed_by(
        &self,
        user: &UserId,
        room: &RoomId,
    ) -> Result<Option<UserId>, Error> {
        let view = self.rooms.view(room).await?;
        if !matches!(
            view.membership(user),
            Some(Membership::Leave | Membership::Ban)
        ) {
            return Ok(None);
        }
        let (id, key) = (room.to_string(), user.to_string());
        let row = self
            .store
            .read(move |unit| unit.state_row(&id, "m.room.member", &key))
            .await?;
        let sender = row.and_then(|row| UserId::parse(&row.sender).ok());
        Ok(sender.filter(|sender| sender != user && !self.is_own(sender)))
    }

    /// A no to who was put out of a room: to come back by itself is not its to decide. Ghosts come back, as often as
    /// those speak whom they stand for; to put these out is for their network to do.
    ///
    /// # Errors
    /// [`Error::Forbidden`], if it was put out.
    pub(super) async fn stays_out(&self, user: &UserId, room: &RoomId) -> Result<(), Error> {
        if self.is_own(user) && *user != self.bot {
            return Ok(());
        }
        match self.removed_by(user, room).await? {
            None => Ok(()),
            Some(by) => Err(Error::Forbidden(format!(
                "{user} was put out of {room} by {by}: somebody there has to invite it"
            ))),
        }
    }
}
