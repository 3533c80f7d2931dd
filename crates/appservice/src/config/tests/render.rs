//! What is rendered from the type.

use super::*;

/// Takes the # from every key and section, but not from comments.
fn uncommented(example: &str) -> String {
    let lines = example.lines().map(|line| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with(' ') => rest,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_is_the_default() {
    let example = example::<Irc>();
    let loaded = read(&example, &[]).unwrap_or_else(|mistakes| panic!("{mistakes}\n{example}"));
    let wanted = Irc {
        network: "libera".to_owned(),
        ..Irc::default()
    };
    let certificates = loaded.config.server.certificates.clone();
    assert_eq!(certificates, wanted.server.certificates);
    assert_eq!(loaded.config, wanted);
    for loaded in [
        load_from::<ServiceConfig>(Path::new("x.toml"), &super::example::<ServiceConfig>(), &[]),
        load_from::<ServiceConfig>(
            Path::new("x.toml"),
            "homeserver.server_name = \"example.org\"",
            &[],
        ),
    ] {
        let config = loaded
            .unwrap_or_else(|mistakes| panic!("{mistakes}"))
            .config;
        assert_eq!(config.homeserver.server_name, "example.org");
        assert_eq!(config.inbox, InboxConfig::default());
    }
}

#[test]
fn every_key_of_the_example_can_be_taken_as_it_stands() {
    let example = uncommented(&example::<Irc>());
    let loaded = read(&example, &[]).unwrap_or_else(|mistakes| panic!("{mistakes}\n{example}"));
    let irc = loaded.config;
    assert_eq!(irc.motto.as_deref(), Some("text"));
    assert_eq!(
        irc.server.password.get().map(Secret::expose),
        Some("a long random text")
    );
    assert!(
        irc.backup.is_some() && irc.others.contains_key("name") && irc.colours.contains_key("name")
    );
    assert_eq!(irc.lines.len(), 1);
    for (path, _) in <Irc as document::Parts>::table().paths() {
        let name = path.rsplit('.').next().unwrap_or_default();
        assert!(example.contains(name), "{path} is not in:\n{example}");
    }
    let service = uncommented(&super::example::<ServiceConfig>());
    let loaded = load_from::<ServiceConfig>(Path::new("x.toml"), &service, &[]);
    let config = loaded.unwrap_or_else(|mistakes| panic!("{mistakes}\n{service}"));
    assert!(config.config.listen.tls().is_some() && config.warnings.is_empty());
}

#[test]
fn the_example_reads_well() {
    insta::assert_snapshot!(example::<Irc>());
}

#[test]
fn the_kits_example_reads_well() {
    insta::assert_snapshot!(example::<ServiceConfig>());
}

#[test]
fn an_example_with_values_keeps_them() {
    let config = good(
        "motto = \"two \\\"words\\\"\\nand a line\"\nchannels = [\"#a\"]\nmode = \"open\"\n[backup]\nport = 7\n\
         [server]\nrate = 1.0\ntls = false\n[colours]\n\"a b\" = \"red\"\n[[lines]]\ntext = \"x\"\n[others.oftc]\nport = 9",
    );
    let example = example_with(&config);
    let again = read(&example, &[]).unwrap_or_else(|mistakes| panic!("{mistakes}\n{example}"));
    assert_eq!(again.config, config, "{example}");
    assert!(
        example.contains("\ntls = false\n") && example.contains("\n#port = 6697\n"),
        "{example}"
    );
}

#[test]
fn the_reference_has_every_key() {
    let reference = reference::<Irc>("IRC");
    for row in [
        "| `network` | Name of the network. | a text | must be given | `IRC_NETWORK` |",
        "| `motto` | Topic \\| motto of the day. | a text | unset | `IRC_MOTTO` |",
        "| `mode` | How people are let in. | \"open\" or \"invite_only\" | `\"invite_only\"` | `IRC_MODE` |",
        "| `channels` | Channels that are joined at once. | a list, each item a text | `[\"#matrix\"]` | `IRC_CHANNELS` |",
        "| `port` | Port to connect to. | a whole number from 0 to 65535 | `6697` | `IRC_SERVER_PORT` |",
        "| `password` or `password_file` | Word that lets us in. | a secret text that is not empty | unset | `IRC_SERVER_PASSWORD` or `IRC_SERVER_PASSWORD_FILE` |",
        "### `[server]`\n\nThe connection to the network.\n",
        "### `[others.*]`\n\nA connection.\n",
        "### `[[lines]]`\n",
        "| `text` | What is said. | a text | unset |  |",
    ] {
        assert!(reference.contains(row), "{row}\nis not in\n{reference}");
    }
    for counts in [
        "`IRC_NETWORK` | after a restart |",
        "`IRC_MOTTO` | at once |",
        "`IRC_SERVER_RATE` | with the next connection |",
    ] {
        assert!(
            reference.contains(counts),
            "{counts}\nis not in\n{reference}"
        );
    }
    let places: Vec<_> = ["network", "motto", "mode", "channels", "nick"]
        .map(|name| reference.find(&format!("| `{name}`")))
        .to_vec();
    assert!(places.is_sorted(), "in the order of declaration");
}

#[test]
fn the_schema_knows_files_of_secrets() {
    let schema = schema::<Whole<Irc>>();
    let text = schema.to_string();
    for name in [
        "network",
        "homeserver",
        "password",
        "password_file",
        "admin_token_file",
    ] {
        assert!(
            text.contains(&format!("\"{name}\":")),
            "{name} is not in {schema:#}"
        );
    }
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(
        schema["properties"]["network"]["description"],
        "Name of the network."
    );
    assert!(schema["$defs"].is_object(), "{schema:#}");
}
