//! The bridge's own keys of the configuration, beside the kit's.

mod messages;
mod network;

use std::{collections::BTreeMap, net::SocketAddr, path::Path, sync::Arc};

use bridgehead_appservice::{
    bridge::Permissions,
    config::{Config, FilePath, JsonSchema, Refusals, SecretText, schemars},
};
use serde::{Deserialize, Serialize};

pub use self::messages::{MediaSettings, MessageSettings, Reactions};
pub use self::network::{
    BanBy, BotSettings, ChannelSettings, DynamicSettings, Limits, LoginSettings, Mode,
    NetworkSettings, PeopleSettings, SyncSettings, Verify, WebircSettings,
};
use crate::{ids::is_channel, seal::MIN_KEY};

/// Characters of the API's secret at least.
const MIN_SECRET: usize = 16;

/// A bridge between Matrix and IRC.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Localpart of the bridge's own user.
    pub bot: String,
    /// User ids of people on IRC. Must have the fields `{network}` and `{nick}`, in this order.
    pub users: String,
    /// Aliases of channels. Must have the fields `{network}` and `{channel}`, in this order. Who joins one that is not
    /// there yet gets the channel.
    pub aliases: String,
    /// Who may do what: user ids, servers or `*`, each with `blocked`, `relay`, `user` or `admin`.
    pub permissions: Permissions,
    /// Rooms with ban lists that the bridge follows (`m.policy.rule.user`, `.server`, `.room`), by id or alias; the
    /// bridge's own user joins them. Whom they ban is blocked, and loses their connection at once; whom of IRC they ban
    /// is not heard in Matrix; rooms that they ban are not bridged. Unless given: none.
    #[schemars(example = vec!["#community-moderation-effort-bl:neko.dev".to_owned()])]
    pub policy_rooms: Vec<String>,
    /// Answers servers that ask who is behind a connection (RFC 1413).
    pub ident: IdentSettings,
    /// Keeps connections while the bridge is restarted.
    pub keeper: KeeperSettings,
    /// How people's passwords are kept.
    pub secrets: SecretsSettings,
    /// Lets programs link rooms over HTTP.
    pub provisioning: ProvisioningSettings,
    /// Links by which people on IRC see pictures, files and long texts.
    pub media: MediaSettings,
    /// The networks, each under the name that ids and commands know it by: lower-case letters, digits and `-`.
    pub networks: BTreeMap<String, NetworkSettings>,
}

/// The ident server.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct IdentSettings {
    /// Where it listens; not at all, where this is not given. Servers ask at port 113, so something has to lead there.
    pub listen: Option<SocketAddr>,
}

/// The keeper: a process of its own that holds the connections to IRC, so that nobody there notices a restart of the
/// bridge.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KeeperSettings {
    /// The socket that `bridgehead-irc keeper --listen` listens at. Without it the bridge holds its connections itself, and a
    /// restart ends them.
    pub socket: Option<FilePath>,
}

impl KeeperSettings {
    pub(crate) fn path(&self) -> Option<Arc<Path>> {
        self.socket
            .as_ref()
            .map(|path| Arc::from(path.as_ref() as &Path))
    }
}

/// How people's passwords are kept: encrypted, by a key that is kept elsewhere.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SecretsSettings {
    /// The key: at least 32 random characters. What was stored with another is lost.
    pub key: SecretText,
    /// The file with the key, where none is given here; made with a new one, where there is none. Unless named, it is
    /// beside the database, with `.key` behind its name.
    pub key_file: Option<FilePath>,
}

/// The API by which programs link rooms.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProvisioningSettings {
    /// Programs that show this secret, of at least 16 characters, may link rooms for everybody. Without it, none may.
    pub secret: SecretText,
    /// People of this homeserver may use the API for themselves: they log in with OpenID tokens.
    pub openid: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bot: "ircbot".to_owned(),
            users: "irc_{network}_{nick}".to_owned(),
            aliases: "#irc_{network}_{channel}".to_owned(),
            permissions: Permissions::new(),
            policy_rooms: Vec::new(),
            ident: IdentSettings::default(),
            keeper: KeeperSettings::default(),
            secrets: SecretsSettings::default(),
            provisioning: ProvisioningSettings::default(),
            media: MediaSettings::default(),
            networks: BTreeMap::new(),
        }
    }
}

/// What a change waits for that is about connections: those that stand go on.
const NEXT: &str = "with the next connection";
/// The same for what is about rooms that the bridge makes.
const NEW_ROOMS: &str = "for rooms that are made from now on";

