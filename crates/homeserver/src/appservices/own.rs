//! What a service may do about its own delivery: go off line and come back, look, have it again.
//!
//! Each act is audited as `service:<id>`. A service ends only the pause that it made itself; an
//! operator's holds until an operator ends it.

use bridgehead_store::{AuditRow, Error, PauseRow, ReplayRow, StreamPosition};

use super::Appservice;
use crate::app::App;

/// How the store names a pause that the service made.
const BY_SERVICE: &str = "service";

impl Appservice {
    /// Whether the service has said that it is off line.
    pub(crate) fn is_offline(&self, now_ms: i64) -> bool {
        self.delivery.status.is_paused_by(BY_SERVICE, now_ms)
    }

    /// The service goes off line: its queue grows and nothing is tried.
    pub(crate) async fn go_offline(
        &self,
        app: &App,
        reason: Option<String>,
        until_ms: Option<i64>,
    ) -> bridgehead_store::Result<()> {
        let pause = PauseRow {
            by: BY_SERVICE.to_owned(),
            since: app.now_ms(),
            until: until_ms,
            reason: reason.clone(),
        };
        let nid = self.nid;
        let audit = AuditRow {
            reason,
            ..self.audit(app, "offline")
        };
        let ordered = pause.clone();
        app.store
            .write(move |tx| {
                tx.pause_delivery(nid, &ordered)?;
                tx.insert_audit(&audit)
            })
            .await?;
        self.delivery.status.paused(pause);
        self.delivery.control_changed();
        Ok(())
    }

    /// The service is on line again. What it says ends the pause: `how` is for the audit log.
    pub(crate) async fn go_online(&self, app: &App, how: &str) -> bridgehead_store::Result<()> {
        let nid = self.nid;
        let audit = AuditRow {
            detail: Some(how.to_owned()),
            ..self.audit(app, "online")
        };
        let ended = app
            .store
            .write(move |tx| {
                let ended = tx.resume_delivery(nid, BY_SERVICE)?;
                if ended {
                    tx.insert_audit(&audit)?;
                }
                Ok::<_, Error>(ended)
            })
            .await?;
        if ended {
            self.delivery.status.resumed(BY_SERVICE);
            self.delivery.control_changed();
        }
        Ok(())
    }

    /// The same for a sign that says so without asking for anything: a store that fails is
    /// logged, and the service may say it again.
    pub(crate) async fn come_online(&self, app: &App, how: &str) {
        if self.is_offline(app.now_ms()) {
            self.say_online(app, how).await;
        }
    }

    /// The same where it is not known whether it was off line.
    pub(crate) async fn say_online(&self, app: &App, how: &str) {
        if let Err(error) = self.go_online(app, how).await {
            tracing::error!(appservice.id = %self.registration.id, %error, "the service stays off line");
        }
    }

    /// The service wants everything after a position once more. `None`: there is nothing.
    pub(crate) async fn replay_own(
        &self,
        app: &App,
        after: u64,
    ) -> bridgehead_store::Result<Option<ReplayRow>> {
        let (nid, now_ms) = (self.nid, app.now_ms());
        let audit = AuditRow {
            detail: Some(format!("after {after}")),
            ..self.audit(app, "replay")
        };
        let who = audit.who.clone();
        let replay = app
            .store
            .write(move |tx| {
                let upto = StreamPosition(u64::MAX);
                let replay = tx.replay(nid, StreamPosition(after), upto, &who, now_ms)?;
                if replay.is_some() {
                    tx.insert_audit(&audit)?;
                }
                Ok::<_, Error>(replay)
            })
            .await?;
        if replay.is_some() {
            self.delivery.control_changed();
        }
        Ok(replay)
    }

    /// The transaction that waits for this service's acknowledgement, in this life or an earlier
    /// one of the server.
    pub(crate) async fn frozen_txn_id(&self, app: &App) -> bridgehead_store::Result<Option<u64>> {
        let nid = self.nid;
        app.store
            .read(move |snapshot| {
                let frozen = snapshot.frozen_transaction(nid)?;
                Ok(frozen.map(|transaction| transaction.txn_id))
            })
            .await
    }

    fn audit(&self, app: &App, action: &str) -> AuditRow {
        AuditRow {
            at_ms: app.now_ms(),
            who: format!("service:{}", self.registration.id),
            action: action.to_owned(),
            service_id: Some(self.registration.id.clone()),
            ..AuditRow::default()
        }
    }
}
