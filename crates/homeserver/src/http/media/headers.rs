//! Headers that keep a browser from running what strangers uploaded (client-server API,
//! "Content repository", security considerations).

use http::{HeaderMap, HeaderName, HeaderValue, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

const POLICY: &str = "sandbox; default-src 'none'; script-src 'none'; plugin-types \
    application/pdf; style-src 'unsafe-inline'; object-src 'self';";

/// Media never changes, but it is not everybody's to keep.
const CACHE: &str = "private, immutable, max-age=86400";

/// Types that may be shown and not only saved ("Serving inline content").
const INLINE: &[&str] = &[
    "text/css",
    "text/plain",
    "text/csv",
    "application/json",
    "application/ld+json",
    "image/jpeg",
    "image/gif",
    "image/png",
    "image/apng",
    "image/webp",
    "image/avif",
    "video/mp4",
    "video/webm",
    "video/ogg",
    "video/quicktime",
    "audio/mp4",
    "audio/webm",
    "audio/aac",
    "audio/mpeg",
    "audio/ogg",
    "audio/wave",
    "audio/wav",
    "audio/x-wav",
    "audio/x-pn-wav",
    "audio/flac",
    "audio/x-flac",
];

/// RFC 5987's `attr-char`, less some that are rare.
const UNESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What every answer with media carries.
pub(super) fn media_headers(
    etag: &str,
    content_type: HeaderValue,
    disposition: String,
) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(header::CONTENT_DISPOSITION, visible(disposition));
    headers.insert(header::ETAG, visible(etag.to_owned()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(CACHE));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(POLICY),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("cross-origin"),
    );
    headers
}

fn visible(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("invariant: built from visible ASCII only")
}

/// `Content-Disposition`: shown for harmless types, saved for all others.
pub(super) fn disposition(content_type: &str, filename: Option<&str>) -> String {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let kind = if INLINE.iter().any(|kind| kind.eq_ignore_ascii_case(essence)) {
        "inline"
    } else {
        "attachment"
    };
    match filename {
        None => kind.to_owned(),
        Some(name) if is_plain(name) => format!("{kind}; filename=\"{name}\""),
        Some(name) => format!(
            "{kind}; filename*=utf-8''{}",
            utf8_percent_encode(name, UNESCAPED)
        ),
    }
}

/// Whether the name may stand between quotes, for programs of every age.
fn is_plain(name: &str) -> bool {
    name.bytes()
        .all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\' | b'%'))
}

/// Whether the client has these bytes already.
pub(super) fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|tag| tag.trim().trim_start_matches("W/"))
        .any(|tag| tag == "*" || tag == etag)
}

#[cfg(test)]
mod tests {
    use super::disposition;

    #[track_caller]
    fn check(content_type: &str, filename: Option<&str>, expected: &str) {
        assert_eq!(disposition(content_type, filename), expected);
    }

    #[test]
    fn only_harmless_types_are_shown() {
        check("image/png", None, "inline");
        check("Text/Plain; charset=utf-8", None, "inline");
        check("text/html", None, "attachment");
        check("image/svg+xml", None, "attachment");
        check("image/pngx", None, "attachment");
        check("", None, "attachment");
    }

    #[test]
    fn names_survive_and_cannot_leave_their_place() {
        check(
            "image/png",
            Some("a cat.png"),
            "inline; filename=\"a cat.png\"",
        );
        check(
            "image/png",
            Some("Käse.png"),
            "inline; filename*=utf-8''K%C3%A4se.png",
        );
        check(
            "a/b",
            Some("x\"; filename=\"y\r\n"),
            "attachment; filename*=utf-8''x%22%3B%20filename%3D%22y%0D%0A",
        );
    }
}
