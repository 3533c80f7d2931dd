//! Long polls: look, and if there is nothing, wait until something may be.
//!
//! A waiting poll reads nothing. It wakes when its user or one of its rooms is told of, when
//! somebody in its rooms stops typing by falling silent, or when its time is over.

use std::{collections::BTreeSet, time::Duration};

use bridgehead_store::StreamPosition;
use ruma::UserId;
use tokio::time::{Instant, timeout_at};

use crate::app::App;

/// How much of the server's news a look has covered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Of the log.
    pub(crate) position: StreamPosition,
    /// Of typing.
    pub(crate) typing: u64,
    /// Of presence.
    pub(crate) presence: u64,
}

/// What a look has found.
pub(crate) struct Found<T> {
    /// The answer, which says "nothing" when there is nothing.
    pub(crate) answer: T,
    /// Whether the answer is worth giving before the time is over.
    pub(crate) is_news: bool,
    /// Rooms whose news is the reader's too.
    pub(crate) rooms: Vec<String>,
    /// What the look has covered.
    pub(crate) seen: Seen,
    /// When somebody in these rooms stops typing by falling silent, ms.
    pub(crate) next_expiry: Option<i64>,
}

/// Looks until there is news or the time is over.
pub(crate) async fn wait_for_news<T, E, F>(
    app: &App,
    user_id: &UserId,
    timeout: Duration,
    look: impl Fn() -> F,
) -> Result<T, E>
where
    F: Future<Output = Result<Found<T>, E>>,
{
    let deadline = Instant::now() + timeout;
    let mut found = look().await?;
    loop {
        if found.is_news || Instant::now() >= deadline {
            return Ok(found.answer);
        }
        let registered: BTreeSet<String> = found.rooms.iter().cloned().collect();
        let mut keys = found.rooms.clone();
        keys.push(user_id.to_string());
        let waiter = app.notifier.register(keys);
        if app.notifier.is_closed() {
            return Ok(found.answer);
        }
        let mut first = true;
        // The registration stays as long as the rooms stay the same.
        loop {
            // What happened between the look and the registration woke nobody.
            if !(first && seen_now(app) != found.seen) {
                let until = wake_at(app, deadline, found.next_expiry);
                let woken = timeout_at(until, waiter.news()).await.is_ok();
                if !woken && Instant::now() >= deadline {
                    return Ok(found.answer);
                }
            }
            first = false;
            if app.notifier.is_closed() {
                return Ok(found.answer);
            }
            found = look().await?;
            if found.is_news || !found.rooms.iter().eq(&registered) {
                break;
            }
        }
    }
}

fn seen_now(app: &App) -> Seen {
    Seen {
        position: *app.store.position().borrow(),
        typing: app.typing.version(),
        presence: app.presence.version(),
    }
}

/// The deadline, or earlier, when somebody falls silent.
fn wake_at(app: &App, deadline: Instant, next_expiry: Option<i64>) -> Instant {
    let Some(expiry) = next_expiry else {
        return deadline;
    };
    let in_ms = u64::try_from(expiry - app.now_ms()).unwrap_or(0) + 1;
    deadline.min(Instant::now() + Duration::from_millis(in_ms))
}
