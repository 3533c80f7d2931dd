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

/// How many people are named for each key, and how many keys.
const MAX_NAMES: usize = 8;
const MAX_KEYS: usize = 8;

/// What somebody does who reacts: `* alice reacts 👍 to "first words…"`. `None` if it is no reaction.
#[must_use]
pub fn reaction(
    content: &Content,
    original: Option<&Content>,
    around: &Around<'_>,
) -> Option<Said> {
    let (_, key) = content.reaction()?;
    let shown = shown(key, content);
    let to = original.and_then(|original| quote(original, QUOTE_BYTES));
    let said = match to {
        Some(quote) => format!("reacts {shown} to {quote}"),
        None => format!("reacts {shown}"),
    };
    Said::new(Kind::Emote, Rich::plain(&said), around)
}

/// What many people's reactions to one message were, as one line for the bridge itself to say:
/// `"first words…": 👍 alice, bob · 🎉 carol`. `None` where there are none.
#[must_use]
pub fn reactions(
    original: Option<&Content>,
    reactions: &[(String, Vec<String>)],
    around: &Around<'_>,
) -> Option<Said> {
    let told: Vec<_> = reactions
        .iter()
        .take(MAX_KEYS)
        .map(|(key, names)| by_whom(key, names))
        .collect();
    if told.is_empty() {
        return None;
    }
    let to = original.and_then(|original| quote(original, QUOTE_BYTES));
    let more = reactions.len().saturating_sub(MAX_KEYS);
    let more = if more > 0 {
        format!(" · and {more} more")
    } else {
        String::new()
    };
    let said = format!(
        "{}: {}{more}",
        to.as_deref().unwrap_or("reactions"),
        told.join(" · ")
    );
    let around = Around {
        speaker: None,
        ..*around
    };
    Said::new(Kind::Notice, Rich::plain(&said), &around)
}

fn by_whom(key: &str, names: &[String]) -> String {
    let named = names.iter().take(MAX_NAMES).map(|name| one_line(name));
    let named = named.collect::<Vec<_>>().join(", ");
    let more = names.len().saturating_sub(MAX_NAMES);
    let key = emoji(key);
    match more {
        0 => format!("{key} {named}"),
        _ => format!("{key} {named} and {more} more"),
    }
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
