//! The configuration that is made of one of matrix-appservice-irc's, and its passwords.

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bridgehead_appservice::{
    config::{self, Whole},
    registration::{Registration, parse},
};
use bridgehead_irc::{Settings, settings::Verify};
use rsa::{
    Oaep, RsaPrivateKey,
    pkcs1::{EncodeRsaPrivateKey as _, LineEnding},
    pkcs8::EncodePrivateKey as _,
    rand_core::OsRng,
};
use sha1_of_rsa::Sha1;

use super::{password::Opener, settings};
use crate::keys;

const REGISTRATION: &str = "id: irc\nurl: http://bridge.internal:9999\nas_token: aaaaaaaaaaaaaaaaaaaa\n\
    hs_token: bbbbbbbbbbbbbbbbbbbb\nsender_localpart: appservice-irc\nrate_limited: false\nnamespaces:\n  users:\n  \
    - regex: '@irc_.*:example\\.org'\n    exclusive: true\n  aliases: []\n  rooms: []\n";

fn registration() -> Registration {
    parse(Path::new("r.yaml"), REGISTRATION.as_bytes())
        .expect("a registration")
        .0
}

/// The configuration, its text and what is noted.
fn translated(text: &str) -> (Whole<Settings>, String, Vec<String>) {
    let folder = tempfile::tempdir().expect("a folder");
    let old = folder.path().join("config.yaml");
    std::fs::write(&old, text).expect("written");
    let taken = settings::translate(keys::read(&old).expect("YAML"), &registration());
    let taken = taken.unwrap_or_else(|error| panic!("{error}"));
    let written = taken.draft.text("matrix-appservice-irc");
    let file = folder.path().join("irc.toml");
    std::fs::write(&file, &written).expect("written");
    for (name, text) in &taken.draft.files {
        std::fs::write(folder.path().join(name), text).expect("written");
    }
    match config::load::<Whole<Settings>>(Some(&file), [], "IRC") {
        Ok(loaded) => (loaded.config, written, taken.draft.notes),
        Err(mistakes) => panic!("{mistakes}\n{written}"),
    }
}

const WHOLE: &str = r##"
homeserver:
  url: "http://localhost:8008"
  domain: "example.org"
  dropMatrixMessagesAfterSecs: 300
ircService:
  permissions: { "@ann:example.org": admin, "other.org": admin, "x.org": king }
  encodingFallback: "ISO-8859-15"
  passwordEncryptionKeyPath: "passkey.pem"
  ident: { enabled: true, port: 1113, address: "::" }
  provisioning: { enabled: true, secret: "sixteen characters" }
  unheardOf: 1
  banLists: { rooms: ["#bans:example.org", "!list:example.org", "nonsense"], blockByRegistrationStatus: ["open"] }
  servers:
    irc.example.com:
      name: "ExampleNet"
      networkId: "example"
      icon: "https://example.com/hash.png"
      additionalAddresses: ["irc2.example.com"]
      port: 6697
      ssl: true
      sslselfsign: true
      sasl: true
      tlsOptions: { ca: "-----BEGIN CERTIFICATE-----" }
      quitDebounce: { enabled: true, delayMinMs: 60000 }
      modePowerMap: { o: 50 }
      botConfig: { nick: "MatrixBot", password: "s\"ecret" }
      dynamicChannels: { enabled: true, published: true, useHomeserverDirectory: true, aliasTemplate: "#irc_$CHANNEL", exclude: ["#secret"] }
      excludedUsers:
        - regex: "@.*:evilcorp\\.com"
        - regex: "@(a|b):.*"
      membershipLists: { enabled: true, global: { ircToMatrix: { initial: true }, matrixToIrc: { initial: false } } }
      mappings:
        "#thepub": { roomIds: ["!one:example.org", "!two:example.org"], key: "k\\" }
        "#old": ["!one:example.org", "!three:example.org"]
        "nonsense": ["!four:example.org"]
      matrixClients: { userTemplate: "@irc_$NICK", displayName: "$NICK (IRC)" }
      ircClients: { nickTemplate: "$DISPLAY[m]", maxClients: 0, idleTimeout: 10800, lineLimit: 3, userModes: "RiG", ipv6: { only: true, prefix: "2001:0db8:85a3::" } }
    irc.other.net: {}
advanced: { maxHttpSockets: 1000 }
"##;

