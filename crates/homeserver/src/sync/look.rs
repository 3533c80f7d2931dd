//! One look at the database on behalf of a reader: who reads, since when, and with which filter.
//!
//! Everything in one answer is read through the same [`Snapshot`], up to the same position.

use std::{cell::OnceCell, collections::HashSet, sync::Arc};

use bridgehead_store::{Result, Snapshot, StreamPosition, TimelineEvent};
use ruma::{OwnedUserId, api::client::filter::FilterDefinition};
use serde_json::value::RawValue;

use super::{filter::pick_fields, token::SyncToken, unread::Rules};
use crate::{
    http::auth::Requester,
    rooms::format::{Format, raw},
};

/// Who reads, and what of it.
#[derive(Clone)]
pub(crate) struct Reader {
    /// The user.
    pub(crate) user_id: OwnedUserId,
    /// The device; application services may read without one.
    pub(crate) device_id: Option<String>,
    /// What is wanted.
    pub(crate) filter: Arc<FilterDefinition>,
    /// Events carry the copies of the protocol's first version.
    pub(crate) legacy: bool,
}

impl Reader {
    /// A reader of the streams of the protocol's first version, which have no filters.
    pub(crate) fn legacy(requester: Requester) -> Self {
        Self {
            user_id: requester.user_id,
            device_id: requester.device_id,
            filter: Arc::default(),
            legacy: true,
        }
    }
}

/// A reader with a snapshot.
pub(crate) struct Look<'a> {
    /// The data.
    pub(crate) snapshot: &'a Snapshot<'a>,
    /// Who reads.
    pub(crate) reader: &'a Reader,
    /// What was told before; `None` on the first sync.
    pub(crate) since: Option<SyncToken>,
    /// The newest position in the snapshot.
    pub(crate) upto: StreamPosition,
    /// The time that ages are measured at.
    pub(crate) now_ms: i64,
    ignored: HashSet<String>,
    rules: OnceCell<Rules>,
}

impl<'a> Look<'a> {
    pub(crate) fn new(
        snapshot: &'a Snapshot<'a>,
        reader: &'a Reader,
        since: Option<SyncToken>,
        now_ms: i64,
    ) -> Result<Self> {
        let user_id = reader.user_id.as_str();
        Ok(Self {
            snapshot,
            reader,
            since,
            upto: snapshot.last_position()?,
            now_ms,
            ignored: ignored_users(snapshot, user_id)?,
            rules: OnceCell::new(),
        })
    }

    /// The reader's id.
    pub(crate) fn user_id(&self) -> &'a str {
        self.reader.user_id.as_str()
    }

    /// Everything up to here was told before.
    pub(crate) fn since_position(&self) -> StreamPosition {
        self.since
            .map_or(StreamPosition::ZERO, |since| since.position)
    }

    /// Whether the reader does not want to hear of this user: no messages, no invites.
    pub(crate) fn ignores(&self, user_id: &str) -> bool {
        self.ignored.contains(user_id)
    }

    /// The reader's push rules, read when first needed.
    pub(crate) fn rules(&self) -> Result<&Rules> {
        if let Some(rules) = self.rules.get() {
            return Ok(rules);
        }
        let rules = Rules::read(self.snapshot, &self.reader.user_id)?;
        Ok(self.rules.get_or_init(|| rules))
    }

    /// An event for the reader. `room_id` is left out where it is the key.
    pub(crate) fn format(
        &self,
        event: &TimelineEvent,
        with_room_id: bool,
    ) -> Result<Box<RawValue>> {
        self.format_with(event, with_room_id, None)
    }

    /// The same with the stripped state that goes with an invite or knock: (key, JSON array).
    pub(crate) fn format_with(
        &self,
        event: &TimelineEvent,
        with_room_id: bool,
        stripped_state: Option<(&str, &str)>,
    ) -> Result<Box<RawValue>> {
        let plain = Format {
            now_ms: self.now_ms,
            legacy: self.reader.legacy,
            without_room_id: !with_room_id,
            device_id: self.reader.device_id.as_deref(),
            reader: Some(self.user_id()),
            ..Format::default()
        };
        let because = match &event.redacted_by {
            Some(redaction) => self.snapshot.event(redaction)?,
            None => None,
        };
        let because = because.map(|redaction| plain.event(&redaction));
        let text = Format {
            redacted_because: because.as_deref(),
            stripped_state,
            ..plain
        }
        .event(event);
        Ok(raw(match &self.reader.filter.event_fields {
            Some(fields) => pick_fields(&text, fields),
            None => text,
        }))
    }

    /// Several events for the reader.
    pub(crate) fn format_all(
        &self,
        events: &[TimelineEvent],
        with_room_id: bool,
    ) -> Result<Vec<Box<RawValue>>> {
        events
            .iter()
            .map(|event| self.format(event, with_room_id))
            .collect()
    }
}

/// `m.ignored_user_list` (client-server API, "Ignoring users").
fn ignored_users(snapshot: &Snapshot<'_>, user_id: &str) -> Result<HashSet<String>> {
    #[derive(serde::Deserialize)]
    struct Content {
        ignored_users: std::collections::BTreeMap<String, serde::de::IgnoredAny>,
    }
    let content = snapshot.account_data(user_id, "", "m.ignored_user_list")?;
    Ok(content
        .and_then(|content| serde_json::from_str::<Content>(&content).ok())
        .map(|content| content.ignored_users.into_keys().collect())
        .unwrap_or_default())
}
