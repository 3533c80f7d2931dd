//! What the network's operators do: who has which power in a portal, and who is put out of it.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Member, Network, Remote,
    perform::{Doing, Done},
    task::{Moderation, ModerationAct, Task},
};
use crate::{
    Error,
    actors::Act,
    bridge::{RemoteId, calls, portal::Portal},
    id::UserId,
    state::Membership,
};

impl<N: Network> Remote<N> {
    /// Users of the network have these power levels in a room from now on: 100 is what the bridge has, 50 an
    /// operator's, 0 everybody's, unless the room says otherwise. All of a call are set at once.
    ///
    /// What the bridge has not the power for is left as it is: nobody is given more than it has itself, nobody is
    /// lowered who has as much.
    ///
    /// # Errors
    /// As [`message`](Self::message).
    pub async fn power(&self, room: &N::Room, users: &[(N::User, i64)]) -> Result<(), Error> {
        let users = users.iter().map(|(user, level)| (user.to_text(), *level));
        let task = Task::Power {
            users: users.collect(),
            people: Vec::new(),
        };
        self.take(task.in_room::<N>(room, None)).await
    }

    /// People of Matrix have these power levels in a room from now on, such as those whom the network has made its
    /// operators; as [`power`](Self::power).
    ///
    /// # Errors
    /// As [`message`](Self::message).
    pub async fn power_of_people(
        &self,
        room: &N::Room,
        people: &[(UserId, i64)],
    ) -> Result<(), Error> {
        let task = Task::Power {
            users: Vec::new(),
            people: people.to_vec(),
        };
        self.take(task.in_room::<N>(room, None)).await
    }

    /// Somebody was put out of a room of the network, by `by` if it tells: they are put out of the portal, by that
    /// user's ghost where it has the power, and else by the bridge. `whom` is a person of Matrix (`&UserId`), or a
    /// [`Member`]: a user of the network is put out as their ghost, which leaves by itself where nobody has the power.
    /// The network is not told that they have left.
    ///
    /// # Errors
    /// As [`message`](Self::message), or when `whom` is one of the service's own users and no ghost of this network.
    pub async fn kick(
        &self,
        room: &N::Room,
        whom: impl Into<Member<N>> + Send,
        by: Option<&N::User>,
        reason: Option<&str>,
    ) -> Result<(), Error> {
        self.moderate(room, (ModerationAct::Kick, whom.into()), by, reason)
            .await
    }

    /// Somebody may not be in a room of the network any more; as [`kick`](Self::kick). They need not be there.
    ///
    /// # Errors
    /// As [`kick`](Self::kick).
    pub async fn ban(
        &self,
        room: &N::Room,
        whom: impl Into<Member<N>> + Send,
        by: Option<&N::User>,
        reason: Option<&str>,
    ) -> Result<(), Error> {
        self.moderate(room, (ModerationAct::Ban, whom.into()), by, reason)
            .await
    }

    /// Somebody may be in a room of the network again; as [`kick`](Self::kick).
    ///
    /// # Errors
    /// As [`kick`](Self::kick).
    pub async fn unban(
        &self,
        room: &N::Room,
        whom: impl Into<Member<N>> + Send,
        by: Option<&N::User>,
    ) -> Result<(), Error> {
        self.moderate(room, (ModerationAct::Unban, whom.into()), by, None)
            .await
    }

    /// All who may not be in a room of the network: they are banned, and others whom the service has banned before are
    /// so no more. Whom people of Matrix have banned stays banned.
    ///
    /// # Errors
    /// As [`kick`](Self::kick).
    pub async fn bans(&self, room: &N::Room, all: &[Member<N>]) -> Result<(), Error> {
        let banned = all.iter().map(|whom| self.account(whom));
        let task = Task::Bans {
            banned: banned.collect::<Result<_, _>>()?,
        };
        self.take(task.in_room::<N>(room, None)).await
    }

    /// As whom somebody is in portals.
    fn account(&self, whom: &Member<N>) -> Result<UserId, Error> {
        let live = self.live.get()?;
        match whom {
            Member::User(user) => live.ghost_id(user),
            Member::Person(person)
                if live.core()?.is_own(person) && live.user_of(person).is_none() =>
            {
                Err(Error::Unsupported(format!(
                    "{person} is one of the service's own users, and no ghost of {}",
                    N::TITLE
                )))
            }
            Member::Person(person) => Ok(person.clone()),
        }
    }

    async fn moderate(
        &self,
        room: &N::Room,
        (act, whom): (ModerationAct, Member<N>),
        by: Option<&N::User>,
        reason: Option<&str>,
    ) -> Result<(), Error> {
        let task = Task::Moderate(Moderation {
            act,
            person: self.account(&whom)?,
            by: by.map(RemoteId::to_text),
            reason: reason.map(str::to_owned),
        });
        self.take(task.in_room::<N>(room, None)).await
    }

