//! What the time is: that of the machine, or what a test says.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

/// Where no test has set the time.
const RUNNING: i64 = i64::MIN;
const MS_A_DAY: i64 = 86_400_000;

/// What the time is. Copies are one clock.
#[derive(Clone, Debug)]
pub struct Clock(Arc<AtomicI64>);

impl Default for Clock {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(RUNNING)))
    }
}

impl Clock {
    /// Milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        match self.0.load(Ordering::Relaxed) {
            RUNNING => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH);
                since.map_or(0, |since| {
                    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
                })
            }
            set => set,
        }
    }

    /// Seconds since 1970.
    #[must_use]
    pub fn now_s(&self) -> i64 {
        self.now_ms().div_euclid(1000)
    }

    /// Stops the clock at these milliseconds since 1970.
    pub fn set_ms(&self, now_ms: i64) {
        self.0.store(now_ms, Ordering::Relaxed);
    }

    /// Moves the clock on; one that was running stops there.
    pub fn advance_ms(&self, by_ms: i64) {
        self.set_ms(self.now_ms().saturating_add(by_ms));
    }
}

/// Writes milliseconds since 1970 as server-time has it: `2026-01-02T03:04:05.678Z`.
#[must_use]
pub(crate) fn write_time(at_ms: i64) -> String {
    let (year, month, day) = civil(at_ms.div_euclid(MS_A_DAY));
    let ms = at_ms.rem_euclid(MS_A_DAY);
    let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    let ms = ms % 1000;
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{ms:03}Z")
}

/// Reads what [`write_time`] writes.
#[must_use]
pub(crate) fn read_time(text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z')?;
    let (date, time) = text.split_once('T')?;
    let mut date = date.splitn(3, '-').map(str::parse::<i64>);
    let mut time = time.splitn(3, ':');
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    let hours: i64 = time.next()?.parse().ok()?;
    let minutes: i64 = time.next()?.parse().ok()?;
    let seconds = time.next()?;
    let (seconds, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    let seconds: i64 = seconds.parse().ok()?;
    let ms: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let is_sane = (0..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hours)
        && (0..60).contains(&minutes)
        && (0..=60).contains(&seconds);
    is_sane.then(|| {
        let day_ms = days(year, month, day) * MS_A_DAY;
        day_ms + hours * 3_600_000 + minutes * 60_000 + seconds * 1000 + ms
    })
}

/// The date of a day since 1970, by the calendar of eras of 400 years that begin in March.
fn civil(day: i64) -> (i64, i64, i64) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The day since 1970 of a date: the reverse of [`civil`].
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let shifted_month = (month + 9) % 12;
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn instants_are_written_as_server_time_has_them() {
        for (at_ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_767_323_045_678, "2026-01-02T03:04:05.678Z"),
        ] {
            assert_eq!(write_time(at_ms), text);
            assert_eq!(read_time(text), Some(at_ms));
        }
        assert_eq!(read_time("2026-13-02T03:04:05.678Z"), None);
        assert_eq!(read_time("yesterday"), None);
    }

    #[test]
    fn a_clock_stands_where_it_is_set() {
        let clock = Clock::default();
        let copy = clock.clone();
        copy.set_ms(1000);
        assert_eq!(clock.now_s(), 1);
        clock.advance_ms(500);
        assert_eq!(copy.now_ms(), 1500);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(at_ms in 0_i64..253_402_300_799_999) {
            prop_assert_eq!(read_time(&write_time(at_ms)), Some(at_ms));
        }
    }
}
