//! Tests of the registration reader: files as they are found in the wild, and arbitrary bytes.

use std::{fs, path::PathBuf};

use proptest::prelude::*;

use super::*;

mod drafts;
mod faults;
mod unknown_keys;

fn fixture(name: &str) -> (Registration, Vec<String>) {
    let path = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/registrations"
    ))
    .join(name);
    let mut loaded =
        load(&[path]).unwrap_or_else(|errors| panic!("{name} is refused: {}", errors[0]));
    let warnings = loaded
        .warnings
        .iter()
        .map(|warning| warning.reason.clone())
        .collect();
    (loaded.registrations.remove(0), warnings)
}

fn namespace(regex: &str, exclusive: bool) -> Namespace {
    Namespace {
        regex: regex.to_owned(),
        exclusive,
    }
}

fn http(url: &str) -> Option<AsUrl> {
    Some(AsUrl::Http(url.to_owned()))
}

const BASE: &str = "id: a\nurl: null\nas_token: aaa\nhs_token: hhh\nsender_localpart: bot\n";

fn parse_text(
    text: &str,
) -> Result<(Registration, Vec<RegistrationWarning>), Vec<RegistrationError>> {
    parse(Path::new("as.yaml"), text.as_bytes())
}

/// The messages that `BASE` with `more` after it gives.
fn faults(more: &str) -> Vec<String> {
    faults_of(&format!("{BASE}{more}"))
}

fn faults_of(text: &str) -> Vec<String> {
    let errors = parse_text(text).expect_err("this registration has a fault");
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn accepts_the_blog_without_id() {
    let (registration, warnings) = fixture("blog_without_id.yaml");
    // The first 16 digits of the token's SHA-256.
    assert_eq!(registration.id, "as-cef6e40eb3a230c6");
    assert_eq!(registration.url, http("http://localhost:5000"));
    assert_eq!(registration.as_token.expose(), "blogSecretForTheServer1");
    assert_eq!(registration.hs_token.expose(), "blogSecretForTheService1");
    assert_eq!(registration.sender_localpart, "logging");
    assert_eq!(registration.aliases, [namespace("#logged_.*", false)]);
    assert!(registration.rate_limited);
    assert_eq!(registration.features, Features::default());
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].starts_with("`id` is missing; this service is called `as-"),
        "{warnings:?}"
    );
}

