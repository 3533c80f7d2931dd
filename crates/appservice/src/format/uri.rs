//! Links: which of them may stand in a message, and which of them mention somebody.
//!
//! Read by hand and not by a library for Matrix URIs: input is anybody's, and nothing here can panic.

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use super::{inline::Target, tidy::MAX_ATTRIBUTE_BYTES};
use crate::id::{RoomAlias, RoomId, UserId};

/// What the specification allows in `a[href]`, and `matrix`, which clients send.
const LINK_SCHEMES: [&str; 6] = ["https", "http", "ftp", "mailto", "magnet", "matrix"];

const MATRIX_TO: &str = "https://matrix.to/#/";

/// Encoded in a path segment (WHATWG's path set, and `/` and `%`).
const SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}')
    .add(b'/')
    .add(b'%');

/// Whether a message may link there.
pub(super) fn is_allowed_link(url: &str) -> bool {
    let scheme = url
        .split_once(':')
        .map(|(scheme, rest)| (scheme, !rest.is_empty()));
    let known = |name: &str| {
        LINK_SCHEMES
            .iter()
            .any(|scheme| scheme.eq_ignore_ascii_case(name))
    };
    url.len() <= MAX_ATTRIBUTE_BYTES
        && scheme.is_some_and(|(name, has_rest)| has_rest && known(name))
        && !url.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// Whom a link mentions: `matrix.to` links and `matrix:` URIs of users and rooms. Links to events are links.
pub(super) fn mentioned(url: &str) -> Option<Target> {
    if url.len() > MAX_ATTRIBUTE_BYTES {
        return None;
    }
    let (path, id_of): (&str, fn(&str) -> Option<String>) = match strip_matrix_to(url) {
        Some(rest) => (rest, id_with_sigil),
        None => (strip_scheme(url)?, id_with_type),
    };
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let id = id_of(path.strip_suffix('/').unwrap_or(path))?;
    match id.as_bytes().first()? {
        b'@' => Some(Target::User(UserId::parse(&id).ok()?)),
        b'#' => Some(Target::Alias(RoomAlias::parse(&id).ok()?)),
        b'!' => Some(Target::Room {
            id: RoomId::parse(&id).ok()?,
            via: via(query),
        }),
        _ => None,
    }
}

fn strip_matrix_to(url: &str) -> Option<&str> {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))?;
    rest.strip_prefix("matrix.to/#/")
        .or_else(|| rest.strip_prefix("www.matrix.to/#/"))
}

fn strip_scheme(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once(':')?;
    scheme.eq_ignore_ascii_case("matrix").then_some(rest)
}

fn id_with_sigil(path: &str) -> Option<String> {
    if path.contains('/') {
        return None;
    }
    decode(path)
}

fn id_with_type(path: &str) -> Option<String> {
    let (kind, id) = path.split_once('/')?;
    let sigil = match kind {
        "u" | "user" => '@',
        "r" | "room" => '#',
        "roomid" => '!',
        _ => return None,
    };
    if id.contains('/') {
        return None;
    }
    Some(format!("{sigil}{}", decode(id)?))
}

fn decode(text: &str) -> Option<String> {
    Some(percent_decode_str(text).decode_utf8().ok()?.into_owned())
}

fn via(query: &str) -> Vec<String> {
    let values = query
        .split('&')
        .filter_map(|pair| pair.strip_prefix("via="));
    values.filter_map(decode).take(3).collect()
}

/// The `matrix.to` link of a user or a room.
pub(super) fn matrix_to(target: &Target) -> Option<String> {
    let via: &[String] = match target {
        Target::Everyone => return None,
        Target::Room { via, .. } => via,
        Target::User(_) | Target::Alias(_) => &[],
    };
    let mut url = format!("{MATRIX_TO}{}", encode(target.as_str()));
    for (index, server) in via.iter().enumerate() {
        url.push_str(if index == 0 { "?via=" } else { "&via=" });
        url.push_str(server);
    }
    Some(url)
}

fn encode(id: &str) -> impl std::fmt::Display {
    utf8_percent_encode(id, SEGMENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, expected: Option<&str>) {
        let found = mentioned(url).map(|target| match &target {
            Target::Room { id, via } => format!("{id} {}", via.join(",")).trim_end().to_owned(),
            _ => target.as_str().to_owned(),
        });
        assert_eq!(found.as_deref(), expected, "{url}");
    }

    #[test]
    fn links_that_mention() {
        check("https://matrix.to/#/@a:b.c", Some("@a:b.c"));
        check("https://matrix.to/#/%40a%3Ab.c", Some("@a:b.c"));
        check("http://www.matrix.to/#/@a:b.c/", Some("@a:b.c"));
        check("https://matrix.to/#/#room:b.c", Some("#room:b.c"));
        check("https://matrix.to/#/%23room:b.c", Some("#room:b.c"));
        check(
            "https://matrix.to/#/!r:b.c?via=b.c&via=d.e",
            Some("!r:b.c b.c,d.e"),
        );
        check("https://matrix.to/#/!r:b.c/$event", None);
        check("matrix:u/a:b.c", Some("@a:b.c"));
        check("matrix:user/a:b.c?action=chat", Some("@a:b.c"));
        check("MATRIX:r/room:b.c", Some("#room:b.c"));
        check("matrix:roomid/r:b.c?via=b.c", Some("!r:b.c b.c"));
        check("matrix:roomid/r:b.c/e/event", None);
        check("https://example.org/#/@a:b.c", None);
    }

    /// Some of these end other readers of Matrix URIs with an index out of bounds.
    #[test]
    fn nonsense_mentions_nobody() {
        for url in [
            "",
            ":",
            "matrix:",
            "matrix:/",
            "matrix://",
            "matrix:u/",
            "matrix:u//",
            "https://matrix.to/#/",
            "https://matrix.to/#//",
            "https://matrix.to/#///x",
            "https://matrix.to/#/!r//",
            "https://matrix.to/#/%",
            "https://matrix.to/#/%ff",
            "https://matrix.to/#/?",
            "matrix:u/a//b",
            "matrix:u/a:",
        ] {
            let found = mentioned(url);
            assert_eq!(found, None, "{url}");
        }
    }

    #[test]
    fn links_that_are_allowed() {
        let check = |url: &str, allowed: bool| assert_eq!(is_allowed_link(url), allowed, "{url}");
        check("https://example.org", true);
        check("HTTPS://example.org", true);
        check("mailto:a@b.c", true);
        check("javascript:alert(1)", false);
        check("data:text/html,x", false);
        check("//example.org", false);
        check("https:", false);
        check("https://a\nb", false);
        check(
            &format!("https://{}", "a".repeat(MAX_ATTRIBUTE_BYTES)),
            false,
        );
    }

    #[test]
    fn ids_survive_the_link() {
        for id in ["@a:b.c", "@a/b?c#d%41:b.c", "@ü \t\"<>:b.c"] {
            let target = Target::User(UserId::parse(id).unwrap());
            let url = matrix_to(&target).unwrap();
            assert_eq!(mentioned(&url), Some(target));
        }
    }
}
