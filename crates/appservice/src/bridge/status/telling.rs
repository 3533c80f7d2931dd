//! What the sender of an event is told: by status events, and by notices.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{BRIDGE_ERROR, STATUS, flood, shown, status};
use crate::{
    Error, Event, Urgency,
    bridge::{Network, Rejected, live::Live, network::Carrying, portal::Portal},
    core::Core,
    id::EventId,
    outbox::{Outgoing, What},
};

/// What the sender of an event is told, and by which names: news of another attempt are other news.
pub(super) struct Telling<'a, N: Network> {
    pub(super) live: &'a Arc<Live<N>>,
    pub(super) core: &'a Arc<Core>,
    pub(super) portal: &'a Portal<N>,
    /// What tells these news from others of the same event.
    pub(super) news: Option<String>,
    /// What has asked for another attempt.
    pub(super) last_retry: Option<&'a EventId>,
}

impl<'a, N: Network> Telling<'a, N> {
    pub(super) fn of(carrying: &'a Carrying<'_, N>) -> Self {
        Self {
            live: carrying.live,
            core: &carrying.context.core,
            portal: carrying.portal,
            news: carrying.again.as_ref().map(ToString::to_string),
            last_retry: carrying.again.as_ref(),
        }
    }

    /// Tells of a no: clients in any case, people of what somebody has meant to say or to do.
    pub(super) async fn no(
        &self,
        event: &Event,
        no: &Rejected,
        is_said: bool,
    ) -> Result<(), Error> {
        tracing::info!(network = N::NAME, event.id = %event.id, reason = no.reason, "the network has not got it");
        let kind = match no.cause.may_pass() {
            true => "FAIL_RETRIABLE",
            false => "FAIL_PERMANENT",
        };
        self.status(event, (kind, "failure"), Some(no)).await?;
        if is_said {
            if self.live.plan.status.bridge_errors {
                self.bridge_error(event, no).await?;
            }
            if self.live.plan.status.notices && !no.is_quiet {
                flood::notice(self, event, no).await?;
            }
        }
        Ok(())
    }

    pub(super) fn key(&self, event: &Event, what: &str) -> String {
        match &self.news {
            None => format!("{}/{}/{what}", event.id, N::NAME),
            Some(news) => format!("{}/{}/{what}/{news}", event.id, N::NAME),
        }
    }

    pub(super) async fn enqueue(
        &self,
        kind: &str,
        key: String,
        content: Value,
    ) -> Result<(), Error> {
        send(self.core, self.portal, (kind, key), content).await
    }

    pub(super) async fn status(
        &self,
        event: &Event,
        (kind, what): (&str, &str),
        no: Option<&Rejected>,
    ) -> Result<(), Error> {
        if !self.live.plan.status.failures {
            return Ok(());
        }
        let mut content = status(N::NAME, &event.id, kind);
        if let Some(no) = no {
            content["reason"] = json!(no.cause.as_status());
            content["message"] = json!(shown(&no.reason));
        }
        if let Some(again) = self.last_retry {
            content["last_retry"] = json!(again);
        }
        self.enqueue(STATUS, self.key(event, what), content).await
    }

    async fn bridge_error(&self, event: &Event, no: &Rejected) -> Result<(), Error> {
        let content = json!({
            "network_name": N::TITLE,
            "reason": no.cause.as_bridge_error(),
            "affected_users": self.live.users_patterns(),
            "m.relates_to": { "rel_type": "m.reference", "event_id": event.id },
        });
        self.enqueue(BRIDGE_ERROR, self.key(event, "error"), content)
            .await
    }
}

/// Sends it as who looks after the portal; not where that one was put out of the room, whose people want to hear
/// nothing of the bridge.
pub(super) async fn send<N: Network>(
    core: &Core,
    portal: &Portal<N>,
    (kind, key): (&str, String),
    content: Value,
) -> Result<(), Error> {
    let agent = portal.agent(core);
    if core.removed_by(&agent, &portal.matrix).await?.is_some() {
        return Ok(());
    }
    let outgoing = Outgoing {
        key,
        room_id: portal.matrix.clone(),
        user: agent,
        what: What::Event(kind.to_owned()),
        content,
        ts_ms: None,
        urgency: Urgency::Message,
    };
    core.outbox.enqueue(&outgoing).await
}
