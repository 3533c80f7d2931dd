//! Who of the network is in a portal: ghosts that come and go.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{
    Network,
    perform::{Doing, Done},
};
use crate::{
    Error, Ghost, Ghosts, Room,
    bridge::{ghosts, portal::Portal},
    id::UserId,
};

/// Ghosts that are made at the same time, when a whole channel comes.
const GHOSTS_AT_ONCE: usize = 16;

impl<N: Network> Doing<'_, N> {
    /// The ghost of somebody, if the network's users have ghosts.
    pub(super) fn actor(&self, ghost: &UserId) -> Result<Ghost, Error> {
        Ghosts::new(self.core.clone(), None).user(ghost)
    }

    /// Whether a ban list keeps somebody's ghost out.
    fn is_unwanted(&self, user: &N::User) -> Result<bool, Error> {
        let (policies, ghost) = (&self.core.policies, self.live.ghost_id(user)?);
        Ok(policies.bans_user(&ghost, &self.core.server_name))
    }

    /// Brought about in the background: a channel of thousands must not hold up what is said in it.
    pub(super) async fn join(&self, portal: &Portal<N>, user: &str) -> Done {
        if self.live.plan.voice.has_ghosts() {
            let user = self.user(user)?;
            if self.is_unwanted(&user)? {
                return Ok(None);
            }
            let ghost = ghosts::ensure(self.live, self.core, &user).await?;
            self.actor(&ghost)?.want(&portal.matrix, true).await?;
        }
        Ok(None)
    }

    /// In the background too: hundreds leave at the same time, and all give the same reason.
    pub(super) async fn part(&self, portal: &Portal<N>, user: &str, reason: Option<&str>) -> Done {
        if self.live.plan.voice.has_ghosts() {
            let ghost = self.live.ghost_id(&self.user(user)?)?;
            let room = &portal.matrix;
            self.actor(&ghost)?.want_for(room, false, reason).await?;
        }
        Ok(None)
    }

    pub(super) async fn members(&self, portal: &Portal<N>, users: &[String]) -> Done {
        if !self.live.plan.voice.has_ghosts() {
            return Ok(None);
        }
        let users = users.iter().map(|user| self.user(user));
        let mut users: Vec<N::User> = users.collect::<Result<_, _>>()?;
        users.retain(|user| !self.is_unwanted(user).unwrap_or(false));
        let (live, core) = (self.live.clone(), self.core.clone());
        let ghosts = stream::iter(users).map(move |user| {
            let (live, core) = (live.clone(), core.clone());
            async move { ghosts::ensure(&live, &core, &user).await }
        });
        let ghosts = ghosts.buffer_unordered(GHOSTS_AT_ONCE);
        let mut wanted: Vec<UserId> = ghosts.try_collect().await?;
        wanted.extend(portal.data.agent.clone());
        // Ghosts of other networks in the same room are none of this one's business.
        let view = self.core.rooms.view(&portal.matrix).await?;
        let others = view.members().filter(|member| {
            self.core.is_own(&member.user_id) && self.live.user_of(&member.user_id).is_none()
        });
        wanted.extend(others.map(|member| member.user_id.clone()));
        let room = Room::new(self.core.clone(), portal.matrix.clone(), None);
        room.want_members(wanted).await?;
        Ok(None)
    }
}
