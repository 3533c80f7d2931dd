//! Loading: files, variables, secrets, mistakes.

use proptest::prelude::*;

use super::*;

#[test]
fn a_file_is_read() {
    let irc = good(
        r##"
        motto = "hello"
        mode = "open"
        channels = ["#a", "#b"]
        flush = ["30s", "1h 30m"]
        nick = "jo"
        colours = { jo = "red", "a b" = "blue" }
        [server]
        port = 6667
        rate = 1
        ping = "2m"
        max_file = "1 MB"
        tls = false
        certificates = "ca.pem"
        [backup]
        [others.oftc]
        port = 0x1A2B
        [[lines]]
        text = "first"
        [[lines]]
        "##,
    );
    assert_eq!(irc.motto.as_deref(), Some("hello"));
    assert_eq!(irc.mode, Mode::Open);
    assert_eq!(irc.channels, ["#a", "#b"]);
    assert_eq!(irc.flush, [Time::from_secs(30), Time::from_secs(5400)]);
    assert_eq!(irc.nick, Nick("jo".to_owned()));
    assert_eq!(irc.colours["a b"], "blue");
    assert_eq!((irc.server.port, irc.server.tls), (6667, false));
    assert!((irc.server.rate - 1.0).abs() < 1e-9);
    assert_eq!(irc.server.ping, Time::from_secs(120));
    assert_eq!(irc.server.max_file, Size::from_bytes(1_000_000));
    assert_eq!(irc.backup, Some(Server::default()));
    assert_eq!(irc.others["oftc"].port, 6699);
    assert_eq!((irc.lines.len(), irc.lines[0].text.as_str()), (2, "first"));
}

#[test]
fn what_is_not_given_has_its_default() {
    let wanted = Irc {
        network: "libera".to_owned(),
        ..Irc::default()
    };
    assert_eq!(good(""), wanted);
    let from_env = load::<Irc>(None, [("IRC_NETWORK".into(), "libera".into())], "IRC");
    assert_eq!(
        from_env.expect("the only key that must be given").config,
        wanted
    );
}

#[test]
fn paths_in_the_file_count_from_its_folder() {
    let text = "network = \"x\"\nserver.certificates = \"ca.pem\"";
    let in_etc = Path::new("/etc/irc/irc.toml");
    let certificates = |env: Env<'_>| {
        let loaded = load_from::<Irc>(in_etc, text, env).expect("right");
        loaded.config.server.certificates
    };
    assert_eq!(certificates(&[]), FilePath::new("/etc/irc/ca.pem"));
    let env = [("IRC_SERVER_CERTIFICATES", "ca.pem")];
    assert_eq!(certificates(&env), FilePath::new("ca.pem"));
}

#[test]
fn variables_win_over_the_file_and_are_typed() {
    let text = r#"
        network = "libera"
        channels = ["x"]
        [server]
        port = 1
        tls = true
    "#;
    let env = [
        ("IRC_CHANNELS", "#a, #b,,"),
        ("IRC_SERVER_PORT", "7000"),
        ("IRC_SERVER_TLS", "false"),
        ("IRC_SERVER_RATE", "0.5"),
        ("IRC_SERVER_PING", "5m"),
        ("IRC_FLUSH", "1s,2s"),
        ("IRC_MODE", "open"),
        ("IRC_BACKUP_PORT", "7001"),
        ("IRC_MOTTO", ""),
        ("IRC_MOTO", "slip"),
        ("IRCD_PORT", "not ours"),
        ("PATH", "/bin"),
    ];
    let loaded = read(text, &env).expect("right");
    let irc = loaded.config;
    assert_eq!(irc.channels, ["#a", "#b"]);
    assert_eq!((irc.server.port, irc.server.tls), (7000, false));
    assert!((irc.server.rate - 0.5).abs() < 1e-9);
    assert_eq!(irc.server.ping, Time::from_secs(300));
    assert_eq!(irc.flush, [Time::from_secs(1), Time::from_secs(2)]);
    assert_eq!((irc.mode, irc.motto), (Mode::Open, None));
    assert_eq!(irc.backup.map(|backup| backup.port), Some(7001));
    let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        ["IRC_MOTO: this variable sets no key and is ignored; did you mean IRC_MOTTO?"]
    );
}

