//! What nothing has to wait for, and what waits for nothing: who is writing, and invitations. Done beside the
//! [`deeds`](super::deeds), so that no slow answer of the homeserver's holds up what is said.

use std::time::{Duration, Instant};

use bridgehead_appservice::{
    HandlerError, JoinRule,
    bridge::{Portal, PortalKind, Remote},
    format::Rich,
    id::UserId,
};
use tokio::{sync::mpsc, task::JoinSet};

use crate::{Irc, clock::now, ids::Nick, ids::Place};

/// Who is writing, as it may wait; more is not told.
const MAX_TYPING: usize = 64;
/// After so long it is not true any more.
const TYPING_FOR: Duration = Duration::from_secs(10);
/// Invitations that may wait; each person has few.
const MAX_INVITATIONS: usize = 500;

/// Somebody writes, or writes no more.
struct Writes {
    place: Place,
    who: Nick,
    is_typing: bool,
    at: Instant,
}

/// A person was invited to a channel.
struct Invitation {
    place: Place,
    person: UserId,
    /// By somebody of this nick.
    by: String,
}

/// The way there.
pub(super) struct Aside {
    typing: mpsc::Sender<Writes>,
    invitations: mpsc::Sender<Invitation>,
}

impl Aside {
    /// Begins; what is begun here ends with `tasks`.
    pub(super) fn start(remote: &Remote<Irc>, tasks: &mut JoinSet<()>) -> Self {
        let (typing, writes) = mpsc::channel(MAX_TYPING);
        let (invitations, invited) = mpsc::channel(MAX_INVITATIONS);
        tasks.spawn(tell_typing(remote.clone(), writes));
        tasks.spawn(bring_invitations(remote.clone(), invited));
        Self {
            typing,
            invitations,
        }
    }

    /// Somebody writes, or writes no more. Where too much waits it is not told: it is of no use later.
    pub(super) fn typing(&self, place: Place, who: Nick, is_typing: bool) {
        let writes = Writes {
            place,
            who,
            is_typing,
            at: now(),
        };
        self.typing.try_send(writes).ok();
    }

    /// A person was invited to a channel, by somebody of this nick.
    pub(super) fn invite(&self, place: Place, person: UserId, by: String) {
        let invitation = Invitation { place, person, by };
        if self.invitations.try_send(invitation).is_err() {
            tracing::warn!("too many invitations from IRC wait already: one is not brought");
        }
    }
}

async fn tell_typing(remote: Remote<Irc>, mut writes: mpsc::Receiver<Writes>) {
    while let Some(said) = writes.recv().await {
        if now().saturating_duration_since(said.at) < TYPING_FOR {
            remote.typing(&said.place, &said.who, said.is_typing).await;
        }
    }
}

async fn bring_invitations(remote: Remote<Irc>, mut invited: mpsc::Receiver<Invitation>) {
    while let Some(invitation) = invited.recv().await {
        if let Err(error) = invitation.bring(&remote).await {
            tracing::warn!(person = %invitation.person, %error, "an invitation from IRC cannot be brought");
        }
    }
}

impl Invitation {
    /// Tells the person, and invites them where that is the bridge's to do. A room is made when they ask for it.
    async fn bring(&self, remote: &Remote<Irc>) -> Result<(), HandlerError> {
        let portal = remote.portal(&self.place).await?;
        let (by, channel) = (&self.by, self.place.target_name());
        let words = match portal {
            None => {
                let network = &self.place.network;
                format!("{by} invites you to {channel} on {network}: `!join {network} {channel}`")
            }
            Some(portal) if is_open_to_guests(remote, &portal).await? => {
                let bot = remote.handle()?.bot()?;
                bot.invite(&portal.matrix, &self.person).await?;
                format!("{by} invites you to {channel}: you are invited to its room.")
            }
            Some(_) => format!(
                "{by} invites you to {channel}, which is linked to a room that is not open to everybody: ask who is in \
                 it for an invitation."
            ),
        };
        remote.tell(&self.person, &Rich::plain(&words)).await?;
        Ok(())
    }
}

/// Whether whoever may come into a channel may come into its room: the bridge has made it, or it is open to everybody.
async fn is_open_to_guests(
    remote: &Remote<Irc>,
    portal: &Portal<Irc>,
) -> Result<bool, HandlerError> {
    if portal.data.kind == PortalKind::Made {
        return Ok(true);
    }
    let room = remote.handle()?.room(&portal.matrix)?;
    let rule = room.join_rule().await?;
    Ok(rule.value().flatten() == Some(JoinRule::Public))
}
