//! What the network's operators do: who has which power in a portal, and who of Matrix is put out of it.

use std::collections::BTreeMap;

use super::{
    Network, Remote,
    perform::{Doing, Done},
    task::{Moderation, ModerationAct, Task},
};
use crate::{
    Error,
    actors::Act,
    bridge::{RemoteId, portal::Portal},
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

    /// A person of Matrix was put out of a room of the network, by `by` if it tells: they are put out of the portal, by
    /// that user's ghost where it has the power, and else by the bridge. The network is not told that they have left.
    ///
    /// # Errors
    /// As [`message`](Self::message), or when `person` is one of the service's own users: those leave by
    /// [`part`](Self::part).
    pub async fn kick(
        &self,
        room: &N::Room,
        person: &UserId,
        by: Option<&N::User>,
        reason: Option<&str>,
    ) -> Result<(), Error> {
        self.moderate(room, (ModerationAct::Kick, person), by, reason)
            .await
    }

    /// A person of Matrix may not be in a room of the network any more; as [`kick`](Self::kick).
    ///
    /// # Errors
    /// As [`kick`](Self::kick).
    pub async fn ban(
        &self,
        room: &N::Room,
        person: &UserId,
        by: Option<&N::User>,
        reason: Option<&str>,
    ) -> Result<(), Error> {
        self.moderate(room, (ModerationAct::Ban, person), by, reason)
            .await
    }

    /// A person of Matrix may be in a room of the network again; as [`kick`](Self::kick).
    ///
    /// # Errors
    /// As [`kick`](Self::kick).
    pub async fn unban(
        &self,
        room: &N::Room,
        person: &UserId,
        by: Option<&N::User>,
    ) -> Result<(), Error> {
        self.moderate(room, (ModerationAct::Unban, person), by, None)
            .await
    }

    async fn moderate(
        &self,
        room: &N::Room,
        (act, person): (ModerationAct, &UserId),
        by: Option<&N::User>,
        reason: Option<&str>,
    ) -> Result<(), Error> {
        if self.live.get()?.core()?.is_own(person) {
            return Err(Error::Unsupported(format!(
                "{person} is one of the service's own users: they leave by `Remote::part`"
            )));
        }
        let task = Task::Moderate(Moderation {
            act,
            person: person.clone(),
            by: by.map(RemoteId::to_text),
            reason: reason.map(str::to_owned),
        });
        self.take(task.in_room::<N>(room, None)).await
    }

    /// A room that was [`gone`](Self::gone) can be reached again: what is said there is brought again.
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
        core.moderate(&who, room, act, (person, reason)).await?;
        Ok(None)
    }
}