#[test]
fn every_mistake_is_told_at_once_with_its_place_and_remedy() {
    let text = r##"motto = 5
mode = "opne"
channels = "#a"
nick = "a b"
zebra = 1
[servr]
port = 1
[server]
prot = 1
port = 70000
rate = "fast"
ping = 90
max_file = "8 mega"
tls = "yes"
password = 7
network = "x"
[backup]
port = -1
[others.oftc]
prt = 1
[[lines]]
txt = ""
"##;
    let told = bad(text, &[("IRC_FLUSH", "1s,soon")]);
    let wanted = [
        "irc.toml: network: not given; write e.g. network = \"libera\" above all sections, or set IRC_NETWORK",
        "irc.toml:1:9: motto: expected a text, found 5; write e.g. \"text\"",
        "irc.toml:2:8: mode: expected \"open\" or \"invite_only\", found \"opne\"; did you mean \"open\"?",
        "irc.toml:3:12: channels: expected a list, found a text; write it in brackets, [\"like\", \"this\"]",
        "irc.toml:4:8: nick: a nick has no spaces; correct it; the reference says what is expected",
        "irc.toml:5:1: zebra: unknown key; remove it; the reference lists every key",
        "irc.toml:6:2: servr: unknown section; did you mean server?",
        "irc.toml:9:1: server.prot: unknown key; did you mean server.port?",
        "irc.toml:10:8: server.port: expected a whole number from 0 to 65535, found 70000; write e.g. 6697",
        "irc.toml:11:8: server.rate: expected a number, found \"fast\"; write e.g. 2.5",
        "irc.toml:12:8: server.ping: expected a time with its unit (ms, s, m, h or d), such as \"30s\", found 90; write e.g. \"90s\"",
        "irc.toml:13:12: server.max_file: expected a size with its unit (B, KB, KiB, MB, MiB, GB or GiB), such as \"50MiB\", found \"8 mega\"; write e.g. \"8MiB\"",
        "irc.toml:14:7: server.tls: expected true or false, found \"yes\"; write e.g. true",
        "irc.toml:15:12: server.password: expected a secret text that is not empty, found a number; write e.g. \"a long random text\"",
        "irc.toml:16:1: server.network: unknown key; did you mean network?",
        "irc.toml:18:8: backup.port: expected a whole number from 0 to 65535, found -1; write e.g. 6697",
        "irc.toml:20:1: others.oftc.prt: unknown key; did you mean others.oftc.port?",
        "irc.toml:22:1: lines[0].txt: unknown key; did you mean lines[0].text?",
        "IRC_FLUSH: flush[1]: expected a time with its unit (ms, s, m, h or d), such as \"30s\", found \"soon\"; write e.g. 30s",
    ];
    assert_eq!(told.lines().collect::<Vec<_>>(), wanted);
}

#[test]
fn what_is_no_toml_is_told_with_its_line() {
    let told = bad("network = \"x\"\nmotto = hello\n", &[]);
    assert!(told.starts_with("irc.toml:2:9: not TOML: "), "{told}");
    let told = bad("network = \"x\"\n[server]\nport = 1\nport = 2\n", &[]);
    assert!(told.starts_with("irc.toml:4:1: not TOML: "), "{told}");
    let told = bad("server = 5\nnetwork = \"x\"", &[("IRC_SERVER_PORT", "5")]);
    assert_eq!(
        told,
        "irc.toml:1:10: server: expected a section, found a number; write [server] on a line of its own and its keys below it"
    );
}

