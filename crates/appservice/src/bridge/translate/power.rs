//! Whom somebody has given more power, or less.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Meaning;
use crate::{
    Event,
    bridge::{
        Action, Network,
        live::Live,
        network::{Member, PowerChange},
    },
    core::Core,
    id::UserId,
    state::power::to_speak,
};

/// The level that a content gives to somebody whom it may not name.
fn level(content: Option<&Value>, user: &str) -> i64 {
    let number = |value: &Value| {
        value
            .as_i64()
            .or_else(|| value.as_str()?.trim().parse().ok())
    };
    let field = |name: &str| content.and_then(|content| content.get(name));
    let own = field("users").and_then(|users| users.get(user));
    own.and_then(number)
        .or_else(|| field("users_default").and_then(number))
        .unwrap_or(0)
}

/// All who are named before or now, and have another level, and who may speak, where that is asked for; nothing, where
/// there is nobody but the service's user.
pub(super) fn changes<N: Network>(
    live: &Live<N>,
    core: &Core,
    event: &Event,
    has_rules: bool,
) -> Meaning<N> {
    let (before, now) = (event.previous_content(), Some(&event.content));
    let named = [before, now].into_iter().flatten();
    let named = named.filter_map(|content| content.get("users")?.as_object());
    let named: BTreeSet<&String> = named.flat_map(|users| users.keys()).collect();
    let change = |user: &String| {
        let (before, now) = (level(before, user), level(now, user));
        let user = UserId::parse(user).ok().filter(|_| before != now)?;
        let whom = match live.user_of(&user) {
            Some(user) => Member::User(user),
            None if core.is_own(&user) => return None,
            None => Member::Person(user),
        };
        Some(PowerChange { whom, before, now })
    };
    let changes: Vec<_> = named.into_iter().filter_map(change).collect();
    let speech = (to_speak(before), to_speak(now));
    let speech = (has_rules && speech.0 != speech.1).then_some(speech);
    (!changes.is_empty() || speech.is_some()).then_some(Ok(Action::Power { changes, speech }))
}
