//! Lines of bots that speak for others: `<alice> hi`, `[discord] <alice> hi`, `* alice waves`.

use bridgehead_irc_protocol::formatting::Span;

/// The longest name that is taken for one.
const MAX_NAME_BYTES: usize = 100;

/// For whom a line speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Relayed {
    /// Their name, without what bots put into it so that it pings nobody.
    pub(super) name: String,
    /// What is the same for all that they say.
    pub(super) id: String,
    /// Whether the line says what they do.
    pub(super) is_emote: bool,
}

impl Relayed {
    /// Somebody whom the server names: `alice/discord`.
    pub(super) fn named(name: &str) -> Self {
        let shown = name.split_once('/').map_or(name, |(name, _)| name);
        Self {
            name: clean(if shown.is_empty() { name } else { shown }),
            id: clean(name),
            is_emote: false,
        }
    }

    /// Takes the name from the beginning of a bot's line, if there is one.
    pub(super) fn take(line: &mut Vec<Span>) -> Option<Self> {
        let words: String = line.iter().map(|span| span.text.as_str()).collect();
        let (relayed, head) = read(&words)?;
        drop_head(line, head);
        Some(relayed)
    }
}

/// Who it is, and how many bytes of the line say so.
fn read(words: &str) -> Option<(Relayed, usize)> {
    let (tag, rest) = match words
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("] "))
    {
        Some((tag, rest)) if !tag.contains(['[', '<']) => (Some(tag), rest),
        _ => (None, words),
    };
    let (name, rest, is_emote) = named(rest)?;
    let shown = clean(name);
    if shown.is_empty() || name.len() > MAX_NAME_BYTES || rest.trim().is_empty() {
        return None;
    }
    let relayed = Relayed {
        id: tag.map_or_else(|| shown.clone(), |tag| format!("{}/{shown}", clean(tag))),
        name: shown,
        is_emote,
    };
    Some((relayed, words.len() - rest.len()))
}

/// `<name> words` or `* name words`: the name, the words, and which of the two it is.
fn named(line: &str) -> Option<(&str, &str, bool)> {
    if let Some(rest) = line.strip_prefix('<') {
        let (name, rest) = rest.split_once('>')?;
        return Some((name, rest.strip_prefix(' ').unwrap_or(rest), false));
    }
    let (name, rest) = line.strip_prefix("* ")?.split_once(' ')?;
    Some((name, rest, true))
}

/// Without the spaces of no width that keep a name from being a ping.
fn clean(name: &str) -> String {
    let invisible = |c: &char| !matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    let name: String = name.chars().filter(invisible).collect();
    name.trim().to_owned()
}

fn drop_head(line: &mut Vec<Span>, mut bytes: usize) {
    line.retain_mut(|span| {
        let cut = bytes.min(span.text.len());
        bytes -= cut;
        span.text.drain(..cut);
        !span.text.is_empty()
    });
}
