//! How many events of a room wait to be read, by the reader's push rules.

use std::collections::BTreeMap;

use bridgehead_store::{Result, Snapshot, StreamPosition, TimelineEvent};
use futures_util::FutureExt as _;
use ruma::{
    Int, OwnedUserId, RoomId, RoomVersionId, UInt, UserId,
    events::push_rules::PushRulesEventContent,
    power_levels::NotificationPowerLevels,
    push::{Action, PushConditionPowerLevelsCtx, PushConditionRoomCtx, Ruleset},
    room_version_rules::RoomPowerLevelsRules,
    serde::Raw,
};
use serde::Deserialize;

use super::{look::Look, response::UnreadCounts};
use crate::rooms::format::Format;

/// Only so many of the newest events are counted.
const MAX_COUNTED: usize = 100;

/// A user's push rules.
pub(crate) struct Rules(Ruleset);

impl Rules {
    /// The stored rules, or the ones that everybody starts with.
    pub(crate) fn read(snapshot: &Snapshot<'_>, user_id: &UserId) -> Result<Self> {
        let stored = snapshot.account_data(user_id.as_str(), "", "m.push_rules")?;
        let rules = stored
            .and_then(|text| serde_json::from_str::<PushRulesEventContent>(&text).ok())
            .map_or_else(
                || Ruleset::server_default(user_id),
                |content| content.global,
            );
        Ok(Self(rules))
    }
}

/// Counts a room's events after the reader's receipt (or own joining) that the rules tell of.
pub(crate) fn count(
    look: &Look<'_>,
    room_id: &str,
    member_since: StreamPosition,
) -> Result<UnreadCounts> {
    let mut counts = UnreadCounts::default();
    let after = read_upto(look, room_id)?.max(member_since);
    let events = look
        .snapshot
        .events_backward(room_id, look.upto, after, MAX_COUNTED)?;
    let mut unread = events
        .iter()
        .filter(|event| event.sender != look.user_id() && event.redacted_by.is_none())
        .peekable();
    if unread.peek().is_none() {
        return Ok(counts);
    }
    let Some(context) = context(look, room_id)? else {
        return Ok(counts);
    };
    let rules = look.rules()?;
    for event in unread {
        let (notifies, highlights) = evaluate(&rules.0, event, &context);
        counts.notification_count += u64::from(notifies);
        counts.highlight_count += u64::from(highlights);
    }
    Ok(counts)
}

/// The newest event that the reader's unthreaded or main-timeline receipts name.
fn read_upto(look: &Look<'_>, room_id: &str) -> Result<StreamPosition> {
    let mut newest = StreamPosition::ZERO;
    for kind in ["m.read", "m.read.private"] {
        for thread_id in ["", "main"] {
            let receipt = look
                .snapshot
                .receipt(room_id, look.user_id(), kind, thread_id)?;
            if let Some(receipt) = receipt
                && let Some(event) = look.snapshot.event(&receipt.event_id)?
            {
                newest = newest.max(event.pos);
            }
        }
    }
    Ok(newest)
}

fn evaluate(
    rules: &Ruleset,
    event: &TimelineEvent,
    context: &PushConditionRoomCtx,
) -> (bool, bool) {
    let text = Format::default().event(event);
    let Ok(event) = serde_json::from_str::<Raw<serde_json::Value>>(&text) else {
        return (false, false);
    };
    // Asynchronous only for thread subscriptions, which the context does not ask for.
    let Some(actions) = rules.get_actions(&event, context).now_or_never() else {
        return (false, false);
    };
    let notifies = actions.iter().any(Action::should_notify);
    let highlights = notifies && actions.iter().any(Action::is_highlight);
    (notifies, highlights)
}

fn context(look: &Look<'_>, room_id: &str) -> Result<Option<PushConditionRoomCtx>> {
    let (joined, _) = look.snapshot.member_counts(room_id)?;
    let Ok(id) = <&RoomId>::try_from(room_id) else {
        return Ok(None);
    };
    let context = PushConditionRoomCtx::new(
        id.to_owned(),
        UInt::new_saturating(joined),
        look.reader.user_id.clone(),
        display_name(look, room_id)?,
    );
    Ok(Some(match power_levels(look, room_id)? {
        Some(levels) => context.with_power_levels(levels),
        None => context,
    }))
}

fn display_name(look: &Look<'_>, room_id: &str) -> Result<String> {
    #[derive(Deserialize)]
    struct Content {
        displayname: String,
    }
    let member = look
        .snapshot
        .membership_at(room_id, look.user_id(), look.upto)?;
    Ok(member
        .and_then(|event| serde_json::from_str::<Content>(&event.content).ok())
        .map(|content| content.displayname)
        .unwrap_or_default())
}

fn power_levels(look: &Look<'_>, room_id: &str) -> Result<Option<PushConditionPowerLevelsCtx>> {
    #[derive(Deserialize)]
    struct Content {
        #[serde(default)]
        users: BTreeMap<OwnedUserId, Int>,
        #[serde(default)]
        users_default: Int,
        #[serde(default)]
        notifications: NotificationPowerLevels,
    }
    let Some(record) = look.snapshot.room_record(room_id)? else {
        return Ok(None);
    };
    let state = |event_type| {
        look.snapshot
            .state_event_at(room_id, event_type, "", look.upto)
    };
    let content = state("m.room.power_levels")?
        .and_then(|event| serde_json::from_str::<Content>(&event.content).ok());
    let Some(content) = content else {
        return Ok(None);
    };
    let creators = match state("m.room.create")? {
        Some(create) => creators(&create),
        None => Vec::new(),
    };
    let rules = level_rules(&record.version, creators);
    Ok(rules.map(|rules| {
        PushConditionPowerLevelsCtx::new(
            content.users,
            content.users_default,
            content.notifications,
            rules,
        )
    }))
}

fn level_rules(
    version: &RoomVersionId,
    creators: Vec<OwnedUserId>,
) -> Option<RoomPowerLevelsRules> {
    let rules = version.rules()?;
    Some(RoomPowerLevelsRules::new(&rules.authorization, creators))
}

fn creators(create: &TimelineEvent) -> Vec<OwnedUserId> {
    #[derive(Deserialize)]
    struct Content {
        #[serde(default)]
        additional_creators: Vec<OwnedUserId>,
    }
    let mut creators: Vec<OwnedUserId> = create.sender.as_str().try_into().into_iter().collect();
    if let Ok(content) = serde_json::from_str::<Content>(&create.content) {
        creators.extend(content.additional_creators);
    }
    creators
}
