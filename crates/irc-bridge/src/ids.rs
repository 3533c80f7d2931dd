//! What the bridge calls people and places of IRC.
//!
//! Both name their network first, as the configuration does. Names are folded to lower case, so that each has one id in
//! Matrix however it is written; how it is really written is what it is shown as.

use bridgehead_appservice::{bridge::RemoteId, id::UserId};
use bridgehead_irc_protocol::CaseMapping;

/// An id for a message that the network has given none, or for a further part of one. No server's id begins so
/// (IRCv3 message-ids).
const OWN: char = ':';

/// Bytes of a UID.
const UID_BYTES: usize = 9;

/// The id of a message that the network has given none: `run` and `number` name it.
pub(crate) fn own_message_id(run: u64, number: u64) -> String {
    format!("{OWN}{run:x}.{number}")
}

/// The id of a further part of a message that is too long for an event.
pub(crate) fn part_id(part: usize, id: &str) -> String {
    format!("{OWN}{part}/{id}")
}

/// What the network itself calls a message, if it does.
pub(crate) fn msgid(id: &str) -> Option<&str> {
    match id.strip_prefix(OWN) {
        None => Some(id),
        Some(own) => msgid(own.split_once('/')?.1),
    }
}

/// Somebody on IRC, by their nick.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Nick {
    /// The network, as the configuration names it.
    pub network: String,
    /// The nick, folded.
    pub nick: String,
}

impl Nick {
    /// Who has this nick on a network that folds case like this.
    #[must_use]
    pub fn new(network: &str, nick: &str, case_mapping: CaseMapping) -> Self {
        Self {
            network: network.to_owned(),
            nick: case_mapping.fold(nick),
        }
    }
}

impl RemoteId for Nick {
    const FIELDS: usize = 2;

    fn values(&self) -> Vec<String> {
        vec![self.network.clone(), self.nick.clone()]
    }

    fn from_values(values: &[&str]) -> Option<Self> {
        let [network, nick] = values else { return None };
        is_somebody(nick).then(|| Self::new(network, nick, CaseMapping::Ascii))
    }
}

/// Where something is said.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The network, as the configuration names it.
    pub network: String,
    /// What on it.
    pub target: Target,
}

/// What a message is sent to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// A channel, folded, with what channels begin with.
    Channel(String),
    /// Where a person of Matrix and somebody on IRC talk with nobody else.
    Private {
        /// The nick, folded.
        nick: String,
        /// The person.
        person: UserId,
    },
}

impl Place {
    /// A channel of a network that folds case like this.
    #[must_use]
    pub fn channel(network: &str, channel: &str, case_mapping: CaseMapping) -> Self {
        Self {
            network: network.to_owned(),
            target: Target::Channel(case_mapping.fold(channel)),
        }
    }

    /// The talk of two.
    #[must_use]
    pub fn private(nick: &Nick, person: &UserId) -> Self {
        Self {
            network: nick.network.clone(),
            target: Target::Private {
                nick: nick.nick.clone(),
                person: person.clone(),
            },
        }
    }

    /// The channel, if it is one.
    #[must_use]
    pub fn as_channel(&self) -> Option<&str> {
        match &self.target {
            Target::Channel(channel) => Some(channel),
            Target::Private { .. } => None,
        }
    }

    /// What messages are sent to.
    #[must_use]
    pub fn target_name(&self) -> &str {
        match &self.target {
            Target::Channel(channel) => channel,
            Target::Private { nick, .. } => nick,
        }
    }
}

impl RemoteId for Place {
    const FIELDS: usize = 2;

    fn values(&self) -> Vec<String> {
        // No nick holds a `!`, and no channel begins like a nick.
        let target = match &self.target {
            Target::Channel(channel) => channel.clone(),
            Target::Private { nick, person } => format!("{nick}!{person}"),
        };
        vec![self.network.clone(), target]
    }

    fn from_values(values: &[&str]) -> Option<Self> {
        let [network, target] = values else {
            return None;
        };
        if let Some((nick, person)) = target.split_once('!')
            && is_somebody(nick)
        {
            let nick = Nick::new(network, nick, CaseMapping::Ascii);
            return Some(Self::private(&nick, &UserId::parse(person).ok()?));
        }
        is_channel(target).then(|| Self::channel(network, target, CaseMapping::Ascii))
    }
}

