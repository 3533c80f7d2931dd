//! What heisenbridge calls people of IRC in Matrix: a prefix, the network, a separator and the nick, in small letters, and
//! what ids cannot hold as `=` and hex.

use std::fmt::Write as _;

use bridgehead_appservice::registration::Registration;

/// How its ghosts' ids begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prefix {
    text: String,
    separator: char,
}

impl Prefix {
    /// That of a registration: its namespace of users that is not the bridge's own user.
    pub(crate) fn of(registration: &Registration) -> Option<Self> {
        let own = format!("@{}:", registration.sender_localpart);
        let all = registration
            .users
            .iter()
            .map(|namespace| namespace.regex.as_str());
        let mut ghosts = all.filter(|regex| !regex.replace('\\', "").starts_with(&own));
        let regex = ghosts.next()?.trim_start_matches('^').strip_prefix('@')?;
        let end = [".*", ".+"]
            .iter()
            .filter_map(|any| regex.find(any))
            .min()?;
        let text = regex[..end].replace('\\', "");
        let separator = text.chars().last().filter(|last| "_/".contains(*last))?;
        Some(Self { text, separator })
    }

    /// What is before the nick of somebody on a network.
    pub(crate) fn of_network(&self, network: &str) -> String {
        escaped(&format!("{}{network}{}", self.text, self.separator))
    }

    /// The localpart of somebody's ghost.
    pub(crate) fn localpart(&self, network: &str, nick: &str) -> String {
        format!("{}{}", self.of_network(network), escaped(nick))
    }

    /// The nick of a ghost: the one that it shows, where that is one that leads to this id, or the one in the id.
    pub(crate) fn nick(
        &self,
        network: &str,
        localpart: &str,
        shown: Option<&str>,
    ) -> Option<String> {
        let written = localpart.strip_prefix(&self.of_network(network))?;
        if let Some(shown) = shown
            && self.localpart(network, shown) == localpart
        {
            return Some(shown.to_owned());
        }
        // What is not shown is only guessed at where there is one way to read it.
        let nick = written.to_owned();
        (!nick.is_empty() && !nick.contains('=')).then_some(nick)
    }
}

fn escaped(text: &str) -> String {
    let mut written = String::new();
    for c in text.to_lowercase().chars() {
        if c.is_ascii_lowercase() || c.is_ascii_digit() || "-.=_/".contains(c) {
            written.push(c);
            continue;
        }
        written.push('=');
        for byte in c.encode_utf8(&mut [0; 4]).bytes() {
            write!(written, "{byte:02x}").ok();
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bridgehead_appservice::registration::parse;

    use super::*;

    fn prefix(users: &str) -> Option<Prefix> {
        let text = format!(
            "id: h\nurl: http://localhost:9898\nas_token: aaaaaaaaaaaaaaaaaaaa\nhs_token: bbbbbbbbbbbbbbbbbbbb\n\
             sender_localpart: heisenbridge\nrate_limited: false\nnamespaces:\n  users:\n  - regex: '{users}'\n    \
             exclusive: true\n  - regex: '@heisenbridge:.*'\n    exclusive: true\n  aliases: []\n  rooms: []\n"
        );
        let (registration, _) =
            parse(Path::new("h.yaml"), text.as_bytes()).expect("a registration");
        Prefix::of(&registration)
    }

    #[test]
    fn nicks_are_found_in_ids() {
        let prefix = prefix("@irc_.*").expect("a prefix");
        for (nick, localpart) in [
            ("carol", "irc_test_carol"),
            ("Ann_B", "irc_test_ann_b"),
            ("[x]", "irc_test_=5bx=5d"),
            ("é", "irc_test_=c3a9"),
        ] {
            assert_eq!(prefix.localpart("Test", nick), localpart);
            assert_eq!(
                prefix.nick("Test", localpart, Some(nick)).as_deref(),
                Some(nick)
            );
        }
        assert_eq!(
            prefix
                .nick("test", "irc_test_bob", Some("Robert"))
                .as_deref(),
            Some("bob")
        );
        assert_eq!(prefix.nick("test", "irc_test_=5bx=5d", None), None);
        assert_eq!(prefix.nick("other", "irc_test_bob", None), None);
    }

    #[test]
    fn the_prefix_is_that_of_the_namespace() {
        let begins = |users: &str| prefix(users).map(|prefix| prefix.of_network("n"));
        assert_eq!(begins("@irc_.*").as_deref(), Some("irc_n_"));
        assert_eq!(begins("@irc/.+:example\\.org").as_deref(), Some("irc/n/"));
        assert_eq!(begins("@irc.*"), None);
    }
}
