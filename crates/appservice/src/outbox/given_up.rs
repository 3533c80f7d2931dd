//! Sends that were given up: listed, sent again, or forgotten, by a person.

use std::sync::Arc;

use super::{Outbox, insert};
use crate::store::{FailedSend, Result as StoreResult};

/// A send that was given up: the homeserver has refused it, or it was tried for as long as it may be. It is kept for as
/// long as [`Limits::remember`](crate::Limits::remember) says.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct GivenUp {
    /// Its number, for [`Running::send_again`](crate::Running::send_again).
    pub number: i64,
    /// The room.
    pub room: Arc<str>,
    /// As whom it was to be sent.
    pub user: Arc<str>,
    /// What was asked of the homeserver: the path of a `PUT`, with the type of the event and the transaction id.
    pub path: Arc<str>,
    /// The content, JSON.
    pub content: Arc<str>,
    /// How often it was tried.
    pub attempts: u32,
    /// What the last attempt brought.
    pub error: Arc<str>,
    /// When it was handed to the outbox, ms since the Unix epoch.
    pub created_ms: i64,
    /// When it was given up, ms since the Unix epoch.
    pub given_up_ms: i64,
}

impl From<FailedSend> for GivenUp {
    fn from(failed: FailedSend) -> Self {
        let row = failed.row;
        Self {
            number: row.id,
            room: row.send.lane.into(),
            user: row.send.user_id.unwrap_or_default().into(),
            path: row.send.path.into(),
            content: row.send.body.into(),
            attempts: row.attempts,
            error: failed.error.into(),
            created_ms: row.created_ms,
            given_up_ms: failed.done_ms,
        }
    }
}

impl Outbox {
    /// What was given up with numbers above `after`, oldest first.
    pub(crate) async fn given_up(&self, after: i64, limit: usize) -> StoreResult<Vec<GivenUp>> {
        let rows = self
            .store
            .read(move |unit| unit.failed_outbox(after, limit))
            .await?;
        Ok(rows.into_iter().map(GivenUp::from).collect())
    }

    /// Sends again what was given up, under the transaction id that it had, behind what waits in its room; `false` when
    /// there is none with this number.
    pub(crate) async fn send_again(&self, number: i64) -> StoreResult<bool> {
        let (lanes, now_ms) = (self.lanes.clone(), self.surroundings.clock.now_ms());
        let again = self.store.write(move |unit| {
            let failed = unit.failed_outbox(number - 1, 1)?;
            let Some(failed) = failed.into_iter().find(|failed| failed.row.id == number) else {
                return Ok(false);
            };
            insert(unit, &lanes, &failed.row.send, now_ms)?;
            Ok(true)
        });
        again.await
    }

    /// Forgets what was given up; `false` when there is none with this number.
    pub(crate) async fn drop_given_up(&self, number: i64) -> StoreResult<bool> {
        self.store
            .write(move |unit| unit.drop_failed_outbox(number))
            .await
    }
}
