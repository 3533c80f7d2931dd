//! Pictures, sounds, films and files.

use serde_json::{Map, Value, json};

use super::{Content, MESSAGE, STICKER};
use crate::{
    format::{Rich, tidy},
    id::MxcUri,
};

/// What kind of media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaKind {
    /// A picture (`m.image`).
    Image,
    /// A file of any kind (`m.file`).
    File,
    /// A sound (`m.audio`).
    Audio,
    /// A film (`m.video`).
    Video,
    /// A sticker (an event of type `m.sticker`).
    Sticker,
}

const KINDS: [(MediaKind, &str); 4] = [
    (MediaKind::Image, "m.image"),
    (MediaKind::File, "m.file"),
    (MediaKind::Audio, "m.audio"),
    (MediaKind::Video, "m.video"),
];

/// A small picture of media.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thumbnail {
    /// Where it is.
    pub uri: MxcUri,
    /// Its MIME type.
    pub mime: Option<String>,
    /// Its size in bytes.
    pub size_bytes: Option<u64>,
    /// Its width in pixels.
    pub width: Option<u64>,
    /// Its height in pixels.
    pub height: Option<u64>,
}

impl Thumbnail {
    /// A picture of which nothing more is known.
    #[must_use]
    pub fn new(uri: &MxcUri) -> Self {
        Self {
            uri: uri.clone(),
            mime: None,
            size_bytes: None,
            width: None,
            height: None,
        }
    }
}

/// Media that has been uploaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// What kind it is.
    pub kind: MediaKind,
    /// Where it is.
    pub uri: MxcUri,
    /// The file's name; of a sticker what it shows.
    pub name: String,
    /// What the sender says about it.
    pub caption: Option<Rich>,
    /// Its MIME type.
    pub mime: Option<String>,
    /// Its size in bytes.
    pub size_bytes: Option<u64>,
    /// Its width in pixels.
    pub width: Option<u64>,
    /// Its height in pixels.
    pub height: Option<u64>,
    /// How long it plays, in milliseconds.
    pub duration_ms: Option<u64>,
    /// Whether it is a voice message (MSC3245).
    pub voice: bool,
    /// A small picture of it.
    pub thumbnail: Option<Thumbnail>,
    /// Whether what is at the URI is encrypted, with keys in the content's `file`. Read only.
    pub encrypted: bool,
}

impl Media {
    /// Media of which nothing more is known.
    #[must_use]
    pub fn new(kind: MediaKind, uri: &MxcUri, name: &str) -> Self {
        Self {
            kind,
            uri: uri.clone(),
            name: name.to_owned(),
            caption: None,
            mime: None,
            size_bytes: None,
            width: None,
            height: None,
            duration_ms: None,
            voice: false,
            thumbnail: None,
            encrypted: false,
        }
    }

    fn info(&self) -> Value {
        let mut info = Map::new();
        insert(&mut info, "mimetype", self.mime.clone());
        insert(&mut info, "size", self.size_bytes);
        insert(&mut info, "w", self.width);
        insert(&mut info, "h", self.height);
        insert(&mut info, "duration", self.duration_ms);
        if let Some(thumbnail) = &self.thumbnail {
            insert(&mut info, "thumbnail_url", Some(thumbnail.uri.as_str()));
            let mut inner = Map::new();
            insert(&mut inner, "mimetype", thumbnail.mime.clone());
            insert(&mut inner, "size", thumbnail.size_bytes);
            insert(&mut inner, "w", thumbnail.width);
            insert(&mut inner, "h", thumbnail.height);
            insert(&mut info, "thumbnail_info", Some(inner));
        }
        Value::Object(info)
    }
}

fn insert(fields: &mut Map<String, Value>, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        fields.insert(name.to_owned(), value.into());
    }
}

