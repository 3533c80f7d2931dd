//! One network of matrix-appservice-irc's configuration, as one of this bridge's.

use std::collections::BTreeSet;

use bridgehead_appservice::{id::RoomId, registration::NamespaceTemplate};
use bridgehead_irc::ids::is_channel;
use serde_json::Value;

use super::{names::OldTemplate, settings::OldNetwork};
use crate::{
    draft::{Draft, network_name},
    keys::Keys,
};

/// What the keys of a network have no place for here.
const REASONS: [(&str, &str); 5] = [
    ("description", "`name` has taken its place"),
    (
        "sendConnectionMessages",
        "people are told what concerns them",
    ),
    (
        "ignoreIdleUsersOnStartup",
        "people are connected paced, those who speak first",
    ),
    (
        "excludedUsers",
        "see [permissions]: users and servers can be blocked there, patterns cannot",
    ),
    (
        "allowExpiredCerts",
        "a certificate is good or it is not: tls_verify",
    ),
];

/// Makes sections of a network's keys. `rooms` are those that are mapped already.
pub(super) fn translate(
    mut keys: Keys,
    (domain, encoding, names): (&str, Option<&str>, &[String]),
    rooms: &mut BTreeSet<RoomId>,
    draft: &mut Draft,
) -> OldNetwork {
    let title = keys.text("name");
    let wanted = keys.text("networkId").or_else(|| title.clone());
    let name = network_name(wanted.as_deref().unwrap_or(domain), names);
    let section = ["networks", &name];
    draft.set_some(&section, "title", title);
    if let Some(icon) = keys.text("icon") {
        match icon.starts_with("mxc://") {
            true => draft.set(&section, "icon", icon),
            false => draft.note(format!(
                "{}: only pictures in Matrix (mxc://…) can be shown",
                keys.name("icon")
            )),
        }
    }
    servers(&mut keys, (domain, &name), draft);
    draft.set_some(&section, "encoding", encoding);
    let has_sasl = keys.flag("sasl").unwrap_or(false);
    draft.set_some(&section, "password", keys.text("password"));
    bot(&mut keys, &name, draft);
    let users = clients(&mut keys, (domain, &name), draft);
    dynamic(&mut keys, (domain, &name), draft);
    sync(&mut keys, &name, draft);
    excluded(&mut keys, draft);
    let mapped = mappings(&mut keys, &name, rooms, draft);
    let mut private = keys.section("privateMessages");
    if private.flag("enabled") == Some(false) {
        draft.note(format!(
            "{}: private talks cannot be switched off; levels below `user` have none",
            private.name("enabled")
        ));
    }
    keys.rest(&REASONS, &mut draft.notes);
    OldNetwork {
        domain: domain.to_owned(),
        name,
        users,
        mapped,
        has_sasl,
    }
}

fn servers(keys: &mut Keys, (domain, name): (&str, &str), draft: &mut Draft) {
    let section = ["networks", name];
    let port = keys.number("port").unwrap_or(6667);
    let mut hosts = keys.texts("additionalAddresses");
    if !(keys.flag("onlyAdditionalAddresses").unwrap_or(false) && !hosts.is_empty()) {
        hosts.insert(0, domain.to_owned());
    }
    let servers: Vec<String> = hosts.iter().map(|host| format!("{host}:{port}")).collect();
    draft.set(&section, "servers", servers);
    draft.set(&section, "tls", keys.flag("ssl").unwrap_or(false));
    let self_signed = keys.flag("sslselfsign").unwrap_or(false);
    let expired = keys.flag("allowExpiredCerts").unwrap_or(false);
    if self_signed || expired {
        draft.set(&section, "tls_verify", "none");
        draft.note(format!("{}: tls_verify = \"none\" takes any certificate; tls_ca with the server's own is better", keys.name("sslselfsign")));
    }
    let mut options = keys.section("tlsOptions");
    if let Some(ca) = options.text("ca").or_else(|| keys.text("ca")) {
        let file = format!("{name}-ca.pem");
        draft.set(&section, "tls_ca", file.as_str());
        draft.files.insert(file, ca);
    }
    options.rest(&[], &mut draft.notes);
}