impl Config for Settings {
    const LIVE: &'static [&'static str] = &["permissions", "networks"];
    const LATER: &'static [(&'static str, &'static str)] = &[
        ("networks.*.servers", NEXT),
        ("networks.*.tls", NEXT),
        ("networks.*.tls_verify", NEXT),
        ("networks.*.tls_ca", NEXT),
        ("networks.*.password", NEXT),
        ("networks.*.webirc", NEXT),
        ("networks.*.bot.username", NEXT),
        ("networks.*.bot.realname", NEXT),
        ("networks.*.bot.modes", NEXT),
        ("networks.*.bot.login", NEXT),
        ("networks.*.people.nick", NEXT),
        ("networks.*.people.realname", NEXT),
        ("networks.*.people.modes", NEXT),
        ("networks.*.people.max_connections", NEXT),
        ("networks.*.people.login_required", NEXT),
        ("networks.*.people.addresses", NEXT),
        ("networks.*.people.address", NEXT),
        ("networks.*.limits.lines_at_once", NEXT),
        ("networks.*.limits.line_every", NEXT),
        ("networks.*.dynamic.enabled", NEW_ROOMS),
        ("networks.*.dynamic.exclude", NEW_ROOMS),
        ("networks.*.dynamic.federate", NEW_ROOMS),
        ("networks.*.dynamic.room_version", NEW_ROOMS),
    ];

    fn check(&self, refusals: &mut Refusals<'_>) {
        if self.networks.is_empty() {
            refusals.refuse(
                "networks",
                "there is no network to bridge to",
                "add a section such as [networks.libera] with servers = [\"irc.libera.chat:6697\"]",
            );
        }
        let short = |secret: &SecretText, least: usize| {
            secret
                .get()
                .is_some_and(|secret| secret.expose().len() < least)
        };
        for (key, secret, least) in [
            ("secrets.key", &self.secrets.key, MIN_KEY),
            ("provisioning.secret", &self.provisioning.secret, MIN_SECRET),
        ] {
            if short(secret, least) {
                refusals.refuse(
                    key,
                    "it could be guessed",
                    format!("take at least {least} random characters"),
                );
            }
        }
        self.permissions.check(refusals, "permissions");
        self.media.check(refusals);
        let mut rooms = BTreeMap::new();
        for (name, network) in &self.networks {
            self.check_network(refusals, name, network);
            for (channel, settings) in &network.channels {
                if let Some(room) = &settings.room {
                    let key = format!("networks.{name}.channels.{channel}.room");
                    if let Some(other) = rooms.insert(room, key.clone()) {
                        let problem = format!("{room} is mapped by {other} already");
                        refusals.refuse(&key, problem, "map each room to one channel");
                    }
                }
            }
        }
    }
}

impl Settings {
    fn check_network(&self, refusals: &mut Refusals<'_>, name: &str, network: &NetworkSettings) {
        let key = format!("networks.{name}");
        let is_sound = !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !is_sound {
            refusals.refuse(
                &key,
                "the name of a network stands in ids",
                "use lower-case letters, digits and `-` alone",
            );
        }
        if network.servers.is_empty() {
            refusals.refuse(
                &format!("{key}.servers"),
                "the network has no server",
                "name at least one, such as \"irc.libera.chat:6697\"",
            );
        }
        for channel in network.channels.keys() {
            if !is_channel(channel) {
                refusals.refuse(
                    &format!("{key}.channels.{channel}"),
                    format!("`{channel}` is no channel"),
                    "write its whole name in quotes, such as [networks.libera.channels.\"#rust\"]",
                );
            }
        }
        network.check(refusals, &key);
    }
}

#[cfg(test)]
mod tests {
    use bridgehead_appservice::config::load;

    use super::*;

    fn mistakes(text: &str) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("irc.toml");
        std::fs::write(&file, text).expect("a file");
        match load::<Settings>(Some(&file), [], "IRC") {
            Ok(_) => String::new(),
            Err(mistakes) => mistakes.to_string(),
        }
    }

    #[test]
    fn a_small_configuration_is_enough() {
        let text = "[networks.libera]\nservers = [\"irc.libera.chat:6697\"]\n";
        assert_eq!(mistakes(text), "");
    }

    #[test]
    fn of_a_wrong_server_its_own_mistake_is_told_and_no_other() {
        let told = mistakes("[networks.libera]\nservers = [\"irc.libera.chat\"]\n");
        assert!(told.contains("host:port"), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }

    #[test]
    fn a_network_that_is_given_twice_is_told_with_both_lines() {
        let text = "[networks.libera]\nservers = [\"irc.libera.chat:6697\"]\n[networks.libera]\ntls = false\n";
        let told = mistakes(text);
        assert!(
            told.contains(
                ":3:11: not TOML: `networks.libera` is given twice: it stands in line 1 already"
            ),
            "{told}"
        );
    }

    #[test]
    fn mistakes_are_told_together() {
        let text = r##"
            [networks.Libera]
            nick = "x"
            [networks.libera.channels.rust]
            room = "!a:x"
            [networks.libera.channels."#rust"]
            room = "!a:x"
            [networks.libera.people]
            nick = "M"
        "##;
        let told = mistakes(text);
        for wanted in [
            "Libera",
            "no server",
            "`rust` is no channel",
            "!a:x is mapped",
            "people.nick",
        ] {
            assert!(told.contains(wanted), "{wanted}: {told}");
        }
    }
}
