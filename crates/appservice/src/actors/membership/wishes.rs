//! What authors wish and ask of memberships, and how the planner brings it about.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::{FutureExt as _, future::BoxFuture};

use super::{
    super::{Ghost, JoinOptions, Room},
    Doors, Wish,
};
use crate::{
    Error,
    client::limiter::Class,
    core::Core,
    id::{RoomId, UserId},
    state::Membership,
    store::{GoalRow, NEVER_MS},
};

/// Goals that [`Room::membership_gap`] looks at.
const GAP_LIMIT: usize = 20_000;

/// Users whose rate limits are looked at for a forecast.
const FORECAST_USERS: usize = 64;

/// Who was wished to be in a room, or out of it, and is not so yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MembershipGap {
    /// Those who will join.
    pub to_join: Vec<UserId>,
    /// Those who will leave.
    pub to_leave: Vec<UserId>,
    /// Those for whom it was given up, and why.
    pub failed: Vec<(UserId, String)>,
    /// When all that waits, in all rooms, is likely to be done.
    pub clear_in: Duration,
}

impl MembershipGap {
    /// Whether all is as it was wished.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.to_join.is_empty() && self.to_leave.is_empty() && self.failed.is_empty()
    }
}

impl Doors for Core {
    fn is_in<'a>(
        &'a self,
        room: &'a RoomId,
        user: &'a UserId,
    ) -> BoxFuture<'a, Result<bool, Error>> {
        async move {
            let view = self.rooms.view(room).await?;
            Ok(view.membership(user) == Some(Membership::Join))
        }
        .boxed()
    }

    fn go<'a>(
        &'a self,
        room: &'a RoomId,
        user: &'a UserId,
        goal: &'a GoalRow,
    ) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            let reason = goal.reason.as_deref();
            if !goal.joined {
                return self.leave(user, room, reason).await;
            }
            let options =
                reason.map_or_else(JoinOptions::new, |reason| JoinOptions::new().reason(reason));
            self.join(user, room, &options).await
        }
        .boxed()
    }

    fn now_ms(&self) -> i64 {
        Self::now_ms(self)
    }

    fn random(&self) -> u64 {
        self.surroundings.randomness.below(u64::MAX)
    }
}

impl Ghost {
    /// Wishes to be in a room, or out of it. Brought about in the background: at once where nothing else waits, and
    /// spread where much does; tried again where it fails; not forgotten by a restart. The last wish counts.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn want(&self, room: impl AsRef<RoomId> + Send, joined: bool) -> Result<(), Error> {
        self.want_for(room.as_ref(), joined, None).await
    }

    /// The same, for a reason that the room is shown.
    pub(crate) async fn want_for(
        &self,
        room: &RoomId,
        joined: bool,
        reason: Option<&str>,
    ) -> Result<(), Error> {
        let user = self.id().clone();
        let wish = vec![Wish { user, joined }];
        let core = &self.core;
        core.actors.planner.wish(&**core, room, wish, reason).await
    }
}

impl Room {
    /// Wishes that just these of the service's ghosts are in the room: who is missing joins, who is too many leaves.
    /// The service's own user stays, and people are none of its business. Brought about as [`Ghost::want`] is.
    ///
    /// # Errors
    /// When one of them is no ghost of the service's, the homeserver does not answer, or the database cannot be used.
    pub async fn want_members(
        &self,
        ghosts: impl IntoIterator<Item = UserId> + Send,
    ) -> Result<(), Error> {
        let core = &self.core;
        let wanted: BTreeSet<UserId> = ghosts.into_iter().collect();
        if let Some(stranger) = wanted.iter().find(|user| !core.is_own(user)) {
            return Err(Error::Unsupported(format!(
                "{stranger} is none of this service's users"
            )));
        }
        let goals = self.goals().await?;
        let view = core.known_view(&self.id).await?;
        let joined = view.members().filter(|member| member.is_joined());
        let joined = joined.map(|member| member.user_id.clone());
        let coming = goals.iter().filter(|goal| goal.joined);
        let coming = coming.filter_map(|goal| UserId::parse(&goal.user_id).ok());
        let surplus: BTreeSet<UserId> = joined
            .chain(coming)
            .filter(|user| core.is_own(user) && *user != core.bot && !wanted.contains(user))
            .collect();
        let parts = surplus.into_iter().map(|user| Wish {
            user,
            joined: false,
        });
        let joins = wanted.into_iter().map(|user| Wish { user, joined: true });
        let wishes = joins.chain(parts).collect();
        core.actors
            .planner
            .wish(&**core, &self.id, wishes, None)
            .await
    }

    /// Who was wished to be in the room, or out of it, and is not so yet.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn membership_gap(&self) -> Result<MembershipGap, Error> {
        let core = &self.core;
        let mut gap = MembershipGap::default();
        for goal in self.goals().await? {
            let Ok(user) = UserId::parse(&goal.user_id) else {
                continue;
            };
            if goal.next_ms == NEVER_MS {
                gap.failed.push((user, goal.error.unwrap_or_default()));
            } else if goal.joined {
                gap.to_join.push(user);
            } else {
                gap.to_leave.push(user);
            }
        }
        let count = self.core.store.read(|unit| unit.count_goals()).await?;
        let planned = core
            .actors
            .planner
            .forecast(count.open, count.last_ms, core.now_ms());
        let limits = gap.to_join.iter().take(FORECAST_USERS);
        let limited = limits
            .map(|user| core.client.forecast(user, Class::Join, 1))
            .max();
        gap.clear_in = planned.max(limited.unwrap_or_default());
        Ok(gap)
    }

    async fn goals(&self) -> Result<Vec<GoalRow>, Error> {
        let id = self.id.to_string();
        let read = self
            .core
            .store
            .read(move |unit| unit.goals_of_room(&id, GAP_LIMIT));
        Ok(read.await?)
    }
}

impl Core {
    /// Begins to bring about what was wished, before and from now on.
    pub(crate) fn begin_planner(self: &Arc<Self>) {
        let planner = self.actors.planner.clone();
        let stop = self.stop.subscribe();
        tokio::spawn(planner.run(Arc::downgrade(self), stop));
    }
}