    /// A room that was [`gone`](Self::gone) can be reached again: what is said there is brought again. Not where somebody
    /// has put the bridge out of the portal: that is theirs to undo.
    ///
    /// # Errors
    /// As [`message`](Self::message).
    pub async fn back(&self, room: &N::Room) -> Result<(), Error> {
        self.take(Task::Back.in_room::<N>(room, None)).await
    }
}

impl<N: Network> Doing<'_, N> {
    pub(super) async fn power(
        &self,
        portal: &Portal<N>,
        users: &[(String, i64)],
        people: Vec<(UserId, i64)>,
    ) -> Done {
        let mut wants: BTreeMap<UserId, i64> = people.into_iter().collect();
        if self.live.plan.voice.has_ghosts() {
            for (user, level) in users {
                wants.insert(self.live.ghost_id(&self.user(user)?)?, *level);
            }
        }
        let agent = portal.agent(self.core);
        self.core
            .assign_power(&agent, &portal.matrix, &wants)
            .await?;
        Ok(None)
    }

    pub(super) async fn moderate(&self, portal: &Portal<N>, ask: Moderation) -> Done {
        let act = match ask.act {
            ModerationAct::Kick => Act::Kick,
            ModerationAct::Ban => Act::Ban,
            ModerationAct::Unban => Act::Unban,
        };
        let (core, room) = (self.core, &portal.matrix);
        let by = ask.by.map(|user| self.user(&user)).transpose()?;
        let ghost = by.and_then(|user| self.live.ghost_id(&user).ok());
        let view = core.known_view(room).await?;
        // The ghost is given no power for this: the bridge has it.
        let ghost = ghost.filter(|ghost| {
            let action = act.action(&ask.person);
            view.membership(ghost) == Some(Membership::Join)
                && core.check_action(&view, ghost, &action).is_none()
        });
        let who = ghost.unwrap_or_else(|| portal.agent(core));
        let (person, reason) = (&ask.person, ask.reason.as_deref());
        match core.is_own(person) {
            true => {
                self.moderate_ghost(portal, (&who, act), person, reason)
                    .await
            }
            false => core.moderate(&who, room, act, (person, reason)).await,
        }?;
        Ok(None)
    }

    /// Puts a ghost out, or lets it in again. That it was to come is forgotten with that.
    async fn moderate_ghost(
        &self,
        portal: &Portal<N>,
        (by, act): (&UserId, Act),
        ghost: &UserId,
        reason: Option<&str>,
    ) -> Result<(), Error> {
        let (core, room) = (self.core, &portal.matrix);
        if act == Act::Unban {
            return core.moderate(by, room, act, (ghost, reason)).await;
        }
        let view = core.known_view(room).await?;
        let is_there = matches!(
            view.membership(ghost),
            Some(Membership::Join | Membership::Invite)
        );
        let put_out = match act {
            Act::Kick if !is_there => Ok(()),
            // It looks after a talk of two.
            _ if by == ghost => core.leave(ghost, room, reason).await,
            _ => core.moderate(by, room, act, (ghost, reason)).await,
        };
        match put_out {
            Err(error) if calls::is_refused(&error) && is_there => {
                tracing::debug!(%by, %ghost, %error, "nobody has the power: it leaves");
                core.leave(ghost, room, reason).await?;
            }
            put_out => put_out?,
        }
        self.actor(ghost)?.want(room, false).await
    }

    pub(super) async fn bans(&self, portal: &Portal<N>, banned: BTreeSet<UserId>) -> Done {
        let (core, room) = (self.core, &portal.matrix);
        let view = core.known_view(room).await?;
        let is_banned = |user: &UserId| view.membership(user) == Some(Membership::Ban);
        for person in banned.iter().filter(|person| !is_banned(person)) {
            self.list_ban(portal, Act::Ban, person).await?;
        }
        let members = view.members().map(|member| &member.user_id);
        for person in members.filter(|person| is_banned(person) && !banned.contains(*person)) {
            let is_other_networks = core.is_own(person) && self.live.user_of(person).is_none();
            // Whom somebody of Matrix has banned is theirs to let in again.
            if !is_other_networks && core.removed_by(person, room).await?.is_none() {
                self.list_ban(portal, Act::Unban, person).await?;
            }
        }
        Ok(None)
    }

    /// Does what a list of bans asks for; a no to one is not in the way of the others.
    async fn list_ban(&self, portal: &Portal<N>, act: Act, person: &UserId) -> Result<(), Error> {
        let agent = portal.agent(self.core);
        let done = match self.core.is_own(person) {
            true => {
                self.moderate_ghost(portal, (&agent, act), person, None)
                    .await
            }
            false => {
                let whom = (person, None);
                self.core.moderate(&agent, &portal.matrix, act, whom).await
            }
        };
        match done {
            Err(error) if calls::is_refused(&error) => {
                tracing::warn!(network = N::NAME, %person, %error, "a ban of the network is not one of the portal");
                Ok(())
            }
            done => done,
        }
    }
}
