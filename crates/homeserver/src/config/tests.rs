//! Given a file, an environment and flags: which mistakes, or which configuration.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use tempfile::TempDir;

use super::{schema, *};
use crate::secret::Secret;

/// A folder with `bridgehead.toml` and some files that keys may name; readable by nobody else unless stated.
fn folder(toml: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("services")).unwrap();
    for (name, text) in [
        ("bridgehead.toml", toml),
        ("irc.yaml", ""),
        ("cert.pem", ""),
        ("key.pem", ""),
        ("secret", "from file\n"),
        ("empty", "\n"),
    ] {
        fs::write(dir.path().join(name), text).unwrap();
        set_world_readable(&dir.path().join(name), false);
    }
    fs::write(dir.path().join("open-secret"), "x").unwrap();
    set_world_readable(&dir.path().join("open-secret"), true);
    dir
}

fn set_world_readable(path: &Path, readable: bool) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(
        path,
        fs::Permissions::from_mode(if readable { 0o644 } else { 0o600 }),
    )
    .unwrap();
}

fn load_in(dir: &Path, env: &[(&str, &str)], overrides: Overrides) -> Result<Loaded, ConfigErrors> {
    let env = env
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::load(Some(&dir.join("bridgehead.toml")), env, overrides)
}

/// The mistakes or else the warnings, with the folder's name taken out.
#[track_caller]
fn check(toml: &str, env: &[(&str, &str)], expected: &str) {
    let dir = folder(toml);
    let found = match load_in(dir.path(), env, Overrides::default()) {
        Err(errors) => errors.to_string(),
        Ok(loaded) => loaded
            .warnings
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n"),
    };
    let found = found.replace(&format!("{}/", dir.path().display()), "");
    let expected: Vec<&str> = expected.trim().lines().map(str::trim).collect();
    assert_eq!(
        found.lines().collect::<Vec<_>>(),
        expected,
        "for the file:\n{toml}\nand {env:?}"
    );
}

#[track_caller]
fn load(toml: &str, env: &[(&str, &str)], overrides: Overrides) -> (TempDir, Config) {
    let dir = folder(toml);
    let loaded = load_in(dir.path(), env, overrides).unwrap_or_else(|errors| panic!("{errors}"));
    (dir, loaded.config)
}

#[test]
fn nothing_given_gives_the_defaults() {
    let config = Config::load(None, std::iter::empty(), Overrides::default())
        .unwrap()
        .config;
    assert_eq!(config.server_name, "localhost");
    assert_eq!(config.data_dir, PathBuf::from("./bridgehead-data"));
    assert_eq!(
        config.listen,
        ["127.0.0.1:8008".parse::<SocketAddr>().unwrap()]
    );
    assert_eq!(config.public_base_url, None);
    assert_eq!(config.tls.files(), None);
    assert_eq!(config.rooms.default_version, ruma::RoomVersionId::V11);
    assert_eq!(config.limits.max_upload_bytes, 52_428_800);
    assert_eq!(config.limits.max_body_bytes, 2_097_152);
    let messages = RateLimit {
        per_second: 0.2,
        burst: 10,
    };
    assert_eq!(
        config.limits.rate_limit(RateCategory::Messages),
        Some(messages)
    );
    assert_eq!(config.appservices.backoff_max, Duration::from_secs(30));
    assert_eq!(config.appservices.legacy_reprobe, Duration::from_secs(3600));
    assert!(config.presence.enabled && !config.accounts.open_registration);
    assert_eq!(
        (config.log.format, config.log.filter.as_str()),
        (LogFormat::Text, "info")
    );
}

