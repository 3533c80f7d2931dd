//! One line about contents that another network cannot show.

use serde_json::Value;

use super::{Content, Media, MediaKind};
use crate::format::tidy;

/// The most answers of a poll that are named.
const MAX_ANSWERS: usize = 10;

impl Content {
    /// One line that tells people without Matrix what was sent: a sticker, a poll, a place, a voice message, a file. For texts
    /// the text, on one line. `None` where there is nothing to tell, such as reactions.
    ///
    /// Nothing that somebody sends should vanish without a word; where to find media is for the bridge to add.
    #[must_use]
    pub fn describe(&self) -> Option<String> {
        if let Some(media) = self.media() {
            return Some(describe_media(&media));
        }
        if self.event_type() == "m.room.encrypted" {
            return Some("[encrypted message]".to_owned());
        }
        if self.msgtype() == Some("m.location") {
            return Some(self.describe_location());
        }
        if let Some(poll) = self.describe_poll() {
            return Some(poll);
        }
        let text = self.rich()?.to_plain();
        Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    fn describe_location(&self) -> String {
        let uri = self
            .string("geo_uri")
            .map(tidy::one_line)
            .unwrap_or_default();
        let body = self.text().map(tidy::one_line).unwrap_or_default();
        format!("[location: {body} {uri}]").replace(" ]", "]")
    }

    fn describe_poll(&self) -> Option<String> {
        let names = ["m.poll", "m.poll.start", "org.matrix.msc3381.poll.start"];
        let poll = names
            .iter()
            .find_map(|name| self.fields.get(*name)?.as_object())?;
        let question = text_of(poll.get("question")?)?;
        let answers = poll.get("answers").and_then(Value::as_array);
        let answers = answers
            .into_iter()
            .flatten()
            .filter_map(text_of)
            .take(MAX_ANSWERS);
        let numbered = answers
            .enumerate()
            .map(|(index, answer)| format!(" {}) {answer}", index + 1));
        Some(format!(
            "[poll: {question}{}]",
            numbered.collect::<String>()
        ))
    }
}

/// The text of an extensible event's part, under its names old and new.
fn text_of(part: &Value) -> Option<String> {
    let text = match (
        part.get("m.text"),
        part.get("org.matrix.msc1767.text"),
        part.get("body"),
    ) {
        (Some(Value::String(text)), ..)
        | (_, Some(Value::String(text)), _)
        | (.., Some(Value::String(text))) => text,
        (Some(Value::Array(forms)), ..) => {
            forms.iter().find_map(|form| form.get("body")?.as_str())?
        }
        _ => return None,
    };
    Some(tidy::one_line(text))
}

fn describe_media(media: &Media) -> String {
    let what = match media.kind {
        MediaKind::Image => "image",
        MediaKind::File => "file",
        MediaKind::Audio if media.voice => "voice message",
        MediaKind::Audio => "audio",
        MediaKind::Video => "video",
        MediaKind::Sticker => "sticker",
    };
    let mut line = format!("[{what}");
    if !media.voice && !media.name.is_empty() {
        line.push_str(&format!(": {}", media.name));
    }
    let duration = media
        .duration_ms
        .map(|ms| format!("{}:{:02}", ms / 60_000, ms / 1_000 % 60));
    let size = media
        .size_bytes
        .filter(|_| media.kind != MediaKind::Sticker)
        .map(human_size);
    for detail in [duration, size].into_iter().flatten() {
        line.push_str(&format!(", {detail}"));
    }
    line.push(']');
    if let Some(caption) = &media.caption {
        let caption = caption.to_plain();
        line.push(' ');
        line.push_str(&caption.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    line
}

fn human_size(bytes: u64) -> String {
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{} KiB", bytes / 1_024),
        _ => format!(
            "{}.{} MiB",
            bytes / 1_048_576,
            bytes % 1_048_576 * 10 / 1_048_576
        ),
    }
}
