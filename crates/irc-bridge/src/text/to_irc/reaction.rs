//! Reactions and deletions, said in words.

use bridgehead_appservice::format::{
    Rich,
    content::{Content, Kind},
};

use super::{
    Around, Said,
    quote::{first_words, one_line, quote},
};

/// The longest key that is told; reactions may be any text.
const MAX_KEY_BYTES: usize = 64;

/// How much of a message is quoted.
const QUOTE_BYTES: usize = 64;

/// How many people are named, and how many keys.
const MAX_NAMES: usize = 8;
const MAX_KEYS: usize = 8;

/// What somebody does who reacts: `* alice reacts 👍 to "first words…"`. `None` if it is no reaction.
#[must_use]
pub fn reaction(
    content: &Content,
    original: Option<&Content>,
    around: &Around<'_>,
) -> Option<Said> {
    reacts(content, &Others::default(), original, around)
}

/// Reactions that are told with one, because they came at the same time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Others {
    /// What the same person reacts besides.
    pub own: Vec<String>,
    /// Who else, each with all that they react.
    named: Vec<(String, Vec<String>)>,
}

impl Others {
    /// Somebody else reacts, too.
    pub fn add(&mut self, name: &str, key: &str) {
        let known = self.named.iter_mut().find(|(known, _)| known == name);
        match known {
            Some((_, keys)) => keys.push(key.to_owned()),
            None => self.named.push((name.to_owned(), vec![key.to_owned()])),
        }
    }

    fn told(&self) -> Option<String> {
        let more = self.named.len().saturating_sub(MAX_NAMES);
        let named = self.named.iter().take(MAX_NAMES);
        let mut told: Vec<String> = named
            .map(|(name, keys)| format!("{}: {}", one_line(name), emojis(keys)))
            .collect();
        if more > 0 {
            told.push(format!("and {more} more"));
        }
        (!told.is_empty()).then(|| told.join(", "))
    }
}

fn emojis(keys: &[String]) -> String {
    let shown = keys.iter().take(MAX_KEYS).map(|key| emoji(key));
    shown.collect::<Vec<_>>().join(" ")
}

/// What somebody does who reacts, with the reactions that came at the same time:
/// `* alice reacts 👍 🎉 to "first words…" (bob: 👍, carol: 🎉)`. `None` if it is no reaction.
#[must_use]
pub fn reacts(
    content: &Content,
    others: &Others,
    original: Option<&Content>,
    around: &Around<'_>,
) -> Option<Said> {
    let (_, key) = content.reaction()?;
    let mut said = format!("reacts {}", shown(key, content));
    if !others.own.is_empty() {
        said = format!("{said} {}", emojis(&others.own));
    }
    if let Some(quote) = original.and_then(|original| quote(original, QUOTE_BYTES)) {
        said = format!("{said} to {quote}");
    }
    if let Some(told) = others.told() {
        said = format!("{said} ({told})");
    }
    Said::new(Kind::Emote, Rich::plain(&said), around)
}

/// The key as people see it. Of a picture its name, where the sender tells it (MSC4027).
fn shown(key: &str, content: &Content) -> String {
    if !key.starts_with("mxc://") {
        return emoji(key);
    }
    let fields = content.to_json();
    let names = ["shortcode", "com.beeper.reaction.shortcode"];
    let name = names.iter().find_map(|name| fields.get(*name)?.as_str());
    name.map_or_else(|| emoji(key), emoji)
}

fn emoji(key: &str) -> String {
    if key.starts_with("mxc://") {
        return "with a picture".to_owned();
    }
    first_words(key, MAX_KEY_BYTES)
}

/// What somebody does who takes a message back: `* alice has deleted "first words…"`. Give no original where the words must
/// not be told once more.
#[must_use]
pub fn deletion(original: Option<&Content>, around: &Around<'_>) -> Option<Said> {
    let what = original.and_then(|original| quote(original, QUOTE_BYTES));
    let what = what.as_deref().unwrap_or("a message");
    Said::new(
        Kind::Emote,
        Rich::plain(&format!("has deleted {what}")),
        around,
    )
}
