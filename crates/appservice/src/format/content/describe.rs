//! One line about contents that another network cannot show.

use super::{Content, Media, MediaKind};
use crate::format::tidy;

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
        if let Some(poll) = self.poll() {
            return Some(poll.describe());
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
