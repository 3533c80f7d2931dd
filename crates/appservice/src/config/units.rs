//! Times and sizes with their units.

use std::{fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Factors of the units of times, in milliseconds, the longest first.
const TIMES: &[(&str, u64)] = &[
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// Factors of the units of sizes, in bytes, the largest first.
const SIZES: &[(&str, u64)] = &[
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1000),
    ("B", 1),
];

/// A length of time, written as `"30s"`, `"5m"` or `"1h 30m"`; units are ms, s, m, h and d.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(Duration);

/// A number of bytes, written as `"50MiB"` or `"2 MB"`; units are B, KB, KiB, MB, MiB, GB and GiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(u64);

/// Why a text is no time or size. Displays as what is expected, what was found, and the units.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found:?}")]
pub struct UnitError {
    expected: &'static str,
    found: String,
}

/// What a time looks like.
pub(super) const TIME_EXPECTED: &str = "a time with its unit (ms, s, m, h or d), such as \"30s\"";
/// What a size looks like.
pub(super) const SIZE_EXPECTED: &str =
    "a size with its unit (B, KB, KiB, MB, MiB, GB or GiB), such as \"50MiB\"";

impl Time {
    /// So many seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// As the standard library's type.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl Size {
    /// So many bytes.
    #[must_use]
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// So many times 1,048,576 bytes.
    #[must_use]
    pub const fn from_mebibytes(mebibytes: u32) -> Self {
        Self((mebibytes as u64) << 20)
    }

    /// In bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl From<Time> for Duration {
    fn from(time: Time) -> Self {
        time.0
    }
}

/// Finer parts than milliseconds are cut off.
impl From<Duration> for Time {
    fn from(duration: Duration) -> Self {
        let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(Duration::from_millis(ms))
    }
}

impl FromStr for Time {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let ms = sum(text, TIMES).ok_or_else(|| UnitError {
            expected: TIME_EXPECTED,
            found: text.chars().take(80).collect(),
        })?;
        Ok(Self(Duration::from_millis(ms)))
    }
}

impl FromStr for Size {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let bytes = sum(text, SIZES).ok_or_else(|| UnitError {
            expected: SIZE_EXPECTED,
            found: text.chars().take(80).collect(),
        })?;
        Ok(Self(bytes))
    }
}

/// The sum of numbers, each with its unit; `None` when it is none, or too large.
fn sum(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let mut rest = text.trim();
    let mut sum: Option<u64> = None;
    while !rest.is_empty() {
        let (number, behind) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let behind = behind.trim_start();
        let end = behind.find(|c: char| !c.is_ascii_alphabetic());
        let (unit, behind) = behind.split_at(end.unwrap_or(behind.len()));
        let factor = units.iter().find(|(name, _)| *name == unit)?.1;
        let part = number.parse::<u64>().ok()?.checked_mul(factor)?;
        sum = Some(sum.unwrap_or(0).checked_add(part)?);
        rest = behind.trim_start();
    }
    sum
}

/// In the largest unit that leaves no rest.
fn write(f: &mut fmt::Formatter<'_>, value: u64, units: &[(&str, u64)]) -> fmt::Result {
    let fits = |factor: u64| value != 0 && value.is_multiple_of(factor);
    let found = units.iter().find(|(_, factor)| fits(*factor));
    match found {
        Some((unit, factor)) => write!(f, "{}{unit}", value / factor),
        None => {
            let zero = if std::ptr::eq(units, TIMES) { "s" } else { "B" };
            write!(f, "{value}{zero}")
        }
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(
            f,
            u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX),
            TIMES,
        )
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, self.0, SIZES)
    }
}

macro_rules! as_text {
    ($type:ident, $kind:literal, $expected:expr) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }

        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "x-kind": $kind, "x-expected": $expected })
            }
        }
    };
}
as_text!(Time, "time", TIME_EXPECTED);
as_text!(Size, "size", SIZE_EXPECTED);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written() {
        for (text, ms, written) in [
            ("30s", 30_000, "30s"),
            ("0s", 0, "0s"),
            ("1500ms", 1500, "1500ms"),
            ("90m", 5_400_000, "90m"),
            ("1h 30m", 5_400_000, "90m"),
            ("1h30m", 5_400_000, "90m"),
            (" 2 d ", 172_800_000, "2d"),
            ("120s", 120_000, "2m"),
        ] {
            let time: Time = text.parse().expect(text);
            assert_eq!(time.get(), Duration::from_millis(ms), "{text}");
            assert_eq!(time.to_string(), written);
        }
    }

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes, written) in [
            ("50MiB", 52_428_800, "50MiB"),
            ("2 MB", 2_000_000, "2MB"),
            ("1024B", 1024, "1KiB"),
            ("0B", 0, "0B"),
            ("1GiB 1B", 1_073_741_825, "1073741825B"),
        ] {
            let size: Size = text.parse().expect(text);
            assert_eq!(size.bytes(), bytes, "{text}");
            assert_eq!(size.to_string(), written);
        }
    }

    #[test]
    fn what_has_no_unit_is_refused_with_the_units() {
        for text in [
            "30",
            "",
            " ",
            "s",
            "30 sec",
            "-5s",
            "1.5h",
            "30s!",
            "99999999999999999999s",
            "18446744073709551615d",
        ] {
            let error = text.parse::<Time>().expect_err(text).to_string();
            assert!(error.contains("(ms, s, m, h or d)"), "{error}");
        }
        for text in ["50", "50mib", "50 M", "50MiB,"] {
            let error = text.parse::<Size>().expect_err(text).to_string();
            assert!(error.contains("such as \"50MiB\""), "{error}");
        }
    }
}
