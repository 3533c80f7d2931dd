//! The verbs: what a person orders about a service's delivery.
//!
//! Each is one unit of work that writes the order and the audit entry, after which the delivery
//! task is told to read its orders again. The answer shows the orders as they are then, even where
//! the task is still busy with an attempt.

use std::sync::Arc;

use bridgehead_admin_api::{
    PauseRequest, PolicyRequest, ReasonRequest, ReplayRequest, Service, SkipRequest, State,
};
use bridgehead_store::{AppserviceNid, Error as StoreError, Orders, PauseRow, StreamPosition, Tx};

use super::{
    Act, Operator, checked_reason,
    view::{find, view_ordered},
};
use crate::{app::App, appservices::Appservice, http::error::ApiError};

/// Who pauses and drains in the database's words.
const OPERATOR: &str = "operator";
/// The most attempts that a policy may wait for.
const MAX_SKIP_AFTER: u32 = 1_000_000;

/// A service with what is ordered, to give an order to.
pub(crate) struct Steering<'a> {
    /// The server.
    pub(crate) app: &'a App,
    /// Who orders.
    pub(crate) by: &'a Operator,
    /// The service.
    pub(crate) service: Arc<Appservice>,
}

/// What a verb did, for the audit log.
type Detail = Option<String>;

impl<'a> Steering<'a> {
    /// The service with this id.
    ///
    /// # Errors
    /// 404 when none is registered.
    pub(crate) fn of(app: &'a App, by: &'a Operator, id: &str) -> Result<Self, ApiError> {
        Ok(Self {
            app,
            by,
            service: find(app, id)?,
        })
    }

    /// Nothing is sent until this ends.
    pub(crate) async fn pause(self, request: PauseRequest) -> Result<Service, ApiError> {
        let now_ms = self.app.now_ms();
        if request.until_ms.is_some_and(|until| until <= now_ms) {
            return Err(ApiError::invalid_param("until_ms has passed already"));
        }
        let reason = checked_reason(request.reason)?;
        let pause = PauseRow {
            by: OPERATOR.to_owned(),
            since: now_ms,
            until: request.until_ms,
            reason: reason.clone(),
        };
        self.order("pause", reason, move |tx, nid| {
            // One of the two holds it: a drain would take the pause away at its end.
            tx.end_drain(nid)?;
            tx.pause_delivery(nid, &pause)?;
            Ok(pause.until.map(|until| format!("until {until}")))
        })
        .await
    }

    /// Ends an operator's pause or drain.
    pub(crate) async fn resume(self, request: ReasonRequest) -> Result<Service, ApiError> {
        let reason = checked_reason(request.reason)?;
        self.order("resume", reason, |tx, nid| {
            if tx.resume_delivery(nid, OPERATOR)? {
                return Ok(None);
            }
            let orders = tx.orders(nid)?;
            Err(ApiError::conflict(if orders.pauses.is_empty() {
                "The service is not paused, and there is no drain to end"
            } else {
                "The service has paused itself, and goes on when it says so"
            }))
        })
        .await
    }

    /// The next attempt is now; a service that was given up is brought back.
    pub(crate) async fn retry(self, request: ReasonRequest) -> Result<Service, ApiError> {
        let reason = checked_reason(request.reason)?;
        let state = self.service.delivery.status.state();
        self.order("retry", reason, move |tx, nid| {
            if tx.recover_delivery(nid)? {
                return Ok(Some("brought back".to_owned()));
            }
            if !tx.orders(nid)?.pauses.is_empty() {
                return Err(ApiError::conflict(
                    "The service is paused, so nothing is tried; resume it",
                ));
            }
            match state {
                // Failed: it was brought back a moment ago, and the task does not know yet.
                State::Retrying | State::Failed => Ok(None),
                State::Idle => Err(ApiError::conflict(
                    "There is nothing to retry: no attempt has failed",
                )),
                State::Delivering => Err(ApiError::conflict(
                    "A transaction is on its way at this moment; wait for its outcome",
                )),
            }
        })
        .await
    }

    /// Gives the service up until a person brings it back.
    pub(crate) async fn fail(self, request: ReasonRequest) -> Result<Service, ApiError> {
        let reason = checked_reason(request.reason)?;
        let figures = self.service.delivery.status.figures();
        let now_ms = self.app.now_ms();
        self.order("fail", reason, move |tx, nid| {
            if tx.orders(nid)?.failed_at.is_some() {
                return Err(ApiError::conflict("The service has been given up already"));
            }
            if figures.state != State::Retrying && figures.failed_attempts == 0 {
                return Err(ApiError::conflict(
                    "Only a service whose attempts fail can be given up; pause this one to hold it",
                ));
            }
            tx.fail_delivery(nid, now_ms)?;
            Ok(None)
        })
        .await
    }

    /// Passes over the transaction in flight; what was in it is kept.
    pub(crate) async fn skip(self, request: SkipRequest) -> Result<Service, ApiError> {
        let reason = checked_reason(request.reason)?;
        let wanted = request.transaction_id;
        let (by, now_ms) = (self.by.name.clone(), self.app.now_ms());
        let why = reason.clone();
        self.order("skip", reason, move |tx, nid| {
            let skipped = match wanted.parse() {
                Ok(txn_id) => tx.skip_transaction(nid, txn_id, &by, now_ms, why.as_deref())?,
                Err(_) => None,
            };
            let Some(skipped) = skipped else {
                let in_flight = tx.frozen_transaction(nid)?.map(|frozen| frozen.txn_id);
                return Err(ApiError::conflict(match in_flight {
                    Some(txn_id) => format!(
                        "Transaction {wanted} is not in flight, {txn_id} is; look at that one first"
                    ),
                    None => format!(
                        "Transaction {wanted} is not in flight, and no other is: nothing to skip"
                    ),
                }));
            };
            Ok(Some(format!(
                "transaction {}, skip {}",
                skipped.txn_id, skipped.skip_id
            )))
        })
        .await
    }