fn bot(keys: &mut Keys, name: &str, draft: &mut Draft) {
    let section = ["networks", name, "bot"];
    let mut bot = keys.section("botConfig");
    let nick = bot
        .text("nick")
        .unwrap_or_else(|| "appservicebot".to_owned());
    let username = bot
        .text("username")
        .unwrap_or_else(|| "matrixbot".to_owned());
    draft.set(&section, "nick", nick.as_str());
    draft.set(&section, "username", username);
    draft.set_some(&section, "enabled", bot.flag("enabled"));
    if let Some(password) = bot.text("password") {
        let login = ["networks", name, "bot", "login"];
        draft.set(&login, "account", nick);
        draft.set(&login, "password", password);
    }
    bot.rest(
        &[(
            "joinChannelsIfNoUsers",
            "the bridge's own connection is in every channel that is bridged",
        )],
        &mut draft.notes,
    );
}

/// The connections of people of Matrix, and what those of IRC are called.
fn clients(
    keys: &mut Keys,
    (domain, name): (&str, &str),
    draft: &mut Draft,
) -> Option<OldTemplate> {
    let section = ["networks", name, "people"];
    let mut clients = keys.section("ircClients");
    let nick = clients
        .text("nickTemplate")
        .unwrap_or_else(|| "M-$DISPLAY".to_owned());
    if nick.contains("$USERID") {
        draft.note(format!(
            "{}: $USERID has become {{localpart}}",
            clients.name("nickTemplate")
        ));
    }
    let nick = nick
        .replace("$DISPLAY", "{display}")
        .replace("$LOCALPART", "{localpart}");
    draft.set(&section, "nick", nick.replace("$USERID", "{localpart}"));
    if clients.flag("allowNickChanges") != Some(true) {
        draft.note(format!(
            "{}: everybody may choose a nick",
            clients.name("allowNickChanges")
        ));
    }
    let bounded = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    draft.set(
        &section,
        "max_connections",
        bounded(clients.number("maxClients").unwrap_or(30).max(1)),
    );
    let idle = clients.number("idleTimeout").unwrap_or(172_800);
    draft.set(&section, "idle", format!("{idle}s"));
    if let Some(modes) = clients.text("userModes").filter(|modes| !modes.is_empty()) {
        draft.set(
            &section,
            "modes",
            format!("+{}", modes.trim_start_matches('+')),
        );
    }
    let lines = clients.number("lineLimit").unwrap_or(3);
    draft.set(
        &["networks", name, "limits"],
        "max_lines",
        bounded(lines.max(1)),
    );
    if clients
        .text("realnameFormat")
        .is_some_and(|format| format != "mxid")
    {
        draft.note(format!(
            "{}: real names are ids as they are; networks.*.people.realname is a template",
            clients.name("realnameFormat")
        ));
    }
    let mut ipv6 = clients.section("ipv6");
    if let Some(prefix) = ipv6.text("prefix") {
        match range(&prefix) {
            Some(range) => draft.set(&section, "addresses", range),
            None => draft.note(format!("{}: {prefix:?} is no prefix of /64 or shorter: set networks.{name}.people.addresses", ipv6.name("prefix"))),
        }
    }
    ipv6.rest(
        &[
            ("only", "servers are reached as their names lead"),
            (
                "blocks",
                "everybody keeps the address that they have; new ones are not sorted by homeserver",
            ),
        ],
        &mut draft.notes,
    );
    clients.rest(
        &[
            (
                "kickOn",
                "people are told why they are not on IRC, and stay in the room",
            ),
            (
                "reconnectIntervalMs",
                "see networks.*.limits.connects_per_minute",
            ),
            (
                "concurrentReconnectLimit",
                "see networks.*.limits.connects_at_once",
            ),
        ],
        &mut draft.notes,
    );
    ghosts(keys, (domain, name), draft)
}

/// The range of addresses that begin like this: where nothing stands behind the first half, that half.
fn range(prefix: &str) -> Option<String> {
    let filled = match prefix.ends_with("::") {
        true => prefix.to_owned(),
        false => format!("{}::", prefix.trim_end_matches(':')),
    };
    let address: std::net::Ipv6Addr = filled.parse().ok()?;
    let rest = u128::from(address) & u128::from(u64::MAX);
    (rest == 0).then(|| format!("{address}/64"))
}

