//! What headers say about media: read leniently from the homeserver, written strictly for browsers.

use http::{HeaderMap, HeaderValue, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Longest file name that is taken over, in bytes.
const MAX_NAME_BYTES: usize = 255;

/// RFC 8187's attr-char.
const NAME: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// Types that a browser may show in place: none of them can hold a program (client-server API, "Serving inline content",
/// of its texts plain text alone: whatever it holds, a browser shows it as it is).
const INLINE: &[&str] = &[
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
    TEXT,
];

/// Plain text, such as a long message's page.
const TEXT: &str = "text/plain";

/// The MIME type without parameters, in lower case.
pub(super) fn mime(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let essence = text.split(';').next()?.trim().to_ascii_lowercase();
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"/+-._".contains(&byte);
    let is_mime = essence.contains('/') && essence.len() <= 255 && essence.bytes().all(legal);
    is_mime.then_some(essence)
}

/// The file's name, without folders (RFC 6266).
pub(super) fn file_name(headers: &HeaderMap) -> Option<String> {
    let header = headers.get(header::CONTENT_DISPOSITION)?;
    let text = String::from_utf8_lossy(header.as_bytes());
    let parameters = parameters(&text);
    let value = |wanted: &str| {
        let found = parameters.iter().find(|(key, _)| key == wanted);
        found.map(|(_, value)| value.as_str())
    };
    let extended = value("filename*").and_then(|value| {
        let (charset, rest) = value.split_once('\'')?;
        let (_, encoded) = rest.split_once('\'')?;
        let decoded = percent_decode_str(encoded).decode_utf8().ok()?;
        charset
            .eq_ignore_ascii_case("utf-8")
            .then(|| decoded.into_owned())
    });
    let name = extended.or_else(|| value("filename").map(str::to_owned))?;
    let name = name.rsplit(['/', '\\']).next()?.trim().trim_matches('.');
    let is_name =
        !name.is_empty() && name.len() <= MAX_NAME_BYTES && !name.chars().any(char::is_control);
    is_name.then(|| name.to_owned())
}

/// The parameters behind the first `;`: names in lower case, values without quotes.
fn parameters(text: &str) -> Vec<(String, String)> {
    let (mut parameters, mut chars) = (
        Vec::new(),
        text.chars().skip_while(|c| *c != ';').peekable(),
    );
    while chars.next_if_eq(&';').is_some() {
        let mut key = String::new();
        while let Some(c) = chars.next_if(|c| !matches!(c, '=' | ';')) {
            key.push(c);
        }
        let mut value = String::new();
        if chars.next_if_eq(&'=').is_some() {
            while chars.next_if(|c| c.is_whitespace()).is_some() {}
            let is_quoted = chars.next_if_eq(&'"').is_some();
            while let Some(c) = chars.next_if(|c| is_quoted || *c != ';') {
                match c {
                    '"' if is_quoted => break,
                    '\\' if is_quoted => value.extend(chars.next()),
                    c => value.push(c),
                }
            }
            while chars.next_if(|c| *c != ';').is_some() {}
        }
        parameters.push((key.trim().to_ascii_lowercase(), value.trim().to_owned()));
    }
    parameters
}

/// Headers under which nothing that strangers have uploaded can do anything in a browser.
pub(super) fn public(mime: Option<&str>, name: Option<&str>) -> HeaderMap {
    let shown = mime.and_then(|mime| INLINE.iter().find(|shown| **shown == mime));
    let content_type = match shown.copied() {
        // A browser guesses the encoding otherwise, and mostly wrongly.
        Some(TEXT) => "text/plain; charset=utf-8",
        shown => shown.unwrap_or("application/octet-stream"),
    };
    let kind = if shown.is_some() {
        "inline"
    } else {
        "attachment"
    };
    let fixed = [
        (header::CONTENT_TYPE, content_type),
        (
            header::CONTENT_SECURITY_POLICY,
            "sandbox; default-src 'none'; frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "private, max-age=3600, immutable"),
        (
            http::HeaderName::from_static("cross-origin-resource-policy"),
            "cross-origin",
        ),
        (http::HeaderName::from_static("x-robots-tag"), "noindex"),
    ];
    let mut headers: HeaderMap = fixed
        .into_iter()
        .map(|(name, value)| (name, HeaderValue::from_static(value)))
        .collect();
    let disposition = match name {
        Some(name) if !name.is_empty() => {
            format!(
                "{kind}; filename*=UTF-8''{}",
                utf8_percent_encode(name, NAME)
            )
        }
        _ => kind.to_owned(),
    };
    let disposition = HeaderValue::try_from(disposition).expect("invariant: percent-encoded");
    headers.insert(header::CONTENT_DISPOSITION, disposition);
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: http::HeaderName, value: &[u8]) -> HeaderMap {
        let value = HeaderValue::from_bytes(value).expect("a header");
        HeaderMap::from_iter([(name, value)])
    }

    #[test]
    fn types_are_read_without_parameters() {
        let read = |value: &[u8]| mime(&with(header::CONTENT_TYPE, value));
        assert_eq!(read(b"Image/PNG; charset=x").as_deref(), Some("image/png"));
        assert_eq!(read(b"png"), None);
        assert_eq!(read(b"image/p\xffng"), None);
        assert_eq!(mime(&HeaderMap::new()), None);
    }

    #[test]
    fn names_are_read_in_every_form() {
        let read = |value: &str| file_name(&with(header::CONTENT_DISPOSITION, value.as_bytes()));
        for (header, name) in [
            ("inline; filename=cat.png", Some("cat.png")),
            (
                "attachment; filename=\"a \\\"b\\\"; c.txt\"; x=y",
                Some("a \"b\"; c.txt"),
            ),
            (
                "inline; filename=\"x.png\"; filename*=UTF-8''%C3%BC.png",
                Some("ü.png"),
            ),
            ("inline; FILENAME*=utf-8'de'%e2%82%ac", Some("€")),
            ("inline; filename*=latin1''a; filename=b", Some("b")),
            ("inline; filename=\"../../etc/passwd\"", Some("passwd")),
            ("inline; filename=\"..\"", None),
            ("inline; filename*=UTF-8''a%0Ab", None),
            ("inline; filename=\"open", Some("open")),
            ("inline", None),
            ("inline;;;=;\"", None),
        ] {
            assert_eq!(read(header).as_deref(), name, "{header}");
        }
    }

    #[test]
    fn nothing_that_could_run_is_shown_in_place() {
        for dangerous in [
            "text/html",
            "image/svg+xml",
            "application/pdf",
            "text/css",
            "text/xml",
        ] {
            let headers = public(Some(dangerous), Some("a\"; filename=b.exe\r\nX: y"));
            assert_eq!(
                headers[header::CONTENT_TYPE],
                "application/octet-stream",
                "{dangerous}"
            );
            let disposition = headers[header::CONTENT_DISPOSITION]
                .to_str()
                .expect("ASCII");
            assert_eq!(
                disposition,
                "attachment; filename*=UTF-8''a%22%3B%20filename%3Db.exe%0D%0AX%3A%20y"
            );
        }
        let headers = public(Some("image/png"), None);
        assert_eq!(headers[header::CONTENT_TYPE], "image/png");
        assert_eq!(headers[header::CONTENT_DISPOSITION], "inline");
        let text = public(Some("text/plain"), None);
        assert_eq!(text[header::CONTENT_TYPE], "text/plain; charset=utf-8");
        assert_eq!(text[header::CONTENT_DISPOSITION], "inline");
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert!(
            headers[header::CONTENT_SECURITY_POLICY]
                .to_str()
                .expect("ASCII")
                .contains("sandbox")
        );
        assert_eq!(
            public(None, None)[header::CONTENT_DISPOSITION],
            "attachment"
        );
    }

    proptest::proptest! {
        #[test]
        fn any_header_is_survived(value in proptest::collection::vec(32_u8..=255, 0..80)) {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                let headers = HeaderMap::from_iter([(header::CONTENT_DISPOSITION, value.clone()), (header::CONTENT_TYPE, value)]);
                if let Some(name) = file_name(&headers) {
                    proptest::prop_assert!(!name.contains('/') && !name.is_empty());
                }
                let _ = mime(&headers);
            }
        }
    }
}
