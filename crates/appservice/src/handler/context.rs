//! What a call of a handler is about.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use serde_json::Value;

use super::{
    query::{AliasAsk, UserAsk},
    third_party::RemoteAsk,
};
use crate::{Event, bridge::CommandAsk, core::Core, id::RoomId, store::Tx};

/// What has come in.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    Event(Arc<Event>),
    /// A command, and the event that it was given in.
    Command(Arc<Event>, Arc<CommandAsk>),
    /// A to-device message, as it came.
    ToDevice(Arc<Value>),
    /// Changes of devices and key counts, as they came.
    Devices(Arc<Value>),
    /// An ephemeral event, as it came.
    Ephemeral(Arc<Value>),
    Alias(AliasAsk),
    User(UserAsk),
    /// Something of the other network is looked for.
    Remote(RemoteAsk),
    /// The service has started.
    Start,
}

impl Input {
    /// What kind of thing it is, for figures: an event's type, where it is one.
    pub(crate) fn kind(&self) -> String {
        let kind_of = |value: &Value| value.get("type").and_then(Value::as_str).map(str::to_owned);
        match self {
            Self::Event(event) | Self::Command(event, _) => event.kind.to_string(),
            Self::Ephemeral(value) => kind_of(value).unwrap_or_else(|| "ephemeral".to_owned()),
            Self::ToDevice(_) => "to-device".to_owned(),
            Self::Devices(_) => "devices".to_owned(),
            Self::Alias(_) => "alias".to_owned(),
            Self::User(_) => "user".to_owned(),
            Self::Remote(_) => "third-party".to_owned(),
            Self::Start => "start".to_owned(),
        }
    }
}

/// Names the effects of one call of a handler, so that the same call again means the same effects.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    prefix: Arc<str>,
    next: Arc<AtomicU64>,
}

impl Scope {
    pub(crate) fn new(prefix: String) -> Self {
        Self {
            prefix: prefix.into(),
            next: Arc::new(AtomicU64::new(0)),
        }
    }

    /// The next effect's name. A handler that does the same things in the same order gets the same names.
    pub(crate) fn next_key(&self) -> String {
        format!(
            "{}/{}",
            self.prefix,
            self.next.fetch_add(1, Ordering::Relaxed)
        )
    }
}

/// How the event came to the handler: which transaction, which attempt.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Delivery {
    /// The homeserver's id of the transaction; empty where there was none.
    pub txn_id: Arc<str>,
    /// Which attempt this is, from 1 on. Attempts that failed because the homeserver was away, or that wait for
    /// something else ([`Verdict::Wait`](crate::Verdict::Wait)), are among them, though they do not count towards
    /// [`Limits::attempts`](crate::Limits::attempts); after a restart, only those that do.
    pub attempt: u32,
    /// The same without those that do not count.
    pub(crate) counted: u32,
    /// Its place: what is worked off in order with it, and its row there.
    pub(crate) lane: Arc<str>,
    pub(crate) row_id: i64,
    /// Since when it waits for something that is away, ms since the Unix epoch.
    pub(crate) waiting_since_ms: Option<i64>,
    /// When the service received it, ms since the Unix epoch.
    pub received_ms: i64,
    /// The trace context (W3C *Trace Context*) of the transaction, to be sent as the header `traceparent` with what is
    /// asked of others for it. The kit's own calls carry it anyway.
    pub traceparent: Option<Arc<str>>,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            txn_id: "".into(),
            attempt: 1,
            counted: 1,
            lane: "".into(),
            row_id: 0,
            waiting_since_ms: None,
            received_ms: 0,
            traceparent: None,
        }
    }
}

/// What extractors take their values from: one event, or one question, on its way through one handler.
#[derive(Clone)]
pub struct Context {
    pub(crate) core: Arc<Core>,
    pub(crate) input: Input,
    pub(crate) delivery: Delivery,
    pub(crate) tx: Tx,
    pub(crate) scope: Scope,
}

impl Context {
    /// The event of a room, if it is about one.
    #[must_use]
    pub fn event(&self) -> Option<&Arc<Event>> {
        match &self.input {
            Input::Event(event) | Input::Command(event, _) => Some(event),
            _ => None,
        }
    }

    /// The room it is about.
    #[must_use]
    pub fn room_id(&self) -> Option<RoomId> {
        match &self.input {
            Input::Event(event) | Input::Command(event, _) => Some(event.room_id.clone()),
            Input::Ephemeral(value) => RoomId::parse(value.get("room_id")?.as_str()?).ok(),
            Input::ToDevice(_)
            | Input::Devices(_)
            | Input::Alias(_)
            | Input::User(_)
            | Input::Remote(_)
            | Input::Start => None,
        }
    }
}