fn ghosts(keys: &mut Keys, (domain, name): (&str, &str), draft: &mut Draft) -> Option<OldTemplate> {
    let mut clients = keys.section("matrixClients");
    let text = clients
        .text("userTemplate")
        .unwrap_or_else(|| "@$SERVER_$NICK".to_owned());
    let template = OldTemplate::parse(&text, '@', ("$NICK", domain));
    let translated = template
        .as_ref()
        .map(|template| template.translated("nick"));
    match translated.filter(|text| NamespaceTemplate::users(text).is_ok()) {
        Some(users) => draft.set(&["networks", name], "users", users),
        None => draft.note(format!(
            "{}: {text:?} makes no ids that are legal today. Ghosts that there are keep theirs; new ones are named by `users`",
            clients.name("userTemplate")
        )),
    }
    clients.rest(
        &[
            (
                "displayName",
                "people of IRC are shown by their nicks alone",
            ),
            (
                "joinAttempts",
                "joining is tried for as long as it can succeed",
            ),
        ],
        &mut draft.notes,
    );
    template
}

fn dynamic(keys: &mut Keys, (domain, name): (&str, &str), draft: &mut Draft) {
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
    if dynamic
        .text("joinRule")
        .is_some_and(|rule| rule != "public")
    {
        draft.note(format!(
            "{}: whoever joins an alias is let in, as the levels in [permissions] say",
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
}

fn sync(keys: &mut Keys, name: &str, draft: &mut Draft) {
    let section = ["networks", name, "sync"];
    let mut lists = keys.section("membershipLists");
    let is_enabled = lists.flag("enabled").unwrap_or(false);
    let mut global = lists.section("global");
    let mut any = |way: &str| {
        let mut way = global.section(way);
        let (initial, later) = (way.flag("initial"), way.flag("incremental"));
        is_enabled && (initial.unwrap_or(false) || later.unwrap_or(false))
    };
    let (to_matrix, to_irc) = (any("ircToMatrix"), any("matrixToIrc"));
    draft.set(&section, "to_matrix", to_matrix);
    draft.set(&section, "to_irc", to_irc);
    lists.rest(
        &[
            (
                "rooms",
                "membership is kept the same in all rooms, or in none",
            ),
            (
                "channels",
                "membership is kept the same in all channels, or in none",
            ),
            ("floodDelayMs", "rooms are filled at the homeserver's pace"),
            (
                "ignoreIdleUsersOnStartup",
                "people are connected paced, those who speak first",
            ),
        ],
        &mut draft.notes,
    );
    let powers = keys.section("modePowerMap").entries();
    draft.set(&section, "powers", !powers.is_empty());
    if !powers.is_empty() {
        draft.note(format!("{}: operators and voices have the powers that this bridge gives them, and powers are modes on IRC as well: networks.{name}.sync.powers", keys.name("modePowerMap")));
    }
    let mut debounce = keys.section("quitDebounce");
    if debounce.flag("enabled").unwrap_or(false) {
        let wait = debounce.number("delayMinMs").unwrap_or(3_600_000);
        draft.set(&section, "netsplit", format!("{wait}ms"));
    }
}

/// Who is kept out: patterns that are a server or a user.
fn excluded(keys: &mut Keys, draft: &mut Draft) {
    let name = keys.name("excludedUsers");
    let Some(Value::Array(all)) = keys.take("excludedUsers") else {
        return;
    };
    for one in all {
        let pattern = one.get("regex").and_then(Value::as_str).unwrap_or_default();
        let plain = pattern
            .trim_start_matches('^')
            .trim_end_matches('$')
            .replace("\\.", ".");
        let is_plain = |text: &str| {
            !text.is_empty()
                && text
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || ".-:_=@/".contains(c))
        };
        let whom = plain.strip_prefix("@.*:").unwrap_or(&plain);
        let is_whole = whom.starts_with('@') == (whom == plain);
        match is_plain(whom) && is_whole {
            true => draft.set(&["permissions"], whom, "blocked"),
            false => draft.note(format!("{name}: {pattern:?} is no user and no server: who is meant has to be blocked in [permissions] one by one")),
        }
    }
}

fn mappings(
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