#[test]
fn one_mistake_of_each_kind_names_place_key_and_remedy() {
    check(
        r#"
        server_name = "not a name"
        listen = ["127.0.0.1:8008", "localhost:80"]
        public_base_url = "ftp://example.org"
        registrations = "irc.yaml"
        [rooms]
        default_version = 5
        [limits]
        max_body_bytes = "1 KiB"
        max_image_pixels = -1
        max_upload_bytes = "lots"
        rate_limits = "maybe"
        joins_per_second = 0
        sync_timeout_max_ms = "5 fortnights"
        [accounts]
        allow_guests = "yes"
        [log]
        format = "xml"
        filter = "info,=="
        "#,
        &[],
        r#"
        bridgehead.toml:2:23: server_name: expected a server name: a host name or an address, and perhaps a port, found "not a name"; write e.g. "example.org"
        bridgehead.toml:3:37: listen: expected an address and port, found "localhost:80"; write e.g. "127.0.0.1:8008"
        bridgehead.toml:4:27: public_base_url: expected an http or https URL without query, found "ftp://example.org"; write e.g. "https://matrix.example.org"
        bridgehead.toml:5:25: registrations: expected a list, found a text; write e.g. ["/etc/bridgehead/appservices"]
        bridgehead.toml:7:27: rooms.default_version: expected a room version from 6 to 12, found 5; write e.g. "11"
        bridgehead.toml:9:26: limits.max_body_bytes: "1 KiB" is out of range; write a value from 65536 to 1073741824 bytes
        bridgehead.toml:10:28: limits.max_image_pixels: expected a whole number from 1 to 1000000000, found -1; write e.g. 100
        bridgehead.toml:11:28: limits.max_upload_bytes: expected a size in bytes, found "lots"; write e.g. 52428800 or "50 MiB"
        bridgehead.toml:12:23: limits.rate_limits: expected "on" or "off", found "maybe"; write e.g. "off"
        bridgehead.toml:13:28: limits.joins_per_second: expected a number above 0, at most 1000000, found 0; write e.g. 0.5
        bridgehead.toml:14:31: limits.sync_timeout_max_ms: expected a time in milliseconds, found "5 fortnights"; write e.g. 30000 or "30s"
        bridgehead.toml:16:24: accounts.allow_guests: expected true or false, found "yes"; write e.g. true
        bridgehead.toml:18:18: log.format: expected "text" or "json", found "xml"; write e.g. "json"
        bridgehead.toml:19:18: log.filter: expected a log filter, found "info,=="; write e.g. "info" or "warn,bridgehead_homeserver=debug"
        "#,
    );
}

#[test]
fn unknown_names_are_refused_with_the_nearest_known_one() {
    check(
        "max_upload_bytes = 1\nserver_nam = 'a'\nwhatever_else = 1\n[limit]\nx = 1\n[zebra]\n[tls]\nlisten = []\n[limits]\nmax_uplod_bytes = 1\n",
        &[],
        "
        bridgehead.toml:1:1: max_upload_bytes: unknown key; did you mean limits.max_upload_bytes?
        bridgehead.toml:2:1: server_nam: unknown key; did you mean server_name?
        bridgehead.toml:3:1: whatever_else: unknown key; remove it; the reference lists every key
        bridgehead.toml:4:2: limit: unknown section; did you mean limits?
        bridgehead.toml:6:2: zebra: unknown section; remove it; the reference lists every key
        bridgehead.toml:8:1: tls.listen: unknown key; did you mean listen?
        bridgehead.toml:10:1: limits.max_uplod_bytes: unknown key; did you mean limits.max_upload_bytes?
        ",
    );
    check(
        "limits = 3",
        &[],
        "bridgehead.toml:1:10: limits: expected a section, found a value; write [limits] on a line of its own and the section's keys below it",
    );
}

#[test]
fn all_mistakes_in_the_toml_itself_are_told() {
    let dir = folder("server_name = example.org\nlisten = [1,,2]\nserver_name = 'b'\n");
    let errors = load_in(
        dir.path(),
        &[("BRIDGEHEAD_LISTEN", "nowhere")],
        Overrides::default(),
    )
    .unwrap_err();
    let toml_lines: Vec<_> = errors
        .iter()
        .filter(|error| error.key.is_empty())
        .map(|error| &error.origin)
        .collect();
    for wanted in [1, 2, 3] {
        let is_there = |origin: &&Origin| matches!(origin, Origin::File { position: Some(at), .. } if at.line == wanted);
        assert!(
            toml_lines.iter().any(is_there),
            "no mistake in line {wanted}: {errors}"
        );
    }
    assert!(errors.to_string().ends_with(
        r#"BRIDGEHEAD_LISTEN: listen: expected an address and port, found "nowhere"; write e.g. 127.0.0.1:8008"#
    ));
}

