//! `Range: bytes=…` with one range, which is what media players ask for.

use http::{HeaderMap, header};

/// What part of the file to answer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it: no range was asked for, or one that may be ignored.
    Whole,
    /// From the first to the last byte, both included.
    Bytes {
        /// First byte.
        first: u64,
        /// Last byte.
        last: u64,
    },
    /// The range lies outside the file.
    Outside,
}

/// The part a request asks for (RFC 9110, section 14). Several ranges at once, other units and
/// broken ranges count as none.
pub(super) fn part(headers: &HeaderMap, size_bytes: u64, etag: &str) -> Part {
    let text = |name| headers.get(name)?.to_str().ok();
    if headers.contains_key(header::IF_RANGE) && text(header::IF_RANGE) != Some(etag) {
        return Part::Whole;
    }
    text(header::RANGE)
        .and_then(|range| range.strip_prefix("bytes="))
        .and_then(|range| range.trim().split_once('-'))
        .and_then(|(first, last)| parse(first, last, size_bytes))
        .unwrap_or(Part::Whole)
}

fn parse(first: &str, last: &str, size_bytes: u64) -> Option<Part> {
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    let end = size_bytes.saturating_sub(1);
    let (first, last) = match (first.is_empty(), last.is_empty()) {
        (true, _) => match number(last)? {
            0 => return Some(Part::Outside),
            count => (size_bytes.saturating_sub(count), end),
        },
        (false, true) => (number(first)?, end),
        (false, false) => (number(first)?, number(last)?),
    };
    if first >= size_bytes {
        return Some(Part::Outside);
    }
    (first <= last).then_some(Part::Bytes {
        first,
        last: last.min(end),
    })
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, header};

    use super::{Part, part};

    #[track_caller]
    fn check(range: &str, size_bytes: u64, expected: Part) {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, range.parse().unwrap());
        assert_eq!(part(&headers, size_bytes, "\"tag\""), expected, "{range}");
    }

    #[test]
    fn ranges() {
        let bytes = |first, last| Part::Bytes { first, last };
        check("bytes=0-0", 10, bytes(0, 0));
        check("bytes=3-", 10, bytes(3, 9));
        check("bytes=3-99", 10, bytes(3, 9));
        check("bytes=-3", 10, bytes(7, 9));
        check("bytes=-99", 10, bytes(0, 9));
        check("bytes=10-", 10, Part::Outside);
        check("bytes=-0", 10, Part::Outside);
        check("bytes=0-", 0, Part::Outside);
        check("bytes=5-3", 10, Part::Whole);
        check("bytes=0-1,3-4", 10, Part::Whole);
        check("bytes=+1-2", 10, Part::Whole);
        check("lines=1-2", 10, Part::Whole);
        check("bytes=99999999999999999999-", 10, Part::Outside);
    }

    #[test]
    fn another_versions_range_is_no_range() {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, "bytes=0-0".parse().unwrap());
        headers.insert(header::IF_RANGE, "\"other\"".parse().unwrap());
        assert_eq!(part(&headers, 10, "\"tag\""), Part::Whole);
    }
}
