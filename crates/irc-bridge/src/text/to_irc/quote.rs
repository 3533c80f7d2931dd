//! A few words of a message, so that readers know which one is meant.

use bridgehead_appservice::format::{
    Inline, Rich,
    content::{Content, Media, MediaKind},
};
use bridgehead_irc_protocol::split::split;

/// The fewest bytes that a quote is cut to.
pub(super) const MIN_QUOTE_BYTES: usize = 64;

/// The first words of a message, in quotation marks; `None` where it has none. What is hidden stays hidden.
pub(super) fn quote(content: &Content, max_bytes: usize) -> Option<String> {
    let words = match content.media() {
        Some(media) => bracket(&media),
        None => match content.rich() {
            Some(rich) if content.kind().is_some() => visible(&rich),
            _ => content.describe()?,
        },
    };
    let words = first_words(&words, max_bytes);
    (!words.is_empty()).then(|| format!("\"{words}\""))
}

/// What media are, without caption and link; of a file whose name does not say its type, that as well.
pub(super) fn bracket(media: &Media) -> String {
    let bare = Media {
        caption: None,
        ..media.clone()
    };
    let line = Content::media_message(&bare).describe().unwrap_or_default();
    let is_odd = media.kind == MediaKind::File && !media.name.contains('.');
    match (line.strip_suffix(']'), &media.mime) {
        (Some(open), Some(mime)) if is_odd => format!("{open}, {mime}]"),
        _ => line,
    }
}

/// The words of a text without its marks.
pub(super) fn visible(rich: &Rich) -> String {
    let mut hidden = None;
    let shown = rich.map_inlines(&mut |inline| {
        let spoiler = inline.style.spoiler.clone();
        let is_more = spoiler.is_some() && spoiler == hidden;
        hidden.clone_from(&spoiler);
        match spoiler {
            None => vec![inline.clone()],
            Some(_) if is_more => Vec::new(),
            Some(_) => vec![Inline::plain("[spoiler]")],
        }
    });
    shown.text()
}

/// The beginning of a text on one line, cut between words where it can be.
pub(super) fn first_words(text: &str, max_bytes: usize) -> String {
    let text = one_line(text);
    if text.len() <= max_bytes {
        return text;
    }
    let room = max_bytes.max(MIN_QUOTE_BYTES) - '…'.len_utf8();
    match split(&text, room).first() {
        Some(first) if first.len() < text.len() => format!("{first}…"),
        _ => text,
    }
}

/// A text on one line, with single spaces and without control characters.
pub(super) fn one_line(text: &str) -> String {
    let spaced: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}