#[test]
fn a_whole_configuration_is_one_of_this_bridges() {
    let (config, text, _) = translated(WHOLE);
    assert_eq!(config.service.homeserver.server_name, "example.org");
    assert_eq!(config.service.listen.address.to_string(), "0.0.0.0:9999");
    let own = config.own;
    assert_eq!(own.bot, "appservice-irc");
    assert_eq!(
        own.ident
            .listen
            .map(|address| address.to_string())
            .as_deref(),
        Some("[::]:1113")
    );
    assert_eq!(own.policy_rooms, ["#bans:example.org", "!list:example.org"]);
    let network = &own.networks["example"];
    let servers: Vec<String> = network.servers.iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["irc.example.com:6697", "irc2.example.com:6697"]);
    assert!(network.tls && network.tls_verify == Verify::None && network.tls_ca.is_some());
    assert_eq!(network.users.as_deref(), Some("irc_{nick}"));
    assert_eq!(network.aliases.as_deref(), Some("#irc_{channel}"));
    assert_eq!(network.people.nick, "{display}[m]");
    assert_eq!(
        network.people.addresses.as_deref(),
        Some("2001:db8:85a3::/64")
    );
    assert_eq!(network.people.modes.as_deref(), Some("+RiG"));
    assert_eq!(network.people.max_connections, 1);
    assert_eq!(
        (
            network.sync.to_matrix,
            network.sync.to_irc,
            network.sync.powers
        ),
        (true, false, true)
    );
    assert_eq!(network.encoding, "ISO-8859-15");
    assert_eq!(
        network.channels["#thepub"].room.as_deref(),
        Some("!two:example.org")
    );
    assert_eq!(network.key_of("#thepub").as_deref(), Some("k\\"));
    assert_eq!(
        network.channels["#old"].room.as_deref(),
        Some("!one:example.org")
    );
    assert_eq!(network.channels.len(), 2);
    let password = network
        .bot
        .login
        .password
        .get()
        .map(|secret| secret.expose().to_owned());
    assert_eq!(password.as_deref(), Some("s\"ecret"));
    for line in [
        "\"@ann:example.org\" = \"admin\"",
        "\"evilcorp.com\" = \"blocked\"",
        "\"*\" = \"user\"",
    ] {
        assert!(text.lines().any(|one| one == line), "no {line} in\n{text}");
    }
    // What the other bridge takes for granted is said.
    let other = &own.networks["irc-other-net"];
    assert_eq!(other.users.as_deref(), Some("irc.other.net_{nick}"));
    assert_eq!(
        other.aliases.as_deref(),
        Some("#irc_irc.other.net_{channel}")
    );
    assert_eq!(other.people.nick, "M-{display}");
    assert!(!other.tls && !other.dynamic.enabled && !other.sync.to_matrix);
}

#[test]
fn what_has_no_place_is_told_with_the_reason() {
    let (_, text, notes) = translated(WHOLE);
    for part in [
        "homeserver.dropMatrixMessagesAfterSecs: a message waits",
        "ircService.permissions.x.org: \"king\" is no level",
        "ircService.banLists.rooms: \"nonsense\" is no room id",
        "ircService.banLists.blockByRegistrationStatus: this bridge knows nothing like it",
        "ircService.unheardOf: this bridge knows nothing like it",
        "advanced: [inbox] and [outbox]",
        "irc.example.com.icon: only pictures in Matrix",
        "excludedUsers: \"@(a|b):.*\" is no user and no server",
        "mappings.#thepub: !one:example.org: a channel has one room",
        "mappings.#old: !three:example.org: a channel has one room",
        "mappings.nonsense: that is no channel",
        "ipv6.only: servers are reached",
        "matrixClients.displayName: people of IRC are shown",
        "allowNickChanges: everybody may choose",
    ] {
        assert!(
            notes.iter().any(|note| note.contains(part)),
            "{part}: {notes:#?}"
        );
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn rooms_are_opened_with_their_channels_only_where_they_were_open() {
    for (rule, is_open) in [
        ("", true),
        ("joinRule: public", true),
        ("joinRule: invite", false),
    ] {
        let text = format!(
            "homeserver: {{ domain: example.org }}\nircService: {{ servers: {{ irc.example.com: {{ dynamicChannels: {{ enabled: true, {rule} }} }} }} }}"
        );
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("config.yaml");
        std::fs::write(&file, text).expect("written");
        let taken = settings::translate(keys::read(&file).expect("YAML"), &registration());
        let taken = taken.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(taken.networks[0].is_open, is_open, "{rule}");
    }
}

#[test]
fn what_is_no_configuration_of_that_bridge_is_refused() {
    for text in [
        "a: 1",
        "homeserver: { domain: x }",
        "homeserver: { domain: x }\nircService: { servers: {} }",
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("c.yaml");
        std::fs::write(&file, text).expect("written");
        let keys = keys::read(&file).expect("YAML");
        assert!(
            settings::translate(keys, &registration()).is_err(),
            "{text}"
        );
    }
}

#[test]
fn passwords_are_opened_with_their_key_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = RsaPrivateKey::new(&mut OsRng, 2048).expect("a key");
    let pkcs8 = key.to_pkcs8_pem(LineEnding::LF).expect("PEM");
    let pkcs1 = key.to_pkcs1_pem(LineEnding::LF).expect("PEM");
    let close = |text: &str| {
        let closed = key
            .to_public_key()
            .encrypt(&mut OsRng, Oaep::new::<Sha1>(), text.as_bytes());
        STANDARD.encode(closed.expect("closed"))
    };
    let stored = close("AAAAAAAAAAAAAAAAAAAAAA== two words");
    for pem in [&pkcs8, &pkcs1] {
        let file = folder.path().join("passkey.pem");
        std::fs::write(&file, pem.as_str()).expect("written");
        let opener = Opener::load(&file).unwrap_or_else(|error| panic!("{error}"));
        let opened = opener
            .open(&stored)
            .map(|secret| secret.expose().to_owned());
        assert_eq!(opened.as_deref(), Some("two words"));
        for wrong in ["", "%%", "AAAA", &close("no-space"), &close("empty ")] {
            assert!(opener.open(wrong).is_none(), "{wrong:.20}");
        }
    }
    let other = RsaPrivateKey::new(&mut OsRng, 2048).expect("a key");
    let file = folder.path().join("other.pem");
    let pem = other.to_pkcs8_pem(LineEnding::LF).expect("PEM");
    std::fs::write(&file, pem.as_str()).expect("written");
    assert!(Opener::load(&file).is_ok_and(|opener| opener.open(&stored).is_none()));
    std::fs::write(&file, "no key").expect("written");
    let told = Opener::load(&file)
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default();
    assert!(told.contains("no RSA key in PEM"), "{told}");
}
