//! The kinds of plain values: what a key's value must look like, and how it becomes the server's type.
//!
//! A kind looks at one value alone. What depends on two keys is in `checks.rs`; paths and secrets are in `files.rs`.

use std::{net::SocketAddr, time::Duration};

use ruma::{OwnedServerName, RoomVersionId, ServerName};
use tracing_subscriber::EnvFilter;
use url::Url;

pub(super) use super::files::{ExistingFile, FileOrFolder, Folder, SecretText, SignUpToken};
use super::{
    keys::LogFormat,
    value::{Given, Raw, Refusal},
};

/// What a key accepts.
pub(super) trait Kind {
    /// The server's type.
    type Value;

    /// With an article: "a size in bytes".
    fn expected(&self) -> String;

    /// One or two values to copy, as TOML.
    fn example(&self) -> String;

    /// Makes sense of a value, or tells everything that is wrong with it.
    fn read(&self, given: &Given) -> Result<Self::Value, Vec<Refusal>>;

    /// The value when nobody gave one and there is no default.
    fn unset(&self) -> Option<Self::Value> {
        None
    }

    /// The usual refusal: something else than expected.
    fn mismatch(&self, given: &Given) -> Vec<Refusal> {
        let problem = format!(
            "expected {}, found {}",
            self.expected(),
            given.raw.describe()
        );
        vec![given.refuse(
            problem,
            format!("write e.g. {}", given.spell(&self.example())),
        )]
    }
}

/// A key that need not be given.
pub(super) struct Optional<K>(pub(super) K);

impl<K: Kind> Kind for Optional<K> {
    type Value = Option<K::Value>;

    fn expected(&self) -> String {
        self.0.expected()
    }

    fn example(&self) -> String {
        self.0.example()
    }

    fn read(&self, given: &Given) -> Result<Self::Value, Vec<Refusal>> {
        self.0.read(given).map(Some)
    }

    fn unset(&self) -> Option<Self::Value> {
        Some(None)
    }
}

/// Several values of one kind; separated by commas where there are no types.
pub(super) struct List<K> {
    pub(super) item: K,
    pub(super) at_least: usize,
}

impl<K: Kind> Kind for List<K> {
    type Value = Vec<K::Value>;

    fn expected(&self) -> String {
        format!("a list, each item {}", self.item.expected())
    }

    fn example(&self) -> String {
        format!("[{}]", self.item.example())
    }

    fn read(&self, given: &Given) -> Result<Self::Value, Vec<Refusal>> {
        let split: Vec<Given>;
        let items = match &given.raw {
            Raw::List(items) => items,
            Raw::Untyped(text) => {
                split = split_at_commas(given, text);
                &split
            }
            Raw::Text(_)
            | Raw::Path(_)
            | Raw::Integer(_)
            | Raw::Float(_)
            | Raw::Bool(_)
            | Raw::Other(_) => {
                let problem = format!("expected a list, found {}", given.raw.describe_type());
                return Err(vec![
                    given.refuse(problem, format!("write e.g. {}", self.example())),
                ]);
            }
        };
        if items.len() < self.at_least {
            let remedy = format!("write e.g. {}", given.spell(&self.example()));
            return Err(vec![given.refuse("the list is empty", remedy)]);
        }
        let (mut values, mut refusals) = (Vec::new(), Vec::new());
        for item in items {
            match self.item.read(item) {
                Ok(value) => values.push(value),
                Err(more) => refusals.extend(more),
            }
        }
        if refusals.is_empty() {
            Ok(values)
        } else {
            Err(refusals)
        }
    }
}

fn split_at_commas(given: &Given, text: &str) -> Vec<Given> {
    let items = text
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty());
    items
        .map(|item| Given {
            origin: given.origin.clone(),
            raw: Raw::Untyped(item.to_owned()),
        })
        .collect()
}

/// `true` or `false`.
pub(super) struct Bool;

impl Kind for Bool {
    type Value = bool;

    fn expected(&self) -> String {
        "true or false".to_owned()
    }

    fn example(&self) -> String {
        "true".to_owned()
    }

    fn read(&self, given: &Given) -> Result<bool, Vec<Refusal>> {
        match &given.raw {
            Raw::Bool(flag) => Ok(*flag),
            Raw::Untyped(text) if text == "true" => Ok(true),
            Raw::Untyped(text) if text == "false" => Ok(false),
            _ => Err(self.mismatch(given)),
        }
    }
}

/// `on` or `off`; `true` and `false` mean the same.
pub(super) struct OnOff;

impl Kind for OnOff {
    type Value = bool;

    fn expected(&self) -> String {
        r#""on" or "off""#.to_owned()
    }

    fn example(&self) -> String {
        r#""off""#.to_owned()
    }

    fn read(&self, given: &Given) -> Result<bool, Vec<Refusal>> {
        match (&given.raw, given.raw.text()) {
            (Raw::Bool(flag), _) => Ok(*flag),
            (_, Some("on" | "true")) => Ok(true),
            (_, Some("off" | "false")) => Ok(false),
            _ => Err(self.mismatch(given)),
        }
    }
}

