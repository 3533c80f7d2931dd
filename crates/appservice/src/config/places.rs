//! Values that name a place: files, addresses to listen on, homeservers.

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A file or folder. In the configuration file a relative path counts from that file's folder, and so does a default
/// where there is such a file; in a variable it counts from the working directory.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FilePath(PathBuf);

impl FilePath {
    /// For defaults: a relative path counts from the configuration file's folder, or from the working directory where
    /// there is no file.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }
}

impl AsRef<Path> for FilePath {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.display())
    }
}

impl JsonSchema for FilePath {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FilePath".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "x-kind": "path", "x-expected": "the path of a file or folder" })
    }
}

/// Why a text is not the place it should be. Displays as what is expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub struct PlaceError(&'static str);

/// A place to listen at: `127.0.0.1:9000`, `[::1]:9000`, or `unix:/run/service.sock`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ListenAddress {
    /// An address and a port; port 0 takes any free one.
    Tcp(SocketAddr),
    /// A unix socket. Its file is made, for its owner and its group, and removed when listening ends. One that is left
    /// over from before is replaced.
    Unix(PathBuf),
}

impl ListenAddress {
    const EXPECTED: &str =
        "an address and port such as \"127.0.0.1:9000\", or \"unix:/path/to/socket\"";
}

impl FromStr for ListenAddress {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        match text.strip_prefix("unix:") {
            Some(path) if !path.is_empty() => Ok(Self::Unix(path.into())),
            Some(_) => Err(PlaceError(Self::EXPECTED)),
            None => text
                .parse()
                .map(Self::Tcp)
                .map_err(|_| PlaceError(Self::EXPECTED)),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// The start of URLs: `http` or `https`, a host, perhaps a port and a path; without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HttpUrl(String);

impl HttpUrl {
    const EXPECTED: &str = "an http or https URL such as \"https://matrix.example.org\", without \
                            user, query and fragment";

    /// The URL, without a slash at the end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it leads to this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        url::Url::parse(&self.0).is_ok_and(|url| match url.host() {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        })
    }
}

impl FromStr for HttpUrl {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let url = url::Url::parse(text).map_err(|_| PlaceError(Self::EXPECTED))?;
        let is_sound = matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if !is_sound {
            return Err(PlaceError(Self::EXPECTED));
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A host, by name or address, and a port to send to: `127.0.0.1:8125`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort(String);

impl HostPort {
    const EXPECTED: &str = "a host and a port, \"host:port\"";

    /// As `host:port`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostPort {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let bad = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '@');
        let is_sound = text.rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty() && !host.contains(bad) && port.parse().is_ok_and(|port: u16| port > 0)
        });
        if !is_sound {
            return Err(PlaceError(Self::EXPECTED));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! as_text {
    ($type:ident, $example:literal) => {
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
                json_schema!({
                    "type": "string",
                    "x-expected": $type::EXPECTED,
                    "examples": [$example],
                })
            }
        }
    };
}
as_text!(ListenAddress, "127.0.0.1:9000");
as_text!(HttpUrl, "https://matrix.example.org");
as_text!(HostPort, "127.0.0.1:8125");

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: FromStr + fmt::Display>(text: &str, wanted: Option<&str>) {
        let read = text.parse::<T>().ok().map(|place| place.to_string());
        assert_eq!(read.as_deref(), wanted, "{text}");
    }

    #[test]
    fn addresses_to_listen_on() {
        for (text, wanted) in [
            ("127.0.0.1:9000", Some("127.0.0.1:9000")),
            ("[::]:0", Some("[::]:0")),
            ("unix:/run/x.sock", Some("unix:/run/x.sock")),
            ("unix:", None),
            ("localhost:9000", None),
            ("9000", None),
            ("", None),
        ] {
            check::<ListenAddress>(text, wanted);
        }
    }

    #[test]
    fn urls_of_homeservers() {
        for (text, wanted) in [
            ("http://localhost:8008", Some("http://localhost:8008")),
            (
                "https://matrix.example.org/base/",
                Some("https://matrix.example.org/base"),
            ),
            ("matrix.example.org", None),
            ("ftp://example.org", None),
            ("https://user:word@example.org", None),
            ("https://example.org?x=1", None),
            ("https://example.org#x", None),
        ] {
            check::<HttpUrl>(text, wanted);
        }
        let is_local = |text: &str| text.parse::<HttpUrl>().is_ok_and(|url| url.is_local());
        assert!(is_local("http://localhost:8008") && is_local("http://[::1]"));
        assert!(!is_local("http://localhost.example.org") && !is_local("http://10.0.0.1"));
    }

    #[test]
    fn hosts_to_send_to() {
        for (text, wanted) in [
            ("127.0.0.1:8125", Some("127.0.0.1:8125")),
            ("statsd:8125", Some("statsd:8125")),
            ("statsd", None),
            (":8125", None),
            ("statsd:0", None),
            ("http://statsd:8125", None),
        ] {
            check::<HostPort>(text, wanted);
        }
    }
}
