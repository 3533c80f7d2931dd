//! Channels that the configuration maps, and those that people get by joining an alias.

use std::collections::BTreeSet;

use bridgehead_appservice::{id::RoomId, registration::NamespaceTemplate};
use bridgehead_irc::ids::is_channel;
use serde_json::Value;

use crate::{draft::Draft, keys::Keys, mai::names::OldTemplate};

/// Whether rooms that were made for aliases were open to everybody.
pub(super) fn dynamic(keys: &mut Keys, (domain, name): (&str, &str), draft: &mut Draft) -> bool {
    let section = ["networks", name, "dynamic"];
    let mut dynamic = keys.section("dynamicChannels");
    let is_enabled = dynamic.flag("enabled").unwrap_or(false);
    draft.set(&section, "enabled", is_enabled);
    let published = dynamic.flag("published").unwrap_or(true);
    let directory = dynamic.flag("useHomeserverDirectory").unwrap_or(false);
    draft.set(&section, "published", published && directory);
    if published && !directory && is_enabled {
        draft.note(format!(
            "{}: rooms stand in the homeserver's own directory or in none; in none, for now",
            dynamic.name("published")
        ));
    }
    draft.set_some(&section, "federate", dynamic.flag("federate"));
    draft.set_some(&section, "room_version", dynamic.text("roomVersion"));
    let exclude = dynamic.texts("exclude");
    if !exclude.is_empty() {
        draft.set(&section, "exclude", exclude);
    }
    let is_open = dynamic.text("joinRule").is_none_or(|rule| rule == "public");
    if !is_open {
        draft.note(format!(
            "{}: the rooms that are there keep their join rules; into new ones whoever joins an alias is let in, as the levels in [permissions] say",
            dynamic.name("joinRule")
        ));
    }
    let text = dynamic
        .text("aliasTemplate")
        .unwrap_or_else(|| "#irc_$SERVER_$CHANNEL".to_owned());
    let template = OldTemplate::parse(&text, '#', ("$CHANNEL", domain));
    let translated = template.map(|template| format!("#{}", template.translated("channel")));
    match translated.filter(|text| NamespaceTemplate::aliases(text).is_ok()) {
        Some(aliases) => draft.set(&["networks", name], "aliases", aliases),
        None => draft.note(format!(
            "{}: {text:?} cannot be told from other aliases of the homeserver. Rooms keep theirs; new ones are named by `aliases`",
            dynamic.name("aliasTemplate")
        )),
    }
    dynamic.rest(
        &[
            ("createAlias", "rooms of channels have aliases"),
            ("whitelist", "see [permissions]"),
            ("groupId", "there are no groups any more"),
        ],
        &mut draft.notes,
    );
    is_open
}

pub(super) fn mappings(
    keys: &mut Keys,
    name: &str,
    rooms: &mut BTreeSet<RoomId>,
    draft: &mut Draft,
) -> Vec<(String, RoomId)> {
    let mut mapped: Vec<(String, RoomId)> = Vec::new();
    let section = keys.section("mappings");
    let path = section.name("");
    for (channel, value) in section.entries() {
        let place = format!("{path}{channel}");
        if !is_channel(&channel)
            || mapped
                .iter()
                .any(|(other, _)| other.eq_ignore_ascii_case(&channel))
        {
            draft.note(format!(
                "{place}: that is no channel, or it is mapped twice"
            ));
            continue;
        }
        let (listed, key) = match &value {
            Value::Object(keys) => (keys.get("roomIds"), keys.get("key").and_then(Value::as_str)),
            other => (Some(other), None),
        };
        let listed = listed.and_then(Value::as_array).into_iter().flatten();
        let mut is_first = true;
        for room in listed.filter_map(Value::as_str) {
            let id = RoomId::parse(room).ok().filter(|_| is_first);
            match id.filter(|id| rooms.insert(id.clone())) {
                Some(id) => {
                    let section = ["networks", name, "channels", &channel];
                    draft.set(&section, "room", room);
                    draft.set_some(&section, "key", key);
                    mapped.push((channel.clone(), id));
                    is_first = false;
                }
                None => draft.note(format!("{place}: {room}: a channel has one room here, and a room one channel; or that is no room id")),
            }
        }
    }
    mapped
}