#[test]
fn a_file_that_is_not_there_is_a_mistake() {
    let error = load::<Irc>(Some(Path::new("no/such.toml")), [], "IRC").expect_err("not there");
    assert_eq!(
        error.to_string(),
        "no/such.toml: cannot read the configuration: no such file or folder; correct the path, or create the file \
         and let the service read it"
    );
}

#[test]
fn several_keys_are_checked_together() {
    let text = "network = \"x\"\n[server]\ntls = false\npassword = \"hunter2\"\n";
    let told = bad(text, &[]);
    assert_eq!(
        told,
        "irc.toml:4:12: server.password: would be sent without encryption; set server.tls = true"
    );
}

#[test]
fn old_names_still_count() {
    let text = "network = \"x\"\nport = 5\n[connection]\nspeed = 1.5\n[secondary]\nport = 6\n";
    let loaded = read(text, &[]).expect("right");
    assert_eq!(loaded.config.server.port, 5);
    assert!((loaded.config.server.rate - 1.5).abs() < 1e-9);
    assert_eq!(loaded.config.backup.map(|backup| backup.port), Some(6));
    let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "irc.toml:2:1: port is now called server.port; the old name still works, but rename it",
            "irc.toml:4:1: connection.speed is now called server.rate; the old name still works, but rename it",
            "irc.toml:5:2: secondary is now called backup; the old name still works, but rename it",
        ]
    );
    let told = bad("network = \"x\"\nport = 5\nserver.port = 6\n", &[]);
    assert_eq!(
        told,
        "irc.toml:2:1: port: server.port is given too, which is the new name of this key; keep server.port alone"
    );
    let told = bad("network = \"x\"\nport = \"five\"\n", &[]);
    assert!(
        told.starts_with("irc.toml:2:8: server.port: expected a whole number"),
        "{told}"
    );
}

#[test]
fn a_reload_tells_what_changed_and_what_is_live() {
    let old = good("motto = \"a\"\n[server]\nport = 1\npassword = \"one\"\n");
    let new = good("mode = \"open\"\n[server]\nport = 2\npassword = \"two\"\n[others.oftc]\n");
    let changes: Vec<String> = diff(&old, &new).iter().map(ToString::to_string).collect();
    let later = "takes effect when the service is started again";
    assert_eq!(changes[0], format!("mode has changed; {later}"));
    assert_eq!(changes[1], "motto has changed; now in effect");
    assert!(changes.contains(&"server.password has changed; now in effect".to_owned()));
    assert!(changes.contains(&"server.port has changed; now in effect".to_owned()));
    assert!(changes.contains(&format!("others.oftc.port has changed; {later}")));
    assert!(
        !changes
            .iter()
            .any(|change| change.contains("channels") || change.contains("two"))
    );
    assert_eq!(diff(&old, &old.clone()), []);
}

#[test]
fn what_counts_later_is_told_with_its_time_and_a_section_in_one() {
    let old = good("[server]\nrate = 1.5\n[others.oftc]\nrate = 1.5\n[others.dalnet]\n");
    let new = good("[server]\nrate = 2.5\n[others.oftc]\nrate = 2.5\n[others.quakenet]\n");
    let told = crate::config::sentences(&old, &new);
    let restart = "takes effect when the service is started again";
    let next = "takes effect with the next connection";
    assert_eq!(
        told,
        [
            format!("others.dalnet is gone; {restart}"),
            format!("others.quakenet is new; {restart}"),
            format!("others.oftc.rate has changed; {next}"),
            format!("server.rate has changed; {next}"),
        ]
    );
}

