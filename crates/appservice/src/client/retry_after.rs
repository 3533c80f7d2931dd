//! How long a homeserver asks to be left alone after a 429: `retry_after_ms` in the body (client-server API, "Rate
//! limiting") or the header `Retry-After`, in seconds or as a date (RFC 9110, section 10.2.3).

use std::time::Duration;

/// The wait that an answer names, or `None` when it names none that can be understood.
///
/// `body_ms` is the body's `retry_after_ms`, `header` the text of `Retry-After`, `now_ms` the time in
/// milliseconds since 1970. If both are there the longer counts: asking too early costs another refusal.
#[must_use]
pub(crate) fn retry_after(
    body_ms: Option<u64>,
    header: Option<&str>,
    now_ms: i64,
) -> Option<Duration> {
    let from_body = body_ms.map(Duration::from_millis);
    let from_header = header.and_then(|text| from_header(text.trim(), now_ms));
    from_body.max(from_header)
}

fn from_header(text: &str, now_ms: i64) -> Option<Duration> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Whoever names more seconds than fit means "very long"; callers bound it.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let at = Duration::from_secs(date_seconds(text)?);
    let now = Duration::from_millis(u64::try_from(now_ms).unwrap_or(0));
    Some(at.saturating_sub(now))
}

/// An HTTP date, ms since the Unix epoch.
pub(crate) fn http_date_ms(text: &str) -> Option<i64> {
    i64::try_from(date_seconds(text)?).ok()?.checked_mul(1000)
}

/// Seconds since 1970 of a date in one of HTTP's three forms (RFC 9110, section 5.6.7).
fn date_seconds(text: &str) -> Option<u64> {
    let words: Vec<&str> = text
        .split([' ', ',', '-'])
        .filter(|word| !word.is_empty())
        .collect();
    let (day, month, year, clock) = match words[..] {
        // Sun, 06 Nov 1994 08:49:37 GMT  and  Sunday, 06-Nov-94 08:49:37 GMT
        [_, day, month, year, clock, "GMT"] => (day, month, year, clock),
        // Sun Nov  6 08:49:37 1994
        [_, month, day, clock, year] => (day, month, year, clock),
        _ => return None,
    };
    let days = days_since_1970(year_of(year)?, month_of(month)?, number(day, 1..=31)?)?;
    days.checked_mul(86_400)?
        .checked_add(seconds_of_day(clock)?)
}

fn number(text: &str, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
    let is_plain = text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_plain)?;
    range.contains(&number).then_some(number)
}

/// Two digits are of this century, or of the last one from 70 on: nobody asks for a wait of fifty years.
fn year_of(text: &str) -> Option<u64> {
    let year = number(text, 0..=9999)?;
    match text.len() {
        2 => Some(if year < 70 { 2000 + year } else { 1900 + year }),
        4 => Some(year),
        _ => None,
    }
}

fn month_of(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let index = MONTHS.iter().position(|month| *month == text)?;
    u64::try_from(index + 1).ok()
}

fn seconds_of_day(clock: &str) -> Option<u64> {
    let mut parts = clock.split(':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    // 60 is a leap second.
    let (hour, minute) = (number(hour, 0..=23)?, number(minute, 0..=59)?);
    Some(hour * 3600 + minute * 60 + number(second, 0..=60)?)
}

/// Days from 1970-01-01 in the Gregorian calendar; `None` before that day. Years are counted from March, so that the
/// leap day is a year's last.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    let (year, months_since_march) = if month < 3 {
        (year.checked_sub(1)?, month + 9)
    } else {
        (year, month - 3)
    };
    let days_before_month = (153 * months_since_march + 2) / 5;
    let days_before_year = 365 * year + year / 4 - year / 100 + year / 400;
    (days_before_year + days_before_month + day - 1).checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1994-11-06 08:49:07, half a minute before the dates below.
    const NOW_MS: i64 = 784_111_747_000;

    #[test]
    fn every_form_is_understood() {
        for (body_ms, header, wait_ms) in [
            (Some(1500), None, Some(1500)),
            (None, Some("2"), Some(2000)),
            (None, Some(" 2 "), Some(2000)),
            (None, Some("0"), Some(0)),
            (Some(1500), Some("2"), Some(2000)),
            (Some(2500), Some("2"), Some(2500)),
            (None, Some("Sun, 06 Nov 1994 08:49:37 GMT"), Some(30_000)),
            (None, Some("Sunday, 06-Nov-94 08:49:37 GMT"), Some(30_000)),
            (None, Some("Sun Nov  6 08:49:37 1994"), Some(30_000)),
            // A date that is past: at once.
            (None, Some("Sun, 06 Nov 1994 08:49:06 GMT"), Some(0)),
            (Some(700), Some("soon"), Some(700)),
            (None, Some("soon"), None),
            (None, Some(""), None),
            (None, Some("-5"), None),
            (None, Some("1.5"), None),
            (None, Some("Sun, 32 Nov 1994 08:49:37 GMT"), None),
            (None, Some("Sun, 06 Nov 1994 24:49:37 GMT"), None),
            (None, Some("Sun, 06 Nov 1994 08:49 GMT"), None),
            (None, Some("Sun, 06 Nov 1994 08:49:37:00 GMT"), None),
            (None, Some("Sun, 06 Nov 1954 08:49:37 GMT"), None),
            (None, Some("Sun, 06 Nov 994 08:49:37 GMT"), None),
            (None, None, None),
        ] {
            let wait = retry_after(body_ms, header, NOW_MS);
            assert_eq!(
                wait,
                wait_ms.map(Duration::from_millis),
                "{body_ms:?} {header:?}"
            );
        }
    }

    #[test]
    fn absurd_waits_do_not_overflow() {
        let huge = "99999999999999999999999999";
        let wait = retry_after(Some(u64::MAX), Some(huge), NOW_MS);
        assert_eq!(wait, Some(Duration::from_secs(u64::MAX)));
    }

    #[test]
    fn days_are_counted_through_leap_years() {
        for (date, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Tue, 29 Feb 2000 00:00:00 GMT", 951_782_400),
            ("Wed, 01 Mar 2000 00:00:00 GMT", 951_868_800),
            ("Sat, 21 Nov 2026 12:00:00 GMT", 1_795_262_400),
            ("Mon, 01 Mar 2100 00:00:00 GMT", 4_107_542_400),
        ] {
            assert_eq!(date_seconds(date), Some(seconds), "{date}");
        }
    }
}