#[test]
fn accepts_the_guide() {
    let (registration, warnings) = fixture("guide.yaml");
    assert_eq!(registration.id, "something-good");
    assert_eq!(registration.aliases, [namespace("#logged_.*", false)]);
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn accepts_bridgev2() {
    let (registration, warnings) = fixture("bridgev2.yaml");
    let users = [
        namespace(r"^@whatsappbot:example\.org$", true),
        namespace(r"^@whatsapp_.*:example\.org$", true),
    ];
    assert_eq!(registration.users, users);
    assert!(registration.aliases.is_empty() && registration.rooms.is_empty());
    assert!(!registration.rate_limited);
    let all = Features {
        receive_ephemeral: true,
        push_ephemeral_unstable: true,
        msc3202: true,
        msc4190: true,
    };
    assert_eq!(registration.features, all);
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn accepts_a_double_puppet() {
    let (registration, warnings) = fixture("double_puppet.yaml");
    assert_eq!(registration.url, None);
    assert_eq!(registration.users, [namespace(r"@.*:example\.org", false)]);
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn accepts_appservice_irc_and_keeps_numeric_looking_text() {
    let (registration, warnings) = fixture("appservice_irc.yaml");
    assert_eq!(registration.id, "4b1e2d3c");
    assert_eq!(
        registration.hs_token.expose(),
        "00112233445566778899001122334455"
    );
    assert_eq!(
        registration.as_token.expose(),
        "1234e5678901234567890123456789"
    );
    assert_eq!(registration.url, http("http://localhost:8090"));
    assert_eq!(registration.sender_localpart, "IRC-Bot_Libera");
    assert_eq!(registration.protocols, ["irc"]);
    assert!(!registration.rate_limited);
    assert_eq!(registration.users.len(), 2);
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn accepts_heisenbridge_with_its_own_block() {
    let (registration, warnings) = fixture("heisenbridge.yaml");
    assert_eq!(registration.users, [namespace("@irc_.*", true)]);
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn accepts_hookshot_with_yaml_1_1_booleans() {
    let (registration, warnings) = fixture("hookshot.yaml");
    let exclusive: Vec<_> = registration
        .users
        .iter()
        .map(|namespace| namespace.exclusive)
        .collect();
    assert_eq!(exclusive, [true, true, true, false]);
    assert_eq!(registration.url, http("http://127.0.0.1:9993/hookshot"));
    assert!(!registration.rate_limited);
    let features = Features {
        push_ephemeral_unstable: true,
        msc3202: true,
        ..Features::default()
    };
    assert_eq!(registration.features, features);
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn accepts_complement() {
    let (registration, warnings) = fixture("complement.yaml");
    assert_eq!(registration.users, [namespace(".*", false)]);
    assert!(
        registration.features.push_ephemeral_unstable && !registration.features.receive_ephemeral
    );
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn accepts_websocket_mode() {
    let (registration, warnings) = fixture("websocket.yaml");
    assert_eq!(
        registration.url,
        Some(AsUrl::Websocket("websocket".to_owned()))
    );
    assert_eq!(warnings.len(), 1, "{warnings:?}");
}

#[test]
fn loads_a_folder_in_name_order_and_each_file_once() {
    let folder = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/registrations"
    ));
    let again = folder.join("guide.yaml");
    let loaded = load(&[folder, again]).unwrap();
    let ids: Vec<_> = loaded
        .registrations
        .iter()
        .map(|registration| registration.id.as_str())
        .collect();
    assert_eq!(
        ids,
        [
            "4b1e2d3c",
            "as-cef6e40eb3a230c6",
            "whatsapp",
            "my_as_id",
            "doublepuppet",
            "something-good",
            "heisenbridge",
            "github-bridge",
            "sh-telegram"
        ],
    );
    let shared = "`as-cef6e40eb3a230c6` and `something-good` both claim the sender_localpart `logging` for themselves";
    assert!(
        loaded
            .warnings
            .iter()
            .any(|warning| warning.reason == shared),
        "{:?}",
        loaded.warnings
    );
}

#[test]
fn understands_every_kind_of_url() {
    for (written, meant) in [
        ("null", None),
        ("''", None),
        ("'null'", None),
        ("~", None),
        (
            "https://as.example.org/deep/path//",
            http("https://as.example.org/deep/path"),
        ),
        (
            "unix:/run/as.sock",
            Some(AsUrl::Unix("unix:/run/as.sock".to_owned())),
        ),
        ("'http://'", Some(AsUrl::Websocket("http:".to_owned()))),
        (
            "ws://elsewhere",
            Some(AsUrl::Websocket("ws://elsewhere".to_owned())),
        ),
    ] {
        let (registration, _) =
            parse_text(&BASE.replace("url: null", &format!("url: {written}"))).unwrap();
        assert_eq!(registration.url, meant, "{written}");
    }
    let (registration, warnings) = parse_text(&BASE.replace("url: null\n", "")).unwrap();
    assert_eq!(registration.url, None);
    let expected =
        "as.yaml: `url` is missing and taken as null: nothing will be sent to this service.";
    assert_eq!(warnings[0].to_string(), expected);
}

#[test]
fn keeps_the_text_of_numbers_booleans_and_odd_floats() {
    for written in [
        "0123",
        "12e99999",
        "0x1F",
        "yes",
        "-7",
        "1_000",
        ".5",
        "123456789012345678901234567890",
    ] {
        let (registration, _) =
            parse_text(&BASE.replace("aaa", &format!("{written} # comment"))).unwrap();
        assert_eq!(registration.as_token.expose(), written);
    }
}

#[test]
fn follows_anchors() {
    let text = format!("{BASE}x: &t [{{regex: '@a', exclusive: 010}}]\n");
    assert!(parse_text(&text).is_ok(), "unknown keys are ignored");
    let text = format!(
        "{BASE}x: &list\n- regex: '@a'\n  exclusive: &e true\nnamespaces:\n  users: *list\n"
    );
    assert_eq!(parse_text(&text).unwrap().0.users, [namespace("@a", true)]);
}

#[test]
fn reads_its_own_block_and_names_unknown_keys_in_it() {
    let text = format!(
        "{BASE}io.bridgehead:\n  legacy_query_token: true\n  relax_user_query: no\n  typo: 1\n"
    );
    let (registration, warnings) = parse_text(&text).unwrap();
    let options = BridgeheadOptions {
        legacy_query_token: Some(true),
        lazy_alias_auto_invite: None,
        relax_user_query: Some(false),
    };
    assert_eq!(registration.bridgehead, options);
    assert_eq!(
        warnings[0].to_string(),
        "as.yaml:9: `io.bridgehead` knows no key `typo`; ignored."
    );
}

#[test]
fn warns_of_a_missing_exclusive() {
    let (registration, warnings) =
        parse_text(&format!("{BASE}namespaces:\n  users:\n  - regex: '@a'\n")).unwrap();
    assert_eq!(registration.users, [namespace("@a", false)]);
    let expected = "as.yaml:8: the pattern `@a` does not say `exclusive`; taken as false.";
    assert_eq!(warnings[0].to_string(), expected);
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn refusals(folder: &tempfile::TempDir) -> Vec<String> {
    let errors = load(&[folder.path().to_owned()]).unwrap_err();
    let prefix = format!("{}/", folder.path().display());
    errors
        .iter()
        .map(|error| error.to_string().replace(&prefix, ""))
        .collect()
}

#[test]
fn refuses_duplicates_naming_both_files() {
    let second = BASE.replace("aaa", "other");
    assert_eq!(
        refusals(&folder(&[("1.yaml", BASE), ("2.yml", &second)])),
        [
            "2.yml:1: the id `a` is already used in 1.yaml:1. Give each application service its own id, or list the file only once."
        ]
    );
    let second = BASE.replace("id: a\n", "id: b\n");
    assert_eq!(
        refusals(&folder(&[("1.yaml", BASE), ("2.yml", &second)])),
        [
            "2.yml:3: this `as_token` is already used in 1.yaml:3. Give each application service its own as_token."
        ]
    );
    let without_id = BASE.replace("id: a\n", "");
    let both = refusals(&folder(&[("1.yaml", &without_id), ("2.yml", &without_id)]));
    assert_eq!(both.len(), 1, "{both:?}");
}

#[test]
fn reports_every_bad_file_and_skips_what_is_no_registration() {
    let folder = folder(&[
        ("a.yaml", "id: ["),
        ("b.yml", "- x"),
        ("notes.txt", "?"),
        (".a.yaml", "?"),
        ("z.yaml~", "?"),
    ]);
    let messages = refusals(&folder);
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert!(
        messages[0].starts_with("a.yaml:") && messages[1].starts_with("b.yml:"),
        "{messages:?}"
    );
}

#[test]
fn refuses_missing_and_oversized_files() {
    let folder = folder(&[("a.yaml", &"#".repeat(1 << 21))]);
    assert_eq!(
        refusals(&folder),
        ["a.yaml: the file is larger than 1048576 bytes. Check that this is a registration."]
    );
    let missing = load(&[folder.path().join("none.yaml")]).unwrap_err();
    assert!(
        missing[0]
            .to_string()
            .contains("none.yaml: cannot be read: "),
        "{}",
        missing[0]
    );
}

#[test]
fn warns_of_patterns_that_two_services_hold_exclusively() {
    let namespaces = "namespaces:\n  users:\n  - regex: '@irc_.*'\n    exclusive: true\n";
    let first = format!("{BASE}{namespaces}");
    let second = first
        .replace("id: a", "id: b")
        .replace("aaa", "bbb")
        .replace("bot", "bot2");
    let folder = folder(&[("1.yaml", &first), ("2.yaml", &second)]);
    let warnings = load(&[folder.path().to_owned()]).unwrap().warnings;
    assert_eq!(warnings.len(), 1);
    assert_eq!(
        warnings[0].reason,
        "`a` and `b` both claim the users `@irc_.*` for themselves"
    );
}

#[test]
fn stops_alias_bombs_and_deep_nesting() {
    let mut bomb = format!("{BASE}b0: &b0 [x,x,x,x,x,x,x,x,x,x]\n");
    for level in 1..12 {
        let alias = format!("*b{}", level - 1);
        bomb.push_str(&format!(
            "b{level}: &b{level} [{}]\n",
            vec![alias; 10].join(",")
        ));
    }
    assert!(faults_of(&bomb)[0].contains("not valid YAML"));
    assert!(
        faults(&format!("x: {}{}\n", "[".repeat(500), "]".repeat(500)))[0]
            .contains("not valid YAML")
    );
}

#[test]
fn errors_and_debug_output_hold_no_token() {
    let text = BASE.replace("aaa", "sesame-a").replace("hhh", "sesame-h");
    let (registration, _) = parse_text(&text).unwrap();
    assert!(!format!("{registration:?}").contains("sesame"));
    for broken in [
        "\"\n",
        "x: [\n",
        "hs_token: sesame-x\n",
        "sender_localpart: {}\n",
        "  x\n",
        "\t\n@\n",
    ] {
        if let Err(errors) = parse_text(&format!("{text}{broken}")) {
            assert!(!format!("{errors:?}").contains("sesame"), "{errors:?}");
        }
    }
}

#[test]
fn a_misspelt_namespace_is_told() {
    let text = format!("{BASE}namespaces: {{ users: [], aliass: [] }}\n");
    let (_, warnings) = parse_text(&text).unwrap();
    let expected = "`namespaces` knows `users`, `aliases` and `rooms`, but no `aliass`; ignored";
    assert_eq!(warnings[0].reason, expected);
}

proptest! {
    #[test]
    fn spoiled_files_never_panic(
        spoils in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let whole = include_bytes!("../tests/fixtures/registrations/appservice_irc.yaml");
        let mut content = whole.to_vec();
        for (place, byte) in spoils {
            let place = place.index(content.len());
            content[place] = byte;
        }
        let _ = parse(Path::new("as.yaml"), &content);
        let _ = parse(Path::new("as.yaml"), &content[..cut.index(content.len())]);
    }

    #[test]
    fn arbitrary_bytes_never_panic(content in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse(Path::new("as.yaml"), &content);
    }

    #[test]
    fn arbitrary_yaml_never_panics(text in r#"([a-z@#!:\[\]{}&*'"|>?\-.~,%\\()0-9 é\n]|as_token: |regex: |namespaces:\n|  users:\n|  - |<<: ){0,80}"#) {
        let _ = parse_text(&text);
        let _ = parse_text(&format!("{BASE}{text}"));
    }

    #[test]
    fn new_tokens_change_nothing_else(text in r#"([a-z&*'"|>:\-\[\]{}, é#\n]|as_token: |hs_token: |id: |  users:\n){0,40}"#) {
        for text in [format!("{BASE}{text}"), format!("{text}{BASE}"), text] {
            let Some(changed) = with_tokens(&text, "A'A", "HH") else { continue };
            let Ok((before, _)) = parse_text(&text) else { continue };
            let (after, _) = parse_text(&changed).unwrap();
            prop_assert_eq!(after.as_token.expose(), "A'A");
            prop_assert_eq!(after.hs_token.expose(), "HH");
            prop_assert_eq!((before.users, before.protocols, before.url), (after.users, after.protocols, after.url));
        }
    }
}
