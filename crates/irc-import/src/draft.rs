//! The configuration that is made, as a text for the operator to read: what is taken over, and in comments what is not,
//! and why.

use std::{collections::BTreeMap, fmt::Write as _};

use bridgehead_appservice::registration::{AsUrl, Registration};
use toml::Value;

/// The keys that lead to a table, and what stands in it.
type Section = (Vec<String>, Vec<(String, Value)>);

/// A configuration in the making.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    /// Sections in their order, by their whole names; the first keys have the empty one.
    sections: Vec<Section>,
    /// What is not taken over.
    pub(crate) notes: Vec<String>,
    /// Files beside it: name and contents.
    pub(crate) files: BTreeMap<String, String>,
}

impl Draft {
    /// Sets a key of a section.
    pub(crate) fn set(&mut self, section: &[&str], key: &str, value: impl Into<Value>) {
        let at = self.sections.iter().position(|(name, _)| name == section);
        let at = at.unwrap_or_else(|| {
            let name = section.iter().map(|&part| part.to_owned()).collect();
            self.sections.push((name, Vec::new()));
            self.sections.len() - 1
        });
        let keys = &mut self.sections[at].1;
        keys.retain(|(known, _)| known != key);
        keys.push((key.to_owned(), value.into()));
    }

    /// The same, where there is something to set.
    pub(crate) fn set_some(
        &mut self,
        section: &[&str],
        key: &str,
        value: Option<impl Into<Value>>,
    ) {
        if let Some(value) = value {
            self.set(section, key, value);
        }
    }

    /// Something is not taken over.
    pub(crate) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// The homeserver goes on where it is: what it calls is what the registration says. `false` where that is nothing.
    pub(crate) fn listen(&mut self, registration: &Registration, port: Option<u64>) -> bool {
        let Some(url) = registration.url.as_ref().map(AsUrl::as_str) else {
            return false;
        };
        let authority = url
            .split("://")
            .nth(1)
            .and_then(|rest| rest.split('/').next());
        let (host, named) = authority
            .and_then(|authority| authority.rsplit_once(':'))
            .unwrap_or_default();
        let is_here = host == "localhost" || host.starts_with("127.");
        let host = if is_here { "127.0.0.1" } else { "0.0.0.0" };
        match port.or_else(|| named.parse().ok()) {
            Some(port) => self.set(&["listen"], "address", format!("{host}:{port}")),
            None => self.note(format!(
                "{url} names no port: set listen.address to where it leads"
            )),
        }
        self.set(&["listen"], "public_address", url);
        true
    }

    /// The text.
    pub(crate) fn text(&self, from: &str) -> String {
        let mut text = format!(
            "# Taken over from {from}. All keys that there are: `bridgehead-irc config example`.\n\
             # What could not be taken over stands at the end.\n"
        );
        let (first, rest): (Vec<_>, Vec<_>) =
            self.sections.iter().partition(|(name, _)| name.is_empty());
        for (name, keys) in first.into_iter().chain(rest) {
            if !name.is_empty() {
                let name: Vec<String> = name.iter().map(|part| quoted(part)).collect();
                write!(text, "\n[{}]\n", name.join(".")).ok();
            }
            for (key, value) in keys {
                writeln!(text, "{} = {value}", quoted(key)).ok();
            }
        }
        if !self.notes.is_empty() {
            text.push_str("\n# Not taken over:\n");
        }
        for note in &self.notes {
            // A line of the other configuration must not become one of this.
            let note: String = note
                .chars()
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect();
            writeln!(text, "# - {note}").ok();
        }
        text
    }
}

/// A key as TOML wants it.
fn quoted(key: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match !key.is_empty() && key.chars().all(is_bare) {
        true => key.to_owned(),
        // Escapes of JSON are among those of TOML, which wants one more.
        false => serde_json::Value::from(key)
            .to_string()
            .replace('\u{7f}', "\\u007f"),
    }
}

/// A name for a network, as ids and commands want it, that none of `taken` has.
pub(crate) fn network_name(wanted: &str, taken: &[String]) -> String {
    let legal = |c: char| match c.to_ascii_lowercase() {
        c if c.is_ascii_alphanumeric() => c,
        _ => '-',
    };
    let name: String = wanted.chars().map(legal).collect();
    let name = name.trim_matches('-');
    let name = if name.is_empty() { "irc" } else { name };
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    let mut names = std::iter::once(name.to_owned()).chain(numbered);
    let free = names.find(|name| !taken.contains(name));
    free.expect("invariant: there are more numbers than names")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_read_back_whatever_is_in_it() {
        let mut draft = Draft::default();
        draft.set(
            &["networks", "a.b", "channels", "#c\"\\\n"],
            "key",
            "\"'\\\u{7}\n",
        );
        draft.set(&[], "bot", "irc");
        draft.set(&[], "bot", "ircbot");
        draft.note("x\n[networks.evil]".to_owned());
        let text = draft.text("another");
        let read: toml::Table = toml::from_str(&text).expect("TOML");
        assert_eq!(read["bot"].as_str(), Some("ircbot"));
        let channel = &read["networks"]["a.b"]["channels"]["#c\"\\\n"];
        assert_eq!(channel["key"].as_str(), Some("\"'\\\u{7}\n"));
        assert_eq!(read["networks"].as_table().map(toml::Table::len), Some(1));
    }

    #[test]
    fn names_of_networks_are_legal_and_different() {
        let taken = ["libera".to_owned(), "libera-2".to_owned()];
        for (wanted, name) in [
            ("Libera", "libera-3"),
            ("irc.oftc.net", "irc-oftc-net"),
            ("é", "irc"),
        ] {
            assert_eq!(network_name(wanted, &taken), name);
        }
    }
}
