//! The keys of one network.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use bridgehead_appservice::{
    bridge::Level,
    config::{FilePath, HostPort, JsonSchema, Refusals, SecretText, Time, schemars},
    id::MxcUri,
};
use bridgehead_irc_protocol::{CaseMapping, encoding};
use serde::{Deserialize, Serialize};

use super::{MessageSettings, messages::check_hold};
use crate::{people::address_of, text::to_irc::Style};

/// A network.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkSettings {
    /// Its name for people; what the network calls itself, where this is not given.
    pub title: Option<String>,
    /// Its picture, by which clients show it among the networks that there are: `mxc://…`.
    pub icon: Option<String>,
    /// Its servers, the wanted one first. Where one cannot be reached, the next is tried.
    pub servers: Vec<HostPort>,
    /// Connections are encrypted.
    pub tls: bool,
    /// Whether servers have to prove who they are.
    pub tls_verify: Verify,
    /// Certificates (PEM) of authorities that vouch for the servers, in the place of the system's.
    pub tls_ca: Option<FilePath>,
    /// The servers' password.
    pub password: SecretText,
    /// The bridge's own connection.
    pub bot: BotSettings,
    /// The connections of people of Matrix.
    pub people: PeopleSettings,
    /// Channels that people get by joining their aliases.
    pub dynamic: DynamicSettings,
    /// Who is where, kept the same on both sides.
    pub sync: SyncSettings,
    /// What the network puts up with.
    pub limits: Limits,
    /// Tells the servers of whom each connection is, where they trust this bridge (WEBIRC).
    pub webirc: Option<WebircSettings>,
    /// The encoding of what is not UTF-8.
    #[schemars(example = "windows-1252")]
    pub encoding: String,
    /// The encoding in which people of Matrix speak, in channels that have none of their own; UTF-8, where it is not
    /// given.
    #[schemars(example = "koi8-r")]
    pub send_encoding: Option<String>,
    /// User ids of the people of this network, with the field `{nick}`, in the place of `users` for all networks. So a
    /// network goes on under the names that another bridge has given.
    #[schemars(example = "irc.example.org_{nick}")]
    pub users: Option<String>,
    /// Aliases of the channels of this network, with the field `{channel}`, in the place of `aliases` for all networks.
    #[schemars(example = "#irc_{channel}")]
    pub aliases: Option<String>,
    /// How messages cross.
    pub messages: MessageSettings,
    /// How formatted texts look on IRC.
    pub style: Style,
    /// Channels and the rooms that they are mapped to.
    pub channels: BTreeMap<String, ChannelSettings>,
}

impl Default for NetworkSettings {
    fn default() -> Self {
        Self {
            title: None,
            icon: None,
            servers: Vec::new(),
            tls: true,
            tls_verify: Verify::default(),
            tls_ca: None,
            password: SecretText::default(),
            bot: BotSettings::default(),
            people: PeopleSettings::default(),
            dynamic: DynamicSettings::default(),
            sync: SyncSettings::default(),
            limits: Limits::default(),
            webirc: None,
            encoding: "windows-1252".to_owned(),
            send_encoding: None,
            users: None,
            aliases: None,
            messages: MessageSettings::default(),
            style: Style::default(),
            channels: BTreeMap::new(),
        }
    }
}

/// Whether servers have to prove who they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verify {
    /// Their certificate has to be good for the name that they are reached by.
    #[default]
    Full,
    /// Any certificate will do. Whoever is on the way can read and change everything.
    None,
}

/// How a connection proves who it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LoginSettings {
    /// The account's name.
    pub account: Option<String>,
    /// Its password.
    pub password: SecretText,
    /// A certificate and its key (PEM, in one file), with which the connection proves who it is (SASL EXTERNAL).
    pub certificate: Option<FilePath>,
    /// Without the login there is no connection.
    pub required: bool,
}

