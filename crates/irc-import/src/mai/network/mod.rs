//! One network of matrix-appservice-irc's configuration, as one of this bridge's. `clients` people on both sides, `channels`
//! channels.

mod channels;
mod clients;

use std::collections::BTreeSet;

use bridgehead_appservice::id::RoomId;
use serde_json::Value;

use super::settings::OldNetwork;
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
    let users = clients::clients(&mut keys, (domain, &name), draft);
    let is_open = channels::dynamic(&mut keys, (domain, &name), draft);
    sync(&mut keys, &name, draft);
    excluded(&mut keys, draft);
    let mapped = channels::mappings(&mut keys, &name, rooms, draft);
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
        is_open,
        has_sasl,
    }
}

fn servers(keys: &mut Keys, (domain, name): (&str, &str), draft: &mut Draft) {
    let section = ["networks", name];
    let port = keys.number("port").unwrap_or(6667);
    let mut hosts = keys.texts("additionalAddresses");
    if !keys.flag("onlyAdditionalAddresses").unwrap_or(false) || hosts.is_empty() {
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
