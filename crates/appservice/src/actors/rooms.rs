//! Leaving rooms, and who else is in them.

use serde_json::{Value, json};

use super::{ProfileChange, preflight::Action};
use crate::{
    Error, GhostPlan, Urgency,
    client::{Call, escape},
    core::Core,
    id::{MxcUri, RoomId, UserId},
    state::{Membership, RoomView, Standing},
};

/// What one user does with another's membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Invite,
    Kick,
    Ban,
    Unban,
}

impl Act {
    fn path(self) -> &'static str {
        match self {
            Self::Invite => "invite",
            Self::Kick => "kick",
            Self::Ban => "ban",
            Self::Unban => "unban",
        }
    }

    pub(crate) fn action(self, target: &UserId) -> Action<'_> {
        match self {
            Self::Invite => Action::Invite { target },
            Self::Kick => Action::Kick { target },
            Self::Ban => Action::Ban { target },
            Self::Unban => Action::Unban { target },
        }
    }

    /// What its target is then.
    fn outcome(self) -> Membership {
        match self {
            Self::Invite => Membership::Invite,
            Self::Kick | Self::Unban => Membership::Leave,
            Self::Ban => Membership::Ban,
        }
    }

    /// Whether there is nothing to do for somebody who is this.
    fn is_done(self, membership: Option<Membership>) -> bool {
        match self {
            Self::Invite => matches!(membership, Some(Membership::Invite | Membership::Join)),
            Self::Kick => matches!(membership, None | Some(Membership::Leave | Membership::Ban)),
            Self::Ban => membership == Some(Membership::Ban),
            Self::Unban => membership != Some(Membership::Ban),
        }
    }
}

impl Core {
    /// Leaves a room. Who is not in it has left.
    pub(crate) async fn leave(
        &self,
        user: &UserId,
        room: &RoomId,
        reason: Option<&str>,
    ) -> Result<(), Error> {
        let path = format!("/_matrix/client/v3/rooms/{}/leave", escape(room.as_str()));
        let body = reason.map_or_else(|| json!({}), |reason| json!({ "reason": reason }));
        let call = Call::post(path, &body)
            .by(Some(user))
            .urgency(Urgency::Membership);
        match self.client.ask::<Value>(&call).await {
            Ok(_) => {}
            Err(error) if matches!(error.status(), Some(403 | 404)) && self.is_own(user) => {
                tracing::debug!(room.id = %room, user.id = %user, %error, "not in the room to be left");
            }
            Err(error) => return Err(error),
        }
        self.rooms
            .note_membership(room, user, Membership::Leave, self.now_ms())
            .await?;
        self.actors.planner.reached(room, user, false).await;
        Ok(())
    }

    /// Invites, kicks, bans, unbans.
    pub(crate) async fn moderate(
        &self,
        user: &UserId,
        room: &RoomId,
        act: Act,
        (target, reason): (&UserId, Option<&str>),
    ) -> Result<(), Error> {
        self.ensure_joined(user, room).await?;
        let view = self.known_view(room).await?;
        if act == Act::Invite && self.is_done(&view, act, target) {
            return Ok(());
        }
        if let Some(refusal) = self.check_action(&view, user, &act.action(target)) {
            self.overcome(user, room, refusal).await?;
        }
        let outcome = match self.post_act(user, room, act, (target, reason)).await {
            Err(error) if error.status() == Some(403) => {
                self.moderate_again(user, room, (act, error), (target, reason))
                    .await
            }
            other => other,
        };
        outcome?;
        self.rooms
            .note_membership(room, target, act.outcome(), self.now_ms())
            .await?;
        Ok(())
    }

    /// After the homeserver's no: looks the room up again, and sees to what is missing.
    async fn moderate_again(
        &self,
        user: &UserId,
        room: &RoomId,
        (act, refused): (Act, Error),
        (target, reason): (&UserId, Option<&str>),
    ) -> Result<(), Error> {
        self.rooms.doubt(room, self.now_ms()).await?;
        let view = self.known_view(room).await?;
        if self.is_done(&view, act, target) {
            return Ok(());
        }
        match self.check_action(&view, user, &act.action(target)) {
            Some(refusal) => self.overcome(user, room, refusal).await?,
            None => return Err(refused),
        }
        self.post_act(user, room, act, (target, reason)).await
    }

    /// Whether there is nothing to do, as far as is known for certain.
    fn is_done(&self, view: &RoomView, act: Act, target: &UserId) -> bool {
        self.standing(view) == Standing::Known && act.is_done(view.membership(target))
    }

    async fn post_act(
        &self,
        user: &UserId,
        room: &RoomId,
        act: Act,
        (target, reason): (&UserId, Option<&str>),
    ) -> Result<(), Error> {
        let path = format!(
            "/_matrix/client/v3/rooms/{}/{}",
            escape(room.as_str()),
            act.path()
        );
        let mut body = json!({ "user_id": target });
        if let Some(reason) = reason {
            body["reason"] = json!(reason);
        }
        let call = Call::post(path, &body)
            .by(Some(user))
            .urgency(Urgency::Membership);
        self.client.ask::<Value>(&call).await.map(drop)
    }

    /// Makes a ghost with a profile.
    pub(crate) async fn make_ghost(&self, user: &UserId, plan: &GhostPlan) -> Result<(), Error> {
        self.ensure_registered(user).await?;
        let mut change = ProfileChange::new();
        if let Some(name) = &plan.displayname {
            change = change.name(name);
        }
        if let Some(avatar) = &plan.avatar_url {
            change = change.avatar(&MxcUri::parse(avatar)?);
        }
        self.change_profile(user, change).await
    }
}