/// The bridge's own connection.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BotSettings {
    /// There is one. Where there is none, people's own connections hear the channels, one for all in each; nobody hears
    /// those in which nobody of Matrix is.
    pub enabled: bool,
    /// Its nick.
    pub nick: String,
    /// Its user name.
    pub username: String,
    /// What it says of itself.
    pub realname: String,
    /// Modes that it sets for itself, such as `+B`.
    pub modes: Option<String>,
    /// How it logs in.
    pub login: LoginSettings,
}

impl Default for BotSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            nick: "MatrixBridge".to_owned(),
            username: "matrix".to_owned(),
            realname: "A bridge between Matrix and IRC".to_owned(),
            modes: None,
            login: LoginSettings::default(),
        }
    }
}

/// The connections of people of Matrix.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PeopleSettings {
    /// Their nicks, until they choose one: with `{display}`, `{localpart}` or `{server}`.
    pub nick: String,
    /// What is said of them, with `{user}`, their id.
    pub realname: String,
    /// Modes that each sets for itself, such as `+i`.
    pub modes: Option<String>,
    /// Connections at most; who has been silent for longest loses theirs when another is wanted.
    pub max_connections: usize,
    /// Whose login fails is not connected at all, where they have stored a password for it. Else they are connected
    /// without it.
    pub login_required: bool,
    /// A connection ends when its person has been silent for so long; never, where it is `"0s"`.
    pub idle: Time,
    /// The addresses (IPv6) from which people connect: an address each, such as `2001:db8:1::/64`. A range has a prefix of
    /// 112 bits at most.
    pub addresses: Option<String>,
    /// The address from which all connect, where they have none of their own.
    pub address: Option<IpAddr>,
    /// Who has chosen no nick goes by their name of the moment: where they change it in Matrix, their nick follows.
    pub follow_names: bool,
}

impl Default for PeopleSettings {
    fn default() -> Self {
        Self {
            nick: "{display}[m]".to_owned(),
            realname: "{user}".to_owned(),
            modes: None,
            max_connections: 1000,
            login_required: false,
            idle: Time::from_secs(0),
            addresses: None,
            address: None,
            follow_names: true,
        }
    }
}

/// Channels that people get by joining their aliases.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DynamicSettings {
    /// There are such.
    pub enabled: bool,
    /// Their rooms stand in the homeserver's directory, unless the channel is secret.
    pub published: bool,
    /// People of other servers may come into their rooms.
    pub federate: bool,
    /// The room version; the homeserver's own where it is not given.
    pub room_version: Option<String>,
    /// Channels that nobody gets like this.
    pub exclude: Vec<String>,
    /// Who speaks for people of Matrix in them.
    pub mode: Mode,
}

impl Default for DynamicSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            published: false,
            federate: true,
            room_version: None,
            exclude: Vec::new(),
            mode: Mode::default(),
        }
    }
}

/// Who speaks on IRC for people of Matrix.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Each has a connection of their own.
    #[default]
    Puppet,
    /// The bridge's own connection, with their names before what they say.
    Relay,
}

/// Who is where, kept the same on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SyncSettings {
    /// Who is in a channel is in its rooms: all of them, and not only who speaks.
    pub to_matrix: bool,
    /// Who is in a room is in its channel, and not only who speaks.
    pub to_irc: bool,
    /// Who has gone in a netsplit stays in the rooms for so long, in case they come back.
    pub netsplit: Time,
    /// Operators and voices are powers of the rooms, and the other way round.
    pub powers: bool,
    /// Bans are kept the same.
    pub bans: bool,
    /// How somebody on IRC is banned from Matrix.
    pub ban_by: BanBy,
    /// Topics are kept the same.
    pub topics: bool,
}

impl Default for SyncSettings {
    fn default() -> Self {
        Self {
            to_matrix: true,
            to_irc: true,
            netsplit: Time::from_secs(600),
            powers: true,
            bans: true,
            ban_by: BanBy::default(),
            topics: true,
        }
    }
}

/// What a ban of somebody on IRC names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BanBy {
    /// Their host, or their user name and host, where that is known and meets nobody else in the channel; else their
    /// nick. Another nick does not help them then.
    #[default]
    Host,
    /// Their nick alone.
    Nick,
}

