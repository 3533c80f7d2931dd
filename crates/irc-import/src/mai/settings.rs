//! matrix-appservice-irc's configuration, as one of this bridge's.

use std::{collections::BTreeSet, path::PathBuf};

use bridgehead_appservice::{
    id::{RoomAlias, RoomId, UserId},
    registration::Registration,
};

use super::{names::OldTemplate, network};
use crate::{
    Failure, Result,
    draft::Draft,
    keys::Keys,
    site::{DATABASE, REGISTRATION},
};

/// What was read.
pub(crate) struct Taken {
    pub(crate) draft: Draft,
    pub(crate) networks: Vec<OldNetwork>,
    /// The domain of people's ids.
    pub(crate) server_name: String,
    /// The file with the key of stored passwords.
    pub(crate) key_file: Option<String>,
    /// The same, where it is not there.
    pub(crate) key_missing: Option<PathBuf>,
    /// Where the database is.
    pub(crate) database: Option<String>,
}

/// A network of the other bridge's.
#[derive(Clone, Debug)]
pub(crate) struct OldNetwork {
    /// The server by which its tables know it.
    pub(crate) domain: String,
    /// What it is called here.
    pub(crate) name: String,
    /// What its ghosts are called.
    pub(crate) users: Option<OldTemplate>,
    /// Channels and the rooms that the configuration maps them to.
    pub(crate) mapped: Vec<(String, RoomId)>,
    /// Rooms that were made for aliases let everybody in, as their channels do.
    pub(crate) is_open: bool,
    /// Passwords are for SASL.
    pub(crate) has_sasl: bool,
}

/// What the other bridge's keys outside its networks have no place for here.
const SERVICE: [(&str, &str); 12] = [
    (
        "logging",
        "see [log]: everything goes to standard error, for the supervisor to keep",
    ),
    ("metrics", "see [metrics]: the figures have other names"),
    ("statsd", "see [metrics]: the figures have other names"),
    (
        "debugApi",
        "the page of connections and `!irc` commands take its place",
    ),
    (
        "matrixHandler",
        "replies are quoted by networks.*.messages.quote_after",
    ),
    (
        "ircHandler",
        "nicks are always mentions, but for networks.*.messages.words",
    ),
    ("perRoomConfig", "rooms have no settings of their own"),
    (
        "bridgeInfoState",
        "every bridged room says what it is bridged to",
    ),
    ("userActivity", "nobody counts active people"),
    ("RMAUlimit", "nobody counts active people"),
    (
        "mediaProxy",
        "see [media]: links that were given before end to work with the old bridge",
    ),
    ("databaseUri", "the database is a file"),
];

const HOMESERVER: [(&str, &str); 4] = [
    (
        "media_url",
        "see [media]: people on IRC get signed links from the bridge itself",
    ),
    (
        "dropMatrixMessagesAfterSecs",
        "a message waits for the network for a day at most, and its sender is told",
    ),
    (
        "enablePresence",
        "who is away on IRC is so in Matrix unless networks.*.messages.presence says no",
    ),
    ("bindHostname", "the address is that of the registration"),
];