#[test]
fn the_kits_keys_and_the_services_own_share_a_file() {
    let text = r#"
        network = "libera"
        database = "irc.db"
        [homeserver]
        server_name = "example.org"
        [server]
        port = 1
        [listen]
        address = "unix:/run/irc.sock"
    "#;
    let loaded = load_from::<Whole<Irc>>(Path::new("/etc/irc.toml"), text, &[]).expect("right");
    let Whole { service, own } = loaded.config;
    assert_eq!((own.network.as_str(), own.server.port), ("libera", 1));
    assert_eq!(service.homeserver.server_name, "example.org");
    assert_eq!(service.listen.address.to_string(), "unix:/run/irc.sock");
    assert_eq!(service.database, FilePath::new("/etc/irc.db"));
    let text = "network = \"x\"\nnick = \"a b\"\n[retries]\nfirst_wait = \"1h\"\n[listn]\n";
    let told = load_from::<Whole<Irc>>(Path::new("irc.toml"), text, &[]).expect_err("wrong");
    assert_eq!(
        told.to_string().lines().collect::<Vec<_>>(),
        [
            "irc.toml: homeserver.server_name: not given; write e.g. server_name = \"example.org\" below [homeserver], or set IRC_HOMESERVER_SERVER_NAME",
            "irc.toml:2:8: nick: a nick has no spaces; correct it; the reference says what is expected",
            "irc.toml:4:14: retries.first_wait: the first wait, 1h, is longer than the longest, 1m; make first_wait at most max_wait",
            "irc.toml:5:2: listn: unknown section; did you mean listen?",
        ]
    );
}

/// Takes a name that is the kit's.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Clash {
    /// Taken.
    listen: String,
}

impl Config for Clash {}

#[test]
fn a_key_that_the_kit_has_too_is_told_to_the_author() {
    let text = "homeserver.server_name = \"example.org\"";
    let told = load_from::<Whole<Clash>>(Path::new("x.toml"), text, &[]).expect_err("wrong");
    assert_eq!(
        told.to_string(),
        "configuration: listen is a key of the kit and of the service's own struct; rename the latter; correct it; \
         the reference says what is expected"
    );
}

#[test]
fn the_kits_own_bounds_are_checked() {
    let base = "homeserver.server_name = \"example.org\"\n";
    for (text, told) in [
        (
            "inbox.high_water = 5",
            "inbox.high_water: expected a whole number from 100 to 10000000",
        ),
        (
            "inbox.max_body = \"1GB 1GB\"",
            "inbox.max_body: 2GB is out of range; write a size from 64KiB to 1GiB",
        ),
        (
            "outbox.give_up_after = \"1s\"",
            "outbox.give_up_after: 1s is out of range; write a time from 10s to 366d",
        ),
        (
            "listen.certificate = \"x\"",
            "listen.certificate: given without listen.key",
        ),
        (
            "listen.key = \"x\"",
            "listen.key: given without listen.certificate",
        ),
        (
            "listen = { key = \"x\", certificate = \"y\", address = \"unix:/x\" }",
            "listen.certificate: a unix socket is not encrypted",
        ),
        (
            "listen.address = \"9000\"",
            "listen.address: expected an address and port",
        ),
        (
            "metrics.address = \"127.0.0.1:9000\"",
            "metrics.address: this is where the service itself listens",
        ),
        (
            "metrics.path = \"/ready\"",
            "health.ready_path: the same path as metrics.path",
        ),
        (
            "metrics.path = \"/_matrix/x\"",
            "metrics.path: \"/_matrix/x\" cannot be served",
        ),
        (
            "metrics.statsd_prefix = \"a b\"",
            "metrics.statsd_prefix: not a name",
        ),
        (
            "log.level = \"a=b=c\"",
            "log.level: neither a level nor a filter",
        ),
        (
            "log.format = \"jsno\"",
            "log.format: expected \"text\" or \"json\", found \"jsno\"; did you mean \"json\"?",
        ),
        (
            "homeserver.admin_token = \"x\"",
            "homeserver.admin_token: given without homeserver.admin_address",
        ),
        (
            "homeserver.address = \"example.org\"",
            "homeserver.address: expected an http or https URL",
        ),
    ] {
        let text = format!("{base}{text}\n");
        let loaded = load_from::<ServiceConfig>(Path::new("x.toml"), &text, &[]);
        let mistakes = loaded.expect_err(&text).to_string();
        assert!(mistakes.contains(told), "{text}{mistakes}");
        assert!(
            mistakes.starts_with("x.toml:2:") || mistakes.starts_with("configuration: health"),
            "{mistakes}"
        );
        assert_eq!(mistakes.lines().count(), 1, "{mistakes}");
    }
    let text = "homeserver.server_name = \"no spaces\"";
    let told = load_from::<ServiceConfig>(Path::new("x.toml"), text, &[]).expect_err("wrong");
    assert!(
        told.to_string()
            .contains("x.toml:1:26: homeserver.server_name: not a server name")
    );
}