impl Content {
    /// Media. With a caption, that is the body, and the file's name stands beside it.
    #[must_use]
    pub fn media_message(media: &Media) -> Self {
        let base =
            json!({ "body": media.name, "url": media.uri, "info": media.info(), "m.mentions": {} });
        let Some((_, msgtype)) = KINDS.iter().find(|(kind, _)| *kind == media.kind) else {
            return Self::new(STICKER, base);
        };
        let mut content = Self::new(MESSAGE, base);
        content.set("msgtype", *msgtype);
        content.set("filename", media.name.as_str());
        if media.voice {
            content.set("org.matrix.msc3245.voice", json!({}));
        }
        match &media.caption {
            Some(caption) if !caption.is_empty() => content
                .with_rich(caption)
                .with_mentions(&caption.mentions()),
            _ => content,
        }
    }

    /// The media that it brings; of an edit the new one.
    #[must_use]
    pub fn media(&self) -> Option<Media> {
        if let Some(new_content) = self.new_content() {
            return new_content.media();
        }
        let kind = self.media_kind()?;
        let plain_uri = self.string("url");
        let secret_uri = self
            .fields
            .get("file")
            .and_then(|file| file.get("url"))
            .and_then(Value::as_str);
        let uri = MxcUri::parse(plain_uri.or(secret_uri)?).ok()?;
        let info = self.fields.get("info").and_then(Value::as_object);
        let info = Info(info);
        Some(Media {
            kind,
            uri,
            name: self.file_name(),
            caption: self.caption().and_then(|caption| self.written(caption)),
            mime: info.mime("mimetype"),
            size_bytes: info.number("size"),
            width: info.number("w"),
            height: info.number("h"),
            duration_ms: info.number("duration"),
            voice: ["m.voice", "org.matrix.msc3245.voice"]
                .iter()
                .any(|name| self.fields.contains_key(*name)),
            thumbnail: info.thumbnail(),
            encrypted: plain_uri.is_none(),
        })
    }

    pub(super) fn media_kind(&self) -> Option<MediaKind> {
        if self.event_type == STICKER {
            return Some(MediaKind::Sticker);
        }
        (self.event_type == MESSAGE).then_some(())?;
        let msgtype = self.msgtype()?;
        KINDS
            .iter()
            .find(|(_, name)| *name == msgtype)
            .map(|(kind, _)| *kind)
    }

    /// A name without folders, so that it may be used as one.
    fn file_name(&self) -> String {
        let name = self
            .string("filename")
            .or_else(|| self.text())
            .unwrap_or_default();
        let name = tidy::one_line(name);
        if self.event_type == STICKER {
            return name;
        }
        let last = name
            .rsplit(['/', '\\'])
            .next()
            .unwrap_or_default()
            .trim_matches('.');
        if last.is_empty() {
            "file".to_owned()
        } else {
            last.to_owned()
        }
    }

    /// The body, if the file's name is told beside it and is another.
    pub(super) fn caption(&self) -> Option<&str> {
        let name = self.string("filename")?;
        let body = self.without_profile_fallback(self.text()?);
        (body != name && !body.is_empty()).then_some(body)
    }
}

/// The `info` of media: what the sender says about it.
struct Info<'a>(Option<&'a Map<String, Value>>);

impl Info<'_> {
    fn number(&self, name: &str) -> Option<u64> {
        self.0?.get(name)?.as_u64()
    }

    fn mime(&self, name: &str) -> Option<String> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"/+-._; =\"".contains(&byte);
        let mime = self.0?.get(name)?.as_str()?;
        (mime.len() <= 255 && mime.contains('/') && mime.bytes().all(legal))
            .then(|| mime.to_owned())
    }

    fn thumbnail(&self) -> Option<Thumbnail> {
        let uri = MxcUri::parse(self.0?.get("thumbnail_url")?.as_str()?).ok()?;
        let inner = Info(self.0?.get("thumbnail_info").and_then(Value::as_object));
        Some(Thumbnail {
            uri,
            mime: inner.mime("mimetype"),
            size_bytes: inner.number("size"),
            width: inner.number("w"),
            height: inner.number("h"),
        })
    }
}