/// Makes a configuration of the other bridge's.
pub(crate) fn translate(mut old: Keys, registration: &Registration) -> Result<Taken> {
    let mut draft = Draft::default();
    draft.set(&[], "registration", REGISTRATION);
    draft.set(&[], "database", DATABASE);
    draft.set(&[], "bot", registration.sender_localpart.as_str());
    let mut homeserver = old.section("homeserver");
    let server_name = homeserver.text("domain").ok_or_else(|| {
        Failure::new(
            "homeserver.domain is missing: this is no configuration of matrix-appservice-irc",
        )
    })?;
    UserId::new(&registration.sender_localpart, &server_name)
        .map_err(|error| Failure::at("homeserver.domain", error))?;
    draft.set(&["homeserver"], "server_name", server_name.as_str());
    draft.set_some(&["homeserver"], "address", homeserver.text("url"));
    let port = homeserver.number("bindPort");
    if !draft.listen(registration, port) {
        draft.note(
            "the registration has no url: set listen.address to where the homeserver is led"
                .to_owned(),
        );
    }
    homeserver.rest(&HOMESERVER, &mut draft.notes);

    let mut service = old.section("ircService");
    let mut database = old.section("database");
    let engine = database.text("engine");
    let address = database.text("connectionString");
    let encoding = service.text("encodingFallback");
    let servers = service.section("servers");
    let mut networks = Vec::new();
    let mut rooms = BTreeSet::new();
    draft.set(&["permissions"], "*", "user");
    permissions(&mut service, &mut draft);
    for (domain, keys) in servers.entries() {
        let path = format!("ircService.servers.{domain}");
        let serde_json::Value::Object(keys) = keys else {
            draft.note(format!("{path}: it has no keys"));
            continue;
        };
        let names: Vec<String> = networks
            .iter()
            .map(|other: &OldNetwork| other.name.clone())
            .collect();
        let keys = Keys::new(path, keys);
        let given = (domain.as_str(), encoding.as_deref(), names.as_slice());
        networks.push(network::translate(keys, given, &mut rooms, &mut draft));
    }
    if networks.is_empty() {
        return Err(Failure::new(
            "ircService.servers is empty: there is no network to take over",
        ));
    }
    ban_lists(&mut service, &mut draft);
    rest_of_service(&mut service, &mut draft);
    let key_file = service.text("passwordEncryptionKeyPath");
    service.rest(&SERVICE, &mut draft.notes);
    database.rest(
        &[
            ("min", "the database is a file"),
            ("max", "the database is a file"),
        ],
        &mut draft.notes,
    );
    old.rest(
        &[
            ("advanced", "[inbox] and [outbox] have bounds of their own"),
            ("sentry", "errors are in the log"),
            (
                "connectionPool",
                "connections are made anew when the bridge starts",
            ),
        ],
        &mut draft.notes,
    );
    Ok(Taken {
        draft,
        networks,
        server_name,
        key_file,
        key_missing: None,
        database: address.filter(|_| engine.is_none_or(|engine| engine == "postgres")),
    })
}

fn permissions(service: &mut Keys, draft: &mut Draft) {
    for (whom, level) in service.section("permissions").entries() {
        let is_sound = whom == "*"
            || UserId::parse(&whom).is_ok()
            || !(whom.starts_with(['@', '!', '#']) || whom.contains('*'));
        match level.as_str() {
            Some("admin") if is_sound => draft.set(&["permissions"], &whom, "admin"),
            _ => draft.note(format!(
                "ircService.permissions.{whom}: {level} is no level here"
            )),
        }
    }
}

/// Rooms with ban lists are followed here as well.
fn ban_lists(service: &mut Keys, draft: &mut Draft) {
    let mut lists = service.section("banLists");
    let is_room = |room: &str| RoomId::parse(room).is_ok() || RoomAlias::parse(room).is_ok();
    let (rooms, wrong): (Vec<_>, Vec<_>) = lists
        .texts("rooms")
        .into_iter()
        .partition(|room| is_room(room));
    if !rooms.is_empty() {
        draft.set(&[], "policy_rooms", rooms);
    }
    for room in wrong {
        let place = lists.name("rooms");
        draft.note(format!("{place}: {room:?} is no room id and no alias"));
    }
    lists.rest(&[], &mut draft.notes);
}

fn rest_of_service(service: &mut Keys, draft: &mut Draft) {
    let mut ident = service.section("ident");
    if ident.flag("enabled").unwrap_or(false) {
        let address = ident
            .text("address")
            .unwrap_or_else(|| "0.0.0.0".to_owned());
        let port = ident.number("port").unwrap_or(113);
        let host = match address.contains(':') {
            true => format!("[{address}]"),
            false => address,
        };
        draft.set(&["ident"], "listen", format!("{host}:{port}"));
    }
    let mut provisioning = service.section("provisioning");
    let secret = provisioning.text("secret");
    if provisioning.flag("enabled").unwrap_or(false) {
        match secret.filter(|secret| secret.len() >= 16) {
            Some(secret) => draft.set(&["provisioning"], "secret", secret),
            None => draft.note("ircService.provisioning: its secret is missing, or shorter than 16 characters: set provisioning.secret".to_owned()),
        }
        provisioning.rest(
            &[(
                "widget",
                "there is no widget: people link rooms by `!irc link`",
            )],
            &mut draft.notes,
        );
    }
}
