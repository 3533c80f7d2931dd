//! Instants as servers write them (IRCv3 server-time).

/// Milliseconds since the epoch of `YYYY-MM-DDThh:mm:ss.sssZ`; `None` where it is no such instant.
///
/// The fraction may be missing or have other lengths, and the 60th second is the first of the next minute.
#[must_use]
pub fn server_time_ms(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    let is_instant = (1..=12).contains(&month)
        && (1..=days_of(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !is_instant {
        return None;
    }
    let seconds = days_since_epoch(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some(seconds * 1000 + millis(fraction)?)
}

/// An instant as servers write it, from milliseconds since the epoch. Those before the year 0 and behind the year 9999
/// are the first and the last that can be written.
#[must_use]
pub fn server_time(ms: i64) -> String {
    const FIRST: i64 = -62_167_219_200_000;
    const LAST: i64 = 253_402_300_799_999;
    let ms = ms.clamp(FIRST, LAST);
    let (days, of_day) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    let (year, month, day) = date_of(days);
    let (seconds, millis) = (of_day / 1000, of_day % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Year, month and day, from the days since the epoch.
fn date_of(days: i64) -> (i64, i64, i64) {
    // 146,097 days are 400 years. Estimated from below, and never by more than a year.
    let mut year = 1970 + days * 400 / 146_097 - 1;
    while days_since_epoch(year + 1, 1, 1) <= days {
        year += 1;
    }
    let mut left = days - days_since_epoch(year, 1, 1);
    let mut month = 1;
    while left >= days_of(year, month) {
        left -= days_of(year, month);
        month += 1;
    }
    (year, month, left + 1)
}

/// Three numbers of so many digits each, with a sign between them.
fn numbers(text: &str, between: char, digits: [usize; 3]) -> Option<[i64; 3]> {
    let mut pieces = text.split(between);
    let mut read = [0; 3];
    for (number, digits) in read.iter_mut().zip(digits) {
        let piece = pieces.next()?;
        *number = (piece.len() == digits)
            .then(|| number_of(piece))
            .flatten()?;
    }
    pieces.next().is_none().then_some(read)
}

/// Digits alone: no sign, which `parse` would take.
fn number_of(digits: &str) -> Option<i64> {
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

fn millis(fraction: &str) -> Option<i64> {
    if fraction.is_empty() || fraction.len() > 9 || number_of(fraction).is_none() {
        return None;
    }
    number_of(&format!("{fraction:0<3}")[..3])
}

fn days_of(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Years begin in March here, so that the day that not every year has is the last one.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let month = (month + 9) % 12;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let since_march = (month * 153 + 2) / 5 + day - 1;
    // 719,468 days lie between the 1st of March of the year 0 and the epoch.
    year * 365 + leap_days + since_march - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn instants_are_read() {
        for (text, ms) in [
            ("1970-01-01T00:00:00.000Z", 0),
            ("2011-10-19T16:40:51.620Z", 1_319_042_451_620),
            ("2026-01-02T03:04:05Z", 1_767_323_045_000),
            ("2026-01-02T03:04:05.6Z", 1_767_323_045_600),
            ("2026-01-02T03:04:05.678901Z", 1_767_323_045_678),
            ("2012-06-30T23:59:60.419Z", 1_341_100_800_419),
            ("2000-02-29T00:00:00.000Z", 951_782_400_000),
            ("1969-12-31T23:59:59.999Z", -1),
        ] {
            assert_eq!(server_time_ms(text), Some(ms), "{text}");
        }
    }

    #[test]
    fn instants_are_written() {
        assert_eq!(server_time(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(server_time(-1), "1969-12-31T23:59:59.999Z");
        assert_eq!(server_time(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(server_time(1_767_323_045_678), "2026-01-02T03:04:05.678Z");
        assert_eq!(server_time(i64::MAX), "9999-12-31T23:59:59.999Z");
        assert_eq!(server_time(i64::MIN), "0000-01-01T00:00:00.000Z");
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "1319042451.620",
            "2026-01-02 03:04:05Z",
            "2026-01-02T03:04:05",
            "2026-01-02T03:04:05+01:00",
            "2026-13-02T03:04:05Z",
            "2026-00-02T03:04:05Z",
            "2026-02-29T03:04:05Z",
            "1900-02-29T03:04:05Z",
            "2026-01-02T24:04:05Z",
            "2026-01-02T03:60:05Z",
            "2026-01-02T03:04:61Z",
            "2026-01-02T03:04:05.Z",
            "2026-01-02T03:04:05.-12Z",
            "2026-01-02T03:04:05.1234567890Z",
            "2026-01-02T03:04:+5Z",
            "26-1-2T3:4:5Z",
            "2026-01-02-03T03:04:05Z",
        ] {
            assert_eq!(server_time_ms(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn each_instant_is_a_millisecond_after_another(
            year in 1583_i64..9999, month in 1_i64..=12, day in 1_i64..=31, of_day in 0_i64..86_400_000,
        ) {
            prop_assume!(day <= days_of(year, month));
            let written = |ms: i64| format!(
                "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
                ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000,
            );
            let midnight = server_time_ms(&written(0)).expect("an instant");
            prop_assert_eq!(midnight % 86_400_000, 0);
            prop_assert_eq!(server_time_ms(&written(of_day)), Some(midnight + of_day));
        }

        #[test]
        fn what_is_written_is_read_back(ms in -62_167_219_200_000_i64..=253_402_300_799_999) {
            prop_assert_eq!(server_time_ms(&server_time(ms)), Some(ms));
        }

        #[test]
        fn any_text_is_an_instant_or_none(text in "\\PC{0,30}|[0-9TZ:.-]{10,30}") {
            let _ = server_time_ms(&text);
        }
    }

    #[test]
    fn days_follow_each_other() {
        let mut before = days_since_epoch(1599, 12, 31);
        for year in 1600..2405 {
            for month in 1..=12 {
                for day in 1..=days_of(year, month) {
                    let now = days_since_epoch(year, month, day);
                    assert_eq!(now, before + 1, "{year}-{month}-{day}");
                    before = now;
                }
            }
        }
    }
}