/// What the network puts up with.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// New connections a minute.
    pub connects_per_minute: u32,
    /// New connections that may be made at once after a quiet time.
    pub connects_at_once: u32,
    /// Lines that a connection may say at once after a quiet time.
    pub lines_at_once: u32,
    /// Time between lines after that.
    pub line_every: Time,
    /// Lines of one message at most; what is longer becomes a page with a link, where there is a media proxy, and is
    /// cut off where there is none.
    pub max_lines: usize,
    /// How long a message waits for the connection of who says it.
    pub patience: Time,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connects_per_minute: 60,
            connects_at_once: 10,
            lines_at_once: 5,
            line_every: "500ms".parse().unwrap_or(Time::from_secs(1)),
            max_lines: 5,
            patience: Time::from_secs(60),
        }
    }
}

/// How servers are told of whom a connection is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WebircSettings {
    /// The password that the servers know this bridge by.
    pub password: SecretText,
    /// What this bridge calls itself to them.
    pub gateway: String,
}

/// A channel that is mapped to rooms.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ChannelSettings {
    /// The room, by id or alias; the bridge's own user has to be let in. Where none is given, one is made when somebody
    /// joins the channel's alias.
    pub room: Option<String>,
    /// Who speaks for people of Matrix in it.
    pub mode: Option<Mode>,
    /// The channel's key (`+k`).
    pub key: SecretText,
    /// How long a message waits before it is said there; as long as `messages.hold` says, where it is not given.
    pub hold: Option<Time>,
    /// The encoding of the channel: people of Matrix speak in it, and what is not UTF-8 is read in it. Where it is not
    /// given the network's keys count.
    pub encoding: Option<String>,
}

impl NetworkSettings {
    /// The settings of a channel, by its folded name.
    fn channel(&self, folded: &str) -> Option<&ChannelSettings> {
        // However the network folds case: what it takes for one name is not configured twice.
        let of = |mapping: CaseMapping| {
            let mut channels = self.channels.iter();
            channels.find(|(name, _)| mapping.is_same(name, folded))
        };
        let found = of(CaseMapping::Ascii).or_else(|| of(CaseMapping::Rfc1459));
        found.map(|(_, channel)| channel)
    }

    /// Who speaks for people of Matrix in a channel.
    #[must_use]
    pub fn mode_of(&self, channel: &str) -> Mode {
        let own = self.channel(channel).and_then(|channel| channel.mode);
        own.unwrap_or(self.dynamic.mode)
    }

    /// Whether the configuration maps a channel to a room of somebody's.
    #[must_use]
    pub fn is_mapped(&self, channel: &str) -> bool {
        self.channel(channel)
            .is_some_and(|channel| channel.room.is_some())
    }

    /// The same for somebody of this level: whoever may be heard alone is spoken for.
    #[must_use]
    pub fn mode_for(&self, channel: &str, level: Level) -> Mode {
        match level {
            Level::Blocked | Level::Relay => Mode::Relay,
            Level::User | Level::Admin => self.mode_of(channel),
        }
    }

    /// How long a message waits before it is said in a channel, or to somebody alone.
    #[must_use]
    pub fn hold_of(&self, channel: Option<&str>) -> Duration {
        let own = channel.and_then(|channel| self.channel(channel)?.hold);
        own.unwrap_or(self.messages.hold).get()
    }

    /// A channel's key.
    #[must_use]
    pub fn key_of(&self, channel: &str) -> Option<String> {
        let key = self.channel(channel)?.key.get()?;
        Some(key.expose().to_owned())
    }

