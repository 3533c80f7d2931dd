//! The whole way from files and variables to a typed configuration, and what is rendered from the type.

mod load;
mod render;
mod secrets;
mod upgrade;

use std::{collections::BTreeMap, path::Path};

use bridgehead_registration::Secret;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::*;

/// Something of everything.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Irc {
    /// Name of the network.
    #[schemars(extend("x-required" = true), example = "libera".to_owned())]
    network: String,
    /// Topic | motto of the day.
    motto: Option<String>,
    /// How people are let in.
    mode: Mode,
    /// Lines that are said in turn.
    lines: Vec<Line>,
    /// Channels that are joined at once.
    channels: Vec<String>,
    /// Times around which to flush.
    flush: Vec<Time>,
    /// Nick on the network.
    nick: Nick,
    /// The connection to the network.
    server: Server,
    /// A second one, where there is one.
    backup: Option<Server>,
    /// Other networks, by name.
    others: BTreeMap<String, Server>,
    /// Colours of names, by nick.
    colours: BTreeMap<String, String>,
}

/// A connection.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Server {
    /// Port to connect to.
    port: u16,
    /// Lines a second.
    rate: f64,
    /// Between one look and the next.
    ping: Time,
    /// Longest file that is relayed.
    max_file: Size,
    /// Whether to encrypt.
    tls: bool,
    /// Word that lets us in.
    password: SecretText,
    /// Certificates to trust.
    certificates: FilePath,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Line {
    /// What is said.
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Mode {
    /// Everybody.
    Open,
    /// Who was invited.
    InviteOnly,
}

/// Refuses what no schema says.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(transparent)]
struct Nick(String);

impl<'de> Deserialize<'de> for Nick {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let nick = String::deserialize(deserializer)?;
        if nick.contains(' ') {
            return Err(de::Error::custom("a nick has no spaces"));
        }
        Ok(Self(nick))
    }
}

impl Default for Irc {
    fn default() -> Self {
        Self {
            network: String::new(),
            motto: None,
            mode: Mode::InviteOnly,
            channels: vec!["#matrix".to_owned()],
            flush: Vec::new(),
            nick: Nick("bridge".to_owned()),
            server: Server::default(),
            backup: None,
            others: BTreeMap::new(),
            colours: BTreeMap::new(),
            lines: Vec::new(),
        }
    }
}

impl Default for Server {
    fn default() -> Self {
        Self {
            port: 6697,
            rate: 2.5,
            ping: Time::from_secs(90),
            max_file: Size::from_mebibytes(8),
            tls: true,
            password: SecretText::default(),
            certificates: FilePath::new("certs"),
        }
    }
}

impl Config for Irc {
    const MOVED: &'static [Moved] = &[
        Moved {
            from: "port",
            to: "server.port",
        },
        Moved {
            from: "connection.speed",
            to: "server.rate",
        },
        Moved {
            from: "secondary",
            to: "backup",
        },
    ];
    const LIVE: &'static [&'static str] = &["motto", "server"];
    const LATER: &'static [(&'static str, &'static str)] = &[
        ("server.rate", "with the next connection"),
        ("others.*.rate", "with the next connection"),
    ];

    fn check(&self, refusals: &mut Refusals<'_>) {
        if !self.server.tls && self.server.password.get().is_some() {
            refusals.refuse(
                "server.password",
                "would be sent without encryption",
                "set server.tls = true",
            );
        }
    }
}

type Env<'a> = &'a [(&'a str, &'a str)];

fn load_from<D: Document>(path: &Path, text: &str, env: Env<'_>) -> Result<Loaded<D>, Mistakes> {
    let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    load_text(Some((path, text)), env, "IRC")
}

fn read(text: &str, env: Env<'_>) -> Result<Loaded<Irc>, Mistakes> {
    load_from(Path::new("irc.toml"), text, env)
}

/// A file that is right.
fn good(text: &str) -> Irc {
    let text = format!("network = \"libera\"\n{text}");
    read(&text, &[])
        .map(|loaded| loaded.config)
        .unwrap_or_else(|mistakes| panic!("{text}\n{mistakes}"))
}

/// The mistakes of a file, one a line.
fn bad(text: &str, env: Env<'_>) -> String {
    match read(text, env) {
        Ok(loaded) => panic!("{text}\nwas accepted as {:?}", loaded.config),
        Err(mistakes) => mistakes.to_string(),
    }
}