/// Whether a text may be a channel's name on some network (RFC 2811, 2.1); which of them, `CHANTYPES` says.
#[must_use]
pub fn is_channel(name: &str) -> bool {
    name.len() > 1
        && name.starts_with(['#', '&', '+', '!'])
        && !name.contains([' ', ',', '\x07', '\r', '\n', '\0'])
}

/// Whether somebody may be called so: by a nick, or by the UID by which a server calls them whose nick it had to take away
/// (nine letters and digits, of which the first is a digit; nobody can choose that).
#[must_use]
pub fn is_somebody(name: &str) -> bool {
    let is_uid = || {
        name.len() == UID_BYTES
            && name.starts_with(|first: char| first.is_ascii_digit())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    is_nick(name) || is_uid()
}

/// Whether a text may be a nick on some network: no server is known that lets people choose more.
#[must_use]
pub fn is_nick(name: &str) -> bool {
    let first = name.chars().next();
    first.is_some_and(|first| !"#&+!:@%$-".contains(first) && !first.is_ascii_digit())
        && !name.contains([' ', ',', '*', '?', '!', '@', '.', '\r', '\n', '\0', ':'])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(text: &str) -> Option<Place> {
        Place::from_values(&["net", text])
    }

    #[test]
    fn only_what_the_network_calls_a_message_is_said_to_it() {
        assert_eq!(msgid("1AA~7/x"), Some("1AA~7/x"));
        assert_eq!(msgid(&part_id(1, "1AA~7/x")), Some("1AA~7/x"));
        let own = own_message_id(0xbeef, 3);
        assert_eq!((msgid(&own), msgid(&part_id(1, &own))), (None, None));
    }

    #[test]
    fn channels_and_talks_are_told_apart() {
        let channel = place("#Rust").expect("a channel");
        assert_eq!(channel.as_channel(), Some("#rust"));
        let talk = place("Ann!@bob:example.org").expect("a talk");
        assert_eq!(talk.target_name(), "ann");
        assert_eq!(talk.as_channel(), None);
        assert_eq!(
            place("!abcde"),
            Some(Place::channel("net", "!abcde", CaseMapping::Ascii))
        );
    }

    #[test]
    fn what_is_neither_is_nothing() {
        for text in [
            "",
            "#",
            "rust",
            "#a b",
            "#a,b",
            "ann!bob",
            "a b!@bob:example.org",
            "0",
            "#a\u{7}",
        ] {
            assert_eq!(place(text), None, "{text:?}");
        }
        for nick in ["", "1a", "-a", "#a", "a b", "a!b", "a.b", "a,b"] {
            assert_eq!(Nick::from_values(&["net", nick]), None, "{nick:?}");
        }
    }

    #[test]
    fn who_is_called_by_their_uid_is_somebody() {
        let nick = Nick::new("net", "2BBAAAAAC", CaseMapping::Rfc1459);
        assert_eq!(Nick::from_text(&nick.to_text()), Some(nick.clone()));
        let person = UserId::parse("@bob:example.org").expect("an id");
        let talk = Place::private(&nick, &person);
        assert_eq!(Place::from_text(&talk.to_text()), Some(talk));
        for nobody in ["2BBAAAAA", "2BBAAAAACD", "2BB-AAAAC", "2BB AAAAC"] {
            assert!(!is_somebody(nobody), "{nobody}");
        }
        assert!(!is_nick("2BBAAAAAC"), "nobody can choose it");
    }

    proptest! {
        #[test]
        fn ids_are_read_back(nick in "[A-Za-z\\[\\]\\\\`_^{|}][A-Za-z0-9\\[\\]\\\\`_^{|}-]{0,12}", channel in "[#&!][^ ,\\x07\r\n\0]{1,20}") {
            let nick = Nick::new("net", &nick, CaseMapping::Rfc1459);
            prop_assert_eq!(Nick::from_text(&nick.to_text()), Some(nick.clone()));
            let person = UserId::parse("@bob:example.org").expect("an id");
            for place in [Place::private(&nick, &person), Place::channel("net", &channel, CaseMapping::Rfc1459)] {
                prop_assert_eq!(Place::from_text(&place.to_text()), Some(place));
            }
        }

        #[test]
        fn any_text_is_an_id_or_none(text in ".{0,20}") {
            if let Some(place) = place(&text) {
                let values = place.values();
                prop_assert_eq!(Place::from_values(&[&values[0], &values[1]]), Some(place));
            }
        }
    }
}
