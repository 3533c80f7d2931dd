//! Times and durations, read from an operator and written for one. All clock times are UTC.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

/// `3 min`, `2 h 5 min`, `4 days`: two parts at most.
pub(crate) fn duration(ms: u64) -> String {
    let part = |number: u64, unit: &str| match number {
        0 => String::new(),
        _ => format!(" {number} {unit}"),
    };
    match ms {
        0..SECOND => format!("{ms} ms"),
        SECOND..MINUTE => format!("{} s", ms / SECOND),
        MINUTE..HOUR => format!("{} min", ms / MINUTE),
        HOUR..DAY => format!("{} h{}", ms / HOUR, part(ms % HOUR / MINUTE, "min")),
        _ if ms < 2 * DAY => format!("1 day{}", part(ms % DAY / HOUR, "h")),
        _ => format!("{} days", ms / DAY),
    }
}

/// `3 min ago`; what lies ahead, which is a clock that goes wrong, counts as now.
pub(crate) fn ago(at_ms: i64, now_ms: i64) -> String {
    match u64::try_from(now_ms.saturating_sub(at_ms)).unwrap_or(0) {
        0..SECOND => "just now".to_owned(),
        ms => format!("{} ago", duration(ms)),
    }
}

/// `in 3 min`, or `now`.
pub(crate) fn ahead(at_ms: i64, now_ms: i64) -> String {
    match u64::try_from(at_ms.saturating_sub(now_ms)).unwrap_or(0) {
        0..SECOND => "now".to_owned(),
        ms => format!("in {}", duration(ms)),
    }
}

/// `2026-01-02 03:04:05 UTC`
pub(crate) fn utc(at_ms: i64) -> String {
    let (year, month, day) = civil(at_ms.div_euclid(DAY.cast_signed()));
    format!("{year:04}-{month:02}-{day:02} {} UTC", clock(at_ms))
}

