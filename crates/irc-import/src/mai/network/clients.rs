//! The connections of people of Matrix, and what those of IRC are called.

use bridgehead_appservice::registration::NamespaceTemplate;

use crate::{draft::Draft, keys::Keys, mai::names::OldTemplate};

/// The connections of people of Matrix, and what those of IRC are called.
pub(super) fn clients(
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