    /// The encoding of what is not UTF-8 in a channel, or elsewhere.
    #[must_use]
    pub fn encoding_of(&self, channel: Option<&str>) -> &'static encoding_rs::Encoding {
        let own = channel.and_then(|channel| self.channel(channel)?.encoding.as_deref());
        let label = own.unwrap_or(&self.encoding);
        encoding_rs::Encoding::for_label(label.as_bytes()).unwrap_or(encoding_rs::WINDOWS_1252)
    }

    /// The encoding in which is spoken in a channel, or elsewhere.
    #[must_use]
    pub fn send_encoding_of(&self, channel: Option<&str>) -> &'static encoding_rs::Encoding {
        let own = channel.and_then(|channel| self.channel(channel)?.encoding.as_deref());
        let label = own.or(self.send_encoding.as_deref());
        label
            .and_then(|label| encoding::named(label).ok())
            .unwrap_or(encoding_rs::UTF_8)
    }

    /// How the room of a channel is made by whoever joins its alias; `None` where nobody gets it like that.
    #[must_use]
    pub fn dynamic_rules(&self, channel: &str) -> Option<&DynamicSettings> {
        let is_excluded = self
            .dynamic
            .exclude
            .iter()
            .any(|name| CaseMapping::Rfc1459.is_same(name, channel));
        (self.dynamic.enabled && !is_excluded).then_some(&self.dynamic)
    }

    /// The same for a channel that the configuration names as well.
    #[must_use]
    pub fn rules_of(&self, channel: &str) -> Option<&DynamicSettings> {
        let named = self.channel(channel).map(|_| &self.dynamic);
        self.dynamic_rules(channel).or(named)
    }

    pub(super) fn check(&self, refusals: &mut Refusals<'_>, key: &str) {
        if let Some(icon) = &self.icon
            && MxcUri::parse(icon).is_err()
        {
            refusals.refuse(
                &format!("{key}.icon"),
                format!("`{icon}` is no picture of Matrix"),
                "upload it, and give its address: mxc://example.org/…",
            );
        }
        for (name, channel) in &self.channels {
            let hold = channel.hold.unwrap_or(self.messages.hold);
            check_hold(refusals, &format!("{key}.channels.{name}.hold"), hold);
        }
        let template = &self.people.nick;
        if !["{display}", "{localpart}"]
            .iter()
            .any(|field| template.contains(field))
        {
            refusals.refuse(
                &format!("{key}.people.nick"),
                "everybody would have the same nick",
                "put {display} or {localpart} into it",
            );
        }
        if self.webirc.is_some() && self.people.addresses.is_none() {
            refusals.refuse(
                &format!("{key}.people.addresses"),
                "servers are told whose a connection is by address, and people have none",
                "give a range of your own, such as 2001:db8:1::/64, or take webirc out",
            );
        }
        if let Err(problem) = address_of(self, 1) {
            refusals.refuse(
                &format!("{key}.people.addresses"),
                problem.to_string(),
                "write it as in 2001:db8:1::/64",
            );
        }
        if self.people.max_connections == 0 {
            refusals.refuse(
                &format!("{key}.people.max_connections"),
                "nobody could connect",
                "give a number greater than 0, or set mode = \"relay\" for the channels",
            );
        }
        let modes = self.channels.values().filter_map(|channel| channel.mode);
        let mut modes = modes.chain([self.dynamic.mode]);
        if !self.bot.enabled && modes.any(|mode| mode == Mode::Relay) {
            refusals.refuse(
                &format!("{key}.bot.enabled"),
                "mode = \"relay\" needs the bridge's own connection",
                "set it to true, or mode = \"puppet\" for all channels",
            );
        }
        if self.limits.connects_per_minute == 0 {
            refusals.refuse(
                &format!("{key}.limits.connects_per_minute"),
                "nobody could connect",
                "give a number greater than 0",
            );
        }
        self.messages.check(refusals, &format!("{key}.messages"));
        let channels = self.channels.iter().filter_map(|(name, channel)| {
            let encoding = channel.encoding.as_ref()?;
            Some((format!("{key}.channels.{name}.encoding"), encoding))
        });
        let own = [
            (format!("{key}.encoding"), Some(&self.encoding)),
            (format!("{key}.send_encoding"), self.send_encoding.as_ref()),
        ];
        let own = own.into_iter().filter_map(|(key, name)| Some((key, name?)));
        for (key, name) in channels.chain(own) {
            if let Err(error) = encoding::named(name) {
                refusals.refuse(
                    &key,
                    error.to_string(),
                    "use a name such as windows-1252 or koi8-r",
                );
            }
        }
    }
}