/// A whole number.
pub(super) struct Count {
    pub(super) min: u32,
    pub(super) max: u32,
}

impl Kind for Count {
    type Value = u32;

    fn expected(&self) -> String {
        format!("a whole number from {} to {}", self.min, self.max)
    }

    fn example(&self) -> String {
        self.max.min(100).to_string()
    }

    fn read(&self, given: &Given) -> Result<u32, Vec<Refusal>> {
        let number = given
            .raw
            .integer()
            .and_then(|integer| u32::try_from(integer).ok());
        let in_range = number.filter(|number| (self.min..=self.max).contains(number));
        in_range.ok_or_else(|| self.mismatch(given))
    }
}

/// How often per second.
pub(super) struct Rate;

impl Kind for Rate {
    type Value = f64;

    fn expected(&self) -> String {
        "a number above 0, at most 1000000".to_owned()
    }

    fn example(&self) -> String {
        "0.5".to_owned()
    }

    fn read(&self, given: &Given) -> Result<f64, Vec<Refusal>> {
        let number = match &given.raw {
            Raw::Float(float) => Some(*float),
            Raw::Integer(integer) => i32::try_from(*integer).ok().map(f64::from),
            Raw::Untyped(text) => text.trim().parse().ok(),
            Raw::Text(_) | Raw::Path(_) | Raw::Bool(_) | Raw::List(_) | Raw::Other(_) => None,
        };
        // Not-a-number fails both comparisons.
        let in_range = number.filter(|number| *number > 0.0 && *number <= 1_000_000.0);
        in_range.ok_or_else(|| self.mismatch(given))
    }
}

/// Factors of the units of sizes.
const SIZE_UNITS: &[(&str, u64)] = &[
    ("B", 1),
    ("KB", 1000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
];

/// Factors of the units of times, in milliseconds.
const TIME_UNITS: &[(&str, u64)] = &[
    ("ms", 1),
    ("s", 1000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// A size: a number of bytes, or text with a unit.
pub(super) struct Bytes {
    pub(super) min: u64,
    pub(super) max: u64,
}

impl Kind for Bytes {
    type Value = u64;

    fn expected(&self) -> String {
        "a size in bytes".to_owned()
    }

    fn example(&self) -> String {
        r#"52428800 or "50 MiB""#.to_owned()
    }

    fn read(&self, given: &Given) -> Result<u64, Vec<Refusal>> {
        let bytes = with_unit(&given.raw, SIZE_UNITS).ok_or_else(|| self.mismatch(given))?;
        in_range(given, bytes, self.min, self.max, "bytes")
    }
}

/// A time: a number of milliseconds, or text with a unit.
pub(super) struct Time {
    pub(super) min_ms: u64,
    pub(super) max_ms: u64,
}

impl Kind for Time {
    type Value = Duration;

    fn expected(&self) -> String {
        "a time in milliseconds".to_owned()
    }

    fn example(&self) -> String {
        r#"30000 or "30s""#.to_owned()
    }

    fn read(&self, given: &Given) -> Result<Duration, Vec<Refusal>> {
        let ms = with_unit(&given.raw, TIME_UNITS).ok_or_else(|| self.mismatch(given))?;
        in_range(given, ms, self.min_ms, self.max_ms, "ms").map(Duration::from_millis)
    }
}

/// A whole number of the smallest unit, or `"30s"`, `"50 MiB"`; `None` when it is neither.
fn with_unit(raw: &Raw, units: &[(&str, u64)]) -> Option<u64> {
    if let Some(integer) = raw.integer() {
        return u64::try_from(integer).ok();
    }
    let text = raw.text()?.trim();
    let (digits, unit) = text.split_at(
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len()),
    );
    let number: u64 = digits.parse().ok()?;
    let unit = unit.trim_start();
    let factor = if unit.is_empty() {
        1
    } else {
        units.iter().find(|(name, _)| *name == unit)?.1
    };
    number.checked_mul(factor)
}

fn in_range(
    given: &Given,
    value: u64,
    min: u64,
    max: u64,
    unit: &str,
) -> Result<u64, Vec<Refusal>> {
    if (min..=max).contains(&value) {
        return Ok(value);
    }
    let problem = format!("{} is out of range", given.raw.describe());
    Err(vec![given.refuse(
        problem,
        format!("write a value from {min} to {max} {unit}"),
    )])
}

/// A Matrix server name.
pub(super) struct Name;

impl Kind for Name {
    type Value = OwnedServerName;

    fn expected(&self) -> String {
        "a server name: a host name or an address, and perhaps a port".to_owned()
    }

    fn example(&self) -> String {
        r#""example.org""#.to_owned()
    }

    fn read(&self, given: &Given) -> Result<OwnedServerName, Vec<Refusal>> {
        let name = given
            .raw
            .text()
            .and_then(|text| ServerName::parse(text).ok());
        name.ok_or_else(|| self.mismatch(given))
    }
}

/// An address and port to listen on.
pub(super) struct Address;

impl Kind for Address {
    type Value = SocketAddr;

    fn expected(&self) -> String {
        "an address and port".to_owned()
    }

    fn example(&self) -> String {
        r#""127.0.0.1:8008""#.to_owned()
    }

    fn read(&self, given: &Given) -> Result<SocketAddr, Vec<Refusal>> {
        let address = given.raw.text().and_then(|text| text.parse().ok());
        address.ok_or_else(|| self.mismatch(given))
    }
}

/// A host, by name or address, and a port to send to.
pub(super) struct HostPort;

impl Kind for HostPort {
    type Value = String;

    fn expected(&self) -> String {
        "a host and a port".to_owned()
    }

    fn example(&self) -> String {
        r#""127.0.0.1:8125""#.to_owned()
    }

    fn read(&self, given: &Given) -> Result<String, Vec<Refusal>> {
        let address = given.raw.text().map(str::trim).filter(|text| {
            let bad = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '@');
            text.rsplit_once(':').is_some_and(|(host, port)| {
                !host.is_empty()
                    && !host.contains(bad)
                    && port.parse().is_ok_and(|port: u16| port > 0)
            })
        });
        address
            .map(str::to_owned)
            .ok_or_else(|| self.mismatch(given))
    }
}

/// A name of parts with dots between them, or nothing.
pub(super) struct DottedName;

impl Kind for DottedName {
    type Value = String;

    fn expected(&self) -> String {
        "at most 64 letters, digits and ._-".to_owned()
    }

    fn example(&self) -> String {
        r#""matrix.home""#.to_owned()
    }

    fn read(&self, given: &Given) -> Result<String, Vec<Refusal>> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let name = given
            .raw
            .text()
            .filter(|text| text.len() <= 64 && text.bytes().all(allowed));
        name.map(str::to_owned).ok_or_else(|| self.mismatch(given))
    }
}

