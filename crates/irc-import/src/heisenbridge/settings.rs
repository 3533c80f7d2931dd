//! heisenbridge's settings, as a configuration of this bridge's.

use bridgehead_appservice::{
    id::UserId,
    registration::{NamespaceTemplate, Registration},
};
use bridgehead_irc::ids::is_channel;
use serde_json::Value;

use super::{
    account_data::{Reader, Rooms},
    names::Prefix,
};
use crate::{
    Failure, Result,
    draft::{Draft, network_name},
    keys::Keys,
    site::{DATABASE, REGISTRATION},
};

/// What was read.
pub(crate) struct Taken {
    pub(crate) draft: Draft,
    pub(crate) networks: Vec<OldNetwork>,
    pub(crate) prefix: Prefix,
    /// User names that were given to people.
    pub(crate) idents: Vec<(UserId, String)>,
}

/// A network of the other bridge's.
#[derive(Clone, Debug)]
pub(crate) struct OldNetwork {
    /// What it was called there.
    pub(crate) old: String,
    /// What it is called here.
    pub(crate) name: String,
}

/// What its settings have no place for here.
const REASONS: [(&str, &str); 8] = [
    ("namespace", "it is in the registration"),
    ("member_sync", "see networks.*.sync.to_matrix"),
    ("max_lines", "see networks.*.limits.max_lines"),
    ("use_pastebin", "see [media]: long texts become pages"),
    ("use_reacts", "people are told how their messages fare"),
    (
        "media_url",
        "see [media]: links that were given before end to work with the old bridge",
    ),
    ("media_path", "see [media]"),
    ("media_key", "see [media]"),
];

pub(crate) fn translate(
    mut own: Keys,
    (registration, homeserver, reader): (&Registration, &str, &Reader),
    prefix: &Prefix,
    read: &Rooms,
) -> Result<Taken> {
    let mut draft = Draft::default();
    draft.set(&[], "registration", REGISTRATION);
    draft.set(&[], "database", DATABASE);
    draft.set(&[], "bot", registration.sender_localpart.as_str());
    draft.set(&["homeserver"], "server_name", reader.user.server());
    draft.set(&["homeserver"], "address", homeserver);
    if !draft.listen(registration, None) {
        draft.set(&["listen"], "websocket", true);
    }
    people(&mut own, &mut draft);
    let idents = own
        .section("idents")
        .entries()
        .into_iter()
        .filter_map(|(user, ident)| Some((UserId::parse(&user).ok()?, ident.as_str()?.to_owned())));
    let idents = idents.collect();
    let mut networks: Vec<OldNetwork> = Vec::new();
    for (old, value) in own.section("networks").entries() {
        let names: Vec<String> = networks
            .iter()
            .map(|network| network.name.clone())
            .collect();
        let name = network_name(&old, &names);
        let network = OldNetwork { old, name };
        if servers(&network, &value, &mut draft) {
            template(&network, prefix, &mut draft);
            networks.push(network);
        }
    }
    if networks.is_empty() {
        return Err(Failure::new(
            "heisenbridge knows no network with a server: there is nothing to take over",
        ));
    }
    plumbed(read, &networks, &mut draft);
    for odd in &read.odd {
        draft.note(format!("the room {odd}"));
    }
    own.rest(&REASONS, &mut draft.notes);
    Ok(Taken {
        draft,
        networks,
        prefix: prefix.clone(),
        idents,
    })
}

/// Who may use the bridge: there nobody but those who are named, here too.
fn people(own: &mut Keys, draft: &mut Draft) {
    draft.set(&["permissions"], "*", "relay");
    for (mask, level) in own.section("allow").entries() {
        let level = if level == "admin" { "admin" } else { "user" };
        let server = mask.strip_prefix("@*:").or_else(|| mask.strip_prefix("*:"));
        let whom = server.unwrap_or(&mask);
        match whom == "*" || !whom.contains(['*', '?', '[']) {
            true => draft.set(&["permissions"], whom, level),
            false => draft.note(format!(
                "the mask {mask:?}: who is meant has to be named in [permissions] one by one"
            )),
        }
    }
    if let Some(owner) = own.text("owner") {
        draft.set(&["permissions"], &owner, "admin");
    }
}

/// The servers of a network; `false` where there is none.
fn servers(network: &OldNetwork, value: &Value, draft: &mut Draft) -> bool {
    let section = ["networks", &network.name];
    let servers = value
        .get("servers")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let flag =
        |server: &Value, key: &str| server.get(key).and_then(Value::as_bool).unwrap_or(false);
    let Some(first) = servers.first() else {
        draft.note(format!("the network {}: it has no server", network.old));
        return false;
    };
    let (tls, insecure) = (flag(first, "tls"), flag(first, "tls_insecure"));
    let mut hosts: Vec<String> = Vec::new();
    for server in &servers {
        let address = server
            .get("address")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let port = server.get("port").and_then(Value::as_u64).unwrap_or(6667);
        let proxy = server
            .get("proxy")
            .and_then(Value::as_str)
            .filter(|proxy| !proxy.is_empty());
        match flag(server, "tls") == tls && !address.is_empty() {
            true => hosts.push(format!("{address}:{port}")),
            false => draft.note(format!(
                "{address}:{port} of {}: either all servers of a network are encrypted, or none",
                network.old
            )),
        }
        if let Some(proxy) = proxy {
            draft.note(format!(
                "{address}:{port} of {}: there is no proxy here, and it was reached by {proxy}",
                network.old
            ));
        }
    }
    if hosts.is_empty() {
        return false;
    }
    draft.set(&section, "title", network.old.as_str());
    draft.set(&section, "servers", hosts);
    draft.set(&section, "tls", tls);
    if tls && insecure {
        draft.set(&section, "tls_verify", "none");
    }
    true
}

/// What people of a network are called.
fn template(network: &OldNetwork, prefix: &Prefix, draft: &mut Draft) {
    let text = format!("{}{{nick}}", prefix.of_network(&network.old));
    match NamespaceTemplate::users(&text) {
        Ok(_) => draft.set(&["networks", &network.name], "users", text),
        Err(error) => draft.note(format!(
            "what people of {} are called: {error}; ghosts that there are keep their names",
            network.old
        )),
    }
}

/// Rooms that were there before: the bridge spoke for everybody in them.
fn plumbed(read: &Rooms, networks: &[OldNetwork], draft: &mut Draft) {
    for room in read.rooms.iter().filter(|room| room.kind == "PlumbedRoom") {
        let network = super::rooms::network_of(room, read, networks);
        let channel = room.text("name").filter(|name| is_channel(name));
        if let (Some(network), Some(channel)) = (network, channel) {
            let channel = channel.to_ascii_lowercase();
            let section = ["networks", &network.name, "channels", &channel];
            draft.set(&section, "mode", "relay");
        }
    }
}