#[test]
fn variables_are_checked_like_the_file() {
    check(
        "",
        &[
            ("BRIDGEHEAD_LIMITS_MAX_UPLOAD_BYTES", "lots"),
            ("BRIDGEHEAD_ACCOUNTS_OPEN_REGISTRATION", "1"),
            ("BRIDGEHEAD_LISTEN", ","),
            ("BRIDGEHEAD_SERVER_NAME", ""),
        ],
        r#"
        BRIDGEHEAD_ACCOUNTS_OPEN_REGISTRATION: accounts.open_registration: expected true or false, found "1"; write e.g. true
        BRIDGEHEAD_LIMITS_MAX_UPLOAD_BYTES: limits.max_upload_bytes: expected a size in bytes, found "lots"; write e.g. 52428800 or 50 MiB
        BRIDGEHEAD_LISTEN: listen: the list is empty; write e.g. 127.0.0.1:8008
        "#,
    );
    check(
        "",
        &[
            ("BRIDGEHEAD_SERVERNAME", "a"),
            ("BRIDGEHEAD_CONFIG", "c.toml"),
            ("HOME", "/"),
            ("BRIDGEHEAD_QQQQQQQQ", "a"),
        ],
        "
        BRIDGEHEAD_QQQQQQQQ: this variable is none of the server's and is ignored; the reference lists every variable
        BRIDGEHEAD_SERVERNAME: this variable is none of the server's and is ignored; did you mean BRIDGEHEAD_SERVER_NAME?
        ",
    );
}

#[test]
fn flag_beats_variable_beats_file_beats_default() {
    let toml = "server_name = 'file'\nlisten = ['127.0.0.1:1']\n[limits]\nrate_limits = 'off'\nmessages_burst = 7\n";
    let env = [
        ("BRIDGEHEAD_SERVER_NAME", "variable"),
        ("BRIDGEHEAD_LISTEN", "127.0.0.1:2, [::1]:3"),
        ("BRIDGEHEAD_LIMITS_REQUEST_TIMEOUT_MS", "2m"),
    ];
    let (_, config) = load(toml, &env, Overrides::default());
    assert_eq!(config.server_name, "variable");
    assert_eq!(
        config.listen,
        ["127.0.0.1:2", "[::1]:3"].map(|address| address.parse::<SocketAddr>().unwrap())
    );
    assert_eq!(config.limits.rate_limit(RateCategory::Messages), None);
    assert_eq!(
        (config.limits.messages_burst, config.limits.joins_burst),
        (7, 10)
    );
    assert_eq!(config.limits.request_timeout, Duration::from_secs(120));

    let flags = Overrides {
        data_dir: Some("flagged".into()),
        server_name: Some("flag".to_owned()),
        listen: vec!["127.0.0.1:4".to_owned()],
        registrations: Vec::new(),
        open_registration: true,
        rate_limits: Some(true),
        registration_shared_secret: Some(Secret::from("s3cret".to_owned())),
    };
    let (_, config) = load(toml, &env, flags);
    assert_eq!(
        (config.server_name.as_str(), config.data_dir),
        ("flag", PathBuf::from("flagged"))
    );
    assert_eq!(
        config.listen,
        ["127.0.0.1:4".parse::<SocketAddr>().unwrap()]
    );
    assert!(config.accounts.open_registration && config.limits.rate_limits);
    assert_eq!(
        config.accounts.registration_shared_secret,
        Some(Secret::from("s3cret".to_owned()))
    );
}