/// The start of URLs.
pub(super) struct BaseUrl;

impl Kind for BaseUrl {
    type Value = Url;

    fn expected(&self) -> String {
        "an http or https URL without query".to_owned()
    }

    fn example(&self) -> String {
        r#""https://matrix.example.org""#.to_owned()
    }

    fn read(&self, given: &Given) -> Result<Url, Vec<Refusal>> {
        let url = given.raw.text().and_then(|text| Url::parse(text).ok());
        let usable = url.filter(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.query().is_none()
                && url.fragment().is_none()
                && url.username().is_empty()
                && url.password().is_none()
        });
        usable.ok_or_else(|| self.mismatch(given))
    }
}

/// A version of rooms that this server can create.
pub(super) struct RoomVersion;

impl Kind for RoomVersion {
    type Value = RoomVersionId;

    fn expected(&self) -> String {
        "a room version from 6 to 12".to_owned()
    }

    fn example(&self) -> String {
        r#""11""#.to_owned()
    }

    fn read(&self, given: &Given) -> Result<RoomVersionId, Vec<Refusal>> {
        let written = match &given.raw {
            Raw::Integer(integer) => integer.to_string(),
            raw => raw.text().unwrap_or_default().to_owned(),
        };
        match written.as_str() {
            "6" => Ok(RoomVersionId::V6),
            "7" => Ok(RoomVersionId::V7),
            "8" => Ok(RoomVersionId::V8),
            "9" => Ok(RoomVersionId::V9),
            "10" => Ok(RoomVersionId::V10),
            "11" => Ok(RoomVersionId::V11),
            "12" => Ok(RoomVersionId::V12),
            _ => Err(self.mismatch(given)),
        }
    }
}

/// How log lines look.
pub(super) struct LogStyle;

impl Kind for LogStyle {
    type Value = LogFormat;

    fn expected(&self) -> String {
        r#""text" or "json""#.to_owned()
    }

    fn example(&self) -> String {
        r#""json""#.to_owned()
    }

    fn read(&self, given: &Given) -> Result<LogFormat, Vec<Refusal>> {
        match given.raw.text() {
            Some("text") => Ok(LogFormat::Text),
            Some("json") => Ok(LogFormat::Json),
            _ => Err(self.mismatch(given)),
        }
    }
}

/// Which log lines are written.
pub(super) struct LogFilter;

impl Kind for LogFilter {
    type Value = String;

    fn expected(&self) -> String {
        "a log filter".to_owned()
    }

    fn example(&self) -> String {
        r#""info" or "warn,bridgehead_homeserver=debug""#.to_owned()
    }

    fn read(&self, given: &Given) -> Result<String, Vec<Refusal>> {
        let filter = given
            .raw
            .text()
            .filter(|text| !text.trim().is_empty() && EnvFilter::try_new(text).is_ok());
        filter
            .map(str::to_owned)
            .ok_or_else(|| self.mismatch(given))
    }
}