proptest! {
    #[test]
    fn no_file_makes_it_panic(
        keys in proptest::collection::vec(
            "(network|motto|server|server\\.port|backup|others|lines|colours|port|channels|x) = (1|\"x\"|\\[1\\]|\\[\\[\\]\\]|\\{\\}|\\{port = 1\\}|true|nan|1979-05-27|0.5)",
            0..6,
        ),
        noise in "(\\PC{0,20}|\\[server\\]|\\[\\[lines\\]\\]|\\[others\\.x\\])",
    ) {
        let text = format!("{}\n{noise}\n", keys.join("\n"));
        for mistake in read(&text, &[]).err().iter().flat_map(Mistakes::iter) {
            prop_assert!(!mistake.problem.is_empty() && !mistake.remedy.is_empty());
        }
    }
}

/// Removing the `#` in front of a path changes nothing.
#[test]
fn default_paths_count_from_the_files_folder_like_written_ones() {
    #[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
    #[serde(default, deny_unknown_fields)]
    struct Keeper {
        /// Where it is kept.
        store: Store,
        /// Where more may be kept.
        spare: Option<Store>,
    }
    #[derive(Debug, Deserialize, Serialize, JsonSchema)]
    #[serde(default, deny_unknown_fields)]
    struct Store {
        /// The file.
        file: FilePath,
        /// How much it holds.
        most: u32,
        /// Word that opens it.
        word: SecretText,
        /// None by default.
        log: FilePath,
    }
    impl Default for Store {
        fn default() -> Self {
            Self {
                file: FilePath::new("store.db"),
                most: 7,
                word: SecretText::default(),
                log: FilePath::default(),
            }
        }
    }
    impl Config for Keeper {}

    let config = Path::new("/etc/keeper/keeper.toml");
    let files = |text: &str, env: &[(&str, &str)]| {
        let read = load_from::<Keeper>(config, text, env)
            .expect("right")
            .config;
        assert_eq!(
            (read.store.most, read.store.log.to_string()),
            (7, String::new())
        );
        let spare = read.spare.map(|spare| spare.file.to_string());
        (read.store.file.to_string(), spare)
    };
    let placed = || "/etc/keeper/store.db".to_owned();
    assert_eq!(files("", &[]), (placed(), None));
    assert_eq!(files("[store]\nmost = 7\n", &[]), (placed(), None));
    assert_eq!(
        files("[store]\nfile = \"store.db\"\n", &[]),
        (placed(), None)
    );
    assert_eq!(files("[spare]\n", &[]), (placed(), Some(placed())));
    assert_eq!(files("", &[("IRC_STORE_FILE", "here.db")]).0, "here.db");
    // Without a file there is no folder either.
    let read = load::<Keeper>(None, [], "IRC").expect("right").config;
    assert_eq!(read.store.file.to_string(), "store.db");
    let kits = load_from::<ServiceConfig>(config, "[homeserver]\nserver_name = \"a\"\n", &[]);
    let kits = kits.expect("right").config;
    assert_eq!(kits.database.to_string(), "/etc/keeper/service.db");
}
