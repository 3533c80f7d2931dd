//! What is in the server, for those who judge.

use std::collections::{BTreeMap, BTreeSet};

use crate::state::{
    State,
    channel::{Channel, Entry, Topic},
    client::{Client, ClientId},
};

/// A channel as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelView {
    /// Its name.
    pub name: String,
    /// Everybody in it, by nick.
    pub members: Vec<MemberView>,
    /// What it is about.
    pub topic: Option<Topic>,
    /// Modes without a parameter.
    pub flags: BTreeSet<char>,
    /// Modes with one: the key, the limit.
    pub settings: BTreeMap<char, String>,
    /// Lists of masks, by their modes.
    pub lists: BTreeMap<char, Vec<Entry>>,
}

/// A member of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberView {
    /// The nick.
    pub nick: String,
    /// The modes of the standing, such as `o`.
    pub standing: BTreeSet<char>,
}

/// Somebody who is connected and registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonView {
    /// The nick.
    pub nick: String,
    /// The user name; with `~` where no ident server vouches for it.
    pub user: String,
    /// The host that others see.
    pub host: String,
    /// The address that they come from; a gateway may have told it.
    pub ip: String,
    /// The real name.
    pub realname: String,
    /// The account that they are logged in to.
    pub account: Option<String>,
    /// Why they are away.
    pub away: Option<String>,
    /// Their modes.
    pub modes: BTreeSet<char>,
    /// The capabilities that they have been granted.
    pub caps: BTreeSet<String>,
}

impl ChannelView {
    /// The nicks of all members, in order.
    #[must_use]
    pub fn nicks(&self) -> Vec<&str> {
        self.members
            .iter()
            .map(|member| member.nick.as_str())
            .collect()
    }

    /// A member.
    #[must_use]
    pub fn member(&self, nick: &str) -> Option<&MemberView> {
        self.members.iter().find(|member| member.nick == nick)
    }

    /// Whether a list holds a mask.
    #[must_use]
    pub fn lists(&self, mode: char, mask: &str) -> bool {
        let entries = self.lists.get(&mode).map(Vec::as_slice).unwrap_or_default();
        entries.iter().any(|entry| entry.mask == mask)
    }

    pub(crate) fn of(state: &State, name: &str) -> Option<Self> {
        state.channel(name).map(|channel| Self::new(state, channel))
    }

    fn new(state: &State, channel: &Channel) -> Self {
        let members = channel.members.iter().filter_map(|(id, standing)| {
            Some(MemberView {
                nick: state.client(*id)?.nick.clone(),
                standing: standing.clone(),
            })
        });
        let mut members: Vec<MemberView> = members.collect();
        members.sort_by(|left, right| left.nick.cmp(&right.nick));
        Self {
            name: channel.name.clone(),
            members,
            topic: channel.topic.clone(),
            flags: channel.flags.clone(),
            settings: channel.settings.clone(),
            lists: channel.lists.clone(),
        }
    }
}

impl PersonView {
    pub(crate) fn of(state: &State, id: ClientId) -> Option<Self> {
        let client = state.client(id).filter(|client| client.is_registered())?;
        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        let Client {
            nick,
            user,
            host,
            modes,
            caps,
            account,
            ..
        } = client;
        Some(Self {
            nick: nick.clone(),
            user: user.clone(),
            host: host.clone(),
            ip: client.peer.ip.clone(),
            realname: text(&client.realname),
            account: account.clone(),
            away: client.away.as_ref().map(text),
            modes: modes.clone(),
            caps: caps.clone(),
        })
    }
}