/// `03:04:05`, in UTC.
pub(crate) fn clock(at_ms: i64) -> String {
    let seconds = at_ms.rem_euclid(DAY.cast_signed()) / SECOND.cast_signed();
    format!(
        "{:02}:{:02}:{:02}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// Year, month and day of a day counted from 1970-01-01.
fn civil(day: i64) -> (i64, i64, i64) {
    // Counted from 1 March of the year 0: a leap day is then the last day of its year, and years
    // repeat every 400, which are 146,097 days.
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let day = day.rem_euclid(146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Five months from March on, and again from August on, have 153 days.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (era * 400 + year + next, month, day)
}

/// The reverse of [`civil`]; `None` for a day that no month has.
fn day_of(year: i64, month: i64, day: i64) -> Option<i64> {
    let from_march = (month + 9) % 12;
    let year_from_march = if month <= 2 { year - 1 } else { year };
    let era = year_from_march.div_euclid(400);
    let in_era = year_from_march.rem_euclid(400);
    let days = 365 * in_era + in_era / 4 - in_era / 100 + (153 * from_march + 2) / 5 + day - 1;
    let counted = era * 146_097 + days - 719_468;
    (civil(counted) == (year, month, day)).then_some(counted)
}

/// Reads `90s`, `5m`, `2h`, `1d`; a bare `0` needs no unit.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no duration; write it like 90s, 5m, 2h or 1d");
    let text = text.trim();
    let unit_at = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let unit = match unit.trim() {
        "ms" => 1,
        "s" => SECOND,
        "m" | "min" => MINUTE,
        "h" => HOUR,
        "d" => DAY,
        "" if number == 0 => 0,
        _ => return Err(wrong()),
    };
    let ms = number.checked_mul(unit).ok_or_else(wrong)?;
    // A time this far from now is still one that can be counted.
    if ms > 36_525 * DAY {
        return Err(format!("`{text}` is more than a hundred years"));
    }
    Ok(Duration::from_millis(ms))
}

/// A moment, as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// So long before now.
    Ago(Duration),
    /// Then.
    At(i64),
}

impl Moment {
    /// In milliseconds since the Unix epoch.
    pub(crate) fn at_ms(self, now_ms: i64) -> i64 {
        match self {
            Self::Ago(before) => {
                now_ms.saturating_sub(i64::try_from(before.as_millis()).unwrap_or(i64::MAX))
            }
            Self::At(at_ms) => at_ms,
        }
    }
}

/// Reads a duration before now, or `2026-01-02`, `2026-01-02T03:04`, `2026-01-02T03:04:05Z`.
pub(crate) fn parse_moment(text: &str) -> Result<Moment, String> {
    if let Ok(before) = parse_duration(text) {
        return Ok(Moment::Ago(before));
    }
    read_utc(text.trim()).map(Moment::At).ok_or_else(|| {
        format!("`{text}` is no time; write how long ago (90s, 5m, 2h, 1d) or when (2026-01-02T03:04:05Z, in UTC)")
    })
}

fn read_utc(text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, clock) = text.split_once(['T', ' ']).unwrap_or((text, "00:00"));
    let numbers = |text: &str, separator| -> Option<Vec<i64>> {
        let parts = text.split(separator).map(|part| {
            let is_number =
                (2..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| part.parse().ok()).flatten()
        });
        parts.collect()
    };
    let &[year, month, day] = numbers(date, '-')?.as_slice() else {
        return None;
    };
    let (hour, minute, second) = match *numbers(clock, ':')?.as_slice() {
        [hour, minute] => (hour, minute, 0),
        [hour, minute, second] => (hour, minute, second),
        _ => return None,
    };
    if !(1..=12).contains(&month) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = day_of(year, month, day)? * 86_400 + hour * 3_600 + minute * 60 + second;
    Some(seconds * 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_the_two_parts_that_matter() {
        let cases = [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_000, "1 s"),
            (61_000, "1 min"),
            (HOUR, "1 h"),
            (2 * HOUR + 5 * MINUTE, "2 h 5 min"),
            (DAY, "1 day"),
            (DAY + 3 * HOUR, "1 day 3 h"),
            (9 * DAY + HOUR, "9 days"),
        ];
        for (ms, text) in cases {
            assert_eq!(duration(ms), text);
        }
    }

    #[test]
    fn times_are_told_from_now() {
        assert_eq!(ago(1_000, 181_000), "3 min ago");
        assert_eq!(ago(1_000, 1_500), "just now");
        assert_eq!(ago(9_000, 1_500), "just now", "the server's clock is ahead");
        assert_eq!(ahead(13_000, 1_000), "in 12 s");
        assert_eq!(ahead(500, 1_000), "now");
    }

    #[test]
    fn clock_times_are_right_around_every_edge() {
        let cases = [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399_000, "2000-02-28 23:59:59 UTC"),
            (951_782_400_000, "2000-02-29 00:00:00 UTC"),
            (951_868_800_000, "2000-03-01 00:00:00 UTC"),
            (1_767_225_599_999, "2025-12-31 23:59:59 UTC"),
            (4_107_542_400_000, "2100-03-01 00:00:00 UTC"),
            (-1, "1969-12-31 23:59:59 UTC"),
        ];
        for (at_ms, text) in cases {
            assert_eq!(utc(at_ms), text);
        }
    }

    #[test]
    fn every_day_of_eight_centuries_is_its_own_reverse() {
        let mut before = civil(-200_000);
        for day in -199_999..100_000 {
            let (year, month, day_of_month) = civil(day);
            assert!((year, month, day_of_month) > before, "{before:?}");
            before = (year, month, day_of_month);
            assert_eq!(day_of(year, month, day_of_month), Some(day));
        }
    }

    #[test]
    fn durations_and_times_are_read() {
        let minutes = |minutes: u64| Ok(Moment::Ago(Duration::from_secs(minutes * 60)));
        let cases = [
            ("5m", minutes(5)),
            ("2h", minutes(120)),
            ("1 d", minutes(1440)),
            ("0", minutes(0)),
            ("2000-02-29", Ok(Moment::At(951_782_400_000))),
            ("2000-02-29T00:01", Ok(Moment::At(951_782_460_000))),
            ("2000-02-29 00:01:02", Ok(Moment::At(951_782_462_000))),
            ("2000-02-29T00:01:02Z", Ok(Moment::At(951_782_462_000))),
        ];
        for (text, wanted) in cases {
            assert_eq!(parse_moment(text), wanted, "{text}");
        }
        for text in [
            "",
            "5",
            "m",
            "-5m",
            "5x",
            "2001-02-29",
            "2000-13-01",
            "2000-01-00",
            "2000-01-01T24:00",
            "2000-01-01T1:2:3:4",
            "2000-1-1T00:00:00+01:00",
            "99999999999999999999d",
            "40000d",
        ] {
            assert!(parse_moment(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_moment_counts_from_now() {
        assert_eq!(Moment::Ago(Duration::from_secs(2)).at_ms(5_000), 3_000);
        assert_eq!(Moment::At(7).at_ms(5_000), 7);
    }
}