#[test]
fn flags_are_checked_too() {
    let dir = folder("");
    let flags = Overrides {
        listen: vec!["here".to_owned(), "127.0.0.1:1".to_owned()],
        registrations: vec![dir.path().join("nothing.yaml")],
        ..Overrides::default()
    };
    let errors = load_in(dir.path(), &[], flags).unwrap_err().to_string();
    let expected = [
        r#"--listen: listen: expected an address and port, found "here"; write e.g. 127.0.0.1:8008"#,
        r#"--registration: registrations: cannot use "nothing.yaml": no such file or folder; correct the path, or create the file and let the server read it"#,
    ];
    assert_eq!(
        errors.replace(&format!("{}/", dir.path().display()), ""),
        expected.join("\n")
    );
}

#[test]
fn sizes_and_times_take_numbers_and_units() {
    for (written, bytes) in [
        ("70_000", 70_000),
        ("'64 KiB'", 65_536),
        ("'2MB'", 2_000_000),
        ("0x20000", 131_072),
    ] {
        let (_, config) = load(
            &format!("[limits]\nmax_body_bytes = {written}\n"),
            &[],
            Overrides::default(),
        );
        assert_eq!(config.limits.max_body_bytes, bytes, "{written}");
    }
    for (written, ms) in [
        ("1500", 1500),
        ("'1500'", 1500),
        ("'250ms'", 250),
        ("'30s'", 30_000),
        ("'5 m'", 300_000),
    ] {
        let (_, config) = load(
            &format!("[limits]\nsync_timeout_max_ms = {written}\n"),
            &[],
            Overrides::default(),
        );
        assert_eq!(
            config.limits.sync_timeout_max,
            Duration::from_millis(ms),
            "{written}"
        );
    }
    check(
        "[limits]\nmax_upload_bytes = '99999999999999999 GiB'\nsync_timeout_max_ms = '2h'\n",
        &[],
        r#"
        bridgehead.toml:2:20: limits.max_upload_bytes: expected a size in bytes, found "99999999999999999 GiB"; write e.g. 52428800 or "50 MiB"
        bridgehead.toml:3:23: limits.sync_timeout_max_ms: "2h" is out of range; write a value from 0 to 3600000 ms
        "#,
    );
}