    /// Sends again what was sent, or skipped, before.
    pub(crate) async fn replay(self, request: ReplayRequest) -> Result<Service, ApiError> {
        let reason = checked_reason(request.reason.clone())?;
        let part = Part::of(&request)?;
        let (by, now_ms) = (self.by.name.clone(), self.app.now_ms());
        self.order("replay", reason, move |tx, nid| {
            let (after, upto) = part.bounds(tx, nid)?;
            let replay = tx.replay(nid, after, upto, &by, now_ms);
            let replay = replay.map_err(|error| match error {
                StoreError::Conflict { .. } => {
                    ApiError::conflict("Too many replays wait for this service; wait for them")
                }
                other => other.into(),
            })?;
            let Some(replay) = replay else {
                return Err(ApiError::conflict(format!(
                    "Nothing between {} and the service's cursor: there is nothing to replay",
                    after.0
                )));
            };
            if let Part::Skip(skip_id) = part {
                tx.set_replayed(nid, skip_id, now_ms)?;
            }
            Ok(Some(format!("{} to {}", replay.from.0, replay.upto.0)))
        })
        .await
    }

    /// Delivers what is there now, then pauses.
    pub(crate) async fn drain(self, request: ReasonRequest) -> Result<Service, ApiError> {
        let reason = checked_reason(request.reason)?;
        let by = self.by.name.clone();
        self.order("drain", reason, move |tx, nid| {
            let orders = tx.orders(nid)?;
            if orders.failed_at.is_some() {
                return Err(ApiError::conflict(
                    "The service was given up; bring it back with retry before a drain",
                ));
            }
            if !orders.pauses.is_empty() {
                return Err(ApiError::conflict(
                    "The service is paused, so nothing would drain; resume it first",
                ));
            }
            tx.drain_delivery(nid, &by)?;
            Ok(None)
        })
        .await
    }

    /// What the server may do by itself about a stuck event.
    pub(crate) async fn set_policy(self, request: PolicyRequest) -> Result<Service, ApiError> {
        let reason = checked_reason(request.reason)?;
        let skip_after = request.skip_stuck_after;
        if skip_after.is_some_and(|after| !(1..=MAX_SKIP_AFTER).contains(&after)) {
            return Err(ApiError::invalid_param(format!(
                "skip_stuck_after is a number of attempts, 1 to {MAX_SKIP_AFTER}; leave it out to \
                 wait for a person"
            )));
        }
        self.order("policy", reason, move |tx, nid| {
            tx.set_policy(nid, skip_after)?;
            Ok(Some(match skip_after {
                Some(after) => format!("skip a stuck event after {after} attempts"),
                None => "wait for a person".to_owned(),
            }))
        })
        .await
    }

    /// Writes the order and its audit entry, and tells the task.
    async fn order(
        self,
        action: &'static str,
        reason: Option<String>,
        work: impl FnOnce(&mut Tx<'_>, AppserviceNid) -> Result<Detail, ApiError> + Send + 'static,
    ) -> Result<Service, ApiError> {
        let act = Act {
            who: self.by.name.clone(),
            action,
            service_id: Some(self.service.registration.id.clone()),
            reason,
            at_ms: self.app.now_ms(),
        };
        let nid = self.service.nid;
        let orders: Orders = self
            .app
            .store
            .write(move |tx| {
                let detail = work(tx, nid)?;
                act.record(tx, detail)?;
                Ok::<_, ApiError>(tx.orders(nid)?)
            })
            .await?;
        self.service.delivery.control_changed();
        Ok(view_ordered(self.app, &self.service, &orders))
    }
}

/// What is to be replayed.
#[derive(Debug, Clone, Copy)]
enum Part {
    After(StreamPosition),
    Since(i64),
    Skip(i64),
}

impl Part {
    fn of(request: &ReplayRequest) -> Result<Self, ApiError> {
        match (request.after, request.since_ms, request.skip_id) {
            (Some(after), None, None) => Ok(Self::After(StreamPosition(after))),
            (None, Some(since_ms), None) => Ok(Self::Since(since_ms)),
            (None, None, Some(skip_id)) => {
                Ok(Self::Skip(i64::try_from(skip_id).unwrap_or(i64::MAX)))
            }
            _ => Err(ApiError::invalid_param(
                "Say what to replay with exactly one of after, since_ms and skip_id",
            )),
        }
    }

    /// Where it begins and ends; the store cuts the end at the cursor.
    fn bounds(
        self,
        tx: &Tx<'_>,
        nid: AppserviceNid,
    ) -> Result<(StreamPosition, StreamPosition), ApiError> {
        let end = || tx.orders(nid).map(|orders| orders.cursor);
        Ok(match self {
            Self::After(after) => (after, end()?),
            Self::Since(since_ms) => (tx.position_before(since_ms)?, end()?),
            Self::Skip(skip_id) => {
                let skip = tx.skip(nid, skip_id)?.ok_or_else(|| {
                    ApiError::not_found(format!("The service has no skip {skip_id}"))
                })?;
                (skip.from, skip.upto)
            }
        })
    }
}
