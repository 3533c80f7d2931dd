//! Who of the network is there, and who is away: told to the homeserver one after another, and not kept.
//!
//! A network says it of thousands at once, such as after a connection was lost. So what is told waits in a queue of
//! bounded length, in which the last word about somebody counts, and is told at a bounded pace. What fails is not tried
//! again.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{Network, Remote};
use crate::{
    Error, Ghosts,
    bridge::{RemoteId, ghosts, live::Live},
    core::Core,
};

/// Users whose presence may wait to be told; what is said of others meanwhile is not told.
const WAITING: usize = 10_000;

/// The time between two that are told.
const PACE: Duration = Duration::from_millis(50);

/// Whether a user of the network is there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemotePresence {
    /// They are there.
    Online,
    /// They are away, and say this about it.
    Away(Option<String>),
    /// They have gone.
    Offline,
}

impl RemotePresence {
    /// As the specification writes it (*Client-Server API*, *Presence*), and what they say.
    fn as_words(&self) -> (&'static str, Option<&str>) {
        match self {
            Self::Online => ("online", None),
            Self::Away(status) => ("unavailable", status.as_deref()),
            Self::Offline => ("offline", None),
        }
    }
}

/// What is to be told, by the texts of users' ids.
#[derive(Default)]
pub(crate) struct Presences {
    waiting: Mutex<Waiting>,
    more: Notify,
}

#[derive(Default)]
struct Waiting {
    order: VecDeque<String>,
    last: HashMap<String, RemotePresence>,
}

impl Presences {
    /// Adds what is to be told of somebody, in the place of what was to be told before; whether there is room for it.
    fn put(&self, user: String, presence: RemotePresence) -> bool {
        let mut waiting = self.waiting.lock();
        if let Some(last) = waiting.last.get_mut(&user) {
            *last = presence;
            return true;
        }
        if waiting.order.len() >= WAITING {
            return false;
        }
        waiting.order.push_back(user.clone());
        waiting.last.insert(user, presence);
        self.more.notify_one();
        true
    }

    fn take(&self) -> Option<(String, RemotePresence)> {
        let mut waiting = self.waiting.lock();
        let user = waiting.order.pop_front()?;
        let presence = waiting.last.remove(&user)?;
        Some((user, presence))
    }

    /// The next, when there is one.
    async fn next(&self) -> (String, RemotePresence) {
        loop {
            match self.take() {
                Some(next) => return next,
                None => self.more.notified().await,
            }
        }
    }
}

impl<N: Network> Remote<N> {
    /// Somebody is there, is away, or has gone: their ghost shows it. Returns at once; told when it can be told, if the
    /// ghost was made already, and not kept.
    pub fn presence(&self, user: &N::User, presence: RemotePresence) {
        let Ok(live) = self.live.get() else { return };
        if live.plan.voice.has_ghosts() && !live.presences.put(user.to_text(), presence) {
            tracing::debug!(network = N::NAME, "a presence is dropped: too many wait");
        }
    }
}

/// Tells what is said of who is there, until the service ends.
pub(crate) async fn tell_presences<N: Network>(live: Arc<Live<N>>) {
    let Ok(core) = live.core() else { return };
    let mut stop = core.stop.subscribe();
    drop(core);
    loop {
        let (user, presence) = tokio::select! {
            next = live.presences.next() => next,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let Ok(core) = live.core() else { return };
        let told = tokio::select! {
            told = tell(&live, &core, &user, &presence) => told,
            () = core.stopping() => return,
        };
        drop(core);
        if let Err(error) = told {
            tracing::debug!(network = N::NAME, %error, "a presence was not told");
        }
        tokio::time::sleep(PACE).await;
    }
}

async fn tell<N: Network>(
    live: &Live<N>,
    core: &Arc<Core>,
    user: &str,
    presence: &RemotePresence,
) -> Result<(), Error> {
    let Some(user) = N::User::from_text(user) else {
        return Ok(());
    };
    // Nobody gets a ghost for being away.
    if !ghosts::is_made::<N>(core, &user).await? {
        return Ok(());
    }
    let ghost = Ghosts::new(core.clone(), None).user(&live.ghost_id(&user)?)?;
    let (presence, status) = presence.as_words();
    ghost.presence(presence, status).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_counts_and_the_queue_has_an_end() {
        let presences = Presences::default();
        assert!(presences.put("ann".to_owned(), RemotePresence::Online));
        assert!(presences.put("bob".to_owned(), RemotePresence::Online));
        assert!(presences.put("ann".to_owned(), RemotePresence::Away(None)));
        let ann = presences.take().expect("two wait");
        assert_eq!(ann, ("ann".to_owned(), RemotePresence::Away(None)));
        for n in 0..WAITING - 1 {
            assert!(presences.put(n.to_string(), RemotePresence::Online));
        }
        assert!(!presences.put("one more".to_owned(), RemotePresence::Online));
        assert!(presences.put("bob".to_owned(), RemotePresence::Offline));
        let left = std::iter::from_fn(|| presences.take()).count();
        assert_eq!(left, WAITING);
    }
}