#[test]
fn paths_in_the_file_count_from_its_folder() {
    let toml = "data_dir = 'data'\nregistrations = ['irc.yaml', 'services']\n[tls]\ncertificate = 'cert.pem'\nkey = 'key.pem'\n";
    let (dir, config) = load(
        toml,
        &[("BRIDGEHEAD_DATA_DIR", "elsewhere")],
        Overrides::default(),
    );
    assert_eq!(config.data_dir, PathBuf::from("elsewhere"));
    assert_eq!(
        config.registrations,
        [dir.path().join("irc.yaml"), dir.path().join("services")]
    );
    let (certificate, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    assert_eq!(
        config.tls.files(),
        Some((certificate.as_path(), key.as_path()))
    );
}

#[test]
fn files_must_exist_and_secrets_must_be_private() {
    check(
        "data_dir = 'irc.yaml'\nregistrations = ['irc.yaml', 'none.yaml', 7]\n[tls]\ncertificate = 'services'\nkey = 'open-secret'\n",
        &[],
        r#"
        bridgehead.toml:1:12: data_dir: "irc.yaml" is not a folder; name a folder, or one that can be created
        bridgehead.toml:2:30: registrations: cannot use "none.yaml": no such file or folder; correct the path, or create the file and let the server read it
        bridgehead.toml:2:43: registrations: expected a file or folder that exists, found 7; write e.g. "/etc/bridgehead/appservices"
        bridgehead.toml:4:15: tls.certificate: "services" is not a file; name the file itself
        bridgehead.toml:5:7: tls.key: everybody on this machine may read the secret in "open-secret"; run: chmod o-rwx open-secret
        "#,
    );
    check(
        "[tls]\nkey = 'key.pem'\n",
        &[],
        "bridgehead.toml:2:7: tls.key: given without tls.certificate; give tls.certificate too, or neither",
    );
}

#[test]
fn synapses_name_for_registrations_is_understood() {
    let (dir, config) = load(
        "app_service_config_files = ['irc.yaml']",
        &[],
        Overrides::default(),
    );
    assert_eq!(config.registrations, [dir.path().join("irc.yaml")]);
    check(
        "app_service_config_files = []\nregistrations = []\n",
        &[],
        "bridgehead.toml:2:17: registrations: registrations is given a second time, by another name; keep registrations alone",
    );
}

#[test]
fn the_shared_secret_comes_from_the_highest_layer() {
    let secret = |toml: &str, env: &[(&str, &str)]| {
        load(toml, env, Overrides::default())
            .1
            .accounts
            .registration_shared_secret
    };
    let from_file = "[accounts]\nregistration_shared_secret_file = 'secret'\n";
    let text_variable = [(
        "BRIDGEHEAD_ACCOUNTS_REGISTRATION_SHARED_SECRET",
        "from variable",
    )];
    assert_eq!(
        secret(from_file, &[]),
        Some(Secret::from("from file".to_owned()))
    );
    assert_eq!(
        secret(from_file, &text_variable),
        Some(Secret::from("from variable".to_owned()))
    );
    let (dir, _) = load("", &[], Overrides::default());
    let path = dir.path().join("secret").display().to_string();
    let file_variable = [(
        "BRIDGEHEAD_ACCOUNTS_REGISTRATION_SHARED_SECRET_FILE",
        path.as_str(),
    )];
    let in_text = "[accounts]\nregistration_shared_secret = 'in text'\n";
    assert_eq!(
        secret(in_text, &file_variable),
        Some(Secret::from("from file".to_owned()))
    );

    check(
        "[accounts]\nregistration_shared_secret = 'a'\nregistration_shared_secret_file = 'secret'\n",
        &[],
        "bridgehead.toml:3:35: accounts.registration_shared_secret_file: given beside accounts.registration_shared_secret; keep one of the two",
    );
    check(
        "[accounts]\nregistration_shared_secret_file = 'empty'\n",
        &[],
        r#"bridgehead.toml:2:35: accounts.registration_shared_secret_file: "empty" is empty; put the secret, and nothing else, into the file"#,
    );
}

#[test]
fn secrets_are_never_shown() {
    check(
        "[accounts]\nregistration_tokens = ['fine', 'hunter2 hunter2', 5]\nregistration_shared_secret = ''\n",
        &[],
        r#"
        bridgehead.toml:2:32: accounts.registration_tokens: expected a text of 1 to 64 letters, digits and ._~-, found a text with something else in it; write e.g. "welcome-2026"
        bridgehead.toml:2:51: accounts.registration_tokens: expected a text of 1 to 64 letters, digits and ._~-, found a number; write e.g. "welcome-2026"
        bridgehead.toml:3:30: accounts.registration_shared_secret: expected a secret text that is not empty, found an empty text; write e.g. "a long random text"
        "#,
    );
    check(
        "[accounts]\nregistration_tokens = 'hunter2'\n",
        &[],
        r#"bridgehead.toml:2:23: accounts.registration_tokens: expected a list, found a text; write e.g. ["welcome-2026"]"#,
    );
    let (_, config) = load(
        "[accounts]\nregistration_tokens = ['hunter2']\n",
        &[],
        Overrides::default(),
    );
    assert_eq!(
        config.accounts.registration_tokens,
        [Secret::from("hunter2".to_owned())]
    );
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn secrets_in_a_readable_file_are_warned_of() {
    let dir = folder("[accounts]\nregistration_tokens = ['hunter2']\n");
    let file = dir.path().join("bridgehead.toml");
    assert_eq!(super::check(&file).to_string(), "no mistakes");
    set_world_readable(&file, true);
    let path = file.display();
    let expected = format!(
        "warning: {path}: everybody on this machine may read accounts.registration_tokens; run: chmod o-rwx {path}\nno mistakes"
    );
    assert_eq!(super::check(&file).to_string(), expected);
}

#[test]
fn the_first_wait_is_not_longer_than_the_longest() {
    check(
        "[appservices]\nbackoff_min_ms = 60000\n",
        &[],
        "bridgehead.toml:2:18: appservices.backoff_min_ms: the first wait, 60000 ms, is longer than the longest, 30000 ms; make appservices.backoff_min_ms at most appservices.backoff_max_ms",
    );
    check(
        "[appservices]\nbackoff_max_ms = 10\n",
        &[],
        "bridgehead.toml:2:18: appservices.backoff_max_ms: the first wait, 1000 ms, is longer than the longest, 10 ms; make appservices.backoff_min_ms at most appservices.backoff_max_ms",
    );
}

#[test]
fn a_missing_file_is_told_and_the_rest_is_checked() {
    let env = [("BRIDGEHEAD_LISTEN".to_owned(), "x".to_owned())];
    let errors = Config::load(
        Some(Path::new("no/such.toml")),
        env.into_iter(),
        Overrides::default(),
    )
    .unwrap_err();
    assert_eq!(
        errors.to_string().lines().collect::<Vec<_>>(),
        [
            "no/such.toml: cannot read the configuration: no such file or folder; correct the path, or create the file and let the server read it",
            r#"BRIDGEHEAD_LISTEN: listen: expected an address and port, found "x"; write e.g. 127.0.0.1:8008"#,
        ]
    );
}

#[test]
fn the_report_counts_the_mistakes() {
    let dir = folder("a = 1\nb = 2\n");
    let report = super::check(&dir.path().join("bridgehead.toml"));
    assert!(!report.is_ok());
    assert_eq!(report.to_string().lines().last(), Some("2 mistakes"));
}

#[test]
fn the_table_is_consistent() {
    let mut variables = Vec::new();
    for section in schema::SECTIONS.iter() {
        for key in &section.keys {
            let (in_section, name) = key.path.rsplit_once('.').unwrap_or(("", key.path));
            assert_eq!(
                (in_section, name),
                (section.name, key.name()),
                "{} stands in the wrong section",
                key.path
            );
            assert!(!key.doc.is_empty(), "{} has no meaning", key.path);
            variables.extend(key.variables());
        }
    }
    let count = variables.len();
    variables.sort();
    variables.dedup();
    assert_eq!(variables.len(), count, "two keys share a variable");
}

#[test]
fn the_example_with_all_defaults_in_force_is_the_default_configuration() {
    let unset: Vec<_> = schema::keys()
        .filter(|key| key.default.is_empty())
        .map(|key| format!("#{} =", key.name()))
        .collect();
    let is_default = |line: &&str| !unset.iter().any(|start| line.starts_with(start));
    let in_force: Vec<_> = render_example()
        .lines()
        .filter(is_default)
        .map(|line| {
            if line.starts_with("# ") {
                "".to_owned()
            } else {
                line.trim_start_matches('#').to_owned()
            }
        })
        .collect();
    let dir = folder(&in_force.join("\n"));
    let mut config = load_in(dir.path(), &[], Overrides::default())
        .unwrap_or_else(|errors| panic!("{errors}"))
        .config;
    assert_eq!(config.data_dir, dir.path().join("./bridgehead-data"));
    let defaults = Config::load(None, std::iter::empty(), Overrides::default())
        .unwrap()
        .config;
    // The one relative path: in a file it counts from the file's folder.
    config.data_dir.clone_from(&defaults.data_dir);
    assert_eq!(format!("{config:#?}"), format!("{defaults:#?}"));
    assert_eq!(
        in_force.iter().filter(|line| line.contains(" = ")).count() + unset.len(),
        schema::keys().count()
    );
}

#[test]
fn generated_files_are_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let write = std::env::var_os("UPDATE_GENERATED").is_some();
    for (name, wanted) in [
        ("docs/config.md", render_reference()),
        ("bridgehead.example.toml", render_example()),
    ] {
        let path = root.join(name);
        if write {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &wanted).unwrap();
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(
            found, wanted,
            "{name} is stale; run this test again with UPDATE_GENERATED=1"
        );
    }
}
